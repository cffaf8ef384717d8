import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  encodeSafetensors,
  full,
  loadSafetensors,
  safetensorsHeader,
  saveSafetensors,
  type Tensor,
  tensor,
  zeros,
} from '../../lib/index.ts';
import { hasNumpy, runPython } from './python.ts';
import { temporaryFolder } from './temporary.ts';

/** A file as the format has it, made by hand. */
function file(header: string | object, data: Uint8Array = new Uint8Array(0)): Uint8Array {
  const text = new TextEncoder().encode(typeof header === 'string' ? header : JSON.stringify(header));
  const bytes = new Uint8Array(8 + text.length + data.length);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(text.length), true);
  bytes.set(text, 8);
  bytes.set(data, 8 + text.length);
  return bytes;
}

const entry = (dtype: string, shape: number[], begin: number, end: number) => ({
  dtype,
  shape,
  data_offsets: [begin, end],
});

const refused = (source: Uint8Array, message: string, code = 'AXPY_FORMAT') =>
  expect(loadSafetensors(source)).rejects.toMatchObject({ code, message: expect.stringContaining(message) });

const shown = (tensors: Record<string, Tensor>) =>
  Object.fromEntries(
    Object.entries(tensors).map(([name, { dtype, shape, data }]) => [
      name,
      { dtype, shape, data: [...data] },
    ]),
  );

const some = {
  b: tensor([[1, -0, 3]]),
  a: tensor([Number.NaN, Infinity, -1e-45]),
  scalar: tensor(7, { dtype: 'float64' }),
  labels: tensor([1, -(2 ** 31), 2 ** 31 - 1], { dtype: 'int32' }),
  empty: zeros([0, 3]),
  'ä "\\\n': tensor([1e-320], { dtype: 'float64' }),
};

describe('safetensors', () => {
  it('are read as they were written, by path, URL and bytes', async () => {
    const path = join(temporaryFolder(), 'some.safetensors');
    await saveSafetensors(path, some, { metadata: { note: 'ä\n', other: '' } });
    const bytes = encodeSafetensors(some, { metadata: { note: 'ä\n', other: '' } });
    expect([...readFileSync(path)]).toEqual([...bytes]);
    const padded = new Uint8Array(bytes.length + 3);
    padded.set(bytes, 3);
    for (const source of [path, pathToFileURL(path), bytes, bytes.slice().buffer, padded.subarray(3)]) {
      expect(shown(await loadSafetensors(source))).toEqual(shown(some));
      expect((await safetensorsHeader(source)).metadata).toEqual({ note: 'ä\n', other: '' });
    }
  });

  it('any tensors come back, bit for bit', async () => {
    const one = fc
      .tuple(fc.constantFrom('float32', 'float64', 'int32'), fc.array(fc.nat(4), { maxLength: 4 }), fc.nat())
      .map(([dtype, shape, seed]) => {
        const x = zeros(shape, { dtype: dtype as 'float32' });
        const words = new Uint32Array(x.data.buffer, 0, x.data.byteLength / 4);
        for (let i = 0; i < words.length; i++) words[i] = Math.imul(seed + i + 1, 2654435761);
        return x;
      });
    await fc.assert(
      fc.asyncProperty(
        fc.dictionary(
          fc.string().filter((name) => name !== '__metadata__'),
          one,
        ),
        async (tensors) => {
          const loaded = await loadSafetensors(encodeSafetensors(tensors));
          expect(Object.keys(loaded).sort()).toEqual(Object.keys(tensors).sort());
          for (const [name, x] of Object.entries(tensors)) {
            expect(loaded[name].shape).toEqual(x.shape);
            expect(loaded[name].dtype).toBe(x.dtype);
            expect(Buffer.compare(Buffer.from(loaded[name].data.buffer), Buffer.from(x.data.buffer))).toBe(0);
          }
        },
      ),
    );
  });

  it('are laid out as the reference implementation lays them out', () => {
    const bytes = encodeSafetensors({
      b: tensor([1, 2]),
      a: tensor([3]),
      d: tensor([4], { dtype: 'float64' }),
    });
    const text =
      '{"d":{"dtype":"F64","shape":[1],"data_offsets":[0,8]},"a":{"dtype":"F32","shape":[1],"data_offsets":[8,12]},"b":{"dtype":"F32","shape":[2],"data_offsets":[12,20]}}';
    const length = Number(new DataView(bytes.buffer).getBigUint64(0, true));
    expect(length % 8).toBe(0);
    expect(new TextDecoder().decode(bytes.subarray(8, 8 + length))).toBe(text.padEnd(length, ' '));
    expect([...new Float32Array(bytes.slice(8 + length + 8).buffer)]).toEqual([3, 1, 2]);
  });

  it('keep what they were when saving began', async () => {
    const path = join(temporaryFolder(), 'now.safetensors');
    const x = full([1000], 1);
    const saving = saveSafetensors(path, { x });
    x.mul_(5);
    await saving;
    expect((await loadSafetensors(path)).x.data.every((value) => value === 1)).toBe(true);
  });

  it('read only what is wanted', async () => {
    const bytes = encodeSafetensors(some);
    expect(Object.keys(await loadSafetensors(bytes, { only: /^[ab]$/g })).sort()).toEqual(['a', 'b']);
    expect(Object.keys(await loadSafetensors(bytes, { only: ['scalar'] }))).toEqual(['scalar']);
    await expect(loadSafetensors(bytes, { only: ['c'] })).rejects.toMatchObject({
      code: 'AXPY_ARGUMENT',
      message: expect.stringContaining('got "c"'),
    });
  });

  it('of every dtype become float32 or int32 exactly', async () => {
    // 1.5, −2, the least and the greatest, by the definitions of the formats.
    const half = new Uint16Array([0x3e00, 0xc000, 0x0001, 0x7bff, 0x7c00, 0x8000]);
    const brain = new Uint16Array([0x3fc0, 0xc000, 0x0001, 0x7f7f, 0x7f80, 0x8000]);
    const cases: [string, ArrayBufferView, string, number[]][] = [
      ['F16', half, 'float32', [1.5, -2, 2 ** -24, 65504, Infinity, -0]],
      ['BF16', brain, 'float32', [1.5, -2, 2 ** -133, (2 - 2 ** -7) * 2 ** 127, Infinity, -0]],
      [
        'F8_E4M3',
        new Uint8Array([0x3c, 0xc0, 1, 0x7e, 0x7f, 0x80]),
        'float32',
        [1.5, -2, 2 ** -9, 448, Number.NaN, -0],
      ],
      [
        'F8_E5M2',
        new Uint8Array([0x3e, 0xc0, 1, 0x7b, 0x7c, 0x80]),
        'float32',
        [1.5, -2, 2 ** -16, 57344, Infinity, -0],
      ],
      ['I8', new Int8Array([-128, 127]), 'int32', [-128, 127]],
      ['U8', new Uint8Array([0, 255]), 'int32', [0, 255]],
      ['I16', new Int16Array([-32768, 32767]), 'int32', [-32768, 32767]],
      ['U16', new Uint16Array([0, 65535]), 'int32', [0, 65535]],
      ['U32', new Uint32Array([0, 2 ** 31 - 1]), 'int32', [0, 2 ** 31 - 1]],
      ['I64', new BigInt64Array([-1n, -(2n ** 31n), 5n]), 'int32', [-1, -(2 ** 31), 5]],
      ['U64', new BigUint64Array([7n]), 'int32', [7]],
      ['BOOL', new Uint8Array([0, 1, 1]), 'int32', [0, 1, 1]],
    ];
    for (const [name, values, dtype, expected] of cases) {
      const data = new Uint8Array(values.buffer);
      const { x } = await loadSafetensors(file({ x: entry(name, [expected.length], 0, data.length) }, data));
      expect([name, x.dtype, ...x.data]).toEqual([name, dtype, ...expected]);
    }
  });

  it('every half is what PyTorch makes of it', async () => {
    // float16 by its definition in IEEE 754, table 3.5, in another way than the library's.
    const data = new Uint16Array(65536).map((_, i) => i);
    const { x } = await loadSafetensors(
      file({ x: entry('F16', [65536], 0, 131072) }, new Uint8Array(data.buffer)),
    );
    for (let i = 0; i < 65536; i++) {
      const [sign, exponent, fraction] = [i >> 15, (i >> 10) & 31, i & 1023];
      const bits =
        exponent === 31 ? 0x7f800000 | (fraction << 13) : ((exponent + 112) << 23) | (fraction << 13);
      const normal = new Float32Array(new Uint32Array([((sign << 31) | bits) >>> 0]).buffer)[0];
      const expected = exponent === 0 ? (sign ? -1 : 1) * fraction * 2 ** -24 : normal;
      if (!Object.is(x.data[i], expected)) expect([i, x.data[i]]).toEqual([i, expected]);
    }
  });

  it('integers that do not fit are not lost in silence', async () => {
    const data = new Uint8Array(new BigInt64Array([1n, 2n ** 40n]).buffer);
    const bytes = file({ x: entry('I64', [2], 0, 16) }, data);
    await refused(bytes, 'got 1099511627776 at position 1: pass dtype', 'AXPY_DATA');
    expect([...(await loadSafetensors(bytes, { dtype: 'float64' })).x.data]).toEqual([1, 2 ** 40]);
    expect((await loadSafetensors(bytes, { dtype: 'float32' })).x.dtype).toBe('float32');
  });

  it('blocks that are converted meet without a seam', async () => {
    const n = 3 * 2 ** 20 + 5;
    const data = new Uint16Array(n).map((_, i) => i % 30000);
    const { x } = await loadSafetensors(
      file({ x: entry('U16', [n], 0, 2 * n) }, new Uint8Array(data.buffer)),
    );
    expect(x.data.every((value, i) => value === i % 30000)).toBe(true);
  });

  it('refuses what is no such file, and says what and where', async () => {
    const four = new Uint8Array(4);
    await refused(
      new Uint8Array(7),
      'expected a length of 8 bytes first, got 7 bytes in all (the bytes given)',
    );
    await refused(file('x'), 'expected a header that begins with {, got "x"');
    await refused(file(' {}'), 'begins with {');
    await refused(
      new Uint8Array([255, 255, 255, 255, 255, 255, 255, 127, 1]),
      'expected a header of at most 1 bytes, got a length of 9223372036854776000',
    );
    await refused(new Uint8Array([1, 0, 0, 0, 0, 0, 0, 0, 0xff]), 'expected a header in UTF-8');
    await refused(file('{"a":1}'), 'expected "{" at character 5 of the header, got "1}"');
    await refused(file('{} x'), 'expected the end at character 3');
    await refused(
      file(
        '{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}',
        four,
      ),
      'expected each name once at character 54',
    );
    await refused(
      file('{"a":{"dtype":"F32","dtype":"F32","shape":[1],"data_offsets":[0,4]}}', four),
      'each name once',
    );
    await refused(file('{"__metadata__":{"a":"1","a":"2"}}'), 'each name once');
    await refused(file('{"__metadata__":{"a":1}}'), 'expected text in quotes');
    await refused(file({ x: entry('Q4', [1], 0, 4) }, four), 'expected dtype of "x" to be one of F64, F32');
    await refused(file({ x: { dtype: 'F32', shape: [1] } }, four), 'two data_offsets of "x"');
    await refused(
      file({ x: entry('F32', [1], 0, 4) }),
      'expected tensors of 0 bytes, as many as follow the header, got 4',
    );
    await refused(file({ x: entry('F32', [1], 0, 4) }, new Uint8Array(5)), 'expected tensors of 5 bytes');
    await refused(
      file({ x: entry('F32', [2], 0, 4) }, four),
      'expected 4 bytes, as data_offsets say for "x", got 8',
    );
    await refused(
      file({ x: entry('F32', [1], 4, 8) }, new Uint8Array(8)),
      'expected data_offsets that begin at 0 for "x", got [4, 8]',
    );
    await refused(
      file({ x: entry('F32', [1], 0, 4), y: entry('F32', [1], 2, 6) }, new Uint8Array(6)),
      'for "y", got [2, 6]',
    );
    await refused(file({ x: entry('F32', [1], 4, 0) }, four), 'got [4, 0]');
    await refused(
      file('{"x":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}}', four),
      'an integer from 0 to 2^53 - 1',
    );
    await refused(file('{"x":{"dtype":"F32","shape":[1.0],"data_offsets":[0,4]}}', four), 'expected "]"');
    await refused(file('{"x":{"dtype":"F32","shape":[01],"data_offsets":[0,4]}}', four), 'an integer from 0');
    await refused(
      file(
        '{"x":{"dtype":"F32","shape":[9223372036854775807,9223372036854775807],"data_offsets":[0,4]}}',
        four,
      ),
      'an integer from 0 to 2^53 - 1',
    );
    await refused(
      file({ x: entry('F32', [2 ** 52, 2 ** 52, 2 ** 52], 0, 4) }, four),
      'by dtype F32 and shape',
    );
    await refused(
      file({ x: entry('F32', new Array(17).fill(1), 0, 4) }, four),
      'a rank of at most 16',
      'AXPY_SHAPE',
    );
    await refused(file({ x: entry('F32', [0, 2 ** 40], 0, 0) }), 'fewer than 2^31', 'AXPY_SHAPE');
    await refused(file(`{"x":${'['.repeat(100_000)}`), 'expected "{"');
    await refused(file(`{"x":{"shape":${'['.repeat(100_000)}`), 'an integer');
  });

  it('takes headers as other writers write them', async () => {
    const text = '{ "y" : {"shape":[1, 1], "data_offsets":[0,0 ],"dtype":"F32"}}\n'.replace('1, 1', '0,1');
    expect((await loadSafetensors(file(text))).y.shape).toEqual([0, 1]);
    const unsorted = file(
      { x: entry('F32', [1], 4, 8), y: entry('F32', [], 0, 4), e: entry('F32', [0], 4, 4) },
      new Uint8Array(new Float32Array([1, 2]).buffer),
    );
    expect(shown(await loadSafetensors(unsorted))).toMatchObject({
      x: { data: [2] },
      y: { data: [1], shape: [] },
    });
    const proto = await loadSafetensors(
      file('{"__proto__":{"dtype":"F32","shape":[],"data_offsets":[0,4]}}', new Uint8Array(4)),
    );
    expect(Object.keys(proto)).toEqual(['__proto__']);
    expect(await loadSafetensors(file('{}'))).toEqual({});
  });

  it('truncated anywhere, it is refused', async () => {
    const bytes = encodeSafetensors(some, { metadata: { a: 'b' } });
    for (let length = 0; length < bytes.length; length++) {
      await expect(loadSafetensors(bytes.subarray(0, length))).rejects.toMatchObject({ code: 'AXPY_FORMAT' });
    }
  });

  it('whatever is changed in a file, it is read or refused', async () => {
    const original = encodeSafetensors(some, { metadata: { a: 'b' } });
    const change = fc.tuple(
      fc.nat(original.length - 1),
      fc.oneof(fc.nat(255), fc.constantFrom(...Buffer.from('{}[]",:0129'))),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(change, { minLength: 1, maxLength: 4 }), async (changes) => {
        const bytes = original.slice();
        for (const [at, byte] of changes) bytes[at] = byte;
        try {
          const loaded = await loadSafetensors(bytes);
          for (const x of Object.values(loaded)) expect(x.data.length).toBe(x.size);
        } catch (error) {
          expect((error as { code: string }).code).toMatch(/^AXPY_(FORMAT|SHAPE|DATA)$/);
        }
      }),
      { numRuns: 2000 },
    );
  });

  it('errors of files and arguments', async () => {
    const folder = temporaryFolder();
    const fails = (promise: Promise<unknown>, code: string, message: string) =>
      expect(promise).rejects.toMatchObject({ code, message: expect.stringContaining(message) });
    await fails(loadSafetensors(join(folder, 'none')), 'AXPY_FILE', 'ENOENT');
    await fails(loadSafetensors(folder), 'AXPY_FILE', 'got a folder');
    await fails(loadSafetensors('/dev/zero'), 'AXPY_FILE', 'got what is no file');
    await fails(loadSafetensors(''), 'AXPY_ARGUMENT', 'expected a path or a file: URL, got ""');
    await fails(loadSafetensors('a\0b'), 'AXPY_ARGUMENT', 'expected a path');
    await fails(loadSafetensors(new URL('http://example.org/x')), 'AXPY_ARGUMENT', 'file: URL');
    await fails(loadSafetensors(5 as never), 'AXPY_ARGUMENT', 'got 5');
    const gone = encodeSafetensors(some).buffer as ArrayBuffer;
    const view = new Uint8Array(gone, 8);
    structuredClone(gone, { transfer: [gone] });
    await fails(loadSafetensors(gone), 'AXPY_DATA', 'got a detached buffer');
    await fails(loadSafetensors(view), 'AXPY_DATA', 'got a detached buffer');
    const going = encodeSafetensors(some);
    const loading = loadSafetensors(going);
    structuredClone(going.buffer, { transfer: [going.buffer as ArrayBuffer] });
    await fails(loading, 'AXPY_DATA', 'got a detached buffer');
    await fails(saveSafetensors(folder, some), 'AXPY_FILE', 'a folder there');
    await fails(saveSafetensors('/dev/null', some), 'AXPY_FILE', 'what is no file there');
    await fails(saveSafetensors(join(folder, 'no', 'file'), some), 'AXPY_FILE', 'ENOENT');
    await fails(saveSafetensors(join(folder, 'x'), { x: [1] as never }), 'AXPY_ARGUMENT', 'x');
    await fails(
      saveSafetensors(join(folder, 'x'), { __metadata__: some.a }),
      'AXPY_ARGUMENT',
      'other than __metadata__',
    );
    await fails(saveSafetensors(join(folder, 'x'), { '\ud800': some.a }), 'AXPY_ARGUMENT', 'well-formed');
    await fails(
      saveSafetensors(join(folder, 'x'), some, { metadata: { a: 1 as never } }),
      'AXPY_ARGUMENT',
      'metadata.a to be text, got 1',
    );
    const bytes = file({ x: entry('F32', [1], 0, 4) }, new Uint8Array(4));
    writeFileSync(join(folder, 'short'), bytes.subarray(0, 40));
    await fails(loadSafetensors(join(folder, 'short')), 'AXPY_FORMAT', join(folder, 'short'));
    expect(readdirSync(folder)).toEqual(['short']);
  });
});

// The format as its documentation describes it, read and written by other code in another language.

describe.skipIf(!hasNumpy)('safetensors with NumPy (where python3-numpy is installed)', () => {
  it('are read there, and read what is written there', async () => {
    const folder = temporaryFolder();
    await saveSafetensors(join(folder, 'ours'), {
      w: tensor([
        [1.5, 2],
        [3, 4],
      ]),
      n: tensor([7], { dtype: 'int32' }),
    });
    runPython(join(import.meta.dirname, 'safetensors.py'), join(folder, 'ours'), join(folder, 'theirs'));
    const { w, n, h } = await loadSafetensors(join(folder, 'theirs'));
    expect([w.toArray(), n.toArray(), h.toArray()]).toEqual([
      [
        [3, 4],
        [6, 8],
      ],
      [14],
      [0.5, 65504],
    ]);
  });
});

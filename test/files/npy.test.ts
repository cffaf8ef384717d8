/** Arrays of NumPy: files that it wrote, files that it reads, and files that are none. */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  Adam,
  AxpyError,
  compile,
  Dense,
  encodeNpy,
  encodeNpz,
  FormatError,
  fit,
  loadNpy,
  loadNpz,
  ones,
  Sequential,
  saveNpy,
  saveNpz,
  type Tensor,
  tensor,
  zeros,
} from '../../lib/index.ts';
import { mutation, readsOrRefuses } from './mutation.ts';
import { checkFolder, fails, fixture, fixtures, hexOf } from './numpy.ts';
import { temporaryFolder } from './temporary.ts';

/** A file of version 1.0 with such a header. */
function npy(header: string, data: Uint8Array = new Uint8Array(0), version = 1): Uint8Array {
  const text = Buffer.from(`${header}\n`, version === 3 ? 'utf8' : 'latin1');
  const length = Buffer.alloc(version === 1 ? 2 : 4);
  if (version === 1) length.writeUInt16LE(text.length);
  else length.writeUInt32LE(text.length);
  return new Uint8Array(
    Buffer.concat([Buffer.from(`\x93NUMPY${String.fromCharCode(version)}\0`, 'latin1'), length, text, data]),
  );
}

const header = (descr: string, shape: string, order = 'False') =>
  `{'descr': ${descr}, 'fortran_order': ${order}, 'shape': ${shape}, }`;

const some = {
  weights: tensor([
    [1.5, -0, Number.NaN],
    [Infinity, 1e-45, -3],
  ]),
  'a/b': tensor(7, { dtype: 'float64' }),
  labels: tensor([1, -(2 ** 31), 2 ** 31 - 1], { dtype: 'int32' }),
  empty: zeros([2, 0, 3]),
  'ä 日本': tensor([1e-320], { dtype: 'float64' }),
  ['__proto__']: tensor([1, 2]),
  '../up': ones([1]),
};

const shown = (tensors: Record<string, Tensor>) =>
  Object.entries(tensors).map(([name, x]) => [name, x.dtype, x.shape, hexOf(x)]);

describe('what NumPy wrote', () => {
  it('is read exactly, whatever its type, orders and container, as itself and as any dtype', async () => {
    expect(await checkFolder(fixtures)).toBeGreaterThan(1000);
  });

  it('trains, and what has been trained goes back', async () => {
    const data = {
      x: tensor([
        [0, 1],
        [1, 0],
      ]),
      y: tensor([[1], [0]]),
    };
    const { x, y } = await loadNpz(await encodeNpz(data));
    for (const compiled of [true, false]) {
      const model = new Sequential([new Dense(2, 1)]);
      const optimizer = new Adam(model.parameters(), { learningRate: 0.1 });
      const { epochs } = await fit(model, { x, y }, { loss: 'mse', optimizer, epochs: 100, compiled });
      expect(epochs[99].loss).toBeLessThan(0.01);
      const bytes = await encodeNpz(model.stateDict(), { compressed: true });
      const other = new Sequential([new Dense(2, 1)]);
      other.loadStateDict(await loadNpz(bytes));
      expect(shown(other.stateDict())).toEqual(shown(model.stateDict()));
    }
  });

  it('names what is no number, and what to do', async () => {
    const advice: Record<string, string> = {
      complex: 'complex numbers (dtype "<c8"): save array.real and array.imag',
      objects: 'objects, which would have to be executed',
      bytes: 'text (dtype "|S1")',
      text: 'text (dtype "<U1"): save np.unique',
      dates: 'dates (dtype "<M8[D]")',
      spans: 'spans of time (dtype "<m8[s]")',
      records:
        'records: save each field, np.savez(path, **{name: array[name] for name in array.dtype.names})',
      raw: 'raw bytes (dtype "|V2")',
      'long doubles': 'long doubles (dtype "<f16"): save array.astype(\'f8\')',
    };
    for (const [name, message] of Object.entries(advice)) {
      await fails(loadNpz(fixture('refused.npz'), { only: [name] }), 'AXPY_FORMAT', message);
      await fails(loadNpz(fixture('refused.npz'), { only: [name] }), 'AXPY_FORMAT', `array "${name}"`);
    }
  });

  it('keeps no integer that int32 cannot hold without being asked', async () => {
    for (const [name, value, position] of [
      ['i8', '2147483648', 4],
      ['u8', '18446744073709551615', 1],
      ['u4', '4294967295', 1],
    ]) {
      const message = `array "${name}": expected integers of 32 bits in it, got ${value} at position ${position}: pass dtype`;
      await fails(loadNpz(fixture('wide.npz'), { only: [name as string] }), 'AXPY_DATA', message);
    }
    const whole = encodeNpy(tensor([1, -0, 2 ** 31 - 128]));
    expect((await loadNpy(whole, { dtype: 'int32' })).toArray()).toEqual([1, 0, 2 ** 31 - 128]);
    for (const value of [0.5, Number.NaN, Infinity, 2 ** 31]) {
      await fails(
        loadNpy(encodeNpy(tensor([1, value])), { dtype: 'int32' }),
        'AXPY_DATA',
        `${value} at position 1`,
      );
    }
  });

  it('only some of it, by names or an expression', async () => {
    const source = fixture('stored.npz');
    expect(Object.keys(await loadNpz(source, { only: /^u1 </g }))).toEqual(['u1 < C', 'u1 < F']);
    expect(Object.keys(await loadNpz(source, { only: ['u1 < F', 'u1 < C'] }))).toEqual(['u1 < C', 'u1 < F']);
    expect(await loadNpz(source, { only: [] })).toEqual({});
    await fails(loadNpz(source, { only: ['u1'] }), 'AXPY_ARGUMENT', 'got "u1"');
    await fails(loadNpz(source, { only: 'u1' as never }), 'AXPY_ARGUMENT', 'RegExp or an array');
    await fails(loadNpz(source, { dtype: 'float16' as never }), 'AXPY_ARGUMENT', 'dtype');
    await fails(loadNpz(source, { other: 1 } as never), 'AXPY_ARGUMENT', 'other');
  });

  it('in blocks that meet without a seam, of either order of bytes', async () => {
    const count = 2 ** 19 + 5;
    const values = Int16Array.from({ length: count }, (_, i) => (i * 7919) & 0xffff);
    const swapped = new Uint8Array(Buffer.from(values.buffer.slice(0)).swap16());
    for (const [order, bytes] of [
      ['<', new Uint8Array(values.buffer)],
      ['>', swapped],
    ] as const) {
      const file = npy(header(`'${order}i2'`, `(${count},)`), bytes);
      expect(hexOf(await loadNpy(file)) === hexOf(tensor(Int32Array.from(values)))).toBe(true);
      expect(
        hexOf(await loadNpy(file, { dtype: 'float64' })) === hexOf(tensor(Float64Array.from(values))),
      ).toBe(true);
    }
    const large = tensor(
      Float64Array.from({ length: 2 ** 18 + 3 }, (_, i) => Math.sin(i)),
      { dtype: 'float64' },
    );
    for (const compressed of [false, true]) {
      const { x } = await loadNpz(await encodeNpz({ x: large }, { compressed }));
      expect(hexOf(x) === hexOf(large)).toBe(true);
    }
  });
});

describe('what is written', () => {
  it('comes back, by path, URL and bytes', async () => {
    const folder = temporaryFolder();
    for (const x of Object.values(some)) {
      const path = join(folder, 'x.npy');
      await saveNpy(path, x);
      const bytes = encodeNpy(x);
      expect(new Uint8Array(readFileSync(path))).toEqual(bytes);
      const padded = new Uint8Array(bytes.length + 3);
      padded.set(bytes, 3);
      for (const source of [path, pathToFileURL(path), bytes, bytes.slice().buffer, padded.subarray(3)]) {
        expect(shown({ x: await loadNpy(source) })).toEqual(shown({ x }));
      }
    }
    for (const compressed of [false, true]) {
      const path = join(folder, 'x.npz');
      await saveNpz(pathToFileURL(path), some, { compressed });
      const bytes = await encodeNpz(some, { compressed });
      expect(new Uint8Array(readFileSync(path))).toEqual(bytes);
      for (const source of [path, bytes]) {
        const loaded = await loadNpz(source);
        expect(shown(loaded)).toEqual(shown(some));
        expect(Object.getPrototypeOf(loaded)).toBe(Object.prototype);
      }
    }
    expect(await loadNpz(await encodeNpz({}))).toEqual({});
    expect(await encodeNpz({})).toEqual(fixture('none.npz'));
    expect(readdirSync(folder).sort()).toEqual(['x.npy', 'x.npz']);
  });

  it('any tensors come back, bit for bit', async () => {
    const one = fc
      .tuple(fc.constantFrom('float32', 'float64', 'int32'), fc.array(fc.nat(4), { maxLength: 5 }), fc.nat())
      .map(([dtype, shape, seed]) => {
        const x = zeros(shape, { dtype: dtype as 'float32' });
        const words = new Uint32Array(x.data.buffer, 0, x.data.byteLength / 4);
        for (let i = 0; i < words.length; i++) words[i] = Math.imul(seed + i + 1, 2654435761);
        return x;
      });
    const name = fc.string({ unit: 'grapheme' }).filter((text) => !text.includes('\0'));
    await fc.assert(
      fc.asyncProperty(fc.dictionary(name, one), fc.boolean(), async (tensors, compressed) => {
        if (Object.keys(tensors).some((key) => Object.hasOwn(tensors, `${key}.npy`))) return;
        const loaded = await loadNpz(await encodeNpz(tensors, { compressed }));
        expect(shown(loaded)).toEqual(shown(tensors));
      }),
    );
  });

  it('is what the tensors were when it was called', async () => {
    const x = ones([1000]);
    const writing = [encodeNpz({ x }), encodeNpz({ x }, { compressed: true })];
    x.mul_(5);
    for (const bytes of await Promise.all(writing)) {
      expect((await loadNpz(bytes)).x.data.every((value) => value === 1)).toBe(true);
    }
  });

  it('refuses what is no tensor, and names that NumPy would not find', async () => {
    const folder = temporaryFolder();
    const path = join(folder, 'x.npz');
    const x = ones([2]);
    await fails(saveNpz(path, { x: [1] as never }), 'AXPY_ARGUMENT', 'x');
    await fails(saveNpz(path, [x] as never), 'AXPY_ARGUMENT', 'tensors by name');
    await fails(saveNpz(path, { 'a\0b': x }), 'AXPY_ARGUMENT', 'NUL');
    await fails(saveNpz(path, { '\ud800': x }), 'AXPY_ARGUMENT', 'whole characters');
    await fails(saveNpz(path, { ['ä'.repeat(32766)]: x }), 'AXPY_ARGUMENT', 'at most 65531 bytes');
    await fails(saveNpz(path, { a: x, 'a.npy': x }), 'AXPY_ARGUMENT', 'differ by .npy alone');
    await fails(saveNpz(path, { x }, { compressed: 1 as never }), 'AXPY_ARGUMENT', 'compressed');
    await fails(saveNpy('', x), 'AXPY_ARGUMENT', 'a path');
    await fails(saveNpy(folder, x), 'AXPY_FILE', 'a folder');
    await fails(loadNpy(join(folder, 'none')), 'AXPY_FILE', 'ENOENT');
    expect(() => encodeNpy([1] as never)).toThrow('[encodeNpy] expected a tensor');
    const gone = ones([2]);
    structuredClone(gone.data.buffer, { transfer: [gone.data.buffer as ArrayBuffer] });
    await fails(saveNpz(path, { gone }), 'AXPY_DATA', 'detached');
    expect(() => compile((y: Tensor) => y.mul(encodeNpy(y).length)).sync(x)).toThrow(AxpyError);
    expect(readdirSync(folder)).toEqual([]);
    const longest = { ['x'.repeat(65531)]: x };
    expect(shown(await loadNpz(await encodeNpz(longest)))).toEqual(shown(longest));
  });
});

describe('a .npy file', () => {
  const four = new Uint8Array(4);

  it('has a header as NumPy writes it, and others', async () => {
    for (const text of [
      "{'descr': '<f4', 'fortran_order': False, 'shape': (1L,), }",
      "{'descr': '<f4', 'fortran_order': False, 'shape': (1L, 1L)}",
      `{"shape":(1,),"fortran_order":True,"descr":"<f4"}`,
      "  { 'shape' : ( 1 , 1, ) ,\n'descr':'<f4',\t'fortran_order' : False }   \n\n",
      "{'descr': '<f4', 'fortran_order': False, 'shape': ()}",
    ]) {
      for (const version of [1, 2, 3]) expect((await loadNpy(npy(text, four, version))).item()).toBe(0);
    }
    expect((await loadNpy(npy(header("'<b1'", '(4,)'), Uint8Array.of(0, 1, 2, 255)))).toArray()).toEqual([
      0, 1, 1, 1,
    ]);
    expect(
      (await loadNpy(npy(header("'<u1'", '(2, 2)', 'True'), Uint8Array.of(1, 2, 3, 4)))).toArray(),
    ).toEqual([
      [1, 3],
      [2, 4],
    ]);
  });

  it('that says something else is refused, with what and where', async () => {
    const cases: [Uint8Array, string | RegExp, string?][] = [
      [new Uint8Array(0), 'begins with'],
      [new Uint8Array(200), 'begins with \\x93NUMPY, got other bytes at 0'],
      [npy(header("'<f4'", '(1,)'), four, 4), 'version 1.0, 2.0 or 3.0, got 4.0 at 6'],
      [npy(header("'<f4'", '(1,)')), '4 bytes after the header, for <f4 of shape [1], got 0'],
      [npy(header("'<f4'", '(1,)'), new Uint8Array(8)), 'got 8: np.savez keeps several arrays'],
      [npy(header("'<f4'", '(9223372036854775808,)'), four), 'after the header'],
      [npy(header("'<f4'", '(18446744073709551617,)'), four), 'after the header'],
      [npy(header("'<f4'", '(4294967296, 4294967296)'), four), 'after the header'],
      [npy(header("'<f4'", '(4294967296, 4294967297, 1)'), four), 'after the header'],
      [npy(header("'<f4'", `(${'9999999999999999999, '.repeat(40)}0)`)), 'after the header'],
      [npy(header("'<f4'", '(100000000000000000000,)'), four), /to 10\^20, got "100000.* at \d+/],
      [npy(header("'<f4'", '(01,)'), four), 'an integer from 0'],
      [npy(header("'<f4'", '(-1,)'), four), 'an integer from 0'],
      [npy(header("'<f4'", '(1)'), four), 'expected ","'],
      [npy(header("'<f4'", '(1 1)'), four), 'expected ","'],
      [npy(header("'<f4'", '1'), four), 'expected "("'],
      [npy(header("'<f4'", '[1]'), four), 'expected "("'],
      [npy(header("'<f4'", '(1.0,)'), four), 'expected ","'],
      [npy(header("'<f4'", "('1',)"), four), 'an integer from 0'],
      [npy(header("'<f4'", '(1,)', '0'), four), 'True or False'],
      [npy(header('None', '(1,)'), four), 'text in quotes'],
      [npy(header("'f4'", '(1,)'), four), 'dtype "f4"'],
      [npy(header("'|f4'", '(1,)'), four), 'dtype "|f4"'],
      [npy(header("'=f4'", '(1,)'), four), 'dtype "=f4"'],
      [npy(header("'<f3'", '(1,)'), four), 'dtype "<f3"'],
      [npy(header("'<i16'", '(1,)'), four), 'dtype "<i16"'],
      [npy(header("'<toString'", '(1,)'), four), 'dtype "<toString"'],
      [npy(header("'|O'", '(1,)'), four), 'which would have to be executed'],
      [npy(header("[('a', '<f4')]", '(1,)'), four), 'records'],
      [npy(header("('<f4', (2,))", '(1,)'), four), 'records'],
      [
        npy("{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (1,)}", four),
        'descr once, before this',
      ],
      [
        npy("{'descr': '<f4', 'fortran_order': False}", four),
        'descr, fortran_order and shape before this, got the end',
      ],
      [
        npy("{'descr': '<f4', 'fortran_order': False, 'shape': (1,), 'x': 1}", four),
        'descr, fortran_order or shape before this',
      ],
      [npy("{'__proto__': '<f4'}", four), 'descr, fortran_order or shape before this'],
      [npy(`${header("'<f4'", '(1,)')} x`, four), 'expected the end, got "x'],
      [npy("{'descr': '<f\\x34', 'fortran_order': False, 'shape': (1,)}", four), 'text in quotes'],
      [npy('__import__("os").system("true")', four), 'expected "{"'],
      [npy('', four), 'expected "{"'],
      [npy('{'.repeat(60000), four), 'text in quotes'],
      [npy(`{'descr': ${'['.repeat(60000)}`, four), 'records'],
      [
        npy(`{'descr': '<f4', 'fortran_order': False, 'shape': (${'1,'.repeat(20000)})}`, four),
        'at most 16 axes',
        'AXPY_DATA',
      ],
      [npy(header("'<f4'", `(${'1, '.repeat(17)})`), four), 'at most 16 axes', 'AXPY_DATA'],
      [npy(header("'<f4'", '(0, 2147483648)')), 'fewer than 2^31 elements', 'AXPY_DATA'],
      [npy(' '.repeat(70000), four, 2), 'a header of at most 65536 bytes, got 70001'],
      [npy('', new Uint8Array(0), 2).slice(0, 11), 'bytes'],
    ];
    for (const [bytes, message, code = 'AXPY_FORMAT'] of cases) {
      await fails(loadNpy(bytes), code, message);
      await fails(loadNpy(bytes), code, /^\[loadNpy\] .* \(the bytes given(: .*)?\)$/s);
    }
    const folder = temporaryFolder();
    writeFileSync(join(folder, 'bad.npy'), fixture('v1.npy').slice(0, 130));
    await fails(loadNpy(join(folder, 'bad.npy')), 'AXPY_FORMAT', join(folder, 'bad.npy'));
  });

  it('truncated anywhere, or longer, is refused', async () => {
    for (const name of ['v1.npy', 'v2.npy', 'v3.npy', 'empty.npy', 'scalar.npy']) {
      const whole = fixture(name);
      for (let length = 0; length < whole.length; length++) {
        await expect(loadNpy(whole.slice(0, length))).rejects.toThrow(FormatError);
      }
      await fails(loadNpy(Uint8Array.of(...whole, 0)), 'AXPY_FORMAT', 'after the header');
    }
  });

  it('changed anywhere is read or refused', async () => {
    const originals = [
      'v1.npy',
      'v2.npy',
      'v3.npy',
      'fortran.npy',
      'scalar.npy',
      'empty.npy',
      'long.npy',
    ].map(fixture);
    await fc.assert(
      fc.asyncProperty(
        mutation(originals),
        readsOrRefuses(async (bytes) => [await loadNpy(bytes)]),
      ),
      {
        numRuns: 2000,
      },
    );
  });
});

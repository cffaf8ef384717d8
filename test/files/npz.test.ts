/** Archives of arrays: those of other tools, those that are not what they say, and NumPy itself, where it is installed. */
import { join } from 'node:path';
import { deflateRawSync, crc32 as zlibCrc32 } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { crc32, crcByTables } from '../../lib/files/crc32.ts';
import {
  encodeNpy,
  encodeNpz,
  FormatError,
  loadNpz,
  ones,
  saveNpy,
  saveNpz,
  type Tensor,
  tensor,
  zeros,
} from '../../lib/index.ts';
import { mutation, readsOrRefuses } from './mutation.ts';
import { checkFolder, fails, fixture, hexOf, little, shown } from './numpy.ts';
import { hasNumpy, runPython } from './python.ts';
import { temporaryFolder } from './temporary.ts';

// ── archives made by hand, by another code than the library's ────────────────────────────────────────────────────────

const record = (...fields: [width: number, value: number | bigint][]) =>
  Buffer.concat(fields.map(([width, value]) => little(width, value)));

interface Fields {
  signature: number;
  flags: number;
  method: number;
  crc: number;
  compressed: number;
  size: number;
  name: Uint8Array;
  extra: Uint8Array;
  disk: number;
  offset: number;
}

interface Made {
  name: string | Uint8Array;
  /** Of the file within. */
  data: Uint8Array;
  deflated?: boolean;
  both?: Partial<Fields>;
  local?: Partial<Fields>;
  central?: Partial<Fields>;
  /** What stands after the data. */
  after?: Uint8Array;
  /** What stands for the deflated data. */
  body?: Uint8Array;
}

interface End {
  signature: number;
  disk: number;
  count: number;
  total: number;
  size: number;
  offset: number;
  comment: Uint8Array;
  /** Before the record at the end. */
  before: Uint8Array;
}

function zip(
  members: readonly Made[],
  end: Partial<End> | ((size: number, offset: number, count: number) => Partial<End>) = {},
): Uint8Array {
  const parts: Buffer[] = [];
  const directory: Buffer[] = [];
  let at = 0;
  const push = (bytes: Uint8Array) => {
    parts.push(Buffer.from(bytes));
    at += bytes.length;
  };
  for (const { name, data, deflated = false, both, local, central, after, body } of members) {
    const stored = body ?? (deflated ? deflateRawSync(data) : data);
    const own: Fields = {
      signature: 0x04034b50,
      flags: 0,
      method: deflated ? 8 : 0,
      crc: zlibCrc32(data),
      compressed: stored.length,
      size: data.length,
      name: Buffer.from(name as string),
      extra: new Uint8Array(0),
      disk: 0,
      offset: at,
      ...both,
    };
    const l = { ...own, ...local };
    push(record([4, l.signature], [2, 20], [2, l.flags], [2, l.method], [4, 0x210000], [4, l.crc]));
    push(record([4, l.compressed], [4, l.size], [2, l.name.length], [2, l.extra.length]));
    for (const bytes of [l.name, l.extra, stored, after ?? new Uint8Array(0)]) push(bytes);
    const c = { ...own, signature: 0x02014b50, ...central };
    directory.push(
      record([4, c.signature], [2, 20], [2, 20], [2, c.flags], [2, c.method], [4, 0x210000], [4, c.crc]),
      record([4, c.compressed], [4, c.size], [2, c.name.length], [2, c.extra.length], [2, 0], [2, c.disk]),
      record([2, 0], [4, 0], [4, c.offset]),
      Buffer.concat([c.name, c.extra]),
    );
  }
  const all = Buffer.concat(directory);
  const e = {
    signature: 0x06054b50,
    disk: 0,
    count: members.length,
    total: members.length,
    size: all.length,
    offset: at,
    comment: new Uint8Array(0),
    before: new Uint8Array(0),
    ...(typeof end === 'function' ? end(all.length, at, members.length) : end),
  };
  const last = record(
    [4, e.signature],
    [2, e.disk],
    [2, 0],
    [2, e.count],
    [2, e.total],
    [4, e.size],
    [4, e.offset],
  );
  return new Uint8Array(
    Buffer.concat([...parts, all, e.before, last, little(2, e.comment.length), e.comment]),
  );
}

const two = encodeNpy(tensor([1, 2]));
const zeros4 = encodeNpy(zeros([1000]));
const a = { name: 'a.npy', data: two };
const extra = (id: number, ...values: (number | bigint)[]) =>
  record([2, id], [2, 8 * values.length], ...values.map((value): [number, number | bigint] => [8, value]));

const keys = async (bytes: Uint8Array) => Object.keys(await loadNpz(bytes));

describe('an archive', () => {
  it('of another tool is read', async () => {
    expect(await keys(zip([a, { name: 'b.npy', data: zeros4, deflated: true }]))).toEqual(['a', 'b']);
    // Names without a suffix, of folders, in code page 437, in UTF-8.
    expect(await keys(zip([{ name: 'a', data: two }]))).toEqual(['a']);
    expect(
      await keys(
        zip([
          { name: 'x/', data: new Uint8Array(0) },
          { name: 'x/a.npy', data: two },
        ]),
      ),
    ).toEqual(['x/a']);
    const every = Uint8Array.from({ length: 255 }, (_, i) => i + 1);
    const [name] = await keys(zip([{ name: every, data: two }]));
    expect(name).toHaveLength(255);
    expect([name[0x81 - 1], name[0xe1 - 1], name[0x9c - 1], name[254]]).toEqual(['ü', 'ß', '£', '\xa0']);
    expect(await keys(zip([{ name: 'ü.npy', data: two, both: { flags: 0x800 } }]))).toEqual(['ü']);
    expect(await keys(zip([{ name: 'ü.npy', data: two }]))).toEqual(['├╝']);
    // Comments, also one that looks like a record; gaps; members in another order; fields that nobody knows.
    expect(
      await keys(zip([a], { comment: Buffer.from('PK\x05\x06 and other words, as they come') })),
    ).toEqual(['a']);
    expect(await keys(zip([a], { comment: new Uint8Array(65535) }))).toEqual(['a']);
    expect(
      await keys(
        zip([
          { ...a, after: new Uint8Array(9) },
          { ...a, name: 'b' },
        ]),
      ),
    ).toEqual(['a', 'b']);
    expect(
      await keys(zip([{ ...a, both: { extra: Buffer.concat([extra(0x5455, 1), Buffer.alloc(3)]) } }])),
    ).toEqual(['a']);
    // Zip64 where it is not needed, and where it is.
    expect(await keys(zip([{ ...a, both: { extra: extra(1, 0, 0) } }]))).toEqual(['a']);
    const full = { size: 0xffffffff, compressed: 0xffffffff };
    const sizes = [two.length, two.length];
    const large = {
      ...a,
      local: { ...full, extra: extra(1, ...sizes) },
      central: { ...full, offset: 0xffffffff, extra: extra(1, ...sizes, 0) },
    };
    expect(await keys(zip([large]))).toEqual(['a']);
    expect(await keys(zip([large, { ...a, name: 'b' }], ends64))).toEqual(['a', 'b']);
    // Sizes after the data, in each form there is.
    for (const wide of [4, 8]) {
      for (const signature of [[], [[4, 0x08074b50]]] as [number, number][][]) {
        const after = record(...signature, [4, zlibCrc32(two)], [wide, two.length], [wide, two.length]);
        const member = { ...a, both: { flags: 8 }, local: { crc: 0, compressed: 0, size: 0 }, after };
        expect(await keys(zip([member, { ...a, name: 'b' }]))).toEqual(['a', 'b']);
      }
    }
  });

  it('that is none, or not what it says, is refused', async () => {
    const cases: [Uint8Array, string | RegExp, string?][] = [
      [new Uint8Array(0), 'a zip archive'],
      [two, 'a zip archive'],
      [new Uint8Array(1e6), 'a zip archive'],
      [zip([a], { disk: 1 }), 'one disk'],
      [zip([a], { total: 2 }), 'one disk'],
      [zip([a], { count: 2, total: 2 }), '2 members'],
      [zip([a, { ...a, name: 'b' }], { count: 1, total: 1 }), 'a directory of 1 members to end'],
      [zip([a], { count: 65535, total: 65535 }), '65535 members'],
      [zip([a], { offset: 2 ** 31 }), 'the directory to end'],
      [zip([a], { size: 2 ** 31 }), 'the directory to end'],
      [zip([a], (size, offset) => ({ size: size - 1, offset: offset + 1 })), 'the entry of member 1'],
      [zip([{ ...a, central: { disk: 1 } }]), 'on another'],
      [zip([{ ...a, central: { offset: 1e6 } }]), 'before the directory'],
      [zip([{ ...a, central: { offset: 1 } }]), 'member "a.npy", 136 bytes from 1, to end by'],
      [zip([{ ...a, central: { signature: 1 } }]), 'the entry of member 1 of 1'],
      [zip([{ ...a, local: { signature: 1 } }]), 'the header of "a.npy" at 0'],
      [zip([a, { ...a, name: 'b', central: { offset: 10 } }]), 'where something else begins'],
      [zip([a, { ...a, name: 'b', both: { offset: 0 } }]), 'where something else begins'],
      [zip([{ ...a, both: { compressed: 1e6, size: 1e6 } }]), 'to end by'],
      [zip([{ ...a, both: { size: two.length + 1 } }]), 'stored in 136 bytes, to have 136 at most, got 137'],
      [zip([{ ...a, both: { size: two.length - 1 } }]), 'stored in 136 bytes'],
      [
        zip([
          { ...a, local: { extra: extra(7, 0, 0) } },
          { ...a, name: 'b', central: { offset: 181 } },
        ]),
        '"a.npy" from 55 to end by 181, got 191',
      ],
      [
        zip([{ ...a, both: { crc: 1 } }]),
        /array "a": expected "a.npy" with the sum 00000001 \(CRC-32\), got/,
      ],
      [zip([{ ...a, both: { flags: 1 } }]), 'a password'],
      [zip([{ ...a, both: { flags: 0x2000 } }]), 'a password'],
      [zip([{ ...a, both: { flags: 0x20 } }]), 'a patch'],
      [zip([{ ...a, both: { method: 12 } }]), 'got bzip2'],
      [zip([{ ...a, both: { method: 99 } }]), 'got AES'],
      [zip([{ ...a, both: { method: 77 } }]), 'got method 77'],
      [zip([{ ...a, local: { name: Buffer.from('b.npy') } }]), 'another name'],
      [zip([{ ...a, local: { name: Buffer.from('aa.npy') } }]), 'another name'],
      [zip([{ ...a, local: { method: 8 } }]), 'another method'],
      [zip([{ ...a, local: { flags: 1 } }]), 'another set of flags'],
      [zip([{ ...a, local: { flags: 8 } }]), 'another set of flags'],
      [zip([{ ...a, local: { crc: 1 } }]), 'another size or sum'],
      [zip([{ ...a, local: { size: 1 } }]), 'another size or sum'],
      [zip([{ ...a, local: { compressed: 0 } }]), 'another size or sum'],
      [
        zip([{ ...a, both: { flags: 8 }, local: { crc: 0, compressed: 0, size: 0 } }]),
        'a descriptor of "a.npy"',
      ],
      [
        zip([
          { ...a, both: { flags: 8 }, local: { crc: 0, compressed: 0, size: 0 }, after: new Uint8Array(24) },
        ]),
        'a descriptor of "a.npy"',
      ],
      [zip([{ ...a, both: { flags: 8 } }]), 'a descriptor of "a.npy"'],
      [zip([{ ...a, local: { extra: record([2, 5], [2, 400]) } }]), 'the extra fields of "a.npy"'],
      [zip([{ ...a, central: { extra: record([2, 5], [2, 400]) } }]), 'the extra fields of "a.npy"'],
      [
        zip([{ ...a, central: { size: 0xffffffff, extra: record([2, 1], [2, 4], [4, 0]) } }]),
        '8 bytes of zip64',
      ],
      [zip([{ ...a, central: { size: 0xffffffff, extra: extra(1, 2n ** 63n) } }]), 'to have 136 at most'],
      [
        zip([{ ...a, central: { offset: 0xffffffff, extra: extra(1, 2n ** 64n - 1n) } }]),
        'before the directory',
      ],
      [zip([{ ...a, central: { compressed: 0xffffffff, extra: extra(1, 2n ** 63n) } }]), 'to end by'],
      [zip([a, a]), 'each name once, got "a" again'],
      [zip([a, { name: 'a', data: two }]), 'each name once'],
      [zip([{ ...a, name: 'a\0b.npy' }]), 'a name in text at'],
      [zip([{ ...a, both: { flags: 0x800, name: Uint8Array.of(0xff, 0xfe) } }]), 'a name in UTF-8 at'],
      [
        zip([{ name: 'readme.txt', data: Buffer.from('words, and more of them') }]),
        'array "readme.txt": expected a .npy file',
      ],
      [zip([{ ...a, data: two.slice(0, 130) }]), 'array "a": expected 8 bytes after the header'],
      // Deflated: cut off, followed by others, other bytes, and more or less than was said.
      [zip([{ ...a, deflated: true, body: deflateRawSync(two).subarray(0, 20) }]), '"a.npy" to be deflated'],
      [zip([{ ...a, deflated: true, body: Buffer.alloc(40, 0xff) }]), '"a.npy" to be deflated'],
      [
        zip([{ ...a, deflated: true, body: deflateRawSync(two.slice(0, 130)) }]),
        '"a.npy" to have 136 bytes, got 130',
      ],
      [
        zip([{ ...a, deflated: true, body: deflateRawSync(Buffer.concat([two, two])) }]),
        '"a.npy" to have 136 bytes, got more',
      ],
      [zip([{ ...a, deflated: true, body: deflateRawSync(new Uint8Array(1e7)) }]), 'begins with'],
      [
        zip([{ ...a, deflated: true, both: { size: 2 ** 31 } }]),
        /deflated in \d+ bytes, to have \d+ at most/,
      ],
      [zip([{ ...a, deflated: true, both: { crc: 7 } }]), 'with the sum 00000007'],
      // Zip64 records.
      [zip([a], (...places) => ({ ...ends64(...places), size: 1 })), 'contradict each other'],
      [zip([a], (...places) => ends64(...places, { count: 2 ** 40 })), '1099511627776 members'],
      [zip([a], (...places) => ends64(...places, { count: 0 })), 'a directory of 0 members'],
      [zip([a], (...places) => ends64(...places, { size: 2n ** 63n })), 'the directory to end'],
      [zip([a], (...places) => ends64(...places, { at: 0 })), 'a zip64 record at 0'],
      [zip([a], (...places) => ends64(...places, { at: 2n ** 63n })), 'the zip64 record to end by'],
      [zip([a], (...places) => ends64(...places, { disks: 2 })), 'one disk'],
    ];
    for (const [bytes, message, code = 'AXPY_FORMAT'] of cases) {
      await fails(loadNpz(bytes), code, message);
      await fails(loadNpz(bytes), code, /^\[loadNpz\] .* \(the bytes given(: .*)?\)$/s);
    }
  });

  it('with something bad in it gives what is good, when asked for that alone', async () => {
    const bytes = zip([
      a,
      { name: 'secret.npy', data: two, both: { flags: 1 } },
      { name: 'readme', data: Buffer.from('words') },
    ]);
    expect(shown(await loadNpz(bytes, { only: ['a'] }))).toEqual(shown({ a: tensor([1, 2]) }));
    expect(Object.keys(await loadNpz(bytes, { only: /^a$/ }))).toEqual(['a']);
  });

  it('truncated anywhere is refused', async () => {
    for (const name of ['wide.npz', 'none.npz', 'pipe-deflated.npz']) {
      const whole = fixture(name);
      for (let length = 0; length < whole.length; length++) {
        await expect(loadNpz(whole.slice(0, length), { dtype: 'float64' })).rejects.toThrow(FormatError);
      }
    }
  });

  it('is no bomb: neither by what it says nor by what it holds', async () => {
    const say = (size: number) => {
      const head = encodeNpy(zeros([0]));
      const text = Buffer.from(head)
        .toString('latin1')
        .replace('(0,), }         ', `(${size},), }`.padEnd(16));
      return Buffer.from(text, 'latin1');
    };
    const body = deflateRawSync(Buffer.concat([say(1e8), new Uint8Array(1e6)]), { level: 9 });
    const claims = zip([{ name: 'a', data: two, deflated: true, body, both: { size: 4e8 + 128 } }]);
    await fails(loadNpz(claims), 'AXPY_FORMAT', /deflated in \d+ bytes, to have \d+ at most, got 400000128/);
    // What is said is right, and what comes is a hundred times as much: reading ends where it was said to.
    const more = deflateRawSync(Buffer.concat([two, new Uint8Array(3e8)]));
    const before = process.memoryUsage().arrayBuffers;
    let most = 0;
    const timer = setInterval(() => {
      most = Math.max(most, process.memoryUsage().arrayBuffers - before);
    }, 1);
    const start = performance.now();
    await fails(loadNpz(zip([{ ...a, deflated: true, body: more }])), 'AXPY_FORMAT', 'got more');
    clearInterval(timer);
    expect(performance.now() - start).toBeLessThan(1000);
    expect(most).toBeLessThan(1e8);
  });

  it('changed anywhere is read or refused', async () => {
    const hand = zip(
      [
        a,
        { name: 'b.npy', data: zeros4, deflated: true },
        {
          ...a,
          name: 'c.npy',
          both: { flags: 8 },
          after: record([4, 0x08074b50], [4, zlibCrc32(two)], [4, two.length], [4, two.length]),
        },
      ],
      ends64,
    );
    const names = ['wide.npz', 'none.npz', 'pipe-deflated.npz', 'pipe-stored.npz'];
    const originals = [...names.map(fixture), hand];
    const load = async (bytes: Uint8Array) => Object.values(await loadNpz(bytes, { dtype: 'float64' }));
    await fc.assert(fc.asyncProperty(mutation(originals), readsOrRefuses(load)), { numRuns: 2000 });
  });

  it('whose fields are changed, with all sums right, is read or refused', async () => {
    const value = fc.oneof(
      fc.nat(200),
      fc.constantFrom(0, 1, 8, 0xffff, 0x7fffffff, 0x80000000, 0xfffffffe, 0xffffffff),
    );
    const fields = fc.record(
      {
        signature: value,
        flags: fc.constantFrom(0, 1, 8, 0x800, 0x808),
        method: fc.constantFrom(0, 8, 9),
        compressed: value,
        size: value,
        disk: fc.constantFrom(0, 1, 0xffff),
        offset: value,
        extra: fc
          .array(fc.oneof(fc.nat(200).map(BigInt), fc.constantFrom(2n ** 63n, 2n ** 64n - 1n, 2n ** 32n)), {
            maxLength: 4,
          })
          .map((values) => extra(1, ...values)),
      },
      { requiredKeys: [] },
    );
    // A signature that is another one ends everything at once: rarely.
    const rare = fields.map(({ signature, ...rest }) => (signature === 1 ? { signature, ...rest } : rest));
    const some = fc.record(
      { both: rare, local: rare, central: rare, deflated: fc.boolean() },
      { requiredKeys: [] },
    );
    const end = fc.record(
      { count: value, total: value, size: value, offset: value, disk: value },
      { requiredKeys: [] },
    );
    const load = async (bytes: Uint8Array) => Object.values(await loadNpz(bytes));
    await fc.assert(
      fc.asyncProperty(some, some, fc.option(end, { nil: {}, freq: 4 }), (one, other, last) =>
        readsOrRefuses(load)(
          zip(
            [
              { ...a, ...one },
              { name: 'b.npy', data: zeros4, ...other },
            ],
            last,
          ),
        ),
      ),
      { numRuns: 2000 },
    );
  });
});

/** The zip64 records, and the one at the end that refers to them. */
function ends64(
  size: number,
  offset: number,
  members: number,
  other: { count?: number; size?: bigint; at?: number | bigint; disks?: number } = {},
): Partial<End> {
  const count = other.count ?? members;
  const at = other.at ?? offset + size;
  return {
    count: 0xffff,
    total: 0xffff,
    size: 0xffffffff,
    offset: 0xffffffff,
    before: Buffer.concat([
      record([4, 0x06064b50], [8, 44], [2, 45], [2, 45], [4, 0], [4, 0], [8, count], [8, count]),
      record([8, other.size ?? size], [8, offset], [4, 0x07064b50], [4, 0], [8, at], [4, other.disks ?? 1]),
    ]),
  };
}

describe('what is written', () => {
  it('is the same for the same tensors, and says so little of when and where', async () => {
    const tensors = { x: ones([3]), y: tensor([1], { dtype: 'int32' }) };
    const bytes = await encodeNpz(tensors);
    expect(await encodeNpz(tensors)).toEqual(bytes);
    expect(bytes.slice(10, 14)).toEqual(Uint8Array.of(0, 0, 0x21, 0));
    // Each array begins at once after its header, which tells all there is: no zip64 where none is needed.
    expect(Buffer.from(bytes).indexOf('\x93NUMPY', 0, 'latin1')).toBe(30 + 'x.npy'.length);
  });

  it('has the sums that zlib makes, with and without it', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 70 }), fc.nat(70), (bytes, at) => {
        const [head, tail] = [bytes.subarray(0, at), bytes.subarray(at)];
        for (const sum of [crc32, crcByTables]) expect(sum(tail, sum(head))).toBe(zlibCrc32(bytes));
      }),
    );
    expect(crcByTables(Buffer.from('123456789'))).toBe(0xcbf43926);
  });
});

const script = (name: string) => join(import.meta.dirname, 'numpy', name);

describe.skipIf(!hasNumpy)('NumPy itself (where python3-numpy is installed)', () => {
  it('writes what is read here', async () => {
    for (const seed of [1, 2]) {
      const folder = join(temporaryFolder(), 'made');
      runPython(script('make.py'), folder, `${seed}`);
      expect(await checkFolder(folder)).toBeGreaterThan(300);
    }
  });

  it('reads what is written here, and would have written the same .npy', async () => {
    const folder = temporaryFolder();
    const made: Record<string, Tensor> = {};
    const shapes = [[], [0], [1], [7], [2, 3], [4, 0, 2], [3, 1, 2, 1], [123456], Array(16).fill(1)];
    for (const dtype of ['float32', 'float64', 'int32'] as const) {
      for (const [i, shape] of shapes.entries()) {
        const x = zeros(shape, { dtype });
        const words = new Uint32Array(x.data.buffer, 0, x.data.byteLength / 4);
        for (let at = 0; at < words.length; at++) words[at] = Math.imul(at + i + 1, 2654435761);
        made[`${dtype} ${i}`] = x;
      }
    }
    // Headers of every length, as NumPy leaves room in them.
    for (let rank = 1; rank <= 16; rank++) {
      for (const last of [1, 10, 100])
        made[`rank ${rank} ${last}`] = zeros([...Array(rank - 1).fill(1), last]);
    }
    made['ä 日本/../x'] = ones([1]);
    made[''] = ones([2]);
    made['__proto__ \\ "'] = ones([2]);
    const names = Object.keys(made);
    for (const [i, name] of names.entries()) await saveNpy(join(folder, `${i}.npy`), made[name]);
    await saveNpz(join(folder, 'stored.npz'), made);
    await saveNpz(join(folder, 'deflated.npz'), made, { compressed: true });
    await saveNpz(join(folder, 'none.npz'), {});
    const found = JSON.parse(runPython(script('check.py'), folder));
    const said = (x: Tensor) => ({
      dtype: { float32: '<f4', float64: '<f8', int32: '<i4' }[x.dtype as 'float32'],
      shape: x.shape,
      bytes: hexOf(x),
      fortran: false,
    });
    for (const [i, name] of names.entries())
      expect(found[`${i}.npy`], name).toEqual({ ...said(made[name]), same: true });
    const arrays = Object.fromEntries(names.map((name) => [name, said(made[name])]));
    expect(found['stored.npz']).toEqual(arrays);
    expect(found['deflated.npz']).toEqual(arrays);
    expect(found['none.npz']).toEqual({});
  });
});

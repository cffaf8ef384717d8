/** Archives beyond what fields of 16 and 32 bits hold: large, and the same whatever the kernels. */
import { closeSync, ftruncateSync, openSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { crc32 as zlibCrc32 } from 'node:zlib';
import { expect, it } from 'vitest';
import { directoryOf, localHeader } from '../../lib/files/zip.ts';
import type { Entry } from '../../lib/files/zipFormat.ts';
import { encodeNpy, encodeNpz, loadNpz, ones, tensor } from '../../lib/index.ts';
import { fails, little, shown } from './numpy.ts';
import { hasNumpy, runPython } from './python.ts';
import { temporaryFolder } from './temporary.ts';

const two = encodeNpy(tensor([1, 2]));

it('has as many members as there are, beyond 65,535 too', async () => {
  const x = ones([]);
  const tensors = Object.fromEntries(Array.from({ length: 65535 }, (_, i) => [`${i}`, x]));
  const bytes = await encodeNpz(tensors);
  const signature = little(4, 0x06064b50);
  expect(Buffer.from(bytes.slice(-98)).indexOf(signature)).toBe(0);
  expect(shown(await loadNpz(bytes, { only: ['65534'] }))).toEqual(shown({ 65534: x }));
  const entry: Entry = { name: 'x', flags: 0, method: 0, crc: 0, compressed: 0, size: 0, offset: 0 };
  const fewer = Buffer.concat([...directoryOf(Array(65534).fill(entry), 0)] as Uint8Array<ArrayBuffer>[]);
  expect(fewer.subarray(-98).includes(signature)).toBe(false);
});

it('has zip64 where sizes and places want it, and is read by places then', async () => {
  // A file with two arrays, of which nothing but the headers and the smaller one lies on the disk.
  const path = join(temporaryFolder(), 'sparse.npz');
  const large: Entry = {
    name: 'large.npy',
    flags: 0,
    method: 0,
    crc: 1,
    compressed: 2 ** 32 + 5,
    size: 2 ** 32 + 5,
    offset: 0,
  };
  const start = localHeader(large);
  const small: Entry = {
    ...large,
    name: 'small.npy',
    crc: zlibCrc32(two),
    compressed: two.length,
    size: two.length,
    offset: start.length + large.size,
  };
  const begin = localHeader(small);
  // One that is small only while it is deflated.
  const deflated = { ...large, compressed: 5, method: 8 };
  expect(localHeader(deflated).length).toBe(start.length);
  expect([...directoryOf([deflated], 100)][0].length).toBe(46 + 9 + 4 + 24);
  expect([start.length, begin.length]).toEqual([30 + 9 + 20, 30 + 9]);
  const end = small.offset + begin.length + two.length;
  const file = openSync(path, 'w');
  ftruncateSync(file, small.offset);
  writeSync(file, start, 0, start.length, 0);
  writeSync(
    file,
    Buffer.concat([begin, two, ...([...directoryOf([large, small], end)] as Uint8Array<ArrayBuffer>[])]),
    0,
    undefined,
    small.offset,
  );
  closeSync(file);
  const before = process.memoryUsage().rss;
  expect(shown(await loadNpz(path, { only: ['small'] }))).toEqual(shown({ small: tensor([1, 2]) }));
  await fails(loadNpz(path), 'AXPY_FORMAT', 'array "large": expected a .npy file');
  expect(process.memoryUsage().rss - before).toBeLessThan(1e8);
  if (hasNumpy) {
    const script = 'import sys, numpy; print(numpy.load(sys.argv[1])["small"].tolist())';
    expect(runPython('-c', script, path).trim()).toBe('[1.0, 2.0]');
  }
});

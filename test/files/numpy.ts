/** What NumPy wrote, and what it says of it. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import { DataError, type Dtype, loadNpy, loadNpz, type Tensor } from '../../lib/index.ts';

export const fixtures = join(import.meta.dirname, 'numpy');
/** A file that make.py wrote. */
export const fixture = (name: string) => new Uint8Array(readFileSync(join(fixtures, name)));

interface Expected {
  readonly shape: number[];
  readonly natural: Dtype;
  readonly float32: string;
  readonly float64: string;
  readonly int32?: string;
}

export const hexOf = ({ data }: Tensor) =>
  Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString('hex');

export const shown = (tensors: Record<string, Tensor>) =>
  Object.entries(tensors).map(([name, x]) => [name, x.dtype, x.shape, hexOf(x)]);

/** A number in so many bytes, the least first. */
export function little(width: number, value: number | bigint): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt.asUintN(64, BigInt(value)));
  return bytes.subarray(0, width);
}

/** Holds the files of a folder that make.py filled against what it said of them. */
export async function checkFolder(folder: string): Promise<number> {
  const all = JSON.parse(readFileSync(join(folder, 'expected.json'), 'utf8')) as Record<
    string,
    Record<string, Expected> | string
  >;
  let count = 0;
  for (const [file, said] of Object.entries(all)) {
    const arrays = (typeof said === 'string' ? all[said] : said) as Record<string, Expected>;
    const path = join(folder, file);
    for (const source of [path, new Uint8Array(readFileSync(path))]) {
      for (const wanted of [undefined, 'float32', 'float64', 'int32'] as const) {
        const options = wanted && { dtype: wanted };
        for (const [name, { shape, natural, ...bytes }] of Object.entries(arrays)) {
          const load = async () =>
            file.endsWith('.npy')
              ? loadNpy(source, options)
              : (await loadNpz(source, { ...options, only: [name] }))[name];
          const expected = bytes[wanted ?? natural];
          const where = `${file} ${name} ${wanted}`;
          if (expected !== undefined) {
            const x = await load();
            expect([x.dtype, x.shape, hexOf(x)], where).toEqual([wanted ?? natural, shape, expected]);
            count++;
          } else if (wanted !== 'int32' || natural === 'int32') {
            await expect(load(), where).rejects.toThrow(DataError);
          }
        }
        if (file.endsWith('.npz') && wanted === 'float64') {
          expect(Object.keys(await loadNpz(source, { dtype: wanted }))).toEqual(Object.keys(arrays));
        }
      }
    }
  }
  return count;
}

export const fails = (promise: Promise<unknown>, code: string, message: string | RegExp) =>
  expect(promise).rejects.toMatchObject({
    code,
    message: typeof message === 'string' ? expect.stringContaining(message) : expect.stringMatching(message),
  });

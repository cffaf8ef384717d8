/** What takes long lets the event loop turn. */
import { join } from 'node:path';
import { expect, it, vi } from 'vitest';
import { writeCheckpoint } from '../../lib/files/checkpoint.ts';
import { encodeLater } from '../../lib/files/encode.ts';
import {
  encodeCheckpoint,
  encodeNpz,
  Layer,
  loadCheckpoint,
  loadNpz,
  Parameter,
  type Tensor,
  zeros,
} from '../../lib/index.ts';
import { temporaryFolder } from './temporary.ts';

class Large extends Layer {
  readonly weights: Parameter[];

  constructor(...sizes: number[]) {
    super();
    this.weights = sizes.map((size) => new Parameter([size]));
  }

  forward(x: Tensor): Tensor {
    return x;
  }
}

/** How often others had their turn while it ran. */
async function turnsOf(fn: () => Promise<unknown>): Promise<number> {
  let count = 0;
  let isOver = false;
  const next = () => {
    count++;
    if (!isOver) setImmediate(next);
  };
  setImmediate(next);
  await fn();
  isOver = true;
  return count;
}

const million = 2 ** 20;
/** 32 MB. */
const large = 8 * million;

it.each<[string, number[]]>([
  ['one large tensor', [large]],
  ['many small ones', Array(256).fill(large / 256)],
])('as a checkpoint of %s is encoded, and read', async (_, sizes) => {
  const bytes = encodeCheckpoint({ model: new Large(...sizes) });
  let checkpoint = await loadCheckpoint(bytes);
  expect(
    await turnsOf(async () => {
      checkpoint = await loadCheckpoint(bytes);
    }),
  ).toBeGreaterThanOrEqual(7);
  expect(await turnsOf(() => encodeLater('test', checkpoint))).toBeGreaterThanOrEqual(7);
});

it('as an archive of a large array is written, and read', async () => {
  const x = zeros([large]);
  let bytes: Uint8Array = new Uint8Array();
  expect(
    await turnsOf(async () => {
      bytes = await encodeNpz({ x });
    }),
  ).toBeGreaterThanOrEqual(7);
  expect(await turnsOf(() => loadNpz(bytes))).toBeGreaterThanOrEqual(7);
});

it('two files of one checkpoint are encoded once', async () => {
  const folder = temporaryFolder();
  const checkpoint = await loadCheckpoint(encodeCheckpoint({ model: new Large(4) }));
  const passes = vi.spyOn(checkpoint.tensors as Map<string, Tensor>, Symbol.iterator);
  const paths = ['a', 'b', 'c'].map((name) => join(folder, name));
  await writeCheckpoint('test', paths.slice(0, 1), checkpoint);
  const once = passes.mock.calls.length;
  await writeCheckpoint('test', paths.slice(1), checkpoint);
  expect(once).toBeGreaterThan(0);
  expect(passes.mock.calls.length).toBe(2 * once);
  for (const path of paths) expect((await loadCheckpoint(path)).weights).toEqual(checkpoint.weights);
});

/** Batch normalisation by the batches of all ranks is that of one process with the whole batch. */
import { describe, expect, test } from 'vitest';
import { outputOf, usual } from './job.ts';

interface Line {
  off: number;
  same: boolean;
}

const child = 'batchNorm.child.ts';

describe.each(usual)('%s', (launcher) => {
  test.each([
    [2, 'SGD', 'eager', 0],
    [2, 'momentum', 'compiled', 0],
    [2, 'AdamW', 'compiled', 1],
    [4, 'AdamW', 'compiled', 0],
    [4, 'momentum', 'eager', 1],
    [4, 'SGD', 'compiled', 2],
    // Of the last batch, of four examples, one has none by itself.
    [5, 'momentum', 'compiled', 0],
  ])('%i ranks, %s, %s, %i of them without rows: as PyTorch trains in one', async (ranks, ...args) => {
    const [line] = await outputOf<Line>(launcher, ranks, child, ['reference', ...args.map(String)]);
    expect(line.off).toBeLessThan(1e-13);
    expect(line.same).toBe(true);
  });

  test.each([2, 4])('%i ranks: results and gradients for any number of rows', async (ranks) => {
    const [line] = await outputOf<Record<string, number>>(launcher, ranks, child, ['whole']);
    expect(Object.keys(line)).toHaveLength(12);
    for (const [name, off] of Object.entries(line)) {
      expect(off, name).toBeLessThan(name.startsWith('float32') ? 3e-6 : 1e-14);
    }
  });

  test.each([2, 4])('%i ranks: second derivatives', async (ranks) => {
    const [line] = await outputOf<Record<string, number>>(launcher, ranks, child, ['penalty']);
    expect(line.x).toBeLessThan(1e-13);
    expect(line.weight).toBeLessThan(1e-13);
  });

  test.each([
    [2, 'compiled'],
    [4, 'eager'],
    [4, 'compiled'],
  ])('%i ranks, %s: a network of convolutions', async (ranks, way) => {
    const [line] = await outputOf<Line>(launcher, ranks, child, ['network', way]);
    expect(line.off).toBeLessThan(2e-5);
    expect(line.same).toBe(true);
  });
});

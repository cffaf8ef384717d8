/** Trainings of several ranks are those of one process with the whole batch, as PyTorch has computed it (reference.py). */
import { describe, expect, test } from 'vitest';
import { launchers, outputOf } from './job.ts';

interface Line {
  off: number;
  losses: number;
  same: boolean;
}

const optimizers = ['SGD', 'momentum', 'AdamW'];

describe.each(launchers)('%s', (launcher) => {
  // The last batch is of four examples: of five ranks one has none.
  test.each([
    ...optimizers.map((name) => [2, name, 'compiled'] as const),
    [2, 'momentum', 'eager'],
    [4, 'momentum', 'compiled'],
    [5, 'AdamW', 'compiled'],
    [5, 'momentum', 'eager'],
  ] as const)(
    '%i ranks, %s, %s: losses and parameters are those of one process',
    async (ranks, name, way) => {
      const [line] = await outputOf<Line>(launcher, ranks, 'fit.child.ts', ['plain', name, way]);
      expect(line.off).toBeLessThan(1e-12);
      expect(line.losses).toBeLessThan(1e-12);
      expect(line.same).toBe(true);
    },
  );

  test('buckets of every size give the same', async () => {
    for (const bytes of ['1', '100', '400', '1e6']) {
      const [line] = await outputOf<Line>(launcher, 2, 'fit.child.ts', [
        'plain',
        'momentum',
        'compiled',
        bytes,
      ]);
      expect(line.off).toBeLessThan(1e-12);
    }
  });

  // Of five ranks one has no part of the last batch, and takes part in what the others exchange.
  test.each([2, 5])('%i ranks normalise by the whole batch where they are asked to', async (ranks) => {
    for (const way of ['compiled', 'eager']) {
      const [line] = await outputOf<Line>(launcher, ranks, 'fit.child.ts', ['batchNorm', 'momentum', way]);
      expect(line.off).toBeLessThan(1e-12);
      expect(line.losses).toBeLessThan(1e-12);
      expect(line.same).toBe(true);
    }
  });

  test('batch normalisation is of the part of each rank', async () => {
    const [line] = await outputOf<Line>(launcher, 2, 'fit.child.ts', ['localBatchNorm2', 'momentum']);
    expect(line.off).toBeLessThan(1e-12);
    expect(line.losses).toBeLessThan(1e-12);
  });
});

test('without a launcher it is the training of one process', async () => {
  const [line] = await outputOf<Line>(null, 1, 'fit.child.ts', ['plain', 'AdamW']);
  expect(line.off).toBeLessThan(1e-12);
});

/** Batches that rank 0 alone reads: trainings by them are those of one process, and what ends a pass there ends it everywhere. */
import { describe, expect, test } from 'vitest';
import { job, launchers, outputOf } from './job.ts';

interface Line {
  off: number;
  history: number;
  same: boolean;
}

type Values = readonly [dtype: string, ...numbers: number[]] | null;

const trainings = ['plain', 'stream', 'inputs', 'weighed', 'mapped', 'evaluate', 'resumed'];

/** What each rank said of itself. */
async function said(launcher: (typeof launchers)[number], ranks: number, what: string): Promise<string[]> {
  const { stdout } = await job(launcher, ranks, 'scatter.child.ts', [what]);
  const lines = stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as { rank: number; said: string });
  expect(lines.map(({ rank }) => rank).sort()).toEqual(Array.from({ length: ranks }, (_, i) => i));
  return lines.sort((a, b) => a.rank - b.rank).map((line) => line.said);
}

describe.each(launchers)('%s', (launcher) => {
  test.each(trainings.flatMap((what) => [1, 2, 3].map((ranks) => [what, ranks] as const)))(
    '%s, %i ranks: what comes out is what one process has with the same batches',
    async (what, ranks) => {
      const [line] = await outputOf<Line>(launcher, ranks, 'scatter.child.ts', [what]);
      expect(line.off).toBeLessThan(1e-12);
      expect(line.history).toBeLessThan(1e-12);
      expect(line.same).toBe(true);
    },
  );

  test('who goes over them by hand has tensors, each pass anew, and goes on after an error', async () => {
    const [ranks] = await outputOf<{ seen: Values[][]; error: string }[]>(launcher, 2, 'scatter.child.ts', [
      'hand',
    ]);
    const passes = [
      [
        [['float32', 2, 2, 1, 2, 3, 4], ['int32', 2, 1, -2], null],
        [
          ['float32', 1, 2, 9, 10],
          ['int32', 1, 5],
          ['float32', 1, 0.5],
        ],
        [['float64', 1, 1, 1 / 3], ['float32', 1, 1, 1], null],
      ],
      [
        [['float32', 2, 2, 5, 6, 7, 8], ['int32', 2, 3, 2 ** 31 - 1], null],
        [
          ['float32', 0, 2],
          ['int32', 0],
          ['float32', 0],
        ],
        [['float64', 1, 1, 2 / 3], ['float32', 1, 1, 2], null],
      ],
    ];
    expect(ranks.map(({ seen }) => seen)).toEqual(passes.map((pass) => [...pass, ...pass]));
    expect(ranks[0].error).toBe('RangeError: the cursor is gone');
    expect(ranks[1].error).toMatch(
      /^DistributedError: \[scatter\] expected batches from rank 0 \(.+\), got an error of its source: the cursor is gone$/,
    );
  });

  test.each([
    ['throws', 'RangeError', 'the cursor is gone'],
    [
      'ragged',
      'ShapeError',
      'expected x of batch 2 of data and y of batch 2 of data to hold as many examples',
    ],
    ['empty', 'DataError', 'expected at least one example in x of batch 2 of data, got none'],
    ['once', 'DataError', 'expected data to give its batches again for pass 2, got none'],
    ['array', 'DataError', 'expected batch 2 of data to be { x, y }'],
  ])('%s: an error of the source ends fit on all ranks', async (what, name, message) => {
    const [first, ...others] = await said(launcher, 3, what);
    expect(first).toContain(`${name}: ${message}`);
    for (const other of others) {
      expect(other).toMatch(/^DistributedError/);
      expect(other).toContain(message);
    }
  });

  test('a stop closes the source, and the next training reads it anew', async () => {
    const [ranks] = await outputOf<{ afterStop: object; state: object; epochs: number[] }[]>(
      launcher,
      3,
      'scatter.child.ts',
      ['stopped'],
    );
    // Ranks hear of it by the step that follows.
    expect(ranks[0].afterStop).toEqual({ opened: 1, given: 3, closed: 1 });
    expect(ranks[0].state).toEqual({ opened: 3, given: 15, closed: 3 });
    for (const { epochs } of ranks) expect(epochs).toEqual([1, 2]);
    for (const { state } of ranks.slice(1)) expect(state).toEqual({ opened: 0, given: 0, closed: 0 });
  });

  test('an abort on another rank closes it as well', async () => {
    const [ranks] = await outputOf<{ said: string; closed: number; given: number }[]>(
      launcher,
      3,
      'scatter.child.ts',
      ['aborted'],
    );
    for (const { said } of ranks) expect(said).toMatch(/^AbortError/);
    expect(ranks[0].closed).toBe(1);
    expect(ranks[0].given).toBeLessThan(4);
  });

  test('the kernel takes arrays of all types from any rank, and refuses what does not fit', async () => {
    const [ranks] = await outputOf<{ seen: number[][]; wrong: string[] }[]>(launcher, 3, 'scatter.child.ts', [
      'kernel',
    ]);
    // 3, 0 and 5 elements of those that rank 2 has.
    const whole = Array.from({ length: 8 }, (_, i) => 2 ** 30 * (i - 3));
    const parts = [whole.slice(0, 3), [], whole.slice(3)];
    ranks.forEach(({ seen, wrong }, rank) => {
      expect(seen).toEqual([parts[rank], parts[rank], parts[rank].map((value) => value | 0)]);
      expect(wrong).toEqual([
        'KernelError: [scatter] expected part to have length 2, got 1',
        'KernelError: [scatter] expected all to have length 6, got 2',
        'KernelError: [scatter] expected counts to have length 3, got 2',
        'KernelError: [scatter] expected counts[0] to be at least 0, got -1',
        'KernelError: [scatter] expected counts to be together at most 2147483647, got 6442450941',
        'KernelError: [scatter] expected root to be below 3, got 3',
      ]);
    });
  });

  test('what cannot be scattered, and a training that knows of no world, are refused', async () => {
    const [first, ...others] = await said(launcher, 2, 'nothing');
    expect(first).toContain('ArgumentError: [scatter] expected an iterable of { x, y } batches on rank 0');
    expect(others).toEqual(['none']);
    const [ranks] = await outputOf<string[]>(launcher, 2, 'scatter.child.ts', ['worldless']);
    for (const own of ranks) {
      expect(own).toContain('ArgumentError: expected the world beside data that its scatter returned');
    }
  });
});

test('without a launcher all of each batch is here', async () => {
  for (const what of ['plain', 'inputs']) {
    const [line] = await outputOf<Line>(null, 1, 'scatter.child.ts', [what]);
    expect(line).toEqual({ off: 0, history: 0, same: true });
  }
});

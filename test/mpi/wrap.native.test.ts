/** Loops of one's own, whose optimizer's steps are those of all ranks. */
import { describe, expect, test } from 'vitest';
import { outputOf, usual } from './job.ts';

interface Line {
  apart: number;
  same: boolean;
  count: number;
  exchanges: { count: number; bytes: number; time: number; waited: number };
  kernels: string[];
  text: string;
}

const scenes = ['plain', 'adam', 'lion', 'clip', 'clipValue', 'accumulate', 'frozen', 'groups', 'fit'];

describe.each(usual)('%s', (launcher) => {
  test.each(scenes)(
    '%s: steps, eager and compiled, are those of one process with all examples',
    async (scene) => {
      // A bucket for about every two parameters.
      const [{ apart, same, count }] = await outputOf<Line>(launcher, 2, 'wrap.child.ts', [scene, '300']);
      expect(apart).toBeLessThan(1e-12);
      expect([same, count > 100]).toEqual([true, true]);
    },
  );

  test('a profile tells what is exchanged and what of it was waited for; exchanges begin within backward', async () => {
    const [{ exchanges, kernels, text }] = await outputOf<Line>(launcher, 2, 'wrap.child.ts', [
      'profile',
      '300',
    ]);
    // 8·4 + 8, 8·8 + 8 and 8·3 + 3 numbers of 8 bytes, and what ranks tell each other before.
    expect(exchanges.bytes).toBeGreaterThanOrEqual(8 * (40 + 72 + 27));
    expect(exchanges.time).toBeGreaterThanOrEqual(exchanges.waited);
    const first = kernels.indexOf('allReduceBegin');
    expect(
      kernels.slice(first).filter((kernel) => kernel === 'gemm' || kernel === 'fused').length,
    ).toBeGreaterThan(1);
    expect(kernels.indexOf('allReduceEnd')).toBeGreaterThan(kernels.lastIndexOf('allReduceBegin'));
    expect(text).toMatch(/exchanges: \d+ of 0\.00 MiB, .* under way/);
  });
});

test('without a launcher they are steps of one process', async () => {
  const [{ apart }] = await outputOf<Line>(null, 1, 'wrap.child.ts', ['clip']);
  expect(apart).toBeLessThan(1e-12);
});

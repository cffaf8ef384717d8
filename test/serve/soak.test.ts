/** What `npm run bench:soak` does for minutes, for seconds: no answer of two versions, of others, or of an old one. */
import { execFileSync } from 'node:child_process';
import { expect, test } from 'vitest';
import { bundle } from '../bundle.ts';

test('twenty thousand predictions, beside trainings, while numbers change fifty times', () => {
  const args = ['--requests', '20000', '--swaps', '50', '--http', '2000', '--json'];
  const text = execFileSync(process.execPath, [bundle('benchmark/soak.ts'), ...args], {
    encoding: 'utf8',
    timeout: 110_000,
  });
  const { outcomes, steps } = JSON.parse(text) as {
    outcomes: { requests: number; swaps: number; seen: number }[];
    steps: number;
  };
  expect(outcomes.map(({ requests }) => requests)).toEqual([6000, 6000, 6000, 2000]);
  expect(steps).toBeGreaterThan(0);
  const [model, file, thread, http] = outcomes;
  for (const [{ swaps, seen }, planned] of [
    [model, 15],
    [file, 15],
    [http, 5],
  ] as const) {
    expect(swaps).toBe(planned);
    expect(seen).toBeGreaterThan(planned / 2);
  }
  // Of each four that are published together those that are overtaken need not be seen.
  expect(thread.swaps).toBeGreaterThanOrEqual(15);
  expect(thread.seen).toBeGreaterThan(7);
}, 120_000);

import { expect, test } from 'vitest';
import { run } from '../../examples/notes/03-logistic.ts';
import { collect } from '../../examples/notes/support/index.ts';
import { solve } from '../../examples/notes/support/solve.ts';

test('03: the neuron trained by log loss has the weights of Newton’s method, to 1e-4', async () => {
  const page = await collect(run);
  expect(page.value('difference')).toBeLessThan(1e-4);
  expect(page.value('newtonSteps')).toBeLessThan(10);
  expect(page.value('correct')).toBeGreaterThan(70);
});

test('solve exchanges rows where it must', () => {
  // x + 2z = 7, 2y = 4, 3x = 3, with zeros on the diagonal
  expect(
    solve(
      [
        [0, 2, 0],
        [3, 0, 0],
        [1, 0, 2],
      ],
      [4, 3, 7],
    ),
  ).toEqual([1, 2, 3]);
});

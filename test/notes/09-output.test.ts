/** Example 09: ReLU at the output of a regression on a target with negative values. */
import { expect, test } from 'vitest';
import { run } from '../../examples/notes/09-output.ts';
import { collect } from '../../examples/notes/support/index.ts';

test('09: with ReLU at its output a network never goes below zero, and pays for it', async () => {
  const page = await collect(run);
  // The target has negative values, and the network without activation finds them.
  expect(page.value('negative')).toBeGreaterThan(40);
  expect(page.value('lowest-none')).toBeLessThan(-50_000);
  expect(page.value('lowest-relu')).toBe(0);
  expect(page.value('error-none')).toBeLessThan(0.9 * page.value('error-relu'));
  // ReLU has not simply died: it does predict something.
  expect(page.value('zero')).toBeLessThan(90);
});

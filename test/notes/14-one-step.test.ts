/** Example 14: one SGD step equals the hand computation exactly. */
import { expect, test } from 'vitest';
import { run } from '../../examples/notes/14-one-step.ts';
import { collect } from '../../examples/notes/support/index.ts';

test('14: equations (5) and (6), to the last bit', async () => {
  const page = await collect(run);
  expect(['w1', 'w2', 'b'].map((key) => page.value(key))).toEqual([1.25, -0.75, 0.125]);
  expect(page.value('loss')).toBeCloseTo(Math.log(2), 14);
  expect(page.value('better')).toBeLessThan(page.value('loss'));
  expect(page.value('parameters')).toBe(26);
  expect(page.value('quarter')).toBe(0);
  // Two roundings instead of one: a unit in the last place of numbers below 8.
  expect(page.value('tenth')).toBeLessThanOrEqual(2 ** -50);
  expect(page.value('small-step') / page.value('slope')).toBeCloseTo(1, 1);
});

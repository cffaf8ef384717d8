/** Example 12: zeros say 0.5 whatever x is; equal weights stay equal; N(0, 0.1) breaks the symmetry. */
import { expect, test } from 'vitest';
import { run } from '../../examples/notes/12-symmetry.ts';
import { collect } from '../../examples/notes/support/index.ts';

test('12: three starts, before and after 100 steps', async () => {
  const page = await collect(run);
  expect(page.value('from-half-before')).toBe(0);
  expect(page.value('from-half-after')).toBeLessThan(1e-12);
  expect(page.value('equal-before')).toBe(0);
  expect(page.value('equal-after')).toBeLessThan(1e-12);
  expect(page.value('random-after')).toBeGreaterThan(0.5);
  // Equal weights do learn, as one neuron; different ones learn more.
  expect(page.value('equal-loss')).toBeLessThan(0.2);
  expect(page.value('random-loss')).toBeLessThan(0.5 * page.value('equal-loss'));
});

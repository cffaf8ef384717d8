/** Example 10: binaryCrossEntropy equals the log likelihood; the form on logits stays finite at z = ±1000. */
import { expect, test } from 'vitest';
import { run } from '../../examples/notes/10-log-likelihood.ts';
import { collect } from '../../examples/notes/support/index.ts';

test('10: the log likelihood, and the loss at z = ±1000', async () => {
  const page = await collect(run);
  const byHand = page.value('by-hand');
  expect(Math.abs(page.value('library') - byHand) / Math.abs(byHand)).toBeLessThan(1e-12);
  expect(page.value('opposite')).toBeLessThan(1e-12);
  expect(page.value('after')).toBeGreaterThan(page.value('before') / 4);
  expect(page.value('at-plus')).toBe(1000);
  expect(page.value('at-minus')).toBe(1000);
  expect(page.value('right-plus')).toBe(0);
  expect(page.value('right-minus')).toBe(0);
  for (const row of page.rows('wrong')) {
    expect(row['∂L/∂z by z']).toBeCloseTo(1 / (1 + Math.exp(-Number(row.z))) - Number(row.y), 12);
  }
});

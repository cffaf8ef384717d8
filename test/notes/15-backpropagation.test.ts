/** Example 15: all six gradients by hand equal autograd and central differences to 1e-9. */
import { expect, test } from 'vitest';
import { run } from '../../examples/notes/15-backpropagation.ts';
import { collect } from '../../examples/notes/support/index.ts';

test('the six gradients by hand equal autograd and central differences to 1e-9', async () => {
  const page = await collect(run);
  expect(page.rows('gradients')).toHaveLength(6);
  for (const row of page.rows('gradients')) {
    expect(row['by hand − autograd'], String(row['gradient of'])).toBe('below 1e-9');
    expect(row['by hand − differences'], String(row['gradient of'])).toBe('below 1e-9');
    // None of them agrees by being zero.
    expect(Number(row['its largest element'])).toBeGreaterThan(1e-4);
  }
  expect(page.value('differences')).toBeLessThan(1e-9);
});

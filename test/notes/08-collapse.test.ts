/** Example 08: layers without activation equal one matrix to 1e-12, and train to the least-squares solution. */
import { expect, test } from 'vitest';
import { run } from '../../examples/notes/08-collapse.ts';
import { collect } from '../../examples/notes/support/index.ts';

test('08: layers without activation are one matrix, and learn what least squares finds', async () => {
  const page = await collect(run);
  expect(page.value('difference')).toBeLessThan(1e-12);
  expect(page.value('apart')).toBeLessThan(1e-9);
  // The houses tell something: no coefficient agrees by being zero.
  for (const row of page.rows('coefficients')) expect(Number(row['least squares'])).toBeGreaterThan(0.1);
  // What the bend is good for.
  expect(page.value('bent-error')).toBeLessThan(0.9 * page.value('linear-error'));
});

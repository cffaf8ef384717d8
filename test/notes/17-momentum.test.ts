/** Example 17: momentum is the notes' recurrence, and takes fewer steps than plain descent in a valley. */
import { expect, test } from 'vitest';
import { run } from '../../examples/notes/17-momentum.ts';
import { collect } from '../../examples/notes/support/index.ts';

test('the trajectory is that of the recurrence, and reaches a given loss in fewer steps', async () => {
  const page = await collect(run);
  expect(page.value('exact')).toBe(0);
  expect(page.value('difference')).toBeLessThan(1e-13);

  expect(page.value('condition')).toBeGreaterThan(50);
  for (const row of page.rows('steps')) {
    const [plain, momentum] = [Number(row['plain, steps']), Number(row['momentum, steps'])];
    expect(momentum).toBeGreaterThan(0);
    expect(plain).toBeGreaterThan(2 * momentum);
  }
});

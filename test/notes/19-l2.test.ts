/** Example 19: the update with L2 is the notes' to the last bit; a larger λ gives smaller weights and a smaller gap. */
import { expect, test } from 'vitest';
import { run } from '../../examples/notes/19-l2.ts';
import { collect } from '../../examples/notes/support/index.ts';

test('the update equals the equation, and a larger λ gives smaller weights and a smaller gap', async () => {
  const page = await collect(run);
  expect(page.value('exact')).toBe(0);
  expect(page.value('difference')).toBeLessThan(1e-15);

  const rows = page.rows('lambdas');
  expect(rows).toHaveLength(6);
  for (let i = 1; i < rows.length; i++) {
    for (const column of ['‖W‖', 'gap of the loss']) {
      expect(Number(rows[i][column]), `${column} at λ = ${rows[i].λ}`).toBeLessThan(
        Number(rows[i - 1][column]),
      );
    }
  }
  const gap = rows.map((row) => Number(row['gap, points']));
  expect(gap[5]).toBeLessThan(gap[0] - 8);
  expect(Number(rows[3]['loss, new'])).toBeLessThan(0.85 * Number(rows[0]['loss, new']));
});

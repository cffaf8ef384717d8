/** Example 11: a 64×64×3 image is 12,288 numbers; the network n-3-2-1 has 3n + 14 = 36,878 parameters. */
import { expect, test } from 'vitest';
import { run } from '../../examples/notes/11-parameters.ts';
import { collect } from '../../examples/notes/support/index.ts';

test('11: 12,288 inputs and 36,878 parameters', async () => {
  const page = await collect(run);
  expect(page.value('n')).toBe(12_288);
  expect(page.value('element')).toBe(51_701);
  expect(page.value('counted')).toBe(36_878);
  expect(page.value('formula')).toBe(36_878);
  const summary = page.items.get('summary');
  expect(summary?.kind === 'text' && summary.text).toMatch(/^total +36,878$/m);
  expect(page.rows('sizes').map((row) => row.shape)).toEqual([
    '[3, 12288]',
    '[3]',
    '[2, 3]',
    '[2]',
    '[1, 2]',
    '[1]',
  ]);
  for (const row of page.rows('images')) expect(row.counted).toBe(row['3n + 14']);
});

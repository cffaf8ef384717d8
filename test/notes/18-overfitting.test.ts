/** Example 18: a network that learned few images by heart, and three remedies that narrow its gap. */
import { expect, test } from 'vitest';
import { run } from '../../examples/notes/18-overfitting.ts';
import { collect } from '../../examples/notes/support/index.ts';

test('the network overfits, and each of the three remedies has a smaller gap', async () => {
  const page = await collect(run);
  const rows = page.rows('gaps');
  expect(rows.map((row) => row[''])).toEqual([
    'learned by heart',
    'more data',
    'regularization',
    'a shallower model',
  ]);
  const [before, ...remedies] = rows.map((row) => ({
    learned: Number.parseFloat(String(row['right, learned'])),
    unseen: Number.parseFloat(String(row['right, new'])),
    gap: Number(row['gap, points']),
    lossGap: Number(row['gap of the loss']),
  }));
  expect(before.learned).toBeGreaterThanOrEqual(96);
  expect(before.unseen).toBeLessThan(68);
  for (const { gap, lossGap } of remedies) {
    expect(gap).toBeLessThan(before.gap - 2);
    expect(lossGap).toBeLessThan(0.6 * before.lossGap);
  }
  const [moreData, , shallower] = remedies;
  expect(moreData.unseen).toBeGreaterThan(before.unseen + 3);
  expect(shallower.unseen).toBeGreaterThan(before.unseen + 2);
}, 120_000);

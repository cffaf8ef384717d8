/** Example 20: weights for each pixel know the ball only where they saw it; a matrix that slides knows it everywhere. */
import { expect, test } from 'vitest';
import { run } from '../../examples/notes/20-sharing.ts';
import { collect } from '../../examples/notes/support/index.ts';

test('dense is near chance in other corners, convolution near its training accuracy and equal to the double sum', async () => {
  const page = await collect(run);
  const percent = (cell: string | number) => Number.parseFloat(String(cell));
  const [logistic, dense, sliding] = page.rows('right');
  const others = ['top right', 'bottom left', 'bottom right'];
  for (const row of [logistic, dense]) {
    expect(percent(row['in training'])).toBeGreaterThan(95);
    expect(percent(row['top left'])).toBeGreaterThan(80);
    for (const corner of others) {
      expect(percent(row[corner]), `${row['']}, ${corner}`).toBeGreaterThan(40);
      expect(percent(row[corner]), `${row['']}, ${corner}`).toBeLessThan(60);
    }
  }
  expect(percent(sliding['in training'])).toBeGreaterThan(97);
  for (const corner of others) {
    expect(percent(sliding[corner]), corner).toBeGreaterThan(percent(sliding['in training']) - 3);
  }
  expect(sliding.parameters).toBe(82);
  expect(page.value('difference')).toBeLessThan(1e-12);
}, 120_000);

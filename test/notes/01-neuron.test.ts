import { expect, test } from 'vitest';
import { run } from '../../examples/notes/01-neuron.ts';
import { collect } from '../../examples/notes/support/index.ts';

test('01: one neuron prices held-out houses no worse than the straight line, and none below zero', async () => {
  const page = await collect(run);
  for (const key of ['errors', 'smallErrors']) {
    const [line, neuron] = page.rows(key).map((row) => Number(row.dollars));
    expect(neuron).toBeLessThanOrEqual(1.001 * line);
  }
  expect(page.value('lowest')).toBe(0);
  expect(page.value('lowestOfLine')).toBeLessThan(-10_000);
  // The kink of the picture lies within it.
  expect(page.value('kink')).toBeGreaterThan(50);
  expect(page.value('kink')).toBeLessThan(500);
});

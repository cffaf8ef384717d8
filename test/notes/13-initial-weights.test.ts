/** Example 13: the spread of activations through 20 layers for four ways to draw the weights. */
import { expect, test } from 'vitest';
import { run } from '../../examples/notes/13-initial-weights.ts';
import { collect } from '../../examples/notes/support/index.ts';

test('13: Xavier and He keep the spread through twenty layers, 0.01 and 1.0 do not', async () => {
  const page = await collect(run);
  expect(page.value('drawn') / page.value('formula')).toBeCloseTo(1, 1);
  expect(page.value('out') / page.value('in')).toBeCloseTo(1, 1);
  expect(page.value('small-last')).toBeLessThan(1e-12);
  expect(page.value('saturated')).toBeGreaterThan(70);
  expect(page.value('explosion')).toBeGreaterThan(1e6);
  expect(page.value('xavier-last')).toBeGreaterThan(0.1);
  expect(page.value('xavier-evenness')).toBeLessThan(2);
  expect(page.value('he-last') / page.value('he-first')).toBeGreaterThan(0.7);
  expect(page.value('he-last') / page.value('he-first')).toBeLessThan(1.4);
  expect(page.value('he-evenness')).toBeLessThan(2);
});

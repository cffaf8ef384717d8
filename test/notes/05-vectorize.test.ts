import { expect, test } from 'vitest';
import { run } from '../../examples/notes/05-vectorize.ts';
import { collect } from '../../examples/notes/support/index.ts';

test('05: neurons by a loop and by W x + b agree, and the latter is faster', async () => {
  const page = await collect(run);
  expect(page.value('difference')).toBeLessThan(1e-14);
  // Measured: 12 times and more.
  expect(page.value('speedup')).toBeGreaterThan(2);
});

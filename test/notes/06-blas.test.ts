import { backendInfo } from 'axpy';
import { expect, test } from 'vitest';
import { run } from '../../examples/notes/06-blas.ts';
import { collect } from '../../examples/notes/support/index.ts';

test('06: loops and library train a layer alike, and the library faster', async () => {
  const page = await collect(run);
  expect(page.value('disagreement')).toBeLessThan(1e-5);
  // At 1,024 inputs; measured: above 50 times with BLAS, 10 on the fallback. Other work on the machine must not fail it.
  const least = backendInfo().name === 'native' ? 15 : 3;
  expect(page.value('layerSpeedup')).toBeGreaterThan(least);
  expect(page.value('stepSpeedup')).toBeGreaterThan(least);
});

import { expect, test } from 'vitest';
import { run } from '../../examples/notes/07-batch.ts';
import { collect } from '../../examples/notes/support/index.ts';

test('07: examples in columns, in rows and one by one agree, and a batch takes less time per example', async () => {
  const page = await collect(run);
  expect(page.value('columnsAgainstRows')).toBeLessThan(1e-14);
  expect(page.value('columnsAgainstSingle')).toBeLessThan(1e-14);
  expect(page.value('gain')).toBeGreaterThan(1);
});

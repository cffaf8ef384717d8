/** Example 16: gradients of few examples are noisy by 1/√B and right on average; small batches get on sooner. */
import { expect, test } from 'vitest';
import { run } from '../../examples/notes/16-descent.ts';
import { collect } from '../../examples/notes/support/index.ts';

test('the noise falls as 1/√B, and by examples seen one example beats mini-batches beat all examples', async () => {
  const page = await collect(run);
  expect(page.value('bias')).toBeLessThan(1e-6);

  const noise = page.rows('noise');
  expect(noise.map(({ B }) => B)).toEqual([1, 4, 16, 64, 256]);
  const column = 'distance from g, in lengths of g';
  expect(Number(noise[0][column])).toBeGreaterThan(3);
  for (const row of noise) {
    const ratio = Number(row[column]) / Number(row['as 1/√B foretells']);
    expect(ratio, `B = ${row.B}`).toBeGreaterThan(0.8);
    expect(ratio, `B = ${row.B}`).toBeLessThan(1.2);
  }

  expect(page.value('one')).toBeLessThan(page.value('mini'));
  expect(page.value('mini')).toBeLessThan(0.6 * page.value('descent'));
});

import { expect, test } from 'vitest';
import { run } from '../../examples/notes/04-activations.ts';
import { collect } from '../../examples/notes/support/index.ts';

test('04: sigmoid, ReLU and tanh and their derivatives are those of the notes, to 1e-12', async () => {
  const page = await collect(run);
  for (const name of ['sigmoid', 'relu', 'tanh']) {
    expect(page.value(`${name}Value`)).toBeLessThan(1e-12);
    expect(page.value(`${name}Slope`)).toBeLessThan(1e-12);
  }
  expect(page.value('kinkSlope')).toBe(0);
});

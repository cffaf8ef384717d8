import { expect, test } from 'vitest';
import { run } from '../../examples/notes/02-bricks.ts';
import { collect } from '../../examples/notes/support/index.ts';
import { loadSacramento, wealthFeature, zipFeature } from '../../examples/support/sacramento.ts';

test('02: a 4-3-1 network errs less on held-out houses than one neuron, with one input or with all four', async () => {
  const page = await collect(run);
  const [size, all, network] = page.rows('errors').map((row) => Number(row['held-out error in dollars']));
  expect(all).toBeLessThan(0.95 * size);
  expect(network).toBeLessThan(all);
});

test('Sacramento: zip code and wealth know neither the prices of held-out houses nor the own one', () => {
  const { train, test: held } = loadSacramento(1);
  expect(train.length + held.length).toBe(932);
  expect(new Set([...train, ...held]).size).toBe(932);
  for (const featureOf of [zipFeature, wealthFeature]) {
    const of = featureOf(train);
    const house = held[0];
    expect(of({ ...house, price: 1 })).toBe(of(house));
    const own = train[0];
    const before = of(own);
    own.price *= 2;
    expect(of(own)).toBe(before);
    own.price /= 2;
  }
});

/** The example of texts: its models tell reviews apart that they have not seen, and go the same way again from the same seed. */
import { expect, test } from 'vitest';
import { loadReviews, Vocabulary, wordsOf } from '../../examples/support/reviews.ts';
import { type ReaderName, type TextsOptions, trainReader } from '../../examples/texts.ts';

test('words, a vocabulary, and what is held out', () => {
  expect(wordsOf("It's GREAT!<br />I'd buy 2 more, wouldn't you?")).toEqual(
    "it's great ! i'd buy more wouldn't you ?".split(' '),
  );
  const reviews = [['a', 'b', 'c'], ['c', 'b'], ['c']].map((words) => ({ words, great: 1 }));
  const vocabulary = new Vocabulary(reviews, 2);
  expect(vocabulary.words.slice(2)).toEqual(['c', 'b']);
  expect(vocabulary.encode(['b', 'a', 'c'])).toEqual(Int32Array.of(3, 1, 2));
  const { train, validation, test } = loadReviews();
  expect([train.length, validation.length, test.length]).toEqual([3493, 500, 1000]);
  const seen = new Set([...train, ...validation].map(({ words }) => words.join(' ')));
  expect(test.filter(({ words }) => seen.has(words.join(' ')))).toEqual([]);
});

// Of 1,000 reviews 658 have five stars: who says so always is right so often, and has a ROC AUC of 0.5. Measured on both backends:
// accuracies of 0.788, 0.785 and 0.745, areas of 0.860, 0.844 and 0.793.
const cases: [name: ReaderName, options: TextsOptions, accuracy: number, rocAuc: number][] = [
  ['bag of words', { limit: 1500, epochs: 6 }, 0.74, 0.82],
  ['mean of words', { limit: 1500, epochs: 5 }, 0.74, 0.81],
  // Few words, so that it goes fast, on the fallback as well.
  ['both directions', { limit: 1500, epochs: 6, length: 32 }, 0.69, 0.74],
];
test.each(cases)('%s', { timeout: 300_000 }, async (name, options, accuracy, rocAuc) => {
  const outcome = await trainReader(name, options);
  expect(outcome.accuracy).toBeGreaterThan(accuracy);
  expect(outcome.rocAuc).toBeGreaterThan(rocAuc);
  const good = await outcome.read('I love these, the best, perfect!');
  const bad = await outcome.read('Stale and bad. I am very disappointed.');
  expect(good).toBeGreaterThan(bad);

  const short = (seed: number) => trainReader(name, { ...options, limit: 64, epochs: 1, seed });
  const [one, same, other] = [await short(1), await short(1), await short(2)];
  expect(same.model.stateDict()).toEqual(one.model.stateDict());
  expect(other.model.stateDict()).not.toEqual(one.model.stateDict());
});

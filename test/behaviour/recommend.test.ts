/** The example of a recommender: what it adds to the mean of all ratings, and whom it recommends. */
import { beforeAll, expect, test } from 'vitest';
import { errorOf, type RaterName, recommend, ridge, trainRater } from '../../examples/recommend.ts';
import { type Lectures, loadLectures } from '../../examples/support/lectures.ts';

let lectures: Lectures;
beforeAll(() => {
  lectures = loadLectures();
});

test('ridge regression on biases gives the figures of NumPy', () => {
  const { train, test } = lectures;
  expect([train.y.length, lectures.validation.y.length, test.y.length]).toEqual([58736, 7342, 7343]);
  const mean = train.y.reduce((sum, value) => sum + value, 0) / train.y.length;
  const errors = [
    errorOf(new Float32Array(test.y.length).fill(mean), test),
    errorOf(ridge(lectures, ['student', 'lecturer'])(test), test),
    errorOf(ridge(lectures)(test), test),
  ];
  // The same sums by np.bincount in float64, from the same rows, 20 passes.
  [1.339907, 1.208574, 1.19252].forEach((expected, i) => {
    expect(errors[i]).toBeCloseTo(expected, 5);
  });
});

// Biases of students and lecturers: 1.2086. Measured after so many epochs: 1.2005 and 1.1980.
test.each<[RaterName, number, number]>([
  ['factors', 5, 1.203],
  ['network', 3, 1.203],
])(
  '%s: better than the biases of students and lecturers, and again the same',
  { timeout: 300_000 },
  async (name, epochs, limit) => {
    const run = async (seed: number, epochs: number) => trainRater(name, lectures, { seed, epochs });
    const { model, error } = await run(1, epochs);
    expect(error).toBeLessThan(limit);

    const student = lectures.values.student[1000];
    const best = await recommend(model, lectures, student, 4);
    const { x } = lectures.train;
    const rated = new Set(Array.from(x.lecturer).filter((_, i) => x.student[i] === 1000));
    expect(rated.size).toBeGreaterThan(0);
    expect(best).toHaveLength(4);
    for (const { lecturer } of best)
      expect(rated.has(lectures.values.lecturer.indexOf(lecturer))).toBe(false);
    expect(best.map(({ rating }) => rating)).toEqual(best.map(({ rating }) => rating).sort((a, b) => b - a));
    expect(new Set(best.map(({ lecturer }) => lecturer)).size).toBe(4);

    const [one, same, other] = [await run(3, 1), await run(3, 1), await run(4, 1)];
    expect(same.model.stateDict()).toEqual(one.model.stateDict());
    expect(other.error).not.toBe(one.error);
  },
);

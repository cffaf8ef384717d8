/** Examples divided: what holds for all of them, and the folds of scikit-learn. */
import fc from 'fast-check';
import { describe, expect, it, test } from 'vitest';
import {
  ArgumentError,
  AxpyError,
  compile,
  DataError,
  type FoldOptions,
  kFold,
  permutation,
  ShapeError,
  type Split,
  seed,
  type Tensor,
  tensor,
  trainTestSplit,
} from '../../lib/index.ts';
import { read } from '../reference/read.ts';

type Rows = ArrayLike<number>;

const sorted = (rows: Rows) => Array.from(rows).sort((a, b) => a - b);
const upTo = (n: number) => Array.from({ length: n }, (_, i) => i);
const countBy = (rows: Rows, labels: readonly unknown[]) => {
  const counts = new Map<unknown, number>();
  for (const row of Array.from(rows)) counts.set(labels[row], (counts.get(labels[row]) ?? 0) + 1);
  return counts;
};
const whole = ({ train, test }: Split<Rows>) => sorted([...Array.from(train), ...Array.from(test)]);

const refused = (fn: () => unknown): void => {
  expect(fn).toThrow(ArgumentError);
};

/** Of at least two examples each. */
const classes = fc.array(fc.integer({ min: 2, max: 9 }), { minLength: 1, maxLength: 4 }).chain((counts) =>
  fc.shuffledSubarray(
    counts.flatMap((count, kind) => new Array<string>(count).fill(`class ${kind}`)),
    { minLength: counts.reduce((sum, count) => sum + count, 0) },
  ),
);
const groupsOf = (n: number, least: number) =>
  fc
    .array(fc.integer({ min: 0, max: 6 }), { minLength: n, maxLength: n })
    .map((groups) => groups.map((group, i) => (i < least ? i : group)));
const choice = fc.record({ shuffle: fc.boolean(), seed: fc.integer({ min: 0, max: 1000 }) });

describe('trainTestSplit', () => {
  it('puts each example into one part, in the sizes that were asked for', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 2, max: 60 }),
        fc.oneof(fc.double({ min: 0.01, max: 0.99, noNaN: true }), fc.integer({ min: 1, max: 59 })),
        choice,
        (n, testSize, options) => {
          const wanted = testSize < 1 ? Math.ceil(testSize * n) : testSize;
          const split = () => trainTestSplit(upTo(n), { testSize, ...options });
          if (wanted >= n) return refused(split);
          const own = split();
          expect(whole(own)).toEqual(upTo(n));
          expect(own.test).toHaveLength(wanted);
          expect(split()).toEqual(own);
          if (!options.shuffle) expect([...own.train, ...own.test]).toEqual(upTo(n));
        },
      ),
    );
  });

  it('gives the test part its share of each class, to within one', () => {
    fc.assert(
      fc.property(
        classes,
        fc.double({ min: 0.2, max: 0.8, noNaN: true }),
        choice,
        (stratify, testSize, options) => {
          const n = stratify.length;
          const kinds = new Set(stratify).size;
          const wanted = Math.ceil(testSize * n);
          const split = () => trainTestSplit(upTo(n), { testSize, stratify, ...options });
          if (Math.min(wanted, n - wanted) < kinds) return refused(split);
          const own = split();
          expect(whole(own)).toEqual(upTo(n));
          expect(own.test).toHaveLength(wanted);
          const all = countBy(upTo(n), stratify);
          const tested = countBy(own.test, stratify);
          for (const [kind, count] of all) {
            expect(Math.abs((tested.get(kind) ?? 0) - (count * wanted) / n)).toBeLessThan(1);
          }
        },
      ),
    );
  });

  it('divides no group, leaves neither part empty, and comes near to what was asked for', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 2, max: 40 }).chain((n) => groupsOf(n, 2)),
        fc.double({ min: 0.1, max: 0.9, noNaN: true }),
        choice,
        fc.boolean(),
        (groups, testSize, options, isStratified) => {
          const n = groups.length;
          const stratify = upTo(n).map((i) => i % 2);
          const isFit = !isStratified || n >= 4;
          if (!isFit) return;
          const own = trainTestSplit(upTo(n), {
            testSize,
            groups,
            ...options,
            ...(isStratified ? { stratify } : {}),
          });
          expect(whole(own)).toEqual(upTo(n));
          const [train, tested] = [countBy(own.train, groups), countBy(own.test, groups)];
          expect(train.size).toBeGreaterThan(0);
          expect(tested.size).toBeGreaterThan(0);
          for (const group of train.keys()) expect(tested.has(group)).toBe(false);
          if (isStratified) return;
          const largest = Math.max(...countBy(upTo(n), groups).values());
          expect(Math.abs(own.test.length - Math.ceil(testSize * n))).toBeLessThanOrEqual(largest);
        },
      ),
    );
  });

  it('gives each part back as what it was, with the rows in the same order', () => {
    const n = 9;
    const x = {
      city: upTo(n).map((i) => `city ${i}`),
      pixels: Uint8Array.from(upTo(n)),
      rows: upTo(n).map((i) => Float32Array.of(i, 2 * i)),
      several: [tensor(upTo(n)), tensor(upTo(n).map((i) => [i, i]))] as [Tensor, Tensor],
      labels: tensor(upTo(n), { dtype: 'int32' }),
      table: upTo(n).map((i) => ({ id: i, name: `${i}` })),
      like: { ...upTo(n), length: n } as ArrayLike<number>,
      clamped: Uint8ClampedArray.from(upTo(n)),
      wide: Float64Array.from(upTo(n)),
    };
    const { train, test } = trainTestSplit({ x, y: upTo(n) }, { testSize: 3, seed: 4 });
    for (const part of [train, test]) {
      const rows = part.y;
      expect(part.x.city).toEqual(rows.map((i) => `city ${i}`));
      expect(part.x.pixels).toEqual(Uint8Array.from(rows));
      expect(part.x.rows).toEqual(rows.map((i) => Float32Array.of(i, 2 * i)));
      expect(part.x.several.map((t) => t.toArray())).toEqual([rows, rows.map((i) => [i, i])]);
      expect(part.x.labels.dtype).toBe('int32');
      expect(part.x.labels.toArray()).toEqual(rows);
      expect(part.x.table.map(({ id }) => id)).toEqual(rows);
      expect(Array.from(part.x.like)).toEqual(rows);
      expect(part.x.clamped).toEqual(Uint8ClampedArray.from(rows));
      expect(part.x.wide).toEqual(Float64Array.from(rows));
    }
    expect(test.y).toHaveLength(3);
    expect(sorted([...train.y, ...test.y])).toEqual(upTo(n));
  });

  it('draws from the default random state only without a seed', () => {
    const draw = () => Array.from(permutation(5));
    seed(3);
    const first = draw();
    seed(3);
    trainTestSplit(upTo(9), { seed: 1 });
    void [...kFold(9, { seed: 1 })];
    trainTestSplit(upTo(9), { shuffle: false });
    expect(draw()).toEqual(first);
    seed(3);
    const one = trainTestSplit(upTo(30));
    const other = trainTestSplit(upTo(30));
    expect(other).not.toEqual(one);
    seed(3);
    expect(trainTestSplit(upTo(30))).toEqual(one);
  });

  it.each<[string, unknown, object, new (message: string) => AxpyError, RegExp]>([
    [
      'lengths that differ',
      { x: [1, 2, 3], y: [1, 2] },
      {},
      ShapeError,
      /x and y to hold as many examples, got 3 and 2/,
    ],
    [
      'deep lengths that differ',
      { x: [{ a: [1, 2] }, [1]], y: [1, 2] },
      {},
      ShapeError,
      /x\.0\.a and x\.1 .* 2 and 1/,
    ],
    ['one example', [[1, 2]], {}, DataError, /at least two examples/],
    ['nothing', undefined, {}, DataError, /expected data to be examples, got undefined/],
    ['no examples', {}, {}, DataError, /expected examples in data, got none/],
    ['text', 'text', {}, DataError, /got "text"/],
    [
      'what says it is endless',
      { x: { length: 2 ** 40, [2 ** 40 - 1]: 1 } },
      {},
      DataError,
      /x to be an array/,
    ],
    ['BigInts', new BigInt64Array(4), {}, DataError, /BigInt64Array/],
    ['a number among them', { x: [1, 2], y: 3 }, {}, DataError, /expected y to be examples, got 3/],
    ['a scalar', tensor(1), {}, ShapeError, /single value/],
    ['all for the test', [1, 2], { testSize: 2 }, ArgumentError, /testSize .* from 1 to 1.*got 2 of 2/],
    ['none for the test', [1, 2], { testSize: 0 }, ArgumentError, /testSize/],
    ['a part of everything', [1, 2], { testSize: 0.99 }, ArgumentError, /testSize/],
    ['a fraction of examples', [1, 2, 3], { testSize: 1.5 }, ArgumentError, /testSize/],
    ['a misspelt option', [1, 2], { testsize: 1 }, ArgumentError, /testsize/],
    [
      'a class of one',
      [1, 2, 3],
      { stratify: ['a', 'a', 'b'] },
      DataError,
      /two examples of each class.*one of "b"/,
    ],
    [
      'more classes than tests',
      [1, 2, 3, 4],
      { stratify: [0, 0, 1, 1], testSize: 1 },
      ArgumentError,
      /each of 2 classes/,
    ],
    ['other labels', [1, 2, 3], { stratify: [1, 2] }, ShapeError, /3 examples, got 2 labels/],
    [
      'labels of no kind',
      [1, 2],
      { groups: [1, {}] },
      DataError,
      /groups .*got an object of class Object at row 1/,
    ],
    ['a missing label', [1, 2], { groups: [1, Number.NaN] }, DataError, /got NaN at row 1/],
    ['a table of labels', [1, 2], { groups: tensor([[1], [2]]) }, ShapeError, /rank 2/],
    ['one group', [1, 2, 3], { groups: [1, 1, 1] }, DataError, /at least two groups/],
    ['a bad seed', [1, 2, 3], { seed: -1 }, ArgumentError, /2\^53/],
  ])('refuses %s', (_, data, options, kind, message) => {
    expect(() => trainTestSplit(data, options)).toThrow(kind);
    expect(() => trainTestSplit(data, options)).toThrow(message);
  });
});

describe('kFold', () => {
  /** What holds for all folds. */
  function check(n: number, options: FoldOptions): Split<Int32Array>[] {
    const folds = [...kFold(n, options)];
    expect(folds).toHaveLength(options.folds!);
    expect(sorted(folds.flatMap(({ test }) => [...test]))).toEqual(upTo(n));
    for (const fold of folds) {
      expect(whole(fold)).toEqual(upTo(n));
      expect(fold.test.length).toBeGreaterThan(0);
      expect([...fold.train]).toEqual(sorted(fold.train));
      expect([...fold.test]).toEqual(sorted(fold.test));
    }
    expect([...kFold(n, options)]).toEqual(folds);
    return folds;
  }

  const even = (counts: readonly number[]) =>
    expect(Math.max(...counts) - Math.min(...counts)).toBeLessThanOrEqual(1);

  it('tests on each example once, in folds of equal size', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 2, max: 40 }),
        fc.integer({ min: 2, max: 9 }),
        choice,
        (n, folds, options) => {
          if (folds > n) return refused(() => kFold(n, { folds, ...options }));
          even(check(n, { folds, ...options }).map(({ test }) => test.length));
        },
      ),
    );
  });

  it('divides each class evenly', () => {
    fc.assert(
      fc.property(classes, fc.integer({ min: 2, max: 5 }), choice, (stratify, folds, options) => {
        const n = stratify.length;
        const all = countBy(upTo(n), stratify);
        if (folds > Math.max(...all.values())) {
          return refused(() => kFold(n, { folds, stratify, ...options }));
        }
        const parts = check(n, { folds, stratify, ...options });
        even(parts.map(({ test }) => test.length));
        for (const kind of all.keys()) even(parts.map(({ test }) => countBy(test, stratify).get(kind) ?? 0));
      }),
    );
  });

  it('divides no group, with classes or without, and leaves no fold empty', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 10, max: 40 }).chain((n) => groupsOf(n, 4)),
        fc.integer({ min: 2, max: 4 }),
        choice,
        fc.boolean(),
        (groups, folds, options, isStratified) => {
          const n = groups.length;
          const stratify = upTo(n).map((i) => i % 2 === 0);
          const parts = check(n, { folds, groups, ...options, ...(isStratified ? { stratify } : {}) });
          for (const { train, test } of parts) {
            const tested = countBy(test, groups);
            for (const group of countBy(train, groups).keys()) expect(tested.has(group)).toBe(false);
          }
        },
      ),
    );
  });

  const { splits } = read<{
    splits: { n: number; folds: number; stratify?: number[]; groups?: number[]; tests: number[][] }[];
  }>('preprocessing');

  it.each(splits)('is scikit-learn’s without shuffle: %#', ({ n, tests, ...options }) => {
    const own = check(n, { ...options, shuffle: false });
    expect(own.map(({ test }) => [...test])).toEqual(tests);
    // Labels are the same by whatever they are told.
    const { stratify, groups, folds } = options;
    const told = {
      ...(stratify && { stratify: tensor(stratify, { dtype: 'int32' }) }),
      ...(groups && { groups: Float64Array.from(groups) }),
    };
    expect([...kFold(n, { folds, ...told, shuffle: false })]).toEqual(own);
  });

  it('puts each group where there is least, the largest first', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 2, maxLength: 60 }),
        fc.nat(),
        fc.boolean(),
        (counts, choice, shuffle) => {
          const folds = 2 + (choice % (counts.length - 1));
          const groups = counts.flatMap((count, group) => Array(count).fill(group));
          const sizes: number[] = Array(folds).fill(0);
          for (const count of [...counts].sort((a, b) => b - a))
            sizes[sizes.indexOf(Math.min(...sizes))] += count;
          const own = [...kFold(groups.length, { folds, groups, shuffle })].map(({ test }) => test.length);
          expect(own.sort()).toEqual(sizes.sort());
        },
      ),
    );
  });

  it('has as many folds as there are groups, however many', () => {
    const groups = Int32Array.from({ length: 200_000 }, (_, i) => i);
    const [{ train, test }] = kFold(groups.length, { folds: groups.length, groups });
    expect([train.length, test.length]).toEqual([groups.length - 1, 1]);
  });

  it('takes examples as they are, any number of times', () => {
    const folds = kFold(
      { x: { a: tensor([[1], [2], [3]]), b: ['p', 'q', 'r'] }, y: Float32Array.of(1, 2, 3) },
      { folds: 3, seed: 2 },
    );
    const seen = [...folds];
    expect(seen.map(({ test }) => test.x.b[0]).sort()).toEqual(['p', 'q', 'r']);
    for (const { train, test } of seen) {
      expect(test.x.a.shape).toEqual([1, 1]);
      expect([...train.y, ...test.y].sort()).toEqual([1, 2, 3]);
      expect(train.x.a.toArray()).toEqual([...train.y].map((value) => [value]));
    }
    expect([...folds].map(({ test }) => test.x.b)).toEqual(seen.map(({ test }) => test.x.b));
  });

  it.each<[string, unknown, object, RegExp]>([
    [
      'more folds than examples',
      3,
      { folds: 4 },
      /as many folds as examples, got 4 folds and 3 examples: take fewer/,
    ],
    [
      'more folds than groups',
      6,
      { folds: 3, groups: [0, 0, 0, 1, 1, 1] },
      /as many folds as groups, got 3 folds and 2/,
    ],
    ['one fold', 3, { folds: 1 }, /at least 2/],
    ['a class of one', 3, { folds: 2, stratify: [1, 1, 0] }, /one of 0/],
    ['one example', 1, {}, /at least 2/],
    ['no number', Number.NaN, {}, /got NaN/],
    ['a label too many', 3, { folds: 2, groups: ['a', 'b', 'c', 'd'] }, /3 examples, got 4 labels/],
  ])('refuses %s', (_, data, options, message) => {
    expect(() => kFold(data, options)).toThrow(AxpyError);
    expect(() => kFold(data, options)).toThrow(message);
  });
});

test('neither runs where a function is compiled', () => {
  const split = compile(() => trainTestSplit([tensor([1, 2]), tensor([3, 4])], { shuffle: false }).test[0]);
  expect(() => split.sync()).toThrow(AxpyError);
});

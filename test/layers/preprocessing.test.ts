/** Preprocessing as layers: Normalize, Rescale, OneHot, StringLookup, and tables of columns. */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import {
  Adam,
  ArgumentError,
  AxpyError,
  Columns,
  compile,
  concat,
  DataError,
  Dense,
  DtypeError,
  evaluate,
  fit,
  gradCheck,
  IndexError,
  Layer,
  layerFrom,
  loadModel,
  Normalize,
  OneHot,
  predict,
  Rescale,
  Sequential,
  SGD,
  ShapeError,
  StringLookup,
  saveModel,
  seed,
  type Tensor,
  tensor,
} from '../../lib/index.ts';
import { conversionFor } from '../../lib/train/conversion.ts';
import { deviation, read } from '../reference/read.ts';

const { columns } = read<{
  columns: Record<string, { x: number[][]; mean: number[]; variance: number[]; y: number[][] }>;
}>('preprocessing');

const again = <Kind extends Layer>(layer: Kind): Kind => {
  const same = layerFrom(JSON.parse(JSON.stringify(layer))) as Kind;
  same.loadStateDict(layer.stateDict());
  return same;
};

/** What a call throws. */
function thrown(fn: () => unknown): AxpyError {
  try {
    fn();
  } catch (error) {
    expect(error).toBeInstanceOf(AxpyError);
    return error as AxpyError;
  }
  throw new Error('expected an error');
}

const rejection = async (promise: Promise<unknown>): Promise<AxpyError> =>
  promise.then(
    () => {
      throw new Error('expected a rejection');
    },
    (error) => error as AxpyError,
  );

describe('Normalize', () => {
  describe.each(Object.entries(columns))('%s', (_, { x, mean, variance, y }) => {
    it.each(['float64', 'float32'] as const)('is what scikit-learn makes of it, of %s', async (dtype) => {
      const layer = new Normalize(mean.length, { dtype }).adapt(x);
      expect(deviation(layer.mean.data, mean, 1e-14)).toBe(null);
      variance.forEach((wanted, i) => {
        expect(layer.variance.data[i]).toBeCloseTo(wanted, 9 - Math.ceil(Math.log10(1 + wanted)));
      });
      for (const compiled of [true, false]) {
        const got = await predict(layer, x, { compiled });
        expect([got.dtype, got.shape]).toEqual([dtype, [x.length, mean.length]]);
        got.data.forEach((value: number, i: number) => {
          expect(value).toBeCloseTo(y.flat()[i], 6);
        });
      }
    });
  });

  it('is the same whatever the data come in, at once or in batches', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.integer({ min: -99, max: 99 }), fc.integer({ min: 0, max: 255 })), {
          minLength: 1,
        }),
        fc.integer({ min: 1, max: 5 }),
        (x, size) => {
          const whole = new Normalize(2).adapt(x);
          const batches: number[][][] = [];
          for (let start = 0; start < x.length; start += size) batches.push(x.slice(start, start + size));
          const forms = [
            tensor(x),
            tensor(x, { dtype: 'int32' }),
            x.map((row) => Float32Array.from(row)),
            x.map((row) => Int16Array.from(row)),
            batches.map((batch) => tensor(batch)),
            new Set(batches),
            (function* () {
              yield* batches;
            })(),
          ];
          for (const form of forms) {
            const layer = new Normalize(2).adapt(form as never);
            for (const name of ['mean', 'variance'] as const) {
              layer[name].data.forEach((value, i) => {
                expect(value).toBeCloseTo(whole[name].data[i], 10);
              });
            }
          }
        },
      ),
      { numRuns: 30 },
    );
  });

  it('forgets what it had adapted to', () => {
    const layer = new Normalize(1).adapt([1, 2, 3]);
    layer.adapt([10, 30]);
    expect([layer.mean.item(), layer.variance.item()]).toEqual([20, 100]);
  });

  it('is the identity before', () => {
    const x = tensor([[1, -2]]);
    expect(new Normalize(2).forward(x).toArray()).toEqual([[1, -2]]);
  });

  it('makes 0 of a feature that was constant, whatever the number', () => {
    fc.assert(
      fc.property(
        fc.double({ min: -1e9, max: 1e9, noNaN: true }),
        fc.integer({ min: 1, max: 20 }),
        fc.integer({ min: 1, max: 7 }),
        (value, n, size) => {
          const rows = Array.from({ length: n }, () => [value]);
          const batches: number[][][] = [];
          for (let start = 0; start < n; start += size) batches.push(rows.slice(start, start + size));
          for (const dtype of ['float32', 'float64'] as const) {
            const layer = new Normalize(1, { dtype }).adapt(new Set(batches));
            expect(layer.variance.item()).toBe(0);
            for (const given of ['float32', 'float64'] as const) {
              expect(Math.abs(layer.forward(tensor(rows, { dtype: given })).data[0])).toBe(0);
            }
          }
        },
      ),
    );
  });

  it('loses nothing of large offsets, of numbers and of float64 rows', async () => {
    const x = [[1e8 - 1], [1e8 + 1]];
    const layer = new Normalize(1).adapt(x);
    for (const given of [x, x.map((row) => Float64Array.from(row)), tensor(x, { dtype: 'float64' })]) {
      expect((await predict(layer, given)).toArray()).toEqual([[-1], [1]]);
    }
    // Of float32 as much as that holds: the mean does not fit in it.
    const single = tensor([[2 ** 24], [2 ** 24 + 2], [2 ** 24 + 8]]);
    const coarse = new Normalize(1).adapt(single);
    const [, variance] = [coarse.mean.item(), coarse.variance.item()];
    coarse.forward(single).data.forEach((value, i) => {
      const exact = (single.data[i] - (2 ** 24 + 10 / 3)) / Math.sqrt(variance);
      expect(value).toBeCloseTo(exact, 6);
    });
  });

  it.each([
    ['channels of images', 3, [2, 4, 4, 3], 3],
    ['each pixel', [4, 4, 3], [2, 4, 4, 3], 48],
    ['all numbers together', [], [2, 4, 4, 3], 1],
    ['a flat column', 1, [5], 1],
    ['a column', 1, [5, 1], 1],
  ] as const)('has a mean for %s', (_, shape, input, count) => {
    const size = input.reduce<number>((product, n) => product * n, 1);
    const values = Float64Array.from({ length: size }, (_, i) => Math.sin(i) * 5 + i);
    const x = tensor(values, { shape: input });
    const layer = new Normalize(shape).adapt(x);
    expect(layer.mean.size).toBe(count);
    for (let j = 0; j < count; j++) {
      const own = Array.from(values).filter((_, i) => i % count === j);
      const mean = own.reduce((sum, value) => sum + value, 0) / own.length;
      const variance = own.reduce((sum, value) => sum + (value - mean) ** 2, 0) / own.length;
      expect(layer.mean.data[j]).toBeCloseTo(mean, 10);
      expect(layer.variance.data[j]).toBeCloseTo(variance, 10);
      expect(layer.forward(x).data[j]).toBeCloseTo((values[j] - mean) / Math.sqrt(variance || 1), 5);
    }
    expect(layer.forward(x).shape).toEqual(input);
    expect(layer.outputShape(input.slice(1))).toEqual(input.slice(1));
    expect(again(layer).forward(x).toArray()).toEqual(layer.forward(x).toArray());
  });

  it('leads back: inverse, and invert', async () => {
    const prices = [120_000, 250_000, 99_000, 1_000_000, 430_000];
    const price = new Normalize(1).adapt(prices);
    const back = new Normalize(1, { invert: true }).adapt(prices);
    for (const dtype of ['float32', 'float64'] as const) {
      const y = tensor(prices, { dtype });
      const scaled = price.forward(y);
      expect(back.inverse(y).toArray()).toEqual(scaled.toArray());
      expect(back.forward(scaled).toArray()).toEqual(price.inverse(scaled).toArray());
      price.inverse(scaled).data.forEach((value, i) => {
        expect(value / prices[i]).toBeCloseTo(1, 6);
      });
    }
    expect(back.config.invert).toBe(true);
    expect((await predict(again(back), [0])).item()).toBe(Math.fround(prices.reduce((a, b) => a + b) / 5));
    const constant = new Normalize(1).adapt([7, 7]);
    expect(constant.inverse(tensor([0, 2])).toArray()).toEqual([7, 9]);
  });

  it('passes gradients to its input, and none to its buffers', () => {
    const layer = new Normalize(3, { dtype: 'float64' }).adapt(columns.ordinary.x);
    const about = tensor(columns.ordinary.x, { dtype: 'float64' });
    for (const [way, x, from] of [
      ['forward', about, 0],
      ['inverse', layer.forward(about), layer.mean],
    ] as const) {
      const input = x.detach().clone().setRequiresGrad();
      expect(gradCheck((given: Tensor) => layer[way](given).sub(from).square().sum(), [input]).ok).toBe(true);
    }
    const x = tensor([[1, 2, 3]], { requiresGrad: true });
    new Normalize(3).adapt(columns.ordinary.x).forward(x).sum().backward();
    columns.ordinary.variance.forEach((variance, i) => {
      expect(x.grad!.data[i]).toBeCloseTo(1 / Math.sqrt(variance), 5);
    });
    expect(layer.mean.requiresGrad || layer.variance.requiresGrad).toBe(false);
    expect(layer.parameters()).toEqual([]);
  });

  it('is part of the state, and is shared', () => {
    const layer = new Normalize(2).adapt([
      [1, 2],
      [3, 4],
    ]);
    expect(Object.keys(layer.stateDict())).toEqual(['mean', 'variance']);
    const other = new Normalize(2);
    other.attach(layer.share());
    layer.adapt([[5, 6]]);
    expect(other.mean.toArray()).toEqual([5, 6]);
  });

  it('adapts under a program that was compiled before', () => {
    const layer = new Normalize(1);
    const step = compile((x: Tensor) => layer.forward(x));
    const x = tensor([[4]]);
    expect(step.sync(x).item()).toBe(4);
    layer.adapt([1, 3]);
    expect(step.sync(x).item()).toBe(2);
  });

  const layer = new Normalize(2).adapt([
    [1, 2],
    [3, 4],
  ]);
  it.each<[string, () => unknown, typeof AxpyError | (new (message: string) => AxpyError), RegExp]>([
    [
      'NaN',
      () =>
        layer.adapt([
          [1, 2],
          [3, Number.NaN],
        ]),
      DataError,
      /NaN at row 1, position 1/,
    ],
    [
      'Infinity',
      () =>
        layer.adapt(
          tensor([
            [1, 2],
            [-Infinity, 3],
          ]),
        ),
      DataError,
      /-Infinity at row 1, position 0/,
    ],
    [
      'NaN in the second batch',
      () => layer.adapt(new Set([[[1, 2]], [[3, Number.NaN]]])),
      DataError,
      /row 0, position 1/,
    ],
    [
      'numbers beyond all variance',
      () =>
        layer.adapt([
          [1e300, 0],
          [-1e300, 0],
        ]),
      DataError,
      /variance is a finite number/,
    ],
    ['no rows', () => layer.adapt(new Set<number[][]>()), DataError, /got no values/],
    [
      'an empty tensor',
      () => layer.adapt(tensor(new Float32Array(0), { shape: [0, 2] })),
      DataError,
      /got no values/,
    ],
    [
      'another width',
      () => layer.adapt([[1, 2, 3]]),
      ShapeError,
      /expected input \[batch, \.\.\., 2\], received \[1, 3\]/,
    ],
    ['text', () => layer.adapt('text' as never), DataError, /"text"/],
    ['nothing', () => layer.adapt(undefined as never), DataError, /undefined/],
    ['ragged rows', () => layer.adapt([[1, 2], [3]]), DataError, /array of 2/],
    ['a step that is compiled', () => compile(() => layer.adapt([[1, 2]]).mean).sync(), AxpyError, /adapt/],
    ['an input of another width', () => layer.forward(tensor([[1]])), ShapeError, /received \[1, 1\]/],
    ['a bad shape', () => new Normalize([-1]), ShapeError, /-1/],
    ['no shape', () => new Normalize(undefined as never), ArgumentError, /shape/],
    ['a bad option', () => new Normalize(1, { invert: 1 as never }), ArgumentError, /invert/],
    ['int32', () => new Normalize(1, { dtype: 'int32' as never }), DtypeError, /int32/],
  ])('refuses %s, and nothing has changed', (_, act, kind, message) => {
    expect(act).toThrow(kind);
    expect(thrown(act).message).toMatch(message);
    expect(layer.mean.toArray()).toEqual([2, 3]);
    expect(layer.variance.toArray()).toEqual([1, 1]);
  });
});

describe('Rescale', () => {
  it('is x·scale + offset', async () => {
    const layer = new Rescale(1 / 127.5, -1);
    const bytes = [Uint8Array.of(0, 255, 51), Uint8Array.of(255, 102, 0)];
    const wanted = bytes.flatMap((row) => Array.from(row, (value) => value / 127.5 - 1));
    for (const x of [bytes, tensor(bytes), tensor(bytes, { dtype: 'int32' })]) {
      for (const compiled of [true, false]) {
        const y = await predict(layer, x, { compiled });
        expect(y.dtype).toBe('float32');
        y.data.forEach((value, i) => {
          expect(value).toBeCloseTo(wanted[i], 6);
        });
      }
    }
    expect(layer.outputShape([2, 3])).toEqual([2, 3]);
    expect(again(layer).config).toEqual(layer.config);
    const wide = new Rescale(2, 1, { dtype: 'float64' });
    expect(wide.forward(tensor([3], { dtype: 'int32' })).dtype).toBe('float64');
    const x = tensor([1, 2], { dtype: 'float64', requiresGrad: true });
    expect(gradCheck((input: Tensor) => wide.forward(input).square().sum(), [x]).ok).toBe(true);
    expect(() => wide.forward(tensor([1]))).toThrow(DtypeError);
  });

  it('takes bytes in fit', async () => {
    seed(1);
    const model = new Sequential([new Rescale(1 / 255), new Dense(2, 1)]);
    const data = { x: [Uint8Array.of(0, 255), Uint8Array.of(255, 0)], y: [[0], [1]] };
    const optimizer = new Adam(model.parameters(), { learningRate: 0.05 });
    const { epochs } = await fit(model, data, { loss: 'mse', optimizer, epochs: 100 });
    expect(epochs[99].loss).toBeLessThan(0.01);
  });

  it.each([[Number.NaN], [Infinity], ['2'], [undefined], [null]])('refuses %s', (value) => {
    expect(() => new Rescale(value as never)).toThrow(ArgumentError);
    if (value !== undefined) expect(() => new Rescale(1, value as never)).toThrow(ArgumentError);
  });
});

describe('OneHot', () => {
  it('has a one at the index', async () => {
    const wanted = [
      [0, 1, 0],
      [1, 0, 0],
    ];
    for (const x of [[1, 0], Uint8Array.of(1, 0), tensor([1, 0], { dtype: 'int32' })]) {
      for (const compiled of [true, false]) {
        expect((await predict(new OneHot(3), x, { compiled })).toArray()).toEqual(wanted);
      }
    }
    expect(new OneHot(3).outputShape([4])).toEqual([4, 3]);
    expect(new OneHot(2, { dtype: 'float64' }).forward(tensor([[1]], { dtype: 'int32' })).toArray()).toEqual([
      [[0, 1]],
    ]);
  });

  it('refuses an unknown class and says where, or makes zeros of it', async () => {
    const x = [1, 3, -1, 2 ** 31 - 1, -(2 ** 31)];
    for (const compiled of [true, false]) {
      const error = await rejection(predict(new OneHot(3), [1, 3], { compiled }));
      expect(error).toBeInstanceOf(IndexError);
      expect(error.message).toMatch(/\[1\] to be from 0 to 2, got 3/);
      const zeros = await predict(new OneHot(3, { unknown: 'zeros' }), x, { compiled });
      expect(zeros.toArray()).toEqual([[0, 1, 0], ...x.slice(1).map(() => [0, 0, 0])]);
    }
  });

  it('learns how many there are', () => {
    const layer = new OneHot();
    expect(layer.classes).toBe(null);
    expect(layer.outputShape([])).toBe(undefined);
    expect(() => layer.forward(tensor([0], { dtype: 'int32' }))).toThrow(/how many classes/);
    expect(layer.adapt([0, 4, 2]).classes).toBe(5);
    expect(layer.adapt(new Set([[[1]], [[2]]])).classes).toBe(3);
    expect(
      again(layer)
        .forward(tensor([2], { dtype: 'int32' }))
        .toArray(),
    ).toEqual([[0, 0, 1]]);
    expect(thrown(() => layer.adapt([[1], [-1]])).message).toMatch(/at least 0, got -1 at row 1/);
    expect(() => layer.adapt([0.5])).toThrow(DataError);
    expect(() => layer.adapt([])).toThrow(DataError);
    expect(() => layer.adapt(tensor([1]) as never)).toThrow(DtypeError);
    expect(layer.classes).toBe(3);
    expect(new OneHot(null, { unknown: 'zeros' }).adapt([-1, 1]).classes).toBe(2);
  });

  it('refuses what is no index', async () => {
    expect(() => new OneHot(3).forward(tensor([1]))).toThrow(DtypeError);
    expect(await rejection(predict(new OneHot(3), [0.5]))).toBeInstanceOf(DataError);
    for (const classes of [0, 1.5, '3']) expect(() => new OneHot(classes as never)).toThrow(ArgumentError);
    expect(() => new OneHot(3, { unknown: 'ignore' as never })).toThrow(/'error' or 'zeros'/);
  });
});

describe('StringLookup', () => {
  it('learns a vocabulary as Keras does: the example of its documentation', () => {
    const layer = new StringLookup().adapt([
      ['a', 'c', 'd'],
      ['d', 'z', 'b'],
    ]);
    expect(layer.vocabulary).toEqual(['d', 'z', 'c', 'b', 'a']);
    expect(layer.size).toBe(6);
  });

  it('sorts equally frequent ones by code points, the last first', () => {
    const words = ['\u{1f600}', '\uffff', 'b', 'ab', 'a', '', '\u{1f601}'];
    expect(new StringLookup().adapt(words).vocabulary).toEqual([
      '\u{1f601}',
      '\u{1f600}',
      '\uffff',
      'b',
      'ab',
      'a',
      '',
    ]);
  });

  it('leads back from indices to strings, of any shape', () => {
    fc.assert(
      fc.property(
        fc.uniqueArray(fc.string(), { minLength: 1, maxLength: 9 }),
        fc.constantFrom('index', 'error' as const),
        (words, unknown) => {
          const layer = again(new StringLookup(words, { unknown }));
          expect(layer.decode(layer.encode(words))).toEqual(words);
          expect(layer.encode(words).toArray()).toEqual(
            words.map((_, i) => i + (unknown === 'index' ? 1 : 0)),
          );
          const nested = [words, [...words].reverse()];
          const indices = layer.encode(nested);
          expect(indices.shape).toEqual([2, words.length]);
          expect(layer.decode<string[][]>(indices)).toEqual(nested);
          expect(layer.decode(indices.toArray())).toEqual(nested);
          expect(new StringLookup(null, { unknown }).adapt(words).vocabulary).toHaveLength(words.length);
        },
      ),
    );
  });

  it('gives unknown strings 0, or refuses them and says where', async () => {
    const layer = new StringLookup(['a', 'b']);
    expect((await predict(layer, ['b', 'c', 'a'])).toArray()).toEqual([2, 0, 1]);
    expect(layer.decode([0, 1])).toEqual(['[UNK]', 'a']);
    const strict = new StringLookup(['a', 'b'], { unknown: 'error' });
    expect((await predict(strict, ['b', 'a'])).toArray()).toEqual([1, 0]);
    const error = await rejection(
      predict(strict, [
        ['a', 'b'],
        ['a', 'c'],
      ]),
    );
    expect(error).toBeInstanceOf(DataError);
    expect(error.message).toMatch(/x to be strings of the vocabulary .*"c" at row 1, position 1/);
  });

  it('keeps the most frequent ones alone, and forgets those it had', () => {
    const layer = new StringLookup(null, { limit: 2 }).adapt(['x', 'y', 'y', 'z', 'z', 'z']);
    expect(layer.vocabulary).toEqual(['z', 'y']);
    layer.adapt(new Set(['p', ['q', 'p']]));
    expect(layer.vocabulary).toEqual(['p', 'q']);
    expect(layer.config.vocabulary).toEqual(['p', 'q']);
  });

  it('has a vocabulary of its own, as long as one likes', () => {
    const words = Array.from({ length: 70_000 }, (_, i) => `word ${i}`);
    const layer = new StringLookup(words);
    words[0] = 'another';
    (layer.vocabulary as string[])[1] = 'another';
    const same = again(layer);
    expect(same.encode(['word 0', 'word 1', 'word 69999']).toArray()).toEqual([1, 2, 70_000]);
    expect(same.vocabulary).toEqual(layer.vocabulary);
  });

  const layer = new StringLookup(['a', 'b']);
  it.each<[string, () => unknown, new (message: string) => AxpyError, RegExp]>([
    [
      'a number',
      () => layer.encode(['a', 3] as never, 'x.city'),
      DataError,
      /x\.city to hold strings, got 3 at row 1/,
    ],
    ['numbers', () => layer.inputFrom([1, 2]), DataError, /x to hold strings, got 1 at row 0/],
    ['nothing', () => layer.encode(undefined as never), DataError, /got undefined/],
    ['null', () => layer.adapt(['a', null] as never), DataError, /got null at row 1/],
    ['a deep number', () => layer.encode([['a'], [1]] as never), DataError, /got 1 at row 1, position 0/],
    [
      'ragged arrays',
      () => layer.encode([['a'], ['a', 'b']]),
      DataError,
      /array of 1 and an array of 2 at row 1/,
    ],
    ['two depths', () => layer.encode(['a', ['b']]), DataError, /a string and an array of 1 at row 1/],
    ['no strings to adapt to', () => layer.adapt([]), DataError, /got no values/],
    ['a sparse array', () => layer.encode(new Array(3)), DataError, /got undefined at row 0/],
    ['an index out of range', () => layer.decode([1, 3]), IndexError, /from 0 to 2, got 3 at row 1/],
    ['a negative index', () => layer.decode([-1]), IndexError, /got -1/],
    ['an index that is none', () => layer.decode([0.5]), DataError, /0\.5/],
    ['floats', () => layer.forward(tensor([1])), DtypeError, /int32/],
    ['strings without encode', () => layer.forward(['a'] as never), ArgumentError, /tensor/],
    ['no vocabulary yet', () => new StringLookup().encode(['a']), ArgumentError, /to adapt/],
    ['an empty vocabulary', () => new StringLookup([]), ArgumentError, /at least one string/],
    ['a word twice', () => new StringLookup(['a', 'a']), ArgumentError, /"a" twice/],
    ['a vocabulary of numbers', () => new StringLookup([1] as never), DataError, /got 1/],
    [
      'another choice',
      () => new StringLookup(['a'], { unknown: 'zeros' as never }),
      ArgumentError,
      /'index' or 'error'/,
    ],
    ['no limit', () => new StringLookup(null, { limit: 0 }), ArgumentError, /limit/],
  ])('refuses %s', (_, act, kind, message) => {
    expect(act).toThrow(kind);
    expect(thrown(act).message).toMatch(message);
    expect(layer.vocabulary).toEqual(['a', 'b']);
  });
});

describe('Columns', () => {
  const rows = {
    city: ['Sacramento', 'Elk Grove', 'Sacramento', 'Galt'],
    size: [852, 1167, 796, 1400],
    place: [
      [1, 2],
      [3, 4],
      [5, 6],
      [7, 8],
    ],
    id: ['p', 'q', 'r', 's'],
  };
  const y = [100, 200, 120, 300];
  const table = rows.city.map((city, i) => ({ city, size: rows.size[i], place: rows.place[i], id: i }));
  const make = () =>
    new Columns({
      city: new Sequential([new StringLookup(), new OneHot()]),
      size: new Normalize(1),
      place: new Normalize(2),
    });
  const folder = mkdtempSync(join(tmpdir(), 'axpy-columns-'));
  afterAll(() => rmSync(folder, { recursive: true }));

  it('puts what the layers make side by side', async () => {
    const layer = make().adapt(rows);
    expect(layer.features).toBe(7);
    expect(layer.outputShape(undefined)).toEqual([7]);
    const { city, size, place } = layer.layers;
    const [names] = city.layers;
    expect(names.vocabulary).toEqual(['Sacramento', 'Galt', 'Elk Grove']);
    for (const compiled of [true, false]) {
      const out = (await predict(layer, rows, { compiled })).toArray<number[][]>();
      expect(out.map((row) => row.slice(0, 4))).toEqual((await predict(city, rows.city)).toArray());
      expect(out.map((row) => row.slice(4, 5))).toEqual(
        (
          await predict(
            size,
            rows.size.map((n) => [n]),
          )
        ).toArray(),
      );
      expect(out.map((row) => row.slice(5))).toEqual((await predict(place, rows.place)).toArray());
      expect((await predict(layer, table, { compiled })).toArray()).toEqual(out);
      const tensors = { city: names.encode(rows.city), size: tensor(rows.size), place: tensor(rows.place) };
      (await predict(layer, tensors, { compiled })).data.forEach((value, i) => {
        expect(value).toBeCloseTo(out.flat()[i], 6);
      });
    }
    expect(layer.namedBuffers().map(([name]) => name)).toEqual([
      'size.mean',
      'size.variance',
      'place.mean',
      'place.variance',
    ]);
    expect((await predict(layer, { city: [], size: [], place: [] })).shape).toEqual([0, 7]);
  });

  it.each([true, false])(
    'trains, is scored, saved, and predicts from the file alone: compiled %s',
    async (compiled) => {
      seed(1);
      const price = new Normalize(1, { invert: true }).adapt(y);
      const columns = make().adapt(rows);
      const model = new Sequential([
        columns,
        new Dense(columns.features, 8, { activation: 'relu' }),
        new Dense(8, 1),
      ]);
      const targets = price.inverse(tensor(y.map((one) => [one])));
      const optimizer = new Adam(model.parameters(), { learningRate: 0.02 });
      const data = { x: rows, y: targets };
      const options = { loss: 'mse', compiled } as const;
      await fit(model, data, {
        ...options,
        optimizer,
        epochs: 200,
        batchSize: 3,
        validation: { x: table, y: targets },
      });
      await fit(model, [data, { x: table, y: targets }], { ...options, optimizer });
      expect((await evaluate(model, data, options)).loss).toBeLessThan(0.02);
      const served = new Sequential([...model.layers, price]);
      const wanted = (await predict(served, rows, { compiled })).toArray<number[][]>();
      y.forEach((one, i) => {
        expect(Math.abs(wanted[i][0] - one)).toBeLessThan(30);
      });
      const path = join(folder, `${compiled}.safetensors`);
      await saveModel(path, served);
      const loaded = await loadModel(path);
      expect((await predict(loaded, rows, { compiled })).toArray()).toEqual(wanted);
      expect((await predict(loaded, JSON.parse(JSON.stringify(table)), { compiled })).toArray()).toEqual(
        wanted,
      );
      const unseen = [{ city: 'Atlantis', size: 900, place: [0, 0] }];
      expect((await predict(loaded, unseen)).toArray()).toEqual((await predict(served, unseen)).toArray());
    },
  );

  it('learns classes from text, whose names come back', async () => {
    seed(3);
    const kinds = ['cheap', 'dear', 'cheap', 'dear'];
    const names = new StringLookup(null, { unknown: 'error' }).adapt(kinds);
    const columns = make().adapt(rows);
    const model = new Sequential([columns, new Dense(columns.features, 2)]);
    const optimizer = new Adam(model.parameters(), { learningRate: 0.1 });
    const data = { x: rows, y: names.encode(kinds) };
    const loss = 'softmaxCrossEntropy';
    await fit(model, data, { loss, optimizer, epochs: 60, metrics: ['accuracy'] });
    expect(names.decode((await predict(model, table)).argmax(1))).toEqual(kinds);
    const wrong = fit(model, { x: rows, y: [0, 1, 2, 0] }, { loss, optimizer });
    expect(await rejection(wrong)).toBeInstanceOf(IndexError);
  });

  it('lies in another one, and beside what has no shape of its own', async () => {
    const inner = new Columns({ size: new Normalize(1), kind: new OneHot(2) });
    const layer = new Columns({ inner, pixels: new Rescale(1 / 255) }, { widths: { pixels: 2 } });
    expect(() => layer.features).toThrow(/come of inner: adapt/);
    const data = {
      inner: { size: [1, 2], kind: [1, 0] },
      pixels: [Uint8Array.of(0, 255), Uint8Array.of(255, 0)],
    };
    expect(layer.adapt(data).features).toBe(5);
    expect((await predict(again(layer), data)).toArray()).toEqual([
      [-1, 0, 1, 0, 1],
      [1, 1, 0, 1, 0],
    ]);
  });

  it('says what numbers for its columns become', () => {
    const model = new Sequential([new Columns({ table: make(), kind: new OneHot(2) }), new Dense(9, 1)]);
    const { inputDtype } = conversionFor(model);
    const paths = ['table.city', 'table.size', 'table.place', 'kind', 'other'];
    expect(paths.map(inputDtype)).toEqual(['int32', 'float32', 'float32', 'int32', 'float32']);
    // The name of one column may begin as that of another.
    const alike = new Columns({
      day: new Normalize(1),
      'day.week': new OneHot(7),
      'day.week.end': new Normalize(1),
    });
    const own = ['day', 'day.week', 'day.week.end'].map((name) => alike.inputDtypeAt(name, 'float64'));
    expect(own).toEqual(['float64', 'int32', 'float64']);
    expect(
      conversionFor(new Sequential([new Rescale(1), new Dense(1, 1, { dtype: 'float64' })])).inputDtype(''),
    ).toBe('float64');
  });

  it('adapts all of it or nothing', () => {
    const layer = make().adapt(rows);
    const before = [JSON.stringify(layer), JSON.stringify(layer.stateDict())];
    const bad = { ...rows, city: ['x'], place: [[1, 2, 3]] };
    expect(() => layer.adapt(bad)).toThrow(ShapeError);
    expect([JSON.stringify(layer), JSON.stringify(layer.stateDict())]).toEqual(before);
    expect(layer.layers.city.layers[0].encode(['x', 'Galt']).toArray()).toEqual([0, 2]);
  });

  const layer = make().adapt(rows);
  it.each<[string, unknown, RegExp]>([
    [
      'a column that is missing',
      { city: ['a'], place: [[1, 2]] },
      /x to have the columns city, size, place; missing: size/,
    ],
    [
      'a row that lacks one',
      [table[0], { city: 'a', size: 1 }],
      /each row of x to have place, got none at row 1/,
    ],
    ['a row that is none', [table[0], 3], /got 3 at row 1/],
    ['no table', 'text', /columns city, size, place, or an array of such rows, got "text"/],
    ['numbers for text', { ...rows, city: [1, 2, 3, 4] }, /x\.city to hold strings, got 1 at row 0/],
    ['text for numbers', { ...rows, size: ['a', 'b', 'c', 'd'] }, /x\.size: .*got "a"/],
    ['text in a row', [{ ...table[0], size: '12' }], /x\.size: .*got "12"/],
    ['other lengths', { ...rows, size: [1, 2] }, /x\.city and x\.size to hold as many examples, got 4 and 2/],
    ['NaN', { ...rows, size: [1, 2, Number.NaN, 4] }, /x\.size to hold finite numbers, got NaN at row 2/],
    ['a string for a column', { ...rows, city: 'Galt' }, /x\.city/],
  ])('refuses %s', async (_, x, message) => {
    for (const compiled of [true, false]) {
      const error = await rejection(predict(layer, x as never, { compiled }));
      expect(error).toBeInstanceOf(AxpyError);
      expect(error.message).toMatch(message);
    }
    const model = new Sequential([layer, new Dense(7, 1)]);
    const optimizer = new SGD(model.parameters(), { learningRate: 0.1 });
    const error = await rejection(fit(model, { x: x as never, y }, { loss: 'mse', optimizer }));
    expect(error.message).toMatch(message);
  });

  it.each<[string, () => unknown]>([
    ['no layers', () => new Columns({})],
    ['an array', () => new Columns([new ReluLike()] as never)],
    ['something else than layers', () => new Columns({ a: 3 as never })],
    ['widths of nothing', () => new Columns({ a: new OneHot(2) }, { widths: { b: 1 } })],
    ['a bad width', () => new Columns({ a: new OneHot(2) }, { widths: { a: -1 } })],
    ['widths that are none', () => new Columns({ a: new OneHot(2) }, { widths: 3 as never })],
    ['no number of features yet', () => make().features],
    ['a tensor', () => layer.forward(tensor([1]) as never)],
    [
      'indices side by side',
      () => new Columns({ a: new StringLookup(['p']) }).forward({ a: tensor([1], { dtype: 'int32' }) }),
    ],
    ['a column without a tensor', () => layer.forward({} as never)],
    ['nothing to learn', () => new Sequential([new Dense(1, 1)]).adapt([[1]])],
  ])('refuses %s', (_, act) => {
    thrown(act);
  });

  class ReluLike extends Layer {
    forward(x: Tensor): Tensor {
      return x.relu();
    }
  }
});

describe('Sequential.adapt', () => {
  it('leaves layers in layers of one’s own to those, and calls an adapt of theirs', () => {
    class Own extends Layer {
      readonly inner = new Normalize(1);
      forward(x: Tensor): Tensor {
        return this.inner.forward(x);
      }
    }
    class Learning extends Own {
      adapt(x: number[][]): void {
        this.inner.adapt(x);
      }
    }
    const model = new Sequential([new Own(), new Normalize(1)]).adapt([[1], [3]]);
    expect([model.layers[0].inner.mean.item(), model.layers[1].mean.item()]).toEqual([0, 2]);
    expect(() => new Sequential([new Own()]).adapt([[1]])).toThrow(/learns by adapt/);
    const other = new Sequential([new Learning(), new Rescale(1)]).adapt([[1], [3]]);
    expect(other.layers[0].inner.mean.item()).toBe(2);
    class Failing extends Learning {
      override adapt(x: number[][]): void {
        super.adapt(x);
        throw new RangeError('of its own');
      }
    }
    const failing = new Sequential([new Normalize(1), new Failing()]);
    expect(() => failing.adapt([[1], [3]])).toThrow(RangeError);
    expect(failing.namedBuffers().map(([, buffer]) => buffer.item())).toEqual([0, 1, 0, 1]);
    const itself = new Sequential([new Rescale(2)]);
    (itself.layers as unknown as Layer[]).push(itself);
    expect(() => itself.adapt([[1]])).toThrow(/learns by adapt/);
  });

  it('lets each layer learn from what those before it make', async () => {
    const model = new Sequential([new Normalize(1), new Rescale(10, 5), new Normalize(1), new Dense(1, 1)]);
    const x = [[1], [2], [6]];
    model.adapt(x);
    expect(model.layers[0].mean.item()).toBe(3);
    expect(model.layers[2].mean.item()).toBeCloseTo(5, 6);
    expect(model.layers[2].variance.item()).toBeCloseTo(100, 4);
    expect(() => model.adapt([[1], [Number.NaN]])).toThrow(DataError);
    expect(model.layers[0].mean.item()).toBe(3);
    const nested = new Sequential([new Sequential([new StringLookup(), new OneHot()])]).adapt(['a', 'b']);
    expect((await predict(nested, ['b', 'c'])).toArray()).toEqual([
      [0, 1, 0],
      [1, 0, 0],
    ]);
  });

  it.each<[string, (batches: number[][][]) => unknown]>([
    ['a set', (batches) => new Set(batches)],
    ['a generator, which comes once,', (batches) => batches.values()],
  ])('takes batches from %s as one layer does', (_, given) => {
    const batches = [[[1], [2]], [[6]]];
    const layers = [
      new Normalize(1),
      new Rescale(10, 5),
      new Sequential([new Normalize(1), new Normalize(1)]),
    ];
    const [one, other] = [batches.flat(), given(batches)].map((data) => {
      const model = new Sequential([...layers]).adapt(data);
      return model.namedBuffers().map(([, buffer]) => buffer.item());
    });
    expect(one).toEqual(other);
    expect(one[0]).toBe(3);
    const city = () => new Sequential([new StringLookup(), new OneHot()]);
    const words = [['b', 'a', 'a'], ['c']];
    expect(city().adapt(given(words as never)).layers[0].vocabulary).toEqual(['a', 'c', 'b']);
    const columns = new Columns({ city: city(), size: new Normalize(1) });
    columns.adapt({ city: given(words as never), size: [1, 2] });
    expect(columns.features).toBe(5);
    expect(() => new Sequential([...layers]).adapt(given([]))).toThrow(DataError);
  });

  it('takes batches as they come where one layer learns, and keeps none', () => {
    let drawn = 0;
    function* batches() {
      for (; drawn < 4; drawn++) yield [[drawn === 1 ? Number.NaN : drawn]];
    }
    const model = new Sequential([new Normalize(1), new Dense(1, 1)]);
    expect(() => model.adapt(batches())).toThrow(DataError);
    expect(drawn).toBe(1);
  });

  it('is not in the way of a layer of one’s own that takes text for a layer in it', async () => {
    class Houses extends Layer {
      readonly names = new StringLookup(['a', 'b']);
      readonly table = new OneHot(3);
      readonly dense = new Dense(4, 1);
      override inputFrom({ city, size }: { city: string[]; size: number[][] }, name = 'x') {
        return { city: this.names.inputFrom(city, `${name}.city`), size: tensor(size) };
      }
      forward({ city, size }: { city: Tensor; size: Tensor }): Tensor {
        return this.dense.forward(concat([this.table.forward(city), size], 1));
      }
    }
    const model = new Sequential([new Houses()]);
    const x = { city: ['a', 'c'], size: [[1], [2]] };
    for (const compiled of [true, false])
      expect((await predict(model, x, { compiled })).shape).toEqual([2, 1]);
    const error = await rejection(predict(model, { ...x, city: [1] as never }));
    expect(error.message).toMatch(/x\.city to hold strings, got 1 at row 0/);
    class Wrong extends Houses {
      override inputFrom(_: never): never {
        return 3 as never;
      }
    }
    expect((await rejection(predict(new Wrong(), x as never))).message).toMatch(
      /Wrong expected inputFrom to return tensors/,
    );
  });
});

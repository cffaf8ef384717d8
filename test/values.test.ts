/** Data as people have it: typed arrays of every kind, alone and as rows, things like arrays, integers for indices. */
import { runInNewContext } from 'node:vm';
import { describe, expect, test } from 'vitest';
import {
  Dense,
  type Dtype,
  evaluate,
  fit,
  Layer,
  Parameter,
  predict,
  Sequential,
  SGD,
  seed,
  type Tensor,
  tensor,
  type Values,
} from '../lib/index.ts';

const code = (name: string) => expect.objectContaining({ code: name });

type AnyArray = new (values: readonly number[]) => ArrayLike<number>;
const { Float16Array } = globalThis as { Float16Array?: AnyArray };

const types: readonly (readonly [name: string, type: AnyArray, dtype: Dtype])[] = [
  ['Float32Array', Float32Array, 'float32'],
  ['Float64Array', Float64Array, 'float64'],
  ['Int32Array', Int32Array, 'int32'],
  ['Uint32Array', Uint32Array, 'float32'],
  ['Int16Array', Int16Array, 'float32'],
  ['Uint16Array', Uint16Array, 'float32'],
  ['Int8Array', Int8Array, 'float32'],
  ['Uint8Array', Uint8Array, 'float32'],
  ['Uint8ClampedArray', Uint8ClampedArray, 'float32'],
  ...(Float16Array ? [['Float16Array', Float16Array, 'float32'] as const] : []),
  ['Float64Array of another realm', runInNewContext('Float64Array') as AnyArray, 'float64'],
  ['Uint16Array of another realm', runInNewContext('Uint16Array') as AnyArray, 'float32'],
  ['Buffer', Buffer.from as never, 'float32'],
];
const made = (type: AnyArray, values: readonly number[]): ArrayLike<number> =>
  (type as unknown) === Buffer.from ? Buffer.from(values) : new type(values);

describe('tensor()', () => {
  test.each(types)('%s', (_, type, dtype) => {
    const row = made(type, [1, 2, 3]);
    const x = tensor(row as Values);
    expect([x.dtype, x.toArray()]).toEqual([dtype, [1, 2, 3]]);
    const rows = tensor([row, made(type, [4, 5, 6])] as Values);
    expect([rows.dtype, rows.toArray()]).toEqual([
      dtype,
      [
        [1, 2, 3],
        [4, 5, 6],
      ],
    ]);
    const deep = tensor([[[row, row]], [[row, row]]] as Values);
    expect([deep.dtype, deep.shape]).toEqual([dtype, [2, 1, 2, 3]]);
    for (const wanted of ['float32', 'float64', 'int32'] as const) {
      expect(tensor([row] as Values, { dtype: wanted }).data).toEqual(
        tensor([[1, 2, 3]], { dtype: wanted }).data,
      );
    }
    expect(tensor([row] as Values, { shape: [3, 1] }).shape).toEqual([3, 1]);
  });

  test('things like arrays, and what is readonly', () => {
    const like = { length: 2, 0: 3, 1: 4 };
    expect(tensor(like).toArray()).toEqual([3, 4]);
    expect(tensor([like, like]).toArray()).toEqual([
      [3, 4],
      [3, 4],
    ]);
    const given = (function (..._: number[]) {
      // biome-ignore lint/complexity/noArguments: what it looks like
      return tensor(arguments as ArrayLike<number>);
    })(1, 2);
    expect(given.toArray()).toEqual([1, 2]);
    expect(
      tensor([
        [1, 2],
        [3, 4],
      ] as const).shape,
    ).toEqual([2, 2]);
    expect(tensor(Object.freeze([Object.freeze([1, 2])])).shape).toEqual([1, 2]);
    expect(tensor(runInNewContext('[[1, 2]]') as number[][]).shape).toEqual([1, 2]);
    expect(tensor([]).dtype).toBe('float32');
    expect(tensor([new Float64Array(0)]).shape).toEqual([1, 0]);
  });

  const detached = new Float32Array(2);
  structuredClone(detached.buffer, { transfer: [detached.buffer] });

  test.each<[string, () => unknown, RegExp]>([
    [
      'rows of two dtypes',
      () => tensor([Float64Array.of(1), Float32Array.of(1)]),
      /float64 and float32 at values\[1\]: choose/,
    ],
    ['a plain row among others', () => tensor([Int32Array.of(1), [1]]), /int32 and float32 at values\[1\]/],
    [
      'rows of BigInts',
      () => tensor([[1], new BigInt64Array(1)] as never),
      /numbers at values\[1\], got an object of class BigInt64/,
    ],
    [
      'a first row of BigInts',
      () => tensor([new BigUint64Array(1)] as never),
      /numbers at values\[0\], got .* BigUint64/,
    ],
    [
      'a DataView',
      () => tensor(new DataView(new ArrayBuffer(4)) as never),
      /got an object of class DataView/,
    ],
    [
      'a DataView as a row',
      () => tensor([[1], new DataView(new ArrayBuffer(4))] as never),
      /values\[1\], got .*DataView/,
    ],
    [
      'a detached row',
      () => tensor([new Float32Array(2), detached]),
      /values\[1\], got an array whose buffer was detached/,
    ],
    [
      'a detached first row',
      () => tensor([detached, detached]),
      /values\[0\], got an array whose buffer was detached/,
    ],
    [
      'rows of two lengths',
      () => tensor([new Float32Array(2), new Float32Array(3)]),
      /an array of 2 at values\[1\], got one of 3|got an object/,
    ],
    [
      'a row where there should be rows',
      () => tensor([[[1], [2]], Float32Array.of(1, 2)]),
      /an array of 2 at values\[1\], got an object of class Float32Array/,
    ],
    [
      'a row where there should be a number',
      () => tensor([1, Float32Array.of(1)] as never),
      /a number at values\[1\], got/,
    ],
    [
      'a fraction in a row for int32',
      () => tensor([Float32Array.of(1, 1.5)], { dtype: 'int32' }),
      /integers for int32, got 1.5 at position 1/,
    ],
    [
      'more than int32 holds',
      () => tensor([[Uint32Array.of(1)], [Uint32Array.of(2 ** 31)]], { dtype: 'int32' }),
      /got 2147483648 at position 1/,
    ],
    ['text', () => tensor('12' as never), /a number at values, got "12"/],
    ['text in an object', () => tensor(new String('12') as never), /a number at values\[0\], got "1"/],
    ['a record', () => tensor({ a: 1 } as never), /a number at values, got an object/],
    [
      'a number deep down',
      () => tensor([[[1, 2]], [[3, null]]] as never),
      /a number at values\[1\]\[0\]\[1\], got null/,
    ],
    [
      'a length beyond measure',
      () => tensor({ length: 3, 0: 1, 1: 2 }),
      /a number at values\[2\], got undefined/,
    ],
  ])('refuses %s', (_, call, message) => {
    expect(call).toThrow(code('AXPY_DATA'));
    expect(call).toThrow(message);
  });

  test('a shape beyond measure is refused before anything is read', () => {
    expect(() => tensor({ length: 2 ** 40, 0: 1 })).toThrow(code('AXPY_SHAPE'));
  });
});

describe('data of fit, evaluate and predict', () => {
  const options = (model: Layer) => ({
    loss: 'mse' as const,
    optimizer: new SGD(model.parameters(), { learningRate: 0.1 }),
    epochs: 2,
  });
  const rows = [
    [0, 1],
    [1, 0],
    [1, 1],
  ];
  const targets = [[1], [0], [1]];

  test.each(types)('rows and batches of %s give what numbers do', async (_, type) => {
    const typed = (list: readonly number[][]) =>
      list.map((row) => made(type, row)) as unknown as Float32Array[];
    const train = async (x: Float32Array[] | number[][], y: Float32Array[] | number[][]) => {
      seed(1);
      const model = new Dense(2, 1);
      const { epochs } = await fit(model, { x, y }, options(model));
      const last = await fit(model, [{ x, y }], options(model));
      const { loss } = await evaluate(model, { x, y }, { loss: 'mse' });
      return [epochs[1].loss, last.epochs[1].loss, loss, (await predict(model, x)).toArray()];
    };
    expect(await train(typed(rows), typed(targets))).toEqual(await train(rows, targets));
  });

  test('labels in a typed array, or in what looks like an array', async () => {
    const model = new Dense(2, 2);
    const optimizer = new SGD(model.parameters(), { learningRate: 0.1 });
    const x = [Float32Array.of(0, 1), Float32Array.of(1, 0)];
    for (const y of [Uint8Array.of(0, 1), Int16Array.of(0, 1), { length: 2, 0: 0, 1: 1 }]) {
      const { epochs } = await fit(
        model,
        { x, y },
        { loss: 'softmaxCrossEntropy', optimizer, metrics: ['accuracy'] },
      );
      expect(epochs).toHaveLength(1);
    }
  });

  test('a record of rows is one of inputs', async () => {
    class Sum extends Layer {
      readonly weight = new Parameter([1]);
      forward({ a, b }: { a: Tensor; b: Tensor }): Tensor {
        return a.add(b).mul(this.weight);
      }
    }
    const model = new Sum();
    model.weight.assign([2]);
    const y = await predict(model, { a: rows.map((row) => Float32Array.from(row)), b: rows });
    expect(y.toArray()).toEqual([
      [0, 4],
      [4, 0],
      [4, 4],
    ]);
  });
});

describe('a layer that says what its input is', () => {
  /** Rows of a table by their number. */
  class Embedding extends Layer {
    override readonly inputDtype = 'int32';
    readonly weight = new Parameter([5, 2]);
    forward(indices: Tensor<'int32'>): Tensor {
      return this.weight.gather(indices);
    }
  }

  /** Words by their number beside measurements. */
  class Mixed extends Layer {
    override readonly inputDtype = { words: 'int32' } as const;
    readonly table = new Embedding();
    readonly dense = new Dense(2, 1);
    forward({ words, sizes }: { words: Tensor; sizes: Tensor }): Tensor {
      return this.dense.forward(this.table.forward(words).add(sizes));
    }
  }

  test('is given int32 by predict, evaluate and fit, in memory and in batches', async () => {
    seed(2);
    const table = new Embedding();
    table.weight.assign([
      [0, 1],
      [2, 3],
      [4, 5],
      [6, 7],
      [8, 9],
    ]);
    expect((await predict(table, [1, 2, 3])).toArray()).toEqual([
      [2, 3],
      [4, 5],
      [6, 7],
    ]);
    expect((await predict(table, Uint8Array.of(4))).toArray()).toEqual([[8, 9]]);
    const model = new Sequential([table, new Dense(2, 1)]);
    const nested = new Sequential([model]);
    const data = { x: [0, 1, 2, 3], y: [[0], [1], [2], [3]] };
    for (const own of [model, nested]) {
      const before = (await evaluate(own, data, { loss: 'mse' })).loss;
      const optimizer = new SGD(own.parameters(), { learningRate: 0.005 });
      await fit(own, data, { loss: 'mse', optimizer, epochs: 30, batchSize: 2, validation: data });
      await fit(own, [data], { loss: 'mse', optimizer });
      expect((await evaluate(own, data, { loss: 'mse' })).loss).toBeLessThan(before!);
    }
  });

  test('names the inputs that differ', async () => {
    const model = new Mixed();
    const x = {
      words: [1, 2],
      sizes: [
        [0.5, 1],
        [1.5, 2],
      ],
    };
    expect((await predict(model, x)).shape).toEqual([2, 1]);
    const optimizer = new SGD(model.parameters(), { learningRate: 0.1 });
    await fit(model, { x, y: [[0], [1]] }, { loss: 'mse', optimizer });
  });

  test('is not given fractions, and says so where it wants nothing that is', async () => {
    await expect(predict(new Embedding(), [1.5])).rejects.toThrow(code('AXPY_DATA'));
    await expect(predict(new Embedding(), [1.5])).rejects.toThrow(/x: .*integers for int32, got 1.5/);
    class Wrong extends Embedding {
      override readonly inputDtype = 'int8' as never;
    }
    await expect(predict(new Wrong(), [1])).rejects.toThrow(/\[Wrong\] expected dtype to be .* got "int8"/);
  });
});

test('large data in nested arrays, and in rows longer than arrays grow well', () => {
  const flat = Int32Array.from({ length: 2 ** 20 }, (_, i) => i * 4001);
  const rows = tensor(flat)
    .reshape([2 ** 18, 4])
    .toArray();
  expect(tensor(rows, { dtype: 'int32' }).data.every((value, i) => value === flat[i])).toBe(true);
  const long = new Float32Array(2 ** 24 + 3);
  long[2 ** 24] = 1;
  const row = tensor(long).toArray<number[]>();
  expect([row.length, row[2 ** 24 - 1], row[2 ** 24], row[2 ** 24 + 2]]).toEqual([long.length, 0, 1, 0]);
});

import { describe, expect, it } from 'vitest';
import {
  ArgumentError,
  DataError,
  Dense,
  DtypeError,
  IndexError,
  Sequential,
  SGD,
  ShapeError,
  tensor,
} from '../../lib/index.ts';
import type { Data } from '../../lib/train/data.ts';
import { fit } from '../../lib/train/fit.ts';
import type { FitOptions } from '../../lib/train/training.ts';
import { line, linearModel, numbers, refuses, rejection } from './support.ts';

const batches = [
  { x: [[1], [2]], y: [[1], [2]] },
  { x: [[3]], y: [[3]] },
];

/** Trains a line on data for some epochs and returns the parameters and the number of steps. */
async function train(data: Data, epochs = 2): Promise<{ parameters: number[][]; steps: number }> {
  const model = linearModel(0.5);
  const optimizer = new SGD(model.parameters(), { learningRate: 0.01 });
  let steps = 0;
  const callbacks = [{ onBatchEnd: () => void steps++ }];
  await fit(model, data, { loss: 'mse', optimizer, epochs, shuffle: false, batchSize: 2, callbacks });
  return { parameters: numbers(model), steps };
}

describe('batches of the caller', () => {
  const memory = { x: [[1], [2], [3]], y: [[1], [2], [3]] };

  it.each<[string, Data]>([
    ['an array', batches],
    ['tensors in an array', batches.map(({ x, y }) => ({ x: tensor(x), y: tensor(y) }))],
    ['a set', new Set(batches)],
    [
      'an async iterable',
      {
        async *[Symbol.asyncIterator]() {
          for (const batch of batches) {
            await null;
            yield batch;
          }
        },
      },
    ],
    [
      'a generator function',
      function* () {
        yield* batches;
      },
    ],
    [
      'an async generator function',
      async function* () {
        yield* batches;
      },
    ],
    ['a function that returns an array', () => batches],
    ['a function that returns a promise', async () => batches],
  ])('%s trains as the same examples in memory', async (_, data) => {
    expect(await train(data)).toEqual(await train(memory));
    expect((await train(data)).steps).toBe(4);
  });

  it('a generator lasts one epoch', async () => {
    const once = () => batches[Symbol.iterator]();
    const data = (function* () {
      yield* once();
    })();
    expect((await train(data, 1)).steps).toBe(2);
  });

  it('a generator used up is refused in the second epoch', async () => {
    const data = (function* () {
      yield* batches;
    })();
    const error = await rejection(train(data, 2));
    expect(error).toBeInstanceOf(DataError);
    expect((error as Error).message).toMatch(/pass 2, got none: a generator runs only once; pass a function/);
  });

  it('a validation generator used up is refused too', async () => {
    const model = linearModel();
    const optimizer = new SGD(model.parameters(), { learningRate: 0.1 });
    const validation = (function* () {
      yield* batches;
    })();
    const error = await rejection(fit(model, line(4), { loss: 'mse', optimizer, epochs: 2, validation }));
    expect(error).toBeInstanceOf(DataError);
    expect((error as Error).message).toMatch(/expected validation to give its batches again/);
  });

  it('is closed when training ends early', async () => {
    let closed = 0;
    const data = function* () {
      try {
        yield* batches;
      } finally {
        closed++;
      }
    };
    const model = linearModel();
    const optimizer = new SGD(model.parameters(), { learningRate: 0.1 });
    const fails = () => {
      throw new Error('no');
    };
    await rejection(fit(model, data, { loss: fails, optimizer }));
    expect(closed).toBe(1);
    await fit(model, data, {
      loss: 'mse',
      optimizer,
      callbacks: [{ onBatchEnd: ({ stop }) => stop('enough') }],
    });
    expect(closed).toBe(2);
  });

  it('passes on what the caller throws', async () => {
    const reason = new Error('the database is gone');
    const data = async function* () {
      yield batches[0];
      throw reason;
    };
    expect(await rejection(train(data))).toBe(reason);
  });
});

describe('what cannot be used is refused, with nothing changed', () => {
  const bad = (data: unknown, options: Partial<FitOptions> = {}) => {
    const model = linearModel(0.5, 0.25);
    const optimizer = new SGD(model.parameters(), { learningRate: 0.1 });
    return { model, act: () => fit(model, data as Data, { loss: 'mse', optimizer, ...options }) };
  };

  it.each<[string, unknown, typeof DataError | typeof ShapeError, RegExp]>([
    ['no data', undefined, DataError, /expected data to be \{ x, y \}, an iterable .* got undefined/],
    ['a number', 3, DataError, /got 3$/],
    ['no y', { x: [[1]] }, DataError, /expected data to be \{ x, y \}/],
    ['y undefined', { x: [[1]], y: undefined }, DataError, /expected y, got none/],
    ['no examples', { x: [], y: [] }, DataError, /expected at least one example in x, got none/],
    [
      'no examples in tensors',
      { x: tensor([], { shape: [0, 1] }), y: tensor([], { shape: [0, 1] }) },
      DataError,
      /at least one example/,
    ],
    ['x longer than y', { x: [[1], [2]], y: [[1]] }, ShapeError, /as many examples, got 2 and 1/],
    ['a single number', { x: 1, y: 1 }, ShapeError, /expected x to be \[examples, \.\.\.\]/],
    ['ragged rows', { x: [[1], [2, 3]], y: [[1], [2]] }, DataError, /^x: .*values\[1\]/],
    ['a string', { x: [[1]], y: [['a']] }, DataError, /^y: .*values\[0\]\[0\], got "a"/],
    [
      'NaN in x',
      { x: [[1], [2], [Number.NaN]], y: [[1], [2], [3]] },
      DataError,
      /expected x to hold finite numbers, got NaN at row 2, position 0 \(counted from 0\)/,
    ],
    [
      'Infinity in y',
      { x: [[1], [2]], y: [[0], [Infinity]] },
      DataError,
      /expected y to hold finite numbers, got Infinity at row 1, position 0/,
    ],
    [
      'NaN deep in a tensor',
      {
        x: tensor([
          [
            [1, 2],
            [3, -Infinity],
          ],
        ]),
        y: [[1]],
      },
      DataError,
      /x .* -Infinity at row 0, position 3/,
    ],
    ['an empty iterable', [], DataError, /expected at least one batch in data, got none/],
    [
      'batches that are none',
      [[[1]], [[2]]],
      DataError,
      /expected batch 1 of data to be \{ x, y \}, got an array/,
    ],
    ['an empty batch', [{ x: [], y: [] }], DataError, /in x of batch 1 of data, got none/],
    ['NaN in a batch', [{ x: [[Number.NaN]], y: [[1]] }], DataError, /x of batch 1 of data .* NaN at row 0/],
    ['a function that returns no iterable', () => 3, DataError, /function data to return an iterable/],
    [
      'the wrong number of features',
      { x: [[1, 2]], y: [[1]] },
      ShapeError,
      /Dense 1 expected input \[batch, 1\]/,
    ],
    ['the wrong number of outputs', { x: [[1]], y: [[1, 2]] }, ShapeError, /one shape/],
  ])('%s', async (_, data, kind, message) => {
    const { model, act } = bad(data);
    await refuses(model, act, kind, message);
  });

  it('bad validation data, before training', async () => {
    const validation = { x: [[1], [Number.NaN]], y: [[1], [2]] };
    const { model, act } = bad(line(4), { validation });
    await refuses(
      model,
      act,
      DataError,
      /validation\.x to hold finite numbers, got NaN at row 1, position 0/,
    );
    const empty = bad(line(4), { validation: { x: [], y: [] } });
    await refuses(empty.model, empty.act, DataError, /at least one example in validation\.x/);
  });

  it('labels that are no integers, or no classes', async () => {
    const model = new Sequential([new Dense(1, 2)]);
    const optimizer = new SGD(model.parameters(), { learningRate: 0.1 });
    const run = (y: number[] | Float64Array) => () =>
      fit(model, { x: [[1], [2]], y }, { loss: 'softmaxCrossEntropy', optimizer });
    await refuses(
      model,
      run([0, 0.5]),
      DataError,
      /integer labels for softmaxCrossEntropy, got 0\.5 at row 1/,
    );
    await refuses(model, run(Float64Array.of(Number.NaN, 1)), DataError, /got NaN at row 0/);
    await refuses(model, run([0, 2]), IndexError, /2/);
  });

  it('a tensor of another dtype', async () => {
    const { model, act } = bad({ x: tensor([[1]], { dtype: 'float64' }), y: [[1]] });
    await refuses(model, act, DtypeError, /Dense 1 expected float32 input, received float64/);
  });

  const cases: [string, object, RegExp][] = [
    ['epochs 0', { epochs: 0 }, /expected epochs to be an integer of at least 1, got 0/],
    ['half an epoch', { epochs: 1.5 }, /epochs/],
    ['epochs as a string', { epochs: '3' }, /epochs .* got "3"/],
    ['batchSize 0', { batchSize: 0 }, /expected batchSize to be an integer of at least 1, got 0/],
    ['batchSize NaN', { batchSize: Number.NaN }, /batchSize/],
    ['an unknown loss', { loss: 'mean' }, /expected loss to be one of .*mse, .* got "mean"/],
    ['no loss', { loss: undefined }, /expected loss/],
    ['no optimizer', { optimizer: undefined }, /expected optimizer to be an Optimizer, got undefined/],
    ['an optimizer by name', { optimizer: 'adam' }, /expected optimizer to be an Optimizer, got "adam"/],
    ['an unknown metric', { metrics: ['acuracy'] }, /one of accuracy, .*topK, .*got "acuracy"/],
    ['metrics as a string', { metrics: 'accuracy' }, /expected metrics to be an array, got "accuracy"/],
    ['a metric twice', { metrics: ['accuracy', 'accuracy'] }, /each metric once/],
    ['callbacks as an object', { callbacks: {} }, /expected callbacks to be an array/],
    ['a callback as a function', { callbacks: [() => {}] }, /each callback to be an object, got a function/],
    ['shuffle as a number', { shuffle: 1 }, /expected shuffle to be true or false, got 1/],
    ['progress as a string', { progress: 'bar' }, /expected progress to be true or false/],
    ['a signal as an object', { signal: {} }, /expected signal to be an AbortSignal/],
    ['a negative seed', { seed: -1 }, /expected an integer from 0/],
    ['a misspelt option', { epoch: 3 }, /expected options among loss, .* got epoch$/],
  ];
  it.each(cases)('%s', async (_, options, message) => {
    const { model, act } = bad(line(4), options as Partial<FitOptions>);
    await refuses(model, act, ArgumentError, message);
  });

  it('no options, no model', async () => {
    const model = linearModel();
    await refuses(model, () => fit(model, line(4), undefined as never), ArgumentError, /options/);
    await refuses(model, () => fit({} as never, line(4), {} as never), ArgumentError, /model to be a Layer/);
  });

  it("another model's optimizer", async () => {
    const other = linearModel();
    const optimizer = new SGD(other.parameters(), { learningRate: 0.1 });
    const { model, act } = bad(line(4), { optimizer });
    await refuses(model, act, ArgumentError, /an optimizer of parameters of the model/);
  });

  it('a model that is in training', async () => {
    const model = linearModel();
    const optimizer = new SGD(model.parameters(), { learningRate: 0.1 });
    const first = fit(model, line(64), { loss: 'mse', optimizer });
    const error = await rejection(fit(model, line(64), { loss: 'mse', optimizer }));
    expect(error).toBeInstanceOf(ArgumentError);
    expect((error as Error).message).toMatch(/not in training already/);
    await first;
    await fit(model, line(64), { loss: 'mse', optimizer });
  });
});

/** Several inputs, targets and outputs. */
import { describe, expect, it } from 'vitest';
import {
  ArgumentError,
  AxpyError,
  concat,
  DataError,
  Dense,
  evaluate,
  fit,
  Layer,
  losses,
  Parameter,
  predict,
  randn,
  Sequential,
  SGD,
  ShapeError,
  seed,
  type Tensor,
  tensor,
} from '../../lib/index.ts';
import { numbers, refuses, rejection } from './support.ts';

/** a·A + b·B, of two arguments. */
class Two extends Layer {
  readonly a = new Dense(2, 1, { bias: false });
  readonly b = new Dense(3, 1, { bias: false });
  forward(a: Tensor, b: Tensor): Tensor {
    return this.a.forward(a).add(this.b.forward(b));
  }
}

/** The same of a record, which it gives back in parts. */
class Parts extends Layer {
  readonly a = new Dense(2, 1, { bias: false });
  readonly b = new Dense(3, 1, { bias: false });
  forward({ image, meta: [meta] }: { image: Tensor; meta: [Tensor] }) {
    const [first, second] = [this.a.forward(image), this.b.forward(meta)];
    return {
      sum: first.add(second),
      parts: [first, second] as const,
      by: new Map([['second', second]]),
      flag: true,
    };
  }
}

/** The same model on the inputs side by side. */
class Joined extends Layer {
  readonly weight = new Parameter([1, 5]);
  forward(x: Tensor): Tensor {
    return x.matmul(this.weight, { transposeB: true });
  }
}

const rows = 20;

function examples() {
  seed(3);
  const [a, b, y] = [randn([rows, 2]), randn([rows, 3]), randn([rows, 1])];
  return { a, b, y, joined: concat([a, b], 1) };
}

/** A model of two layers and one of a single weight, which begin alike. */
function pair<Kind extends Two | Parts>(model: Kind): { model: Kind; joined: Joined } {
  const joined = new Joined();
  joined.weight.assign([[...model.a.weight.data, ...model.b.weight.data]]);
  return { model, joined };
}

/** What both learn in some steps, of batches with a smaller last one, is the same but for the order of sums. */
async function learnAlike<Kind extends Two | Parts>(
  model: Kind,
  train: (model: Kind, optimizer: SGD) => Promise<unknown>,
  compiled: boolean,
): Promise<void> {
  const { joined: x, y } = examples();
  const { joined } = pair(model);
  await train(model, new SGD(model.parameters(), { learningRate: 0.1 }));
  const optimizer = new SGD(joined.parameters(), { learningRate: 0.1 });
  await fit(joined, { x, y }, { loss: 'mse', optimizer, batchSize: 8, epochs: 3, seed: 5, compiled });
  const learnt = [...model.a.weight.data, ...model.b.weight.data];
  learnt.forEach((value, i) => {
    expect(value).toBeCloseTo(joined.weight.data[i], 5);
  });
}

describe.each([true, false])('compiled %s', (compiled) => {
  const options = { batchSize: 8, epochs: 3, seed: 5, compiled };

  it('an array of tensors is given as several arguments', async () => {
    const { a, b, y } = examples();
    await learnAlike(
      new Two(),
      (model, optimizer) => fit(model, { x: [a, b], y }, { loss: 'mse', optimizer, ...options }),
      compiled,
    );
  });

  it('a record is given as one; loss and metrics see what the model returned, and y', async () => {
    const { a, b, y } = examples();
    const seen: unknown[] = [];
    await learnAlike(
      new Parts(),
      async (model, optimizer) => {
        const data = { x: { image: a, meta: [b] }, y: { target: y, pair: [y, y] } };
        const { epochs } = await fit(model, data, {
          loss: (prediction, target) => losses.mse(prediction.sum, target.target),
          metrics: [
            function error(prediction, target) {
              seen.push(
                Object.keys(prediction),
                prediction.by.get('second')!.shape[0] === target.pair[1].shape[0],
              );
              return losses.mse(prediction.parts[0].add(prediction.parts[1]), target.pair[0]);
            },
          ],
          optimizer,
          validation: data,
          ...options,
        });
        expect(epochs[2].error).toBeCloseTo(epochs[2].loss, 5);
        expect(epochs[2].validation!.error).toBeCloseTo(epochs[2].validation!.loss!, 5);
      },
      compiled,
    );
    expect(seen.slice(0, 2)).toEqual([['sum', 'parts', 'by', 'flag'], true]);
  });

  it('batches of an iterable may be of several structures and sizes', async () => {
    const { a, b, y } = examples();
    class Either extends Two {
      override forward(a: Tensor | { a: Tensor }, b?: Tensor): Tensor {
        const first = 'a' in a ? a.a : a;
        return b === undefined ? this.a.forward(first) : super.forward(first, b);
      }
    }
    const batches = () =>
      [
        { x: [a, b], y },
        { x: { a }, y },
        { x: a, y },
        { x: [a.slice([[0, 4]]), b.slice([[0, 4]])], y: y.slice([[0, 4]]) },
        { x: [a, b], y },
      ] as const;
    const models = [true, false].map(() => new Either());
    models[1].loadStateDict(models[0].stateDict());
    for (const [i, model] of models.entries()) {
      const optimizer = new SGD(model.parameters(), { learningRate: 0.1 });
      const compiledNow = compiled && i === 0;
      await fit(model, batches, { loss: 'mse', optimizer, epochs: 3, compiled: compiledNow });
    }
    expect(numbers(models[0])).toEqual(numbers(models[1]));
  });

  it('predict and evaluate take several, and outputs keep their structure', async () => {
    const { a, b, y } = examples();
    const { model, joined } = pair(new Parts());
    const expected = await predict(joined, concat([a, b], 1), { compiled });
    const x = { image: a, meta: [b] };
    const y2 = await predict(model, x, { batchSize: 7, compiled });
    expect(y2.flag).toBe(true);
    expect(y2.sum.shape).toEqual([rows, 1]);
    expected.data.forEach((value, i) => {
      expect(y2.sum.data[i]).toBeCloseTo(value, 5);
      expect(y2.parts[0].data[i] + y2.parts[1].data[i]).toBeCloseTo(value, 5);
    });
    expect(y2.by.get('second')!.toArray()).toEqual(y2.parts[1].toArray());
    const loss = (prediction: { sum: Tensor }, target: Tensor) => losses.mse(prediction.sum, target);
    const scores = await evaluate(model, { x, y }, { loss, batchSize: 7, compiled });
    const whole = await evaluate(joined, { x: concat([a, b], 1), y }, { loss: 'mse', compiled });
    expect(scores.loss).toBeCloseTo(whole.loss!, 5);
  });
});

describe('inputs', () => {
  it('are several only where tensors or records are in the array', async () => {
    const model = new Dense(2, 1);
    const x = [
      [1, 2],
      [3, 4],
    ];
    expect((await predict(model, x)).shape).toEqual([2, 1]);
    const two = new Two();
    const y = await predict(two, [
      tensor(x),
      [
        [1, 2, 3],
        [4, 5, 6],
      ],
    ]);
    expect(y.shape).toEqual([2, 1]);
  });

  it('go through a Sequential to its first layer', async () => {
    const model = new Sequential([new Two(), new Dense(1, 3)]);
    expect((await predict(model, [randn([4, 2]), randn([4, 3])])).shape).toEqual([4, 3]);
  });

  it('are taken into the model as float64 where it is', async () => {
    class Wide extends Layer {
      readonly weight = new Parameter([2, 2], 'float64');
      forward({ x }: { x: Tensor }): Tensor {
        return x.matmul(this.weight);
      }
    }
    const y = await predict(new Wide(), { x: [[1, 2]] });
    expect(y.dtype).toBe('float64');
  });

  it('of one kind only go where they are known: no metric takes one of several outputs by itself', async () => {
    const { a, b, y } = examples();
    const model = new Parts();
    const x = { image: a, meta: [b] };
    const loss = (prediction: { sum: Tensor }, target: Tensor) => losses.mse(prediction.sum, target);
    const act = (metric: 'accuracy' | 'r2' | 'topK' | 'meanAbsoluteError') => () =>
      evaluate(model, { x, y }, { loss, metrics: [metric] });
    await refuses(
      model,
      act('accuracy'),
      ArgumentError,
      /\[accuracy\] expected the prediction to be a tensor/,
    );
    await refuses(model, act('r2'), ArgumentError, /\[r2\] expected the prediction to be a tensor/);
    await refuses(model, act('topK'), ArgumentError, /\[topK\] expected the prediction to be a tensor/);
    await refuses(model, () => evaluate(model, { x, y }, { loss: 'mse' }), ArgumentError, /prediction/);
  });
});

describe('what is refused', () => {
  const { a, b, y } = examples();
  const itself: unknown[] = [a];
  itself.push(itself);

  it.each<[string, unknown, typeof DataError, RegExp]>([
    [
      'different lengths',
      { x: [a, b.slice([[0, 3]])], y },
      ShapeError,
      /expected x\.0 and x\.1 to hold as many examples, got 20 and 3/,
    ],
    [
      'a target of another length',
      { x: { image: a, meta: [b] }, y: { z: y.slice([[0, 3]]) } },
      ShapeError,
      /x\.image and y\.z/,
    ],
    [
      'a number among them',
      { x: [a, tensor(3)], y },
      ShapeError,
      /expected x\.1 to be \[examples, \.\.\.\], got a single value/,
    ],
    ['text among them', { x: [a, 'text'], y }, DataError, /x\.1: /],
    ['nothing among them', { x: { image: a, meta: undefined }, y }, DataError, /x\.meta: /],
    [
      'NaN, by its place',
      { x: [a, b.mul(Number.NaN)], y },
      DataError,
      /expected x\.1 to hold finite numbers, got NaN at row 0/,
    ],
    ['an empty record', { x: {}, y }, DataError, /expected at least one tensor in x, got none/],
    ['an empty record within', { x: [a, {}], y }, DataError, /expected at least one tensor in x\.1/],
    ['an empty array', { x: [], y: [] }, DataError, /expected at least one example in x/],
    ['a Map', { x: new Map([['a', a]]), y }, DataError, /^x: .* got an object of class Map/],
    ['what holds itself', { x: itself, y }, DataError, /levels deep/],
    [
      'something else',
      { x: a, y, mask: y },
      DataError,
      /expected data to be \{ x, y \}, with sampleWeight .* got "mask" as well/,
    ],
    [
      'something else in a batch',
      [{ x: a, y, mask: y }],
      DataError,
      /expected batch 1 of data to be .* got "mask" as well/,
    ],
    [
      'something else in a later batch',
      () => [
        { x: a, y },
        { x: a, y, weight: y },
      ],
      DataError,
      /batch 2 of data .* "weight" as well/,
    ],
  ])('%s', async (_, data, kind, message) => {
    const model = new Dense(2, 1);
    const optimizer = new SGD(model.parameters(), { learningRate: 0 });
    await refuses(model, () => fit(model, data as never, { loss: 'mse', optimizer }), kind, message);
    await refuses(model, () => evaluate(model, data as never, { loss: 'mse' }), kind, message);
  });

  it('something else in the validation', async () => {
    const model = new Dense(2, 1);
    const optimizer = new SGD(model.parameters(), { learningRate: 0.1 });
    const validation = { x: a, y, mask: y };
    const act = () => fit(model, { x: a, y }, { loss: 'mse', optimizer, validation });
    await refuses(model, act, DataError, /expected validation to be .* got "mask" as well/);
  });

  it.each<[string, (x: Tensor) => unknown]>([
    ['nothing', () => undefined],
    ['a record without tensors', () => ({ a: 1 })],
    ['a Set', (x) => new Set([x])],
    ['an empty array', () => []],
  ])('an output that is %s', async (_, output) => {
    class Returns extends Layer {
      forward(x: Tensor): unknown {
        return output(x);
      }
    }
    const error = (await rejection(predict(new Returns(), a))) as Error;
    expect(error).toBeInstanceOf(ArgumentError);
    expect(error.message).toMatch(/\[Returns\] expected the output of forward to be a tensor/);
  });

  it('outputs that do not keep the examples apart', async () => {
    class Means extends Layer {
      forward(x: Tensor) {
        return { x, mean: x.mean() };
      }
    }
    const error = (await rejection(predict(new Means(), a))) as Error;
    expect(error.message).toMatch(/\[predict\] expected an output of 20 rows for as many examples, got \[\]/);
  });
});

it('a loss that is not finite names the layer, for several inputs as well', async () => {
  const { a, b, y } = examples();
  const model = new Two();
  model.b.weight.data[0] = Number.NaN;
  const optimizer = new SGD(model.parameters(), { learningRate: 0.1 });
  const error = (await rejection(fit(model, { x: [a, b], y }, { loss: 'mse', optimizer }))) as Error;
  expect(error.message).toMatch(
    /the output of b \(Dense\) is the first that is not finite \(weight of b \(Dense\) holds NaN\)/,
  );
});

describe('arrays that hold themselves', () => {
  const itself: unknown[] = [];
  itself.push(itself, itself, itself);
  // Not in a circle, but 3⁴⁰ ways down.
  let ways: unknown = [1];
  for (let i = 0; i < 40; i++) ways = [ways, ways, ways];

  it.each([
    ['one', itself],
    ['many ways to one', ways],
    ['a part', { a: itself }],
  ])('are refused soon: %s', async (_, x) => {
    expect(await rejection(predict(new Two(), x as never))).toBeInstanceOf(AxpyError);
  });
});

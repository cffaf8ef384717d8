/** Batch normalisation and the size of batches: one value per channel, and a last batch that is smaller. */
import { describe, expect, it } from 'vitest';
import {
  BatchNorm,
  batchNorm,
  Conv2D,
  compile,
  Dense,
  evaluate,
  type FitOptions,
  Flatten,
  fit,
  type Layer,
  Sequential,
  SGD,
  ShapeError,
  seed,
  type Tensor,
  tensor,
  zeros,
} from '../../lib/index.ts';
import { generator } from '../cases/generator.ts';
import { rejection } from './support.ts';

/** Rows of features around 5 with deviations about 3, and y a linear function of them. */
function data(n: number, features = 4): { x: number[][]; y: number[][] } {
  const next = generator(n);
  const x = Array.from({ length: n }, () =>
    Array.from({ length: features }, () => 5 + 6 * (next() + next() + next() - 1.5)),
  );
  return { x, y: x.map((row) => [row.reduce((a, b) => a + b) / 10 - 2]) };
}

const images = (n: number) => ({
  x: Array.from(data(n, 16).x, (row) =>
    [0, 4, 8, 12].map((i) => row.slice(i, i + 4).map((value) => [value])),
  ),
  y: data(n, 16).y,
});

const flat = () =>
  new Sequential([new Dense(4, 8), new BatchNorm(8, { activation: 'relu' }), new Dense(8, 1)]);
/** A BatchNorm that has 16 values a channel of one example, and one that has one. */
const both = () =>
  new Sequential([
    new Conv2D(1, 2, 3, { padding: 1 }),
    new BatchNorm(2),
    new Flatten(),
    new Dense(32, 4),
    new BatchNorm(4),
    new Dense(4, 1),
  ]);

/** A model that branches on a value, and so cannot be recorded. */
class Branching extends Sequential {
  override forward(x: Tensor): Tensor {
    return super.forward(x.data[0] > 1e9 ? x.neg() : x);
  }
}

const everything = (model: Layer) =>
  Object.entries(model.stateDict()).map(([name, { data: values }]) => [name, [...values]]);

const options = (model: Layer, more: Partial<FitOptions> = {}): FitOptions => ({
  loss: 'mse',
  optimizer: new SGD(model.parameters(), { learningRate: 0.02, momentum: 0.9 }),
  seed: 1,
  ...more,
});

describe.each([true, false])('compiled: %s', (compiled) => {
  const refused = async (
    model: Layer,
    examples: ReturnType<typeof data>,
    message: RegExp,
    batchSize = 32,
  ) => {
    const before = everything(model);
    const called: string[] = [];
    const callbacks = [{ onTrainBegin: () => void called.push('begin') }];
    const error = await rejection(fit(model, examples, options(model, { batchSize, compiled, callbacks })));
    expect(error).toBeInstanceOf(ShapeError);
    expect((error as Error).message).toMatch(message);
    expect(everything(model)).toEqual(before);
    expect(called).toEqual([]);
  };

  it('refuses a last batch of one value per channel before training begins', async () => {
    await refused(
      flat(),
      data(33),
      /^BatchNorm 1 expected more than one value per channel in training, received \[1, 8\]: there is no variance.*as 33 leave one over at batchSize 32: pass dropLast: true, or another batchSize$/,
    );
    await refused(flat(), data(7), /there are 7 examples at batchSize 1$/, 1);
    await refused(flat(), data(1), /there is one example at batchSize 32$/);
    const model = both();
    const { x, y } = images(5);
    await refused(
      model,
      { x: x as never, y },
      /BatchNorm 2 expected more than one value.*as 5 leave one over/,
      4,
    );
  });

  it('refuses it for a model that cannot be recorded', async () => {
    if (compiled) return;
    const model = new Branching([new Dense(4, 8), new BatchNorm(8), new Dense(8, 1)]);
    await refused(model, data(33), /as 33 leave one over/);
  });

  it('does not lay to the size of a batch what fits no batch', async () => {
    const { x, y } = data(33);
    for (const batchSize of [32, 1]) {
      const model = new Sequential([new Dense(5, 8), new Dense(8, 1)]);
      const error = await rejection(fit(model, { x, y }, options(model, { batchSize, compiled })));
      expect(error).toBeInstanceOf(ShapeError);
      expect((error as Error).message).toBe(`Dense 1 expected input [batch, 5], received [${batchSize}, 4]`);
    }
  });

  it('tries out a batch of one example before training and once an epoch, not at each step', async () => {
    let passes = 0;
    const counted = (x: Tensor) => {
      passes++;
      return x;
    };
    const model = new Sequential([new Dense(4, 1, { activation: counted })]);
    const callbacks = [{ onBatchEnd() {} }];
    const settings = options(model, { batchSize: 1, epochs: 2, compiled, callbacks });
    await fit(model, data(16), settings);
    expect(passes).toBeLessThanOrEqual(2 * 16 + 3);
  });

  it('takes such a batch where channels have more values, or the layer does not look at it', async () => {
    const convolutional = new Sequential([
      new Conv2D(1, 2, 3),
      new BatchNorm(2),
      new Flatten(),
      new Dense(8, 1),
    ]);
    await fit(convolutional, images(5), options(convolutional, { batchSize: 4, compiled }));
    const frozen = flat();
    frozen.layers[1].setRequiresGrad(false);
    await fit(frozen, data(33), options(frozen, { compiled }));
    const evaluated = flat();
    evaluated.layers[1].eval();
    await fit(evaluated, data(33), options(evaluated, { compiled }));
  });

  it('leaves out what is less than a batch with dropLast', async () => {
    const model = flat();
    const sizes: number[] = [];
    let count: number | undefined;
    await fit(
      model,
      data(70),
      options(model, {
        epochs: 2,
        dropLast: true,
        compiled,
        callbacks: [
          {
            onTrainBegin: ({ batchCount }) => {
              count = batchCount;
            },
            onBatchEnd: (_context, { size }) => void sizes.push(size),
          },
        ],
      }),
    );
    expect([count, ...sizes]).toEqual([2, 32, 32, 32, 32]);
    await fit(model, data(33), options(model, { dropLast: true, compiled }));
    await expect(fit(model, data(31), options(model, { dropLast: true, compiled }))).rejects.toThrow(
      /at least 32 examples in data, a whole batch, as dropLast leaves out what is less; got 31/,
    );
  });

  it('refuses such a batch of an iterable when it comes, with all as before that step', async () => {
    const run = async (sizes: readonly number[]) => {
      seed(3);
      const model = both();
      const own = options(model, { compiled });
      const outcome = await rejection(
        fit(
          model,
          sizes.map((n) => images(n)),
          own,
        ).then(() => Promise.reject(null)),
      );
      return {
        outcome,
        state: everything(model),
        optimizer: own.optimizer.state().map(({ values }) => [...values]),
      };
    };
    const [whole, broken] = [await run([8, 6]), await run([8, 6, 1, 8])];
    expect(whole.outcome).toBeNull();
    expect(broken.outcome).toBeInstanceOf(ShapeError);
    expect((broken.outcome as Error).message).toMatch(/^BatchNorm 2 expected more than one value/);
    expect({ ...broken, outcome: null }).toEqual(whole);
  });

  it.each([34, 40])('has the variance of the data after %i examples at batch size 32', async (n) => {
    seed(5);
    const norm = new BatchNorm(4);
    const model = new Sequential([norm, new Dense(4, 1)]);
    const examples = data(n);
    const truth = tensor(examples.x).variance(0, { correction: 1 }).data;
    let worst = 0;
    const onEpochEnd = ({ epoch }: { epoch: number }) => {
      if (epoch < 40) return;
      for (const [c, variance] of truth.entries()) {
        worst = Math.max(worst, Math.abs(norm.runningVariance.data[c] / variance - 1));
      }
    };
    const history = await fit(
      model,
      examples,
      options(model, { epochs: 80, compiled, callbacks: [{ onEpochEnd }] }),
    );
    // With a weight of 0.1 for the last batch it is off by 0.79 of the truth for n = 34, by 0.16 for 40.
    expect(worst).toBeLessThan(0.05);
    const { loss } = await evaluate(model, examples, { loss: 'mse' });
    const trained = history.epochs[79].loss;
    // That of y is 0.36; in training the two examples of the last batch are normalised by themselves.
    expect(Math.abs(loss! - trained)).toBeLessThan(0.05);
  });
});

/** The statistics after batches, by the rule of `batchNorm`, of columns in float64. */
function expected(batches: readonly number[][][], momentum: number, start: number[]): number[] {
  let [mean, variance] = start;
  let recent = 0;
  for (const rows of batches) {
    const n = rows.length;
    const values = rows.map(([value]) => value);
    const own = values.reduce((a, b) => a + b) / n;
    const most = Math.max(n, recent);
    const m = (momentum * (n - 1)) / (most - 1);
    recent = Math.max(n, most / 2);
    mean = (1 - m) * mean + m * own;
    variance = (1 - m) * variance + (m * values.reduce((s, v) => s + (v - own) ** 2, 0)) / (n - 1);
  }
  return [mean, variance];
}

describe('running statistics', () => {
  const train = (sizes: readonly number[], compiled: boolean, state?: [number, number]) => {
    const layer = new BatchNorm(1, { dtype: 'float64', momentum: 0.3 });
    if (state) {
      layer.loadStateDict({
        ...layer.stateDict(),
        runningMean: tensor([state[0]], { dtype: 'float64' }),
        runningVariance: tensor([state[1]], { dtype: 'float64' }),
      });
    }
    const step = compiled ? compile((x: Tensor) => layer.forward(x)).sync : (x: Tensor) => layer.forward(x);
    const batches = sizes.map((n, i) => data(n + 100 * i, 1).x.slice(0, n));
    for (const rows of batches) step(tensor(rows, { dtype: 'float64' }));
    const got = [layer.runningMean.data[0], layer.runningVariance.data[0]];
    return { got, batches };
  };

  it.each([true, false])("are PyTorch's for equal batches, from any state; compiled: %s", (compiled) => {
    for (const state of [undefined, [4, 7]] as const) {
      const { got, batches } = train([6, 6, 6, 6], compiled, state && [...state]);
      let [mean, variance] = state ?? [0, 1];
      for (const rows of batches) {
        const values = rows.map(([value]) => value);
        const own = values.reduce((a, b) => a + b) / 6;
        mean = 0.7 * mean + 0.3 * own;
        variance = 0.7 * variance + (0.3 * values.reduce((s, v) => s + (v - own) ** 2, 0)) / 5;
      }
      expect(got[0]).toBeCloseTo(mean, 12);
      expect(got[1]).toBeCloseTo(variance, 12);
    }
  });

  it.each([true, false])('move less for smaller batches, unless they go on; compiled: %s', (compiled) => {
    const { got, batches } = train([8, 3, 8, 2, 2, 2, 2, 2, 5], compiled);
    const [mean, variance] = expected(batches, 0.3, [0, 1]);
    expect(got[0]).toBeCloseTo(mean, 12);
    expect(got[1]).toBeCloseTo(variance, 12);
  });

  it('are those of PyTorch for a function without a count', () => {
    const statistics = { mean: zeros([1]), variance: zeros([1]) };
    batchNorm(tensor([[1], [3], [2], [2]]), null, null, statistics);
    batchNorm(tensor([[2], [6]]), null, null, statistics);
    // 0.9·0.1·2 + 0.1·4, and 0.9·0.1·2/3 + 0.1·8
    expect(statistics.mean.item()).toBeCloseTo(0.58, 6);
    expect(statistics.variance.item()).toBeCloseTo(0.86, 6);
  });
});

describe('one value per channel', () => {
  it.each([[[1, 3]], [[1, 1, 1, 3]], [[1, 0]]])('is refused in training: %j', (shape) => {
    const statistics = { mean: zeros([shape[shape.length - 1]]), variance: zeros([shape[shape.length - 1]]) };
    const { version } = statistics.mean.storage.owner;
    expect(() => batchNorm(zeros(shape), null, null, statistics)).toThrow(
      /^\[batchNorm\] expected more than one value per channel in training, got x/,
    );
    expect(statistics.mean.storage.owner.version).toBe(version);
    batchNorm(zeros(shape), null, null, statistics, { training: false });
  });
});

it('to try a batch of one example leaves no trace', async () => {
  const trained = async (compiled: boolean) => {
    seed(3);
    const model = new Sequential([
      new Conv2D(1, 2, 3, { padding: 1 }),
      new BatchNorm(2),
      new Flatten(),
      new Dense(32, 1),
    ]);
    // Smaller ones weigh less, and each of them makes the next one weigh more.
    await fit(model, [images(8), images(1), images(2), images(1)], options(model, { compiled, epochs: 2 }));
    return Object.values(model.stateDict()).map((x) => [...x.data]);
  };
  expect(await trained(false)).toEqual(await trained(true));
});

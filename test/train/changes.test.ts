/**
 * What callbacks, losses, data and layers of users change while `fit` trains: compiled, it trains as it does eagerly, to the
 * bit.
 */
import { describe, expect, test } from 'vitest';
import {
  Adam,
  BatchNorm,
  type Callback,
  Dense,
  Dropout,
  evaluate,
  type FitOptions,
  fit,
  Layer,
  losses,
  type Optimizer,
  type Parameter,
  predict,
  rand,
  randn,
  Sequential,
  SGD,
  SharedTensor,
  seed,
  type Tensor,
  tensor,
  zeros,
} from '../../lib/index.ts';
import { freeze, seen, to } from './twins.ts';

/** A training with everything that a callback may want to change. */
interface Training {
  model: Sequential;
  layers: readonly Layer[];
  optimizer: Optimizer;
  x: Tensor;
  y: Tensor;
}

/** Narrow steps run on the main thread, wide ones are long enough for the executor. */
const widths = { narrow: 4, wide: 160 };

function training(width: number, optimize: (parameters: Parameter[]) => Optimizer): Training {
  const model = new Sequential([
    new Dense(3, width, { activation: 'tanh' }),
    new BatchNorm(width),
    new Dense(width, width, { activation: 'relu' }),
    new Dropout(0.25),
    new Dense(width, 2),
  ]);
  const rows = width > 100 ? 192 : 20;
  return {
    model,
    layers: model.layers,
    optimizer: optimize(model.parameters()),
    x: randn([rows, 3]),
    y: randn([rows, 2]),
  };
}

/** The larger layers are, the smaller the steps. */
const sgd = (parameters: Parameter[]): Optimizer =>
  new SGD(parameters, { learningRate: 0.2 / parameters[0].shape[0], momentum: 0.5 });
const adam = (parameters: Parameter[]): Optimizer => new Adam(parameters, { learningRate: 0.01 });

/** What one training leaves behind: the losses of its steps and epochs, the model, the optimizer. */
async function train(
  compiled: boolean,
  width: number,
  options: (t: Training) => Partial<FitOptions>,
  optimize = sgd,
): Promise<unknown[]> {
  seed(5);
  const t = training(width, optimize);
  const steps: number[] = [];
  const { callbacks = [], ...rest } = options(t);
  const history = await fit(
    t.model,
    { x: t.x, y: t.y },
    {
      loss: 'mse',
      optimizer: t.optimizer,
      epochs: 4,
      // The last batch is smaller.
      batchSize: Math.ceil(t.x.shape[0] / 2.5),
      compiled,
      callbacks: [{ onBatchEnd: (_, { loss }) => void steps.push(loss) }, ...callbacks],
      ...rest,
    },
  );
  const epochs = history.epochs.map(({ seconds, examplesPerSecond, ...record }) => record);
  return [steps, epochs, seen(t.model), seen(t.optimizer), seen(randn([2]))];
}

/** A callback at the beginning of each epoch. */
const each = (act: (epoch: number) => unknown): { callbacks: Callback[] } => ({
  callbacks: [{ onEpochBegin: ({ epoch }) => void act(epoch) }],
});

/** A callback after each step, with the number of steps so far. */
const everyStep = (act: (step: number) => unknown): { callbacks: Callback[] } => {
  let steps = 0;
  return { callbacks: [{ onBatchEnd: () => void act(++steps) }] };
};

const cases: Record<string, (t: Training) => Partial<FitOptions>> = {
  nothing: () => ({}),
  'layers, frozen and learning by epoch': ({ layers }) =>
    each((epoch) => {
      freeze(layers[0], epoch === 2);
      freeze(layers[2], epoch === 3);
    }),
  'layers, frozen at first': ({ layers }) => {
    freeze(layers[0]);
    return each((epoch) => epoch === 3 && freeze(layers[0], false));
  },
  'layers, frozen by steps': ({ layers }) => everyStep((step) => freeze(layers[4], step % 3 === 1)),
  'layers, frozen by their own method': ({ layers }) =>
    each((epoch) =>
      (layers[0] as unknown as { setRequiresGrad(on: boolean): void }).setRequiresGrad(epoch % 2 === 0),
    ),
  'one parameter, frozen by epoch': ({ layers }) =>
    each((epoch) => {
      (layers[2] as Dense).bias!.requiresGrad = epoch > 2;
    }),
  'batch normalisation, frozen': ({ layers }) => each((epoch) => freeze(layers[1], epoch % 2 === 0)),
  'layers, not trainable at first': ({ layers }) => {
    for (const layer of layers.slice(0, 4)) layer.trainable = false;
    return each((epoch) => {
      if (epoch === 3) for (const layer of layers) layer.trainable = true;
    });
  },
  'batch normalisation, trainable by steps': ({ layers }) =>
    everyStep((step) => {
      layers[1].trainable = step % 3 > 0;
    }),
  'the model, trainable but for its last layers': ({ model, layers }) =>
    each((epoch) => {
      model.trainable = epoch % 2 === 0;
      layers[4].trainable = true;
    }),
  'batch normalisation, in evaluation mode': ({ layers }) =>
    each((epoch) => layers[1].train(epoch % 2 === 0)),
  'dropout, in evaluation mode': ({ layers }) => each((epoch) => layers[3].train(epoch % 2 === 1)),
  'the mode of the model': ({ model }) => each((epoch) => (epoch % 2 === 0 ? model.eval() : model.train())),
  'the learning rate': ({ optimizer }) =>
    everyStep((step) => {
      optimizer.learningRate *= step % 2 === 0 ? 0.5 : 1.5;
    }),
  'the weight of a loss': () => {
    let weight = 1;
    return {
      loss: (prediction, target) => losses.mse(prediction, target).mul(weight),
      ...each((epoch) => {
        weight = epoch / 2;
      }),
    };
  },
  'the weight of a loss, by steps': () => {
    let weight = 1;
    return {
      loss: (prediction, target) =>
        losses
          .mse(prediction, target)
          .mul(weight)
          .add(
            prediction
              .square()
              .mean()
              .mul(1 - weight),
          ),
      ...everyStep((step) => {
        weight = 1 / step;
      }),
    };
  },
  'the weight of a loss, a tensor': () => {
    const weight = tensor(1);
    return {
      loss: (prediction, target) => losses.mse(prediction, target).mul(weight),
      ...everyStep((step) => weight.assign(1 / step)),
    };
  },
  'the loss itself': () => {
    let loss = losses.mse;
    return {
      loss: (prediction, target) => loss(prediction, target),
      ...each((epoch) => {
        loss = epoch % 2 === 0 ? losses.meanAbsoluteError : losses.mse;
      }),
    };
  },
  'the weights of the model': ({ model, layers }) => {
    const kept = model.stateDict();
    return each((epoch) => {
      if (epoch === 2) model.loadStateDict(kept);
      if (epoch === 3) (layers[0] as Dense).weight.data.fill(0.5);
      if (epoch === 4)
        to((layers[0] as Dense).weight)
          .mul_(0.5)
          .add_(0.1);
    });
  },
  'the memory of the model': ({ model, x }) => {
    const other = training(x.shape[0] > 100 ? widths.wide : widths.narrow, sgd).model;
    return each((epoch) => epoch === 3 && model.attach(other.share()));
  },
  'the state of the optimizer': ({ optimizer, model }) => {
    const kept = optimizer.stateDict();
    return each((epoch) => {
      if (epoch === 2) optimizer.loadStateDict(kept);
      if (epoch === 3) {
        const other = new SGD(model.parameters(), {
          learningRate: optimizer.learningRate,
          momentum: 0.7,
          l2: 0.1,
        });
        optimizer.loadStateDict(other.stateDict());
      }
    });
  },
  gradients: ({ model, optimizer, x }) =>
    everyStep((step) => {
      if (step % 2 === 0) optimizer.zeroGrad();
      if (step % 3 === 0) model.forward(x).sum().backward();
    }),
  'random numbers': () => everyStep((step) => (step % 3 === 0 ? seed(step) : rand([step]))),
  'predictions and scores in between': ({ model, x, y }) => ({
    callbacks: [
      {
        onBatchEnd: async () => void (await predict(model, x)),
        onEpochEnd: async () => void (await evaluate(model, { x, y }, { loss: 'mse' })),
      },
    ],
  }),
  'a moving average of the weights': ({ model }) => {
    const sum = model.parameters().map((p) => new SharedTensor(p.shape).assign(p.detach()));
    return {
      callbacks: [
        {
          onBatchEnd: () => model.parameters().forEach((p, i) => void to(sum[i]).lerp_(p, 0.25)),
          onEpochEnd: (_, { epoch }) =>
            model.parameters().forEach((p, i) => void (epoch === 2 && p.assign(sum[i]))),
        },
      ],
    };
  },
  'validation, and metrics of ones own': ({ x, y, layers }) => ({
    validation: { x, y },
    metrics: ['meanAbsoluteError'],
    ...each((epoch) => freeze(layers[0], epoch === 2)),
  }),
};

for (const [size, width] of Object.entries(widths)) {
  describe(`changed while a ${size} model is trained`, () => {
    for (const [name, options] of Object.entries(cases)) {
      test(name, async () => {
        const eager = await train(false, width, options);
        expect(await train(true, width, options)).toEqual(eager);
        // What is changed makes a difference, or nothing was tested.
        const untouched = ['nothing', 'the mode', 'predictions', 'validation'].some((start) =>
          name.startsWith(start),
        );
        if (!untouched) expect(eager).not.toEqual(await train(false, width, cases.nothing));
      });
    }
    test('with Adam, layers frozen and learning by epoch', async () => {
      const options = cases['layers, frozen and learning by epoch'];
      expect(await train(true, width, options, adam)).toEqual(await train(false, width, options, adam));
    });
  });
}

describe('data that the caller makes', () => {
  /** A training of a line by batches, with and without a program. */
  const both = async (
    run: (
      model: Sequential,
      compiled: boolean,
    ) => { data: Parameters<typeof fit>[1]; options?: Partial<FitOptions> },
  ) => {
    const results: unknown[] = [];
    for (const compiled of [false, true]) {
      seed(2);
      const model = new Sequential([new Dense(2, 2)]);
      const optimizer = new SGD(model.parameters(), { learningRate: 0.05 });
      const { data, options } = run(model, compiled);
      const history = await fit(model, data, { loss: 'mse', optimizer, epochs: 2, compiled, ...options });
      results.push([history.epochs.map(({ loss }) => loss), seen(model)]);
    }
    expect(results[1]).toEqual(results[0]);
  };
  const rows = (n: number, from: number) =>
    tensor(
      Array.from({ length: 2 * n }, (_, i) => Math.sin(from + i)),
      { shape: [n, 2] },
    );

  test('one tensor as x and y, then two', async () => {
    const [a, b] = [rows(4, 0), rows(4, 9)];
    await both(() => ({
      data: [
        { x: a, y: a },
        { x: a, y: b },
        { x: b, y: b },
        { x: b, y: a },
      ],
    }));
  });

  test('the same tensors, written to between batches', async () => {
    await both(() => ({
      data: function* () {
        const [x, y] = [zeros([4, 2]), zeros([4, 2])];
        for (let i = 0; i < 5; i++) {
          x.data.set(rows(4, i).data);
          y.assign(rows(4, i * i));
          yield { x, y };
        }
      },
    }));
  });

  test('batches of every size', async () => {
    await both(() => ({
      data: function* () {
        for (let n = 1; n <= 40; n++) yield { x: rows(n, n), y: rows(n, 2 * n) };
      },
    }));
  });

  test('a weight of the loss that comes with the batch', async () => {
    await both(() => {
      let weight = 1;
      return {
        data: function* () {
          for (let i = 0; i < 6; i++) {
            weight = i % 3;
            yield { x: rows(4, i), y: rows(4, 2 * i) };
          }
        },
        options: { loss: (prediction, target) => losses.mse(prediction, target).mul(weight) },
      };
    });
  });

  test('layers that are frozen as batches come, asynchronously', async () => {
    await both((model) => ({
      data: async function* () {
        for (let i = 0; i < 6; i++) {
          freeze(model, i % 3 === 1);
          (model.layers[0] as Dense).bias!.requiresGrad = true;
          yield await Promise.resolve({ x: rows(4, i), y: rows(4, 2 * i) });
        }
      },
    }));
  });
});

describe('a layer of the user', () => {
  /** Adds what callbacks replace. */
  class Shifted extends Layer {
    readonly inner = new Dense(2, 2);
    shift = tensor([1, 2]);
    scale = 1;
    forward(x: Tensor): Tensor {
      return this.inner.forward(x).mul(this.scale).add(this.shift);
    }
  }
  const change: Record<string, (model: Shifted, epoch: number) => void> = {
    'a number that it reads': (model, epoch) => {
      model.scale = epoch;
    },
    'a tensor that it reads, replaced': (model, epoch) => {
      model.shift = tensor([epoch, -epoch]);
    },
    'a tensor that it reads, written to': (model, epoch) => void model.shift.assign([epoch, -epoch]),
    'a tensor that it reads, by data': (model, epoch) => model.shift.data.fill(epoch),
  };
  for (const [name, act] of Object.entries(change)) {
    test(name, async () => {
      const results: unknown[] = [];
      for (const compiled of [false, true]) {
        seed(3);
        const model = new Shifted();
        const optimizer = new SGD(model.parameters(), { learningRate: 0.05 });
        const data = { x: randn([8, 2]), y: randn([8, 2]) };
        const { epochs } = await fit(model, data, {
          loss: 'mse',
          optimizer,
          epochs: 4,
          batchSize: 4,
          validation: data,
          compiled,
          ...each((epoch) => act(model, epoch)),
        });
        const predictions = (await predict(model, data.x)).toArray();
        results.push([epochs.map(({ loss, validation }) => [loss, validation]), seen(model), predictions]);
      }
      expect(results[1]).toEqual(results[0]);
    });
  }
});

describe.each([true, false])('compiled: %s', (compiled) => {
  const learner = () => {
    seed(4);
    const norm = new BatchNorm(3);
    const model = new Sequential([norm, new Dense(3, 2)]);
    const optimizer = new SGD(model.parameters(), { learningRate: 0.1 });
    const data = { x: randn([8, 3]).add(1), y: randn([8, 2]) };
    const run = (options: Partial<FitOptions> = {}) =>
      fit(model, data, { loss: 'mse', optimizer, compiled, epochs: 3, batchSize: 4, ...options });
    const statistics = () => seen([norm.runningMean, norm.runningVariance]);
    return { norm, model, optimizer, data, run, statistics };
  };

  test('a frozen BatchNorm leaves its statistics alone, a thawed one does not', async () => {
    const { norm, model, run, statistics } = learner();
    freeze(norm);
    const [before, weight] = [statistics(), seen(norm.weight)];
    await run();
    expect(statistics()).toEqual(before);
    expect(seen(norm.weight)).toEqual(weight);
    freeze(norm, false);
    await run();
    expect(statistics()).not.toEqual(before);
    expect(model.training).toBe(true);
  });

  test('a BatchNorm that is frozen by a callback leaves its statistics alone from then on', async () => {
    const { norm, run, statistics } = learner();
    const seenAt: unknown[] = [];
    await run({
      callbacks: [
        {
          onEpochBegin: ({ epoch }) => freeze(norm, epoch === 2),
          onEpochEnd: () => void seenAt.push(statistics()),
        },
      ],
    });
    expect(seenAt[1]).toEqual(seenAt[0]);
    expect(seenAt[2]).not.toEqual(seenAt[1]);
  });

  test('a BatchNorm in evaluation mode, in a model in training mode, leaves its statistics alone', async () => {
    const { norm, run, statistics } = learner();
    norm.eval();
    const before = statistics();
    await run();
    expect(statistics()).toEqual(before);
    expect(norm.training).toBe(false);
    norm.train();
    await run();
    expect(statistics()).not.toEqual(before);
  });

  test('a model in evaluation mode as a whole trains as one in training mode', async () => {
    const [asleep, awake] = [learner(), learner()];
    asleep.model.eval();
    seed(6);
    await asleep.run();
    seed(6);
    await awake.run();
    expect(seen(asleep.model)).toEqual(seen(awake.model));
    expect([asleep.model.training, asleep.norm.training]).toEqual([false, false]);
  });

  test('a frozen parameter stays as it was, whatever the optimizer keeps of it', async () => {
    const { model, run } = learner();
    const dense = model.layers[1] as Dense;
    await run();
    const before = seen(dense.weight.detach());
    freeze(dense);
    await run();
    expect(seen(dense.weight.detach())).toEqual(before);
    freeze(dense, false);
    await run();
    expect(seen(dense.weight.detach())).not.toEqual(before);
  });

  test('optimizers take frozen parameters', async () => {
    const { model, run } = learner();
    freeze(model.layers[1]);
    for (const optimizer of [
      new SGD(model.parameters(), { learningRate: 0.1, l2: 0.1 }),
      new Adam(model.parameters()),
    ]) {
      const before = seen(model.layers[1]);
      await run({ optimizer });
      expect(seen(model.layers[1])).toEqual(before);
    }
  });
});

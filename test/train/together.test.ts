/** What `fit` does around an update: gradients of several batches, limits of gradients, averages of weights; all of it resumed. */
import { describe, expect, test } from 'vitest';
import {
  Adam,
  type AnyParameter,
  AxpyError,
  type Checkpoint,
  checkpoint,
  clipGradNorm,
  clipGradValue,
  compile,
  Dense,
  earlyStopping,
  evaluate,
  type FitOptions,
  fit,
  losses,
  ReLU,
  Sequential,
  SGD,
  schedules,
  seed,
  type Tensor,
  tensor,
  WeightAverage,
} from '../../lib/index.ts';

const n = 22;
const data = {
  x: Array.from({ length: n }, (_, i) => [Math.sin(i), Math.cos(2 * i), Math.sin(3 * i + 1)]),
  y: Array.from({ length: n }, (_, i) => [Math.sin(i) * Math.cos(2 * i) + 0.1 * i]),
};

function network() {
  seed(3);
  return new Sequential([
    new Dense(3, 4, { activation: 'tanh', dtype: 'float64' }),
    new ReLU(),
    new Dense(4, 1, { dtype: 'float64' }),
  ]);
}

const valuesOf = (parameters: readonly AnyParameter[]) => parameters.flatMap((p) => [...p.data]);

async function train(options: Partial<FitOptions>, rate = 0.05) {
  const model = network();
  const optimizer = new Adam(model.parameters(), { learningRate: rate });
  const history = await fit(model, data, {
    loss: 'mse',
    optimizer,
    epochs: 3,
    shuffle: false,
    ...options,
  } as FitOptions);
  return { model, optimizer, history, values: valuesOf(model.parameters()) };
}

function expectClose(got: readonly number[], wanted: readonly number[]) {
  got.forEach((value, i) => {
    expect(Math.abs(value - wanted[i]), `element ${i}`).toBeLessThan(1e-12);
  });
}

describe.each([true, false])('compiled: %s', (compiled) => {
  test('gradients of several batches are those of one large batch, of a smaller last one as well', async () => {
    // 22 examples: two whole windows of 8, then 4 and 2.
    const whole = await train({ batchSize: 8, compiled });
    const parts = await train({ batchSize: 4, accumulate: 2, compiled });
    expectClose(parts.values, whole.values);
    expect(parts.optimizer.stateDict()['step.0'].item()).toBe(9);
    expect(parts.history.epochs[2].loss).toBeCloseTo(whole.history.epochs[2].loss, 12);
    expectClose(
      (await train({ batchSize: 3, accumulate: 100, compiled })).values,
      (await train({ batchSize: n, compiled })).values,
    );
  });

  test('batches of all sizes weigh what they have', async () => {
    const cut = [0, 3, 4, 9, 16, 17, 22];
    const batches = cut
      .slice(1)
      .map((end, i) => ({ x: data.x.slice(cut[i], end), y: data.y.slice(cut[i], end) }));
    const merged = [
      [0, 9],
      [9, 22],
    ].map(([from, to]) => ({ x: data.x.slice(from, to), y: data.y.slice(from, to) }));
    const run = async (batches: object, accumulate: number) => {
      const model = network();
      const optimizer = new SGD(model.parameters(), { learningRate: 0.1, momentum: 0.9 });
      await fit(model, batches as never, { loss: 'mse', optimizer, epochs: 4, accumulate, compiled });
      return valuesOf(model.parameters());
    };
    expectClose(await run(batches, 3), await run(merged, 1));
  });

  test('limits of gradients are those of the functions', async () => {
    for (const [limit, transformGradients] of [
      [{ clipGradNorm: 0.1 }, (ps: readonly Tensor[]) => void clipGradNorm(ps, 0.1)],
      [{ clipGradValue: 0.02 }, (ps: readonly Tensor[]) => clipGradValue(ps, 0.02)],
    ] as const) {
      const run = async (options: Partial<FitOptions>) => {
        const model = network();
        const optimizer = new SGD(model.parameters(), { learningRate: 0.5 });
        await fit(model, data, {
          loss: 'mse',
          optimizer,
          shuffle: false,
          compiled,
          ...options,
        } as FitOptions);
        return valuesOf(model.parameters());
      };
      const own = await run(limit);
      expect(own).toEqual(await run({ transformGradients }));
      expect(own).not.toEqual(await run({}));
      // Of the gradients of all batches, not of each.
      expectClose(
        await run({ ...limit, batchSize: 2, accumulate: 11 }),
        await run({ ...limit, batchSize: n }),
      );
    }
  });

  test.each([{ decay: 0.8 }, {}, { start: 4, every: 2 }, { decay: 0.5, start: 3, every: 3 }])(
    'validates with an average of weights, %o',
    async (options) => {
      const model = network();
      const average = new WeightAverage(model, options);
      const wanted = model.parameters().map((p) => [...p.data]);
      let [updates, taken] = [0, 0];
      const seen: number[] = [];
      const { start = 0, every = 1, decay } = options as { start?: number; every?: number; decay?: number };
      const history = await fit(model, data, {
        loss: 'mse',
        optimizer: new SGD(model.parameters(), { learningRate: 0.1 }),
        batchSize: 4,
        epochs: 3,
        compiled,
        averageWeights: average,
        validation: data,
        callbacks: [
          {
            onBatchEnd() {
              const isDue = updates >= start && (updates - start) % every === 0;
              const weight =
                taken === 0 ? 1 : isDue ? (decay === undefined ? 1 / (taken + 1) : 1 - decay) : 0;
              model.parameters().forEach((p, at) => {
                p.data.forEach((value, i) => {
                  wanted[at][i] = (1 - weight) * wanted[at][i] + weight * value;
                });
              });
              updates++;
              if (isDue) taken++;
            },
            async onEpochEnd({ averageWeights }) {
              const other = network();
              other.parameters().forEach((p, i) => {
                p.assign(averageWeights!.stateDict()[`average.${model.namedParameters()[i][0]}`]);
              });
              seen.push((await evaluate(other, data, { loss: 'mse' })).loss!);
            },
          },
        ],
      });
      history.epochs.forEach(({ validation }, i) => {
        expect(validation!.loss).toBeCloseTo(seen[i], 12);
      });
      const trained = valuesOf(model.parameters());
      average.swap();
      expectClose(valuesOf(model.parameters()), wanted.flat());
      expect(valuesOf(model.parameters())).not.toEqual(trained);
      average.swap();
      expect(valuesOf(model.parameters())).toEqual(trained);
    },
  );

  test('all of it goes on from a checkpoint to the bit, in the middle of a window too', async () => {
    const saved: Checkpoint[] = [];
    const run = async (resume?: Checkpoint) => {
      const model = network();
      const average = new WeightAverage(model, { decay: 0.7 });
      const optimizer = new Adam(model.parameters(), {
        learningRate: schedules.cosine({ from: 0.1, steps: 12 }),
      });
      const { epochs } = await fit(model, data, {
        loss: 'mse',
        optimizer,
        batchSize: 3,
        epochs: 3,
        seed: 4,
        accumulate: 3,
        clipGradNorm: 0.5,
        averageWeights: average,
        validation: data,
        compiled,
        resume,
        callbacks: [
          earlyStopping({ patience: 9 }),
          ...(resume ? [] : [checkpoint({ save: (one) => void saved.push(one), every: 1 })]),
        ],
      });
      const records = epochs.map(({ seconds, examplesPerSecond, ...record }) => record);
      average.swap();
      return { records, values: valuesOf(model.parameters()), state: JSON.stringify(optimizer.stateDict()) };
    };
    const whole = await run();
    expect(saved.length).toBeGreaterThanOrEqual(24);
    for (const one of saved.slice(0, 20)) expect(await run(one)).toEqual(whole);
  });
});

test('PyTorch would say the same: an average in a step of ones own, eager and compiled', async () => {
  const run = async (isCompiled: boolean) => {
    const model = network();
    const average = new WeightAverage(model, { decay: 0.9, start: 2 });
    const optimizer = new SGD(model.parameters(), { learningRate: 0.1 });
    const step = (x: Tensor, y: Tensor) => {
      optimizer.zeroGrad();
      const loss = losses.mse(model.forward(x), y);
      loss.backward();
      optimizer.step();
      average.update();
      return loss;
    };
    const [x, y] = [tensor(data.x, { dtype: 'float64' }), tensor(data.y, { dtype: 'float64' })];
    const compiled = compile(step);
    for (let i = 0; i < 9; i++) {
      if (isCompiled) await compiled(x, y);
      else step(x, y);
    }
    average.swap();
    return valuesOf(model.parameters());
  };
  expect(await run(true)).toEqual(await run(false));
});

test('early stopping brings the average of the best epoch back, too', async () => {
  const model = network();
  const average = new WeightAverage(model, { decay: 0.5 });
  let best: Record<string, Tensor> | undefined;
  const history = await fit(model, data, {
    loss: 'mse',
    optimizer: new SGD(model.parameters(), { learningRate: 3 }),
    epochs: 8,
    averageWeights: average,
    validation: data,
    callbacks: [
      earlyStopping({ patience: 3 }),
      {
        onEpochEnd({ history: { bestEpoch } }, { epoch }) {
          if (bestEpoch === epoch) best = average.stateDict();
        },
      },
    ],
  });
  expect(history.bestEpoch).toBeLessThan(history.epochs.length);
  expect(JSON.stringify(average.stateDict())).toBe(JSON.stringify(best));
  average.swap();
  const { loss } = await evaluate(model, data, { loss: 'mse' });
  expect(loss).toBeCloseTo(history.epochs[history.bestEpoch! - 1].validation!.loss!, 12);
});

describe('refused, with nothing changed', () => {
  const other = network();
  const swapped = (model: Sequential<never>) => {
    const average = new WeightAverage(model);
    average.swap();
    return average;
  };
  test.each<[string, (model: never) => Partial<FitOptions>, RegExp]>([
    ['a norm of 0', () => ({ clipGradNorm: 0 }), /clipGradNorm to be a limit above 0, got 0/],
    [
      'a limit that is none',
      () => ({ clipGradValue: 'x' as never }),
      /clipGradValue to be a limit above 0, got "x"/,
    ],
    ['both', () => ({ clipGradNorm: 1, clipGradValue: 1 }), /clipGradNorm or clipGradValue, got both/],
    ['half a batch', () => ({ accumulate: 0.5 }), /accumulate to be an integer of at least 1, got 0.5/],
    [
      'a number for an average',
      () => ({ averageWeights: 0.9 as never }),
      /averageWeights to be a WeightAverage, got 0.9/,
    ],
    [
      'the average of another model',
      () => ({ averageWeights: new WeightAverage(other) }),
      /of this model, got one of another/,
    ],
    [
      'one that the model has',
      (model) => ({ averageWeights: swapped(model) }),
      /swap\(\) back before training/,
    ],
  ])('%s', async (_, options, message) => {
    const model = network();
    const optimizer = new SGD(model.parameters(), { learningRate: 0.1 });
    const before = valuesOf(model.parameters());
    const run = fit(model, data, { loss: 'mse', optimizer, ...options(model as never) } as FitOptions);
    await expect(run).rejects.toThrow(AxpyError);
    await expect(run).rejects.toThrow(message);
    expect(valuesOf(model.parameters())).toEqual(before);
  });

  test('another window, or no average, for a checkpoint', async () => {
    const saved: Checkpoint[] = [];
    const run = (options: Partial<FitOptions>, resume?: Checkpoint, has = true) => {
      const model = network();
      return fit(model, data, {
        loss: 'mse',
        optimizer: new SGD(model.parameters(), { learningRate: 0.1 }),
        batchSize: 4,
        ...(has && { averageWeights: new WeightAverage(model) }),
        resume,
        callbacks: resume ? [] : [checkpoint({ save: (one) => void saved.push(one), every: 2 })],
        ...options,
      } as FitOptions);
    };
    await run({ accumulate: 2 });
    await expect(run({ accumulate: 3 }, saved[0])).rejects.toThrow(
      /expected accumulate 2, .* got 3: updates would be others|others/,
    );
    await expect(run({ accumulate: 2 }, saved[0], false)).rejects.toThrow(
      /expected averageWeights, some as in .*, got none/,
    );
  });

  test('an average', () => {
    const model = network();
    expect(() => new WeightAverage(model, { decay: 1 })).toThrow(
      /decay to be at least 0 and less than 1, got 1/,
    );
    expect(() => new WeightAverage(model, { every: 0 })).toThrow(
      /every to be an integer of at least 1, got 0/,
    );
    const average = new WeightAverage(model);
    average.swap();
    expect(() => average.update()).toThrow(/swap\(\) back/);
    expect(() => average.stateDict()).toThrow(/swap\(\) back/);
  });
});

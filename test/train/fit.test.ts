import { describe, expect, it } from 'vitest';
import {
  Adam,
  Dense,
  Dropout,
  Layer,
  losses,
  permutation,
  randn,
  randomState,
  Sequential,
  SGD,
  seed,
  type Tensor,
  tensor,
} from '../../lib/index.ts';
import { predict } from '../../lib/train/evaluate.ts';
import { fit } from '../../lib/train/fit.ts';
import { labels, line, linearModel, matrix, numbers, rejection } from './support.ts';

describe('learning', () => {
  it('finds a line', async () => {
    const model = linearModel();
    const optimizer = new SGD(model.parameters(), { learningRate: 0.5 });
    const history = await fit(model, line(64), {
      loss: 'mse',
      optimizer,
      epochs: 60,
      batchSize: 16,
      seed: 1,
    });
    const [[weight], [bias]] = numbers(model);
    expect(weight).toBeCloseTo(2, 3);
    expect(bias).toBeCloseTo(-1, 3);
    expect(history.epochs).toHaveLength(60);
    expect(history.epochs[59].loss).toBeLessThan(1e-6);
    expect(history.epochs.map(({ epoch }) => epoch)).toEqual(Array.from({ length: 60 }, (_, i) => i + 1));
  });

  it('finds exclusive or', async () => {
    seed(3);
    const model = new Sequential([
      new Dense(2, 8, { activation: 'tanh' }),
      new Dense(8, 1, { activation: 'sigmoid' }),
    ]);
    const data = {
      x: [
        [0, 0],
        [0, 1],
        [1, 0],
        [1, 1],
      ],
      y: [[0], [1], [1], [0]],
    };
    const optimizer = new Adam(model.parameters(), { learningRate: 0.05 });
    const history = await fit(model, data, {
      loss: 'binaryCrossEntropy',
      optimizer,
      epochs: 300,
      metrics: ['accuracy'],
    });
    expect(history.epochs.at(-1)!.accuracy).toBe(1);
    const p = await predict(model, data.x);
    expect(Array.from(p.data, Math.round)).toEqual([0, 1, 1, 0]);
  });

  it('tells three classes apart, with plain labels', async () => {
    seed(5);
    const centres = [
      [0, 2],
      [-2, -1],
      [2, -1],
    ];
    const noise = randn([300, 2]).toArray<number[][]>();
    const x = noise.map(([a, b], i) => [centres[i % 3][0] + 0.4 * a, centres[i % 3][1] + 0.4 * b]);
    const y = x.map((_, i) => i % 3);
    const model = new Sequential([new Dense(2, 16, { activation: 'relu' }), new Dense(16, 3)]);
    const history = await fit(
      model,
      { x: x.slice(0, 240), y: y.slice(0, 240) },
      {
        loss: 'softmaxCrossEntropy',
        optimizer: new Adam(model.parameters(), { learningRate: 0.02 }),
        epochs: 20,
        metrics: ['accuracy'],
        validation: { x: x.slice(240), y: Int32Array.from(y.slice(240)) },
      },
    );
    expect(history.epochs.at(-1)!.accuracy).toBeGreaterThanOrEqual(0.99);
    expect(history.epochs.at(-1)!.validation!.accuracy).toBeGreaterThanOrEqual(0.98);
  });

  it('works in float64, and on the values of typed arrays', async () => {
    const model = new Sequential([new Dense(1, 1, { dtype: 'float64', init: 'zeros' })]);
    const optimizer = new SGD(model.parameters(), { learningRate: 0.5 });
    await fit(model, line(16), { loss: 'mse', optimizer, epochs: 300, batchSize: 16 });
    expect(numbers(model)[0][0]).toBeCloseTo(2, 9);
    const flat = new (class extends Layer {
      readonly inner = new Dense(1, 1);
      forward(x: Tensor): Tensor {
        return this.inner
          .forward(x.reshape([x.size, 1]))
          .flatten()
          .reshape([x.size]);
      }
    })();
    const half = new SGD(flat.parameters(), { learningRate: 0.1 });
    const values = { x: Float64Array.of(0, 1, 2), y: Uint8Array.of(1, 2, 3) };
    await fit(flat, values, { loss: 'mse', optimizer: half, epochs: 300 });
    expect(numbers(flat)[0][0]).toBeCloseTo(1, 3);
  });
});

describe('a step', () => {
  it('is forward, backward and update over each batch, the last one smaller', async () => {
    const data = line(10);
    const [model, same] = [linearModel(0.3, 0.1), linearModel(0.3, 0.1)];
    const sizes: number[] = [];
    const history = await fit(model, data, {
      loss: 'mse',
      optimizer: new SGD(model.parameters(), { learningRate: 0.1, momentum: 0.9 }),
      batchSize: 4,
      epochs: 2,
      shuffle: false,
      callbacks: [{ onBatchEnd: (_, { size }) => void sizes.push(size) }],
    });
    expect(sizes).toEqual([4, 4, 2, 4, 4, 2]);

    const optimizer = new SGD(same.parameters(), { learningRate: 0.1, momentum: 0.9 });
    const means: number[] = [];
    for (let epoch = 0; epoch < 2; epoch++) {
      let sum = 0;
      for (const [from, to] of [
        [0, 4],
        [4, 8],
        [8, 10],
      ]) {
        const loss = losses.mse(same.forward(matrix(data.x.slice(from, to))), matrix(data.y.slice(from, to)));
        optimizer.zeroGrad();
        loss.backward();
        optimizer.step();
        sum += loss.item() * (to - from);
      }
      means.push(sum / 10);
    }
    expect(numbers(model)).toEqual(numbers(same));
    expect(history.epochs.map(({ loss }) => loss)).toEqual(means);
  });

  it('reports the mean loss over examples, not over batches', async () => {
    const model = linearModel(0, 0);
    const history = await fit(
      model,
      { x: [[0], [0], [0]], y: [[1], [2], [4]] },
      {
        loss: 'mse',
        optimizer: new SGD(model.parameters(), { learningRate: 0 }),
        batchSize: 2,
        shuffle: false,
      },
    );
    expect(history.epochs[0].loss).toBeCloseTo((1 + 4 + 16) / 3, 6);
  });

  it('takes a loss function that returns a loss for each example', async () => {
    const model = linearModel(0, 0);
    const history = await fit(
      model,
      { x: [[1], [2]], y: [[1], [3]] },
      {
        loss: (p, t) => losses.mse(p, t, { reduction: 'none' }),
        optimizer: new SGD(model.parameters(), { learningRate: 0.1 }),
        shuffle: false,
      },
    );
    expect(history.epochs[0].loss).toBe(5);
    // dW = mean(2·(0 − y)·x) = −(2·1 + 2·3·2) / 2 = −7
    expect(numbers(model)[0][0]).toBeCloseTo(0.7, 6);
  });

  it('reports the L2 penalty beside the loss, and only where there is one', async () => {
    const model = linearModel(2, 5);
    const run = (l2: number) =>
      fit(model, line(4), { loss: 'mse', optimizer: new SGD(model.parameters(), { learningRate: 0, l2 }) });
    expect((await run(0.5)).epochs[0].penalty).toBe(1);
    expect(await run(0).then(({ epochs }) => 'penalty' in epochs[0])).toBe(false);
  });

  it('leaves parameters alone that the optimizer does not have', async () => {
    const model = new Sequential([new Dense(1, 3), new Dense(3, 1)]);
    const before = numbers(model);
    const head = new SGD(model.layers[1].parameters(), { learningRate: 0.1 });
    await fit(model, line(8), { loss: 'mse', optimizer: head });
    expect(numbers(model).slice(0, 2)).toEqual(before.slice(0, 2));
    expect(numbers(model).slice(2)).not.toEqual(before.slice(2));
  });

  it('shows metrics predictions without a history', async () => {
    const model = linearModel();
    const optimizer = new SGD(model.parameters(), { learningRate: 0.1 });
    const seen: boolean[] = [];
    const own = (prediction: Tensor, target: Tensor) => {
      seen.push(prediction.requiresGrad, prediction.sub(target).requiresGrad);
      return 0;
    };
    await fit(model, line(4), { loss: 'mse', optimizer, metrics: [own], validation: line(4) });
    expect(seen).toEqual([false, false, false, false]);
  });

  it('records times and rates', async () => {
    const model = linearModel();
    const optimizer = new SGD(model.parameters(), { learningRate: 0.1 });
    const { epochs } = await fit(model, line(40), { loss: 'mse', optimizer });
    expect(epochs[0].seconds).toBeGreaterThan(0);
    expect(epochs[0].examplesPerSecond).toBeCloseTo(40 / epochs[0].seconds, 3);
  });
});

/** The first elements of the batches that a model is given. */
class Witness extends Layer {
  readonly inner = new Dense(1, 1, { init: 'zeros' });
  readonly seen: number[] = [];

  forward(x: Tensor): Tensor {
    this.seen.push(...x.data);
    return this.inner.forward(x);
  }
}

describe('shuffling', () => {
  const numbered = { x: Array.from({ length: 20 }, (_, i) => [i]), y: Array.from({ length: 20 }, () => [0]) };
  async function order(options: { seed?: number; shuffle?: boolean; epochs?: number }): Promise<number[]> {
    const model = new Witness();
    const optimizer = new SGD(model.parameters(), { learningRate: 0 });
    // Not compiled, as what the layer notes in JavaScript would be noted once.
    await fit(model, numbered, { loss: 'mse', optimizer, batchSize: 6, compiled: false, ...options });
    return model.seen;
  }
  const inOrder = numbered.x.flat();

  it('takes each example once an epoch, in an order that the seed decides', async () => {
    const seen = await order({ seed: 7, epochs: 2 });
    const state = randomState(7);
    expect(seen).toEqual([...permutation(20, state), ...permutation(20, state)]);
    expect(seen.slice(0, 20)).not.toEqual(inOrder);
    expect(seen.slice(0, 20)).not.toEqual(seen.slice(20));
    expect(await order({ seed: 7, epochs: 2 })).toEqual(seen);
    expect(await order({ seed: 8, epochs: 2 })).not.toEqual(seen);
  });

  it('follows the default random state without a seed', async () => {
    seed(11);
    const first = await order({});
    expect(await order({})).not.toEqual(first);
    seed(11);
    expect(await order({})).toEqual(first);
    expect(first.slice().sort((a, b) => a - b)).toEqual(inOrder);
  });

  it('keeps the order with shuffle: false', async () => {
    expect(await order({ shuffle: false })).toEqual(inOrder);
  });

  it('keeps x and y together', async () => {
    const model = linearModel(1, 0);
    const data = { x: numbered.x, y: numbered.x };
    const optimizer = new SGD(model.parameters(), { learningRate: 0 });
    const { epochs } = await fit(model, data, { loss: 'mse', optimizer, batchSize: 3, seed: 1 });
    expect(epochs[0].loss).toBe(0);
  });
});

it('gives the same run for the same seeds, dropout and all', async () => {
  const run = async () => {
    seed(21);
    const model = new Sequential([
      new Dense(1, 8, { activation: 'relu' }),
      new Dropout(0.3),
      new Dense(8, 1),
    ]);
    const optimizer = new Adam(model.parameters(), { learningRate: 0.01 });
    const { epochs } = await fit(model, line(20), {
      loss: 'mse',
      optimizer,
      epochs: 5,
      batchSize: 8,
      seed: 2,
    });
    return { losses: epochs.map(({ loss }) => loss), parameters: numbers(model) };
  };
  expect(await run()).toEqual(await run());
});

/** Notes in which mode it was called. */
class Mode extends Layer {
  readonly modes: boolean[] = [];

  forward(x: Tensor): Tensor {
    this.modes.push(this.training);
    return x;
  }
}

describe('the mode of the model', () => {
  it('is training in steps, evaluation in validation, and what it was in the end', async () => {
    const mode = new Mode();
    const frozen = new Mode().eval();
    const model = new Sequential([new Dense(1, 1), mode, frozen]);
    const optimizer = new SGD(model.parameters(), { learningRate: 0.1 });
    await fit(model, line(6), { loss: 'mse', optimizer, batchSize: 3, validation: line(3), compiled: false });
    expect(mode.modes).toEqual([true, true, false]);
    expect([model.training, mode.training, frozen.training]).toEqual([true, true, false]);
    model.eval();
    await fit(model, line(6), { loss: 'mse', optimizer, batchSize: 6, compiled: false });
    expect(mode.modes.at(-1)).toBe(true);
    expect([model.training, mode.training, frozen.training]).toEqual([false, false, false]);
  });

  it('comes back after an error', async () => {
    const model = new Sequential([new Dense(1, 1), new Mode()]).eval();
    const optimizer = new SGD(model.parameters(), { learningRate: 0.1 });
    await rejection(fit(model, { x: [[1, 2]], y: [[1]] }, { loss: 'mse', optimizer }));
    const failing = () => {
      throw new Error('no');
    };
    await rejection(fit(model, line(4), { loss: failing, optimizer }));
    expect(model.layers.map(({ training }) => training)).toEqual([false, false]);
    expect(model.training).toBe(false);
  });

  it('lets dropout drop in training only', async () => {
    const model = new Sequential([new Dropout(0.5), new Dense(64, 1, { init: 'ones', biasInit: 'zeros' })]);
    const optimizer = new SGD(model.parameters(), { learningRate: 0 });
    const x = [Array.from({ length: 64 }, () => 1)];
    const history = await fit(
      model,
      { x, y: [[64]] },
      { loss: 'mse', optimizer, epochs: 8, validation: { x, y: [[64]] } },
    );
    for (const { validation } of history.epochs) expect(validation!.loss).toBe(0);
    expect(history.epochs.some(({ loss }) => loss > 0)).toBe(true);
    expect((await predict(model, x)).item()).toBe(64);
  });

  it('is right for predictions made while training runs, and for the training that they interrupt', async () => {
    const mode = new Mode();
    const model = new Sequential([new Dense(1, 1), mode]);
    const optimizer = new SGD(model.parameters(), { learningRate: 0.1 });
    const training = fit(model, line(40), { loss: 'mse', optimizer, batchSize: 4, compiled: false });
    const serving = predict(model, line(12).x, { batchSize: 2, compiled: false });
    await Promise.all([training, serving]);
    expect(mode.modes.filter(Boolean)).toHaveLength(10);
    expect(mode.modes.filter((training) => !training)).toHaveLength(6);
    // They took turns.
    expect(mode.modes.slice(0, 6)).toContain(true);
    expect(mode.modes.slice(0, 6)).toContain(false);
    expect(mode.training).toBe(true);
  });
});

it('gives the event loop a turn after each step', async () => {
  const model = linearModel();
  const optimizer = new SGD(model.parameters(), { learningRate: 0.1 });
  let turns = 0;
  let running = true;
  const count = () => {
    turns++;
    if (running) setImmediate(count);
  };
  setImmediate(count);
  await fit(model, line(50), { loss: 'mse', optimizer, batchSize: 1 });
  running = false;
  expect(turns).toBeGreaterThanOrEqual(50);
});

describe('abort', () => {
  it('ends between steps, its cause the reason, and leaves whole parameters', async () => {
    const [model, same] = [linearModel(0.5), linearModel(0.5)];
    const controller = new AbortController();
    const reason = new Error('shutting down');
    const options = { loss: 'mse', batchSize: 2, shuffle: false } as const;
    let steps = 0;
    const run = fit(model, line(20), {
      ...options,
      optimizer: new SGD(model.parameters(), { learningRate: 0.1 }),
      epochs: 100,
      signal: controller.signal,
      callbacks: [
        {
          onBatchEnd() {
            if (++steps === 13) controller.abort(reason);
          },
        },
      ],
    });
    expect((await rejection(run)) as Error).toMatchObject({ name: 'AbortError', cause: reason });
    expect(steps).toBe(13);
    const optimizer = new SGD(same.parameters(), { learningRate: 0.1 });
    await fit(same, line(20), { ...options, optimizer });
    await fit(same, { x: line(20).x.slice(0, 6), y: line(20).y.slice(0, 6) }, { ...options, optimizer });
    expect(numbers(model)).toEqual(numbers(same));
    expect(model.training).toBe(true);
  });

  it('comes before the first step when the signal is aborted already', async () => {
    const model = linearModel(0.5);
    const optimizer = new SGD(model.parameters(), { learningRate: 0.1 });
    let calls = 0;
    const callbacks = [{ onTrainBegin: () => void calls++, onTrainEnd: () => void calls++ }];
    const error = await rejection(
      fit(model, line(4), { loss: 'mse', optimizer, signal: AbortSignal.abort(), callbacks }),
    );
    expect((error as Error).name).toBe('AbortError');
    expect(calls).toBe(0);
    expect(numbers(model)).toEqual([[0.5], [0]]);
  });

  it('reaches a validation under way', async () => {
    const model = linearModel(0.5);
    const optimizer = new SGD(model.parameters(), { learningRate: 0.1 });
    const controller = new AbortController();
    function* validation() {
      yield { x: [[1]], y: [[1]] };
      controller.abort();
      yield { x: [[1]], y: [[1]] };
    }
    const { signal } = controller;
    const error = await rejection(fit(model, line(4), { loss: 'mse', optimizer, signal, validation }));
    expect((error as Error).name).toBe('AbortError');
  });
});

it('takes tensors as they are and leaves them so', async () => {
  const model = new Sequential([new Dense(2, 3)]);
  const x = tensor([
    [1, 2],
    [3, 4],
    [5, 6],
  ]);
  const y = labels([0, 2, 1]);
  const optimizer = new Adam(model.parameters(), { learningRate: 0.1 });
  await fit(model, { x, y }, { loss: 'softmaxCrossEntropy', optimizer, batchSize: 2 });
  expect(x.toArray()).toEqual([
    [1, 2],
    [3, 4],
    [5, 6],
  ]);
  expect(y.toArray()).toEqual([0, 2, 1]);
});

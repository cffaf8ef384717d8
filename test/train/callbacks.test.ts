import { describe, expect, it } from 'vitest';
import { ArgumentError, Lambda, Layer, Sequential, SGD, type Tensor } from '../../lib/index.ts';
import type { Callback, TrainingContext } from '../../lib/train/callbacks/callback.ts';
import { type EarlyStoppingOptions, earlyStopping } from '../../lib/train/callbacks/earlyStopping.ts';
import { fit } from '../../lib/train/fit.ts';
import type { FitOptions } from '../../lib/train/training.ts';
import { line, linearModel, numbers, refuses, rejection } from './support.ts';

const run = (model: Layer, options: Partial<FitOptions>) =>
  fit(model, line(4), {
    loss: 'mse',
    optimizer: new SGD(model.parameters(), { learningRate: 0.1 }),
    batchSize: 2,
    ...options,
  });

describe('callbacks', () => {
  it('are called in order, awaited, with what they need', async () => {
    const calls: string[] = [];
    const recorder = (name: string): Callback => {
      const note = async (what: string, { epoch, history }: TrainingContext) => {
        await new Promise((resolve) => setImmediate(resolve));
        calls.push(`${name} ${what} ${epoch} ${history.epochs.length}`);
      };
      return {
        onTrainBegin: (context) => note('begin', context),
        onEpochBegin: (context) => note('epoch', context),
        onBatchEnd: (context, { batch, size }) =>
          note(`batch ${batch} of ${context.batchCount}, ${size}`, context),
        onEpochEnd: (context, record) => note(`end of ${record.epoch}`, context),
        onTrainEnd: (context, outcome) => note(`end ${JSON.stringify(outcome)}`, context),
      };
    };
    const model = linearModel();
    await run(model, { epochs: 2, batchSize: 3, callbacks: [recorder('a'), recorder('b'), {}] });
    const both = (what: string) => [`a ${what}`, `b ${what}`];
    expect(calls).toEqual([
      ...both('begin 0 0'),
      ...both('epoch 1 0'),
      ...both('batch 1 of 2, 3 1 0'),
      ...both('batch 2 of 2, 1 1 0'),
      ...both('end of 1 1 1'),
      ...both('epoch 2 1'),
      ...both('batch 1 of 2, 3 2 1'),
      ...both('batch 2 of 2, 1 2 1'),
      ...both('end of 2 2 2'),
      ...both('end {} 2 2'),
    ]);
  });

  it('get the model, the optimizer, and the names of the numbers to watch', async () => {
    const model = linearModel();
    const optimizer = new SGD(model.parameters(), { learningRate: 0.1 });
    let context: TrainingContext | undefined;
    const history = await run(model, {
      optimizer,
      epochs: 3,
      validation: line(2),
      metrics: ['r2'],
      callbacks: [
        {
          onTrainBegin(given) {
            context = given;
          },
          onBatchEnd(_, { loss }) {
            expect(loss).toBeGreaterThan(0);
          },
        },
      ],
    });
    expect(context!.model).toBe(model);
    expect(context!.optimizer).toBe(optimizer);
    expect(context!.history).toBe(history);
    expect(context!.epochs).toBe(3);
    expect(context!.monitors).toEqual(['loss', 'r2', 'validation.loss', 'validation.r2']);
  });

  it('know how many steps were taken, and which of them made an update', async () => {
    const steps: (number | boolean)[][] = [];
    const note: Callback = {
      onTrainBegin: ({ step }) => void steps.push([step]),
      onBatchEnd: ({ step }, { updated }) => void steps.push([step, updated]),
      onTrainEnd: ({ step }) => void steps.push([step]),
    };
    await run(linearModel(), { epochs: 2, callbacks: [note] });
    expect(steps).toEqual([[0], [1, true], [2, true], [3, true], [4, true], [4]]);
    steps.length = 0;
    // The last update of the first epoch comes after its third batch.
    await run(linearModel(), { epochs: 2, batchSize: 1, accumulate: 3, callbacks: [note] });
    const epoch = [false, false, true, false];
    expect(steps).toEqual([[0], ...[...epoch, ...epoch].map((updated, i) => [i + 1, updated]), [8]]);
  });

  it('that are passive cost no comparison of what steps do; others do not go unnoticed', async () => {
    const calls = async (...callbacks: Callback[]) => {
      let count = 0;
      const counting = new Lambda((x: Tensor) => {
        count++;
        return x;
      });
      await run(new Sequential([linearModel(), counting]), { epochs: 20, callbacks });
      return count;
    };
    const alone = await calls();
    expect(await calls({ passive: true, onBatchEnd() {}, onEpochEnd() {} })).toBe(alone);
    expect(await calls({ onBatchEnd() {} })).toBeGreaterThan(alone + 20);
    expect(await calls({ passive: true, onBatchEnd() {} }, { onBatchEnd() {} })).toBeGreaterThan(alone + 20);
    await refuses(
      linearModel(),
      () => run(linearModel(), { callbacks: [{ passive: 1 as never }] }),
      ArgumentError,
      '[fit] expected passive to be true or false, got 1',
    );
  });

  it('may change the learning rate', async () => {
    const model = linearModel();
    await run(model, {
      callbacks: [
        {
          onEpochBegin({ optimizer }) {
            optimizer.learningRate = 0;
          },
        },
      ],
    });
    expect(numbers(model)).toEqual([[0], [0]]);
  });

  it.each<[string, Callback, number, number]>([
    ['before', { onTrainBegin: ({ stop }) => stop('enough') }, 0, 0],
    [
      'at the begin of an epoch',
      { onEpochBegin: ({ epoch, stop }) => (epoch === 2 ? stop('enough') : undefined) },
      2,
      1,
    ],
    ['after a step', { onBatchEnd: ({ epoch, stop }) => (epoch === 2 ? stop('enough') : undefined) }, 3, 2],
    ['at the end of an epoch', { onEpochEnd: ({ stop }) => stop('enough') }, 2, 1],
  ])('stop training %s', async (_, callback, steps, epochs) => {
    const model = linearModel();
    let taken = 0;
    const later = { onTrainEnd: ({ stop }: TrainingContext) => stop('later') };
    const counter = { onBatchEnd: () => void taken++ };
    const history = await run(model, {
      epochs: 5,
      validation: line(2),
      callbacks: [counter, callback, later],
    });
    expect(history.stopped).toBe('enough');
    expect(history.epochs).toHaveLength(epochs);
    expect(taken).toBe(steps);
    for (const { loss, validation } of history.epochs) {
      expect(Number.isFinite(loss)).toBe(true);
      expect(Number.isFinite(validation!.loss)).toBe(true);
    }
  });

  it.each(['onTrainBegin', 'onEpochBegin', 'onBatchEnd', 'onEpochEnd', 'onTrainEnd'] as const)(
    'pass on what they throw, and all see the end: %s',
    async (name) => {
      const reason = new Error('no');
      const outcomes: unknown[] = [];
      const seer = { onTrainEnd: (_: TrainingContext, outcome: unknown) => void outcomes.push(outcome) };
      const model = linearModel();
      const failing = { [name]: () => Promise.reject(reason) };
      expect(await rejection(run(model, { callbacks: [failing, seer] }))).toBe(reason);
      expect(outcomes).toEqual([{ error: reason }]);
      await run(model, {});
    },
  );
});

/** Whose losses go down until the parameter passes 0.35, and then up: steps of 0.1 from 0 on. */
class Walk extends Layer {
  readonly inner = linearModel().layers[0];

  forward(x: Tensor): Tensor {
    return this.inner.forward(x);
  }
}

/** The training loss is the bias upside down, so that it grows by 0.1 an epoch; the validation loss is |bias − 0.35|. */
function walk(options: Partial<FitOptions>) {
  const model = new Sequential([new Walk()]);
  const history = fit(
    model,
    { x: [[0]], y: [[0]] },
    {
      loss: (p, t) => (model.training && p.requiresGrad ? p.sub(t).neg() : p.sub(0.35).abs()),
      optimizer: new SGD(model.parameters(), { learningRate: 0.1 }),
      validation: { x: [[0]], y: [[0.35]] },
      metrics: ['meanAbsoluteError'],
      epochs: 20,
      ...options,
    },
  );
  return { model, history, bias: () => numbers(model)[1][0] };
}

describe('earlyStopping', () => {
  // After each epoch the bias is 0.1, 0.2, 0.3, 0.4, 0.5, …, its distance from 0.35 is 0.25, 0.15, 0.05, 0.05…, 0.15, ….
  const losses = (history: { epochs: { validation?: { loss?: number } }[] }) =>
    history.epochs.map(({ validation }) => validation!.loss!);

  it('stops when the score no longer improves, and restores the best parameters', async () => {
    const { history, bias } = walk({ callbacks: [earlyStopping({ patience: 3, minDelta: 0.01 })] });
    const result = await history;
    expect(losses(result)).toHaveLength(6);
    expect(losses(result)[2]).toBeCloseTo(0.05, 5);
    expect(result.bestEpoch).toBe(3);
    expect(result.stopped).toBe('validation.loss did not improve for 3 epochs');
    expect(bias()).toBeCloseTo(0.3, 6);
  });

  it('restores when training ends by itself', async () => {
    const { history, bias } = walk({ epochs: 5, callbacks: [earlyStopping({ minDelta: 0.01 })] });
    expect((await history).stopped).toBeUndefined();
    expect((await history).bestEpoch).toBe(3);
    expect(bias()).toBeCloseTo(0.3, 6);
  });

  it('restores after an abort and after an error', async () => {
    const controller = new AbortController();
    const stopper = earlyStopping({ minDelta: 0.01 });
    const aborting: Callback = { onEpochEnd: ({ epoch }) => (epoch === 5 ? controller.abort() : undefined) };
    const first = walk({ signal: controller.signal, callbacks: [stopper, aborting] });
    await rejection(first.history);
    expect(first.bias()).toBeCloseTo(0.3, 6);
    const failing: Callback = {
      onEpochEnd: ({ epoch }) => (epoch === 5 ? Promise.reject(new Error('no')) : undefined),
    };
    const second = walk({ callbacks: [stopper, failing] });
    await rejection(second.history);
    expect(second.bias()).toBeCloseTo(0.3, 6);
  });

  it('leaves the last parameters with restoreBest: false', async () => {
    const { history, bias } = walk({
      callbacks: [earlyStopping({ patience: 2, minDelta: 0.01, restoreBest: false })],
    });
    expect((await history).bestEpoch).toBe(3);
    expect(bias()).toBeCloseTo(0.5, 6);
  });

  it('wants more than minDelta', async () => {
    const { history } = walk({ callbacks: [earlyStopping({ patience: 2, minDelta: 0.12 })] });
    // 0.25, 0.15 (not enough), 0.05 (0.2 better than the best), then no more.
    expect((await history).bestEpoch).toBe(3);
    expect((await history).epochs).toHaveLength(5);
    const strict = walk({ callbacks: [earlyStopping({ patience: 1, minDelta: 0.12 })] });
    expect((await strict.history).bestEpoch).toBe(1);
    expect((await strict.history).epochs).toHaveLength(2);
  });

  it('knows which scores should grow, and is told for others', async () => {
    const bias = (prediction: Tensor) => prediction.data[0];
    const grows = walk({
      epochs: 4,
      metrics: [bias],
      callbacks: [earlyStopping({ monitor: 'validation.bias', mode: 'max', patience: 1 })],
    });
    expect((await grows.history).epochs).toHaveLength(4);
    const shrinks = walk({
      epochs: 4,
      metrics: [bias],
      callbacks: [earlyStopping({ monitor: 'bias', mode: 'min', patience: 1 })],
    });
    expect((await shrinks.history).epochs).toHaveLength(2);
    expect(() => earlyStopping({ monitor: 'validation.bias' })).toThrow(/expected mode, min or max/);
    for (const monitor of ['validation.accuracy', 'r2', 'top3', 'loss', 'validation.meanAbsoluteError']) {
      expect(() => earlyStopping({ monitor })).not.toThrow();
    }
    // The only example is predicted exactly in the first epoch (R² is then 1) and never again (0).
    const flat = walk({ metrics: ['r2'], callbacks: [earlyStopping({ monitor: 'r2', patience: 4 })] });
    expect((await flat.history).bestEpoch).toBe(1);
    expect((await flat.history).epochs).toHaveLength(5);
  });

  it('takes NaN for no improvement', async () => {
    const { history } = walk({
      metrics: [(() => Number.NaN) as () => number],
      callbacks: [earlyStopping({ monitor: 'metric 1', mode: 'min', patience: 2 })],
    });
    expect((await history).epochs).toHaveLength(2);
    expect((await history).bestEpoch).toBeUndefined();
  });

  it('may serve again', async () => {
    const stopper = earlyStopping({ patience: 2, minDelta: 0.01 });
    for (let time = 0; time < 2; time++) {
      const { history, bias } = walk({ callbacks: [stopper] });
      expect((await history).epochs).toHaveLength(5);
      expect(bias()).toBeCloseTo(0.3, 6);
    }
  });

  it('does not count the epochs of an earlier training', async () => {
    const stopper = earlyStopping({ monitor: 'score', mode: 'min', patience: 2 });
    const values = [1, 2, Number.NaN, 1];
    const score = () => values.shift()!;
    const options = { batchSize: 4, epochs: 2, metrics: [score], callbacks: [stopper] };
    await run(linearModel(), options);
    const second = await run(linearModel(), options);
    expect(second.epochs).toHaveLength(2);
    expect(second.bestEpoch).toBe(2);
  });

  it('refuses a score that will not be recorded, before training', async () => {
    const model = linearModel();
    const act = (options?: EarlyStoppingOptions) => () => run(model, { callbacks: [earlyStopping(options)] });
    await refuses(
      model,
      act(),
      ArgumentError,
      /monitor to be one of loss, got validation.loss \(which wants/,
    );
    await refuses(model, act({ monitor: 'accuracy' }), ArgumentError, /one of loss, got accuracy$/);
  });

  it.each<[object, RegExp]>([
    [{ patience: 0 }, /patience to be an integer of at least 1, got 0/],
    [{ patience: 1.5 }, /patience/],
    [{ minDelta: -1 }, /minDelta to be a finite number of at least 0, got -1/],
    [{ minDelta: '1' }, /minDelta.*got "1"/],
    [{ mode: 'down' }, /mode to be min or max, got "down"/],
    [{ monitor: 3 }, /monitor to be a string, got 3/],
    [{ restoreBest: 1 }, /restoreBest/],
    [{ patients: 3 }, /got patients/],
  ])('refuses %j', (options, message) => {
    expect(() => earlyStopping(options)).toThrow(ArgumentError);
    expect(() => earlyStopping(options)).toThrow(message);
  });
});

import { describe, expect, it, test } from 'vitest';
import {
  ArgumentError,
  AutogradError,
  compile,
  DataError,
  Dense,
  Dropout,
  fit,
  Layer,
  losses,
  Sequential,
  SGD,
  ShapeError,
  type Tensor,
  tensor,
} from '../../lib/index.ts';
import { evaluate, predict } from '../../lib/train/evaluate.ts';
import { metrics } from '../../lib/train/metrics.ts';
import { dense, linearModel, refuses, rejection } from './support.ts';

const x = Array.from({ length: 7 }, (_, i) => [i]);
const y = [[1], [1], [2], [3], [5], [8], [13]];
// 2x − 1 is −1, 1, 3, 5, 7, 9, 11: off by 2, 0, 1, 2, 2, 1, 2.
const model = linearModel(2, -1);

describe('evaluate', () => {
  it('is exact for every batch size', async () => {
    for (const batchSize of [1, 2, 3, 5, 7, 100]) {
      const scores = await evaluate(
        model,
        { x, y },
        {
          loss: 'mse',
          metrics: ['meanAbsoluteError', 'rootMeanSquaredError'],
          batchSize,
        },
      );
      expect(Object.keys(scores)).toEqual(['loss', 'meanAbsoluteError', 'rootMeanSquaredError']);
      expect(scores.loss).toBeCloseTo(18 / 7, 6);
      expect(scores.meanAbsoluteError).toBe(10 / 7);
      expect(scores.rootMeanSquaredError).toBeCloseTo(Math.sqrt(18 / 7), 12);
    }
  });

  it('works on batches of the caller', async () => {
    const batches = [
      { x: x.slice(0, 2), y: y.slice(0, 2) },
      { x: x.slice(2), y: y.slice(2) },
    ];
    expect(await evaluate(model, batches, { metrics: ['meanAbsoluteError'] })).toEqual({
      meanAbsoluteError: 10 / 7,
    });
  });

  it('reads plain labels as such, with a loss or without', async () => {
    const classes = new Sequential([dense([[1], [-1]])]);
    const data = { x: [[1], [-1], [2]], y: [0, 1, 1] };
    expect(await evaluate(classes, data, { metrics: ['accuracy'] })).toEqual({ accuracy: 2 / 3 });
    const { accuracy, loss } = await evaluate(classes, data, {
      loss: 'softmaxCrossEntropy',
      metrics: [metrics.accuracy()],
    });
    expect(accuracy).toBe(2 / 3);
    // log(1 + e⁻²) twice, and 4 + log(1 + e⁻⁴)
    const wanted = (2 * Math.log1p(Math.exp(-2)) + 4 + Math.log1p(Math.exp(-4))) / 3;
    expect(loss).toBeCloseTo(wanted, 6);
  });

  it('works in evaluation mode, makes no history and changes nothing', async () => {
    const seen: boolean[] = [];
    const own = (p: Tensor, t: Tensor) => {
      seen.push(p.requiresGrad);
      return losses.mse(p, t);
    };
    const dropping = new Sequential([new Dropout(0.9), ...linearModel(2, -1).layers]);
    const [mae] = await Promise.all([
      evaluate(dropping, { x, y }, { loss: own, metrics: ['meanAbsoluteError'] }),
    ]);
    expect(mae.meanAbsoluteError).toBe(10 / 7);
    expect(seen).toEqual([false]);
    expect([dropping.training, dropping.layers[0].training]).toEqual([true, true]);
    expect(dropping.parameters()[0].grad).toBeNull();
  });

  it('stops at a signal', async () => {
    const controller = new AbortController();
    const data = function* () {
      yield { x, y };
      controller.abort('enough');
      yield { x, y };
    };
    const run = evaluate(model, data, { loss: 'mse', signal: controller.signal });
    expect(await rejection(run)).toMatchObject({ name: 'AbortError', cause: 'enough' });
  });

  it('refuses what it cannot use', async () => {
    const run = (data: unknown, options: unknown) => () => evaluate(model, data as never, options as never);
    await refuses(model, run({ x, y }, {}), ArgumentError, /a loss or metrics, got neither/);
    await refuses(model, run({ x, y }, undefined), ArgumentError, /options/);
    await refuses(model, run({ x, y }, { loss: 'no' }), ArgumentError, /loss/);
    await refuses(model, run({ x, y }, { metrics: ['no'] }), ArgumentError, /metrics/);
    await refuses(model, run({ x, y }, { loss: 'mse', batchSize: -1 }), ArgumentError, /batchSize/);
    await refuses(model, run({ x, y }, { loss: 'mse', optimizer: 1 }), ArgumentError, /got optimizer/);
    await refuses(model, run({ x: [], y: [] }, { loss: 'mse' }), DataError, /at least one example/);
    await refuses(model, run({ x, y: y.slice(1) }, { loss: 'mse' }), ShapeError, /got 7 and 6/);
    await refuses(
      model,
      run({ x: [[Infinity]], y: [[1]] }, { loss: 'mse' }),
      DataError,
      /got Infinity at row 0/,
    );
    await refuses(model, () => evaluate({} as never, { x, y }, { loss: 'mse' }), ArgumentError, /Layer/);
  });
});

describe('predict', () => {
  it('gives a row for each example, whatever the batch size', async () => {
    const wanted = [[-1], [1], [3], [5], [7], [9], [11]];
    for (const batchSize of [1, 3, 7, 256]) {
      const p = await predict(model, x, { batchSize });
      expect(p.toArray()).toEqual(wanted);
      expect([p.dtype, p.requiresGrad]).toEqual(['float32', false]);
    }
    expect((await predict(model, tensor(x))).toArray()).toEqual(wanted);
  });

  it('returns memory of its own, also from a model that returns its input', async () => {
    const given = tensor([[1, 2]]);
    const p = await predict(new Dropout(0.5), given);
    p.data[0] = 9;
    expect(given.toArray()).toEqual([[1, 2]]);
  });

  it("takes the model's dtype for plain values", async () => {
    const wide = new Dense(1, 1, { dtype: 'float64', init: 'ones' });
    const p = await predict(wide, [[0.1]]);
    expect([p.dtype, p.item()]).toEqual(['float64', 0.1]);
  });

  it('gives an empty result where its shape is known', async () => {
    const network = new Sequential([new Dense(3, 5), new Dropout(), new Dense(5, 2)]);
    expect((await predict(network, [])).shape).toEqual([0, 2]);
    expect((await predict(network, tensor([], { shape: [0, 3] }))).shape).toEqual([0, 2]);
    class Own extends Layer {
      forward(input: Tensor): Tensor {
        return input;
      }
    }
    await refuses(new Own(), () => predict(new Own(), []), DataError, /at least one example/);
    const wrong = tensor([], { shape: [0, 4] });
    await refuses(network, () => predict(network, wrong), ShapeError, /Dense 1 expected input \[batch, 3\]/);
  });

  it('gives the event loop turns between batches', async () => {
    for (const run of [
      () => predict(model, x, { batchSize: 1 }),
      () => evaluate(model, { x, y }, { loss: 'mse', batchSize: 1 }),
    ]) {
      let turns = 0;
      let running = true;
      const count = () => {
        turns++;
        if (running) setImmediate(count);
      };
      setImmediate(count);
      await run();
      running = false;
      expect(turns).toBeGreaterThanOrEqual(6);
    }
  });

  it('stops at a signal', async () => {
    const controller = new AbortController();
    const run = predict(model, x, { batchSize: 1, signal: controller.signal });
    const reason = new Error('client went away');
    controller.abort(reason);
    expect((await rejection(run)) as Error).toMatchObject({ name: 'AbortError', cause: reason });
  });

  it('refuses what it cannot use', async () => {
    const run = (input: unknown, options?: unknown) => () => predict(model, input as never, options as never);
    await refuses(
      model,
      run([[Number.NaN]]),
      DataError,
      /x to hold finite numbers, got NaN at row 0, position 0/,
    );
    await refuses(model, run([['1']]), DataError, /^x: /);
    await refuses(model, run(3), ShapeError, /x to be \[examples, \.\.\.\]/);
    await refuses(model, run([[1, 2]]), ShapeError, /Dense 1 expected input \[batch, 1\]/);
    await refuses(model, run(x, { batchSize: 0 }), ArgumentError, /batchSize/);
    await refuses(model, run(x, { size: 1 }), ArgumentError, /got size/);
    class Sums extends Layer {
      forward(input: Tensor): Tensor {
        return input.sum(0);
      }
    }
    await refuses(new Sums(), () => predict(new Sums(), x), ShapeError, /an output of 7 rows/);
  });
});

test('a compiled function cannot train, score or predict, as those go on after it was recorded', async () => {
  const model = new Sequential([new Dense(1, 1)]);
  const data = { x: [[1], [2]], y: [[1], [2]] };
  const optimizer = new SGD(model.parameters(), { learningRate: 0.1 });
  for (const start of [
    () => fit(model, data, { loss: 'mse', optimizer }),
    () => evaluate(model, data, { loss: 'mse' }),
    () => predict(model, data.x),
  ]) {
    let started: Promise<unknown> | undefined;
    const step = compile((x: Tensor) => {
      started = start();
      return x.mul(2);
    });
    step.sync(tensor([1]));
    await expect(started).rejects.toThrow(AutogradError);
  }
});

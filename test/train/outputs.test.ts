/** Scores of single outputs: their metrics and losses by name, wherever scores are. */
import { describe, expect, it } from 'vitest';
import {
  ArgumentError,
  AxpyError,
  type Checkpoint,
  checkpoint,
  Dense,
  earlyStopping,
  evaluate,
  fit,
  Layer,
  metrics,
  predict,
  randn,
  SGD,
  seed,
  type Tensor,
} from '../../lib/index.ts';
import { numbers, rejection } from './support.ts';

class Fork extends Layer {
  readonly kind = new Dense(2, 3);
  readonly sold = new Dense(2, 1);
  readonly price = new Dense(2, 1);
  forward(x: Tensor) {
    return { kind: this.kind.forward(x), sold: this.sold.forward(x), price: this.price.forward(x) };
  }
}

const n = 13;
seed(4);
const x = randn([n, 2]);
const y = {
  kind: Array.from({ length: n }, (_, i) => i % 3),
  sold: Array.from({ length: n }, (_, i) => [Number(i < 4)]),
  price: Array.from({ length: n }, (_, i) => [Math.sin(i)]),
};
const loss = {
  kind: 'softmaxCrossEntropy',
  sold: { loss: 'binaryCrossEntropyWithLogits', weight: 2 },
  price: 'mse',
} as const;
const chosen = {
  kind: ['accuracy', metrics.f1({ average: 'macro' })],
  sold: ['accuracy', 'rocAuc'],
  price: ['r2', (p: Tensor, t: Tensor) => p.sub(t).abs().max()],
} as const;
const make = () => {
  seed(6);
  const model = new Fork();
  return { model, optimizer: new SGD(model.parameters(), { learningRate: 0.05 }) };
};

describe('scores of outputs', () => {
  it.each([true, false])('are those of models of one output each, compiled: %s', async (compiled) => {
    const { model } = make();
    const scores = await evaluate(model, { x, y }, { loss, metrics: chosen, batchSize: 5, compiled });
    const outputs = await predict(model, x);
    let total = 0;
    for (const name of ['kind', 'sold', 'price'] as const) {
      const own = { x: outputs[name], y: y[name] };
      const same = new (class extends Layer {
        forward(prediction: Tensor): Tensor {
          return prediction;
        }
      })();
      const given = loss[name];
      const [plain, weight] = typeof given === 'string' ? [given, 1] : [given.loss, given.weight];
      const expected = await evaluate(same, own, {
        loss: plain,
        metrics: chosen[name] as never,
        batchSize: 5,
      });
      for (const [score, value] of Object.entries(expected)) {
        expect((scores as Record<string, number>)[`${name}.${score}`]).toBeCloseTo(value as number, 5);
      }
      total += weight * (expected as { loss: number }).loss;
    }
    expect(scores.loss).toBeCloseTo(total, 5);
    expect(Object.keys(scores)).toEqual([
      'loss',
      'kind.loss',
      'sold.loss',
      'price.loss',
      'kind.accuracy',
      'kind.f1Macro',
      'sold.accuracy',
      'sold.rocAuc',
      'price.r2',
      'price.metric 2',
    ]);
  });

  it('are in records, in validation, among monitors, and go on with a training', async () => {
    const options = {
      loss,
      metrics: { kind: ['accuracy'], price: ['r2'] },
      validation: { x, y },
      seed: 1,
      batchSize: 4,
    } as const;
    const whole = make();
    const { epochs } = await fit(
      whole.model,
      { x, y },
      { ...options, optimizer: whole.optimizer, epochs: 3 },
    );
    const last = await evaluate(whole.model, { x, y }, { loss, metrics: options.metrics });
    for (const name of ['loss', 'kind.loss', 'price.loss', 'kind.accuracy', 'price.r2'] as const) {
      expect(epochs[2].validation![name]).toBeCloseTo(last[name]!, 5);
    }
    expect(epochs[2]['kind.loss'] + 2 * epochs[2]['sold.loss'] + epochs[2]['price.loss']).toBeCloseTo(
      epochs[2].loss,
      5,
    );

    let kept: Checkpoint | undefined;
    const save = (taken: Checkpoint) => {
      kept = taken;
    };
    const first = make();
    await fit(
      first.model,
      { x, y },
      { ...options, optimizer: first.optimizer, epochs: 2, callbacks: [checkpoint({ save, every: 3 })] },
    );
    const second = make();
    const rest = await fit(
      second.model,
      { x, y },
      { ...options, optimizer: second.optimizer, epochs: 3, resume: kept },
    );
    expect(numbers(second.model)).toEqual(numbers(whole.model));
    expect(rest.epochs[2]['kind.loss']).toBe(epochs[2]['kind.loss']);
    expect(rest.epochs[2]['kind.accuracy']).toBe(epochs[2]['kind.accuracy']);

    const stopped = make();
    // More of it is better: the smallest improvement asked for is more than there can be.
    const callbacks = [earlyStopping({ monitor: 'validation.kind.accuracy', minDelta: 2, patience: 2 })];
    const history = await fit(
      stopped.model,
      { x, y },
      { ...options, optimizer: stopped.optimizer, epochs: 9, callbacks },
    );
    expect(history.epochs.length).toBe(3);
    expect(history.stopped).toContain('validation.kind.accuracy');
  });

  it.each<[string, object, RegExp]>([
    ['an unknown metric', { metrics: { kind: ['acuracy'] } }, /each of metrics\.kind .* "acuracy"/],
    ['no list', { metrics: { kind: 'accuracy' } }, /metrics\.kind to be an array/],
    ['one twice', { metrics: { kind: ['accuracy', 'accuracy'] } }, /kind\.accuracy twice/],
    [
      'an output that there is not',
      { metrics: { colour: ['accuracy'] } },
      /outputs by the names colour, got none/,
    ],
    [
      'the name of what records have',
      { metrics: { validation: ['accuracy'] } },
      /another name .* metrics than validation/,
    ],
    ['a loss of that name', { loss: { validation: 'mse' } }, /another name .* loss than validation/],
  ])('refuse %s', async (_, options, message) => {
    const { model, optimizer } = make();
    for (const act of [
      () => fit(model, { x, y }, { loss, optimizer, ...options } as never),
      () => evaluate(model, { x, y }, { loss, ...options } as never),
    ]) {
      const error = await rejection(act());
      expect(error).toBeInstanceOf(AxpyError);
      expect((error as ArgumentError).code).toBe(new ArgumentError('').code);
      expect((error as Error).message).toMatch(message);
    }
  });
});

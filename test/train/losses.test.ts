/** Every loss of `losses`, by name, in trainings: compiled as eager, and lower in the end than in the beginning. */
import { describe, expect, test } from 'vitest';
import {
  Adam,
  Dense,
  fit,
  Layer,
  type LossName,
  losses,
  Parameter,
  Sequential,
  seed,
  type Tensor,
  tensor,
} from '../../lib/index.ts';

const n = 48;
const x = Array.from({ length: n }, (_, i) => [Math.sin(i), Math.cos(2 * i), Math.sin(3 * i + 1)]);
const isPositive = (i: number) => Number(x[i][0] + x[i][1] > 0);
const classOf = (i: number) => x[i].indexOf(Math.max(...x[i]));
const each = <T>(f: (i: number) => T): T[] => Array.from({ length: n }, (_, i) => f(i));

/** A vector for each of the two classes of inputs, to be near to its like. */
class Twins extends Layer {
  readonly first = new Dense(3, 4);
  readonly second = new Dense(3, 4);
  forward(input: Tensor): [Tensor, Tensor] {
    return [this.first.forward(input), this.second.forward(input)];
  }
}

const net = (outputs: number, last?: 'sigmoid') => () =>
  new Sequential([
    new Dense(3, 8, { activation: 'tanh' }),
    new Dense(8, outputs, last ? { activation: last } : {}),
  ]);

class Logs extends Layer {
  readonly dense = new Dense(3, 3);
  forward(input: Tensor): Tensor {
    return this.dense.forward(input).logSoftmax();
  }
}

const numbers = each((i) => [x[i][0] * 2 - x[i][2]]);
const bits = each((i) => [isPositive(i)]);
const signs = each((i) => [2 * isPositive(i) - 1]);
const hot = each((i) => [0, 1, 2].map((c) => Number(c === classOf(i))));

/** What a model is, and what it learns. */
const tasks: Readonly<Record<LossName, readonly [model: () => Layer, y: unknown]>> = {
  mse: [net(1), numbers],
  meanAbsoluteError: [net(1), numbers],
  huber: [net(1), numbers],
  quantile: [net(1), numbers],
  binaryCrossEntropy: [net(1, 'sigmoid'), bits],
  binaryCrossEntropyWithLogits: [net(1), bits],
  focal: [net(1), bits],
  hinge: [net(1), signs],
  squaredHinge: [net(1), signs],
  softmaxCrossEntropy: [net(3), each(classOf)],
  multiMargin: [net(3), each(classOf)],
  klDivergence: [() => new Logs(), hot],
  cosineSimilarity: [net(3), hot],
  cosineEmbedding: [() => new Twins(), each((i) => 2 * isPositive(i) - 1)],
};

test('there is a task for each', () => {
  expect(Object.keys(tasks).sort()).toEqual(Object.keys(losses).sort());
});

test.each(Object.entries(tasks))('%s', async (loss, [make, y]) => {
  const learn = async (compiled: boolean) => {
    seed(5);
    const model = make();
    const optimizer = new Adam(model.parameters(), { learningRate: 0.05 });
    const options = { loss: loss as LossName, optimizer, epochs: 6, batchSize: 12, shuffle: false, compiled };
    const { epochs } = await fit(model, { x, y: y as number[][] }, options as never);
    return epochs.map((epoch) => epoch.loss);
  };
  const [eager, compiled] = [await learn(false), await learn(true)];
  expect(eager.at(-1)).toBeLessThan(eager[0] - 0.01);
  compiled.forEach((value, epoch) => {
    expect(Math.abs(value - eager[epoch])).toBeLessThanOrEqual(1e-5 * Math.max(1, Math.abs(eager[epoch])));
  });
});

describe('sequences with places that do not count', () => {
  const steps = 5;
  const input = tensor(
    each((i) => Array.from({ length: steps }, (_, t) => [Math.sin(i + t), Math.cos(i * t)])),
  );
  const places = Int32Array.from({ length: n * steps }, (_, i) => (i % 3 === 0 ? -100 : (i * 7) % 3));
  const labels = tensor(places, { shape: [n, steps] });
  const loss = (p: Tensor, t: Tensor) =>
    losses.softmaxCrossEntropy(p, t as Tensor<'int32'>, {
      ignoreIndex: -100,
      weight: [1, 2, 0.5],
      labelSmoothing: 0.1,
    });

  test.each([true, false])('are learnt, compiled: %s', async (compiled) => {
    seed(6);
    const model = new Sequential([new Dense(2, 16, { activation: 'tanh' }), new Dense(16, 3)]);
    const optimizer = new Adam(model.parameters(), { learningRate: 0.05 });
    const { epochs } = await fit(model, { x: input, y: labels }, { loss, optimizer, epochs: 4, compiled });
    expect(epochs[3].loss).toBeLessThan(epochs[0].loss);
  });

  test('what is ignored has no gradient, and nothing of it comes in', () => {
    const logits = new Parameter([2, 3]);
    logits.data.set([1, 2, 3, 4, 5, 6]);
    const some = losses.softmaxCrossEntropy(logits, tensor(Int32Array.of(2, 7)), { ignoreIndex: 7 });
    const one = losses.softmaxCrossEntropy(tensor([[1, 2, 3]]), tensor(Int32Array.of(2)));
    expect(some.item()).toBe(one.item());
    some.backward();
    expect(logits.grad!.data.slice(3).every((value) => value === 0)).toBe(true);
  });
});

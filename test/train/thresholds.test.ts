/** What a score must exceed to mean yes: told by the loss or by options, and otherwise never guessed of what is no probability. */
import { describe, expect, it } from 'vitest';
import {
  ArgumentError,
  confusionMatrix,
  Dense,
  evaluate,
  fit,
  type LossName,
  losses,
  metrics,
  Sequential,
  SGD,
  type Tensor,
  tensor,
} from '../../lib/index.ts';
import { resolveMetrics } from '../../lib/train/metrics.ts';
import { dense, labels, matrix, over, rejection } from './support.ts';

/** Logits on both sides of ½, where thresholds of 0 and ½ say something else, and on both sides of [0, 1]. */
const x = [[2.5], [0.25], [-1.5], [0.4], [-0.25], [-3], [0.1], [1.75]];
const truth = [1, 1, 0, 0, 1, 0, 1, 1];
const [n, kind] = [x.length, 'multilabel'] as const;
const several = x.map(([z], i) => [z, x[(i + 3) % n][0]]);
const severalTruths = truth.map((t, i) => [t, truth[(i + 5) % n]]);

/** A model that returns its input, or the probabilities that belong to it. */
function model(width: number, last?: 'sigmoid'): Sequential {
  const same = dense(Array.from({ length: width }, (_, i) => [0, 1].slice(0, width).map((j) => +(i === j))));
  const layer = new Dense(width, width, last ? { activation: last } : {});
  layer.loadStateDict(same.stateDict());
  return new Sequential([layer]);
}

/** Metrics by a threshold, by ranks, and the log loss, which takes scores as they are. */
const ofYes = ['accuracy', 'precision', 'recall', 'f1', 'rocAuc', 'averagePrecision', 'logLoss'] as const;
const byThreshold = ofYes.slice(0, 4) as readonly (typeof ofYes)[number][];
const byRank = ['rocAuc', 'averagePrecision'] as readonly (typeof ofYes)[number][];

it('there is no metric of classes beside these', () => {
  const rest = ['topK', 'meanAbsoluteError', 'meanSquaredError', 'rootMeanSquaredError', 'r2'];
  expect([...ofYes, ...rest].sort()).toEqual(Object.keys(metrics).sort());
});

for (const compiled of [true, false]) {
  for (const [title, inputs, y] of [
    ['one score an example', x, truth.map((t) => [t])],
    ['several labels', several, severalTruths],
  ] as const) {
    const width = inputs[0].length;
    const own = width === 1 ? {} : { kind };
    const data = { x: inputs as number[][], y: y as number[][] };

    describe(`${title}, compiled ${compiled}`, () => {
      for (const name of ofYes) {
        const metric = metrics[name](own);
        /** By the definition: of the probabilities that belong to the logits. */
        const right = over(metric, matrix(data.x).sigmoid(), tensor(data.y), [n]);
        const score = async (last: 'sigmoid' | undefined, loss?: unknown) =>
          (
            (await evaluate(model(width, last), data, {
              metrics: [metric],
              compiled,
              ...(loss === undefined ? {} : { loss: loss as 'mse' }),
            })) as Record<string, number>
          )[name];

        it(`${name} of logits is right, or refused`, async () => {
          for (const loss of ['binaryCrossEntropyWithLogits', 'focal'] as const) {
            for (const choice of [loss, losses[loss]])
              expect(await score(undefined, choice)).toBeCloseTo(right, 5);
          }
          const mine = (p: Tensor, t: Tensor) => losses.binaryCrossEntropyWithLogits(p, t);
          for (const loss of [undefined, mine]) {
            if (byRank.includes(name)) {
              expect(await score(undefined, loss)).toBeCloseTo(right, 5);
              continue;
            }
            const error = await rejection(score(undefined, loss));
            expect(error).toBeInstanceOf(ArgumentError);
            const advice = name === 'logLoss' ? 'fromLogits' : 'a loss .*threshold';
            expect((error as Error).message).toMatch(
              new RegExp(`^\\[${name}\\] expected .*probabilities.*, got 2.5: .*${advice}`),
            );
          }
          if (!byThreshold.includes(name)) return;
          const threshold = metrics[name as 'accuracy']({ ...own, threshold: 0 });
          const scores = await evaluate(model(width), data, { metrics: [threshold], compiled });
          expect((scores as Record<string, number>)[name]).toBeCloseTo(right, 5);
        });

        it(`${name} of probabilities is right`, async () => {
          const mine = (p: Tensor, t: Tensor) => losses.binaryCrossEntropy(p, t);
          const all: unknown[] = [undefined, 'binaryCrossEntropy', losses.binaryCrossEntropy, mine, 'mse'];
          for (const loss of all) expect(await score('sigmoid', loss)).toBeCloseTo(right, 5);
        });
      }
    });
  }

  it(`what learns 0 and 1 as quantities is decided at ½, compiled ${compiled}`, async () => {
    const wanted = x.filter(([p], i) => Number(p > 0.5) === truth[i]).length / n;
    for (const loss of ['mse', 'meanAbsoluteError', 'huber', 'quantile'] as const satisfies LossName[]) {
      const learner = model(1);
      const optimizer = new SGD(learner.parameters(), { learningRate: 1e-9 });
      const data = { x, y: truth.map((t) => [t]) };
      const { epochs } = await fit(learner, data, {
        loss,
        optimizer,
        epochs: 1,
        metrics: ['accuracy', 'f1'],
        validation: data,
        compiled,
      });
      expect(epochs[0].accuracy).toBe(wanted);
      expect(epochs[0].validation!.accuracy).toBe(wanted);
    }
  });
}

it('rounding takes a probability out of [0, 1] by little; NaN is no score, and wrong', () => {
  const near = tensor([1 + 1e-7, -1e-7, Number.NaN]);
  for (const name of byThreshold) {
    expect(over(metrics[name](), near, labels([1, 0, 0]), [3])).toBeGreaterThan(0.6);
    for (const score of [1.25, -0.25, Infinity, -Infinity]) {
      const act = () => over(metrics[name](), tensor([0.5, score]), labels([1, 0]), [2]);
      expect(act).toThrow(ArgumentError);
      expect(act).toThrow(`got ${score}`);
    }
  }
});

it('what is refused was not counted', () => {
  for (const name of byThreshold) {
    const sum = metrics[name]().start();
    sum.add(tensor([0.9, 0.1]), labels([1, 0]));
    expect(() => sum.add(tensor([0.1, 2]), labels([1, 0]))).toThrow(ArgumentError);
    expect(sum.result()).toBe(1);
  }
});

it('competing classes have no threshold', () => {
  const scores = tensor([
    [3, -2, 0],
    [-5, 7, 1],
    [0, 0.5, 4],
  ]);
  for (const name of byThreshold) expect(over(metrics[name](), scores, labels([0, 1, 2]), [3])).toBe(1);
});

it('logarithms of probabilities are logits of their classes', () => {
  const p = tensor([
    [0.7, 0.2, 0.1],
    [0.3, 0.3, 0.4],
  ]);
  const names = ['accuracy', 'rocAuc', 'logLoss'] as const;
  const hot = matrix([
    [1, 0, 0],
    [0, 1, 0],
  ]);
  resolveMetrics('fit', names, 'klDivergence').forEach((metric, i) => {
    expect(over(metric, p.log(), hot, [2])).toBeCloseTo(over(metrics[names[i]](), p, hot, [2]), 6);
  });
});

it('a confusion matrix has none either for what is no probability', () => {
  for (const shape of [[n], [n, 1]]) {
    const act = () => confusionMatrix(matrix(x).reshape(shape), truth);
    expect(act).toThrow(ArgumentError);
    expect(act).toThrow(/^\[confusionMatrix\] expected .*probabilities.*, got 2.5: .*sigmoid/);
    const table = confusionMatrix(matrix(x).reshape(shape).sigmoid(), truth);
    expect(table.counts).toEqual([
      [2, 1],
      [1, 4],
    ]);
  }
  const both = tensor([[2], [Number.NaN]]);
  expect(() => confusionMatrix(both, [1, 1])).toThrow('got 2');
});

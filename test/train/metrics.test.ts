import { describe, expect, it } from 'vitest';
import { ArgumentError, IndexError, losses, ShapeError, type Tensor, tensor } from '../../lib/index.ts';
import { confusionMatrix, type MetricChoice, metrics, resolveMetrics } from '../../lib/train/metrics.ts';
import { exactly, labels, over } from './support.ts';

const scores = tensor([
  [0.1, 0.7, 0.2],
  [0.5, 0.3, 0.2],
  [0.2, 0.3, 0.5],
  [0.4, 0.4, 0.2],
  [0.1, 0.2, 0.7],
]);

describe('accuracy', () => {
  it('compares the largest score with int32 labels, float labels and one-hot targets', () => {
    // The largest: 1, 0, 2, 0 (the first at a tie), 2.
    const truth = [1, 0, 1, 1, 2];
    expect(exactly(metrics.accuracy(), scores, labels(truth))).toBe(3 / 5);
    expect(exactly(metrics.accuracy(), scores, tensor(truth))).toBe(3 / 5);
    const oneHot = tensor(truth.map((label) => [0, 1, 2].map((c) => (c === label ? 1 : 0))));
    expect(exactly(metrics.accuracy(), scores, oneHot)).toBe(3 / 5);
  });

  it('compares single scores with 0 and 1 at a threshold', () => {
    const p = tensor([0.5, 0.6, 0.9, 0.1]);
    const t = tensor([0, 1, 0, 1]);
    expect(exactly(metrics.accuracy(), p, t)).toBe(2 / 4);
    expect(exactly(metrics.accuracy({ threshold: 0.05 }), p, t)).toBe(2 / 4);
    expect(exactly(metrics.accuracy({ threshold: 0.55 }), p.reshape([4, 1]), t.reshape([4, 1]))).toBe(2 / 4);
    expect(exactly(metrics.accuracy({ threshold: 0.95 }), p.reshape([4, 1]), labels([0, 1, 0, 1]))).toBe(
      2 / 4,
    );
    expect(exactly(metrics.accuracy({ threshold: 0.7 }), p, tensor([0, 0, 1, 0]))).toBe(1);
  });

  it('takes the classes of a sequence along the last axis', () => {
    const p = tensor([
      [
        [0, 1],
        [1, 0],
      ],
      [
        [0, 1],
        [0, 1],
      ],
    ]);
    expect(exactly(metrics.accuracy(), p, labels([1, 1, 1, 1]).reshape([2, 2]))).toBe(3 / 4);
  });

  it('counts NaN as wrong', () => {
    expect(exactly(metrics.accuracy(), tensor([Number.NaN, Number.NaN]), tensor([0, 1]))).toBe(0);
  });

  it('has a threshold of 0 beside a loss on logits', () => {
    const [onLogits] = resolveMetrics('fit', ['accuracy'], 'binaryCrossEntropyWithLogits');
    const [onFunction] = resolveMetrics('fit', ['accuracy'], losses.binaryCrossEntropyWithLogits);
    const [onProbabilities] = resolveMetrics('fit', ['accuracy'], 'binaryCrossEntropy');
    const logits = tensor([0.2, 0.4, -0.1]);
    const t = tensor([1, 1, 0]);
    expect(exactly(onLogits, logits, t)).toBe(1);
    expect(exactly(onFunction, logits, t)).toBe(1);
    expect(exactly(onProbabilities, logits, t)).toBe(1 / 3);
  });

  it('refuses shapes that do not fit', () => {
    const sum = metrics.accuracy().start();
    expect(() => sum.add(scores, labels([1, 2]))).toThrow(
      /expected labels \[5\] or one-hot targets \[5, 3\]/,
    );
    expect(() => sum.add(tensor([0.5]), tensor([1, 0]))).toThrow(ShapeError);
    expect(() => metrics.accuracy({ threshold: Number.NaN })).toThrow(ArgumentError);
  });
});

describe('topK', () => {
  it('finds the class among the k highest', () => {
    // The order of the classes in each row: 1 2 0, 0 1 2, 2 1 0, 0 1 2 (a tie), 2 1 0.
    const truth = labels([2, 2, 1, 1, 0]);
    expect(exactly(metrics.topK(1), scores, truth)).toBe(0);
    expect(exactly(metrics.topK(2), scores, truth)).toBe(3 / 5);
    expect(exactly(metrics.topK(3), scores, truth)).toBe(1);
    expect(metrics.topK(3).name).toBe('top3');
    expect(metrics.topK().name).toBe('top5');
  });

  it('is accuracy for k = 1, ties and NaN included', () => {
    const p = tensor([
      [1, 1, 0],
      [0, 2, 2],
      [Number.NaN, 1, 2],
      [3, 3, 3],
    ]);
    for (const truth of [
      [0, 1, 1, 0],
      [1, 2, 2, 1],
      [2, 0, 1, 2],
    ]) {
      const wanted = over(metrics.accuracy(), p, labels(truth), [4]);
      expect(over(metrics.topK(1), p, labels(truth), [4])).toBe(wanted);
    }
  });

  it('refuses what has no classes', () => {
    expect(() => metrics.topK(0)).toThrow(ArgumentError);
    const sum = metrics.topK(1).start();
    expect(() => sum.add(tensor([[1]]), labels([0]))).toThrow(ShapeError);
    expect(() => sum.add(tensor([[1, 2]]), labels([2]))).toThrow(IndexError);
    expect(() => sum.add(tensor([[1, 2]]), labels([-1]))).toThrow(IndexError);
  });
});

describe('errors of quantities', () => {
  const p = tensor([
    [1, 2],
    [3, 4],
    [5, 9],
  ]);
  const t = tensor([
    [1, 1],
    [5, 4],
    [6, 6],
  ]);

  it('are over all elements', () => {
    expect(exactly(metrics.meanAbsoluteError(), p, t)).toBe((0 + 1 + 2 + 0 + 1 + 3) / 6);
    expect(exactly(metrics.rootMeanSquaredError(), p, t)).toBeCloseTo(Math.sqrt(15 / 6), 12);
  });

  it('R² is that of each output, averaged', () => {
    // Outputs: targets 1, 5, 6 (mean 4, Σ 14) with errors Σ 5; targets 1, 4, 6 (mean 11/3, Σ 38/3) with errors Σ 10.
    expect(exactly(metrics.r2(), p, t)).toBeCloseTo((1 - 5 / 14 + (1 - 10 / (38 / 3))) / 2, 12);
    expect(exactly(metrics.r2(), t, t)).toBe(1);
    expect(exactly(metrics.r2(), tensor([4, 4, 4]), tensor([1, 5, 6]))).toBeCloseTo(0, 12);
  });

  it('R² does not lose digits to a large mean', () => {
    const shifted = tensor([1e9 + 1, 1e9 + 5, 1e9 + 6], { dtype: 'float64' });
    const near = tensor([1e9 + 2, 1e9 + 5, 1e9 + 6], { dtype: 'float64' });
    expect(exactly(metrics.r2(), near, shifted)).toBeCloseTo(1 - 1 / 14, 9);
  });

  it('R² of equal targets is 1 when exact, else 0', () => {
    expect(exactly(metrics.r2(), tensor([2, 2, 2]), tensor([2, 2, 2]))).toBe(1);
    expect(exactly(metrics.r2(), tensor([2, 2, 3]), tensor([2, 2, 2]))).toBe(0);
  });

  it('want one shape', () => {
    for (const name of ['meanAbsoluteError', 'rootMeanSquaredError', 'r2'] as const) {
      const sum = metrics[name]().start();
      expect(() => sum.add(tensor([[1], [2]]), tensor([1, 2]))).toThrow(ShapeError);
    }
  });
});

describe('resolveMetrics', () => {
  const named = (choices: unknown[]) =>
    resolveMetrics('fit', choices as MetricChoice[]).map(({ name }) => name);

  it('takes names, metrics and functions', () => {
    const bias = (prediction: Tensor, target: Tensor) => prediction.sub(target).mean().item();
    expect(named(['accuracy', 'topK', metrics.topK(2), 'r2', bias, losses.huber, () => 1])).toEqual([
      'accuracy',
      'top5',
      'top2',
      'r2',
      'bias',
      'huber',
      'metric 7',
    ]);
  });

  it('weights a function of a batch with its size', () => {
    const p = tensor([[1], [2], [3], [4], [9]], { dtype: 'float64' });
    const t = tensor([[0], [0], [0], [0], [0]], { dtype: 'float64' });
    const [meanOf] = resolveMetrics('fit', [(prediction: Tensor) => prediction.mean().item()]);
    expect(exactly(meanOf, p, t)).toBeCloseTo(19 / 5, 6);
    const [asTensor] = resolveMetrics('fit', [losses.mse]);
    expect(over(asTensor, p, t, [2, 3])).toBeCloseTo((1 + 4 + 9 + 16 + 81) / 5, 5);
  });

  it('refuses what is none', () => {
    for (const choices of [['nothing'], [3], [null], [{}], ['toString'], ['r2', 'r2']]) {
      expect(() => named(choices)).toThrow(ArgumentError);
    }
    expect(() => named(['nothing'])).toThrow(
      /one of accuracy, .*precision, .*r2, .* a metric or a function, got "nothing"/,
    );
    const loss = () => 1;
    expect(() => named([loss])).toThrow(/another name for a metric than loss/);
    const [words] = resolveMetrics('fit', [(() => 'much') as never]);
    expect(() => over(words, tensor([1]), tensor([1]), [1])).toThrow(ArgumentError);
  });
});

describe('confusionMatrix', () => {
  it('counts true against predicted classes', () => {
    const table = confusionMatrix(scores, labels([1, 0, 1, 1, 2]));
    // Predicted: 1, 0, 2, 0, 2.
    expect(table.counts).toEqual([
      [1, 0, 0],
      [1, 1, 1],
      [0, 0, 1],
    ]);
    expect(table.accuracy).toBe(3 / 5);
    expect(table.precision).toEqual([1 / 2, 1, 1 / 2]);
    expect(table.recall).toEqual([1, 1 / 3, 1]);
    expect(table.f1).toEqual([2 / 3, 1 / 2, 2 / 3]);
  });

  it('takes probabilities of two classes, labels against labels, and one-hot', () => {
    const p = tensor([[0.2], [0.8], [0.5], [0.9]]);
    expect(confusionMatrix(p, [0, 1, 1, 0]).counts).toEqual([
      [1, 1],
      [1, 1],
    ]);
    expect(confusionMatrix(p.flatten().reshape([4]), tensor([0, 1, 1, 0])).counts).toEqual([
      [1, 1],
      [1, 1],
    ]);
    expect(confusionMatrix(labels([0, 2]), labels([1, 2])).counts).toEqual([
      [0, 0, 0],
      [1, 0, 0],
      [0, 0, 1],
    ]);
    expect(confusionMatrix(labels([0, 1]), [0, 1], 3).counts).toEqual([
      [1, 0, 0],
      [0, 1, 0],
      [0, 0, 0],
    ]);
    const table = confusionMatrix(
      tensor([
        [1, 0],
        [1, 0],
      ]),
      tensor([
        [0, 1],
        [1, 0],
      ]),
    );
    expect(table.counts).toEqual([
      [1, 0],
      [1, 0],
    ]);
    expect(table.precision).toEqual([1 / 2, Number.NaN]);
  });

  it('refuses labels that are no class', () => {
    expect(() => confusionMatrix(scores, labels([1, 0, 1, 1, 3]))).toThrow(IndexError);
    expect(() => confusionMatrix(scores, [1, 0, 1, 1, 0.5])).toThrow(/got 0.5 for example 4/);
    expect(() => confusionMatrix(tensor([Number.NaN]), [1])).toThrow(IndexError);
    expect(() => confusionMatrix(tensor([[Number.NaN, 1]]), [1])).toThrow(/got NaN for example 0/);
    expect(() => confusionMatrix(labels([-1]), [0])).toThrow(IndexError);
    expect(() => confusionMatrix(scores, labels([1, 0]))).toThrow(ShapeError);
    expect(() => confusionMatrix(tensor([[[1, 2]]]), labels([1]))).toThrow(ShapeError);
    expect(() => confusionMatrix(scores, labels([1, 0, 1, 1, 2]), 2)).toThrow(ArgumentError);
    expect(() => confusionMatrix([1] as never, [1])).toThrow(ArgumentError);
  });
});

/** Classifiers as people train them: several labels at once, a rare class, images of labels; metrics by their names. */
import { describe, expect, it } from 'vitest';
import {
  Adam,
  DataError,
  Dense,
  earlyStopping,
  evaluate,
  fit,
  losses,
  metrics,
  Sequential,
  seed,
  type Tensor,
  tensor,
} from '../../lib/index.ts';
import { dense } from './support.ts';

/** Points of the plane, with one label for each of three half-planes that they may lie in. */
function labelled(n: number): { x: number[][]; y: number[][] } {
  const x = Array.from({ length: n }, (_, i) => [Math.sin(i * 12.9898), Math.sin(i * 78.233 + 1)]);
  return { x, y: x.map(([a, b]) => [Number(a > 0.1), Number(b > -0.2), Number(a + b > 0)]) };
}

describe('several labels at once', () => {
  for (const loss of ['binaryCrossEntropyWithLogits', losses.binaryCrossEntropyWithLogits] as const) {
    for (const compiled of [true, false]) {
      it(`are scored label by label, by ${typeof loss === 'string' ? 'name' : 'function'}, compiled ${compiled}`, async () => {
        seed(1);
        const { x, y } = labelled(120);
        const model = new Sequential([new Dense(2, 3)]);
        const history = await fit(
          model,
          { x, y },
          {
            loss,
            optimizer: new Adam(model.parameters(), { learningRate: 0.3 }),
            epochs: 8,
            validation: labelled(40),
            metrics: ['accuracy', 'precision', 'recall', 'f1', 'rocAuc', 'averagePrecision', 'logLoss'],
            compiled,
          },
        );
        const last = history.epochs[history.epochs.length - 1];
        for (const scores of [last, last.validation!]) {
          expect(scores.accuracy).toBeGreaterThan(0.93);
          expect(scores.f1).toBeGreaterThan(0.93);
          expect(scores.rocAuc).toBeGreaterThan(0.99);
          expect(scores.averagePrecision).toBeGreaterThan(0.99);
          // On logits, and over all labels, the loss is the log loss.
          expect(scores.logLoss).toBeCloseTo(scores.loss!, 5);
        }
      });
    }
  }

  it('are right where every label is', async () => {
    const model = dense([
      [1, 0, 0],
      [0, 1, 0],
      [0, 0, 1],
    ]);
    const x = [
      [2, 3, -1],
      [-2, -3, -1],
      [1, 2, 3],
    ];
    const y = x.map((row) => row.map((value) => Number(value > 0)));
    const names = ['accuracy', 'precision', 'recall', 'f1'] as const;
    const right = { accuracy: 1, precision: 1, recall: 1, f1: 1 };
    const loss = 'binaryCrossEntropyWithLogits';
    expect(await evaluate(model, { x, y }, { loss, metrics: names })).toMatchObject(right);
    const chosen = names.map((name) => metrics[name]({ kind: 'multilabel', threshold: 0 }));
    expect(await evaluate(model, { x, y }, { metrics: chosen })).toEqual(right);
    // Two of three labels wrong.
    const wrong = [[0, 1, 1]];
    expect(await evaluate(model, { x: [x[0]], y: wrong }, { loss, metrics: ['accuracy'] })).toMatchObject({
      accuracy: 1 / 3,
    });
    // Nothing tells what they are.
    for (const name of names) {
      await expect(evaluate(model, { x, y }, { metrics: [name] })).rejects.toThrow(/kind.*multilabel/);
      const own = (p: Tensor, t: Tensor) => losses.binaryCrossEntropyWithLogits(p, t);
      await expect(evaluate(model, { x, y }, { loss: own, metrics: [name] })).rejects.toThrow(DataError);
    }
  });
});

describe('a rare class', () => {
  it('is found by F1 and ROC AUC, which early stopping watches', async () => {
    seed(2);
    const n = 1000;
    const fraud = Array.from({ length: n }, (_, i) => Number(i % 100 === 7));
    const x = fraud.map((f, i) => [Math.sin(i * 12.9898) + 3 * f, Math.sin(i * 78.233)]);
    const model = new Sequential([new Dense(2, 8, { activation: 'relu' }), new Dense(8, 1)]);
    const history = await fit(
      model,
      { x, y: tensor(fraud, { shape: [n, 1] }) },
      {
        loss: 'binaryCrossEntropyWithLogits',
        optimizer: new Adam(model.parameters(), { learningRate: 0.03 }),
        batchSize: 100,
        epochs: 60,
        validation: { x, y: tensor(fraud, { shape: [n, 1] }) },
        metrics: ['accuracy', 'rocAuc', 'f1', 'precision', 'recall', metrics.f1({ average: 'macro' })],
        callbacks: [earlyStopping({ monitor: 'validation.rocAuc', patience: 15 })],
      },
    );
    expect(history.epochs[0].validation!.accuracy).toBeGreaterThan(0.9);
    const best = history.epochs[history.bestEpoch! - 1].validation!;
    expect(best.rocAuc).toBe(1);
    expect(history.epochs[0].validation!.f1).toBeLessThan(0.5);
    // The best epoch is the first of the highest AUC: more is better.
    expect(history.bestEpoch).toBe(
      history.epochs.findIndex(({ validation }) => validation!.rocAuc === 1) + 1,
    );
    expect(Object.keys(best)).toEqual(['loss', 'accuracy', 'rocAuc', 'f1', 'precision', 'recall', 'f1Macro']);
    for (const monitor of [
      'f1Macro',
      'validation.f1',
      'averagePrecisionMicro',
      'precisionWeighted',
      'logLoss',
    ]) {
      expect(() => earlyStopping({ monitor })).not.toThrow();
    }
  });
});

describe('one of several classes', () => {
  it('has all metrics by name, on logits', async () => {
    seed(3);
    const x = Array.from({ length: 90 }, (_, i) => [Math.sin(i * 12.9898), Math.sin(i * 78.233)]);
    const y = x.map(([a, b]) => (a > 0.3 ? 2 : b > 0 ? 1 : 0));
    const model = new Sequential([new Dense(2, 16, { activation: 'tanh' }), new Dense(16, 3)]);
    const names = ['accuracy', 'precision', 'recall', 'f1', 'rocAuc', 'averagePrecision', 'logLoss'] as const;
    const optimizer = new Adam(model.parameters(), { learningRate: 0.05 });
    const { epochs } = await fit(
      model,
      { x, y },
      {
        loss: 'softmaxCrossEntropy',
        optimizer,
        epochs: 30,
        metrics: names,
      },
    );
    const last = epochs[epochs.length - 1];
    for (const name of names.slice(0, 6)) expect(last[name]).toBeGreaterThan(0.9);
    expect(last.logLoss).toBeCloseTo(last.loss, 5);
  });
});

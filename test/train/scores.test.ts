/**
 * Metrics of classes, of one of several and of labels, against scikit-learn 1.2.1:
 *
 *     S = np.array([[8,5,3],[2,10,4],[2,10,4],[1,3,12],[6,6,4],[5,5,6],[9,3,4],[4,4,8],[8,5,3],[3,3,10]])/16
 *     y = np.array([0,1,2,2,1,0,0,1,1,2])
 *     Y = np.array([[1,0,0],[0,1,1],[0,1,0],[1,0,1],[0,0,0],[1,0,1],[1,1,0],[0,0,1],[1,1,1],[0,0,1]])
 *     b = np.array([0,1,1,0,0,0,1,0,1,0]); s = np.array([3,8,10,12,8,1,16,2,8,8])/16
 *     f1_score(y, S.argmax(1), average=…, zero_division=0); f1_score(Y, S > 0.3, …); f1_score(b, s > 0.5, …)
 *     roc_auc_score(y, S, multi_class='ovr', average=…); roc_auc_score(Y, S, …); roc_auc_score(b, s)
 *     average_precision_score(label_binarize(y, classes=[0, 1, 2]), S, average=…); log_loss(y, S); log_loss(b, s)
 */
import { describe, expect, it } from 'vitest';
import {
  ArgumentError,
  confusionMatrix,
  DataError,
  IndexError,
  type Metric,
  metrics,
  ShapeError,
  type Tensor,
  tensor,
} from '../../lib/index.ts';
import { higherIsBetter, resolveMetrics } from '../../lib/train/metrics.ts';
import { exactly, labels, over } from './support.ts';

const sixteenths = (values: number[][], dtype: 'float32' | 'float64' = 'float32') =>
  tensor(
    values.map((row) => row.map((value) => value / 16)),
    { dtype },
  );
const S = [
  [8, 5, 3],
  [2, 10, 4],
  [2, 10, 4],
  [1, 3, 12],
  [6, 6, 4],
  [5, 5, 6],
  [9, 3, 4],
  [4, 4, 8],
  [8, 5, 3],
  [3, 3, 10],
];
const y = [0, 1, 2, 2, 1, 0, 0, 1, 1, 2];
const Y = [
  [1, 0, 0],
  [0, 1, 1],
  [0, 1, 0],
  [1, 0, 1],
  [0, 0, 0],
  [1, 0, 1],
  [1, 1, 0],
  [0, 0, 1],
  [1, 1, 1],
  [0, 0, 1],
];
const b = [0, 1, 1, 0, 0, 0, 1, 0, 1, 0];
const s = [[3, 8, 10, 12, 8, 1, 16, 2, 8, 8]];
const hot = y.map((label) => [0, 1, 2].map((c) => Number(c === label)));
const averages = ['macro', 'micro', 'weighted'] as const;

/** What scikit-learn gives: of one class of several, of labels, of class 1 or not; by macro, micro, weighted. */
const counted = {
  precision: [
    [0.5, 0.5, 0.5],
    [0.7666666666666666, 0.7333333333333333, 0.8],
    [0.6904761904761905, 0.7, 0.6952380952380952],
  ],
  recall: [
    [0.5277777777777778, 0.5, 0.5],
    [0.7388888888888889, 0.7333333333333333, 0.7333333333333333],
    [0.6666666666666667, 0.7, 0.7],
  ],
  f1: [
    [0.4920634920634921, 0.5, 0.47619047619047616],
    [0.7333333333333334, 0.7333333333333333, 0.7466666666666667],
    [0.6703296703296704, 0.7, 0.6901098901098901],
  ],
};
const binary = { precision: 2 / 3, recall: 1 / 2, f1: 4 / 7 };
const ranking = {
  rocAuc: [
    [0.814484126984127, 0.81, 0.805952380952381],
    [0.7533333333333333, 0.7755555555555556, 0.7588888888888888],
  ],
  averagePrecision: [
    [0.7022486772486772, 0.6489502164502164, 0.6879761904761905],
    [0.8186111111111112, 0.8262209395542728, 0.8283333333333333],
  ],
};

for (const dtype of ['float32', 'float64'] as const) {
  const scores = sixteenths(S, dtype);
  const single = sixteenths(s, dtype).reshape([10]);
  const targets: [string, Tensor][] = [
    ['int32 labels', labels(y)],
    ['float labels', tensor(y, { dtype })],
    ['one-hot targets', tensor(hot)],
  ];

  describe(`as scikit-learn has it, ${dtype}`, () => {
    for (const name of ['precision', 'recall', 'f1'] as const) {
      it(name, () => {
        averages.forEach((average, i) => {
          const [ofClasses, ofLabels, ofTwo] = counted[name].map((values) => values[i]);
          for (const [, t] of targets) {
            expect(exactly(metrics[name]({ average }), scores, t)).toBeCloseTo(ofClasses, 12);
          }
          const several = metrics[name]({ average, kind: 'multilabel', threshold: 0.3 });
          expect(exactly(several, scores, tensor(Y))).toBeCloseTo(ofLabels, 12);
          expect(exactly(several, scores, tensor(Y, { dtype: 'int32' }))).toBeCloseTo(ofLabels, 12);
          expect(exactly(metrics[name]({ average }), single, labels(b))).toBeCloseTo(ofTwo, 12);
        });
        for (const t of [labels(b), tensor(b).reshape([10, 1])]) {
          for (const p of [single, single.reshape([10, 1])]) {
            expect(exactly(metrics[name](), p, t)).toBeCloseTo(binary[name], 12);
          }
        }
        expect(exactly(metrics[name](), scores, labels(y))).toBeCloseTo(counted[name][0][0], 12);
      });
    }

    for (const name of ['rocAuc', 'averagePrecision'] as const) {
      it(name, () => {
        averages.forEach((average, i) => {
          const [ofClasses, ofLabels] = ranking[name].map((values) => values[i]);
          for (const [, t] of targets) {
            expect(exactly(metrics[name]({ average }), scores, t)).toBeCloseTo(ofClasses, 12);
          }
          const several = metrics[name]({ average, kind: 'multilabel' });
          expect(exactly(several, scores, tensor(Y))).toBeCloseTo(ofLabels, 12);
        });
        const ofTwo = name === 'rocAuc' ? 0.7916666666666667 : 0.7023809523809523;
        for (const metric of [metrics[name](), metrics[name]({ average: 'micro' })]) {
          expect(exactly(metric, single, labels(b))).toBeCloseTo(ofTwo, 12);
          expect(exactly(metric, single.reshape([10, 1]), tensor(b))).toBeCloseTo(ofTwo, 12);
        }
      });
    }

    it('logLoss, meanSquaredError', () => {
      // One of the probabilities is 1, and so taken as 1 − ε, which is seen in float32 alone.
      const ofTwo = dtype === 'float32' ? 0.5034596110355042 : 0.5034595991145745;
      expect(exactly(metrics.logLoss(), single, labels(b))).toBeCloseTo(ofTwo, 10);
      for (const [, t] of targets) {
        expect(exactly(metrics.logLoss(), scores, t)).toBeCloseTo(0.8575920251269628, 10);
      }
      expect(exactly(metrics.meanSquaredError(), single, tensor(b))).toBeCloseTo(0.17578125, 12);
    });
  });

  it(`logits give what their probabilities give, ${dtype}`, () => {
    // Softmax does not keep the order within a column: a logit alone ranks otherwise than its probability.
    const logits = tensor(
      y.map((_, i) => [0, 1, 2].map((c) => 2 * Math.sin(3 * i + 7 * c) + i)),
      { dtype },
    );
    const probabilities = logits.cast('float64').softmax();
    for (const name of ['rocAuc', 'averagePrecision', 'logLoss'] as const) {
      const wanted = exactly(metrics[name](), probabilities, labels(y));
      const [named] = resolveMetrics('fit', [name], 'softmaxCrossEntropy');
      for (const metric of [named, metrics[name]({ fromLogits: true })]) {
        expect(exactly(metric, logits, labels(y))).toBeCloseTo(wanted, 12);
      }
      const byColumn = metrics[name]({ kind: 'multilabel', fromLogits: true });
      expect(exactly(byColumn, logits, tensor(hot))).not.toBeCloseTo(wanted, 2);
      expect(() => over(metrics[name](), logits, labels(y), [10])).toThrow(/fromLogits/);
    }
    const z = tensor([2, -1, 0.5, -3], { dtype });
    const t = labels([1, 0, 0, 1]);
    const ofLogits = resolveMetrics(
      'fit',
      ['logLoss', 'rocAuc', 'f1', metrics.f1({ average: 'macro' })],
      'binaryCrossEntropyWithLogits',
    );
    const ofProbabilities = [
      metrics.logLoss(),
      metrics.rocAuc(),
      metrics.f1(),
      metrics.f1({ average: 'macro' }),
    ];
    ofLogits.forEach((metric, i) => {
      expect(exactly(metric, z, t)).toBeCloseTo(exactly(ofProbabilities[i], z.sigmoid(), t), 6);
    });
  });
}

describe('what there is none of', () => {
  it('is 0 of 0, which counts as 0, for precision, recall and F1', () => {
    const none = tensor([0.1, 0.2, 0.3]);
    for (const name of ['precision', 'recall', 'f1'] as const) {
      expect(exactly(metrics[name](), none, labels([0, 0, 0]))).toBe(0);
    }
    expect(exactly(metrics.precision(), none, labels([0, 1, 0]))).toBe(0);
    // A class that is neither there nor predicted does not count, a label does (f1_score: 2/3 and 5/9).
    const p = tensor([
      [0.9, 0.1, 0],
      [0.2, 0.8, 0],
      [0.2, 0.8, 0],
    ]);
    expect(exactly(metrics.f1(), p, labels([0, 0, 1]))).toBeCloseTo(2 / 3, 12);
    const several = metrics.f1({ kind: 'multilabel' });
    const found = tensor([
      [1, 0, 0],
      [1, 1, 0],
    ]);
    const truth = tensor([
      [1, 0, 0],
      [0, 1, 0],
    ]);
    expect(exactly(several, found, truth)).toBeCloseTo(5 / 9, 12);
  });

  it('is no area: NaN, and left out of a mean', () => {
    const p = tensor([0.1, 0.2, 0.3]);
    expect(exactly(metrics.rocAuc(), p, labels([0, 0, 0]))).toBeNaN();
    expect(exactly(metrics.rocAuc(), p, labels([1, 1, 1]))).toBeNaN();
    expect(exactly(metrics.averagePrecision(), p, labels([0, 0, 0]))).toBeNaN();
    expect(exactly(metrics.averagePrecision(), p, labels([1, 1, 1]))).toBe(1);
    const several = tensor([
      [0.9, 0.5],
      [0.1, 0.4],
    ]);
    const t = tensor([
      [1, 0],
      [0, 0],
    ]);
    for (const average of averages.filter((name) => name !== 'micro')) {
      expect(exactly(metrics.rocAuc({ kind: 'multilabel', average }), several, t)).toBe(1);
      expect(exactly(metrics.averagePrecision({ kind: 'multilabel', average }), several, t)).toBe(1);
    }
  });

  it('is NaN for every metric that nothing was added to', () => {
    for (const name of Object.keys(metrics) as (keyof typeof metrics)[]) {
      expect(metrics[name]().start().result()).toBeNaN();
    }
  });
});

describe('scores', () => {
  it('that are equal count half in ROC AUC, and come together in average precision', () => {
    const same = tensor([0.5, 0.5, 0.5, 0.5]);
    expect(exactly(metrics.rocAuc(), same, labels([1, 0, 0, 1]))).toBe(1 / 2);
    expect(exactly(metrics.averagePrecision(), same, labels([1, 0, 0, 0]))).toBe(1 / 4);
    const signed = tensor([0, -0, Infinity, -Infinity]);
    expect(exactly(metrics.rocAuc(), signed, labels([1, 0, 1, 0]))).toBe(7 / 8);
  });

  it('of NaN are never right', () => {
    const { NaN: none } = Number;
    const p = tensor([none, none, 0.9, 0.1]);
    const t = labels([1, 0, 1, 0]);
    expect(exactly(metrics.accuracy(), p, t)).toBe(1 / 2);
    expect(exactly(metrics.recall(), p, t)).toBe(1 / 2);
    expect(exactly(metrics.precision(), p, t)).toBe(1);
    // Of four pairs the one without NaN is right; a negative of NaN comes before the positive that is found.
    expect(exactly(metrics.rocAuc(), p, t)).toBe(1 / 4);
    expect(exactly(metrics.averagePrecision(), p, t)).toBe(1 / 2 / 2);
    expect(exactly(metrics.logLoss(), p, t)).toBeNaN();
    const rows = tensor([
      [none, 0.5, 0.5],
      [0, 1, 0],
    ]);
    for (const name of ['accuracy', 'recall', 'f1', 'precision'] as const) {
      expect(exactly(metrics[name](), rows, labels([0, 1]))).toBe(1 / 2);
    }
    expect(exactly(metrics.rocAuc(), rows, labels([0, 1]))).toBe(1 / 2);
    const several = tensor([
      [none, 0.9],
      [0.1, 0.1],
    ]);
    const both = tensor([
      [1, 1],
      [0, 0],
    ]);
    expect(exactly(metrics.accuracy({ kind: 'multilabel' }), several, both)).toBe(3 / 4);
    expect(exactly(metrics.rocAuc({ kind: 'multilabel' }), several, both)).toBe(1 / 2);
  });
});

describe('what is said of predictions', () => {
  const p = tensor([
    [0.9, 0.8],
    [0.1, 0.7],
  ]);

  it('is needed for rows of several labels', () => {
    const several = tensor([
      [1, 1],
      [0, 1],
    ]);
    for (const name of ['accuracy', 'precision', 'recall', 'f1', 'rocAuc', 'averagePrecision'] as const) {
      expect(() => over(metrics[name](), p, several, [2])).toThrow(DataError);
      expect(() => over(metrics[name](), p, several, [2])).toThrow(/row 0 .*kind to 'multilabel'/);
      expect(() =>
        over(
          metrics[name](),
          p,
          tensor([
            [0, 0],
            [0, 1],
          ]),
          [2],
        ),
      ).toThrow(/row 0 /);
      expect(exactly(metrics[name]({ kind: 'multilabel' }), p, several)).toBe(1);
    }
    expect(() => over(metrics.topK(1), p, several, [2])).toThrow(DataError);
    expect(() => confusionMatrix(p, several)).toThrow(/row 0 .*by its column/);
    const largest = metrics.accuracy({ kind: 'multiclass' });
    expect(
      exactly(
        largest,
        p,
        tensor([
          [2, 1],
          [1, 3],
        ]),
      ),
    ).toBe(1);
    expect(() =>
      over(
        largest,
        p,
        tensor([
          [Number.NaN, 1],
          [1, 3],
        ]),
        [2],
      ),
    ).toThrow(IndexError);
    // Every element by itself: the labels of an image, say.
    expect(exactly(metrics.f1({ kind: 'binary' }), p, several)).toBe(1);
    expect(exactly(metrics.rocAuc({ kind: 'binary' }), p, several)).toBe(1);
  });

  it('is not needed for targets of probabilities, which name the class that is likeliest', () => {
    const smoothed = tensor([
      [0.95, 0.05],
      [0.1, 0.9],
    ]);
    expect(exactly(metrics.accuracy(), p, smoothed)).toBe(1);
    expect(exactly(metrics.f1(), p, smoothed)).toBe(1);
    const q = tensor([0.9, 0.2]);
    expect(exactly(metrics.accuracy(), q, tensor([0.95, 0.05]))).toBe(1);
    const wanted =
      -(0.95 * Math.log(0.9) + 0.05 * Math.log(0.1) + 0.05 * Math.log(0.2) + 0.95 * Math.log(0.8)) / 2;
    expect(exactly(metrics.logLoss(), q, tensor([0.95, 0.05]))).toBeCloseTo(wanted, 6);
    const rows = tensor([
      [0.9, 0.1],
      [0.2, 0.8],
    ]);
    const soft = tensor([
      [0.95, 0.05],
      [0.05, 0.95],
    ]);
    expect(exactly(metrics.logLoss(), rows, soft)).toBeCloseTo(wanted, 6);
  });

  it('goes before what the loss says', () => {
    const oneHot = tensor([
      [1, 0],
      [1, 0],
    ]);
    const beside = (metric: Metric) => resolveMetrics('fit', [metric], 'binaryCrossEntropy')[0];
    expect(exactly(beside(metrics.accuracy()), p, oneHot)).toBe(1 / 4);
    expect(exactly(beside(metrics.accuracy({ kind: 'multiclass' })), p, oneHot)).toBe(1 / 2);
    expect(exactly(beside(metrics.accuracy({ threshold: 0.85 })), p, oneHot)).toBe(3 / 4);
  });

  it('is part of the name where the average is', () => {
    const names = averages.map((average) => metrics.recall({ average }).name);
    expect(names).toEqual(['recallMacro', 'recallMicro', 'recallWeighted']);
    for (const name of [...names, metrics.rocAuc({ average: 'micro' }).name, 'averagePrecisionWeighted']) {
      expect(higherIsBetter(name)).toBe(true);
    }
    expect(metrics.f1({ average: 'binary' }).name).toBe('f1');
    for (const name of Object.keys(metrics)) {
      const isError = /Error$|Loss$/.test(name);
      expect(higherIsBetter(metrics[name as 'f1']().name)).toBe(!isError);
    }
  });

  it('is refused where it has no meaning', () => {
    for (const name of [
      'accuracy',
      'precision',
      'recall',
      'f1',
      'rocAuc',
      'averagePrecision',
      'logLoss',
    ] as const) {
      expect(() => metrics[name]({ kind: 'several' as never })).toThrow(/expected kind to be one of binary/);
      expect(() => metrics[name]({ mean: 1 } as never)).toThrow(ArgumentError);
      const sum = metrics[name]({ kind: 'multiclass' }).start();
      expect(() => sum.add(tensor([0.5]), labels([1]))).toThrow(ShapeError);
      expect(() =>
        metrics[name]()
          .start()
          .add(tensor([0.5]), tensor([255])),
      ).toThrow(/got 255/);
      expect(() =>
        metrics[name]()
          .start()
          .add(tensor([0.5]), tensor([-1])),
      ).toThrow(DataError);
      expect(() =>
        metrics[name]()
          .start()
          .add(tensor([0.5, 1]), tensor([1])),
      ).toThrow(ShapeError);
      const wide = tensor([[0.25, 0.25, 0.5]]);
      expect(() =>
        metrics[name]()
          .start()
          .add(wide, labels([3])),
      ).toThrow(IndexError);
      expect(() =>
        metrics[name]()
          .start()
          .add({} as never, labels([3])),
      ).toThrow(ArgumentError);
      if (name === 'accuracy' || name === 'logLoss') continue;
      expect(() => metrics[name]({ average: 'mean' as never })).toThrow(/expected average to be one of/);
      const changing = metrics[name]().start();
      changing.add(wide, labels([1]));
      expect(() => changing.add(p.softmax(), labels([1, 0]))).toThrow(/expected 3 classes as before, got 2/);
    }
    expect(() => metrics.rocAuc({ fromLogits: 1 as never })).toThrow(ArgumentError);
    expect(() => metrics.f1({ threshold: Number.NaN })).toThrow(ArgumentError);
    expect(() => over(metrics.f1({ average: 'binary' }), sixteenths(S), labels(y), [10])).toThrow(
      /macro, micro or weighted for 3 classes, got binary/,
    );
    expect(() => over(metrics.logLoss(), tensor([1.5]), labels([1]), [1])).toThrow(/got 1.5: set fromLogits/);
    expect(exactly(metrics.precision({ average: 'binary' }), p, labels([0, 1]))).toBe(1);
  });
});

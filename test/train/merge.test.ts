/** Sums over different examples, added up: what processes that saw a part each make of all. */
import { describe, expect, it } from 'vitest';
import { Fields } from '../../lib/files/fields.ts';
import type { SavedState } from '../../lib/files/savedState.ts';
import {
  AxpyError,
  type Metric,
  metrics,
  randn,
  ShapeError,
  seed,
  type Tensor,
  tensor,
} from '../../lib/index.ts';
import { resolveMetrics } from '../../lib/train/metrics.ts';
import { Tally } from '../../lib/train/tally.ts';

const rows = 6;
seed(3);
const scores = randn([rows, 3]).softmax();
const classes = tensor(Int32Array.from({ length: rows }, (_, i) => (i * 5 + 1) % 3));
const several = tensor(Array.from({ length: rows }, (_, i) => [i % 2, Number(i > 3), Number(i % 3 === 0)]));
const single = randn([rows]).sigmoid();
const isOne = tensor(Array.from({ length: rows }, (_, i) => Number(i % 3 === 1)));
const quantities = randn([rows, 2], { dtype: 'float64' }).add(1e3);
const guesses = quantities.add(randn([rows, 2], { dtype: 'float64' }));
const constant = tensor(
  Array.from({ length: rows }, () => [0.1, 7]),
  { dtype: 'float64' },
);

/** Metrics whose sums are whole numbers, or of which each score is kept: any division gives the same to the bit. */
const exact: [string, Metric, Tensor, Tensor][] = [
  ['accuracy', metrics.accuracy(), scores, classes],
  ['accuracy of labels', metrics.accuracy({ kind: 'multilabel' }), scores, several],
  ['top2', metrics.topK(2), scores, classes],
  ...(['precision', 'recall', 'f1'] as const).flatMap((name): [string, Metric, Tensor, Tensor][] => [
    [name, metrics[name](), scores, classes],
    [`${name} of labels`, metrics[name]({ kind: 'multilabel', average: 'weighted' }), scores, several],
    [`${name} of two`, metrics[name](), single, isOne],
  ]),
  ...(['rocAuc', 'averagePrecision'] as const).flatMap((name): [string, Metric, Tensor, Tensor][] => [
    [name, metrics[name](), scores, classes],
    [`${name} micro`, metrics[name]({ kind: 'multilabel', average: 'micro' }), scores, several],
    [`${name} of logits`, metrics[name]({ fromLogits: true }), scores, classes],
    [`${name} of two`, metrics[name](), single, isOne],
  ]),
  ['r2 of what never changes', metrics.r2(), guesses, constant],
];
/** Those of sums that are rounded: of numbers about 1000 that deviate by 1, a mean holds three digits fewer of the deviations. */
const rounded: [string, Metric, Tensor, Tensor][] = [
  ['logLoss', metrics.logLoss(), scores, classes],
  ['logLoss of two', metrics.logLoss(), single, isOne],
  ['meanAbsoluteError', metrics.meanAbsoluteError(), guesses, quantities],
  ['meanSquaredError', metrics.meanSquaredError(), guesses, quantities],
  ['rootMeanSquaredError', metrics.rootMeanSquaredError(), guesses, quantities],
  ['r2', metrics.r2(), guesses, quantities],
];

/** All ways to cut rows into runs, of which some are empty. */
const divisions = Array.from({ length: 2 ** (rows - 1) }, (_, bits) => {
  const cuts = Array.from({ length: rows - 1 }, (_, i) => i + 1).filter((i) => (bits >> (i - 1)) & 1);
  const bounds = [0, ...cuts, rows];
  return bits % 3 === 0 ? [0, ...bounds] : bits % 3 === 1 ? [...bounds, rows] : bounds;
});

const part = (x: Tensor, from: number, to: number) => x.slice([[from, to]]);

function gathered(metric: Metric, p: Tensor, t: Tensor, from: number, to: number) {
  const sum = metric.start();
  if (to > from) sum.add(part(p, from, to), part(t, from, to));
  return sum;
}

it('covers all metrics', () => {
  const names = [...exact, ...rounded].map(([name]) => name.split(' ')[0]);
  expect(new Set(names)).toEqual(new Set(Object.keys(metrics).map((name) => name.replace('K', '2'))));
});

for (const [kind, list] of [
  ['exactly', exact],
  ['to rounding', rounded],
] as const) {
  describe(`states of any division merge into that of all, ${kind}`, () => {
    it.each(list)('%s', (_, metric, p, t) => {
      const whole = gathered(metric, p, t, 0, rows).result();
      expect(whole).not.toBeNaN();
      for (const bounds of divisions) {
        const states = bounds.slice(1).map((to, i) => gathered(metric, p, t, bounds[i], to).stateDict!());
        for (const all of [states, structuredClone(states)]) {
          const before = structuredClone(all);
          const sum = metric.start();
          for (const state of all) sum.merge!(state);
          if (kind === 'exactly') expect(sum.result()).toBe(whole);
          else expect(Math.abs(sum.result() - whole)).toBeLessThanOrEqual(1e-12 * Math.abs(whole));
          // What is merged stays as it was, also while the sum goes on.
          sum.add(p, t);
          expect(all).toEqual(before);
        }
        const [first, ...others] = bounds.slice(1).map((to, i) => gathered(metric, p, t, bounds[i], to));
        for (const other of others) first.merge!(other.stateDict!());
        if (kind === 'exactly') expect(first.result()).toBe(whole);
        else expect(Math.abs(first.result() - whole)).toBeLessThanOrEqual(1e-12 * Math.abs(whole));
      }
    });
  });
}

describe('what cannot be merged', () => {
  it.each([...exact, ...rounded])('%s', (_, metric, p, t) => {
    const sum = gathered(metric, p, t, 0, rows);
    const whole = sum.result();
    for (const bad of [
      3,
      'x',
      [],
      {},
      { total: 'x' },
      { kind: 'other' },
      { isPositive: 3 },
    ] as SavedState[]) {
      expect(() => sum.merge!(bad)).toThrow(AxpyError);
    }
    expect(sum.result()).toBe(whole);
  });

  it('is of as many classes or outputs', () => {
    const two = tensor([[0.3, 0.7]]);
    for (const metric of [metrics.f1(), metrics.rocAuc()]) {
      const sum = gathered(metric, scores, classes, 0, rows);
      const other = metric.start();
      other.add(two, tensor([1]));
      expect(() => sum.merge!(other.stateDict!())).toThrow(ShapeError);
      expect(() => sum.merge!(other.stateDict!())).toThrow(/expected 3 classes as before, got 2/);
    }
    const sum = gathered(metrics.r2(), guesses, quantities, 0, rows);
    const other = metrics.r2().start();
    other.add(scores, scores);
    expect(() => sum.merge!(other.stateDict!())).toThrow(/expected 2 outputs as before, got 3/);
  });
});

describe('a tally', () => {
  const loss = (from: number, to: number) => tensor((from + 2 * to) / 7, { dtype: 'float64' });
  const start = (more: Metric[] = []) =>
    new Tally(resolveMetrics('fit', ['accuracy', 'f1', 'rocAuc', ...more]), ['a']);
  const add = (tally: Tally, from: number, to: number) =>
    tally.add(part(classes, from, to), {
      prediction: part(scores, from, to),
      loss: loss(from, to),
      byOutput: { a: loss(to, from) },
    });

  it('adds what others have gathered', () => {
    const whole = start();
    const parts = [
      [0, 2],
      [2, 2],
      [2, 5],
      [5, 6],
    ].map(([from, to]) => {
      const own = start();
      add(own, from, to);
      add(whole, from, to);
      return own.stateDict();
    });
    const sum = start();
    for (const state of structuredClone(parts)) sum.merge(state);
    expect(sum.examples).toBe(rows);
    expect(sum.loss).toBeCloseTo(whole.loss, 14);
    expect(sum.scores()).toEqual(whole.scores());
    expect(sum.mergeless).toBe(undefined);
    // And goes on from there as from any state.
    const again = start();
    again.loadStateDict(new Fields('the state', sum.stateDict()));
    expect(again.scores()).toEqual(whole.scores());
  });

  it('names the metric that cannot', () => {
    const own: Metric = { name: 'own', start: () => ({ add() {}, result: () => 1 }) };
    expect(start([own]).mergeless).toBe('own');
    expect(start([metrics.topK(2)]).mergeless).toBe(undefined);
    const kept: Metric = {
      name: 'kept',
      start: () => ({ add() {}, result: () => 1, stateDict: () => null, loadStateDict() {} }),
    };
    expect(start([kept]).mergeless).toBe('kept');
    expect(start([kept]).stateless).toBe(undefined);
    // A function of a user's is a mean, which can.
    const mean = new Tally(
      resolveMetrics('fit', [
        function half() {
          return 0.5;
        },
      ]),
      [],
    );
    expect(mean.mergeless).toBe(undefined);
  });

  it('refuses the state of others', () => {
    expect(() => start().merge(null)).toThrow(AxpyError);
    expect(() => start().merge(start([metrics.topK(2)]).stateDict())).toThrow(/expected 3 metrics, got 4/);
  });
});

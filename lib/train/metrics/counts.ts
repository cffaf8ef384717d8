/** Metrics of how often each class was found, predicted and there: precision, recall, F1, as scikit-learn defines them. */
import { readOptions } from '../../arguments.ts';
import { ArgumentError, ShapeError } from '../../errors.ts';
import { Fields } from '../../files/fields.ts';
import type { SavedState } from '../../files/savedState.ts';
import { allocate } from '../../memory.ts';
import { checkThreshold, type Decisions, decide, type ThresholdOptions } from './classes.ts';
import type { Metric } from './metric.ts';
import { type ClassificationKind, checkChoice, checkKind } from './task.ts';

/** Options of `precision`, `recall` and `f1`. */
export interface CountOptions extends ThresholdOptions {
  /**
   * How the numbers of classes become one:
   * - 'binary': that of class 1, of two. The default for one score an example, and no part of the metric's name;
   * - 'macro': the mean over classes, or labels. The default for several. Classes that are neither in the targets nor
   *   predicted do not count, labels do, with 0;
   * - 'micro': from the counts summed over all of them;
   * - 'weighted': the mean, each class with as many weights as there are examples of it.
   *
   * What is given becomes part of the name: 'f1Micro'.
   */
  average?: 'binary' | 'macro' | 'micro' | 'weighted';
}

/** What a metric's name says of how it averages. */
export function nameWith(name: string, average: string | undefined): string {
  if (average === undefined || average === 'binary') return name;
  return name + average[0].toUpperCase() + average.slice(1);
}

/** Of each class or label. */
interface Counts {
  readonly kind: ClassificationKind;
  /** True positives. */
  readonly hits: Float64Array;
  /** True and false positives. */
  readonly predicted: Float64Array;
  /** True positives and false negatives. */
  readonly actual: Float64Array;
}

function noCounts({ kind, classes }: Pick<Decisions, 'kind' | 'classes'>): Counts {
  const zeros = () => allocate(classes, 'float64');
  return { kind, hits: zeros(), predicted: zeros(), actual: zeros() };
}

/** @throws FormatError */
function countsFrom(fields: Fields): Counts {
  const kind = fields.text('kind') as ClassificationKind;
  checkKind('counts', kind);
  const hits = fields.array<Float64Array>('hits', 'Float64Array');
  const array = (name: string) => fields.array<Float64Array>(name, 'Float64Array', hits.length);
  return { kind, hits, predicted: array('predicted'), actual: array('actual') };
}

function count({ kind, hits, predicted, actual }: Counts, { classes, truth, chosen }: Decisions): void {
  for (let i = 0; i < truth.length; i++) {
    if (kind === 'multilabel') {
      const label = i % classes;
      actual[label] += truth[i];
      if (chosen[i] !== 1) continue;
      predicted[label]++;
      hits[label] += truth[i];
    } else {
      actual[truth[i]]++;
      if (Number.isNaN(chosen[i])) continue;
      predicted[chosen[i]]++;
      if (chosen[i] === truth[i]) hits[chosen[i]]++;
    }
  }
}

/** hits / out of, where 0 of 0 is 0. */
type Ratio = (hits: number, predicted: number, actual: number) => number;

const share = (hits: number, all: number) => (all === 0 ? 0 : hits / all);

const sum = (values: Float64Array) => values.reduce((total, value) => total + value, 0);

function averaged(
  op: string,
  { kind, hits, predicted, actual }: Counts,
  average: CountOptions['average'] = kind === 'binary' ? 'binary' : 'macro',
  ratio: Ratio,
): number {
  if (average === 'micro') return ratio(sum(hits), sum(predicted), sum(actual));
  const each = hits.map((hit, i) => ratio(hit, predicted[i], actual[i]));
  if (average === 'weighted') return share(sum(each.map((value, i) => value * actual[i])), sum(actual));
  if (average === 'macro') {
    const counted = kind === 'multilabel' ? each : each.filter((_, i) => predicted[i] + actual[i] > 0);
    return sum(counted) / counted.length;
  }
  if (kind !== 'multilabel' && each.length === 2) return each[1];
  throw new ArgumentError(
    `[${op}] expected average to be macro, micro or weighted for ${each.length} ` +
      `${kind === 'multilabel' ? 'labels' : 'classes'}, got binary`,
  );
}

function countMetric(op: string, options: CountOptions, ratio: Ratio): Metric {
  const { kind, threshold, average } = readOptions(op, options, ['kind', 'threshold', 'average']);
  checkKind(op, kind);
  checkThreshold(op, threshold);
  checkChoice(op, 'average', average, ['binary', 'macro', 'micro', 'weighted']);
  return {
    name: nameWith(op, average),
    start(task = {}) {
      let counts: Counts | undefined;
      /** The counts so far, of nothing at first. @throws ShapeError where there were other classes before */
      const countsOf = (seen: Pick<Decisions, 'kind' | 'classes'>): Counts => {
        counts ??= noCounts(seen);
        const { length } = counts.hits;
        if (seen.classes === length && seen.kind === counts.kind) return counts;
        throw new ShapeError(`[${op}] expected ${length} classes as before, got ${seen.classes}`);
      };
      const read = (state: SavedState) => countsFrom(new Fields(`the state of ${op}`, state));
      return {
        add(prediction, target) {
          const decisions = decide(op, prediction, target, { kind, threshold }, task);
          count(countsOf(decisions), decisions);
        },
        result: () => (counts === undefined ? Number.NaN : averaged(op, counts, average, ratio)),
        stateDict: () => (counts === undefined ? null : { ...counts }),
        loadStateDict(state) {
          counts = state === null ? undefined : read(state);
        },
        merge(state) {
          if (state === null) return;
          const others = read(state);
          const own = countsOf({ kind: others.kind, classes: others.hits.length });
          for (const name of ['hits', 'predicted', 'actual'] as const) {
            others[name].forEach((value, i) => {
              own[name][i] += value;
            });
          }
        },
      };
    },
  };
}

/** Of the examples predicted as a class, the share that is of it: true positives / (true + false positives). 0 where none was. */
export function precision(options: CountOptions = {}): Metric {
  return countMetric('precision', options, share);
}

/** Of the examples of a class, the share that was found: true positives / (true positives + false negatives). 0 of none. */
export function recall(options: CountOptions = {}): Metric {
  return countMetric('recall', options, (hits, _, actual) => share(hits, actual));
}

/**
 * The harmonic mean of precision and recall: 2·true positives / (2·true positives + false positives + false negatives), 0
 * where that is 0 of 0. 'macro' is the mean of the classes' own.
 */
export function f1(options: CountOptions = {}): Metric {
  return countMetric('f1', options, (hits, predicted, actual) => share(2 * hits, predicted + actual));
}

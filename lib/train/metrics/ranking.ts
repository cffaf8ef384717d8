/** Metrics of how scores rank examples: ROC AUC and average precision, as scikit-learn defines them. */
import { checkBoolean, readOptions } from '../../arguments.ts';
import { FormatError, ShapeError } from '../../errors.ts';
import { Fields } from '../../files/fields.ts';
import type { SavedState } from '../../files/savedState.ts';
import { allocate } from '../../memory.ts';
import { floats, type Tensor } from '../../tensor.ts';
import { checkPaired, checkTensors, classesOf, kindHint, kindOf, trueClasses, truthOf } from './classes.ts';
import { nameWith } from './counts.ts';
import type { Metric } from './metric.ts';
import { checkRows, logSoftmaxRows, type ScoreOptions } from './scores.ts';
import { type ClassificationKind, checkChoice, checkKind } from './task.ts';

/** Options of `rocAuc` and `averagePrecision`. */
export interface RankingOptions extends ScoreOptions {
  /**
   * How the numbers of several classes, each against the rest, or labels become one: their mean ('macro', the default), that
   * of all scores together ('micro'), or the mean by the number of examples of each ('weighted'). A class or label that all
   * examples have, or none, has no number and is left out. What is given becomes part of the name: 'rocAucMicro'.
   */
  average?: 'macro' | 'micro' | 'weighted';
}

/** Scores of a batch by rows, and which of them are of examples of the class. */
interface Scored {
  width: number;
  scores: Float32Array | Float64Array;
  isPositive: Uint8Array;
}

function scored(
  op: string,
  prediction: Tensor,
  target: Tensor,
  given: ClassificationKind | undefined,
  fromLogits: boolean,
): Scored {
  checkTensors(op, prediction, target);
  const kind = kindOf(op, prediction, given);
  const isPositive = new Uint8Array(prediction.size);
  if (kind !== 'multiclass') {
    checkPaired(op, prediction, target);
    for (let i = 0; i < isPositive.length; i++) isPositive[i] = truthOf(op, target.data[i]);
    // A copy, as a prediction may lie in memory that the next step writes.
    const scores = floats(prediction).slice();
    return { width: kind === 'binary' ? 1 : classesOf(prediction), scores, isPositive };
  }
  const width = classesOf(prediction);
  const truth = trueClasses(op, prediction, target, given === undefined ? kindHint : null);
  for (let row = 0; row < truth.length; row++) isPositive[row * width + truth[row]] = 1;
  if (fromLogits) return { width, scores: logSoftmaxRows(prediction, width), isPositive };
  checkRows(op, prediction, width);
  return { width, scores: floats(prediction).slice(), isPositive };
}

/** The scores of several batches in one. */
function together(batches: readonly Scored[]): Scored {
  const count = batches.reduce((total, { scores }) => total + scores.length, 0);
  const isDouble = batches.some(({ scores }) => scores instanceof Float64Array);
  const scores = allocate(count, isDouble ? 'float64' : 'float32');
  const isPositive = new Uint8Array(count);
  let at = 0;
  for (const batch of batches) {
    scores.set(batch.scores, at);
    isPositive.set(batch.isPositive, at);
    at += batch.scores.length;
  }
  return { width: batches[0].width, scores, isPositive };
}

/** @throws FormatError */
function scoredFrom(fields: Fields): Scored {
  const isPositive = fields.array<Uint8Array>('isPositive', 'Uint8Array');
  const isDouble = fields.get('scores') instanceof Float64Array;
  const scores = fields.array<Float32Array | Float64Array>(
    'scores',
    isDouble ? 'Float64Array' : 'Float32Array',
    isPositive.length,
  );
  const width = fields.count('width');
  // A number of columns that rows have none of would be gone through all the same.
  if (!(width >= 1 && width <= scores.length && scores.length % width === 0)) {
    throw new FormatError(`expected rows of scores, got ${scores.length} in rows of ${width}`);
  }
  return { width, scores, isPositive };
}

/** Scores in ascending order, with how many were NaN. */
interface Ranked {
  positives: Float64Array;
  negatives: Float64Array;
  /** Positives that are NaN are never found. */
  lostPositives: number;
  /** Negatives that are NaN come before all. */
  lostNegatives: number;
}

/** The scores of one column; of all for −1. */
function ranked(batches: readonly Scored[], column: number): Ranked {
  const all = batches.reduce((total, { isPositive }) => total + isPositive.length, 0);
  const room = column < 0 ? all : all / batches[0].width;
  // Both share one array: positives from its beginning, negatives from its end.
  const sorted = allocate(room, 'float64');
  let low = 0;
  let high = room;
  let lostPositives = 0;
  let lostNegatives = 0;
  for (const { width, scores, isPositive } of batches) {
    for (let i = Math.max(column, 0); i < scores.length; i += column < 0 ? 1 : width) {
      if (Number.isNaN(scores[i])) {
        if (isPositive[i]) lostPositives++;
        else lostNegatives++;
      } else if (isPositive[i]) sorted[low++] = scores[i];
      else sorted[--high] = scores[i];
    }
  }
  const positives = sorted.subarray(0, low).sort();
  const negatives = sorted.subarray(high).sort();
  return { positives, negatives, lostPositives, lostNegatives };
}

/** Calls `visit` for each score from the highest, with how many positives and negatives have it. */
function eachScore(
  { positives, negatives }: Ranked,
  visit: (positives: number, negatives: number) => void,
): void {
  let p = positives.length;
  let n = negatives.length;
  while (p > 0 || n > 0) {
    const score = Math.max(p > 0 ? positives[p - 1] : -Infinity, n > 0 ? negatives[n - 1] : -Infinity);
    const fromP = p;
    const fromN = n;
    while (p > 0 && positives[p - 1] === score) p--;
    while (n > 0 && negatives[n - 1] === score) n--;
    visit(fromP - p, fromN - n);
  }
}

/** The share of pairs of a positive and a negative in which the positive has the higher score; ties count half. */
function areaUnderRoc(column: Ranked): number {
  let above = 0;
  let pairs = 0;
  eachScore(column, (positives, negatives) => {
    pairs += negatives * (above + positives / 2);
    above += positives;
  });
  const { positives, negatives, lostPositives, lostNegatives } = column;
  return pairs / ((positives.length + lostPositives) * (negatives.length + lostNegatives));
}

/** Σ (Rᵢ − Rᵢ₋₁) Pᵢ over thresholds, with recall R and precision P. */
function precisionOverRecall(column: Ranked): number {
  let found = 0;
  let taken = column.lostNegatives;
  let sum = 0;
  eachScore(column, (positives, negatives) => {
    found += positives;
    taken += positives + negatives;
    sum += (positives * found) / taken;
  });
  return sum / (column.positives.length + column.lostPositives);
}

function rankingMetric(op: string, options: RankingOptions, measure: (column: Ranked) => number): Metric {
  const { kind, fromLogits, average } = readOptions(op, options, ['kind', 'fromLogits', 'average']);
  checkKind(op, kind);
  if (fromLogits !== undefined) checkBoolean(op, 'fromLogits', fromLogits);
  checkChoice(op, 'average', average, ['macro', 'micro', 'weighted']);
  return {
    name: nameWith(op, average),
    start(task = {}) {
      const batches: Scored[] = [];
      const push = (batch: Scored) => {
        const { width } = batches[0] ?? batch;
        if (batch.width !== width) {
          throw new ShapeError(`[${op}] expected ${width} classes as before, got ${batch.width}`);
        }
        batches.push(batch);
      };
      const read = (state: SavedState) =>
        state === null ? [] : [scoredFrom(new Fields(`the state of ${op}`, state))];
      return {
        add(prediction, target) {
          const onLogits = fromLogits ?? task.fromLogits ?? false;
          push(scored(op, prediction, target, kind ?? task.kind, onLogits));
        },
        result() {
          if (batches.length === 0) return Number.NaN;
          if (average === 'micro') return measure(ranked(batches, -1));
          let total = 0;
          let weights = 0;
          for (let column = 0; column < batches[0].width; column++) {
            const scores = ranked(batches, column);
            const value = measure(scores);
            if (Number.isNaN(value)) continue;
            const weight = average === 'weighted' ? scores.positives.length + scores.lostPositives : 1;
            total += weight * value;
            weights += weight;
          }
          return total / weights;
        },
        // All batches as one: nothing depends on how scores are divided among them.
        stateDict: () => (batches.length === 0 ? null : { ...together(batches) }),
        loadStateDict(state) {
          batches.splice(0, batches.length, ...read(state));
        },
        merge(state) {
          read(state).forEach(push);
        },
      };
    },
  };
}

/**
 * The area under the receiver operating characteristic: the probability that a positive example has a higher score than a
 * negative one, where equal scores count half. Exact: it keeps the scores of the epoch until its end, 5 bytes for each of
 * float32 and 9 for one of float64 or a logit of competing classes, and then takes 8 for each of a class, of all for 'micro'. NaN without positives or without negatives. A score of
 * NaN loses every comparison.
 * @throws ArgumentError for an option out of its domain; when used, for competing classes whose scores are neither said to be
 *   logits nor sum to 1
 */
export function rocAuc(options: RankingOptions = {}): Metric {
  return rankingMetric('rocAuc', options, areaUnderRoc);
}

/**
 * The mean of the precisions at the scores of the positive examples, Σ (Rᵢ − Rᵢ₋₁) Pᵢ over thresholds, without
 * interpolation. Exact, with the memory of `rocAuc`. NaN without positives, where scikit-learn has 0. A positive whose score
 * is NaN is never found, and a negative comes before all.
 * @throws as `rocAuc`
 */
export function averagePrecision(options: RankingOptions = {}): Metric {
  return rankingMetric('averagePrecision', options, precisionOverRecall);
}

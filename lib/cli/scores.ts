/** How far predictions are from what is true, worked out in float64. */
import { type ConfusionMatrix, confusionMatrix, type Tensor, tensor } from '../index.ts';
import type { Target } from './target.ts';

/** By name, in the order in which tables have them. */
export type Scores = Readonly<Record<string, number>>;

/** @param predicted, actual numbers in the unit of the target */
export function scoreNumbers(predicted: ArrayLike<number>, actual: ArrayLike<number>): Scores {
  const n = actual.length;
  let [sum, squares, distances] = [0, 0, 0];
  for (let i = 0; i < n; i++) {
    sum += actual[i];
    squares += (predicted[i] - actual[i]) ** 2;
    distances += Math.abs(predicted[i] - actual[i]);
  }
  let spread = 0;
  for (let i = 0; i < n; i++) spread += (actual[i] - sum / n) ** 2;
  return {
    RMSE: Math.sqrt(squares / n),
    MAE: distances / n,
    'R²': spread === 0 ? Number.NaN : 1 - squares / spread,
  };
}

/** What a probability counts at least, so that one miss of a certain model is no infinite loss. */
const least = 1e-7;

/** @param probabilities [n · classes], row after row */
export function scoreClasses(probabilities: ArrayLike<number>, actual: Int32Array, classes: number): Scores {
  const hits = new Array<number>(classes).fill(0);
  const counts = new Array<number>(classes).fill(0);
  let loss = 0;
  actual.forEach((label, i) => {
    counts[label]++;
    if (likeliest(probabilities, i, classes) === label) hits[label]++;
    loss -= Math.log(Math.max(probabilities[i * classes + label], least));
  });
  const found = counts.flatMap((count, k) => (count === 0 ? [] : [hits[k] / count]));
  const total = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0);
  return {
    accuracy: total(hits) / actual.length,
    'balanced accuracy': total(found) / found.length,
    'log loss': loss / actual.length,
  };
}

/** The class of most probability in a row, the first of equal ones. */
export function likeliest(probabilities: ArrayLike<number>, row: number, classes: number): number {
  let best = 0;
  for (let k = 1; k < classes; k++) {
    if (probabilities[row * classes + k] > probabilities[row * classes + best]) best = k;
  }
  return best;
}

/** Scores of each class: rows, precision, recall, F1. */
export function byClass({ counts, precision, recall, f1 }: ConfusionMatrix): number[][] {
  return counts.map((row, k) => [row.reduce((sum, count) => sum + count, 0), precision[k], recall[k], f1[k]]);
}

/** Scores of a model's outputs for some rows. */
export function scoresOf(target: Target, outputs: Tensor, rows: Int32Array): Scores {
  if (target.task === 'regression') {
    const actual = Float64Array.from(rows, (row) => target.values[row]);
    return scoreNumbers(outputs.data, actual);
  }
  const actual = Int32Array.from(rows, (row) => target.labels[row]);
  return scoreClasses(outputs.data, actual, target.classes.length);
}

/** Which classes were taken for which; undefined for numbers. */
export function confusionOf(target: Target, outputs: Tensor, rows: Int32Array): ConfusionMatrix | undefined {
  if (target.task === 'regression') return undefined;
  const actual = Int32Array.from(rows, (row) => target.labels[row]);
  return confusionMatrix(outputs, actual, target.classes.length);
}

/** The name of the score that candidates are chosen by, of which less is better. */
export const judged = ({ task }: Target) => (task === 'regression' ? 'RMSE' : 'log loss');

/** What the rows that are learned from say alone: their mean, or how frequent classes are. */
export function trivial(target: Target, train: Int32Array, count: number): Tensor {
  if (target.task === 'regression') {
    const mean = train.reduce((sum, row) => sum + target.values[row] / train.length, 0);
    return tensor(new Float64Array(count).fill(mean), { dtype: 'float64' });
  }
  const shares = target.classes.map(
    (_, k) => train.reduce((sum, row) => sum + (target.labels[row] === k ? 1 : 0), 0) / train.length,
  );
  return tensor(
    Float64Array.from({ length: count * shares.length }, (_, i) => shares[i % shares.length]),
    { dtype: 'float64' },
  );
}

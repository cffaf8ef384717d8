/** How often each class was taken for each other. */
import { describe } from '../../arguments.ts';
import { ArgumentError, inNameOf, ShapeError } from '../../errors.ts';
import { allocate, checkNested } from '../../memory.ts';
import { checkElements, checkTensor, isTensor, type Tensor, tensor, type Values } from '../../tensor.ts';
import { argmaxRows, checkLabel, checkPaired, classesOf, trueClasses } from './classes.ts';
import { checkScore } from './scores.ts';

/** How often each class was taken for each other, and what follows from that. */
export interface ConfusionMatrix {
  /** counts[true class][predicted class] */
  counts: number[][];
  /** The share of examples on the diagonal; NaN without examples. */
  accuracy: number;
  /** For each class, the share of those predicted as it that are of it; NaN when none was. */
  precision: number[];
  /** For each class, the share of it that was found; NaN when there is none of it. */
  recall: number[];
  /** For each class, 2·precision·recall / (precision + recall), as 2·hits / (predicted + actual); NaN when both are none. */
  f1: number[];
}

/**
 * The table of true against predicted classes.
 * @param prediction scores [batch, classes], of which the largest wins; or probabilities [batch] or [batch, 1] of class
 *   1, which it is above 0.5; or int32 labels [batch]
 * @param labels int32 or whole numbers [batch] (or [batch, 1] where there are two classes), an array of numbers, or
 *   one-hot [batch, classes]
 * @param classes the size of the table; by default the number of scores, 2 for probabilities, or enough for all labels
 * @throws IndexError for a label that is no class or a score of NaN, ShapeError when the numbers of examples differ,
 *   DataError for rows of several labels at once, ArgumentError, also for one score an example that is no probability; MemoryError for more classes than a table has room for
 */
export function confusionMatrix(
  prediction: Tensor,
  labels: Tensor | Values,
  classes?: number,
): ConfusionMatrix {
  const name = 'confusionMatrix';
  checkTensor(name, prediction, 'prediction');
  const target = isTensor(labels)
    ? labels
    : inNameOf(name, 'tensor', () => tensor(labels, { dtype: 'float64' }));
  checkElements(name, prediction);
  checkElements(name, target);
  const { chosen, truth, natural } = compared(name, prediction, target);
  const size = classes === undefined ? natural : classes;
  if (!Number.isInteger(size) || size < natural) {
    throw new ArgumentError(
      `[${name}] expected classes to be an integer of at least ${natural}, got ${describe(classes)}`,
    );
  }
  checkNested(name, [size, size]);
  const counts = Array.from({ length: size }, () => new Array<number>(size).fill(0));
  for (let i = 0; i < truth.length; i++) {
    for (const label of [truth[i], chosen[i]]) checkLabel(name, label, size, i);
    counts[truth[i]][chosen[i]]++;
  }
  return summarize(counts);
}

function compared(
  name: string,
  prediction: Tensor,
  target: Tensor,
): { chosen: ArrayLike<number>; truth: ArrayLike<number>; natural: number } {
  if (prediction.dtype === 'int32') {
    checkPaired(name, prediction, target);
    let largest = 0;
    for (const value of prediction.data) largest = Math.max(largest, value);
    for (const value of target.data) largest = Math.max(largest, Math.floor(value));
    return { chosen: prediction.data, truth: target.data, natural: largest + 1 };
  }
  const scores = classesOf(prediction);
  if (scores === 0) {
    checkPaired(name, prediction, target);
    const chosen = allocate(prediction.size, 'float64');
    // NaN stays what it is, to be refused like any other label that is no class.
    prediction.data.forEach((p, i) => {
      checkScore(name, p, 'take the sigmoid of logits, or labels as int32');
      chosen[i] = Number.isNaN(p) ? p : p > 0.5 ? 1 : 0;
    });
    return { chosen, truth: target.data, natural: 2 };
  }
  if (prediction.rank !== 2) {
    throw new ShapeError(`[${name}] expected a prediction of rank 1 or 2, got rank ${prediction.rank}`);
  }
  return {
    chosen: argmaxRows(prediction, scores),
    truth: trueClasses(name, prediction, target, 'take a table for each of several labels, by its column'),
    natural: scores,
  };
}

function summarize(counts: number[][]): ConfusionMatrix {
  const sum = (values: number[]) => values.reduce((total, value) => total + value, 0);
  const hits = counts.map((row, i) => row[i]);
  const actual = counts.map(sum);
  const predicted = counts.map((_, i) => sum(counts.map((row) => row[i])));
  return {
    counts,
    accuracy: sum(hits) / sum(actual),
    precision: hits.map((hit, i) => hit / predicted[i]),
    recall: hits.map((hit, i) => hit / actual[i]),
    f1: hits.map((hit, i) => (2 * hit) / (predicted[i] + actual[i])),
  };
}

/** How predictions and targets name classes. */
import { describe } from '../../arguments.ts';
import { ArgumentError, DataError, IndexError, ShapeError } from '../../errors.ts';
import { allocate } from '../../memory.ts';
import { sameShape, show } from '../../shape.ts';
import { checkTensor, type Tensor } from '../../tensor.ts';
import { firstNoDistribution, isProbability } from '../targets.ts';
import { checkScore } from './scores.ts';
import type { ClassificationKind, KindOptions, MetricTask } from './task.ts';

export interface ThresholdOptions extends KindOptions {
  /**
   * A score above it means class 1, or that an example has the label. Default: 0 beside a loss of `losses` on logits, else 0.5;
   * beside none, or one of your own, scores then have to be probabilities. Where classes compete, the largest score wins instead.
   */
  threshold?: number;
}

/** @throws ArgumentError unless it is a number or undefined. */
export function checkThreshold(op: string, threshold: number | undefined): void {
  if (threshold === undefined || (typeof threshold === 'number' && !Number.isNaN(threshold))) return;
  throw new ArgumentError(`[${op}] expected threshold to be a number, got ${describe(threshold)}`);
}

/** @throws ArgumentError unless both are tensors: of several outputs one has to be chosen. */
export function checkTensors(name: string, prediction: Tensor, target: Tensor): void {
  checkTensor(name, prediction, 'the prediction');
  checkTensor(name, target, 'the target');
}

/** The number of classes that scores [..., classes] tell apart; 0 for [batch] or [..., 1], one score an example. */
export function classesOf(scores: Tensor): number {
  if (scores.rank < 2) return 0;
  const classes = scores.shape[scores.rank - 1];
  return classes === 1 ? 0 : classes;
}

/** The index of the largest of each row of `width` scores, the first one at a tie; NaN for a row that holds NaN. */
export function argmaxRows({ data }: Tensor, width: number): Float64Array {
  const chosen = allocate(data.length / width, 'float64');
  for (let row = 0; row < chosen.length; row++) {
    const start = row * width;
    let best = 0;
    let hasNaN = false;
    for (let i = 0; i < width; i++) {
      const value = data[start + i];
      if (value > data[start + best]) best = i;
      if (Number.isNaN(value)) hasNaN = true;
    }
    chosen[row] = hasNaN ? Number.NaN : best;
  }
  return chosen;
}

/** What follows where rows of targets name several classes at once. */
export const kindHint =
  "set kind to 'multilabel' for several labels at once, or to 'multiclass' to take the largest";

/** @throws DataError for targets [..., classes] with a row that is neither one-hot nor of probabilities. */
export function checkDistributions(name: string, target: Tensor, hint: string): void {
  const row = firstNoDistribution(target.data, classesOf(target));
  if (row < 0) return;
  throw new DataError(
    `[${name}] expected each row of targets to be one-hot or of probabilities that sum to 1, which row ${row} ` +
      `(counted from 0) is not: ${hint}`,
  );
}

/**
 * The true class of each row of scores [..., classes]: targets [...] are the labels, targets [..., classes] name it by
 * their largest element (one-hot, or probabilities).
 * @param hint what to do about rows that are neither, which are refused; null takes the largest element of any row
 * @throws ShapeError for any other shape, DataError, IndexError for a label that is no class.
 */
export function trueClasses(
  name: string,
  scores: Tensor,
  target: Tensor,
  hint: string | null,
): ArrayLike<number> {
  const classes = classesOf(scores);
  const shape = scores.shape.slice(0, -1);
  let labels: ArrayLike<number> = target.data;
  if (sameShape(target.shape, scores.shape)) {
    if (hint !== null) checkDistributions(name, target, hint);
    labels = argmaxRows(target, classes);
  } else if (!sameShape(target.shape, shape)) {
    throw new ShapeError(
      `[${name}] expected labels ${show(shape)} or one-hot targets ${show(scores.shape)} for a ` +
        `prediction ${show(scores.shape)}, got ${show(target.shape)}`,
    );
  }
  for (let i = 0; i < labels.length; i++) checkLabel(name, labels[i], classes, i);
  return labels;
}

/** @throws IndexError for a label that is no class. */
export function checkLabel(name: string, label: number, classes: number, example: number): void {
  if (Number.isInteger(label) && label >= 0 && label < classes) return;
  throw new IndexError(
    `[${name}] expected labels from 0 to ${classes - 1}, got ${label} for example ${example} (counted from 0)`,
  );
}

/** @throws ShapeError unless prediction and target have one shape, or are [batch] and [batch, 1]. */
export function checkPaired(name: string, prediction: Tensor, target: Tensor): void {
  const single = (x: Tensor) => x.rank === 1 || (x.rank === 2 && x.shape[1] === 1);
  if (sameShape(prediction.shape, target.shape)) return;
  if (single(prediction) && single(target) && prediction.size === target.size) return;
  throw new ShapeError(
    `[${name}] expected a prediction and a target of one shape, or of [batch] and [batch, 1], got ` +
      `${show(prediction.shape)} and ${show(target.shape)}`,
  );
}

/** What predictions are, by what was said of them and by their shape: one score an example is always 'binary'. */
export function kindOf(
  name: string,
  prediction: Tensor,
  kind: ClassificationKind | undefined,
): ClassificationKind {
  if (classesOf(prediction) > 0) return kind ?? 'multiclass';
  if (kind !== 'multiclass') return 'binary';
  throw new ShapeError(
    `[${name}] expected a prediction [..., classes] of at least two classes, got ${show(prediction.shape)}`,
  );
}

/** 1 for a target above 0.5, else 0. @throws DataError outside [0, 1] */
export function truthOf(name: string, target: number): number {
  if (isProbability(target)) return target > 0.5 ? 1 : 0;
  throw new DataError(`[${name}] expected targets to be 0 or 1, or probabilities, got ${target}`);
}

/** What was predicted and what is true: classes by number, or each label (`truth[i]` of label `i % classes`) as 0 or 1. */
export interface Decisions {
  kind: ClassificationKind;
  /** Of labels or classes; 2 for 'binary'. */
  classes: number;
  truth: ArrayLike<number>;
  /** NaN, which is never right, where a score is NaN. */
  chosen: ArrayLike<number>;
}

/**
 * The decisions of a batch.
 * @param options what was said of them; what was not follows from the loss
 * @throws ArgumentError for scores that are no probabilities, where neither says what they must exceed to mean 1
 */
export function decide(
  name: string,
  prediction: Tensor,
  target: Tensor,
  options: { readonly [Option in keyof ThresholdOptions]-?: ThresholdOptions[Option] | undefined },
  task: MetricTask,
): Decisions {
  checkTensors(name, prediction, target);
  const given = options.kind ?? task.kind;
  const kind = kindOf(name, prediction, given);
  const classes = kind === 'binary' ? 2 : classesOf(prediction);
  if (kind === 'multiclass') {
    const truth = trueClasses(name, prediction, target, given === undefined ? kindHint : null);
    return { kind, classes, truth, chosen: argmaxRows(prediction, classes) };
  }
  checkPaired(name, prediction, target);
  const threshold = options.threshold ?? (task.fromLogits ? 0 : 0.5);
  const isGuess = options.threshold === undefined && task.fromLogits === undefined;
  const { size } = prediction;
  const truth = allocate(size, 'float64');
  const chosen = allocate(size, 'float64');
  for (let i = 0; i < size; i++) {
    const score = prediction.data[i];
    if (isGuess) checkScore(name, score, 'give a loss of `losses`, or a threshold, which is 0 for logits');
    truth[i] = truthOf(name, target.data[i]);
    chosen[i] = Number.isNaN(score) ? score : score > threshold ? 1 : 0;
  }
  return { kind, classes, truth, chosen };
}

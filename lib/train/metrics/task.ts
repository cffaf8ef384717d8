/** What the loss beside a metric tells of predictions. */
import { describe } from '../../arguments.ts';
import { ArgumentError } from '../../errors.ts';
import { isLoss, type LossChoice, type LossName } from '../loss.ts';

/**
 * What classes are to an example: it is of class 1 or not ('binary'), of one class of several ('multiclass'), or has each of
 * several labels or not ('multilabel').
 */
export type ClassificationKind = 'binary' | 'multiclass' | 'multilabel';

export interface KindOptions {
  /**
   * How targets are read. Default: as the loss beside the metric reads them, where it is one of `losses` and given itself or
   * by name: several labels for a binary cross-entropy or focal, one class for softmaxCrossEntropy or klDivergence. Otherwise one score an example is
   * 'binary', and several are 'multiclass': rows of targets that are neither one-hot nor probabilities are then refused.
   */
  kind?: ClassificationKind;
}

/** What a metric is told of the loss beside it; its own options go before. */
export interface MetricTask {
  readonly kind?: ClassificationKind;
  /** Whether the model returns logits rather than probabilities, or the targets 0 and 1 as quantities. */
  readonly fromLogits?: boolean;
}

const tasks: readonly (readonly [LossName, MetricTask])[] = [
  ['binaryCrossEntropy', { kind: 'multilabel', fromLogits: false }],
  ['binaryCrossEntropyWithLogits', { kind: 'multilabel', fromLogits: true }],
  ['focal', { kind: 'multilabel', fromLogits: true }],
  ['softmaxCrossEntropy', { kind: 'multiclass', fromLogits: true }],
  // Softmax leaves probabilities as they are whose logarithms it is given.
  ['klDivergence', { kind: 'multiclass', fromLogits: true }],
  // What learns 0 and 1 as quantities is as far from both at ½.
  ['mse', { fromLogits: false }],
  ['meanAbsoluteError', { fromLogits: false }],
  ['huber', { fromLogits: false }],
  ['quantile', { fromLogits: false }],
];

/** What a loss tells of predictions: nothing, where it is a function of the user's. */
export function taskOf(loss: LossChoice | undefined): MetricTask {
  return tasks.find(([name]) => isLoss(loss, name))?.[1] ?? {};
}

/** @throws ArgumentError unless it is one of them or undefined. */
export function checkChoice(
  op: string,
  name: string,
  value: string | undefined,
  known: readonly string[],
): void {
  if (value === undefined || known.includes(value)) return;
  throw new ArgumentError(
    `[${op}] expected ${name} to be one of ${known.join(', ')}, got ${describe(value)}`,
  );
}

/** @throws ArgumentError unless it is a kind or undefined. */
export function checkKind(op: string, kind: ClassificationKind | undefined): void {
  checkChoice(op, 'kind', kind, ['binary', 'multiclass', 'multilabel']);
}

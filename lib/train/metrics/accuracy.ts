/** The share of examples whose class was found. */
import { readOptions } from '../../arguments.ts';
import { checkThreshold, decide, type ThresholdOptions } from './classes.ts';
import { meanMetric, type Named } from './metric.ts';
import { checkKind } from './task.ts';

/** Options of `accuracy`. */
export interface AccuracyOptions extends ThresholdOptions {}

/**
 * The share of rows whose predicted class is the true one.
 * - One class of several, prediction [..., classes]: the largest score wins. Targets are labels [...], one-hot or
 *   probabilities [..., classes].
 * - Several labels, prediction and targets [..., labels]: the share of labels that are right, each by itself, where
 *   scikit-learn counts the examples of which all are.
 * - Prediction [batch] or [batch, 1]: class 1 above the threshold, else class 0. Targets are 0 or 1 likewise.
 *
 * A score of NaN is never right.
 * @throws ArgumentError for an option out of its domain; when used, for scores that are no probabilities, where neither a
 *   threshold nor the loss says how to decide by them
 */
export function accuracy(options: AccuracyOptions = {}): Named<'accuracy'> {
  const name = 'accuracy';
  const { kind, threshold } = readOptions(name, options, ['kind', 'threshold']);
  checkKind(name, kind);
  checkThreshold(name, threshold);
  return meanMetric(name, (prediction, target, task) => {
    const { truth, chosen } = decide(name, prediction, target, { kind, threshold }, task);
    let sum = 0;
    for (let i = 0; i < chosen.length; i++) if (chosen[i] === truth[i]) sum++;
    return { sum, count: chosen.length };
  });
}

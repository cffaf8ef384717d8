/** The share of examples whose class was found. */
import { checkOptions, describe } from '../../arguments.ts';
import { ArgumentError } from '../../errors.ts';
import { argmaxRows, checkPaired, checkTensors, classesOf, trueClasses } from './classes.ts';
import { type Metric, meanMetric } from './metric.ts';

export interface AccuracyOptions {
  /**
   * A single score above it means class 1. Default 0.5, for probabilities; 0 suits logits, and is what the name
   * 'accuracy' takes beside the loss 'binaryCrossEntropyWithLogits'.
   */
  threshold?: number;
}

/**
 * The share of rows whose predicted class is the true one.
 * - Prediction [..., classes]: the largest score wins. Targets are labels [...] or one-hot [..., classes].
 * - Prediction [batch] or [batch, 1]: class 1 above the threshold, else class 0. Targets are 0 or 1 likewise.
 * @throws ArgumentError for a threshold that is no number.
 */
export function accuracy(options: AccuracyOptions = {}): Metric {
  checkOptions('accuracy', options, ['threshold']);
  const { threshold = 0.5 } = options;
  if (typeof threshold !== 'number' || Number.isNaN(threshold)) {
    throw new ArgumentError(`[accuracy] expected threshold to be a number, got ${describe(threshold)}`);
  }
  return meanMetric('accuracy', (prediction, target) => {
    checkTensors('accuracy', prediction, target);
    const classes = classesOf(prediction);
    let sum = 0;
    if (classes === 0) {
      checkPaired('accuracy', prediction, target);
      for (let i = 0; i < target.size; i++) {
        const score = prediction.data[i];
        // NaN is no prediction, and so never a right one.
        if (!Number.isNaN(score) && (score > threshold ? 1 : 0) === target.data[i]) sum++;
      }
      return { sum, count: target.size };
    }
    const truth = trueClasses('accuracy', prediction, target);
    const chosen = argmaxRows(prediction, classes);
    for (let row = 0; row < chosen.length; row++) if (chosen[row] === truth[row]) sum++;
    return { sum, count: chosen.length };
  });
}

/** The share of examples whose class is among the k with the highest scores. */
import { describe } from '../../arguments.ts';
import { ArgumentError, ShapeError } from '../../errors.ts';
import { show } from '../../shape.ts';
import { checkTensors, classesOf, trueClasses } from './classes.ts';
import { meanMetric, type Named } from './metric.ts';

/**
 * Named 'top5' for k = 5, the default. Prediction [..., classes], targets as labels [...] or one-hot [..., classes]. At a
 * tie the lower class comes first, as in accuracy, so that k = 1 is accuracy; a class whose score is NaN is never found.
 * @throws ArgumentError unless k is an integer of at least 1; IndexError, when used, for a label that is no class.
 */
export function topK(k = 5): Named<`top${number}`> {
  if (!Number.isInteger(k) || k < 1) {
    throw new ArgumentError(`[topK] expected k to be an integer of at least 1, got ${describe(k)}`);
  }
  return meanMetric(`top${k}`, (prediction, target) => {
    checkTensors('topK', prediction, target);
    const classes = classesOf(prediction);
    if (classes === 0) {
      throw new ShapeError(
        `[topK] expected a prediction [..., classes] of at least two classes, got ${show(prediction.shape)}`,
      );
    }
    const truth = trueClasses('topK', prediction, target, 'it is for one class of several');
    const scores = prediction.data;
    let sum = 0;
    for (let row = 0; row < truth.length; row++) {
      const start = row * classes;
      const label = truth[row];
      const own = scores[start + label];
      let ahead = 0;
      for (let i = 0; i < classes; i++) {
        const other = scores[start + i];
        if (other > own || Number.isNaN(other) || (other === own && i < label)) ahead++;
      }
      if (!Number.isNaN(own) && ahead < k) sum++;
    }
    return { sum, count: truth.length };
  });
}

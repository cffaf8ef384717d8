/** The mean negative log likelihood of what is true. */
import { checkBoolean, readOptions } from '../../arguments.ts';
import { sameShape } from '../../shape.ts';
import type { Tensor } from '../../tensor.ts';
import {
  checkDistributions,
  checkPaired,
  checkTensors,
  classesOf,
  kindHint,
  kindOf,
  trueClasses,
  truthOf,
} from './classes.ts';
import { meanMetric, type Named } from './metric.ts';
import { checkRows, checkScore, logSoftmaxRows, type ScoreOptions } from './scores.ts';
import { checkKind } from './task.ts';

/**
 * −log of the probability that was given to what is true: the mean over examples, and over labels where there are several.
 * For targets of probabilities −Σ t·log p. Probabilities are taken as at least ε and at most 1 − ε, with that of their dtype,
 * as scikit-learn does since 1.2; logits as they are. NaN where a score is.
 * @throws ArgumentError for an option out of its domain; when used, for scores that are neither said to be logits nor
 *   probabilities
 */
export function logLoss(options: ScoreOptions = {}): Named<'logLoss'> {
  const op = 'logLoss';
  const { kind, fromLogits } = readOptions(op, options, ['kind', 'fromLogits']);
  checkKind(op, kind);
  if (fromLogits !== undefined) checkBoolean(op, 'fromLogits', fromLogits);
  return meanMetric(op, (prediction, target, task) => {
    checkTensors(op, prediction, target);
    const onLogits = fromLogits ?? task.fromLogits ?? false;
    if (kindOf(op, prediction, kind ?? task.kind) === 'multiclass') {
      return ofClasses(op, prediction, target, onLogits);
    }
    return ofLabels(op, prediction, target, onLogits);
  });
}

/** p kept from 0 and 1, so that its logarithm is finite. */
function clipped(p: number, { dtype }: Tensor): number {
  const epsilon = dtype === 'float64' ? 2 ** -52 : 2 ** -23;
  return Math.min(Math.max(p, epsilon), 1 - epsilon);
}

function ofLabels(op: string, prediction: Tensor, target: Tensor, onLogits: boolean) {
  checkPaired(op, prediction, target);
  let sum = 0;
  for (let i = 0; i < target.size; i++) {
    const score = prediction.data[i];
    const t = target.data[i];
    truthOf(op, t);
    if (onLogits) {
      sum += score * (Number(score > 0) - t) + Math.log1p(Math.exp(-Math.abs(score)));
      continue;
    }
    checkScore(op, score, 'set fromLogits for logits');
    const p = clipped(score, prediction);
    sum -= t * Math.log(p) + (1 - t) * Math.log1p(-p);
  }
  return { sum, count: target.size };
}

function ofClasses(op: string, prediction: Tensor, target: Tensor, onLogits: boolean) {
  const classes = classesOf(prediction);
  const isSoft = sameShape(prediction.shape, target.shape);
  if (!onLogits) checkRows(op, prediction, classes);
  const logits = onLogits ? logSoftmaxRows(prediction, classes) : null;
  const logOf = (i: number) => logits?.[i] ?? Math.log(clipped(prediction.data[i], prediction));
  let sum = 0;
  if (isSoft) {
    checkDistributions(op, target, kindHint);
    // A probability of 0 takes nothing of an infinite logarithm.
    for (let i = 0; i < target.size; i++) if (target.data[i] !== 0) sum -= target.data[i] * logOf(i);
  } else {
    const truth = trueClasses(op, prediction, target, null);
    for (let row = 0; row < truth.length; row++) sum -= logOf(row * classes + truth[row]);
  }
  return { sum, count: prediction.size / classes };
}

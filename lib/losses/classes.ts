/** Losses of one class among several. */
import { isArray, readList } from '../arguments.ts';
import { ArgumentError, inNameOf, ShapeError } from '../errors.ts';
import type { FloatDtype } from '../memory.ts';
import { takeAlongAxis } from '../ops/along.ts';
import { add, div, equal, mul, sub, where } from '../ops/binary.ts';
import { gather } from '../ops/gather.ts';
import {
  checkLabels,
  checkReduction,
  checkSome,
  elementwiseLoss,
  type Reduction,
  softmaxCrossEntropyWithLabels,
} from '../ops/loss.ts';
import { sum } from '../ops/reduce.ts';
import { unsqueeze } from '../ops/reshape.ts';
import { logSoftmax } from '../ops/softmax.ts';
import { neg, relu, square } from '../ops/unary.ts';
import { sameShape, show, sizeOf } from '../shape.ts';
import { checkSameFloat, checkTensor, type Tensor, tensor } from '../tensor.ts';
import { checkNumber, type LossOptions, reduced, reductionOf } from './options.ts';

/** Options of losses of one class among several. */
export interface ClassLossOptions extends LossOptions {
  /** For each class, times the losses of examples of it; a mean over labels is one by these weights, as in PyTorch. */
  weight?: Tensor | readonly number[];
}

/** Options of `softmaxCrossEntropy`. */
export interface CrossEntropyOptions extends ClassLossOptions {
  /** A label that stands for none: such examples have no loss, and no mean counts them. Of labels alone. */
  ignoreIndex?: number;
  /** The share of each target that all classes get alike, from 0 to 1 (Szegedy et al., 2016). Default 0. */
  labelSmoothing?: number;
}

/**
 * −log softmax(logits)[label] for logits [batch, ..., classes] and int32 labels [batch, ...]; or, for a target of probabilities
 * like the logits, −Σ t·log softmax(logits), where 0·log 0 is 0: a logit of −Infinity takes a class out. The mean is over examples,
 * which are all places but the last axis; NaN where all are ignored. `fit` and `evaluate` refuse rows that are no probabilities or
 * sum to something else than 1, by more than 0.05; here, as in PyTorch, nobody looks.
 * @throws IndexError for a label out of range.
 */
export function softmaxCrossEntropy<D extends FloatDtype>(
  logits: Tensor<D>,
  target: Tensor<NoInfer<D>> | Tensor<'int32'>,
  options: CrossEntropyOptions = {},
): Tensor<D> {
  const name = 'softmaxCrossEntropy';
  checkTensor(name, logits, 'logits');
  checkTensor(name, target, 'target');
  const reduction = reductionOf(name, options, ['weight', 'ignoreIndex', 'labelSmoothing']);
  const { weight, ignoreIndex, labelSmoothing = 0 } = options;
  checkNumber(
    name,
    'labelSmoothing',
    labelSmoothing,
    'a number from 0 to 1',
    (value) => value >= 0 && value <= 1,
  );
  if (ignoreIndex !== undefined) checkNumber(name, 'ignoreIndex', ignoreIndex, 'an integer', isInt32);
  if (target.dtype === 'int32') {
    const labels = target as Tensor<'int32'>;
    if (weight === undefined && ignoreIndex === undefined && labelSmoothing === 0) {
      return softmaxCrossEntropyWithLabels(logits, labels, reduction);
    }
    checkLabels(name, logits, labels);
    const weights = weight === undefined ? undefined : weightsOf(name, weight, logits);
    return withLabels(name, logits, labels, reduction, weights, ignoreIndex, labelSmoothing);
  }
  if (logits.rank === 0 || !sameShape(logits.shape, target.shape)) throw unlike(name, logits, target);
  checkSameFloat(name, logits, target);
  if (ignoreIndex !== undefined) {
    throw new ArgumentError(`[${name}] expected no ignoreIndex beside probabilities, got ${ignoreIndex}`);
  }
  checkReduction(name, reduction);
  const [examples, classes] = [sizeOf(logits.shape.slice(0, -1)), logits.shape[logits.rank - 1]];
  checkSome(name, examples, reduction);
  const given = target as Tensor;
  const smooth =
    labelSmoothing === 0 ? given : add(mul(given, 1 - labelSmoothing), labelSmoothing / Math.max(classes, 1));
  const t = weight === undefined ? smooth : mul(smooth, weightsOf(name, weight, logits));
  const logs = logSoftmax(logits);
  if (reduction === 'none') return sum(elementwiseLoss('crossEntropy', logs, t, 'none', 0, name), -1);
  return elementwiseLoss('crossEntropy', logs, t, reduction, 0, name, examples);
}

const isInt32 = (value: number) => (value | 0) === value;

/** By weights of labels, without those that are ignored, and with all classes sharing in each. */
function withLabels(
  name: string,
  logits: Tensor,
  labels: Tensor<'int32'>,
  reduction: Reduction,
  weights: Tensor | undefined,
  ignoreIndex: number | undefined,
  smoothing: number,
): Tensor {
  checkReduction(name, reduction);
  checkSome(name, labels.size, reduction);
  const isIgnored = ignoreIndex === undefined ? undefined : equal(labels, ignoreIndex);
  const own: Tensor<'int32'> = isIgnored === undefined ? labels : where(isIgnored, 0, labels);
  const without = (x: Tensor) => (isIgnored === undefined ? x : where(isIgnored, 0, x));
  const byLabel = weights === undefined ? undefined : without(gather(weights, own));
  let losses = softmaxCrossEntropyWithLabels(logits, own, 'none');
  if (byLabel !== undefined) losses = mul(losses, byLabel);
  if (smoothing > 0) {
    const logs = logSoftmax(logits);
    const all = neg(sum(weights === undefined ? logs : mul(logs, weights), -1));
    losses = add(mul(losses, 1 - smoothing), mul(all, smoothing / logits.shape[logits.rank - 1]));
  }
  losses = without(losses);
  if (reduction === 'none') return losses;
  const total = sum(losses);
  if (reduction === 'sum') return total;
  if (byLabel !== undefined) return div(total, sum(byLabel));
  if (isIgnored === undefined) return div(total, labels.size);
  return div(total, sum(isIgnored.equal(0).cast(logits.dtype)));
}

/**
 * Σ max(0, margin − x[label] + x[j])^power / classes over all other classes j, of scores [batch, ..., classes] and int32 labels
 * [batch, ...], as PyTorch's multi_margin_loss. A mean is over examples, whatever they weigh.
 * @param options.margin by how much the score of the class is to be above all others; the default is 1
 * @param options.power 1 (default) or 2
 * @throws IndexError for a label out of range.
 */
export function multiMargin<D extends FloatDtype>(
  scores: Tensor<D>,
  labels: Tensor<'int32'>,
  options: ClassLossOptions & { margin?: number; power?: 1 | 2 } = {},
): Tensor<D> {
  const name = 'multiMargin';
  checkTensor(name, scores, 'scores');
  checkTensor(name, labels, 'labels');
  const reduction = reductionOf(name, options, ['weight', 'margin', 'power']);
  const { weight, margin = 1, power = 1 } = options;
  checkNumber(name, 'margin', margin, 'a finite number', Number.isFinite);
  checkNumber(name, 'power', power, '1 or 2', (value) => value === 1 || value === 2);
  checkLabels(name, scores, labels);
  const classes = scores.shape[scores.rank - 1];
  const own = inNameOf(name, 'takeAlongAxis', () => takeAlongAxis(scores, unsqueeze(labels, -1)));
  const above = relu(add(sub(scores as Tensor, own), margin));
  const each = power === 2 ? square(above) : above;
  // The class itself has the margin alone, which is taken off again.
  const itself = Math.max(margin, 0) ** power;
  let losses = mul(add(sum(each, -1), -itself), 1 / classes);
  if (weight !== undefined) losses = mul(losses, gather(weightsOf(name, weight, scores), labels));
  return reduced(name, losses, reduction);
}

const unlike = (name: string, logits: Tensor, target: Tensor) =>
  new ShapeError(
    `[${name}] expected logits [batch, ..., classes] with int32 labels [batch, ...] or probabilities ` +
      `[batch, ..., classes], got ${show(logits.shape)} and ${target.dtype} ${show(target.shape)}`,
  );

/** A weight for each class. */
function weightsOf(name: string, weight: Tensor | readonly number[], logits: Tensor): Tensor {
  const own = isArray(weight)
    ? tensor(readList(name, 'weight', weight as readonly number[]), { dtype: logits.dtype })
    : weight;
  checkTensor(name, own, 'weight');
  checkSameFloat(name, logits, own);
  const classes = logits.shape[logits.rank - 1];
  if (own.rank !== 1 || own.size !== classes) {
    throw new ShapeError(
      `[${name}] expected a weight for each of ${classes} classes, got shape ${show(own.shape)}`,
    );
  }
  return own;
}

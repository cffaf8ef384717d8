/** Losses of yes and no, of which there may be any number beside each other. */
import type { FloatDtype } from '../memory.ts';
import { add, mul, pow, sub } from '../ops/binary.ts';
import { elementwiseLoss } from '../ops/loss.ts';
import { logSigmoid, neg, relu, sigmoid, square } from '../ops/unary.ts';
import type { Tensor } from '../tensor.ts';
import {
  checkNumber,
  checkPair,
  checkWeight,
  type LossOptions,
  reduced,
  reductionOf,
  weighted,
} from './options.ts';

/** Options of binary cross-entropies. */
export interface WeightedLossOptions extends LossOptions {
  /** Times each loss; broadcasts to the prediction. Means are over elements, whatever they weigh, as in PyTorch. */
  weight?: Tensor;
}

/**
 * −(t log p + (1 − t) log(1 − p)) for probabilities p, the notes' log loss; logarithms end at −100. NaN for p outside
 * [0, 1], where PyTorch throws. `fit` and `evaluate` refuse targets outside [0, 1]; here, as in PyTorch, nobody looks.
 */
export function binaryCrossEntropy<D extends FloatDtype>(
  prediction: Tensor<D>,
  target: Tensor<NoInfer<D>>,
  options: WeightedLossOptions = {},
): Tensor<D> {
  const name = 'binaryCrossEntropy';
  const reduction = reductionOf(name, options, ['weight']);
  const { weight } = options;
  if (weight === undefined) return elementwiseLoss(name, prediction, target, reduction);
  return reduced(name, weighted(name, elementwiseLoss(name, prediction, target, 'none'), weight), reduction);
}

/**
 * The same on logits z with p = σ(z), finite for every finite z. Targets likewise.
 * @param options.positiveWeight times t log p, the loss of what is positive: above 1 fewer of these are missed. Broadcasts.
 */
export function binaryCrossEntropyWithLogits<D extends FloatDtype>(
  logits: Tensor<D>,
  target: Tensor<NoInfer<D>>,
  options: WeightedLossOptions & { positiveWeight?: Tensor | number } = {},
): Tensor<D> {
  const name = 'binaryCrossEntropyWithLogits';
  const reduction = reductionOf(name, options, ['weight', 'positiveWeight']);
  const { weight, positiveWeight } = options;
  if (positiveWeight === undefined) {
    if (weight === undefined) return elementwiseLoss(name, logits, target, reduction);
    return reduced(name, weighted(name, elementwiseLoss(name, logits, target, 'none'), weight), reduction);
  }
  checkPair(name, logits, target);
  if (typeof positiveWeight === 'number') {
    checkNumber(name, 'positiveWeight', positiveWeight, 'a tensor or a finite number', Number.isFinite);
  } else checkWeight(name, 'positiveWeight', positiveWeight, logits);
  // (1 − t)·z − (1 + (w − 1)·t)·log σ(z)
  const t = target as Tensor;
  const more = typeof positiveWeight === 'number' ? positiveWeight - 1 : sub(positiveWeight, 1);
  const factor = add(mul(t, more), 1);
  const losses = sub(mul(add(neg(t), 1), logits), mul(factor, logSigmoid(logits)));
  return reduced(name, weighted(name, losses, weight), reduction);
}

/**
 * −αₜ (1 − pₜ)^γ log pₜ on logits (Lin, Goyal, Girshick, He & Dollár, 2017), pₜ being the probability of what is so: what is easy
 * counts for less. As torchvision's sigmoid_focal_loss, but for the mean.
 * @param options.gamma γ, at least 0; the default is 2
 * @param options.alpha the weight of what is positive, 1 − alpha that of the rest; ¼ by default, null for none
 */
export function focal<D extends FloatDtype>(
  logits: Tensor<D>,
  target: Tensor<NoInfer<D>>,
  options: LossOptions & { gamma?: number; alpha?: number | null } = {},
): Tensor<D> {
  const name = 'focal';
  const reduction = reductionOf(name, options, ['gamma', 'alpha']);
  const { gamma = 2, alpha = 0.25 } = options;
  checkNumber(name, 'gamma', gamma, 'a number of at least 0', (value) => value >= 0 && value < Infinity);
  if (alpha !== null) {
    checkNumber(name, 'alpha', alpha, 'null or a number from 0 to 1', (value) => value >= 0 && value <= 1);
  }
  checkPair(name, logits, target);
  const t = target as Tensor;
  const rest = add(neg(t), 1);
  // 1 − pₜ, with all its digits where pₜ is next to 1.
  const missed = add(mul(sigmoid(logits), rest), mul(sigmoid(neg(logits)), t));
  const entropy = elementwiseLoss('binaryCrossEntropyWithLogits', logits, t, 'none', 0, name);
  const losses = mul(entropy, pow(missed, gamma));
  if (alpha === null) return reduced(name, losses, reduction);
  return reduced(name, mul(losses, add(mul(t, 2 * alpha - 1), 1 - alpha)), reduction);
}

/** 1 − t·p where that is positive, for targets −1 and 1, as in Keras: 0 where p is on the side of t, and as far as 1. */
export function hinge<D extends FloatDtype>(
  prediction: Tensor<D>,
  target: Tensor<NoInfer<D>>,
  options: LossOptions = {},
): Tensor<D> {
  return reduced('hinge', margins('hinge', prediction, target), reductionOf('hinge', options));
}

/** The square of `hinge`. */
export function squaredHinge<D extends FloatDtype>(
  prediction: Tensor<D>,
  target: Tensor<NoInfer<D>>,
  options: LossOptions = {},
): Tensor<D> {
  const reduction = reductionOf('squaredHinge', options);
  return reduced('squaredHinge', square(margins('squaredHinge', prediction, target)), reduction);
}

function margins(name: string, prediction: Tensor, target: Tensor): Tensor {
  checkPair(name, prediction, target);
  return relu(add(neg(mul(prediction, target)), 1));
}

/**
 * Losses: `losses` is what this module exports, and no more. Each takes a prediction and a target, and an options object with
 * `reduction`, by default the mean.
 */
import { checkOptions, describe } from './arguments.ts';
import { ArgumentError, ShapeError } from './errors.ts';
import type { FloatDtype } from './memory.ts';
import {
  checkReduction,
  checkSome,
  elementwiseLoss,
  type Reduction,
  softmaxCrossEntropyWithLabels,
} from './ops/loss.ts';
import { sameShape, show } from './shape.ts';
import { checkSameFloat, checkTensor, type Tensor } from './tensor.ts';

export interface LossOptions {
  /** 'mean' (default) over elements, or over examples for softmaxCrossEntropy; 'sum'; or 'none' for each by itself. */
  reduction?: Reduction;
}

/** The reduction in options, which the ops check. @throws ArgumentError for an option with no meaning here. */
function reductionOf(name: string, options: LossOptions, others: readonly string[] = []): Reduction {
  checkOptions(name, options, ['reduction', ...others]);
  const { reduction = 'mean' } = options;
  return reduction;
}

/** (p − t)², the squared error. Shapes agree. */
export function mse<D extends FloatDtype>(
  prediction: Tensor<D>,
  target: Tensor<NoInfer<D>>,
  options: LossOptions = {},
): Tensor<D> {
  return elementwiseLoss('squaredError', prediction, target, reductionOf('mse', options), 0, 'mse');
}

/** |p − t| */
export function meanAbsoluteError<D extends FloatDtype>(
  prediction: Tensor<D>,
  target: Tensor<NoInfer<D>>,
  options: LossOptions = {},
): Tensor<D> {
  return elementwiseLoss(
    'absoluteError',
    prediction,
    target,
    reductionOf('meanAbsoluteError', options),
    0,
    'meanAbsoluteError',
  );
}

/** ½(p − t)² up to |p − t| = delta, linear beyond (Huber, 1964). @throws ArgumentError unless delta > 0. */
export function huber<D extends FloatDtype>(
  prediction: Tensor<D>,
  target: Tensor<NoInfer<D>>,
  options: LossOptions & { delta?: number } = {},
): Tensor<D> {
  const reduction = reductionOf('huber', options, ['delta']);
  const { delta = 1 } = options;
  if (!(Number.isFinite(delta) && delta > 0)) {
    throw new ArgumentError(`[huber] expected delta to be a number greater than 0, got ${describe(delta)}`);
  }
  return elementwiseLoss('huber', prediction, target, reduction, delta);
}

/**
 * −(t log p + (1 − t) log(1 − p)) for probabilities p, the notes' log loss; logarithms end at −100. NaN for p outside
 * [0, 1], where PyTorch throws. `fit` and `evaluate` refuse targets outside [0, 1]; here, as in PyTorch, nobody looks.
 */
export function binaryCrossEntropy<D extends FloatDtype>(
  prediction: Tensor<D>,
  target: Tensor<NoInfer<D>>,
  options: LossOptions = {},
): Tensor<D> {
  return elementwiseLoss(
    'binaryCrossEntropy',
    prediction,
    target,
    reductionOf('binaryCrossEntropy', options),
  );
}

/** The same on logits z with p = σ(z), finite for every finite z. Targets likewise. */
export function binaryCrossEntropyWithLogits<D extends FloatDtype>(
  logits: Tensor<D>,
  target: Tensor<NoInfer<D>>,
  options: LossOptions = {},
): Tensor<D> {
  const reduction = reductionOf('binaryCrossEntropyWithLogits', options);
  return elementwiseLoss('binaryCrossEntropyWithLogits', logits, target, reduction);
}

/**
 * −log softmax(logits)[label] for logits [batch, classes] and int32 labels [batch]; or, for a target of probabilities
 * [batch, classes], −Σ t·log softmax(logits), where 0·log 0 is 0: a logit of −Infinity takes a class out. `fit` and
 * `evaluate` refuse rows that are no probabilities or sum to something else than 1, by more than 0.05; here, as in PyTorch,
 * nobody looks.
 * @throws IndexError for a label out of range.
 */
export function softmaxCrossEntropy<D extends FloatDtype>(
  logits: Tensor<D>,
  target: Tensor<NoInfer<D>> | Tensor<'int32'>,
  options: LossOptions = {},
): Tensor<D> {
  const name = 'softmaxCrossEntropy';
  checkTensor(name, logits, 'logits');
  checkTensor(name, target, 'target');
  const reduction = reductionOf(name, options);
  if (target.dtype === 'int32') return softmaxCrossEntropyWithLabels(logits, target, reduction);
  if (logits.rank !== 2 || !sameShape(logits.shape, target.shape)) {
    throw new ShapeError(
      `[${name}] expected logits [batch, classes] with int32 labels [batch] or probabilities [batch, classes], ` +
        `got ${show(logits.shape)} and ${target.dtype} ${show(target.shape)}`,
    );
  }
  checkSameFloat(name, logits, target);
  checkReduction(name, reduction);
  checkSome(name, logits.shape[0], reduction);
  const logs = logits.logSoftmax();
  const probabilities = target as Tensor;
  if (reduction === 'none')
    return elementwiseLoss('crossEntropy', logs, probabilities, 'none', 0, name).sum(-1);
  return elementwiseLoss('crossEntropy', logs, probabilities, reduction, 0, name, logits.shape[0]);
}

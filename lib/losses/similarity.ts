/** Losses of distributions and of directions, each along the last axis. */
import { checkBoolean, describe, isArray } from '../arguments.ts';
import { ArgumentError, ShapeError } from '../errors.ts';
import type { FloatDtype } from '../memory.ts';
import { add, div, equal, maximum, mul, notEqual, sub, where } from '../ops/binary.ts';
import { elementwiseLoss } from '../ops/loss.ts';
import { norm } from '../ops/norm.ts';
import { sum } from '../ops/reduce.ts';
import { exp, log, neg, relu, sqrt, square } from '../ops/unary.ts';
import { sameShape, show } from '../shape.ts';
import { checkSameFloat, checkTensor, type Tensor } from '../tensor.ts';
import { checkNumber, checkPair, type LossOptions, reduced, reductionOf } from './options.ts';

/**
 * Σ t·(log t − p) along the last axis, the divergence of a distribution whose logarithms p are the prediction from the target t, where
 * 0·log 0 is 0. The mean is over examples, as of PyTorch's kl_div with 'batchmean'.
 * @param options.logTarget whether the target holds logarithms as well; the default is false
 */
export function klDivergence<D extends FloatDtype>(
  prediction: Tensor<D>,
  target: Tensor<NoInfer<D>>,
  options: LossOptions & { logTarget?: boolean } = {},
): Tensor<D> {
  const name = 'klDivergence';
  const reduction = reductionOf(name, options, ['logTarget']);
  const { logTarget = false } = options;
  checkBoolean(name, 'logTarget', logTarget);
  checkPair(name, prediction, target);
  checkAxis(name, prediction);
  const t = target as Tensor;
  if (logTarget) return reduced(name, sum(mul(exp(t), sub(t, prediction)), -1), reduction);
  const entropy = mul(t, log(where(notEqual(t, 0), t, 1)));
  const cross = elementwiseLoss('crossEntropy', prediction, t, 'none', 0, name);
  return reduced(name, sum(add(entropy, cross), -1), reduction);
}

/** So long vectors are at least for their cosine, as in PyTorch's cosine_similarity. */
const shortest = 1e-8;

/** −cos of the angle between prediction and target along the last axis, from −1 for one direction to 1, as in Keras. */
export function cosineSimilarity<D extends FloatDtype>(
  prediction: Tensor<D>,
  target: Tensor<NoInfer<D>>,
  options: LossOptions = {},
): Tensor<D> {
  const name = 'cosineSimilarity';
  const reduction = reductionOf(name, options);
  checkPair(name, prediction, target);
  checkAxis(name, prediction);
  const unit = (x: Tensor) => div(x, maximum(norm(x, -1, { keepDims: true }), shortest));
  return reduced(name, neg(sum(mul(unit(prediction), unit(target as Tensor)), -1)), reduction);
}

/**
 * Of pairs [..., size] of vectors, 1 − cos where the target is 1, and cos − margin, if that is positive, where it is −1; as
 * PyTorch's cosine_embedding_loss.
 * @param pair both, as a model with two outputs gives them
 * @param target 1 or −1 for each pair [...]
 * @param options.margin what cosine is far enough apart; 0 by default
 */
export function cosineEmbedding<D extends FloatDtype>(
  pair: readonly [Tensor<D>, Tensor<NoInfer<D>>],
  target: Tensor<NoInfer<D>>,
  options: LossOptions & { margin?: number } = {},
): Tensor<D> {
  const name = 'cosineEmbedding';
  const reduction = reductionOf(name, options, ['margin']);
  const { margin = 0 } = options;
  checkNumber(name, 'margin', margin, 'a number from −1 to 1', (value) => value >= -1 && value <= 1);
  if (!isArray(pair) || pair.length !== 2) {
    throw new ArgumentError(`[${name}] expected an array of two tensors, got ${describe(pair)}`);
  }
  const [a, b]: readonly Tensor[] = pair;
  checkPair(name, a, b);
  checkAxis(name, a);
  checkTensor(name, target, 'target');
  checkSameFloat(name, a, target);
  if (!sameShape(target.shape, a.shape.slice(0, -1))) {
    throw new ShapeError(
      `[${name}] expected a target for each pair of shape ${show(a.shape)}, got ${show(target.shape)}`,
    );
  }
  const squares = (x: Tensor) => add(sum(square(x), -1), 1e-12);
  const cosine = div(sum(mul(a, b), -1), sqrt(mul(squares(a), squares(b))));
  const far = where(equal(target as Tensor, -1), relu(sub(cosine, margin)), 0);
  return reduced(name, where(equal(target as Tensor, 1), add(neg(cosine), 1), far), reduction);
}

function checkAxis(name: string, x: Tensor): void {
  if (x.rank === 0) throw new ShapeError(`[${name}] expected at least one axis, got a scalar`);
}

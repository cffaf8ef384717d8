/** Losses of numbers. */
import type { FloatDtype } from '../memory.ts';
import { add, mul, sub } from '../ops/binary.ts';
import { elementwiseLoss } from '../ops/loss.ts';
import { relu } from '../ops/unary.ts';
import type { Tensor } from '../tensor.ts';
import { checkNumber, checkPair, type LossOptions, reduced, reductionOf } from './options.ts';

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
  checkNumber('huber', 'delta', delta, 'a number greater than 0', (value) => value > 0 && value < Infinity);
  return elementwiseLoss('huber', prediction, target, reduction, delta);
}

/**
 * q·(t − p) where the prediction is below the target, (1 − q)·(p − t) above it: what is least for the quantile q of the target
 * (Koenker & Bassett, 1978), with q = ½ half the absolute error. The derivative where both are equal is 0.
 * @param options.quantile q, between 0 and 1; the default is ½
 */
export function quantile<D extends FloatDtype>(
  prediction: Tensor<D>,
  target: Tensor<NoInfer<D>>,
  options: LossOptions & { quantile?: number } = {},
): Tensor<D> {
  const name = 'quantile';
  const reduction = reductionOf(name, options, ['quantile']);
  const { quantile: q = 0.5 } = options;
  checkNumber(name, 'quantile', q, 'a number between 0 and 1', (value) => value > 0 && value < 1);
  checkPair(name, prediction, target);
  const below = mul(relu(sub(target as Tensor, prediction)), q);
  return reduced(name, add(below, mul(relu(sub(prediction, target as Tensor)), 1 - q)), reduction);
}

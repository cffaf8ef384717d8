/** What losses have in common: reductions, weights, and what their targets are. */
import { checkOptions, describe } from '../arguments.ts';
import { ArgumentError, ShapeError } from '../errors.ts';
import { mul } from '../ops/binary.ts';
import { checkReduction, checkSome, type Reduction } from '../ops/loss.ts';
import { mean, sum } from '../ops/reduce.ts';
import { sameShape, show } from '../shape.ts';
import { checkSameFloat, checkTensor, type Tensor } from '../tensor.ts';

/** Options of every loss. */
export interface LossOptions {
  /** 'mean' (default) over elements, or over examples where a loss is one of these; 'sum'; or 'none' for each by itself. */
  reduction?: Reduction;
}

/** The reduction in options, which the ops check. @throws ArgumentError for an option with no meaning here. */
export function reductionOf(name: string, options: LossOptions, others: readonly string[] = []): Reduction {
  checkOptions(name, options, ['reduction', ...others]);
  const { reduction = 'mean' } = options;
  return reduction;
}

/** Losses as they are to be given back. @throws ArgumentError for another reduction, ShapeError for the mean of nothing */
export function reduced(name: string, losses: Tensor, reduction: Reduction): Tensor {
  checkReduction(name, reduction);
  checkSome(name, losses.size, reduction);
  if (reduction === 'none') return losses;
  return reduction === 'mean' ? mean(losses) : sum(losses);
}

/** @throws DtypeError for two dtypes or int32, ShapeError for two shapes */
export function checkPair(name: string, prediction: Tensor, target: Tensor): void {
  checkTensor(name, prediction, 'prediction');
  checkTensor(name, target, 'target');
  checkSameFloat(name, prediction, target);
  if (sameShape(prediction.shape, target.shape)) return;
  throw new ShapeError(
    `[${name}] expected prediction and target of one shape, got ${show(prediction.shape)} and ${show(target.shape)}`,
  );
}

/** Losses times weights, which broadcast to them. */
export function weighted(name: string, losses: Tensor, weight: Tensor | undefined): Tensor {
  if (weight === undefined) return losses;
  checkWeight(name, 'weight', weight, losses);
  return mul(losses, weight);
}

/** @throws ArgumentError, DtypeError, ShapeError unless it is a tensor that broadcasts to the losses */
export function checkWeight(name: string, option: string, weight: Tensor, losses: Tensor): void {
  checkTensor(name, weight, option);
  checkSameFloat(name, losses, weight);
  const lead = losses.rank - weight.rank;
  const fits = weight.shape.every((size, i) => size === 1 || size === losses.shape[lead + i]);
  if (lead >= 0 && fits) return;
  throw new ShapeError(
    `[${name}] expected ${option} to broadcast to ${show(losses.shape)}, got ${show(weight.shape)}`,
  );
}

/** @throws ArgumentError unless the option is a number of the range that the text describes. */
export function checkNumber(
  name: string,
  option: string,
  value: number,
  expected: string,
  accepts: (value: number) => boolean,
): void {
  if (typeof value === 'number' && accepts(value)) return;
  throw new ArgumentError(`[${name}] expected ${option} to be ${expected}, got ${describe(value)}`);
}

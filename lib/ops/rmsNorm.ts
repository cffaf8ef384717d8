/** Normalisation of each example by the root of its mean square. */
import { checkOptions } from '../arguments.ts';
import type { FloatDtype } from '../memory.ts';
import type { Shape } from '../shape.ts';
import { empty, type Tensor } from '../tensor.ts';
import { tracing } from '../trace.ts';
import { mul } from './binary.ts';
import { checkEpsilon, lastAxes, normalizeRows, readNormalized, standardize } from './normalize.ts';

/** Options of `rmsNorm`. */
export interface RMSNormOptions {
  /** Added to the mean square; by default the distance from 1 to the next number of the dtype, as in PyTorch. */
  epsilon?: number;
}

/** What is added where nobody says, by dtype. */
export const leastEpsilon: Readonly<Record<FloatDtype, number>> = { float32: 2 ** -23, float64: 2 ** -52 };

/**
 * Root mean square normalisation (Zhang & Sennrich, 2019): x / √(mean(x²) + ε) · scale, with the mean of each example over
 * the last axes.
 * @param x [..., ...shape]
 * @param shape of what is normalised together; a number for the last axis alone
 * @param scale of that shape, or null for 1
 * @returns the shape of x
 * @throws ShapeError, DtypeError when tensors do not fit each other, ArgumentError for options out of their domains.
 */
export function rmsNorm<D extends FloatDtype>(
  x: Tensor<D>,
  shape: number | Shape,
  scale: Tensor | null = null,
  options: RMSNormOptions = {},
): Tensor<D> {
  const op = 'rmsNorm';
  const { dtype, own } = readNormalized(op, x, shape, { scale });
  checkOptions(op, options, ['epsilon']);
  const { epsilon = leastEpsilon[dtype] } = options;
  checkEpsilon(op, epsilon);
  if (tracing !== null) {
    // Other formats have what it is made of, rather than itself.
    const { h } = standardize(x, lastAxes(x, own), epsilon, false);
    return (scale === null ? h : mul(h, scale)) as Tensor<D>;
  }
  return normalizeRows(empty(x.shape, dtype), x, own, scale, null, epsilon, false);
}

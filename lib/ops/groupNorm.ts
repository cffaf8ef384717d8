/** Normalisation of each example by groups of its channels. */
import { checkOptions, describe } from '../arguments.ts';
import { ArgumentError, ShapeError } from '../errors.ts';
import type { FloatDtype } from '../memory.ts';
import { show, sizeOf } from '../shape.ts';
import { checkFloat, checkTensor, type Tensor } from '../tensor.ts';
import { add, mul } from './binary.ts';
import { checkVector } from './epilogue.ts';
import { checkEpsilon, type LayerNormOptions, layerNorm } from './normalize.ts';
import { reshape } from './reshape.ts';
import { transpose } from './transpose.ts';

/** @throws ArgumentError unless so many channels make so many groups of one size. */
export function checkGroups(op: string, groups: number, channels: number): void {
  if (Number.isInteger(groups) && groups >= 1 && channels % groups === 0) return;
  throw new ArgumentError(`[${op}] expected groups to divide ${channels} channels, got ${describe(groups)}`);
}

/**
 * Group normalisation (Wu & He, 2018): (x − μ) / √(σ² + ε) · scale + shift, with μ and σ² of each example over all positions
 * and the channels of a group, which are neighbours. One group is layer normalisation of the example as a whole but for scale and
 * shift, as many groups as channels are instance normalisation (Ulyanov, Vedaldi & Lempitsky, 2016).
 * @param x [batch, ..., channels]: channels last, where PyTorch has them second
 * @param groups a divisor of the channels
 * @param scale [channels], or null for 1
 * @param shift [channels], or null for 0
 * @returns the shape of x
 * @throws ShapeError, DtypeError when tensors do not fit each other, ArgumentError for groups and options out of their domains.
 */
export function groupNorm<D extends FloatDtype>(
  x: Tensor<D>,
  groups: number,
  scale: Tensor | null = null,
  shift: Tensor | null = null,
  options: LayerNormOptions = {},
): Tensor<D> {
  const op = 'groupNorm';
  checkTensor(op, x);
  checkFloat(op, x);
  checkOptions(op, options, ['epsilon']);
  const { epsilon = 1e-5 } = options;
  checkEpsilon(op, epsilon);
  if (x.rank < 2) throw new ShapeError(`[${op}] expected x [batch, ..., channels], got ${show(x.shape)}`);
  const channels = x.shape[x.rank - 1];
  checkGroups(op, groups, channels);
  checkVector(op, x, scale, 'scale', channels);
  checkVector(op, x, shift, 'shift', channels);
  const [batch, size] = [x.shape[0], channels / groups];
  const positions = sizeOf(x.shape.slice(1, -1));
  const isApart = groups > 1 && positions !== 1;
  // Groups side by side lie apart at each position.
  const order = [0, 2, 1, 3];
  const parts = reshape(x, [batch, positions, groups, size]);
  const together = reshape(isApart ? transpose(parts, order) : parts, [batch, groups, positions, size]);
  const normal = layerNorm(together, [positions, size], null, null, { epsilon });
  let y = reshape(isApart ? transpose(normal, order) : normal, x.shape);
  if (scale !== null) y = mul(y, scale);
  if (shift !== null) y = add(y, shift);
  return y as Tensor<D>;
}

/** Reductions of arrays, for ops and their gradients. */
import { type Float, kernels, type ReduceOp, reduceCode } from '../kernels/index.ts';
import { type FloatDtype, release, take } from '../memory.ts';
import type { Shape } from '../shape.ts';

/** Neighbouring axes merged into groups, alternately kept and reduced, beginning with a kept one. */
export function groups(shape: Shape, axes: readonly number[]): number[] {
  const sizes = [1];
  for (let axis = 0; axis < shape.length; axis++) {
    const reduced = axes.includes(axis);
    // Even positions are kept groups, odd ones reduced.
    if (reduced !== (sizes.length % 2 === 0)) sizes.push(1);
    sizes[sizes.length - 1] *= shape[axis];
  }
  return sizes;
}

/** out = scale · R(x over axes). The kernel takes two reduced groups at once; what has more goes in several passes. */
export function reduceInto(
  out: Float,
  x: Float,
  shape: Shape,
  axes: readonly number[],
  dtype: FloatDtype,
  op: ReduceOp,
  scale: number,
): void {
  // Nothing to write, in however many rows.
  if (out.length === 0) return;
  const [k0, r0 = 1, k1 = 1, r1 = 1, ...rest] = groups(shape, axes);
  if (rest.length === 0) {
    kernels.reduce(out, x, k0, r0, k1, r1, reduceCode[op], scale);
    return;
  }
  const after = k1 * r1 * rest.reduce((product, size) => product * size, 1);
  const partial = take(k0 * after, dtype);
  // Scaled at once: the mean of numbers has a place in float32 where their sum may have none.
  kernels.reduce(partial, x, k0, r0, after, 1, reduceCode[op], scale);
  const sizes = [k0 * k1, r1, ...rest];
  const next = Array.from(sizes.keys()).filter((group) => group % 2 === 1);
  reduceInto(out, partial, sizes, next, dtype, op === 'sumOfSquares' ? 'sum' : op, 1);
  release(partial);
}

/** out (of shape `own`) = scale · wide (of shape `broadcast`) summed over what broadcasting repeated. */
export function sumTo(
  out: Float,
  wide: Float,
  own: Shape,
  broadcast: Shape,
  dtype: FloatDtype,
  scale: number,
): void {
  if (out.length === wide.length && scale === 1) {
    kernels.cast(out, wide);
    return;
  }
  const lead = broadcast.length - own.length;
  const axes: number[] = [];
  for (let axis = 0; axis < broadcast.length; axis++) {
    if (axis < lead || (own[axis - lead] === 1 && broadcast[axis] !== 1)) axes.push(axis);
  }
  reduceInto(out, wide, broadcast, axes, dtype, 'sum', scale);
}

/** What reductions have in common: their axes, options and shapes, and the call of the kernel. */
import { checkBoolean, checkOptions } from '../arguments.ts';
import { inNameOf } from '../errors.ts';
import { kernels, type ReduceOp, reduceCode } from '../kernels/index.ts';
import type { FloatDtype } from '../memory.ts';
import { normalizeAxes, packLayout, type Shape, stridesOf } from '../shape.ts';
import { checkTensor, elements, empty, floats, type Tensor } from '../tensor.ts';
import { isInteger } from './integer.ts';
import { groups, reduceInto } from './reduceInto.ts';
import { reshape } from './reshape.ts';
import { transpose } from './transpose.ts';

/** Options of what reduces axes to one number. */
export interface ReduceOptions {
  /** Keep each reduced axis with size 1, so that the result broadcasts against the input. Default false. */
  keepDims?: boolean;
}

/** An axis or several; negative ones are counted from the last. */
export type Axes = number | readonly number[];

/** The shape after reducing `axes`; with every reduced axis as 1 when `keepDims`. */
export function reducedShape(shape: Shape, axes: readonly number[], keepDims: boolean): number[] {
  if (keepDims) return shape.map((size, axis) => (axes.includes(axis) ? 1 : size));
  return shape.filter((_, axis) => !axes.includes(axis));
}

/** Those by which what was reduced over axes is read at each position of `shape`. */
export function spreadStrides(shape: Shape, axes: readonly number[]): number[] {
  const own = stridesOf(shape.map((size, axis) => (axes.includes(axis) ? 1 : size)));
  return own.map((stride, axis) => (axes.includes(axis) ? 0 : stride));
}

/** The layout for `binary` over `shape` whose first operand has been reduced over `axes`, and whose second is given. */
export function spreadLayout(shape: Shape, axes: readonly number[], second: readonly number[]): Int32Array {
  return packLayout(shape, [spreadStrides(shape, axes), second]);
}

/** The gradient of what was reduced, in a shape that meets that of x. */
export function kept(dy: Tensor, x: Tensor, over: readonly number[]): Tensor {
  return reshape(dy, reducedShape(x.shape, over, true));
}

/** The axes of x to reduce over. */
export function axesOf(name: string, x: Tensor, axes: Axes | undefined): number[] {
  checkTensor(name, x);
  return normalizeAxes(name, axes, x.rank);
}

export function reduction(
  name: string,
  op: ReduceOp,
  x: Tensor,
  over: readonly number[],
  options: ReduceOptions,
): { y: Tensor; count: number; dtype: FloatDtype; keepDims: boolean; finish: (scale: number) => void } {
  checkOptions(name, options, ['keepDims']);
  const { keepDims = false } = options;
  checkBoolean(name, 'keepDims', keepDims);
  const y = empty(reducedShape(x.shape, over, keepDims), x.dtype);
  const count = over.reduce((product, axis) => product * x.shape[axis], 1);
  const dtype = x.dtype as FloatDtype;
  const finish = (scale: number) => {
    if (isInteger(x)) return inNameOf(name, 'reduce', () => reduceIntegers(y, x, over, op));
    reduceInto(floats(y), floats(x), x.shape, over, dtype, op, scale);
  };
  return { y, count, dtype, keepDims, finish };
}

/** Axes that one call of the kernel does not take are brought together: sums of a part need not fit int32. */
function reduceIntegers(y: Tensor, x: Tensor, over: readonly number[], op: ReduceOp): void {
  if (y.size === 0) return;
  const [k0, r0 = 1, k1 = 1, r1 = 1, ...rest] = groups(x.shape, over);
  if (rest.length === 0) {
    kernels.reduce(elements(y), elements(x), k0, r0, k1, r1, reduceCode[op], 1);
    return;
  }
  const together = withLast(x, over);
  kernels.reduce(elements(y), elements(together), y.size, x.size / y.size, 1, 1, reduceCode[op], 1);
}

/** x with these axes behind all others. */
export function withLast(x: Tensor, axes: readonly number[]): Tensor {
  const others = Array.from(x.shape.keys()).filter((axis) => !axes.includes(axis));
  return transpose(x, [...others, ...axes]);
}

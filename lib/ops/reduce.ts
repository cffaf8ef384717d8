/** Reductions over axes: sum, mean, product, max, min, logSumExp, variance, argmax, argmin. */
import { checkBoolean, checkOptions, describe } from '../arguments.ts';
import { contribute, noGrad, track } from '../autograd.ts';
import { ArgumentError, inNameOf, ShapeError } from '../errors.ts';
import { binaryCode, kernels, type ReduceOp, reduceCode, unaryCode } from '../kernels/index.ts';
import { type FloatDtype, release, take } from '../memory.ts';
import { normalizeAxes, normalizeAxis, packLayout, type Shape, show, sizeOf, stridesOf } from '../shape.ts';
import { checkFloat, checkTensor, elements, empty, floats, type Tensor } from '../tensor.ts';
import { tracing } from '../trace.ts';
import { div, sub } from './binary.ts';
import { isInteger } from './integer.ts';
import { groups, reduceInto } from './reduceInto.ts';
import { transpose } from './transpose.ts';

export interface ReduceOptions {
  /** Keep each reduced axis with size 1, so that the result broadcasts against the input. Default false. */
  keepDims?: boolean;
}

type Axes = number | readonly number[];

/** The shape after reducing `axes`; with every reduced axis as 1 when `keepDims`. */
function reducedShape(shape: Shape, axes: readonly number[], keepDims: boolean): number[] {
  if (keepDims) return shape.map((size, axis) => (axes.includes(axis) ? 1 : size));
  return shape.filter((_, axis) => !axes.includes(axis));
}

/** The layout for `binary` over `shape` whose first operand has been reduced over `axes`, and whose second is given. */
function spreadLayout(shape: Shape, axes: readonly number[], second: readonly number[]): Int32Array {
  const own = stridesOf(shape.map((size, axis) => (axes.includes(axis) ? 1 : size)));
  const spread = own.map((stride, axis) => (axes.includes(axis) ? 0 : stride));
  return packLayout(shape, [spread, second]);
}

/** The axes of x to reduce over. */
function axesOf(name: string, x: Tensor, axes: Axes | undefined): number[] {
  checkTensor(name, x);
  return normalizeAxes(name, axes, x.rank);
}

function reduction(
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
function withLast(x: Tensor, axes: readonly number[]): Tensor {
  const others = Array.from(x.shape.keys()).filter((axis) => !axes.includes(axis));
  return transpose(x, [...others, ...axes]);
}

/** scale · the sum over axes; dx = scale · dy, repeated. */
function scaledSum(
  name: string,
  x: Tensor,
  over: readonly number[],
  options: ReduceOptions,
  scaleOf: (count: number) => number,
): Tensor {
  const { y, count, dtype, keepDims, finish } = reduction(name, 'sum', x, over, options);
  const scale = scaleOf(count);
  finish(scale);
  tracing?.note('reduce', [x], y, { op: scale === 1 ? 'sum' : 'mean', axes: over, keepDims, scale: 1 });
  return track(y, [x], (dy) =>
    contribute(x, (dx) => {
      const factor = take(1, dtype);
      kernels.fill(factor, scale);
      const zeros = x.shape.map(() => 0);
      const layout = dy.length === 1 || dy.length === dx.length ? null : spreadLayout(x.shape, over, zeros);
      kernels.binary(dx, dy, factor, layout, binaryCode.mul);
      release(factor);
    }),
  );
}

/** scale · the sum of squares over axes, which float32 need not hold; dx = 2·scale·dy·x. */
function scaledSquares(
  name: string,
  x: Tensor,
  over: readonly number[],
  options: ReduceOptions,
  scale: number,
): Tensor {
  const { y, count, dtype, keepDims, finish } = reduction(name, 'sumOfSquares', x, over, options);
  finish(scale);
  const isMean = scale === 1 / count;
  const op = isMean ? 'meanOfSquares' : 'sumOfSquares';
  tracing?.note('reduce', [x], y, { op, axes: over, keepDims, scale: isMean ? 1 : scale });
  return track(
    y,
    [x],
    (dy) =>
      contribute(x, (dx) => {
        const share = take(y.size, dtype);
        kernels.unary(share, dy, unaryCode.scale, 2 * scale, 0);
        const layout =
          y.size === 1 || y.size === x.size ? null : spreadLayout(x.shape, over, stridesOf(x.shape));
        kernels.binary(dx, share, floats(x), layout, binaryCode.mul);
        release(share);
      }),
    [x],
  );
}

/**
 * The sum over axes (all of them by default); 0 over nothing. That of int32 is int32, where PyTorch's is int64.
 * @throws DataError for a sum that int32 does not hold: cast to float64 first
 */
export function sum(x: Tensor, axes?: Axes, options: ReduceOptions = {}): Tensor {
  return scaledSum('sum', x, axesOf('sum', x, axes), options, () => 1);
}

/** The mean over axes (all of them by default); NaN over nothing. */
export function mean(x: Tensor, axes?: Axes, options: ReduceOptions = {}): Tensor {
  // The mean of nothing is 0 · (0 / 0), as in NumPy; a kernel takes no NaN as a scale, so the zeros are divided.
  const over = axesOf('mean', x, axes);
  checkFloat('mean', x);
  if (over.some((axis) => x.shape[axis] === 0)) {
    return div(
      scaledSum('mean', x, over, options, () => 1),
      0,
    );
  }
  return scaledSum('mean', x, over, options, (count) => 1 / count);
}

/** The largest or smallest over axes; elements that tie share the gradient evenly, as in PyTorch's amax. */
function extreme(name: 'max' | 'min', x: Tensor, axes: Axes | undefined, options: ReduceOptions): Tensor {
  const over = axesOf(name, x, axes);
  const { y, count, dtype, keepDims, finish } = reduction(name, name, x, over, options);
  if (count === 0 && y.size > 0) {
    throw new ShapeError(
      `[${name}] expected at least one element to choose from, got shape ${show(x.shape)}`,
    );
  }
  finish(1);
  tracing?.note('reduce', [x], y, { op: name, axes: over, keepDims, scale: 1 });
  return track(
    y,
    [x],
    (dy) =>
      contribute(x, (dx) => {
        const layout =
          y.size === 1 || y.size === x.size ? null : spreadLayout(x.shape, over, stridesOf(x.shape));
        const share = take(y.size, dtype);
        kernels.binary(dx, floats(y), floats(x), layout, binaryCode.equal);
        reduceInto(share, dx, x.shape, over, dtype, 'sum', 1);
        kernels.binary(share, dy, share, null, binaryCode.div);
        // dx is both destination and operand here, which elementwise kernels allow for the same array.
        kernels.binary(dx, share, dx, layout, binaryCode.mul);
        release(share);
      }),
    [x, y],
  );
}

/** The largest element over axes. NaN when one is NaN. @throws ShapeError over nothing. */
export function max(x: Tensor, axes?: Axes, options: ReduceOptions = {}): Tensor {
  return extreme('max', x, axes, options);
}

/** The smallest element over axes. NaN when one is NaN. @throws ShapeError over nothing. */
export function min(x: Tensor, axes?: Axes, options: ReduceOptions = {}): Tensor {
  return extreme('min', x, axes, options);
}

/** log Σ eˣ over axes [first, last), into a tensor of `shape`; dx = dy · softmax(x). */
function logSumExpOver(x: Tensor, first: number, last: number, shape: Shape): Tensor {
  const dtype = checkFloat('logSumExp', x);
  const outer = sizeOf(x.shape.slice(0, first));
  const size = sizeOf(x.shape.slice(first, last));
  const inner = sizeOf(x.shape.slice(last));
  const y = empty(shape, dtype);
  kernels.logSumExp(floats(y), floats(x), outer, size, inner);
  return track(
    y,
    [x],
    (dy) =>
      contribute(x, (dx) => {
        const over = Array.from({ length: last - first }, (_, i) => first + i);
        const layout =
          y.size === 1 || y.size === x.size ? null : spreadLayout(x.shape, over, stridesOf(x.shape));
        kernels.softmax(dx, floats(x), outer, size, inner, 0);
        kernels.binary(dx, dy, dx, layout, binaryCode.mul);
      }),
    [x],
  );
}

/**
 * log Σ eˣ over axes (all of them by default), shifted by the maximum so that it does not overflow; −Infinity over nothing and
 * where all are −Infinity. The gradient is softmax(x), which is NaN there and where one is Infinity.
 */
export function logSumExp(x: Tensor, axes?: Axes, options: ReduceOptions = {}): Tensor {
  const over = axesOf('logSumExp', x, axes).sort((a, b) => a - b);
  checkOptions('logSumExp', options, ['keepDims']);
  const { keepDims = false } = options;
  checkBoolean('logSumExp', 'keepDims', keepDims);
  const shape = reducedShape(x.shape, over, keepDims);
  const [first = 0] = over;
  const isTogether = over.every((axis, i) => axis === first + i);
  // At once: of a part that is all −Infinity the gradient would be NaN, not the 0 that it is of the whole.
  const y = isTogether
    ? logSumExpOver(x, first, first + over.length, shape)
    : logSumExpOver(withLast(x, over), x.rank - over.length, x.rank, shape);
  tracing?.note('reduce', [x], y, { op: 'logSumExp', axes: over, keepDims, scale: 1 });
  return y;
}

/**
 * The mean squared deviation from the mean over axes, divided by count − correction.
 * @param options.correction 0 (default) for the variance of the values themselves, 1 for the unbiased estimate.
 */
export function variance(
  x: Tensor,
  axes?: Axes,
  options: ReduceOptions & { correction?: number } = {},
): Tensor {
  const over = axesOf('variance', x, axes);
  checkFloat('variance', x);
  checkOptions('variance', options, ['keepDims', 'correction']);
  const { correction = 0, ...rest } = options;
  if (!(Number.isFinite(correction) && correction >= 0)) {
    throw new ArgumentError(
      `[variance] expected correction to be a finite number of at least 0, got ${describe(correction)}`,
    );
  }
  const count = sizeOf(over.map((axis) => x.shape[axis]));
  // Deviations add up to 0, so that the mean passes no gradient on. That of float32 is rounded: the second takes the rest.
  const about = (values: Tensor): Tensor =>
    sub(
      values,
      noGrad(() => mean(values, over, { keepDims: true })),
    );
  const centered = about(about(x));
  return count <= correction
    ? div(scaledSquares('variance', centered, over, rest, 1), 0)
    : scaledSquares('variance', centered, over, rest, 1 / (count - correction));
}

/**
 * The position of the largest element along an axis, int32, without gradient; the first one at a tie. NaN counts as
 * largest. Without an axis: of the flattened tensor.
 * @throws ShapeError when there is nothing to choose from.
 */
export function argmax(x: Tensor, axis?: number): Tensor<'int32'> {
  return position('argmax', x, axis);
}

/** The same of the smallest element; NaN counts as smallest. */
export function argmin(x: Tensor, axis?: number): Tensor<'int32'> {
  return position('argmin', x, axis);
}

function position(name: 'argmax' | 'argmin', x: Tensor, axis: number | undefined): Tensor<'int32'> {
  checkTensor(name, x);
  if (axis === undefined) return positionOver(name, x, [x.size], 0, []);
  const along = normalizeAxis(name, axis, x.rank);
  return positionOver(name, x, x.shape, along, [...x.shape.slice(0, along), ...x.shape.slice(along + 1)]);
}

function positionOver(
  name: 'argmax' | 'argmin',
  x: Tensor,
  shape: Shape,
  axis: number,
  outShape: Shape,
): Tensor<'int32'> {
  if (shape[axis] === 0) {
    throw new ShapeError(
      `[${name}] expected at least one element to choose from, got shape ${show(x.shape)}`,
    );
  }
  const y = empty(outShape, 'int32');
  const isWhole = outShape.length === 0 && x.rank !== 1;
  tracing?.note('argmax', [x], y, { axis: isWhole ? null : axis, least: name === 'argmin' });
  if (y.size === 0) return y;
  const outer = sizeOf(shape.slice(0, axis));
  const inner = sizeOf(shape.slice(axis + 1));
  const least = name === 'argmin' ? 1 : 0;
  kernels.argmax(elements<'int32'>(y), elements(x), outer, shape[axis], inner, least);
  return y;
}

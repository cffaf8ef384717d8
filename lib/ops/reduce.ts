/** Reductions over axes: sum, mean, max, min, logSumExp, argmax, argmin. */
import { checkBoolean, checkOptions } from '../arguments.ts';
import { contribute, noGrad, track } from '../autograd.ts';
import { ShapeError } from '../errors.ts';
import { binaryCode, type Float, kernels } from '../kernels/index.ts';
import { release, take } from '../memory.ts';
import { normalizeAxis, type Shape, show, sizeOf, stridesOf } from '../shape.ts';
import { checkFloat, checkTensor, elements, empty, floats, type Tensor } from '../tensor.ts';
import { tracing } from '../trace.ts';
import { add, div, equal, mul, sub } from './binary.ts';
import { broadcastTo } from './broadcastTo.ts';
import { reduceInto } from './reduceInto.ts';
import {
  type Axes,
  axesOf,
  kept,
  type ReduceOptions,
  reducedShape,
  reduction,
  spreadLayout,
  withLast,
} from './reduction.ts';

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
  const backward = (dy: Float) =>
    contribute(x, (dx) => {
      const factor = take(1, dtype);
      kernels.fill(factor, scale);
      const zeros = x.shape.map(() => 0);
      const layout = dy.length === 1 || dy.length === dx.length ? null : spreadLayout(x.shape, over, zeros);
      kernels.binary(dx, dy, factor, layout, binaryCode.mul);
      release(factor);
    });
  return track(y, [x], backward, [], (dy) => [broadcastTo(kept(dy, x, over), x.shape).mul(scale)]);
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
  // The mean of nothing is 0 / 0, as in NumPy; a kernel takes no NaN as a scale, so the zeros are divided.
  const over = axesOf('mean', x, axes);
  checkFloat('mean', x);
  if (over.some((axis) => x.shape[axis] === 0)) {
    const none = scaledSum('mean', x, over, options, () => 1);
    return add(
      none,
      noGrad(() => div(none, 0)),
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
    (dy) => {
      // Which ones were taken does not change.
      const shares = noGrad(() => {
        const taken = equal(x, kept(y, x, over));
        return div(taken, taken.sum(over, { keepDims: true }));
      });
      return [mul(shares, kept(dy, x, over))];
    },
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
    (dy) => {
      const over = Array.from({ length: last - first }, (_, i) => first + i);
      return [mul(sub(x, kept(y, x, over)).exp(), kept(dy, x, over))];
    },
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

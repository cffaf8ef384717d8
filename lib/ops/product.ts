/** Products over axes. */
import { contribute, track } from '../autograd.ts';
import { zeros } from '../create.ts';
import { binaryCode, type Float, kernels } from '../kernels/index.ts';
import { release, take } from '../memory.ts';
import { sizeOf, stridesOf } from '../shape.ts';
import { checkFloat, checkTensor, floats, type Tensor } from '../tensor.ts';
import { tracing } from '../trace.ts';
import { mul } from './binary.ts';
import { concat } from './concat.ts';
import { derivativeByKernel } from './derivative.ts';
import { reduceInto } from './reduceInto.ts';
import { type Axes, axesOf, type ReduceOptions, reduction, spreadLayout, withLast } from './reduction.ts';
import { reshape } from './reshape.ts';
import { slice } from './slice.ts';

/**
 * The product over axes (all of them by default); 1 of nothing. Where one factor is 0, its gradient is the product of the others, and
 * theirs is 0.
 */
export function prod(x: Tensor, axes?: Axes, options: ReduceOptions = {}): Tensor {
  checkTensor('prod', x);
  const dtype = checkFloat('prod', x);
  const over = axesOf('prod', x, axes);
  const { y, keepDims, finish } = reduction('prod', 'product', x, over, options);
  finish(1);
  tracing?.note('reduce', [x], y, { op: 'product', axes: over, keepDims, scale: 1 });
  const gradient = (dx: Float, dy: Float) => {
    const isSpread = y.size !== 1 && y.size !== x.size;
    const layout = isSpread ? spreadLayout(x.shape, over, stridesOf(x.shape)) : null;
    const [zero, isZero, factors, missing, products] = [1, x.size, x.size, y.size, y.size].map((size) =>
      take(size, dtype),
    );
    kernels.fill(zero, 0);
    kernels.binary(isZero, floats(x), zero, null, binaryCode.equal);
    // The product of all that are not 0, each of which is divided out again; and how many zeros there are beside.
    kernels.binary(factors, floats(x), isZero, null, binaryCode.add);
    reduceInto(products, factors, x.shape, over, dtype, 'product', 1);
    reduceInto(missing, isZero, x.shape, over, dtype, 'sum', 1);
    kernels.binary(dx, products, factors, layout, binaryCode.div);
    kernels.binary(dx, dy, dx, layout, binaryCode.mul);
    kernels.binary(isZero, missing, isZero, layout, binaryCode.equal);
    kernels.where(dx, isZero, dx, zero, null);
    for (const buffer of [zero, isZero, factors, missing, products]) release(buffer);
  };
  const again = (own: Tensor) => reshape(productByHalves(own, over), y.shape);
  return track(
    y,
    [x],
    (dy) => contribute(x, (dx) => gradient(dx, dy)),
    [x, y],
    (dy) => [x.size === 0 ? zeros(x.shape, { dtype }) : derivativeByKernel(dy, x, [x, y], gradient, again)],
  );
}

/** The same by products of two, which have derivatives at 0 as well. */
function productByHalves(x: Tensor, over: readonly number[]): Tensor {
  let size = sizeOf(over.map((axis) => x.shape[axis]));
  let y = reshape(withLast(x, over), [x.size / size, size]);
  for (; size > 1; size = y.shape[1]) {
    const half = Math.floor(size / 2);
    const [left, right, rest] = [0, half, 2 * half].map((from, i) =>
      slice(y, [null, [from, i === 2 ? size : from + half]]),
    );
    y = concat([mul(left, right), rest], 1);
  }
  return y;
}

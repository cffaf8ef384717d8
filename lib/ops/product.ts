/** Products over axes. */
import { contribute, track } from '../autograd.ts';
import { binaryCode, kernels } from '../kernels/index.ts';
import { release, take } from '../memory.ts';
import { stridesOf } from '../shape.ts';
import { checkFloat, checkTensor, floats, type Tensor } from '../tensor.ts';
import { tracing } from '../trace.ts';
import { reduceInto } from './reduceInto.ts';
import { type Axes, axesOf, type ReduceOptions, reduction, spreadLayout } from './reduction.ts';

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
  return track(
    y,
    [x],
    (dy) =>
      contribute(x, (dx) => {
        const isSpread = y.size !== 1 && y.size !== x.size;
        const layout = isSpread ? spreadLayout(x.shape, over, stridesOf(x.shape)) : null;
        const [zero, isZero, factors, zeros, products] = [1, x.size, x.size, y.size, y.size].map((size) =>
          take(size, dtype),
        );
        kernels.fill(zero, 0);
        kernels.binary(isZero, floats(x), zero, null, binaryCode.equal);
        // The product of all that are not 0, each of which is divided out again; and how many zeros there are beside.
        kernels.binary(factors, floats(x), isZero, null, binaryCode.add);
        reduceInto(products, factors, x.shape, over, dtype, 'product', 1);
        reduceInto(zeros, isZero, x.shape, over, dtype, 'sum', 1);
        kernels.binary(dx, products, factors, layout, binaryCode.div);
        kernels.binary(dx, dy, dx, layout, binaryCode.mul);
        kernels.binary(isZero, zeros, isZero, layout, binaryCode.equal);
        kernels.where(dx, isZero, dx, zero, null);
        for (const buffer of [zero, isZero, factors, zeros, products]) release(buffer);
      }),
    [x, y],
  );
}

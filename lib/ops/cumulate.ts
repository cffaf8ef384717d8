/** Sums and products of all up to an element. */
import { contribute, track } from '../autograd.ts';
import { binaryCode, type Flag, type Float, kernels } from '../kernels/index.ts';
import { release, take } from '../memory.ts';
import { normalizeAxis, sizeOf } from '../shape.ts';
import { checkFloat, checkTensor, empty, floats, type Tensor } from '../tensor.ts';
import { tracing } from '../trace.ts';
import { mul } from './binary.ts';
import { concat } from './concat.ts';
import { derivativeByKernel, linearMap } from './derivative.ts';
import { reshape } from './reshape.ts';
import { slice } from './slice.ts';

function along(
  name: string,
  x: Tensor,
  axis: number,
  product: Flag,
): { y: Tensor; sizes: [number, number, number] } {
  checkTensor(name, x);
  const dtype = checkFloat(name, x);
  const at = normalizeAxis(name, axis, x.rank);
  const sizes: [number, number, number] = [
    sizeOf(x.shape.slice(0, at)),
    x.shape[at],
    sizeOf(x.shape.slice(at + 1)),
  ];
  const y = empty(x.shape, dtype);
  kernels.cumulate(floats(y), floats(x), ...sizes, product, 0);
  if (product === 1) tracing?.note('cumprod', [x], y, null);
  else tracing?.note('cumsum', [x], y, { axis: at });
  return { y, sizes };
}

/** The sums of all elements along an axis (default: the last) up to each, itself included; added up in float64. */
export function cumsum(x: Tensor, axis = -1): Tensor {
  const { y, sizes } = along('cumsum', x, axis, 0);
  // Each element is in all sums from its own on.
  const back = (dx: Float, dy: Float) => kernels.cumulate(dx, dy, ...sizes, 0, 1);
  const forth = (out: Float, from: Float) => kernels.cumulate(out, from, ...sizes, 0, 0);
  return track(
    y,
    [x],
    (dy) => contribute(x, (dx) => back(dx, dy)),
    [],
    (dy) => [linearMap(dy, x.shape, back, forth)],
  );
}

/**
 * The products likewise. With e the first 0 of its line, the gradient of an element before e is Σ dy·y / x over those from its own
 * on; that of e itself takes e for 1; that of all behind it is 0.
 */
export function cumprod(x: Tensor, axis = -1): Tensor {
  const { y, sizes } = along('cumprod', x, axis, 1);
  const gradient = (dx: Float, dy: Float) => {
    const { size } = x;
    const dtype = x.dtype as 'float32';
    const [zero, one] = [0, 1].map((value) => {
      const scalar = take(1, dtype);
      kernels.fill(scalar, value);
      return scalar;
    });
    const [isZero, isFirst, products] = [0, 0, 0].map(() => take(size, dtype));
    // How many zeros there are up to each, as a number that is 0, 1 or more.
    kernels.binary(isZero, floats(x), zero, null, binaryCode.equal);
    kernels.cumulate(products, isZero, ...sizes, 0, 0);
    kernels.binary(isFirst, products, one, null, binaryCode.equal);
    kernels.binary(isFirst, isFirst, isZero, null, binaryCode.mul);
    // Where there was one before, nothing comes through.
    kernels.binary(isZero, products, one, null, binaryCode.less);
    kernels.binary(dx, dy, floats(y), null, binaryCode.mul);
    kernels.where(dx, isZero, dx, zero, null);
    kernels.cumulate(products, dx, ...sizes, 0, 1);
    kernels.binary(dx, products, floats(x), null, binaryCode.div);
    kernels.where(dx, isZero, dx, zero, null);
    // Those of the first zeros.
    kernels.where(products, isFirst, one, floats(x), null);
    kernels.cumulate(isZero, products, ...sizes, 1, 0);
    kernels.binary(products, dy, isZero, null, binaryCode.mul);
    kernels.cumulate(isZero, products, ...sizes, 0, 1);
    kernels.where(dx, isFirst, isZero, dx, null);
    for (const buffer of [zero, one, isZero, isFirst, products]) release(buffer);
  };
  const again = (own: Tensor) => reshape(productsByHalves(reshape(own, sizes)), x.shape);
  return track(
    y,
    [x],
    (dy) => contribute(x, (dx) => gradient(dx, dy)),
    [x, y],
    (dy) => [derivativeByKernel(dy, x, [x, y], gradient, again)],
  );
}

/** The same along axis 1 by products of two, which have derivatives at 0 as well (Hillis & Steele, 1986). */
function productsByHalves(x: Tensor): Tensor {
  let y = x;
  const part = (from: number, to: number) => slice(y, [null, [from, to]]);
  for (let shift = 1, size = x.shape[1]; shift < size; shift *= 2) {
    y = concat([part(0, shift), mul(part(shift, size), part(0, size - shift))], 1);
  }
  return y;
}

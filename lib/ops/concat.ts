/** Tensors joined along an axis, old or new. */
import { describe } from '../arguments.ts';
import { contribute, track } from '../autograd.ts';
import { ArgumentError, DtypeError, ShapeError } from '../errors.ts';
import { kernels } from '../kernels/index.ts';
import { checkSize, normalizeAxis, packLayout, sameShape, show, stridesOf } from '../shape.ts';
import { checkTensor, empty, type Tensor } from '../tensor.ts';
import { reshape } from './reshape.ts';

function checkList(name: string, tensors: readonly Tensor[]): void {
  if (!Array.isArray(tensors) || tensors.length === 0) {
    throw new ArgumentError(`[${name}] expected an array of at least one tensor, got ${describe(tensors)}`);
  }
  for (const x of tensors) {
    checkTensor(name, x);
    if (x.dtype !== tensors[0].dtype) {
      throw new DtypeError(`[${name}] expected one dtype, got ${tensors[0].dtype} and ${x.dtype}`);
    }
  }
}

/**
 * Tensors one after the other along an axis (default 0); the other axes agree.
 * @throws ArgumentError for no tensors, ShapeError when another axis differs, DtypeError for two dtypes.
 */
export function concat(tensors: readonly Tensor[], axis = 0): Tensor {
  checkList('concat', tensors);
  const first = tensors[0];
  const along = normalizeAxis('concat', axis, first.rank);
  let total = 0;
  for (const x of tensors) {
    const fits = x.rank === first.rank && x.shape.every((size, i) => i === along || size === first.shape[i]);
    if (!fits) {
      throw new ShapeError(
        `[concat] expected shapes that differ only in axis ${along}, got ${show(first.shape)} and ${show(x.shape)}`,
      );
    }
    total += x.shape[along];
  }
  const shape = first.shape.map((size, i) => (i === along ? total : size));
  checkSize('concat', shape);
  const strides = stridesOf(shape);
  const y = empty(shape, first.dtype);
  let position = 0;
  const offsets = tensors.map((x) => {
    const offset = position * strides[along];
    position += x.shape[along];
    return offset;
  });
  tensors.forEach((x, i) => {
    if (x.size > 0)
      kernels.copy(y.storage, x.storage, packLayout(x.shape, [strides, stridesOf(x.shape)], [offsets[i], 0]));
  });
  return track(y, tensors, (dy) => {
    tensors.forEach((x, i) => {
      contribute(x, (dx) => {
        if (x.size > 0)
          kernels.copy(dx, dy, packLayout(x.shape, [stridesOf(x.shape), strides], [0, offsets[i]]));
      });
    });
  });
}

/** Tensors of one shape along a new axis (default 0, negative ones counted from the end of the result's). */
export function stack(tensors: readonly Tensor[], axis = 0): Tensor {
  checkList('stack', tensors);
  const { shape, rank } = tensors[0];
  for (const x of tensors) {
    if (!sameShape(x.shape, shape)) {
      throw new ShapeError(`[stack] expected one shape, got ${show(shape)} and ${show(x.shape)}`);
    }
  }
  const along = normalizeAxis('stack', axis, rank + 1);
  const widened = [...shape.slice(0, along), 1, ...shape.slice(along)];
  return concat(
    tensors.map((x) => reshape(x, widened)),
    along,
  );
}

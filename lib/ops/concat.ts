/** Tensors joined along an axis, old or new. */

import { readArray } from '../arguments.ts';
import { contribute, track } from '../autograd.ts';
import { ArgumentError, DtypeError, ShapeError } from '../errors.ts';
import { type Float, kernels } from '../kernels/index.ts';
import type { Dtype } from '../memory.ts';
import { checkSize, normalizeAxis, packLayout, sameShape, show, stridesOf } from '../shape.ts';
import { checkTensor, elements, empty, type Tensor } from '../tensor.ts';
import { tracing } from '../trace.ts';
import { reshape } from './reshape.ts';
import { slice } from './slice.ts';

/** How many tensors can be joined at once. */
const most = 2 ** 24;

/** The list, read once. @throws ArgumentError unless it holds a tensor, and nothing else; DtypeError for two dtypes. */
function readTensors(name: string, tensors: readonly Tensor[]): Tensor[] {
  const refuse = (got: string) =>
    new ArgumentError(`[${name}] expected an array of at least one tensor, ${most} at most, got ${got}`);
  const list = readArray(tensors, most, refuse);
  if (list.length === 0) throw refuse('none');
  for (const x of list) {
    checkTensor(name, x);
    if (x.dtype !== list[0].dtype) {
      throw new DtypeError(`[${name}] expected one dtype, got ${list[0].dtype} and ${x.dtype}`);
    }
  }
  return list;
}

/**
 * Tensors one after the other along an axis (default 0); the other axes agree.
 * @throws ArgumentError for no tensors, ShapeError when another axis differs, DtypeError for two dtypes.
 */
export function concat<D extends Dtype>(tensors: readonly Tensor<D>[], axis = 0): Tensor<D> {
  const list = readTensors('concat', tensors);
  const first = list[0];
  const along = normalizeAxis('concat', axis, first.rank);
  let total = 0;
  for (const x of list) {
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
  const offsets = list.map((x) => {
    const offset = position * strides[along];
    position += x.shape[along];
    return offset;
  });
  list.forEach((x, i) => {
    if (x.size > 0)
      kernels.copy(
        elements(y),
        elements(x),
        packLayout(x.shape, [strides, stridesOf(x.shape)], [offsets[i], 0]),
      );
  });
  tracing?.note('concat', list, y, { axis: along });
  const backward = (dy: Float) => {
    list.forEach((x, i) => {
      contribute(x, (dx) => {
        if (x.size > 0)
          kernels.copy(dx, dy, packLayout(x.shape, [stridesOf(x.shape), strides], [0, offsets[i]]));
      });
    });
  };
  return track(y, list, backward, [], (dy) => {
    const whole = first.shape.slice(0, along).map(() => null);
    let start = 0;
    return list.map((x) => {
      const from = start;
      start += x.shape[along];
      return () => slice(dy, [...whole, [from, from + x.shape[along]]]);
    });
  });
}

/** Tensors of one shape along a new axis (default 0, negative ones counted from the end of the result's). */
export function stack<D extends Dtype>(tensors: readonly Tensor<D>[], axis = 0): Tensor<D> {
  const list = readTensors('stack', tensors);
  const { shape, rank } = list[0];
  for (const x of list) {
    if (!sameShape(x.shape, shape)) {
      throw new ShapeError(`[stack] expected one shape, got ${show(shape)} and ${show(x.shape)}`);
    }
  }
  const along = normalizeAxis('stack', axis, rank + 1);
  const widened = [...shape.slice(0, along), 1, ...shape.slice(along)];
  return concat(
    list.map((x) => reshape(x, widened)),
    along,
  );
}

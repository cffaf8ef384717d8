/** Rows by index, and indices as rows. */
import { describe } from '../arguments.ts';
import { contribute, track } from '../autograd.ts';
import { ArgumentError, DtypeError, ShapeError } from '../errors.ts';
import { type Data, type Float, kernels } from '../kernels/index.ts';
import type { FloatDtype } from '../memory.ts';
import { checkSize, show, sizeOf } from '../shape.ts';
import { checkTensor, elements, empty, floats, type Tensor } from '../tensor.ts';
import { tracing } from '../trace.ts';
import { linearMap } from './derivative.ts';

export function checkIndices(name: string, indices: Tensor): Int32Array {
  checkTensor(name, indices, 'indices');
  if (indices.dtype !== 'int32')
    throw new DtypeError(
      `[${name}] expected int32 indices, got ${indices.dtype}: use cast('int32'), or inputDtype of the model`,
    );
  return elements<'int32'>(indices);
}

/**
 * x[indices[i], ...] for each index: [rows, ...rest] and [...shape] give [...shape, ...rest]. The gradient of a row that
 * is taken several times is the sum.
 * @throws IndexError for an index out of range, DtypeError unless indices is int32, ShapeError for a scalar x.
 */
export function gather(x: Tensor, indices: Tensor<'int32'>): Tensor {
  checkTensor('gather', x);
  const index = checkIndices('gather', indices);
  if (x.rank === 0) throw new ShapeError(`[gather] expected at least one axis, got shape ${show(x.shape)}`);
  const rows = x.shape[0];
  const width = sizeOf(x.shape.slice(1));
  const shape = [...indices.shape, ...x.shape.slice(1)];
  checkSize('gather', shape);
  const y = empty(shape, x.dtype);
  const take = (out: Data, whole: Data) => kernels.gather(out, whole, index, indices.size, rows, width);
  const scatter = (dx: Float, dy: Float) => {
    kernels.fill(dx, 0);
    kernels.scatterAdd(dx, dy, index, indices.size, rows, width);
  };
  take(elements(y), elements(x));
  tracing?.note('gather', [x, indices], y, null);
  return track(
    y,
    [x],
    (dy) =>
      contribute(
        x,
        (dx) => scatter(dx, dy),
        (dx) => kernels.scatterAdd(dx, dy, index, indices.size, rows, width),
      ),
    [indices],
    (dy) => [linearMap(dy, x.shape, scatter, take)],
  );
}

/**
 * Rows of zeros with a one at each label: int32 [...shape] gives [...shape, classes].
 * @throws IndexError for a label out of range, DtypeError unless labels is int32.
 */
export function oneHot<D extends FloatDtype = 'float32'>(
  labels: Tensor<'int32'>,
  classes: number,
  dtype?: D,
): Tensor<NoInfer<D>>;
export function oneHot(labels: Tensor, classes: number, dtype: FloatDtype = 'float32'): Tensor {
  const index = checkIndices('oneHot', labels);
  if (!Number.isInteger(classes) || classes < 0) {
    throw new ArgumentError(
      `[oneHot] expected classes to be an integer of at least 0, got ${describe(classes)}`,
    );
  }
  if (dtype !== 'float32' && dtype !== 'float64') {
    throw new DtypeError(`[oneHot] expected dtype float32 or float64, got ${describe(dtype)}`);
  }
  const shape = [...labels.shape, classes];
  checkSize('oneHot', shape);
  const y = empty(shape, dtype);
  kernels.oneHot(floats(y), index, labels.size, classes);
  tracing?.note('oneHot', [labels], y, { classes });
  return y;
}

/** Elements by their places along one axis. */
import { contribute, contributeSame, track } from '../autograd.ts';
import { inNameOf, ShapeError } from '../errors.ts';
import { type Data, type Float, kernels } from '../kernels/index.ts';
import { broadcastShapes, normalizeAxis, type Shape, sameShape, show, sizeOf } from '../shape.ts';
import { checkSameFloat, checkTensor, elements, empty, floats, type Tensor } from '../tensor.ts';
import { tracing } from '../trace.ts';
import { broadcastTo } from './broadcastTo.ts';
import { linearMap } from './derivative.ts';
import { checkIndices } from './gather.ts';

/** How kernels see an axis: what lies before it, its size, how many indices there are along it, what lies behind it. */
type Along = readonly [outer: number, size: number, count: number, inner: number];

/** @throws ShapeError unless indices have as many axes as x */
function alongOf(name: string, x: Tensor, indices: Tensor, axis: number): { axis: number; wide: Shape } {
  checkTensor(name, x);
  checkIndices(name, indices);
  const along = normalizeAxis(name, axis, x.rank);
  if (indices.rank !== x.rank) {
    throw new ShapeError(
      `[${name}] expected indices with ${x.rank} axes, as x of shape ${show(x.shape)}, got ${show(indices.shape)}`,
    );
  }
  const others = x.shape.map((size, i) => (i === along ? indices.shape[i] : size));
  return { axis: along, wide: broadcastShapes(name, others, indices.shape) };
}

const sizesOf = (shape: Shape, count: number, axis: number): Along => [
  sizeOf(shape.slice(0, axis)),
  shape[axis],
  count,
  sizeOf(shape.slice(axis + 1)),
];

const broadcast = (x: Tensor, shape: Shape): Tensor =>
  sameShape(x.shape, shape) ? x : broadcastTo(x, shape);

/**
 * For each index the element at that place along an axis (default: the last), the other places being its own, as in NumPy's
 * take_along_axis: of a matrix and axis 1, y[i, j] = x[i, indices[i, j]]. x and indices broadcast but along the axis. The
 * gradient of an element that is taken several times is the sum.
 * @throws IndexError for an index out of range, DtypeError unless indices are int32, ShapeError
 */
export function takeAlongAxis(x: Tensor, indices: Tensor<'int32'>, axis = -1): Tensor {
  const name = 'takeAlongAxis';
  const { axis: along, wide } = alongOf(name, x, indices, axis);
  const source = broadcast(
    x,
    wide.map((size, i) => (i === along ? x.shape[i] : size)),
  );
  const places = broadcast(indices, wide);
  const sizes = sizesOf(source.shape, wide[along], along);
  const y = empty(wide, x.dtype);
  const index = elements<'int32'>(places);
  const take = (out: Data, from: Data) => kernels.gatherAlong(out, from, index, ...sizes);
  const put = (dx: Float, dy: Float) => {
    kernels.fill(dx, 0);
    kernels.scatterAddAlong(dx, dy, index, ...sizes);
  };
  inNameOf(name, 'gatherAlong', () => take(elements(y), elements(source)));
  tracing?.note('takeAlongAxis', [source, places], y, { axis: along });
  return track(
    y,
    [source],
    (dy) =>
      contribute(
        source,
        (dx) => put(dx, dy),
        (dx) => kernels.scatterAddAlong(dx, dy, index, ...sizes),
      ),
    [places],
    (dy) => [linearMap(dy, source.shape, put, take)],
  );
}

/**
 * x with updates added at places along an axis (default: the last), in their order: of a matrix and axis 1,
 * y[i, indices[i, j]] = x[i, indices[i, j]] + Σ updates[i, j]. Updates have the shape of x but along the axis; indices broadcast to
 * them.
 * @throws IndexError for an index out of range, DtypeError unless indices are int32 and x and updates of one float dtype, ShapeError
 */
export function scatterAdd(x: Tensor, indices: Tensor<'int32'>, updates: Tensor, axis = -1): Tensor {
  const name = 'scatterAdd';
  const { axis: along, wide } = alongOf(name, x, indices, axis);
  checkTensor(name, updates, 'updates');
  const dtype = checkSameFloat(name, x, updates);
  const fits =
    updates.rank === x.rank && x.shape.every((size, i) => i === along || size === updates.shape[i]);
  if (!fits || !sameShape(broadcastShapes(name, wide, updates.shape), updates.shape)) {
    throw new ShapeError(
      `[${name}] expected updates of the shape of x ${show(x.shape)} but along axis ${along}, and indices that broadcast to ` +
        `it, got ${show(updates.shape)} and ${show(indices.shape)}`,
    );
  }
  const places = broadcast(indices, updates.shape);
  const sizes = sizesOf(x.shape, updates.shape[along], along);
  const y = empty(x.shape, dtype);
  const index = elements<'int32'>(places);
  kernels.cast(floats(y), floats(x));
  inNameOf(name, 'scatterAddAlong', () =>
    kernels.scatterAddAlong(floats(y), floats(updates), index, ...sizes),
  );
  tracing?.note('scatterAdd', [x, places, updates], y, { axis: along });
  return track(
    y,
    [x, updates],
    (dy) => {
      contributeSame(x, dy);
      contribute(updates, (dx) => kernels.gatherAlong(dx, dy, index, ...sizes));
    },
    [places],
    (dy) => [dy, () => takeAlongAxis(dy, places, along)],
  );
}

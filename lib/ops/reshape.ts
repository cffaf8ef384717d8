/** Other shapes over the same elements. */
import { contributeSame, track } from '../autograd.ts';
import { ShapeError } from '../errors.ts';
import { checkShape, normalizeAxis, readSizes, type Shape, show, sizeOf } from '../shape.ts';
import { checkTensor, Tensor } from '../tensor.ts';

function view(x: Tensor, shape: Shape): Tensor {
  return track(new Tensor(x.storage, shape, x.dtype), [x], (dy) => contributeSame(x, dy));
}

/**
 * The same elements in another shape, sharing memory. One size may be −1 and follows from the rest.
 * @throws ShapeError when the number of elements differs.
 */
export function reshape(x: Tensor, shape: Shape): Tensor {
  checkTensor('reshape', x);
  const given = readSizes('reshape', shape);
  const full = [...given];
  const open = full.indexOf(-1);
  if (open >= 0) full[open] = 1;
  if (open !== given.lastIndexOf(-1)) {
    throw new ShapeError(`[reshape] expected -1 for one size at most, got ${show(given)}`);
  }
  checkShape('reshape', full, given);
  const known = sizeOf(full);
  if (open >= 0) full[open] = known === 0 ? 0 : x.size / known;
  if (sizeOf(full) !== x.size || !full.every(Number.isInteger)) {
    throw new ShapeError(
      `[reshape] expected a shape of ${x.size} elements for ${show(x.shape)}, got ${show(given)}`,
    );
  }
  return view(x, full);
}

/** Joins the axes from `startAxis` on into one (default 1: all but the batch). */
export function flatten(x: Tensor, startAxis = 1): Tensor {
  checkTensor('flatten', x);
  if (x.rank === 0) return view(x, [1]);
  if (startAxis === 1 && x.rank === 1) return view(x, [...x.shape, 1]);
  const from = normalizeAxis('flatten', startAxis, x.rank);
  return view(x, [...x.shape.slice(0, from), sizeOf(x.shape.slice(from))]);
}

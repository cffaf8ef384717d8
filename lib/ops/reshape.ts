/** Other shapes over the same elements. */
import { contributeSame, track } from '../autograd.ts';
import { ShapeError } from '../errors.ts';
import {
  checkShape,
  checkSize,
  normalizeAxes,
  normalizeAxis,
  readSizes,
  type Shape,
  show,
  sizeOf,
} from '../shape.ts';
import { checkTensor, Tensor } from '../tensor.ts';

function view(x: Tensor, shape: Shape): Tensor {
  return track(
    new Tensor(x.storage, shape, x.dtype),
    [x],
    (dy) => contributeSame(x, dy),
    [],
    (dy) => [view(dy, x.shape)],
  );
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

/**
 * Without axes of size 1: those named, or all of them; shares memory.
 * @throws ShapeError where a named axis has another size
 */
export function squeeze(x: Tensor, axes?: number | readonly number[]): Tensor {
  checkTensor('squeeze', x);
  const out = normalizeAxes('squeeze', axes, x.rank).filter(
    (axis) => axes !== undefined || x.shape[axis] === 1,
  );
  const wide = out.find((axis) => x.shape[axis] !== 1);
  if (wide !== undefined) {
    throw new ShapeError(`[squeeze] expected axis ${wide} to have size 1, got shape ${show(x.shape)}`);
  }
  return view(
    x,
    x.shape.filter((_, axis) => !out.includes(axis)),
  );
}

/** With a new axis of size 1 at this place of the result, negative ones counted from its end; shares memory. */
export function unsqueeze(x: Tensor, axis: number): Tensor {
  checkTensor('unsqueeze', x);
  const at = normalizeAxis('unsqueeze', axis, x.rank + 1);
  const shape = [...x.shape.slice(0, at), 1, ...x.shape.slice(at)];
  checkSize('unsqueeze', shape);
  return view(x, shape);
}

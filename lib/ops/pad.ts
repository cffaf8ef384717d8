/** More elements around a tensor. */
import { describe, readArray } from '../arguments.ts';
import { contribute, track } from '../autograd.ts';
import { ArgumentError } from '../errors.ts';
import { kernels } from '../kernels/index.ts';
import { checkSize, packLayout, show, stridesOf } from '../shape.ts';
import { checkTensor, elements, empty, type Tensor } from '../tensor.ts';
import { tracing } from '../trace.ts';
import { slice } from './slice.ts';

/**
 * x within a larger tensor of `value`.
 * @param padding for each axis, from the first one on, how many elements [before, after]; axes without stay as they are
 * @param value an integer for int32
 * @example images.pad([[0, 0], [1, 1], [2, 2]])  // a row above and below, two columns left and right
 * @throws ArgumentError for more pairs than axes, negative numbers or a value that is no number, ShapeError for a result
 *   too large.
 */
export function pad(
  x: Tensor,
  padding: readonly (readonly [before: number, after: number])[],
  value = 0,
): Tensor {
  const op = 'pad';
  checkTensor(op, x);
  const given = readArray(
    padding,
    x.rank,
    (got) => new ArgumentError(`[${op}] expected at most ${x.rank} pairs [before, after], got ${got}`),
  );
  if (typeof value !== 'number' || (x.dtype === 'int32' && !Number.isInteger(value))) {
    const kind = x.dtype === 'int32' ? 'an integer' : 'a number';
    throw new ArgumentError(`[${op}] expected value to be ${kind}, got ${describe(value)}`);
  }
  const pairs = x.shape.map((_, axis) => readEnds(given[axis] ?? [0, 0], axis));
  const shape = x.shape.map((size, axis) => pairs[axis][0] + size + pairs[axis][1]);
  checkSize(op, shape);
  const y = empty(shape, x.dtype);
  const strides = stridesOf(shape);
  const own = stridesOf(x.shape);
  const offset = pairs.reduce((sum, [before], axis) => sum + before * strides[axis], 0);
  kernels.fill(elements(y), value);
  if (x.size > 0) kernels.copy(elements(y), elements(x), packLayout(x.shape, [strides, own], [offset, 0]));
  tracing?.note(op, [x], y, { ends: pairs, value });
  return track(
    y,
    [x],
    (dy) =>
      contribute(x, (dx) => {
        if (x.size > 0) kernels.copy(dx, dy, packLayout(x.shape, [own, strides], [0, offset]));
      }),
    [],
    (dy) => [
      slice(
        dy,
        pairs.map(([before], axis) => [before, before + x.shape[axis]]),
      ),
    ],
  );
}

function readEnds(pair: readonly number[], axis: number): [number, number] {
  const refuse = (got: string) =>
    new ArgumentError(`[pad] expected [before, after], integers of at least 0, for axis ${axis}, got ${got}`);
  const ends = readArray(pair, 2, refuse);
  const [before, after] = ends;
  if (ends.length === 2 && ends.every((end) => Number.isInteger(end) && end >= 0)) return [before, after];
  throw refuse(show(ends));
}

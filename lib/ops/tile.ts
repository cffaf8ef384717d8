/** Repetition of the whole. */
import { readArray } from '../arguments.ts';
import { ArgumentError } from '../errors.ts';
import { checkSize, maxRank, show, sizeOf } from '../shape.ts';
import { checkTensor, type Tensor } from '../tensor.ts';
import { broadcastTo } from './broadcastTo.ts';
import { reshape } from './reshape.ts';

/**
 * x side by side with itself, so many times along each axis, as in `numpy.tile`: repeats [2, 3] of [a, b] give [2a, 3b]. Of fewer
 * repeats than axes the first ones count as 1, of more x gets new axes in front. A copy, but where all are 1; the gradient is
 * summed over the repetitions.
 * @throws ArgumentError unless repeats are integers of at least 0, ShapeError for a result that is too large
 */
export function tile(x: Tensor, repeats: readonly number[]): Tensor {
  checkTensor('tile', x);
  const given = readArray(
    repeats,
    maxRank,
    (got) => new ArgumentError(`[tile] expected an array of at most ${maxRank} repeats, got ${got}`),
  );
  if (!given.every((count) => Number.isInteger(count) && count >= 0)) {
    throw new ArgumentError(`[tile] expected repeats to be integers of at least 0, got ${show(given)}`);
  }
  const rank = Math.max(given.length, x.rank);
  const own = [...new Array<number>(rank - x.rank).fill(1), ...x.shape];
  const counts = [...new Array<number>(rank - given.length).fill(1), ...given];
  checkSize(
    'tile',
    own.map((size, axis) => size * counts[axis]),
  );
  // The last axis first: what is copied twice is small.
  let y = reshape(x, own);
  for (let axis = rank - 1; axis >= 0; axis--) {
    if (counts[axis] !== 1) y = repeated(y, axis, counts[axis]);
  }
  return y;
}

function repeated(x: Tensor, axis: number, count: number): Tensor {
  const [outer, inner] = [sizeOf(x.shape.slice(0, axis)), sizeOf(x.shape.slice(axis))];
  const wide = broadcastTo(reshape(x, [outer, 1, inner]), [outer, count, inner]);
  return reshape(
    wide,
    x.shape.map((size, i) => (i === axis ? size * count : size)),
  );
}

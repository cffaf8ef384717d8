/** A tensor taken apart along an axis. */
import { describe, isArray, readArray } from '../arguments.ts';
import { ArgumentError } from '../errors.ts';
import { normalizeAxis, show } from '../shape.ts';
import { checkTensor, type Tensor } from '../tensor.ts';
import { reshape } from './reshape.ts';
import { slice } from './slice.ts';

/** How many parts there can be. */
const most = 2 ** 24;

/**
 * Copies of parts along an axis (default 0), one after the other: all of one size but the last, which has what is left; or of the
 * sizes of a list.
 * @throws ArgumentError unless the size is an integer of at least 1, or the sizes are of at least 0 and add up to the axis
 */
export function split(x: Tensor, sizes: number | readonly number[], axis = 0): Tensor[] {
  checkTensor('split', x);
  const along = normalizeAxis('split', axis, x.rank);
  let start = 0;
  return readParts(sizes, x.shape[along]).map((size) => {
    const part = between(x, along, start, start + size);
    start += size;
    return part;
  });
}

/** Copies of all that lies at each place of an axis (default 0), without that axis. */
export function unbind(x: Tensor, axis = 0): Tensor[] {
  checkTensor('unbind', x);
  const along = normalizeAxis('unbind', axis, x.rank);
  const shape = x.shape.filter((_, i) => i !== along);
  return Array.from({ length: x.shape[along] }, (_, at) => reshape(between(x, along, at, at + 1), shape));
}

function between(x: Tensor, axis: number, start: number, end: number): Tensor {
  return slice(x, [...new Array<null>(axis).fill(null), [start, end]]);
}

/** The sizes of the parts of an axis. */
function readParts(sizes: number | readonly number[], whole: number): number[] {
  if (!isArray(sizes)) {
    if (!Number.isInteger(sizes) || sizes < 1 || whole / sizes > most) {
      throw new ArgumentError(
        `[split] expected a size of at least 1, for ${most} parts at most, or a list of sizes, got ${describe(sizes)}`,
      );
    }
    const count = Math.max(Math.ceil(whole / sizes), 1);
    return Array.from({ length: count }, (_, i) => Math.min(sizes, whole - i * sizes));
  }
  const own = readArray(
    sizes,
    most,
    (got) => new ArgumentError(`[split] expected an array of at most ${most} sizes, got ${got}`),
  );
  const fits = own.every((size) => Number.isInteger(size) && size >= 0);
  if (!fits || own.reduce((sum, size) => sum + size, 0) !== whole) {
    throw new ArgumentError(`[split] expected sizes of at least 0 that add up to ${whole}, got ${show(own)}`);
  }
  return own;
}

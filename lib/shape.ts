/** Shapes, axes and the layouts by which kernels walk over broadcast operands. */
import { describe, isArray, readArray } from './arguments.ts';
import { ArgumentError, ShapeError } from './errors.ts';

/** The lengths of the axes, the outermost first; [] of a scalar. */
export type Shape = readonly number[];

/** The largest number of axes that kernels walk over. */
export const maxRank = 16;

/** The number of elements of a shape; 1 for the empty shape of a scalar. */
export function sizeOf(shape: Shape): number {
  let size = 1;
  for (let i = 0; i < shape.length; i++) size *= shape[i];
  return size;
}

/** `[2, 3]` for messages. */
export function show(shape: readonly unknown[]): string {
  const named = (part: unknown) => typeof part === 'string' && part.length < 50;
  const parts = Array.from(shape.slice(0, maxRank + 1), (part) => (named(part) ? part : describe(part)));
  return `[${parts.join(', ')}${shape.length > parts.length ? ', …' : ''}]`;
}

export function sameShape(a: Shape, b: Shape): boolean {
  if (a === b) return true;
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

/**
 * A user's shape, read once, as an array of its own.
 * @throws ShapeError unless every dimension is an integer from 0 to 2³¹ − 1, the rank at most 16 and the size below 2³¹.
 */
export function readShape(op: string, shape: Shape): number[] {
  const own = readSizes(op, shape);
  checkShape(op, own);
  return own;
}

/** What stands where a shape belongs, read once; its numbers are not checked yet. @throws ShapeError for no array. */
export function readSizes(op: string, shape: Shape): number[] {
  return readArray(shape, maxRank, (got) => {
    const expected = isArray(shape) ? `a rank of at most ${maxRank}` : 'shape to be an array of integers';
    return new ShapeError(`[${op}] expected ${expected}, got ${got}`);
  });
}

/** What `readShape` checks, for an array that nobody else has; messages show what was given. */
export function checkShape(op: string, own: Shape, given = own): void {
  for (const dimension of own) {
    if (!Number.isInteger(dimension) || dimension < 0) {
      throw new ShapeError(`[${op}] expected shape to hold integers of at least 0, got ${show(given)}`);
    }
  }
  checkSize(op, own, given);
}

/** The largest size of a tensor, and of one of its dimensions where another one is 0. */
const largest = 0x7fffffff;

/**
 * Results of broadcasting and the like can be larger than any input.
 * @throws ShapeError unless the rank is at most 16, and every dimension and the size below 2³¹.
 */
export function checkSize(op: string, shape: Shape, given = shape): void {
  if (shape.length > maxRank) {
    throw new ShapeError(`[${op}] expected a rank of at most ${maxRank}, got ${shape.length}`);
  }
  let size = 1;
  let longest = 0;
  for (let i = 0; i < shape.length; i++) {
    size *= shape[i];
    if (shape[i] > longest) longest = shape[i];
  }
  if (size > largest || longest > largest) {
    throw new ShapeError(`[${op}] expected fewer than 2^31 elements, got shape ${show(given)}`);
  }
}

/** The axis counted from the front; negative ones count from the end. */
export function normalizeAxis(op: string, axis: number, rank: number): number {
  if (!Number.isInteger(axis) || axis < -rank || axis >= rank) {
    const range = rank === 0 ? 'no axis, as a scalar has none' : `an axis from ${-rank} to ${rank - 1}`;
    throw new ArgumentError(`[${op}] expected ${range}, got ${describe(axis)}`);
  }
  return axis < 0 ? axis + rank : axis;
}

/** The axes that a user names, read once, in their order. @throws ArgumentError for one out of range or more than there are. */
export function readAxes(op: string, axes: readonly number[], rank: number): number[] {
  const own = readArray(
    axes,
    maxRank,
    (got) => new ArgumentError(`[${op}] expected an array of at most ${maxRank} axes, got ${got}`),
  );
  const list = own.map((axis) => normalizeAxis(op, axis, rank));
  if (new Set(list).size !== list.length) {
    throw new ArgumentError(`[${op}] expected each axis once, got ${show(list)}`);
  }
  return list;
}

/** The axes in increasing order, without repeats; all of them when none are named. */
export function normalizeAxes(
  op: string,
  axes: number | readonly number[] | undefined,
  rank: number,
): number[] {
  if (axes === undefined) return Array.from({ length: rank }, (_, axis) => axis);
  if (!isArray(axes)) return [normalizeAxis(op, axes, rank)];
  return readAxes(op, axes, rank).sort((a, b) => a - b);
}

/** The common shape of operands, each dimension equal or 1, aligned at the end (NumPy's rule). */
export function broadcastShapes(op: string, a: Shape, b: Shape): Shape {
  if (sameShape(a, b)) return a;
  const rank = Math.max(a.length, b.length);
  const shape = new Array<number>(rank);
  for (let i = 1; i <= rank; i++) {
    const left = i <= a.length ? a[a.length - i] : 1;
    const right = i <= b.length ? b[b.length - i] : 1;
    if (left !== right && left !== 1 && right !== 1) {
      throw new ShapeError(`[${op}] expected shapes that broadcast, got ${show(a)} and ${show(b)}`);
    }
    shape[rank - i] = left === 1 ? right : left;
  }
  checkSize(op, shape);
  return shape;
}

/** Row-major strides, in elements. */
export function stridesOf(shape: Shape): number[] {
  const strides = new Array<number>(shape.length);
  let stride = 1;
  for (let i = shape.length - 1; i >= 0; i--) {
    strides[i] = stride;
    stride *= shape[i];
  }
  return strides;
}

/**
 * The layout that `binary` and `where` take (binding.d.ts): dims, then strides of each operand, neighbouring dimensions
 * merged where every operand allows it. Null when each operand has either one element or as many as the output, as it
 * then needs no layout.
 */
export function broadcastLayout(out: Shape, operands: readonly Shape[]): Int32Array | null {
  const size = sizeOf(out);
  if (
    operands.every((shape) => {
      const n = sizeOf(shape);
      return n === size || n === 1;
    })
  ) {
    return null;
  }
  const strides = operands.map((shape) => {
    const own = stridesOf(shape);
    const lead = out.length - shape.length;
    return out.map((_, i) => (i < lead || shape[i - lead] === 1 ? 0 : own[i - lead]));
  });
  return packLayout(out, strides);
}

/** Joins neighbouring axes that all strides step through evenly; at least one dimension remains. */
export function mergeAxes(
  dims: Shape,
  strides: readonly (readonly number[])[],
): { dims: number[]; strides: number[][] } {
  const kept: number[] = [];
  const keptStrides: number[][] = strides.map(() => []);
  for (let i = 0; i < dims.length; i++) {
    if (dims[i] === 1) continue;
    const last = kept.length - 1;
    const merges = last >= 0 && strides.every((own, s) => keptStrides[s][last] === own[i] * dims[i]);
    if (merges) kept[last] *= dims[i];
    else kept.push(dims[i]);
    const at = kept.length - 1;
    for (let s = 0; s < strides.length; s++) keptStrides[s][at] = strides[s][i];
  }
  if (kept.length === 0) {
    kept.push(1);
    for (const own of keptStrides) own.push(0);
  }
  return { dims: kept, strides: keptStrides };
}

/** Joins dims and strides into one array after merging neighbours. */
export function packLayout(
  dims: Shape,
  strides: readonly (readonly number[])[],
  tail: readonly number[] = [],
): Int32Array {
  const merged = mergeAxes(dims, strides);
  return Int32Array.from([...merged.dims, ...merged.strides.flat(), ...tail]);
}

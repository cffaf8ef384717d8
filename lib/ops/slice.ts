/** Parts of a tensor. */
import { readArray } from '../arguments.ts';
import { contribute, contributePart, track } from '../autograd.ts';
import { ArgumentError } from '../errors.ts';
import type { Part } from '../gaps.ts';
import { type Data, type Float, kernels } from '../kernels/index.ts';
import { normalizeAxes, packLayout, type Shape, show, sizeOf, stridesOf } from '../shape.ts';
import { checkTensor, elements, empty, type Tensor } from '../tensor.ts';
import { tracing } from '../trace.ts';
import { linearMap } from './derivative.ts';

/** For one axis: [start, end) or [start, end, step], negative positions counted from the end; null for all of it. */
export type Range = readonly [start: number, end?: number | undefined, step?: number] | null;

/** Positions of an axis. */
interface Taken {
  readonly start: number;
  readonly count: number;
  readonly step: number;
}

/**
 * A copy of a part: one range per axis, from the first one on; axes without a range are taken whole. Ends are exclusive
 * and clamped, as in Array.prototype.slice. A negative step walks backwards, from start down to, and without, end.
 * @example x.slice([[0, 2], [1]])  // rows 0 and 1, columns from 1 on
 * @throws ArgumentError for more ranges than axes, a step of 0 or a position that is no integer.
 */
export function slice(x: Tensor, ranges: readonly Range[]): Tensor {
  checkTensor('slice', x);
  const given = readArray(
    ranges,
    x.rank,
    (got) => new ArgumentError(`[slice] expected at most ${x.rank} ranges, got ${got}`),
  );
  const own = stridesOf(x.shape);
  const taken: Taken[] = [];
  const shape: number[] = [];
  const strides: number[] = [];
  let offset = 0;
  for (let axis = 0; axis < x.rank; axis++) {
    const { start, count, step } = resolve(given[axis] ?? null, x.shape[axis], axis);
    taken.push({ start, count, step });
    shape.push(count);
    strides.push(own[axis] * step);
    offset += own[axis] * start;
  }
  const y = empty(shape, x.dtype);
  const cut = (out: Data, whole: Data) => {
    if (y.size > 0) kernels.copy(out, whole, packLayout(shape, [stridesOf(shape), strides], [0, offset]));
  };
  cut(elements(y), elements(x));
  tracing?.note('slice', [x], y, { ranges: taken });
  const put = (dx: Float, dy: Float) => {
    if (y.size > 0) kernels.copy(dx, dy, packLayout(shape, [strides, stridesOf(shape)], [offset, 0]));
  };
  const putAlone = (dx: Float, dy: Float) => {
    kernels.fill(dx, 0);
    put(dx, dy);
  };
  const backward = (dy: Float) => {
    const write = (dx: Float) => put(dx, dy);
    // Of many parts of one tensor, each concerns itself alone.
    const add = (dx: Float) => {
      if (y.size === 0) return;
      const { indices, width } = rowsOf(shape, strides, offset, x.size);
      kernels.scatterAdd(dx, dy, indices, indices.length, x.size / width, width);
    };
    const part = y.size > 0 ? partOf(x.shape, taken) : null;
    if (part !== null) {
      contributePart(x, part, write, add);
      return;
    }
    contribute(x, (dx) => putAlone(dx, dy), add);
  };
  return track(y, [x], backward, [], (dy) => [linearMap(dy, x.shape, putAlone, cut)]);
}

/** A copy with the elements of these axes (all by default) in reverse order. */
export function flip(x: Tensor, axes?: number | readonly number[]): Tensor {
  checkTensor('flip', x);
  const turned = normalizeAxes('flip', axes, x.rank);
  return slice(
    x,
    x.shape.map((_, axis) => (turned.includes(axis) ? [-1, undefined, -1] : null)),
  );
}

/** Neighbouring positions of one axis with all of the others, where it is that. */
function partOf(shape: Shape, taken: readonly Taken[]): Part | null {
  let part: Part = { axis: 0, start: 0, count: shape[0] };
  let cut = 0;
  for (let axis = 0; axis < shape.length; axis++) {
    const { start, count, step } = taken[axis];
    if (count === shape[axis]) continue;
    if (++cut > 1 || (Math.abs(step) !== 1 && count > 1)) return null;
    part = { axis, start: step < 0 ? start - (count - 1) : start, count };
  }
  return shape.length > 0 ? part : null;
}

/** A part of so many elements as rows of the whole, as wide as they can be. */
function rowsOf(
  shape: Shape,
  strides: readonly number[],
  offset: number,
  size: number,
): { indices: Int32Array; width: number } {
  let run = 1;
  let lead = shape.length;
  for (; lead > 0 && (strides[lead - 1] === run || shape[lead - 1] === 1); lead--) run *= shape[lead - 1];
  const width = strides
    .slice(0, lead)
    .reduce(greatestDivisor, greatestDivisor(greatestDivisor(run, offset), size));
  const indices = new Int32Array(sizeOf(shape) / width);
  let at = 0;
  const visit = (axis: number, start: number): void => {
    if (axis < lead) {
      for (let i = 0; i < shape[axis]; i++) visit(axis + 1, start + i * strides[axis]);
    } else {
      for (let i = 0; i < run; i += width) indices[at++] = (start + i) / width;
    }
  };
  visit(0, offset);
  return { indices, width };
}

/** Euclid's algorithm. */
function greatestDivisor(a: number, b: number): number {
  return b === 0 ? Math.abs(a) : greatestDivisor(b, a % b);
}

function resolve(range: Range, size: number, axis: number): Taken {
  if (range === null) return { start: 0, count: size, step: 1 };
  const refuse = (got: string) =>
    new ArgumentError(`[slice] expected null or [start, end?, step?] for axis ${axis}, got ${got}`);
  const own = readArray<number | undefined>(range, 3, refuse);
  if (own.length === 0) throw refuse('[]');
  const [start = Number.NaN, end, step = 1] = own;
  for (const position of [start, end === undefined ? 0 : end, step]) {
    if (!Number.isInteger(position)) {
      throw new ArgumentError(`[slice] expected integers for axis ${axis}, got ${show(own)}`);
    }
  }
  if (step === 0) throw new ArgumentError(`[slice] expected a step other than 0 for axis ${axis}`);
  const clamp = (position: number, low: number, high: number) =>
    Math.min(Math.max(position < 0 ? position + size : position, low), high);
  if (step > 0) {
    const from = clamp(start, 0, size);
    const to = end === undefined ? size : clamp(end, 0, size);
    return { start: from, count: Math.max(Math.ceil((to - from) / step), 0), step };
  }
  const from = clamp(start, -1, size - 1);
  const to = end === undefined ? -1 : clamp(end, -1, size - 1);
  return { start: from, count: Math.max(Math.ceil((to - from) / step), 0), step };
}

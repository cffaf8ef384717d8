import { refuse } from './check.ts';

/**
 * Layouts: how a kernel walks over arrays of several dimensions. A layout is an Int32Array of `rank` dims followed by
 * one group of `rank` strides for each operand.
 */

export const maxRank = 16;

/** Checks the length of a layout of `groups` groups (dims included) with `extra` numbers behind them. */
export function checkLayoutLength(
  kernel: string,
  layout: Int32Array,
  groups: number,
  extra: number,
  minRank: number,
): void {
  const rank = (layout.length - extra) / groups;
  if (!Number.isInteger(rank) || rank < minRank || rank > maxRank) {
    const form = extra === 0 ? `${groups}·rank` : `${groups}·rank + ${extra}`;
    const expected = `have length ${form} with rank from ${minRank} to ${maxRank}`;
    refuse(kernel, 'layout', expected, String(layout.length));
  }
}

/** Checks that no dim is negative; returns the number of elements. */
export function checkDims(kernel: string, layout: Int32Array, rank: number): number {
  let size = 1;
  for (let axis = 0; axis < rank; axis++) {
    const dim = layout[axis];
    if (dim < 0) refuse(kernel, `layout dimension ${axis}`, 'be at least 0', String(dim));
    size *= dim;
  }
  return size;
}

export function checkStrides(kernel: string, layout: Int32Array, rank: number): void {
  for (let i = rank; i < layout.length; i++) {
    if (layout[i] < 0) refuse(kernel, `layout stride ${i}`, 'be at least 0', String(layout[i]));
  }
}

/** Checks that no position of group `group` lies outside its array, given that there are elements at all. */
export function checkReach(
  kernel: string,
  layout: Int32Array,
  rank: number,
  group: number,
  offset: number,
  name: string,
  length: number,
): void {
  let lowest = offset;
  let highest = offset;
  for (let axis = 0; axis < rank; axis++) {
    const reach = (layout[axis] - 1) * layout[group * rank + axis];
    if (reach < 0) lowest += reach;
    else highest += reach;
  }
  if (lowest >= 0 && highest < length) return;
  const position = lowest < 0 ? lowest : highest;
  refuse(kernel, 'layout', `stay within ${name} (length ${length})`, `position ${position}`);
}

/**
 * An odometer over a checked layout. The caller handles the innermost axis by a loop of its own, `size` steps with
 * `step[g]` elements each from `position[g]`, and asks for the `next` run. Neighbouring axes that every operand steps
 * through evenly are merged, so that these runs are as long as possible.
 */
export class Walk {
  size = 0;
  readonly position: Int32Array;
  readonly step: Int32Array;

  readonly #groups: number;
  readonly #dims = new Int32Array(maxRank);
  readonly #strides: Int32Array;
  readonly #index = new Int32Array(maxRank);
  #rank = 0;

  constructor(groups: number) {
    this.#groups = groups;
    this.position = new Int32Array(groups);
    this.step = new Int32Array(groups);
    this.#strides = new Int32Array(groups * maxRank);
  }

  /** Goes to the first run; positions start at 0. `size` is 0 when there is nothing to walk over. */
  start(layout: Int32Array, rank: number): void {
    const groups = this.#groups;
    const dims = this.#dims;
    const strides = this.#strides;
    let last = -1;
    this.size = 1;
    for (let axis = 0; axis < rank; axis++) {
      const dim = layout[axis];
      if (dim === 0) this.size = 0;
      if (dim === 1) continue;
      if (last < 0 || !this.#continues(layout, rank, axis, last)) dims[++last] = 1;
      dims[last] *= dim;
      for (let g = 0; g < groups; g++) strides[g * maxRank + last] = layout[(g + 1) * rank + axis];
    }
    this.#rank = Math.max(last, 0);
    if (last >= 0) this.size = this.size === 0 ? 0 : dims[last];
    for (let g = 0; g < groups; g++) {
      this.position[g] = 0;
      this.step[g] = last < 0 ? 0 : strides[g * maxRank + last];
    }
    this.#index.fill(0);
  }

  /** Whether one step of the axis before equals a whole run of `axis`, for every operand. */
  #continues(layout: Int32Array, rank: number, axis: number, last: number): boolean {
    for (let g = 0; g < this.#groups; g++) {
      if (this.#strides[g * maxRank + last] !== layout[(g + 1) * rank + axis] * layout[axis]) return false;
    }
    return true;
  }

  /** Goes to the next run; false after the last one. */
  next(): boolean {
    for (let axis = this.#rank - 1; axis >= 0; axis--) {
      const dim = this.#dims[axis];
      const wraps = ++this.#index[axis] === dim;
      if (wraps) this.#index[axis] = 0;
      for (let g = 0; g < this.#groups; g++) {
        const stride = this.#strides[g * maxRank + axis];
        this.position[g] += wraps ? -(dim - 1) * stride : stride;
      }
      if (!wraps) return true;
    }
    return false;
  }
}

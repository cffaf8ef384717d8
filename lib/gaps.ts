/** What is left to write of an array that is made of parts, as the gradient of a tensor of which slices were taken. */
import { type Float, kernels } from './kernels/index.ts';
import type { FloatDtype } from './memory.ts';
import { packLayout, type Shape } from './shape.ts';

/** Positions of one axis, whole in all others. */
export interface Part {
  readonly axis: number;
  readonly start: number;
  readonly count: number;
}

const zero = { float32: new Float32Array(1), float64: new Float64Array(1) };

/** The positions along an axis that no part has been written to yet. */
export class Gaps {
  private readonly axis: number;
  private readonly taken: Uint8Array;
  private left: number;

  /** Those that a first part leaves. */
  constructor(
    private readonly shape: Shape,
    part: Part,
  ) {
    this.axis = part.axis;
    this.left = shape[part.axis];
    this.taken = new Uint8Array(this.left);
    this.take(part);
  }

  get isEmpty(): boolean {
    return this.left === 0;
  }

  /** Takes a part out of them; false, and nothing is done, when not all of it is in them. */
  take({ axis, start, count }: Part): boolean {
    if (axis !== this.axis) return false;
    const { taken } = this;
    for (let i = start; i < start + count; i++) if (taken[i] === 1) return false;
    taken.fill(1, start, start + count);
    this.left -= count;
    return true;
  }

  /** Writes zeros to them. */
  fill(out: Float, dtype: FloatDtype): void {
    const { axis, shape, taken } = this;
    let outer = 1;
    let inner = 1;
    for (let i = 0; i < axis; i++) outer *= shape[i];
    for (let i = axis + 1; i < shape.length; i++) inner *= shape[i];
    for (let start = taken.indexOf(0); start >= 0; ) {
      const next = taken.indexOf(1, start);
      const end = next < 0 ? taken.length : next;
      const dims = [outer, (end - start) * inner];
      const strides = [taken.length * inner, 1];
      kernels.copy(out, zero[dtype], packLayout(dims, [strides, [0, 0]], [start * inner, 0]));
      start = next < 0 ? -1 : taken.indexOf(0, end);
    }
  }
}

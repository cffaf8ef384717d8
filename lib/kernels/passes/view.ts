/** Elements of a memory in the order of positions: where a call finds them, and where they are by way of another memory. */
import { sizeOf, stridesOf } from '../../shape.ts';

/** Position (i₀, i₁, …) within dims is element offset + Σ i·stride. */
export interface View {
  readonly dims: readonly number[];
  readonly offset: number;
  readonly strides: readonly number[];
}

/** All of a memory, one element after the other. */
export const whole = (length: number): View => ({ dims: [length], offset: 0, strides: [1] });

/** Whether its elements lie one after the other in the order of positions. */
export function isContiguous({ dims, strides }: View): boolean {
  let stride = 1;
  for (let i = dims.length - 1; i >= 0; i--) {
    if (dims[i] !== 1 && strides[i] !== stride) return false;
    stride *= dims[i];
  }
  return true;
}

/**
 * Whether elements lie closer together along another axis than along the last, as those of a transposed matrix do. Who goes
 * through them position by position finds no two of them side by side.
 */
export function isTransposed({ dims, strides }: Omit<View, 'offset'>): boolean {
  const steps = strides.filter((_, axis) => dims[axis] !== 1).map(Math.abs);
  const last = steps.pop() ?? 0;
  return steps.some((step) => step !== 0 && step < last);
}

/** How many elements lie side by side, at each step along the other axes. */
export function runOf({ dims, strides }: Omit<View, 'offset'>): number {
  let run = 1;
  for (let i = dims.length - 1; i >= 0; i--) {
    if (dims[i] === 1) continue;
    if (strides[i] !== run) break;
    run *= dims[i];
  }
  return run;
}

/**
 * For a copy that writes every element of `of` elements once, from a view: where each element of the copy comes from, as
 * the dims of the copy in row-major order with the strides of the source; null when the copy is not that.
 */
export function sourceOf(
  of: number,
  dims: readonly number[],
  out: { offset: number; strides: readonly number[] },
  source: { offset: number; strides: readonly number[] },
): View | null {
  if (out.offset !== 0 || sizeOf(dims) !== of) return null;
  const axes = Array.from(dims.keys()).filter((axis) => dims[axis] !== 1);
  axes.sort((a, b) => out.strides[b] - out.strides[a]);
  let stride = 1;
  for (let i = axes.length - 1; i >= 0; i--) {
    if (out.strides[axes[i]] !== stride) return null;
    stride *= dims[axes[i]];
  }
  return {
    dims: axes.map((axis) => dims[axis]),
    offset: source.offset,
    strides: axes.map((axis) => source.strides[axis]),
  };
}

/** For each axis of a view, the axes that it falls into by way of another memory. */
export interface Composed {
  readonly offset: number;
  readonly axes: readonly (readonly { size: number; stride: number }[])[];
}

/** A view of a memory of which each element is where `map` says, as one of the map's memory; null where there is none. */
export function compose(view: View, map: View): Composed | null {
  const { dims, strides } = map;
  const cells = stridesOf(dims);
  // The lowest and the highest that is reached along each axis of the map.
  const low: number[] = [];
  let rest = view.offset;
  let offset = map.offset;
  for (let i = 0; i < dims.length; i++) {
    low.push(Math.floor(rest / cells[i]));
    rest -= low[i] * cells[i];
    offset += low[i] * strides[i];
  }
  const high = low.slice();
  const axes: { size: number; stride: number }[][] = [];
  for (let axis = 0; axis < view.dims.length; axis++) {
    let left = view.dims[axis];
    let stride = view.strides[axis];
    const own: { size: number; stride: number }[] = [];
    if (left === 1 || stride === 0) {
      axes.push([{ size: left, stride: 0 }]);
      continue;
    }
    const sign = Math.sign(stride);
    stride = Math.abs(stride);
    for (let i = dims.length - 1; i >= 0 && left > 1; i--) {
      if (dims[i] === 1 || stride >= cells[i] * dims[i]) continue;
      if (stride % cells[i] !== 0) return null;
      const step = stride / cells[i];
      const fits = sign > 0 ? high[i] + (left - 1) * step < dims[i] : low[i] >= (left - 1) * step;
      if (fits) {
        if (sign > 0) high[i] += (left - 1) * step;
        else low[i] -= (left - 1) * step;
        own.unshift({ size: left, stride: sign * step * strides[i] });
        left = 1;
      } else {
        const end = sign > 0 ? 0 : dims[i] - 1;
        if (step !== 1 || low[i] !== end || high[i] !== end || left % dims[i] !== 0) return null;
        own.unshift({ size: dims[i], stride: sign * strides[i] });
        low[i] = 0;
        high[i] = dims[i] - 1;
        left /= dims[i];
        stride = cells[i] * dims[i];
      }
    }
    if (left > 1) return null;
    axes.push(own);
  }
  return { offset, axes };
}

/** The same as one view. */
export function flat({ offset, axes }: Composed): View {
  const all = axes.flat();
  return { dims: all.map(({ size }) => size), offset, strides: all.map(({ stride }) => stride) };
}

/** Sizes into which both lists of dims of as many positions can be split; null when there are none. */
export function refine(a: readonly number[], b: readonly number[]): number[] | null {
  const sizes: number[] = [];
  let i = a.length - 1;
  let j = b.length - 1;
  let left = i >= 0 ? a[i] : 1;
  let right = j >= 0 ? b[j] : 1;
  while (i >= 0 || j >= 0) {
    if (left === 1 && i >= 0) {
      left = --i >= 0 ? a[i] : 1;
    } else if (right === 1 && j >= 0) {
      right = --j >= 0 ? b[j] : 1;
    } else {
      const size = Math.min(left, right);
      if (left % size !== 0 || right % size !== 0 || size < 2) return null;
      sizes.unshift(size);
      left /= size;
      right /= size;
    }
  }
  return sizes;
}

/** The strides of a view over dims that split its own. */
export function split(view: View, dims: readonly number[]): number[] {
  const strides: number[] = [];
  let axis = view.dims.length - 1;
  let done = 1;
  for (let i = dims.length - 1; i >= 0; i--) {
    while (axis > 0 && done === view.dims[axis]) {
      axis--;
      done = 1;
    }
    strides.unshift(view.strides[axis] * done);
    done *= dims[i];
  }
  return strides;
}

/** Whether two views of one memory have surely no element in common. */
export function areApart(a: View, b: View): boolean {
  const [p, q] = [walk(a), walk(b)];
  let [low, high] = [p.offset, q.offset];
  const end = (offset: number, axes: readonly Axis[]) =>
    axes.reduce((sum, { size, stride }) => sum + (size - 1) * stride, offset);
  const [left, right] = [p.axes, q.axes];
  for (;;) {
    if (end(low, left) < high || end(high, right) < low) return true;
    // Within each period of the widest steps, if they are the same ones.
    const [first, other] = [left.shift(), right.shift()];
    if (first === undefined || other === undefined || first.stride !== other.stride) return false;
    const period = first.stride;
    low %= period;
    high %= period;
    if (end(low, left) >= period || end(high, right) >= period) return false;
  }
}

interface Axis {
  size: number;
  stride: number;
}

/** Axes by their steps, the widest first, all of them upwards. */
function walk({ dims, offset, strides }: View): { offset: number; axes: Axis[] } {
  const axes: Axis[] = [];
  for (let i = 0; i < dims.length; i++) {
    if (dims[i] === 1 || strides[i] === 0) continue;
    if (strides[i] < 0) offset += (dims[i] - 1) * strides[i];
    axes.push({ size: dims[i], stride: Math.abs(strides[i]) });
  }
  axes.sort((x, y) => y.stride - x.stride);
  // Joined where they step evenly.
  for (let i = axes.length - 1; i > 0; i--) {
    const [outer, inner] = [axes[i - 1], axes[i]];
    if (outer.stride !== inner.stride * inner.size) continue;
    axes.splice(i - 1, 2, { size: outer.size * inner.size, stride: inner.stride });
  }
  return { offset, axes };
}

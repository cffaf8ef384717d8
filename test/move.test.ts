/** Copies, casts and argmax against loops of one line, at every size about a vector, a tile and a task of theirs. */
import { expect, test } from 'vitest';
import type { Data } from '../binding.d.ts';
import { kernels } from '../lib/kernels/index.ts';

/** The same numbers at each run; Park and Miller's generator. */
function generator(seed: number) {
  let state = seed;
  return (below: number): number => {
    state = (state * 48271) % 2147483647;
    return state % below;
  };
}

const types = [Float32Array, Float64Array, Int32Array] as unknown as readonly Float32ArrayConstructor[];

/** As `toEqual`, which takes long for so many. */
function expectSame(got: Data, want: Data, what = ''): void {
  const at = got.findIndex((value, i) => !Object.is(value, want[i]));
  expect(at < 0 ? null : [at, got[at], want[at]], what).toBeNull();
}

/** What `copy` means, in the order of the layout. */
function copied(out: Data, x: Data, layout: Int32Array): Data {
  const rank = (layout.length - 2) / 3;
  const want = out.slice();
  const visit = (axis: number, to: number, from: number): void => {
    if (axis === rank) {
      want[to] = x[from];
      return;
    }
    for (let i = 0; i < layout[axis]; i++) {
      visit(axis + 1, to + i * layout[rank + axis], from + i * layout[2 * rank + axis]);
    }
  };
  visit(0, layout[3 * rank], layout[3 * rank + 1]);
  return want;
}

/** Contiguous strides of dims that lie in some order, each of which may go backwards; and where the first element is then. */
function stridesOf(
  dims: readonly number[],
  order: readonly number[],
  backwards: readonly boolean[],
  gap: number,
) {
  const strides = dims.map(() => 0);
  let [step, offset] = [1, 0];
  for (const axis of [...order].reverse()) {
    strides[axis] = backwards[axis] ? -step : step;
    if (backwards[axis]) offset += step * (dims[axis] - 1);
    step = step * dims[axis] + gap;
  }
  return { strides, offset, length: step };
}

test.each(types)('copies of axes in any order, backwards and with gaps: %o', (Type) => {
  const random = generator(7);
  const shuffled = (rank: number) => {
    const order = Array.from({ length: rank }, (_, i) => i);
    for (let i = rank - 1; i > 0; i--) {
      const j = random(i + 1);
      [order[i], order[j]] = [order[j], order[i]];
    }
    return order;
  };
  const sizes = [1, 2, 3, 4, 5, 7, 8, 15, 16, 17, 31, 33, 70];
  for (let i = 0; i < 300; i++) {
    const rank = 1 + random(4);
    const dims = Array.from({ length: rank }, (_, axis) => sizes[random(axis < 2 ? sizes.length : 6)]);
    const side = (gap: number) =>
      stridesOf(
        dims,
        shuffled(rank),
        dims.map(() => random(4) === 0),
        gap,
      );
    const [to, from] = [side(random(2) * 3), side(random(2) * 5)];
    // Some axes are broadcast.
    const strides = from.strides.map((stride) => (random(6) === 0 ? 0 : stride));
    const low = strides.reduce((sum, stride, axis) => sum + Math.min(0, stride * (dims[axis] - 1)), 0);
    const layout = Int32Array.from([...dims, ...to.strides, ...strides, to.offset, -low]);
    const x = Type.from({ length: from.length }, (_, j) => j + 1);
    const out = new Type(to.length).fill(-1);
    const want = copied(out, x, layout);
    kernels.copy(out, x, layout);
    expectSame(out, want, `layout ${layout}`);
  }
});

test('a copy that writes places twice leaves what comes last', () => {
  for (const layout of [
    // Rows that overlap by half; one element for all; and backwards.
    [40, 32, 16, 1, 32, 1, 0, 0],
    [40, 32, 1, 16, 1, 40, 0, 0],
    [40, 32, 0, 0, 32, 1, 5, 0],
    [40, 32, -16, -1, 32, 1, 39 * 16 + 31, 0],
    [16, 16, 1, 1, 1, 16, 0, 0],
  ].map((values) => Int32Array.from(values))) {
    const x = Float32Array.from({ length: 40 * 32 }, (_, i) => i + 1);
    const out = new Float32Array(40 * 32);
    const want = copied(out, x, layout);
    kernels.copy(out, x, layout);
    expectSame(out, want, `layout ${layout}`);
  }
});

test('copies of more than a task, along each of their axes', () => {
  for (const layout of [
    // A matrix transposed, a long run, a column from a row, a row to all rows, planes of one element.
    [300, 301, 301, 1, 1, 300, 0, 0],
    [100_001, 1, 1, 0, 0],
    [100_001, 1, -1, 0, 100_000],
    [3, 40_000, 40_000, 1, 1, 3, 0, 0],
    [40_000, 3, 3, 1, 1, 40_000, 0, 0],
    [400, 300, 300, 1, 0, 1, 0, 0],
    [20, 30, 7, 25, 5250, 175, 25, 1, 25, 3500, 500, 1, 0, 0],
  ].map((values) => Int32Array.from(values))) {
    const x = Float32Array.from({ length: 120_000 }, (_, i) => i + 1);
    const out = new Float32Array(120_000);
    const want = copied(out, x, layout);
    kernels.copy(out, x, layout);
    expectSame(out, want, `layout ${layout}`);
  }
});

test('casts of every length, of what int32 cannot hold, and of what float32 cannot', () => {
  const special = [NaN, Infinity, -Infinity, 2 ** 31, -(2 ** 31), 2 ** 31 - 1, -(2 ** 31) - 1, 1e39, -1e39];
  const values = [...special, 0, -0, 0.5, -0.5, 1.5, -1.9999999, 16777217, 1e-50, 3e9, -3e9];
  const toInt = (x: number) =>
    Number.isNaN(x) ? 0 : Math.trunc(Math.min(Math.max(x, -(2 ** 31)), 2 ** 31 - 1)) || 0;
  for (const From of types) {
    for (const To of types) {
      for (let length = 0; length < 70; length++) {
        const x = From.from({ length }, (_, i) => values[(7 * i + length) % values.length]);
        const out = new To(length);
        kernels.cast(out, x);
        expect(out, `${From.name} to ${To.name}`).toEqual(
          To.from(x, (value) => (To.name === 'Int32Array' ? toInt(value) : value)),
        );
      }
    }
  }
});

/** Where the first of the largest is, or the first NaN. */
function best(values: readonly number[], least: boolean): number {
  const nan = values.findIndex(Number.isNaN);
  if (nan >= 0) return nan;
  return values.indexOf(least ? Math.min(...values) : Math.max(...values));
}

test.each(types)('argmax of every size, along rows and columns, among equals and NaN: %o', (Type) => {
  const random = generator(11);
  for (let size = 1; size < 150; size++) {
    for (const [outer, inner] of [
      [3, 1],
      [2, 35],
    ]) {
      const x = Type.from({ length: outer * size * inner }, () =>
        Type.name !== 'Int32Array' && random(40) === 0 ? NaN : random(5) - 2,
      );
      for (const least of [0, 1] as const) {
        const out = new Int32Array(outer * inner);
        kernels.argmax(out, x, outer, size, inner, least);
        const want = Int32Array.from(out, (_, o) => {
          const start = Math.floor(o / inner) * size * inner + (o % inner);
          return best(
            Array.from({ length: size }, (__, i) => x[start + i * inner]),
            least === 1,
          );
        });
        expect(out, `${outer}×${size}×${inner}`).toEqual(want);
      }
    }
  }
});

test('argmax of infinities and zeros of both signs takes the first of equals', () => {
  for (const values of [
    [-Infinity, -Infinity],
    [0, -0, 0],
    [-0, 0],
    [Infinity, NaN, NaN],
    [-Infinity, Infinity, Infinity],
  ]) {
    for (const padding of [0, 40]) {
      const x = Float32Array.from([...values, ...new Array(padding).fill(-Infinity)]);
      const out = new Int32Array(1);
      kernels.argmax(out, x, 1, x.length, 1, 0);
      expect(out[0]).toBe(
        best(
          [...x].map((value) => value + 0),
          false,
        ),
      );
    }
  }
});

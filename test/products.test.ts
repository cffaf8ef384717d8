/**
 * Products that are small and of many terms: the addon cuts the terms into parts, which it adds up; and products of
 * matrices that lie within longer arrays.
 */
import { describe, expect, test } from 'vitest';
import { linear, tensor } from '../lib/index.ts';
import { createProgram, type Flag, type Float, kernels, unaryCode } from '../lib/kernels/index.ts';
import { allocateShared } from '../lib/memory.ts';

/** Integers so small that every sum is exact in float32, in whatever order. */
const value = (i: number) => ((i * 7919) % 5) - 2;

/** [rows, columns] of x(row, column), stored as its transpose on demand. */
function matrix(
  rows: number,
  columns: number,
  x: (row: number, column: number) => number,
  transposed: boolean,
) {
  const [outer, inner] = transposed ? [columns, rows] : [rows, columns];
  const data = new Float32Array(rows * columns);
  for (let i = 0; i < outer; i++) {
    for (let j = 0; j < inner; j++) data[i * inner + j] = transposed ? x(j, i) : x(i, j);
  }
  return tensor(data, { shape: [outer, inner] });
}

// Two parts, eight parts of lengths that differ, and one row and one column of a long sum.
test.each([
  [32, 32, 8192],
  [64, 64, 8195],
  [1, 200, 6000],
  [200, 1, 6000],
])('%i × %i of %i terms', (m, n, k) => {
  const a = (i: number, t: number) => value(i * 31 + t);
  const b = (t: number, j: number) => value(t * 3 + j * 17 + 1);
  // Both have period 5 in t.
  const expected = Float32Array.from({ length: m * n }, (_, at) => {
    const [i, j] = [Math.floor(at / n), at % n];
    let sum = 0;
    for (let t = 0; t < 5; t++) sum += a(i, t) * b(t, j) * Math.ceil((k - t) / 5);
    return sum;
  });
  for (const transposeA of [false, true]) {
    for (const transposeB of [false, true]) {
      const x = matrix(m, k, a, transposeA);
      const y = matrix(k, n, b, transposeB);
      const product = x.matmul(y, { transposeA, transposeB });
      expect(product.data).toEqual(expected);
    }
  }
  const bias = tensor(Float32Array.from({ length: n }, (_, j) => value(j)));
  const out = linear(matrix(m, k, a, false), matrix(k, n, b, true), bias);
  expect(out.data).toEqual(expected.map((sum, at) => sum + value(at % n)));
});

// ── matrices within longer arrays ───────────────────────────────────────────────────────────────────────────────────

/** Rows of a matrix (o, i) as a layout places them: outer, inner, then offset and strides of c, a and b. */
const at = (layout: Int32Array, operand: number, o: number, i: number, row: number) => {
  const [offset, outer, inner, rows] = layout.subarray(2 + 4 * operand);
  return offset + o * outer + i * inner + row * rows;
};

interface Sizes {
  m: number;
  n: number;
  k: number;
  transposeA: Flag;
  transposeB: Flag;
}

/** What `gemm` or `gemmAccumulate` have to leave in c, by the sum of the products alone. */
function expectedOf(c: Float, a: Float, b: Float, layout: Int32Array, sizes: Sizes, adds: boolean): Float {
  const { m, n, k, transposeA, transposeB } = sizes;
  const expected = c.slice();
  for (let o = 0; o < layout[0]; o++) {
    for (let i = 0; i < layout[1]; i++) {
      for (let row = 0; row < m; row++) {
        for (let column = 0; column < n; column++) {
          let sum = 0;
          for (let t = 0; t < k; t++) {
            const left = transposeA ? at(layout, 1, o, i, t) + row : at(layout, 1, o, i, row) + t;
            const right = transposeB ? at(layout, 2, o, i, column) + t : at(layout, 2, o, i, t) + column;
            sum += a[left] * b[right];
          }
          const to = at(layout, 0, o, i, row) + column;
          expected[to] = adds ? expected[to] + sum : sum;
        }
      }
    }
  }
  return expected;
}

const whole = (type: Float32ArrayConstructor | Float64ArrayConstructor, length: number, seed: number) =>
  new type(length).map((_, i) => value(i + seed));

describe.each([Float32Array, Float64Array])('%o', (type) => {
  /** Both kernels, with c between and around whose rows there is something that has to stay. */
  function check(layout: Int32Array, sizes: Sizes, lengths: readonly number[], adds = [true, false]): void {
    const { m, n, k, transposeA, transposeB } = sizes;
    const [c, a, b] = lengths.map((length, i) => whole(type, length, 1000 * i));
    const shape = [layout[0] * layout[1], m, n, k, transposeA, transposeB] as const;
    for (const add of adds) {
      const out = c.slice();
      if (add) kernels.gemmAccumulate(out, a, b, ...shape, 0, 0, 0, layout);
      else kernels.gemm(out, a, b, null, ...shape, 0, 0, -1, 0, layout);
      expect(out).toEqual(expectedOf(c, a, b, layout, sizes, add));
    }
  }

  test.each([
    [2, 5, 3, 4],
    [3, 70, 2, 33],
    [1, 9, 4, 16],
  ])(
    'heads of attention are read in one array [%i, %i, 3, %i, %i] of queries, keys and values',
    (B, T, H, D) => {
      const [row, batch] = [3 * H * D, 3 * H * D * T];
      const own = (which: number) => [which * H * D, batch, D, row];
      const scores = [0, H * T * T, T * T, T];
      const joined = [0, T * H * D, D, H * D];
      const all = B * batch;
      // Scores q·kᵀ, and the mean of the values by them, back to [B, T, H, D].
      check(
        Int32Array.of(B, H, ...scores, ...own(0), ...own(1)),
        { m: T, n: T, k: D, transposeA: 0, transposeB: 1 },
        [B * H * T * T, all, all],
      );
      check(
        Int32Array.of(B, H, ...joined, ...scores, ...own(2)),
        { m: T, n: D, k: T, transposeA: 0, transposeB: 0 },
        [B * T * H * D, B * H * T * T, all],
      );
      // The gradient of the values goes into its third of such an array.
      check(
        Int32Array.of(B, H, ...own(2), ...scores, ...joined),
        { m: T, n: D, k: T, transposeA: 1, transposeB: 0 },
        [all, B * H * T * T, B * T * H * D],
      );
    },
  );

  test('sums over a part of the batch, of matrices that overlap', () => {
    // [2 outer, 3 inner]: one c for each inner; a by steps of one row, b one for all.
    check(
      Int32Array.of(2, 3, 1, 0, 50, 7, 2, 3, 5, 5, 4, 0, 0, 8),
      { m: 4, n: 6, k: 5, transposeA: 0, transposeB: 0 },
      [200, 60, 50],
      [true],
    );
    check(
      Int32Array.of(2, 3, 1, 50, 0, 7, 2, 3, 5, 5, 4, 0, 0, 8),
      { m: 4, n: 6, k: 5, transposeA: 1, transposeB: 1 },
      [200, 60, 60],
      [true],
    );
    check(
      Int32Array.of(2, 3, 1, 0, 0, 7, 2, 3, 5, 5, 4, 9, 3, 8),
      { m: 4, n: 6, k: 5, transposeA: 0, transposeB: 0 },
      [40, 60, 80],
      [true],
    );
  });

  test('long sums, which are cut, end in rows with gaps', () => {
    check(
      Int32Array.of(1, 1, 3, 0, 0, 40, 5, 0, 0, 8200, 1, 0, 0, 8193),
      { m: 32, n: 33, k: 8192, transposeA: 0, transposeB: 1 },
      [40 * 32 + 3, 32 * 8200 + 5, 33 * 8193 + 1],
    );
  });

  // Blocks of up to 12 rows and panels of up to 64 columns, with remainders of each; terms that are summed in parts.
  test.each([
    [97, 130, 25],
    [13, 1000, 33],
    [257, 33, 64],
    [300, 17, 100],
    [8, 70, 1300],
    [64, 40, 700],
    [25, 9, 5000],
  ])('%i × %i of %i terms, in every form', (m, n, k) => {
    for (const transposeA of [0, 1] as const) {
      for (const transposeB of [0, 1] as const) {
        const [rowsA, columnsA] = transposeA ? [k, m] : [m, k];
        const [rowsB, columnsB] = transposeB ? [n, k] : [k, n];
        const rows = [n + 3, columnsA, columnsB + 1];
        const layout = Int32Array.of(1, 1, ...rows.flatMap((row, i) => [i, 0, 0, row]));
        const lengths = [m * rows[0], rowsA * rows[1] + 1, rowsB * rows[2] + 2];
        check(layout, { m, n, k, transposeA, transposeB }, lengths);
      }
    }
  });

  test('a batch of matrices for several threads, and one that is the sum of it', () => {
    const sizes: Sizes = { m: 30, n: 40, k: 50, transposeA: 1, transposeB: 0 };
    const layout = Int32Array.of(3, 5, 0, 6000, 1200, 40, 0, 7500, 1500, 30, 0, 10000, 2000, 40);
    check(layout, sizes, [18000, 22500, 30000]);
    check(layout.with(3, 0), sizes, [6000, 22500, 30000], [true]);
    check(layout.with(3, 0).with(4, 0), sizes, [1200, 22500, 30000], [true]);
  });

  test('what is not finite reaches its row or column alone', () => {
    const [m, n, k] = [60, 70, 80];
    const [a, b, c] = [new type(m * k).fill(1), new type(k * n).fill(0), new type(m * n)];
    a[5 * k + 7] = Number.NaN;
    a[6 * k + 79] = Infinity;
    b[3 * n + 69] = -Infinity;
    for (const transposeB of [0, 1] as const) {
      const right = transposeB ? new type(k * n).map((_, i) => b[(i % k) * n + Math.floor(i / k)]) : b;
      kernels.gemm(c, a, right, null, 1, m, n, k, 0, transposeB, 0, 0, -1, 0, null);
      c.forEach((x, i) => {
        const [row, column] = [Math.floor(i / n), i % n];
        // 0 · ∞ is NaN.
        const expected = row === 5 || row === 6 ? Number.NaN : column === 69 ? -Infinity : 0;
        if (!Object.is(Math.abs(x) === 0 ? 0 : x, expected)) throw new Error(`${x} at ${row}, ${column}`);
      });
    }
  });

  // By whatever way products of such a size go.
  test.each([
    [2, 3, 4],
    [40, 50, 60],
    [1, 300, 40],
  ])('a recorded product of %i × %i and %i terms is what its layout says at each run', (m, n, k) => {
    const sizes: Sizes = { m, n, k, transposeA: 0, transposeB: 1 };
    const first = Int32Array.of(2, 1, 3, m * n + 5, 0, n, 0, 0, 0, k, 2, n * k, 0, k);
    // Another place for c, matrices the other way round, rows apart, a sum in place of two.
    const others = [
      first.with(2, 0),
      first
        .with(0, 1)
        .with(1, 2)
        .with(4, m * n)
        .with(8, 1)
        .with(12, 7),
      first
        .with(5, n + 1)
        .with(3, m * (n + 1))
        .with(9, k + 1),
      first.with(11, 0),
    ];
    const dtype = type === Float32Array ? 'float32' : 'float64';
    const shared = (length: number, seed: number) => {
      const array = allocateShared(length, dtype);
      array.set(whole(type, length, seed) as never);
      return array;
    };
    const before = whole(type, 2 * m * (n + 1) + 20, 3);
    const [c, a, b] = [shared(before.length, 3), shared(2 * m * (k + 1), 1), shared(2 * n * k + 20, 2)];
    const layout = new Int32Array(new SharedArrayBuffer(14 * 4));
    const shape = [2, m, n, k, 0, 1, 0, 0] as const;
    for (const adds of [false, true]) {
      layout.set(first);
      const program = createProgram([
        adds
          ? ['gemmAccumulate', c, a, b, ...shape, 0, layout]
          : ['gemm', c, a, b, null, ...shape, -1, 0, layout],
      ]);
      const run = (own: Int32Array) => {
        layout.set(own);
        c.set(before as never);
        program.run();
      };
      for (const own of [first, ...others, first, ...(adds ? [first.with(3, 0)] : [])]) {
        run(own);
        expect(c).toEqual(expectedOf(before, a, b, own, sizes, adds));
      }
      expect(() => run(first.with(2, 2 ** 30))).toThrow(/layout to stay within c/);
      expect(c).toEqual(before);
      run(first);
      expect(c).toEqual(expectedOf(before, a, b, first, sizes, adds));
    }
  });

  test('bias and activation are of the rows alone', () => {
    const c = new type(20).fill(9);
    const [a, b, bias] = [type.of(1, 2), type.of(3, -4), type.of(1, 2)];
    const layout = Int32Array.of(1, 1, 2, 0, 0, 5, 0, 0, 0, 1, 0, 0, 0, 2);
    kernels.gemm(c, a, b, bias, 1, 2, 2, 1, 0, 0, 0, 0, unaryCode.relu, 0, layout);
    expect([...c]).toEqual([9, 9, 4, 0, 9, 9, 9, 7, 0, ...new Array(11).fill(9)]);
    kernels.gemm(c, a, b, bias, 1, 2, 2, 0, 0, 0, 0, 0, unaryCode.neg, 0, layout.with(9, 0));
    expect([...c]).toEqual([9, 9, -1, -2, 9, 9, 9, -1, -2, ...new Array(11).fill(9)]);
  });

  test('nothing to write, and nothing to read', () => {
    const none = new type(0);
    const far = Int32Array.of(2147483647, 0, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7);
    kernels.gemm(none, none, none, null, 0, 2, 3, 4, 0, 0, 0, 0, -1, 0, far);
    kernels.gemmAccumulate(none, none, none, 0, 2, 3, 4, 0, 0, 0, 0, 0, far);
    const c = type.of(1, 2, 3, 4);
    const layout = Int32Array.of(2, 1, 0, 2, 0, 2, 9, 9, 9, 9, 9, 9, 9, 9);
    kernels.gemmAccumulate(c, none, none, 2, 1, 2, 0, 0, 0, 0, 0, 0, layout);
    expect([...c]).toEqual([1, 2, 3, 4]);
    kernels.gemm(c, none, none, null, 2, 1, 2, 0, 0, 0, 0, 0, -1, 0, layout);
    expect([...c]).toEqual([0, 0, 0, 0]);
  });

  test.each<[string, number[], RegExp]>([
    ['a length', [2, 3, 0], /layout to have length 14, got 3/],
    [
      'a negative stride',
      [2, 3, 0, 24, 8, 4, 0, -4, 2, 2, 0, 0, 0, 4],
      /layout\[7\] to be at least 0, got -4/,
    ],
    ['another batch', [2, 2, 0, 24, 8, 4, 0, 4, 2, 2, 0, 0, 0, 4], /outer · inner equal to batch 6, got 4/],
    ['a row stride', [2, 3, 0, 24, 8, 4, 0, 4, 2, 1, 0, 0, 0, 4], /layout\[9\] to be at least 2, got 1/],
    ['the end of c', [2, 3, 1, 24, 8, 4, 0, 4, 2, 2, 0, 0, 0, 4], /within c \(length 48\), got position 48/],
    ['the end of a', [2, 3, 0, 24, 8, 4, 0, 14, 4, 2, 0, 0, 0, 4], /within a \(length 24\), got position 25/],
    [
      'the end of b',
      [2, 3, 0, 24, 8, 4, 0, 12, 4, 2, 40, 0, 0, 4],
      /within b \(length 24\), got position 47/,
    ],
    ['far beyond', [2, 3, 0, 24, 8, 4, 0, 2147483647, 4, 2, 0, 0, 0, 4], /got position 2147483658/],
    [
      'rows of c together',
      [2, 3, 0, 24, 7, 4, 0, 12, 4, 2, 0, 0, 0, 4],
      /rows of c apart, got strides 24, 7 and 4/,
    ],
  ])('refuses %s', (_, layout, message) => {
    const [c, a, b] = [new type(48).fill(9), new type(24), new type(24)];
    const own = Int32Array.from(layout);
    const shape = [6, 2, 4, 2, 0, 0] as const;
    expect(() => kernels.gemm(c, a, b, null, ...shape, 0, 0, -1, 0, own)).toThrow(message);
    expect(() => kernels.gemmAccumulate(c, a, b, ...shape, 0, 0, 0, own)).toThrow(message);
    expect(c).toEqual(new type(48).fill(9));
  });

  test('refuses strides beside a layout, and one c for products that overwrite it', () => {
    const [c, a, b] = [new type(48), new type(24), new type(24)];
    const shape = [6, 2, 4, 2, 0, 0] as const;
    const layout = Int32Array.of(2, 3, 0, 24, 8, 4, 0, 12, 4, 2, 0, 0, 0, 4);
    kernels.gemm(c, a, b, null, ...shape, 0, 0, -1, 0, layout);
    const gemm = (strideA: number, own: Int32Array) => () =>
      kernels.gemm(c, a, b, null, ...shape, strideA, 0, -1, 0, own);
    expect(gemm(4, layout)).toThrow(/strideA to be 0 beside a layout, got 4/);
    expect(gemm(0, layout.with(3, 0))).toThrow(/rows of c apart, got strides 0, 8 and 4/);
    expect(() => kernels.gemmAccumulate(c, a, b, ...shape, 0, 0, 8, layout)).toThrow(
      /strideC to be 0 beside a layout, got 8/,
    );
  });
});

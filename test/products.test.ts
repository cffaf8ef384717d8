/** Products that are small and of many terms: the addon cuts the terms into parts, which it adds up. */
import { expect, test } from 'vitest';
import { linear, tensor } from '../lib/index.ts';

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

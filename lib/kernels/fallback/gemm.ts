import type { Float, Kernels } from '../../../binding.d.ts';
import { checkLength, refuse, refuseValue } from './check.ts';
import { activate, fillRows } from './epilogue.ts';
import { multiplyPlain } from './gemm-plain.ts';
import { hasWasm, multiplyWasm } from './gemm-wasm.ts';

/**
 * Multiplications from which on the copies into and out of the memory of WebAssembly pay off. Measured with Node 20 on
 * Zen 5, plain to WebAssembly: 6³ takes 0.20 to 0.34 µs, 32 × 3 × 4 0.37 to 0.42, 8³ 0.29 to 0.30, 12³ 0.88 to 0.52.
 */
const leastForWasm = 512;

/** Where the matrices of an operand lie. */
interface Placement {
  readonly offset: number;
  readonly outer: number;
  readonly inner: number;
  readonly row: number;
}

/** A batch of outer × inner products. */
interface Products {
  readonly outer: number;
  readonly inner: number;
  readonly c: Placement;
  readonly a: Placement;
  readonly b: Placement;
}

export const gemm: Kernels['gemm'] = (
  c,
  a,
  b,
  bias,
  batch,
  m,
  n,
  k,
  transposeA,
  transposeB,
  strideA,
  strideB,
  activation,
  parameter,
  layout,
) => {
  const kernel = 'gemm';
  if (layout === null) {
    checkLength(kernel, 'c', c, batch * m * n);
    checkFactors(kernel, a, b, batch, m, n, k, strideA, strideB);
    if (bias !== null || k === 0) fillRows(c, bias);
    const products = plain(batch, m, n, k, transposeA, transposeB, strideA, strideB, m * n);
    multiply(c, a, b, products, m, n, k, transposeA, transposeB, bias === null ? 0 : 1);
    activate(c, activation, parameter);
    return;
  }
  checkNoStrides(kernel, layout, [strideA, strideB]);
  const products = readLayout(kernel, layout, c, a, b, batch, m, n, k, transposeA, transposeB, false);
  if (batch === 0 || m === 0 || n === 0) return;
  const forRows = (each: (row: Float) => void) =>
    forMatrices(products, (cFirst) => {
      for (let i = 0; i < m; i++) each(rowOf(c, cFirst, products, i, n));
    });
  if (bias !== null || k === 0) forRows((row) => fillRows(row, bias));
  multiply(c, a, b, products, m, n, k, transposeA, transposeB, bias === null ? 0 : 1);
  if (activation >= 0) forRows((row) => activate(row, activation, parameter));
};

export const gemmAccumulate: Kernels['gemmAccumulate'] = (
  c,
  a,
  b,
  batch,
  m,
  n,
  k,
  transposeA,
  transposeB,
  strideA,
  strideB,
  strideC,
  layout,
) => {
  const kernel = 'gemmAccumulate';
  if (layout === null) {
    checkFactors(kernel, a, b, batch, m, n, k, strideA, strideB);
    checkStride(kernel, 'strideC', strideC, m * n);
    checkLength(kernel, 'c', c, strideC === 0 ? m * n : batch * m * n);
    const products = plain(batch, m, n, k, transposeA, transposeB, strideA, strideB, strideC);
    multiply(c, a, b, products, m, n, k, transposeA, transposeB, 1);
    return;
  }
  checkNoStrides(kernel, layout, [strideA, strideB, strideC]);
  const products = readLayout(kernel, layout, c, a, b, batch, m, n, k, transposeA, transposeB, true);
  multiply(c, a, b, products, m, n, k, transposeA, transposeB, 1);
};

// ── checks ──────────────────────────────────────────────────────────────────────────────────────────────────────────

/** Strides, and the lengths that follow from them. */
function checkFactors(
  kernel: string,
  a: Float,
  b: Float,
  batch: number,
  m: number,
  n: number,
  k: number,
  strideA: number,
  strideB: number,
): void {
  checkStride(kernel, 'strideA', strideA, m * k);
  checkStride(kernel, 'strideB', strideB, k * n);
  checkLength(kernel, 'a', a, strideA === 0 ? m * k : batch * m * k);
  checkLength(kernel, 'b', b, strideB === 0 ? k * n : batch * k * n);
}

function checkStride(kernel: string, name: string, stride: number, size: number): void {
  if (stride !== 0 && stride !== size) refuseValue(kernel, name, `0 or ${size}`, stride);
}

const layoutLength = 14;

/** The length of a layout, and that there are no strides beside it. */
function checkNoStrides(kernel: string, layout: Int32Array, strides: readonly number[]): void {
  checkLength(kernel, 'layout', layout, layoutLength);
  for (const [i, stride] of strides.entries()) {
    if (stride !== 0) refuseValue(kernel, `stride${'ABC'[i]}`, '0 beside a layout', stride);
  }
}

/** The numbers of a layout, checked. `sums`: whether matrices of c may coincide. */
function readLayout(
  kernel: string,
  layout: Int32Array,
  c: Float,
  a: Float,
  b: Float,
  batch: number,
  m: number,
  n: number,
  k: number,
  transposeA: number,
  transposeB: number,
  sums: boolean,
): Products {
  const [outer, inner] = layout;
  for (const [i, value] of layout.entries()) {
    if (value < 0) refuseValue(kernel, `layout[${i}]`, 'at least 0', value);
  }
  if (outer * inner !== batch) {
    refuse(kernel, 'layout', `have outer · inner equal to batch ${batch}`, String(outer * inner));
  }
  const read = (index: number, name: string, array: Float, rows: number, columns: number): Placement => {
    const first = 2 + 4 * index;
    const [offset, outerStride, innerStride, row] = layout.subarray(first);
    if (row < columns) refuseValue(kernel, `layout[${first + 3}]`, `at least ${columns}`, row);
    if (batch !== 0 && rows !== 0 && columns !== 0) {
      const last =
        offset + (outer - 1) * outerStride + (inner - 1) * innerStride + (rows - 1) * row + (columns - 1);
      if (last >= array.length) {
        refuse(kernel, 'layout', `stay within ${name} (length ${array.length})`, `position ${last}`);
      }
    }
    return { offset, outer: outerStride, inner: innerStride, row };
  };
  const ofC = read(0, 'c', c, m, n);
  if (batch !== 0 && m !== 0 && n !== 0 && !areApart(outer, inner, m, n, ofC, sums)) {
    const strides = `strides ${ofC.outer}, ${ofC.inner} and ${ofC.row}`;
    refuse(kernel, 'layout', 'keep the rows of c apart', strides);
  }
  const ofA = transposeA === 0 ? read(1, 'a', a, m, k) : read(1, 'a', a, k, m);
  const ofB = transposeB === 0 ? read(2, 'b', b, k, n) : read(2, 'b', b, n, k);
  return { outer, inner, c: ofC, a: ofA, b: ofB };
}

/**
 * Whether no two rows of c have elements in common, but for whole matrices where these may coincide. From the shortest
 * stride on, each has to lead beyond all that the shorter ones reach.
 */
function areApart(outer: number, inner: number, m: number, n: number, c: Placement, sums: boolean): boolean {
  const axes = [
    [c.row, m],
    [c.inner, inner],
    [c.outer, outer],
  ].sort(([a], [b]) => a - b);
  let span = n;
  for (const [stride, count] of axes) {
    if (count === 1 || (sums && stride === 0)) continue;
    if (stride < span) return false;
    span += (count - 1) * stride;
  }
  return true;
}

// ── the products ────────────────────────────────────────────────────────────────────────────────────────────────────

/** Matrices one after the other, or one for all. */
function plain(
  batch: number,
  m: number,
  n: number,
  k: number,
  transposeA: number,
  transposeB: number,
  strideA: number,
  strideB: number,
  strideC: number,
): Products {
  return {
    outer: batch,
    inner: 1,
    c: { offset: 0, outer: strideC, inner: 0, row: n },
    a: { offset: 0, outer: strideA, inner: 0, row: transposeA === 0 ? k : m },
    b: { offset: 0, outer: strideB, inner: 0, row: transposeB === 0 ? n : k },
  };
}

const firstOf = ({ offset, outer, inner }: Placement, o: number, i: number) => offset + o * outer + i * inner;

function rowOf(c: Float, cFirst: number, { c: { row } }: Products, i: number, n: number): Float {
  return c.subarray(cFirst + i * row, cFirst + i * row + n);
}

/** Calls `each` with where the matrices of c, a and b begin, over the batch. */
function forMatrices(
  { outer, inner, c, a, b }: Products,
  each: (cFirst: number, aFirst: number, bFirst: number) => void,
): void {
  if (inner === 0) return;
  for (let o = 0; o < outer; o++) {
    for (let i = 0; i < inner; i++) each(firstOf(c, o, i), firstOf(a, o, i), firstOf(b, o, i));
  }
}

/** c[i] = op(a[i]) · op(b[i]), added to c[i] where `keep` is 1, over the batch, which may be long where its matrices are empty. */
function multiply(
  c: Float,
  a: Float,
  b: Float,
  products: Products,
  m: number,
  n: number,
  k: number,
  transposeA: number,
  transposeB: number,
  keep: number,
): void {
  if (m === 0 || n === 0 || k === 0) return;
  const [cRow, aRow, bRow] = [products.c.row, products.a.row, products.b.row];
  forMatrices(products, (cFirst, aFirst, bFirst) => {
    product(c, cFirst, cRow, a, aFirst, aRow, b, bFirst, bRow, m, n, k, transposeA, transposeB, keep);
  });
}

/**
 * c = op(a) · op(b), added to c where `keep` is 1, for matrices that begin at `cFirst`, `aFirst`, `bFirst`, the rows of which as they are stored are
 * `cRow`, `aRow`, `bRow` apart; k is not 0.
 */
export function product(
  c: Float,
  cFirst: number,
  cRow: number,
  a: Float,
  aFirst: number,
  aRow: number,
  b: Float,
  bFirst: number,
  bRow: number,
  m: number,
  n: number,
  k: number,
  transposeA: number,
  transposeB: number,
  keep: number,
): void {
  if (m * n * k >= leastForWasm && hasWasm()) {
    multiplyWasm(c, cFirst, cRow, a, aFirst, aRow, b, bFirst, bRow, m, n, k, transposeA, transposeB, keep);
    return;
  }
  if (keep === 0) for (let i = 0; i < m; i++) c.fill(0, cFirst + i * cRow, cFirst + i * cRow + n);
  multiplyPlain(c, cFirst, cRow, a, aFirst, aRow, b, bFirst, bRow, m, n, k, transposeA, transposeB);
}

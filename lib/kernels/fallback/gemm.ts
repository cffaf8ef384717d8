import type { Float, Kernels } from '../../../binding.d.ts';
import { checkLength, refuseValue } from './check.ts';
import { activate, fillRows } from './epilogue.ts';
import { multiplyPlain } from './gemm-plain.ts';
import { hasWasm, multiplyWasm } from './gemm-wasm.ts';

/**
 * Multiplications from which on the copies into and out of the memory of WebAssembly pay off. Measured with Node 20 on an
 * AVX-512 Xeon, plain to WebAssembly: 6³ takes 0.32 to 0.43 µs, 1 × 16 × 16 0.54 to 0.39, 8³ 0.49 to 0.36, 16³ 3.9 to 0.6.
 */
const leastForWasm = 256;

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
) => {
  checkFactors('gemm', a, b, batch, m, n, k, strideA, strideB);

  fillRows(c, bias);
  multiply(c, a, b, batch, m, n, k, transposeA, transposeB, strideA, strideB, m * n);
  activate(c, activation, parameter);
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
) => {
  checkFactors('gemmAccumulate', a, b, batch, m, n, k, strideA, strideB);
  checkStride('gemmAccumulate', 'strideC', strideC, m * n);
  checkLength('gemmAccumulate', 'c', c, strideC === 0 ? m * n : batch * m * n);

  multiply(c, a, b, batch, m, n, k, transposeA, transposeB, strideA, strideB, strideC);
};

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

/** c[i] += op(a[i]) · op(b[i]) over the batch, which may be long where its matrices are empty. */
function multiply(
  c: Float,
  a: Float,
  b: Float,
  batch: number,
  m: number,
  n: number,
  k: number,
  transposeA: number,
  transposeB: number,
  strideA: number,
  strideB: number,
  strideC: number,
): void {
  if (m === 0 || n === 0 || k === 0) return;
  for (let i = 0; i < batch; i++) {
    addProduct(c, i * strideC, a, i * strideA, b, i * strideB, m, n, k, transposeA, transposeB);
  }
}

/** c += op(a) · op(b) for matrices that begin at `cFirst`, `aFirst`, `bFirst`. */
export function addProduct(
  c: Float,
  cFirst: number,
  a: Float,
  aFirst: number,
  b: Float,
  bFirst: number,
  m: number,
  n: number,
  k: number,
  transposeA: number,
  transposeB: number,
): void {
  const product = m * n * k >= leastForWasm && hasWasm() ? multiplyWasm : multiplyPlain;
  product(c, cFirst, a, aFirst, b, bFirst, m, n, k, transposeA, transposeB);
}

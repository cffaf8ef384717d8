import type { Flag, Float } from '../../../binding.d.ts';
import {
  anyFlag,
  anySize,
  checkFlag,
  checkFloat,
  checkLength,
  checkLike,
  checkLikeOrNull,
  checkNumber,
  checkSize,
  refuseValue,
} from './check.ts';
import { activate, checkActivation, checkActivationType, fillRows } from './epilogue.ts';
import { multiplyPlain } from './gemm-plain.ts';
import { hasWasm, multiplyWasm } from './gemm-wasm.ts';

/** Multiplications from which on the copies into and out of the memory of WebAssembly pay off. */
const leastForWasm = 512;

export function gemm(
  c: Float,
  a: Float,
  b: Float,
  bias: Float | null,
  batch: number,
  m: number,
  n: number,
  k: number,
  transposeA: Flag,
  transposeB: Flag,
  strideA: number,
  strideB: number,
  activation: number,
  parameter: number,
): void {
  checkFloat('gemm', 'c', c);
  checkLike('gemm', 'a', a, 'c', c);
  checkLike('gemm', 'b', b, 'c', c);
  checkLikeOrNull('gemm', 'bias', bias, 'c', c);
  checkNumbers('gemm', batch, m, n, k, transposeA, transposeB, strideA, strideB);
  checkActivationType('gemm', activation, parameter);
  checkValues('gemm', batch, m, n, k, transposeA, transposeB, strideA, strideB);
  checkActivation('gemm', activation);
  checkLength('gemm', 'c', c, batch * m * n);
  checkLength('gemm', 'a', a, strideA === 0 ? m * k : batch * m * k);
  checkLength('gemm', 'b', b, strideB === 0 ? k * n : batch * k * n);
  if (bias !== null) checkLength('gemm', 'bias', bias, n);

  fillRows(c, bias);
  multiply(c, a, b, batch, m, n, k, transposeA, transposeB, strideA, strideB, m * n);
  activate(c, activation, parameter);
}

export function gemmAccumulate(
  c: Float,
  a: Float,
  b: Float,
  batch: number,
  m: number,
  n: number,
  k: number,
  transposeA: Flag,
  transposeB: Flag,
  strideA: number,
  strideB: number,
  strideC: number,
): void {
  checkFloat('gemmAccumulate', 'c', c);
  checkLike('gemmAccumulate', 'a', a, 'c', c);
  checkLike('gemmAccumulate', 'b', b, 'c', c);
  checkNumbers('gemmAccumulate', batch, m, n, k, transposeA, transposeB, strideA, strideB);
  checkNumber('gemmAccumulate', 'strideC', strideC, anySize);
  checkValues('gemmAccumulate', batch, m, n, k, transposeA, transposeB, strideA, strideB);
  checkStride('gemmAccumulate', 'strideC', strideC, m * n);
  checkLength('gemmAccumulate', 'c', c, strideC === 0 ? m * n : batch * m * n);
  checkLength('gemmAccumulate', 'a', a, strideA === 0 ? m * k : batch * m * k);
  checkLength('gemmAccumulate', 'b', b, strideB === 0 ? k * n : batch * k * n);

  multiply(c, a, b, batch, m, n, k, transposeA, transposeB, strideA, strideB, strideC);
}

function checkNumbers(
  kernel: string,
  batch: number,
  m: number,
  n: number,
  k: number,
  transposeA: number,
  transposeB: number,
  strideA: number,
  strideB: number,
): void {
  checkNumber(kernel, 'batch', batch, anySize);
  checkNumber(kernel, 'm', m, anySize);
  checkNumber(kernel, 'n', n, anySize);
  checkNumber(kernel, 'k', k, anySize);
  checkNumber(kernel, 'transposeA', transposeA, anyFlag);
  checkNumber(kernel, 'transposeB', transposeB, anyFlag);
  checkNumber(kernel, 'strideA', strideA, anySize);
  checkNumber(kernel, 'strideB', strideB, anySize);
}

function checkValues(
  kernel: string,
  batch: number,
  m: number,
  n: number,
  k: number,
  transposeA: number,
  transposeB: number,
  strideA: number,
  strideB: number,
): void {
  checkSize(kernel, 'batch', batch);
  checkSize(kernel, 'm', m);
  checkSize(kernel, 'n', n);
  checkSize(kernel, 'k', k);
  checkFlag(kernel, 'transposeA', transposeA);
  checkFlag(kernel, 'transposeB', transposeB);
  checkStride(kernel, 'strideA', strideA, m * k);
  checkStride(kernel, 'strideB', strideB, k * n);
}

function checkStride(kernel: string, name: string, stride: number, size: number): void {
  checkSize(kernel, name, stride);
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

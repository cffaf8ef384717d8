import type { Float } from '../../../binding.d.ts';

/**
 * c += op(a) · op(b) for matrices that begin at `cFirst`, `aFirst`, `bFirst`, the rows of which as they are stored are
 * `cRow`, `aRow`, `bRow` apart, without WebAssembly: what small products
 * and engines that lack SIMD use. Four by two results at a time share their operands in registers; sums are float64.
 */
export function multiplyPlain(
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
): void {
  const [aNext, aStep] = transposeA === 0 ? [aRow, 1] : [1, aRow];
  const [bNext, bStep] = transposeB === 0 ? [1, bRow] : [bRow, 1];
  const mBlocked = m - (m % 4);
  const nBlocked = n - (n % 2);
  for (let i = 0; i < mBlocked; i += 4) {
    for (let j = 0; j < nBlocked; j += 2) {
      let a0 = aFirst + i * aNext;
      let a1 = a0 + aNext;
      let a2 = a1 + aNext;
      let a3 = a2 + aNext;
      let b0 = bFirst + j * bNext;
      let b1 = b0 + bNext;
      let c00 = 0;
      let c01 = 0;
      let c10 = 0;
      let c11 = 0;
      let c20 = 0;
      let c21 = 0;
      let c30 = 0;
      let c31 = 0;
      for (let p = 0; p < k; p++) {
        const left = b[b0];
        const right = b[b1];
        c00 += a[a0] * left;
        c01 += a[a0] * right;
        c10 += a[a1] * left;
        c11 += a[a1] * right;
        c20 += a[a2] * left;
        c21 += a[a2] * right;
        c30 += a[a3] * left;
        c31 += a[a3] * right;
        a0 += aStep;
        a1 += aStep;
        a2 += aStep;
        a3 += aStep;
        b0 += bStep;
        b1 += bStep;
      }
      const to = cFirst + i * cRow + j;
      c[to] += c00;
      c[to + 1] += c01;
      c[to + cRow] += c10;
      c[to + cRow + 1] += c11;
      c[to + 2 * cRow] += c20;
      c[to + 2 * cRow + 1] += c21;
      c[to + 3 * cRow] += c30;
      c[to + 3 * cRow + 1] += c31;
    }
  }
  for (let i = 0; i < m; i++) {
    for (let j = i < mBlocked ? nBlocked : 0; j < n; j++) {
      let aAt = aFirst + i * aNext;
      let bAt = bFirst + j * bNext;
      let sum = 0;
      for (let p = 0; p < k; p++, aAt += aStep, bAt += bStep) sum += a[aAt] * b[bAt];
      c[cFirst + i * cRow + j] += sum;
    }
  }
}

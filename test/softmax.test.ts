/** How exact softmax is on the whole, beside float64: a worst case says little of a sum that has become a bit sloppier. */
import { expect, test } from 'vitest';
import { randn, seed } from '../lib/index.ts';

/** Errors in units of 2⁻²⁴ of the value itself: on the average and at most. */
function errorsOf(rows: number, n: number, scale: number): { mean: number; worst: number } {
  seed(n);
  const x = randn([rows, n]).mul(scale);
  const [values, found] = [x.data, x.softmax().data];
  let sum = 0;
  let worst = 0;
  for (let first = 0; first < rows * n; first += n) {
    const row = Float64Array.from(values.subarray(first, first + n));
    const most = Math.max(...row);
    const exponentials = row.map((value) => Math.exp(value - most));
    const total = exponentials.reduce((a, b) => a + b);
    for (let i = 0; i < n; i++) {
      const exact = exponentials[i] / total;
      const error = (2 ** 24 * Math.abs(found[first + i] - exact)) / exact;
      sum += error;
      worst = Math.max(worst, error);
    }
  }
  return { mean: sum / (rows * n), worst };
}

test.each([10, 64, 100, 256, 1000, 4096])('the mean error of softmax over %i', (n) => {
  for (const scale of [1, 4]) {
    const { mean, worst } = errorsOf(Math.ceil(100_000 / n), n, scale);
    // The result rounded once would have 0.36 and 1, exponentials rounded before as well 0.48 and 2.
    expect(mean).toBeLessThan(scale === 1 ? 0.53 : 0.62);
    expect(worst).toBeLessThan(3.5);
  }
});

/** What is told of many numbers: norms and histograms. */
import { noGrad, type Tensor } from '../index.ts';
import type { Histogram } from './events.ts';

/** Squares that float32 neither loses nor rounds off. */
const [least, most] = [1e-25, 1e30];
/** In how many parts a histogram has its range. */
const parts = 30;

/** √Σx², by a product of the library, which takes a tenth of the time of a loop. */
export function normOf(x: Tensor): number {
  if (x.size === 0) return 0;
  const row = x.detach().reshape([1, x.size]);
  const sum = noGrad(() => row.matmul(row.transpose())).item();
  if ((sum > least && sum < most) || Number.isNaN(sum)) return Math.sqrt(sum);
  // By its largest, so that nothing leaves the range of float64 either.
  const values = x.data;
  let largest = 0;
  for (const value of values) largest = Math.max(largest, Math.abs(value));
  if (largest === 0 || !Number.isFinite(largest)) return largest;
  let squares = 0;
  for (const value of values) squares += (value / largest) ** 2;
  return largest * Math.sqrt(squares);
}

export function histogramOf(values: ArrayLike<number>): Histogram {
  let [min, max, sum, count] = [Infinity, -Infinity, 0, 0];
  for (let i = 0; i < values.length; i++) {
    const value = values[i];
    if (value - value !== 0) continue;
    if (value < min) min = value;
    if (value > max) max = value;
    sum += value;
    count++;
  }
  const counts = new Array<number>(parts).fill(0);
  const rest = values.length - count;
  const notFinite = rest > 0 ? { notFinite: rest } : {};
  if (count === 0) return { min: 0, max: 0, mean: 0, std: 0, counts, ...notFinite };
  const mean = sum / count;
  // Halves, as the range may be more than a number holds.
  const half = max / 2 - min / 2 || 1;
  let squares = 0;
  for (let i = 0; i < values.length; i++) {
    const value = values[i];
    if (value - value !== 0) continue;
    squares += (value - mean) ** 2;
    counts[Math.min(parts - 1, Math.floor(((value / 2 - min / 2) / half) * parts))]++;
  }
  return { min, max, mean, std: Math.sqrt(squares / count), counts, ...notFinite };
}

/** Times, counted by size: quantiles of any number of them in a few kilobytes. */

/** Classes a doubling, so that a quantile is known to 4 %. */
const perDoubling = 16;
/** The least that is told apart, in milliseconds. */
const least = 1e-3;
const classes = 32 * perDoubling;

/** In milliseconds. */
export interface LatencySummary {
  readonly count: number;
  readonly mean: number;
  readonly p50: number;
  readonly p90: number;
  readonly p99: number;
  readonly max: number;
}

export class Latencies {
  private readonly counts = new Float64Array(classes);
  private count = 0;
  private sum = 0;
  private max = 0;

  add(milliseconds: number): void {
    const size = Math.floor(Math.log2(Math.max(milliseconds / least, 1)) * perDoubling);
    this.counts[Math.min(size, classes - 1)]++;
    this.count++;
    this.sum += milliseconds;
    if (milliseconds > this.max) this.max = milliseconds;
  }

  /** The upper end of the class in which that share of all times lies below. */
  private quantile(share: number): number {
    let left = share * this.count;
    for (let i = 0; i < classes; i++) {
      left -= this.counts[i];
      if (left <= 0) return Math.min(least * 2 ** ((i + 1) / perDoubling), this.max);
    }
    return this.max;
  }

  summary(): LatencySummary {
    const { count, sum, max } = this;
    if (count === 0) return { count, mean: 0, p50: 0, p90: 0, p99: 0, max };
    const [p50, p90, p99] = [0.5, 0.9, 0.99].map((share) => this.quantile(share));
    return { count, mean: sum / count, p50, p90, p99, max };
  }
}

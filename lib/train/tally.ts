/** Loss and metrics summed over batches. */
import { noGrad } from '../autograd.ts';
import type { Tensor } from '../tensor.ts';
import type { Scores } from './history.ts';
import type { Accumulator, Metric } from './metrics/metric.ts';

/** Means are over examples, so that a smaller last batch weighs what it should. */
export class Tally {
  examples = 0;
  private lossSum = 0;
  private readonly sums: [name: string, sum: Accumulator][];

  constructor(metrics: readonly Metric[]) {
    this.sums = metrics.map((metric) => [metric.name, metric.start()]);
  }

  /** Adds a batch, with its mean loss where there is one. */
  add(prediction: Tensor, target: Tensor, loss = 0): void {
    const size = target.shape[0];
    this.examples += size;
    this.lossSum += loss * size;
    if (this.sums.length === 0) return;
    const values = prediction.detach();
    noGrad(() => {
      for (const [, sum] of this.sums) sum.add(values, target);
    });
  }

  /** The mean loss over all examples. */
  get loss(): number {
    return this.lossSum / this.examples;
  }

  /** Each metric by its name. */
  metrics(): Scores {
    return Object.fromEntries(this.sums.map(([name, sum]) => [name, sum.result()]));
  }
}

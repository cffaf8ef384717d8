/** What a metric is: a number about predictions, gathered batch by batch. */
import type { Tensor } from '../../tensor.ts';

/** Sums over batches, so that the result does not depend on how examples are divided among them. */
export interface Accumulator {
  /** Takes the predictions [batch, ...] for a batch and its targets [batch, ...]. */
  add(prediction: Tensor, target: Tensor): void;
  /** The metric over all that was added. */
  result(): number;
}

export interface Metric {
  /** What records call it. */
  readonly name: string;
  /** A new sum, of nothing. */
  start(): Accumulator;
}

/** A metric that is a mean: `measure` returns the sum over a batch and how many it summed. */
export function meanMetric(
  name: string,
  measure: (prediction: Tensor, target: Tensor) => { sum: number; count: number },
  finish: (mean: number) => number = (mean) => mean,
): Metric {
  return {
    name,
    start() {
      let total = 0;
      let counted = 0;
      return {
        add(prediction, target) {
          const { sum, count } = measure(prediction, target);
          total += sum;
          counted += count;
        },
        result: () => finish(total / counted),
      };
    },
  };
}

/** What a metric is: a number about predictions, gathered batch by batch. */
import { Fields } from '../../files/fields.ts';
import type { SavedState } from '../../files/savedState.ts';
import type { Tensor } from '../../tensor.ts';
import type { MetricTask } from './task.ts';

/** Sums over batches, so that the result does not depend on how examples are divided among them. */
export interface Accumulator<Prediction = Tensor, Target = Tensor> {
  /** Takes what the model returned for a batch, and its targets, each [batch, ...]. */
  add(prediction: Prediction, target: Target): void;
  /** The metric over all that was added. */
  result(): number;
  /** What was gathered so far, for a checkpoint within an epoch; with `loadStateDict`, which goes on from it. */
  stateDict?(): SavedState;
  /** @throws AxpyError for a state that it cannot go on from; nothing was then changed. */
  loadStateDict?(state: SavedState): void;
  /**
   * Adds what another sum of the same metric has gathered, as its `stateDict` gave it: that of another process, which saw other
   * examples.
   * @throws AxpyError for a state that it cannot add; nothing was then changed.
   */
  merge?(state: SavedState): void;
}

/** A number about predictions, which `fit` and `evaluate` gather batch by batch. */
export interface Metric<Prediction = Tensor, Target = Tensor, Name extends string = string> {
  /** What records call it. */
  readonly name: Name;
  /** A new sum, of nothing. `fit` and `evaluate` tell what the loss beside the metric says of predictions. */
  start(task?: MetricTask): Accumulator<Prediction, Target>;
}

/** One of a tensor of predictions, as those here are. */
export type Named<Name extends string> = Metric<Tensor, Tensor, Name>;

/** A metric that is a mean: `measure` returns the sum over a batch and how many it summed. */
export function meanMetric<Name extends string, Prediction = Tensor, Target = Tensor>(
  name: Name,
  measure: (prediction: Prediction, target: Target, task: MetricTask) => { sum: number; count: number },
  finish: (mean: number) => number = (mean) => mean,
): Metric<Prediction, Target, Name> {
  return {
    name,
    start(task = {}) {
      let total = 0;
      let counted = 0;
      const read = (state: SavedState) => {
        const fields = new Fields(`the state of ${name}`, state);
        return [fields.number('total'), fields.number('counted')] as const;
      };
      return {
        add(prediction, target) {
          const { sum, count } = measure(prediction, target, task);
          total += sum;
          counted += count;
        },
        result: () => finish(total / counted),
        stateDict: () => ({ total, counted }),
        loadStateDict(state) {
          [total, counted] = read(state);
        },
        merge(state) {
          const [sum, count] = read(state);
          total += sum;
          counted += count;
        },
      };
    },
  };
}

/** Loss and metrics summed over batches. */
import { describe, isFunction, isRecord } from '../arguments.ts';
import { noGrad } from '../autograd.ts';
import { ArgumentError } from '../errors.ts';
import type { Fields } from '../files/fields.ts';
import type { SavedState } from '../files/savedState.ts';
import { mapTensors, rowsOf, type Tensors } from './examples.ts';
import type { Scores } from './history.ts';
import type { Accumulator } from './metrics/metric.ts';
import type { AnyMetric } from './metrics.ts';

/** Means are over examples, so that a smaller last batch weighs what it should. */
export class Tally {
  examples = 0;
  private lossSum = 0;
  private readonly sums: [name: string, sum: Accumulator<unknown, unknown>][];

  constructor(metrics: readonly AnyMetric[]) {
    this.sums = metrics.map((metric) => [metric.name, begin(metric)]);
  }

  /** Adds a batch, with its mean loss where there is one. */
  add(prediction: Tensors, target: Tensors, loss = 0): void {
    const size = rowsOf(target);
    this.examples += size;
    this.lossSum += loss * size;
    if (this.sums.length === 0) return;
    const values = mapTensors(prediction, (x) => x.detach());
    noGrad(() => {
      for (const [, sum] of this.sums) sum.add(values, target);
    });
  }

  /** The first metric that has no state to go on from; undefined where all have. */
  get stateless(): string | undefined {
    return this.sums.find(
      ([, { stateDict, loadStateDict }]) => !(isFunction(stateDict) && isFunction(loadStateDict)),
    )?.[0];
  }

  stateDict(): SavedState {
    const { examples, lossSum, sums } = this;
    return { examples, lossSum, metrics: sums.map(([, sum]) => sum.stateDict!()) };
  }

  /** Goes on from a state of as many metrics. @throws AxpyError for another one */
  loadStateDict(state: Fields): void {
    const metrics = state.list('metrics');
    [this.examples, this.lossSum] = [state.count('examples'), state.number('lossSum')];
    this.sums.forEach(([, sum], i) => {
      sum.loadStateDict!(metrics[i]);
    });
  }

  /** The mean loss over all examples. */
  get loss(): number {
    return this.lossSum / this.examples;
  }

  /** Each metric by its name. @throws ArgumentError for one that is no number. */
  metrics(): Scores {
    return Object.fromEntries(
      this.sums.map(([name, sum]) => {
        const result = sum.result();
        if (typeof result === 'number') return [name, result];
        throw new ArgumentError(`expected the metric ${name} to be a number, got ${describe(result)}`);
      }),
    );
  }
}

/** A new sum. @throws ArgumentError unless it is one. */
function begin(metric: AnyMetric): Accumulator<unknown, unknown> {
  const sum: unknown = metric.start();
  if (isRecord(sum)) {
    const { add, result } = sum as Partial<Accumulator>;
    if (isFunction(add) && isFunction(result)) return sum as Accumulator;
  }
  throw new ArgumentError(
    `expected the metric ${metric.name} to start with an object that has add and result, got ${describe(sum)}`,
  );
}

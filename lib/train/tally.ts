/** Loss and metrics summed over batches. */
import { describe, isFunction, isRecord } from '../arguments.ts';
import { noGrad } from '../autograd.ts';
import { ArgumentError, FormatError } from '../errors.ts';
import { Fields } from '../files/fields.ts';
import type { SavedState } from '../files/savedState.ts';
import { mapTensors, rowsOf, type Tensors } from './examples.ts';
import type { Scores } from './history.ts';
import { type Mean, partOf } from './loss.ts';
import type { Accumulator } from './metrics/metric.ts';
import type { AnyMetric, ChosenMetric } from './metrics.ts';

/** What a model made of a batch. */
export interface Scored extends Partial<Mean> {
  readonly prediction: Tensors;
}

/** Means are over examples, so that a smaller last batch weighs what it should. */
export class Tally {
  examples = 0;
  private lossSum = 0;
  private readonly losses: Map<string, number>;
  private readonly sums: readonly {
    readonly metric: ChosenMetric;
    readonly sum: Accumulator<unknown, unknown>;
  }[];

  /** @param outputs those that have a loss each */
  constructor(metrics: readonly ChosenMetric[], outputs: readonly string[]) {
    this.losses = new Map(outputs.map((output) => [output, 0]));
    this.sums = metrics.map((metric) => ({ metric, sum: begin(metric) }));
  }

  /** What is reported beside the loss. */
  get names(): string[] {
    return [...this.losses.keys()]
      .map((output) => `${output}.loss`)
      .concat(this.sums.map(({ metric }) => metric.name));
  }

  /** Adds a batch, with its mean losses where there are some. */
  add(target: Tensors, { prediction, loss, byOutput = {} }: Scored): void {
    const size = rowsOf(target);
    // The part of a process that had none of a small batch, whose means are of nothing.
    if (size === 0) return;
    this.examples += size;
    if (loss !== undefined) this.lossSum += loss.item() * size;
    for (const [output, own] of Object.entries(byOutput)) {
      this.losses.set(output, (this.losses.get(output) ?? 0) + own.item() * size);
    }
    if (this.sums.length === 0) return;
    const values = mapTensors(prediction, (x) => x.detach());
    noGrad(() => {
      for (const { metric, sum } of this.sums) {
        const { output } = metric;
        if (output === undefined) sum.add(values, target);
        else
          sum.add(
            partOf('metrics', 'outputs', values, output, [output]),
            partOf('metrics', 'targets', target, output, [output]),
          );
      }
    });
  }

  /** The first metric that has no state to go on from; undefined where all have. */
  get stateless(): string | undefined {
    return this.sums.find(
      ({ sum: { stateDict, loadStateDict } }) => !(isFunction(stateDict) && isFunction(loadStateDict)),
    )?.metric.name;
  }

  /** The first metric whose sums over other examples cannot be added to it; undefined where all can. */
  get mergeless(): string | undefined {
    return this.sums.find(({ sum: { stateDict, merge } }) => !(isFunction(stateDict) && isFunction(merge)))
      ?.metric.name;
  }

  stateDict(): SavedState {
    const { examples, lossSum, losses, sums } = this;
    const metrics = sums.map(({ sum }) => sum.stateDict!());
    return { examples, lossSum, losses: Object.fromEntries(losses), metrics };
  }

  /** Goes on from a state of as many metrics. @throws AxpyError for another one */
  loadStateDict(state: Fields): void {
    const metrics = state.list('metrics');
    [this.examples, this.lossSum] = [state.count('examples'), state.number('lossSum')];
    for (const output of this.losses.keys()) this.losses.set(output, state.inner('losses').number(output));
    this.sums.forEach(({ sum }, i) => {
      sum.loadStateDict!(metrics[i]);
    });
  }

  /**
   * Adds what another tally of the same outputs and metrics has gathered of other examples, as its `stateDict` gave it.
   * @throws AxpyError for another state, or metrics that saw something else
   */
  merge(state: SavedState): void {
    const fields = new Fields('the state of a tally', state);
    const [metrics, losses] = [fields.list('metrics'), fields.inner('losses')];
    if (metrics.length !== this.sums.length) {
      throw new FormatError(
        `the state of a tally: expected ${this.sums.length} metrics, got ${metrics.length}`,
      );
    }
    const sums = Array.from(this.losses, ([output, own]) => [output, own + losses.number(output)] as const);
    const [examples, lossSum] = [fields.count('examples'), fields.number('lossSum')];
    this.sums.forEach(({ sum }, i) => {
      sum.merge!(metrics[i]);
    });
    this.examples += examples;
    this.lossSum += lossSum;
    for (const [output, sum] of sums) this.losses.set(output, sum);
  }

  /** The mean loss over all examples. */
  get loss(): number {
    return this.lossSum / this.examples;
  }

  /** The mean losses of outputs, and each metric, by their names. @throws ArgumentError for a metric that is no number. */
  scores(): Scores {
    const losses = Array.from(this.losses.values(), (sum) => sum / this.examples);
    const metrics = this.sums.map(({ metric: { name }, sum }) => {
      const result = sum.result();
      if (typeof result === 'number') return result;
      throw new ArgumentError(`expected the metric ${name} to be a number, got ${describe(result)}`);
    });
    const values = [...losses, ...metrics];
    return Object.fromEntries(this.names.map((name, i) => [name, values[i]]));
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

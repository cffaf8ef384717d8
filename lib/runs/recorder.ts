/** A callback that looks at a training every so often, and tells something that writes it down. */
import { checkOptions, describe, isArray, isInstance, isRecord } from '../arguments.ts';
import { ArgumentError, type ConfusionMatrix, Tensor } from '../index.ts';
import { builtin, host, turn } from '../platform.ts';
import type { Callback, Outcome, TrainingContext } from '../train/callbacks/callback.ts';
import type { BatchEvent, EndEvent, Histogram, Moment, RunEvent } from './events.ts';
import { type Picture, pictureOf } from './image.ts';
import { histogramOf, normOf } from './numbers.ts';

/** What is written down of a training, and how often. */
export interface RecordOptions {
  /** Seconds from one record of batches to the next, at least; 0 for one of each batch. Default 0.25. */
  every?: number;
  /** The same of norms of weights and gradients, or false for none. Default 1. */
  norms?: number | false;
  /** The same of histograms of weights and gradients. Default false. */
  histograms?: number | false;
}

export const recordOptions = ['every', 'norms', 'histograms'] as const;

/** What programs add to the record of a training, as of the step that was taken last; after the training as well. */
export interface RunLog extends Callback {
  /** Numbers by name, as the score on test data. */
  scalars(values: Readonly<Record<string, number>>): Promise<void>;
  /** How values are distributed. */
  histogram(name: string, values: Tensor | ArrayLike<number>): Promise<void>;
  /**
   * An image, [height, width] or [height, width, channels] of 1, 3 or 4 channels, or several, [images, height, width,
   * channels], side by side: floats from 0 to 1, what is beyond cut off; or int32 from 0 to 255.
   */
  image(name: string, pixels: Tensor): Promise<void>;
  /** What `confusionMatrix` returned, or its counts[true class][predicted class], with the names of classes. */
  confusion(
    matrix: ConfusionMatrix | readonly (readonly number[])[],
    options?: { name?: string; labels?: readonly string[] },
  ): Promise<void>;
}

/** An image of which nobody knows yet where it will be. */
export interface Shown extends Moment {
  readonly type: 'picture';
  readonly name: string;
  readonly picture: Picture;
}

/** What writes events down. */
export interface Sink {
  /** @throws where it cannot, before training */
  begin(context: TrainingContext, event: RunEvent): Promise<void>;
  /** Later, in order. */
  write(event: RunEvent | Shown): void;
  /** Until all that was asked for is written. */
  settled(): Promise<void>;
}

/** What is measured takes at most so much of the time, however large the model is. */
const share = 0.005;

/** Says when it is time again. */
class Pace {
  private next = -Infinity;

  /** @param interval in milliseconds */
  constructor(private readonly interval: number) {}

  isDue(now: number): boolean {
    return now >= this.next;
  }

  /** @param cost what it took, in milliseconds: asked for each time, it may take what it takes */
  took(now: number, cost: number): void {
    this.next = this.interval === 0 ? now : now + Math.max(this.interval, cost / share);
  }
}

function paceOf(op: string, name: string, seconds: number | false, canBeFalse: boolean): Pace | null {
  if (seconds === false && canBeFalse) return null;
  if (typeof seconds === 'number' && seconds >= 0 && Number.isFinite(seconds))
    return new Pace(1000 * seconds);
  throw new ArgumentError(
    `[${op}] expected ${name} to be a number of seconds${canBeFalse ? ', or false' : ''}, got ${describe(seconds)}`,
  );
}

/** The batches since the record before. */
class Batches {
  private examples = 0;
  private loss = 0;
  private seconds = 0;
  private since = performance.now();

  get isEmpty(): boolean {
    return this.examples === 0;
  }

  /** Time that was no training's is not counted. */
  resume(): void {
    this.since = performance.now();
  }

  add(size: number, loss: number, now: number): void {
    this.examples += size;
    this.loss += size * loss;
    this.seconds += (now - this.since) / 1000;
    this.since = now;
  }

  take(): { loss: number; examplesPerSecond: number } {
    const { examples, loss, seconds } = this;
    [this.examples, this.loss, this.seconds] = [0, 0, 0];
    return { loss: loss / examples, examplesPerSecond: examples / seconds };
  }
}

/** @internal A callback over a sink. `op` is what messages call it. */
export function recorder(op: string, options: RecordOptions, sink: Sink): RunLog {
  const { every = 0.25, norms = 1, histograms = false } = options;
  const rate = paceOf(op, 'every', every, false)!;
  const paces = {
    norms: paceOf(op, 'norms', norms, true),
    histograms: paceOf(op, 'histograms', histograms, true),
  };
  const measured = Object.values(paces).filter((pace) => pace !== null);
  /** The training under way, and the one that is written of: after its end as well. */
  let current: TrainingContext | undefined;
  let context: TrainingContext | undefined;
  let batches = new Batches();
  let batch = 0;

  const moment = (): Moment => {
    const { step, epoch } = context!;
    return { time: Date.now(), step, epoch };
  };
  const batchEvent = (): BatchEvent => ({
    type: 'batch',
    ...moment(),
    batch,
    ...batches.take(),
    learningRate: context!.optimizer.learningRate,
    memory: host?.memoryUsage?.rss?.() ?? 0,
  });
  const measure = async <Value>(type: 'norms' | 'histograms', of: (x: Tensor) => Value) => {
    const pace = paces[type];
    if (pace === null || !pace.isDue(performance.now())) return;
    const now = moment();
    const [weights, gradients]: Record<string, Value>[] = [{}, {}];
    let cost = 0;
    for (const [name, parameter] of context!.model.namedParameters()) {
      const start = performance.now();
      weights[name] = of(parameter);
      if (parameter.grad !== null) gradients[name] = of(parameter.grad);
      const took = performance.now() - start;
      cost += took;
      if (cost > 5) await turn();
    }
    pace.took(performance.now(), cost);
    sink.write({ type, ...now, weights, gradients } as RunEvent);
  };
  const add = async (method: string, event: (now: Moment) => RunEvent | Shown) => {
    if (context === undefined) {
      throw new ArgumentError(
        `[${method}] expected a training that has begun: give this callback to fit first`,
      );
    }
    sink.write(event(moment()));
    await sink.settled();
  };

  return {
    passive: true,
    rankZeroOnly: true,
    async onTrainBegin(given) {
      if (current !== undefined) {
        throw new ArgumentError(
          `[${op}] expected one training at a time, got a second one: make another for it`,
        );
      }
      const { step, epoch, epochs, history } = given;
      const { pid = 0 } = host ?? {};
      const completed = history.epochs.length;
      const name = builtin('node:os')?.hostname() ?? '';
      const now = { time: Date.now(), step, epoch };
      current = given;
      await sink.begin(given, { type: 'begin', ...now, completed, epochs, pid, host: name });
      [context, batches] = [given, new Batches()];
    },
    onEpochBegin() {
      batches.resume();
    },
    onBatchEnd(_, report) {
      const now = performance.now();
      batches.add(report.size, report.loss, now);
      batch = report.batch;
      if (rate.isDue(now)) {
        sink.write(batchEvent());
        rate.took(now, 0);
      }
      if (!report.updated) return;
      const isDue = measured.some((pace) => pace.isDue(now));
      return isDue ? measure('norms', normOf).then(() => measure('histograms', histogram)) : undefined;
    },
    onEpochEnd(_, record) {
      sink.write({ type: 'epoch', ...moment(), record });
    },
    async onTrainEnd(given, outcome) {
      // A second one was refused, and what cannot begin has nothing to write to.
      if (given !== current) return;
      current = undefined;
      if (given !== context) return;
      if (!batches.isEmpty) sink.write(batchEvent());
      sink.write(endEvent(moment(), given, outcome));
      await sink.settled();
    },
    scalars: (values) => add('scalars', (now) => ({ type: 'scalars', ...now, values: readScalars(values) })),
    histogram: (name, values) =>
      add('histogram', (now) => {
        checkName('histogram', name);
        return { type: 'histogram', ...now, name, histogram: histogramOf(readValues(values)) };
      }),
    image: (name, pixels) =>
      add('image', (now) => {
        checkName('image', name);
        return { type: 'picture', ...now, name, picture: pictureOf('image', pixels) };
      }),
    confusion: (matrix, own = {}) =>
      add('confusion', (now) => ({ type: 'confusion', ...now, ...readConfusion('confusion', matrix, own) })),
  };
}

const histogram = (x: Tensor): Histogram => histogramOf(x.data);

function endEvent(now: Moment, { history }: TrainingContext, outcome: Outcome): EndEvent {
  const { stopped, bestEpoch } = history;
  const best = bestEpoch === undefined ? {} : { bestEpoch };
  if (!('error' in outcome)) {
    const how =
      stopped === undefined
        ? ({ outcome: 'finished' } as const)
        : ({ outcome: 'stopped', reason: stopped } as const);
    return { type: 'end', ...now, ...how, ...best };
  }
  const { error } = outcome;
  const {
    name = 'Error',
    message = describe(error),
    code,
  } = (isRecord(error) ? error : {}) as {
    [key: string]: unknown;
  };
  const own = typeof code === 'string' ? { code } : {};
  const how = code === 'AXPY_ABORT' ? 'aborted' : 'failed';
  return {
    type: 'end',
    ...now,
    outcome: how,
    error: { name: String(name), ...own, message: String(message) },
    ...best,
  };
}

export function checkName(op: string, name: unknown): void {
  if (typeof name === 'string' && name !== '') return;
  throw new ArgumentError(`[${op}] expected name to be a string, got ${describe(name)}`);
}

function readScalars(values: Readonly<Record<string, number>>): Record<string, number> {
  if (!isRecord(values)) {
    throw new ArgumentError(`[scalars] expected numbers by name, got ${describe(values)}`);
  }
  const own = Object.entries(values);
  for (const [name, value] of own) {
    if (typeof value !== 'number') {
      throw new ArgumentError(`[scalars] expected ${name} to be a number, got ${describe(value)}`);
    }
  }
  return Object.fromEntries(own);
}

function readValues(values: Tensor | ArrayLike<number>): ArrayLike<number> {
  if (isInstance(values, Tensor)) return values.data;
  if (ArrayBuffer.isView(values)) return values as unknown as Float64Array;
  if (isArray(values)) {
    const own = Float64Array.from(values as number[]);
    const wrong = (values as unknown[]).findIndex((value) => typeof value !== 'number');
    if (wrong < 0) return own;
    throw new ArgumentError(
      `[histogram] expected values to be numbers, got ${describe(values[wrong])} at ${wrong}`,
    );
  }
  throw new ArgumentError(`[histogram] expected values to be a tensor or numbers, got ${describe(values)}`);
}

export interface Confusion {
  readonly name: string;
  readonly labels: readonly string[];
  readonly counts: readonly (readonly number[])[];
}

/** A table of classes by their names. @throws ArgumentError unless it is as wide as high, of numbers from 0 on */
export function readConfusion(
  op: string,
  matrix: ConfusionMatrix | readonly (readonly number[])[],
  options: { name?: string; labels?: readonly string[] },
): Confusion {
  checkOptions(op, options, ['name', 'labels']);
  const given: unknown = isRecord(matrix) ? (matrix as ConfusionMatrix).counts : matrix;
  const rows = isArray(given) ? given : [];
  const isCount = (value: unknown) => typeof value === 'number' && value >= 0 && Number.isFinite(value);
  const isRow = (row: unknown) => isArray(row) && row.length === rows.length && row.every(isCount);
  if (rows.length === 0 || !rows.every(isRow)) {
    throw new ArgumentError(
      `[${op}] expected a confusion matrix, as many rows as columns of counts, got ${describe(matrix)}`,
    );
  }
  const { name = 'confusion', labels = rows.map((_, i) => String(i)) } = options;
  checkName(op, name);
  if (!(isArray(labels) && labels.length === rows.length && labels.every((one) => typeof one === 'string'))) {
    throw new ArgumentError(`[${op}] expected ${rows.length} labels, got ${describe(labels)}`);
  }
  return { name, labels: [...labels], counts: rows.map((row) => [...(row as number[])]) };
}

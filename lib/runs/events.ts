/** What is written down of a training: records of a few kinds, each a line of JSON in `events.jsonl`. */
import { isRecord } from '../arguments.ts';
import { FormatError } from '../errors.ts';
import type { EpochRecord } from '../train/history.ts';

/** When something was. */
export interface Moment {
  /** Milliseconds since 1970, as of `Date.now()`. */
  readonly time: number;
  /** How many batches had been trained on, in all epochs. */
  readonly step: number;
  /** The epoch under way, from 1; 0 before the first. */
  readonly epoch: number;
}

/** Training begins, or goes on from a checkpoint. What came after that step and those epochs before this line is no more. */
export interface BeginEvent extends Moment {
  readonly type: 'begin';
  /** The epochs that have a record. */
  readonly completed: number;
  /** How many are planned. */
  readonly epochs: number;
  /** The process that trains, and its machine. */
  readonly pid: number;
  readonly host: string;
}

/** The batches since the record before, of which the last one is `batch`. */
export interface BatchEvent extends Moment {
  readonly type: 'batch';
  /** From 1, within the epoch. */
  readonly batch: number;
  /** The mean over the examples of these batches, each as it was before its update. */
  readonly loss: number;
  /** That of the next update, of the optimizer's first group. */
  readonly learningRate: number;
  readonly examplesPerSecond: number;
  /** Resident memory of the process, in bytes. */
  readonly memory: number;
}

/** By the names of parameters. */
export type ByParameter<Value> = Readonly<Record<string, Value>>;

/** The norms √Σx² of weights after an update, and of the gradients that it was made with. */
export interface NormsEvent extends Moment {
  readonly type: 'norms';
  readonly weights: ByParameter<number>;
  /** Of those parameters alone that have one. */
  readonly gradients: ByParameter<number>;
}

/** How many values are in each of equal parts of [min, max]; all of it over the finite ones. */
export interface Histogram {
  readonly min: number;
  readonly max: number;
  readonly mean: number;
  /** The standard deviation √(Σ(x − mean)²/n). */
  readonly std: number;
  readonly counts: readonly number[];
  /** How many are NaN or infinite, where there are such. */
  readonly notFinite?: number;
}

/** How weights after an update are distributed, and the gradients that it was made with. */
export interface HistogramsEvent extends Moment {
  readonly type: 'histograms';
  readonly weights: ByParameter<Histogram>;
  readonly gradients: ByParameter<Histogram>;
}

/** What `fit` has in its history. */
export interface EpochEvent extends Moment {
  readonly type: 'epoch';
  readonly record: EpochRecord;
}

/** Numbers of a program's own. */
export interface ScalarsEvent extends Moment {
  readonly type: 'scalars';
  readonly values: Readonly<Record<string, number>>;
}

/** A histogram of a program's own. */
export interface HistogramEvent extends Moment {
  readonly type: 'histogram';
  readonly name: string;
  readonly histogram: Histogram;
}

/** A picture of a program's own. */
export interface ImageEvent extends Moment {
  readonly type: 'image';
  readonly name: string;
  readonly width: number;
  readonly height: number;
  /** The PNG, by its path within the folder of the run. */
  readonly file: string;
}

/** A table of true against predicted classes, of a program's own. */
export interface ConfusionEvent extends Moment {
  readonly type: 'confusion';
  readonly name: string;
  /** What classes are called. */
  readonly labels: readonly string[];
  /** counts[true class][predicted class] */
  readonly counts: readonly (readonly number[])[];
}

/** Training ended. Where there is no such line after the last `begin`, it goes on, or its process was ended. */
export interface EndEvent extends Moment {
  readonly type: 'end';
  /** After its last epoch; by a callback's `stop`; by its signal; by an error. */
  readonly outcome: 'finished' | 'stopped' | 'aborted' | 'failed';
  /** What `stop` was told. */
  readonly reason?: string;
  readonly error?: { readonly name: string; readonly code?: string; readonly message: string };
  /** The epoch that early stopping found best. */
  readonly bestEpoch?: number;
}

/** A line of a run. */
export type RunEvent =
  | BeginEvent
  | BatchEvent
  | NormsEvent
  | HistogramsEvent
  | EpochEvent
  | ScalarsEvent
  | HistogramEvent
  | ImageEvent
  | ConfusionEvent
  | EndEvent;

// ── lines ───────────────────────────────────────────────────────────────────────────────────────────────────────────

/** Numbers that JSON has no text for are strings. */
const words = new Map([NaN, Infinity, -Infinity].map((number) => [String(number), number]));

const toJson = (_key: string, value: unknown): unknown =>
  typeof value === 'number' && !Number.isFinite(value) ? String(value) : value;

export const jsonOf = (value: unknown, indent?: number): string => JSON.stringify(value, toJson, indent);

export const lineOf = (event: RunEvent): string => `${jsonOf(event)}\n`;

const numberOf = (value: unknown): unknown =>
  typeof value === 'string' ? (words.get(value) ?? value) : value;

/** Where an event has numbers: in itself, in its records, and in records of those. */
function numbersOf(value: object, depth: number): object {
  return Object.fromEntries(
    Object.entries(value).map(([name, one]) => [
      name,
      isRecord(one) && depth > 0 ? numbersOf(one, depth - 1) : numberOf(one),
    ]),
  );
}

/** The parts of an event that consist of numbers alone. */
const numeric = ['record', 'weights', 'gradients', 'values', 'histogram'];
const counted = ['loss', 'learningRate', 'examplesPerSecond'];
const types: readonly unknown[] = [
  'begin',
  'batch',
  'norms',
  'histograms',
  'epoch',
  'scalars',
  'histogram',
  'image',
  'confusion',
  'end',
] satisfies RunEvent['type'][];

/** The event of a line; undefined for one of a later version. @throws FormatError for what is none */
export function eventOf(line: string): RunEvent | undefined {
  let event: unknown;
  try {
    event = JSON.parse(line);
  } catch (cause) {
    throw new FormatError(`expected a line of JSON, got ${JSON.stringify(line.slice(0, 60))}`, { cause });
  }
  if (!isRecord(event)) throw new FormatError(`expected an object, got ${line.slice(0, 60)}`);
  const own: Record<string, unknown> = { ...event };
  if (!types.includes(own.type)) return undefined;
  for (const name of ['time', 'step', 'epoch'] as const) {
    if (!Number.isFinite(own[name])) {
      throw new FormatError(`expected an event with a number as ${name}, got ${line.slice(0, 60)}`);
    }
  }
  for (const name of counted) if (name in own) own[name] = numberOf(own[name]);
  for (const name of numeric) if (isRecord(own[name])) own[name] = numbersOf(own[name], 1);
  return own as unknown as RunEvent;
}

/** The events of whole lines; what is behind the last end of a line is still being written. */
export function eventsIn(op: string, path: string, text: string): RunEvent[] {
  const lines = text.split('\n').slice(0, -1);
  return lines.flatMap((line, i) => {
    try {
      const event = eventOf(line);
      return event === undefined ? [] : [event];
    } catch (error) {
      if (error instanceof FormatError) error.message = `[${op}] ${error.message} (${path}, line ${i + 1})`;
      throw error;
    }
  });
}

/** Events as one history: without what a training that went on from a checkpoint did anew. */
export function oneHistory(events: Iterable<RunEvent>): RunEvent[] {
  let kept: RunEvent[] = [];
  for (const event of events) {
    if (event.type === 'begin') {
      const { step, completed } = event;
      kept = kept.filter(
        (old) =>
          old.step <= step && old.type !== 'end' && !(old.type === 'epoch' && old.record.epoch > completed),
      );
    }
    kept.push(event);
  }
  return kept;
}

/** Numbers that a rule reads of a group of parameters: what they may be, and which values a step finds. */
import { describe, isFunction, isRecord } from '../arguments.ts';
import { ArgumentError } from '../errors.ts';
import { refuseRecording } from '../kernels/recorder.ts';
import { allocateShared } from '../memory.ts';
import type { Schedule } from './schedules.ts';

/** The finite numbers that a hyperparameter or a number of the state may be. */
export interface Domain {
  /** The smallest one. */
  readonly low?: number;
  /** What they are less than. */
  readonly under?: number;
  readonly integer?: boolean;
}

/** A hyperparameter, which a rule gets as a tensor of one element. */
export interface Hyperparameter extends Domain {
  readonly value: number | boolean;
  /** Whether it is true or false, which a rule gets as 1 or 0. */
  readonly flag?: boolean;
}

/** A learning rate that follows a schedule. */
interface ScheduledRate extends Domain {
  readonly value: Schedule;
}

/** @throws ArgumentError unless value is a finite number of the domain. */
export function checkNumber(
  op: string,
  name: string,
  value: unknown,
  { low = -Infinity, under = Infinity, integer = false }: Domain,
): asserts value is number {
  const isWithin = typeof value === 'number' && Number.isFinite(value) && value >= low && value < under;
  if (isWithin && (!integer || Number.isInteger(value))) return;
  const kind = integer ? 'an integer' : under < Infinity ? '' : 'a finite number';
  const bounds = [
    ...(low > -Infinity ? [`at least ${low}`] : []),
    ...(under < Infinity ? [`less than ${under}`] : []),
  ].join(' and ');
  const of = kind !== '' && bounds !== '' ? ' of ' : '';
  throw new ArgumentError(`[${op}] expected ${name} to be ${kind}${of}${bounds}, got ${describe(value)}`);
}

/** A record of records, read once. */
export function readEntries<Kind extends object>(
  op: string,
  name: string,
  record: Readonly<Record<string, Kind>>,
): [name: string, entry: Kind][] {
  const entries = isRecord(record) ? Object.entries(record) : null;
  if (entries?.every(([, entry]) => isRecord(entry)))
    return entries.map(([key, entry]) => [key, { ...entry }]);
  throw new ArgumentError(`[${op}] expected ${name} to be a record of objects, got ${describe(record)}`);
}

/** @throws ArgumentError for a name that is none, or is there twice */
export function checkNames(op: string, names: readonly string[]): void {
  for (const name of names) {
    if (typeof name !== 'string') {
      throw new ArgumentError(`[${op}] expected names of state, got ${describe(name)}`);
    }
  }
  const repeated = names.find((name, i) => names.indexOf(name) !== i);
  if (repeated === undefined) return;
  throw new ArgumentError(`[${op}] expected each name once, got ${describe(repeated)} twice`);
}

/** Where the learning rate is among them. */
const rate = 0;

/** What an optimizer says of the hyperparameters of all its groups, in the order in which kernels read them. */
export class HyperNames {
  readonly names: readonly string[];

  constructor(
    readonly op: string,
    private readonly all: readonly (readonly [name: string, hyper: Hyperparameter | ScheduledRate])[],
  ) {
    this.names = all.map(([name]) => name);
  }

  /** What a group has: what it says itself, else what all have. @throws ArgumentError out of a domain */
  read(own: Readonly<Record<string, unknown>>): { numbers: number[]; schedule: Schedule | null } {
    const given = this.all.map(([name, { value }]) => (own[name] === undefined ? value : own[name]));
    const schedule = isFunction(given[rate]) ? (given[rate] as Schedule) : null;
    if (schedule !== null) given[rate] = this.rateAt(schedule, 0);
    return { numbers: given.map((value, at) => this.number(at, value)), schedule };
  }

  /** The number for a value of one of them. @throws ArgumentError out of its domain */
  number(at: number, value: unknown): number {
    const [name, domain] = this.all[at];
    if (!this.isFlag(at)) {
      checkNumber(this.op, name, value, domain as Domain);
      return value;
    }
    if (typeof value === 'boolean') return Number(value);
    throw new ArgumentError(`[${this.op}] expected ${name} to be true or false, got ${describe(value)}`);
  }

  /** The same for numbers of a state. */
  check(numbers: readonly number[]): void {
    numbers.forEach((number, at) => {
      const [name, domain] = this.all[at];
      checkNumber(
        this.op,
        name,
        number,
        this.isFlag(at) ? { low: 0, under: 2, integer: true } : (domain as Domain),
      );
    });
  }

  /** @throws ArgumentError where a schedule gives none */
  rateAt(schedule: Schedule, step: number): number {
    const value = schedule(step);
    checkNumber(this.op, `the learning rate after ${step} steps`, value, { low: 0 });
    return value;
  }

  isFlag(at: number): boolean {
    return (this.all[at][1] as Hyperparameter).flag === true;
  }

  record(numbers: ArrayLike<number>): Record<string, number> {
    return Object.fromEntries(this.names.map((name, i) => [name, numbers[i]]));
  }
}

/** What a step reads of a group, in memory of its own where another step of the same run may find another rate. */
export interface Reading {
  readonly buffer: Float64Array;
  /** For a queued run: what it will write before it starts, as values may change until then. */
  capture(): () => void;
}

/** The hyperparameters of one group. */
export class Hyper {
  readonly schedule: Schedule | null;
  /** What a step finds that is asked for now. Replaced when one is set, as a run that waits has the others. */
  private own: readonly number[];
  /** Of the first step of a run, of the second, … */
  private readonly readings: Reading[] = [];

  constructor(
    private readonly all: HyperNames,
    { numbers, schedule }: { numbers: readonly number[]; schedule: Schedule | null },
    /** Whether they fit together. */
    private readonly check: (values: Readonly<Record<string, number>>) => void,
    /** How many steps the optimizer has taken, where it counts them. */
    private readonly taken: () => number,
  ) {
    check(all.record(numbers));
    this.own = numbers;
    this.schedule = schedule;
  }

  /** As the next step finds them. */
  get values(): readonly number[] {
    return this.valuesAt(0);
  }

  /** As a step finds them before which so many are still to come. */
  private valuesAt(later: number): readonly number[] {
    const { schedule, own, all } = this;
    if (schedule === null) return own;
    return own.map((value, at) => (at === rate ? all.rateAt(schedule, this.taken() + later) : value));
  }

  /** @throws ArgumentError for a value that it may not have, AutogradError in a function that is being compiled */
  set(at: number, value: unknown): void {
    const { all, schedule } = this;
    const name = all.names[at];
    refuseRecording(name);
    if (at === rate && schedule !== null) {
      throw new ArgumentError(
        `[${all.op}] expected learningRate to follow its schedule, got ${describe(value)}`,
      );
    }
    const values = [...this.own];
    values[at] = all.number(at, value);
    this.check(all.record(values));
    this.own = values;
  }

  /** Checked before. */
  load(values: readonly number[]): void {
    this.own = values;
  }

  /** What a step reads before which so many are made by the same run. */
  reading(later: number): Reading {
    const nth = this.schedule === null ? 0 : later;
    for (let i = this.readings.length; i <= nth; i++) this.readings.push(this.makeReading(i));
    return this.readings[nth];
  }

  /** For a step that is made now. */
  write(): void {
    writeTo(this.reading(0).buffer, this.values);
  }

  private makeReading(later: number): Reading {
    const buffer = allocateShared(this.own.length, 'float64');
    writeTo(buffer, this.own);
    return {
      buffer,
      capture: () => {
        const { own } = this;
        if (this.schedule === null) return () => writeTo(buffer, own);
        // Steps before it may fail, which count none: by its turn it is known how many there are.
        return () => writeTo(buffer, this.valuesAt(later));
      },
    };
  }
}

/** A few numbers, which `set` takes longer for. */
function writeTo(buffer: Float64Array, values: readonly number[]): void {
  for (let i = 0; i < values.length; i++) buffer[i] = values[i];
}

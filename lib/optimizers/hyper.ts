/** Numbers that a rule reads of a group of parameters: what they may be, and which values a step finds. */
import { describe } from '../arguments.ts';
import { ArgumentError } from '../errors.ts';
import { refuseRecording } from '../kernels/recorder.ts';
import { allocateShared } from '../memory.ts';

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

/** The hyperparameters of all groups of an optimizer: their names, in the order in which kernels read them. */
export class HyperNames {
  readonly names: readonly string[];

  constructor(
    private readonly op: string,
    private readonly all: readonly (readonly [name: string, hyper: Hyperparameter])[],
  ) {
    this.names = all.map(([name]) => name);
  }

  /** Values for a group: those that it says itself, else those of all. @throws ArgumentError out of a domain */
  values(own: Readonly<Record<string, unknown>>): number[] {
    return this.all.map(([name, { value }], i) => this.read(i, own[name] === undefined ? value : own[name]));
  }

  /** The number for a value of one of them. @throws ArgumentError out of its domain */
  read(at: number, value: unknown): number {
    const [name, domain] = this.all[at];
    if (!this.isFlag(at)) {
      checkNumber(this.op, name, value, domain);
      return value;
    }
    if (typeof value === 'boolean') return Number(value);
    throw new ArgumentError(`[${this.op}] expected ${name} to be true or false, got ${describe(value)}`);
  }

  /** The same for numbers of a state. */
  check(numbers: readonly number[]): void {
    numbers.forEach((number, at) => {
      const [name, domain] = this.all[at];
      checkNumber(this.op, name, number, this.isFlag(at) ? { low: 0, under: 2, integer: true } : domain);
    });
  }

  isFlag(at: number): boolean {
    return this.all[at][1].flag === true;
  }

  record(numbers: ArrayLike<number>): Record<string, number> {
    return Object.fromEntries(this.names.map((name, i) => [name, numbers[i]]));
  }
}

/** Those of one group. */
export class Hyper {
  /** What kernels read: brought up to date before a step. */
  readonly buffer: Float64Array;
  /** What a step finds that is asked for now. Replaced when one is set, as a run that waits has the others. */
  private own: readonly number[];

  constructor(
    private readonly all: HyperNames,
    values: readonly number[],
    /** Whether they fit together. */
    private readonly check: (values: Readonly<Record<string, number>>) => void,
  ) {
    check(all.record(values));
    this.own = values;
    this.buffer = allocateShared(values.length, 'float64');
    this.buffer.set(values);
  }

  get values(): readonly number[] {
    return this.own;
  }

  set(at: number, value: unknown): void {
    const name = this.all.names[at];
    refuseRecording(name);
    const values = [...this.own];
    values[at] = this.all.read(at, value);
    this.check(this.all.record(values));
    this.own = values;
  }

  /** Checked before. */
  load(values: readonly number[]): void {
    this.own = values;
    this.write();
  }

  /** For a step that is made now. */
  write(): void {
    writeTo(this.buffer, this.own);
  }

  /** For a queued run: what it will write before it starts, as they may change until then. */
  capture(): () => void {
    const { buffer, own } = this;
    return () => writeTo(buffer, own);
  }
}

/** A few numbers, which `set` takes longer for. */
function writeTo(buffer: Float64Array, values: readonly number[]): void {
  for (let i = 0; i < values.length; i++) buffer[i] = values[i];
}

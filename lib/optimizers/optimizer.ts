/**
 * What optimizers share. An optimizer is a rule for one parameter, written with ops on tensors: the base class keeps the
 * state that the rule names, and runs it for all parameters in one call of a kernel.
 */
import { describe, isRecord, readIterable, readList, readOptions } from '../arguments.ts';
import { ArgumentError } from '../errors.ts';
import type { Instructions } from '../kernels/elementwise.ts';
import { type Call, type Float, kernels, reduceCode } from '../kernels/index.ts';
import { settleRuns } from '../kernels/queue.ts';
import { recording, refuseRecording } from '../kernels/recorder.ts';
import { allocateShared, copyOf, type FloatDtype, release, take } from '../memory.ts';
import { nameClass } from '../names.ts';
import { where } from '../ops/binary.ts';
import { Parameter } from '../parameter.ts';
import { show } from '../shape.ts';
import { type Named, readState } from '../state.ts';
import { checkFloat, checkTensor, floats, Tensor } from '../tensor.ts';
import { Group } from './group.ts';
import { traceRule } from './rule.ts';

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
  readonly value: number;
}

/** What an optimizer is made of, beside its rule. */
export interface OptimizerOptions {
  readonly learningRate: number;
  /** λ of λ/2·‖W‖²: λ·W is added to the gradient of weights (rank ≥ 2), not of biases, before the rule sees it. Default 0. */
  readonly l2?: number;
  /** The other hyperparameters, by the names that the rule knows them by. */
  readonly hyper?: Readonly<Record<string, Hyperparameter>>;
  /** Names of what is kept for each element of a parameter; zeros at first. */
  readonly state?: readonly string[];
  /** Names of the numbers that are kept for each parameter, such as a count of steps, and what they may be; 0 at first. */
  readonly scalars?: Readonly<Record<string, Domain>>;
}

/** @throws ArgumentError unless value is a finite number of the domain. */
function checkHyper(
  optimizer: Optimizer,
  name: string,
  value: number,
  { low = -Infinity, under = Infinity, integer = false }: Domain,
): void {
  const isWithin = typeof value === 'number' && Number.isFinite(value) && value >= low && value < under;
  if (isWithin && (!integer || Number.isInteger(value))) return;
  const kind = integer ? 'an integer' : under < Infinity ? '' : 'a finite number';
  const bounds = [
    ...(low > -Infinity ? [`at least ${low}`] : []),
    ...(under < Infinity ? [`less than ${under}`] : []),
  ].join(' and ');
  const of = kind !== '' && bounds !== '' ? ' of ' : '';
  const op = optimizer.constructor.name;
  throw new ArgumentError(`[${op}] expected ${name} to be ${kind}${of}${bounds}, got ${describe(value)}`);
}

/** The names that every rule knows. */
const given = ['p', 'g', 'decays'];

export abstract class Optimizer {
  static {
    nameClass(Optimizer, 'Optimizer');
  }

  readonly parameters: readonly Tensor[];
  /** What the rule reads of all parameters at each step: the learning rate, the hyperparameters, λ. */
  private readonly hyper: Float64Array;
  private readonly hyperNames: readonly string[];
  private readonly domains: readonly Domain[];
  /** The state of each kind, one buffer a parameter. */
  private readonly slots = new Map<string, readonly Float[]>();
  /** A row for each parameter: 1 where L2 applies or 0, then its scalars. */
  private readonly rows: Float64Array;
  private readonly scalars: readonly (readonly [name: string, domain: Domain])[];
  private rate: number;
  private instructions: Instructions | null = null;
  /** One for each dtype, made at the first step. */
  private groups: readonly Group[] | null = null;

  /**
   * @param parameters leaves, as `model.parameters()`; one whose `requiresGrad` is false rests until it is true
   * @throws ArgumentError for no parameters, the same one twice, a computed tensor, a number outside of its domain, or a
   *   name given twice
   */
  protected constructor(parameters: Iterable<Tensor>, options: OptimizerOptions) {
    const op = new.target.name;
    const {
      learningRate,
      l2 = 0,
      hyper = {},
      state = [],
      scalars = {},
    } = readOptions(op, options, ['learningRate', 'l2', 'hyper', 'state', 'scalars']);
    const slots = readList(op, 'state', state);
    const all: [string, Hyperparameter][] = [
      ['learningRate', { value: learningRate, low: 0 }],
      ...readEntries(op, 'hyper', hyper),
      ['l2', { value: l2, low: 0 }],
    ];
    this.hyperNames = all.map(([name]) => name);
    this.domains = all.map(([, domain]) => domain);
    this.scalars = readEntries(op, 'scalars', scalars);
    checkNames(op, this.hyperNames);
    checkNames(op, [...given, ...slots, ...this.scalars.map(([name]) => name)]);
    for (const slot of slots) this.slots.set(slot, []);
    const values = all.map(([, { value }]) => value);
    this.#checkHyper(values);
    this.parameters = readParameters(op, parameters);
    for (const slot of slots) this.slots.set(slot, this.parameters.map(zerosLike));
    this.rows = allocateShared(this.parameters.length * this.width, 'float64');
    this.parameters.forEach((parameter, i) => {
      this.rows[i * this.width] = decays(parameter) ? 1 : 0;
    });
    this.hyper = allocateShared(values.length, 'float64');
    this.hyper.set(values);
    this.rate = learningRate;
  }

  /**
   * What a step does to a parameter: from `p`, its gradient `g`, what the options name as state and scalars, and `decays` (1
   * or 0: whether L2 applies), to the new values of all that is kept: `p`, state and scalars. It is written with elementwise
   * ops, runs once, on stand-ins, and holds for every parameter; the numbers that it reads from elsewhere stay as they were
   * then. Scalars and hyperparameters are tensors of one element, computed with in float64; a `where` by one of them takes
   * its side without computing the other.
   */
  protected abstract rule(
    values: Readonly<Record<string, Tensor>>,
    hyper: Readonly<Record<string, Tensor>>,
  ): Record<string, Tensor>;

  /** @throws ArgumentError where hyperparameters, given to the constructor or by a state, do not fit together. */
  protected check(_hyper: Readonly<Record<string, number>>): void {}

  /** Whether this is a name of the state. */
  protected keeps(name: string): boolean {
    return this.slots.has(name);
  }

  private get width(): number {
    return 1 + this.scalars.length;
  }

  #checkHyper(values: readonly number[]): void {
    values.forEach((value, i) => {
      checkHyper(this, this.hyperNames[i], value, this.domains[i]);
    });
    this.check(Object.fromEntries(values.map((value, i) => [this.hyperNames[i], value])));
  }

  /** α, the size of a step; may be set at any time. @throws ArgumentError for a negative number or NaN. */
  get learningRate(): number {
    return this.rate;
  }

  set learningRate(value: number) {
    refuseRecording('learningRate');
    checkHyper(this, 'learningRate', value, { low: 0 });
    this.rate = value;
  }

  /** What `JSON.stringify` shows: the class and the hyperparameters. What is kept for each parameter is in `stateDict`. */
  toJSON(): Record<string, unknown> {
    const hyper = this.hyperNames.map((name, i): [string, number] => [name, this.hyper[i]]);
    return {
      type: this.constructor.name,
      ...Object.fromEntries(hyper),
      learningRate: this.rate,
    };
  }

  /** @internal For a queued run: what it will write before it starts, as the learning rate may change until then. */
  capture(): () => void {
    const { rate } = this;
    return () => {
      this.hyper[0] = rate;
    };
  }

  /**
   * Updates every parameter that has a gradient and wants one.
   * @throws DataError for one whose buffer, or whose gradient's, was detached; nothing was then changed.
   */
  step(): void {
    this.groups ??= this.makeGroups();
    const { groups } = this;
    for (let i = 0; i < groups.length; i++) groups[i].gather();
    // A run that waits reads what was captured for it.
    if (recording === null) this.hyper[0] = this.rate;
    else recording.settings.add(this);
    for (let i = 0; i < groups.length; i++) {
      const group = groups[i];
      if (group.gradients.length === 0) continue;
      group.announce();
      group.run(() => this.update(group, this.rows, this.hyper));
    }
  }

  /** @internal The call that runs the rule for a group. A kernel that does the same faster may take its place. */
  update({ outs, gradients, rows }: Group, scalars: Float64Array, hyper: Float64Array): Call {
    this.instructions ??= this.trace();
    const { code, constants } = this.instructions;
    return ['elementwise', outs, gradients, scalars, rows, hyper, constants, code, 1];
  }

  /** @internal The rule as instructions. */
  trace(): Instructions {
    const names = {
      outs: ['p', ...this.slots.keys()],
      ins: ['g'],
      flags: ['decays'],
      scalars: this.scalars.map(([name]) => name),
      shared: this.hyperNames,
    };
    return traceRule(names, (values, hyper) => {
      const { p, g, decays } = values;
      const { l2 } = hyper;
      return this.rule({ ...values, g: where(decays.mul(l2), g.add(p.mul(l2)), g) }, hyper);
    });
  }

  private makeGroups(): Group[] {
    const slots = [...this.slots.values()];
    const members = this.parameters.map((parameter, row) => ({
      parameter,
      row,
      state: slots.map((slot) => slot[row]),
    }));
    return (['float32', 'float64'] as const)
      .map((dtype) => members.filter(({ parameter }) => parameter.dtype === dtype))
      .filter((own) => own.length > 0)
      .map((own) => new Group(own));
  }

  /** Forgets all gradients. */
  zeroGrad(): void {
    for (let i = 0; i < this.parameters.length; i++) this.parameters[i].zeroGrad();
  }

  /** λ/2·‖W‖² over the weights, the second term of equation (9) of the notes; 0 without `l2`. */
  penalty(): number {
    refuseRecording('penalty');
    const lambda = this.hyper[this.hyper.length - 1];
    if (lambda === 0) return 0;
    let total = 0;
    for (const parameter of this.parameters) {
      if (!decays(parameter)) continue;
      const sum = take(1, parameter.dtype as FloatDtype);
      kernels.reduce(sum, floats(parameter), 1, parameter.size, 1, 1, reduceCode.sumOfSquares, 1);
      total += sum[0];
      release(sum);
    }
    return (lambda / 2) * total;
  }

  /** Copies of the hyperparameters and of all state, by name. */
  stateDict(): Record<string, Tensor> {
    settleRuns();
    this.hyper[0] = this.rate;
    const state: Record<string, Tensor> = {};
    for (const [name, { data, shape, dtype }] of this.namedState()) {
      state[name] = new Tensor(copyOf(data), shape, dtype);
    }
    return state;
  }

  /**
   * Continues from a state.
   * @throws ArgumentError, ShapeError or DataError when it is another optimizer's, or when a hyperparameter is none that the
   *   constructor takes; nothing was then changed.
   */
  loadStateDict(state: Readonly<Record<string, Tensor>>): void {
    refuseRecording('loadStateDict');
    const own = this.namedState();
    const values = readState('loadStateDict', own, state);
    this.#checkHyper([...values[0]]);
    const domains = new Map(this.scalars);
    own.forEach(([name], i) => {
      const domain = domains.get(name.slice(0, name.lastIndexOf('.')));
      if (domain !== undefined) checkHyper(this, name, values[i][0], domain);
    });
    settleRuns();
    own.forEach(([, { data }], i) => {
      data.set(values[i]);
    });
    this.rate = this.hyper[0];
  }

  /** The hyperparameters come first. */
  private namedState(): Named<Tensor> {
    return [
      ['hyper', new Tensor(this.hyper, [this.hyper.length], 'float64')],
      ...this.state().map(({ slot, at, values }): [string, Tensor] => {
        const { shape, dtype } = this.parameters[at];
        const isSlot = this.slots.has(slot);
        return [`${slot}.${at}`, new Tensor(values, isSlot ? shape : [], isSlot ? dtype : 'float64')];
      }),
    ];
  }

  /** @internal What is kept of each kind for the parameter at each position. */
  state(): { slot: string; at: number; values: Float }[] {
    const arrays = [...this.slots].flatMap(([slot, buffers]) =>
      buffers.map((values, at) => ({ slot, at, values })),
    );
    const numbers = this.scalars.flatMap(([slot], i) =>
      this.parameters.map((_, at) => {
        const place = at * this.width + 1 + i;
        return { slot, at, values: this.rows.subarray(place, place + 1) };
      }),
    );
    return [...arrays, ...numbers];
  }
}

/** A record of records, read once. */
function readEntries<Kind extends object>(
  op: string,
  name: string,
  record: Readonly<Record<string, Kind>>,
): [name: string, entry: Kind][] {
  const entries = isRecord(record) ? Object.entries(record) : null;
  if (entries?.every(([, entry]) => isRecord(entry)))
    return entries.map(([key, entry]) => [key, { ...entry }]);
  throw new ArgumentError(`[${op}] expected ${name} to be a record of objects, got ${describe(record)}`);
}

function checkNames(op: string, names: readonly string[]): void {
  for (const name of names) {
    if (typeof name !== 'string') {
      throw new ArgumentError(`[${op}] expected names of state, got ${describe(name)}`);
    }
  }
  const repeated = names.find((name, i) => names.indexOf(name) !== i);
  if (repeated === undefined) return;
  throw new ArgumentError(`[${op}] expected each name once, got ${describe(repeated)} twice`);
}

/** L2 applies to what says so, by default to weights (rank ≥ 2), not to biases. */
function decays(parameter: Tensor): boolean {
  return parameter instanceof Parameter ? parameter.decays : parameter.rank >= 2;
}

function zerosLike(parameter: Tensor): Float {
  return allocateShared(parameter.size, parameter.dtype as FloatDtype);
}

function readParameters(op: string, parameters: Iterable<Tensor>): Tensor[] {
  const list = readIterable(parameters);
  if (list === null) {
    throw new ArgumentError(
      `[${op}] expected parameters to be an iterable, as model.parameters() is, got ${describe(parameters)}`,
    );
  }
  const own = new Set<Tensor>();
  // Checked as they come: an iterable need not have an end.
  for (const parameter of list) {
    checkTensor(op, parameter, 'each parameter');
    checkFloat(op, parameter);
    if (parameter.node !== null) {
      throw new ArgumentError(
        `[${op}] expected parameters to be leaves, got a computed tensor of shape ${show(parameter.shape)}`,
      );
    }
    if (own.has(parameter))
      throw new ArgumentError(`[${op}] expected each parameter once, got one of them twice`);
    own.add(parameter);
  }
  if (own.size === 0) throw new ArgumentError(`[${op}] expected at least one parameter, got none`);
  return [...own];
}

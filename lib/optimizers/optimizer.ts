/**
 * What optimizers share. An optimizer is a rule for one parameter, written with ops on tensors: the base class keeps the
 * state that the rule names, and runs it for all parameters in one call of a kernel.
 */
import { isFunction, readList, readOptions } from '../arguments.ts';
import type { Reducer } from '../distributed/reducer.ts';
import { ArgumentError } from '../errors.ts';
import type { Instructions } from '../kernels/elementwise.ts';
import { type Call, type Float, kernels, reduceCode } from '../kernels/index.ts';
import { settleRuns } from '../kernels/queue.ts';
import { type Recording, recording, refuseRecording } from '../kernels/recorder.ts';
import { allocateShared, copyOf, type FloatDtype, release, take } from '../memory.ts';
import { nameClass } from '../names.ts';
import { where } from '../ops/binary.ts';
import { add_ } from '../ops/inPlace.ts';
import { Parameter, SharedTensor } from '../parameter.ts';
import { type Named, readState } from '../state.ts';
import { floats, Tensor } from '../tensor.ts';
import { Gather } from './gather.ts';
import { ParameterGroup, type ParametersOf, readGroups } from './group.ts';
import {
  checkNames,
  checkNumber,
  type Domain,
  Hyper,
  HyperNames,
  type Hyperparameter,
  readEntries,
} from './hyper.ts';
import { traceRule } from './rule.ts';
import type { Schedule } from './schedules.ts';

/** What an optimizer is made of, beside its rule. */
export interface OptimizerOptions {
  readonly learningRate: number | Schedule;
  /**
   * λ of λ/2·‖W‖²: λ·W is added to the gradient of weights (rank ≥ 2), not of biases, before the rule sees it. Default 0;
   * null for an optimizer that has none.
   */
  readonly l2?: number | null;
  /** The other hyperparameters, by the names that the rule knows them by. */
  readonly hyper?: Readonly<Record<string, Hyperparameter>>;
  /**
   * Names of what is kept for each element of a parameter, zeros at first; or a function of a group's hyperparameters that
   * gives those of the group. A rule does not get what is not kept.
   */
  readonly state?: readonly string[] | ((hyper: Readonly<Record<string, number>>) => readonly string[]);
  /** Names of the numbers that are kept for each parameter, such as a count of steps, and what they may be; 0 at first. */
  readonly scalars?: Readonly<Record<string, Domain>>;
}

/** The names that every rule knows. */
const given = ['p', 'g', 'decays'];

/** A group, and what belongs to it. */
interface Own {
  readonly parameters: readonly Tensor[];
  readonly hyper: Hyper;
  /** What is kept for each element of its parameters. */
  readonly slots: readonly string[];
}

/** @typeParam HyperValues the hyperparameters that groups have as properties, beside the learning rate */
export abstract class Optimizer<HyperValues extends object = object> {
  static {
    nameClass(Optimizer, 'Optimizer');
  }

  readonly parameters: readonly Tensor[];
  /** Parameters with hyperparameters of their own; one of all where none were given. */
  readonly groups: readonly (ParameterGroup & HyperValues)[];
  private readonly own: readonly Own[];
  private readonly hyper: HyperNames;
  /** The state of each kind, one buffer for each parameter that has it. */
  private readonly slots = new Map<string, (Float | undefined)[]>();
  /** A row for each parameter: 1 where L2 applies or 0, then its scalars. */
  private readonly rows: Float64Array;
  private readonly scalars: readonly (readonly [name: string, domain: Domain])[];
  /** The rule for each kind of state. */
  private readonly instructions = new Map<string, Instructions>();
  /** The steps that were taken, where a schedule asks for them. */
  private readonly count: SharedTensor<'float64'> | null;
  /** The recording in progress, and how many steps it has. */
  private seenIn: Recording | null = null;
  private seen = 0;
  /** @internal What makes gradients those of several processes, before a step. */
  reducer: Reducer | null = null;
  /** One for each group and dtype, made at the first step. */
  private gathers: readonly Gather[] | null = null;

  /**
   * @param parameters leaves, as `model.parameters()`; one whose `requiresGrad` is false rests until it is true. Or groups of
   *   them, `{ parameters, learningRate, … }`, each with hyperparameters of its own where it says some
   * @throws ArgumentError for no parameters, the same one twice, a computed tensor, a number outside of its domain, or a
   *   name given twice
   */
  protected constructor(parameters: ParametersOf<object>, options: OptimizerOptions) {
    const op = new.target.name;
    const {
      learningRate,
      l2 = 0,
      hyper = {},
      state = [],
      scalars = {},
    } = readOptions(op, options, ['learningRate', 'l2', 'hyper', 'state', 'scalars']);
    const decay: [string, Hyperparameter][] = l2 === null ? [] : [['l2', { value: l2, low: 0 }]];
    this.hyper = new HyperNames(op, [
      ['learningRate', { value: learningRate as Schedule, low: 0 }],
      ...readEntries(op, 'hyper', hyper),
      ...decay,
    ]);
    this.scalars = readEntries(op, 'scalars', scalars);
    const { names } = this.hyper;
    checkNames(op, ['parameters', ...names]);
    const { numbers: defaults } = this.hyper.read({});
    const slotsOf = (values: readonly number[]): string[] => {
      const slots = isFunction(state) ? state(this.hyper.record(values)) : state;
      const own = readList(op, 'state', slots);
      checkNames(op, [...given, ...own, ...this.scalars.map(([name]) => name)]);
      return own;
    };
    this.check(this.hyper.record(defaults), slotsOf(defaults));
    const groups = readGroups(op, parameters, names);
    this.own = groups.map(({ parameters: members, own }) => {
      const values = this.hyper.read(own);
      const slots = slotsOf(values.numbers);
      const check = (next: Readonly<Record<string, number>>) => this.check(next, slots);
      return { parameters: members, slots, hyper: new Hyper(this.hyper, values, check, () => this.taken) };
    });
    const isScheduled = this.own.some(({ hyper: { schedule } }) => schedule !== null);
    this.count = isScheduled ? new SharedTensor([], 'float64') : null;
    this.parameters = this.own.flatMap(({ parameters: members }) => members);
    this.groups = this.own.map(
      (own) => new ParameterGroup(own.parameters, this.hyper, own.hyper) as ParameterGroup & HyperValues,
    );
    const kept = this.own.flatMap(({ parameters: members, slots }) => members.map(() => new Set(slots)));
    for (const slot of new Set(this.own.flatMap(({ slots }) => slots))) {
      const buffers = this.parameters.map((x, i) => (kept[i].has(slot) ? zerosLike(x) : undefined));
      this.slots.set(slot, buffers);
    }
    this.rows = allocateShared(this.parameters.length * this.width, 'float64');
    this.parameters.forEach((parameter, i) => {
      this.rows[i * this.width] = decays(parameter) ? 1 : 0;
    });
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

  /**
   * @param _state what is kept for each element
   * @throws ArgumentError where hyperparameters, given to the constructor, set or loaded, do not fit together.
   */
  protected check(_hyper: Readonly<Record<string, number>>, _state: readonly string[]): void {}

  private get width(): number {
    return 1 + this.scalars.length;
  }

  /**
   * α, the size of a step; may be set at any time. Of several groups it is that of the first one; where it follows a schedule,
   * that of the next step.
   * @throws ArgumentError for a negative number or NaN, or to set it where groups have different ones or follow a schedule
   */
  get learningRate(): number {
    return this.groups[0].learningRate;
  }

  set learningRate(value: number) {
    const { groups } = this;
    if (groups.some(({ learningRate }) => learningRate !== groups[0].learningRate)) {
      throw new ArgumentError(
        `[${this.constructor.name}] expected learning rates to be set by groups, as these have different ones: ` +
          'optimizer.groups[0].learningRate = …',
      );
    }
    for (const group of groups) group.learningRate = value;
  }

  /** What `JSON.stringify` shows: the class and the hyperparameters. What is kept for each parameter is in `stateDict`. */
  toJSON(): Record<string, unknown> {
    const type = this.constructor.name;
    const groups = this.own.map(({ hyper }) => this.hyper.record(hyper.values));
    return groups.length > 1 ? { type, groups } : { type, ...groups[0] };
  }

  /**
   * Updates every parameter that has a gradient and wants one.
   * @throws DataError for one whose buffer, or whose gradient's, was detached; nothing was then changed.
   */
  step(): void {
    this.reducer?.complete();
    this.gathers ??= this.makeGathers();
    const { gathers, own, count } = this;
    for (let i = 0; i < gathers.length; i++) gathers[i].gather();
    const later = this.earlier();
    for (let i = 0; i < own.length; i++) {
      // A run that waits reads what was captured for it.
      if (recording === null) own[i].hyper.write();
      else recording.settings.add(own[i].hyper.reading(later));
    }
    for (let i = 0; i < gathers.length; i++) {
      const gather = gathers[i];
      if (gather.gradients.length === 0) continue;
      gather.announce();
      gather.run(() => this.update(gather, this.rows, gather.hyper.reading(later).buffer));
    }
    if (count !== null) add_(count, 1);
    this.reducer?.reopen();
  }

  /** How many steps the function that is being recorded has made before this one. */
  private earlier(): number {
    this.seen = recording !== null && recording === this.seenIn ? this.seen + 1 : 0;
    this.seenIn = recording;
    return this.seen;
  }

  /** @internal Whether a learning rate follows a schedule. */
  get isScheduled(): boolean {
    return this.count !== null;
  }

  private get taken(): number {
    return this.count === null ? 0 : this.count.storage.array![0];
  }

  /** @internal The call that runs the rule for what was gathered. A kernel that does the same faster may take its place. */
  update({ outs, gradients, rows, slots }: Gather, scalars: Float64Array, hyper: Float64Array): Call {
    const kind = slots.join();
    const { code, constants } = this.instructions.get(kind) ?? this.trace(slots);
    return ['elementwise', outs, gradients, scalars, rows, hyper, constants, code, 1];
  }

  /** @internal The rule as instructions, for parameters of which so much is kept. */
  trace(slots: readonly string[]): Instructions {
    const names = {
      outs: ['p', ...slots],
      ins: ['g'],
      flags: ['decays'],
      scalars: this.scalars.map(([name]) => name),
      shared: this.hyper.names,
    };
    const traced = traceRule(names, (values, hyper) => {
      const { p, g, decays } = values;
      const { l2 } = hyper;
      const slope = l2 === undefined ? g : where(decays.mul(l2), g.add(p.mul(l2)), g);
      return this.rule({ ...values, g: slope }, hyper);
    });
    this.instructions.set(slots.join(), traced);
    return traced;
  }

  private makeGathers(): Gather[] {
    let row = 0;
    return this.own.flatMap(({ parameters, slots, hyper }) => {
      const members = parameters.map((parameter) => {
        const at = row++;
        return { parameter, row: at, state: slots.map((slot) => this.slots.get(slot)![at]!) };
      });
      return (['float32', 'float64'] as const)
        .map((dtype) => members.filter(({ parameter }) => parameter.dtype === dtype))
        .filter((some) => some.length > 0)
        .map((some) => new Gather(some, slots, hyper));
    });
  }

  /** Forgets all gradients. */
  zeroGrad(): void {
    this.reducer?.reopen();
    for (let i = 0; i < this.parameters.length; i++) this.parameters[i].zeroGrad();
  }

  /** λ/2·‖W‖² over the weights, the second term of equation (9) of the notes; 0 without `l2`. */
  penalty(): number {
    refuseRecording('penalty');
    let total = 0;
    for (const { parameters, hyper } of this.own) {
      const { l2: lambda = 0 } = this.hyper.record(hyper.values);
      if (lambda !== 0) total += (lambda / 2) * sumOfSquares(parameters.filter(decays));
    }
    return total;
  }

  /** Copies of the hyperparameters and of all state, by name. */
  stateDict(): Record<string, Tensor> {
    settleRuns();
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
    const { length } = this.hyper.names;
    const hyper = this.own.map((_, i) => [...values[0].slice(i * length, (i + 1) * length)]);
    this.own.forEach(({ slots }, i) => {
      this.hyper.check(hyper[i]);
      this.check(this.hyper.record(hyper[i]), slots);
    });
    this.checkSizes(values[1]);
    const domains = new Map(this.scalars);
    own.forEach(([name], i) => {
      const domain = domains.get(name.slice(0, name.lastIndexOf('.')));
      if (domain !== undefined) checkNumber(this.constructor.name, name, values[i][0], domain);
      if (name === 'steps') checkNumber(this.constructor.name, name, values[i][0], { low: 0, integer: true });
    });
    settleRuns();
    own.forEach(([, { data }], i) => {
      data.set(values[i]);
    });
    this.own.forEach((group, i) => {
      group.hyper.load(hyper[i]);
    });
  }

  /** @throws ArgumentError unless the groups of a state have as many parameters each */
  private checkSizes(sizes: ArrayLike<number>): void {
    if (this.own.length === 1) return;
    const own = this.own.map(({ parameters }) => parameters.length);
    if (own.every((size, i) => size === sizes[i])) return;
    throw new ArgumentError(
      `[loadStateDict] expected groups of ${own.join(', ')} parameters, got ${Array.from(sizes).join(', ')}`,
    );
  }

  /** The hyperparameters come first, a row for each group where there are several, and then how large these are. */
  private namedState(): Named<Tensor> {
    const { own } = this;
    const numbers = Float64Array.from(own.flatMap(({ hyper }) => hyper.values));
    const sizes = Int32Array.from(own, ({ parameters }) => parameters.length);
    const shape = [...(own.length > 1 ? [own.length] : []), this.hyper.names.length];
    return [
      ['hyper', new Tensor(numbers, shape, 'float64')],
      ...(own.length > 1 ? [['groups', new Tensor(sizes, [own.length], 'int32')] as [string, Tensor]] : []),
      ...(this.count === null ? [] : [['steps', this.count] as [string, Tensor]]),
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
      buffers.flatMap((values, at) => (values === undefined ? [] : [{ slot, at, values }])),
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

/** L2 applies to what says so, by default to weights (rank ≥ 2), not to biases. */
function decays(parameter: Tensor): boolean {
  return parameter instanceof Parameter ? parameter.decays : parameter.rank >= 2;
}

function zerosLike(parameter: Tensor): Float {
  return allocateShared(parameter.size, parameter.dtype as FloatDtype);
}

function sumOfSquares(parameters: readonly Tensor[]): number {
  let total = 0;
  for (const parameter of parameters) {
    const sum = take(1, parameter.dtype as FloatDtype);
    kernels.reduce(sum, floats(parameter), 1, parameter.size, 1, 1, reduceCode.sumOfSquares, 1);
    total += sum[0];
    release(sum);
  }
  return total;
}

/** What optimizers share: their parameters, the hyperparameters that kernels read from a buffer, and their state. */
import { describe, readIterable } from '../arguments.ts';
import { ArgumentError } from '../errors.ts';
import { type Float, kernels, reduceCode } from '../kernels/index.ts';
import { settleRuns } from '../kernels/queue.ts';
import { recording, refuseRecording } from '../kernels/recorder.ts';
import { allocateShared, copyOf, type FloatDtype, release, take } from '../memory.ts';
import { Parameter } from '../parameter.ts';
import { show } from '../shape.ts';
import { type Named, readState } from '../state.ts';
import { checkFloat, checkTensor, floats, Tensor } from '../tensor.ts';
import { Group } from './group.ts';

/** A hyperparameter's domain, for its check and its message. */
export interface Domain {
  low: number;
  /** What it must be less than. */
  under?: number;
  /** The largest number allowed. */
  most?: number;
}

/** @throws ArgumentError unless value is a finite number of the domain. */
export function checkHyper(
  name: string,
  value: number,
  { low, under = Infinity, most = Infinity }: Domain,
): number {
  if (typeof value !== 'number' || !(value >= low && value < under && value <= most)) {
    const least = `at least ${low}`;
    const range =
      most < Infinity
        ? `${least} and at most ${most}`
        : under < Infinity
          ? `${least} and less than ${under}`
          : `a finite number of ${least}`;
    throw new ArgumentError(`expected ${name} to be ${range}, got ${describe(value)}`);
  }
  return value;
}

export abstract class Optimizer {
  readonly parameters: readonly Tensor[];
  /** What the update kernels read at each step. Position 0 is the learning rate, `lambdaAt` the L2 strength. */
  protected readonly hyper: Float64Array;
  private readonly lambdaAt: number;
  private rate: number;
  /** One for each dtype, made at the first step. */
  private groups: readonly Group[] | null = null;

  /** @throws ArgumentError for no parameters, the same one twice, or one that wants no gradient. */
  protected constructor(parameters: Iterable<Tensor>, hyper: readonly number[], lambdaAt: number) {
    this.check(hyper);
    const given = readIterable(parameters);
    if (given === null) {
      throw new ArgumentError(
        `expected parameters to be an iterable, as model.parameters() is, got ${describe(parameters)}`,
      );
    }
    const own = new Set<Tensor>();
    // Checked as they come: an iterable need not have an end.
    for (const parameter of given) {
      checkTensor('optimizer', parameter, 'each parameter');
      checkFloat('optimizer', parameter);
      if (parameter.node !== null) {
        throw new ArgumentError(
          `expected parameters to be leaves, not computed, got one of shape ${show(parameter.shape)}`,
        );
      }
      if (own.has(parameter)) throw new ArgumentError('expected each parameter once, got one of them twice');
      own.add(parameter);
    }
    if (own.size === 0) throw new ArgumentError('expected at least one parameter, got none');
    this.parameters = [...own];
    this.hyper = allocateShared(hyper.length, 'float64');
    this.hyper.set(hyper);
    this.lambdaAt = lambdaAt;
    this.rate = this.hyper[0];
  }

  /** α, the size of a step; may be set at any time. @throws ArgumentError for a negative number or NaN. */
  get learningRate(): number {
    return this.rate;
  }

  set learningRate(value: number) {
    refuseRecording('learningRate');
    this.rate = checkHyper('learningRate', value, { low: 0 });
  }

  /** @internal For a queued run: what it will write before it starts, as the learning rate may change until then. */
  capture(): () => void {
    const { rate } = this;
    return () => {
      this.hyper[0] = rate;
    };
  }

  /**
   * Updates every parameter that has a gradient.
   * @throws DataError for one whose buffer, or whose gradient's, was detached; nothing was then changed.
   */
  step(): void {
    this.groups ??= this.makeGroups();
    const { groups } = this;
    for (let i = 0; i < groups.length; i++) groups[i].gather();
    // A run that waits reads what was captured for it.
    if (recording === null) this.hyper[0] = this.rate;
    else recording.settings.add(this);
    this.advance();
    for (let i = 0; i < groups.length; i++) {
      if (groups[i].parameters.length === 0) continue;
      this.update(groups[i]);
      groups[i].count();
    }
  }

  private makeGroups(): Group[] {
    const slots = Object.values(this.slots());
    const members = this.parameters.map((parameter, i) => ({
      parameter,
      state: slots.map((slot) => slot[i]),
    }));
    return (['float32', 'float64'] as const)
      .map((dtype) => members.filter(({ parameter }) => parameter.dtype === dtype))
      .filter((own) => own.length > 0)
      .map((own) => new Group(own, slots.length, (parameter) => this.decays(parameter)));
  }

  /** Forgets all gradients. */
  zeroGrad(): void {
    for (let i = 0; i < this.parameters.length; i++) this.parameters[i].zeroGrad();
  }

  /** λ/2·‖W‖² over the weights, the second term of equation (9) of the notes; 0 without `l2`. */
  penalty(): number {
    refuseRecording('penalty');
    const lambda = this.hyper[this.lambdaAt];
    if (lambda === 0) return 0;
    let total = 0;
    for (const parameter of this.parameters) {
      if (!this.decays(parameter)) continue;
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
    settleRuns();
    this.check([...values[0]]);
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
        return [`${slot}.${at}`, new Tensor(values, shape, dtype)];
      }),
    ];
  }

  /** @internal What is kept of each kind for the parameter at each position. */
  state(): { slot: string; at: number; values: Float }[] {
    return Object.entries(this.slots()).flatMap(([slot, buffers]) =>
      buffers.map((values, at) => ({ slot, at, values })),
    );
  }

  /** A buffer of zeros like each parameter. */
  protected buffers(): Float[] {
    return this.parameters.map((parameter) => allocateShared(parameter.size, parameter.dtype as FloatDtype));
  }

  /** L2 applies to what says so, by default to weights (rank ≥ 2), not to biases. */
  private decays(parameter: Tensor): boolean {
    recording?.observe(this, 'decay', 'read', {
      get: () => this.hyper[this.lambdaAt] !== 0,
      set: () => {},
    });
    if (this.hyper[this.lambdaAt] === 0) return false;
    return parameter instanceof Parameter ? parameter.decays : parameter.rank >= 2;
  }

  /** @throws ArgumentError unless these can be what `hyper` holds: given to the constructor, or by a state. */
  protected abstract check(hyper: readonly number[]): void;
  /** The state of each kind, one buffer a parameter. */
  protected abstract slots(): Record<string, Float[]>;
  /** What happens once a step, before the parameters are updated. */
  protected abstract advance(): void;
  /** Updates the parameters of a group in place. */
  protected abstract update(group: Group): void;
}

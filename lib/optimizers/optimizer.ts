/** What optimizers share: their parameters, the hyperparameters that kernels read from a buffer, and their state. */
import { describe } from '../arguments.ts';
import { ArgumentError, ShapeError } from '../errors.ts';
import { type Float, kernels, reduceCode } from '../kernels/index.ts';
import { recording, refuseRecording } from '../kernels/recorder.ts';
import { allocateShared, type FloatDtype, release, take } from '../memory.ts';
import { Parameter } from '../parameter.ts';
import { sameShape, show } from '../shape.ts';
import { checkFloat, checkTensor, floats, Tensor } from '../tensor.ts';
import { Group } from './group.ts';

/** A hyperparameter's domain, for its check and its message. */
export interface Domain {
  low: number;
  /** The largest number allowed, Infinity for none, or below `under`. */
  under?: number;
}

/** @throws ArgumentError unless value is a finite number of the domain. */
export function checkHyper(name: string, value: number, { low, under = Infinity }: Domain): number {
  if (typeof value !== 'number' || !(value >= low && value < under)) {
    const range =
      under === Infinity ? `a finite number of at least ${low}` : `at least ${low} and less than ${under}`;
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
    if (typeof parameters?.[Symbol.iterator] !== 'function') {
      throw new ArgumentError(
        `expected parameters to be an iterable, as model.parameters() is, got ${describe(parameters)}`,
      );
    }
    this.parameters = [...parameters];
    if (this.parameters.length === 0) throw new ArgumentError('expected at least one parameter, got none');
    if (new Set(this.parameters).size !== this.parameters.length) {
      throw new ArgumentError('expected each parameter once, got one of them twice');
    }
    for (const parameter of this.parameters) {
      checkTensor('optimizer', parameter, 'each parameter');
      checkFloat('optimizer', parameter);
      if (!parameter.requiresGrad || parameter.node !== null) {
        throw new ArgumentError(
          `expected parameters to be leaves that require a gradient, got one of shape ${show(parameter.shape)}`,
        );
      }
    }
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

  /** Updates every parameter that has a gradient. */
  step(): void {
    recording?.settings.add(this);
    this.hyper[0] = this.rate;
    this.advance();
    this.groups ??= this.makeGroups();
    for (let i = 0; i < this.groups.length; i++) {
      const group = this.groups[i];
      group.gather();
      if (group.parameters.length > 0) this.update(group);
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
    this.hyper[0] = this.rate;
    const state: Record<string, Tensor> = {};
    for (const [name, { data, shape, dtype }] of this.namedState()) {
      state[name] = new Tensor(data.slice(), shape, dtype);
    }
    return state;
  }

  /** Continues from a state. @throws ArgumentError or ShapeError when it is another optimizer's; nothing then changed. */
  loadStateDict(state: Readonly<Record<string, Tensor>>): void {
    refuseRecording('loadStateDict');
    if (typeof state !== 'object' || state === null) {
      throw new ArgumentError(`[loadStateDict] expected tensors by name, got ${describe(state)}`);
    }
    const own = this.namedState();
    const given = Object.keys(state);
    if (given.length !== own.length || !own.every(([name]) => Object.hasOwn(state, name))) {
      const names = own.map(([name]) => name).join(', ');
      throw new ArgumentError(`[loadStateDict] expected ${names}; got ${given.join(', ') || 'nothing'}`);
    }
    for (const [name, mine] of own) {
      checkTensor('loadStateDict', state[name], name);
      const { shape, dtype } = state[name];
      if (!sameShape(shape, mine.shape) || dtype !== mine.dtype) {
        throw new ShapeError(
          `[loadStateDict] expected ${name} to be ${mine.dtype} ${show(mine.shape)}, got ${dtype} ${show(shape)}`,
        );
      }
    }
    for (const [name, mine] of own) mine.storage.set(state[name].storage);
    this.rate = this.hyper[0];
  }

  private namedState(): [name: string, value: Tensor][] {
    return [
      ['hyper', new Tensor(this.hyper, [this.hyper.length], 'float64')],
      ...Object.entries(this.slots()).flatMap(([slot, buffers]) =>
        buffers.map((data, i): [string, Tensor] => {
          const { shape, dtype } = this.parameters[i];
          return [`${slot}.${i}`, new Tensor(data, shape, dtype)];
        }),
      ),
    ];
  }

  /** A buffer of zeros like each parameter. */
  protected buffers(): Float[] {
    return this.parameters.map((parameter) => allocateShared(parameter.size, parameter.dtype as FloatDtype));
  }

  /** L2 applies to what says so, by default to weights (rank ≥ 2), not to biases. */
  private decays(parameter: Tensor): boolean {
    if (this.hyper[this.lambdaAt] === 0) return false;
    return parameter instanceof Parameter ? parameter.decays : parameter.rank >= 2;
  }

  /** The state of each kind, one buffer a parameter. */
  protected abstract slots(): Record<string, Float[]>;
  /** What happens once a step, before the parameters are updated. */
  protected abstract advance(): void;
  /** Updates the parameters of a group in place. */
  protected abstract update(group: Group): void;
}

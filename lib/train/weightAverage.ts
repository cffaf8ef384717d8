/** Averages of a model's weights over steps: of all alike, or the latest ones more. */
import { checkOptions, describe, isInstance } from '../arguments.ts';
import { noGrad } from '../autograd.ts';
import { ArgumentError } from '../errors.ts';
import type { Fields } from '../files/fields.ts';
import { settleRuns } from '../kernels/queue.ts';
import { changing, refuseRecording } from '../kernels/recorder.ts';
import { checkLayer, type Layer } from '../layers/layer.ts';
import { copyOf, type FloatDtype } from '../memory.ts';
import { nameClass } from '../names.ts';
import { add, equal, lessEqual, mul, sub, where } from '../ops/binary.ts';
import { cast } from '../ops/cast.ts';
import { add_ } from '../ops/inPlace.ts';
import { neg, reciprocal } from '../ops/unary.ts';
import { checkNumber } from '../optimizers/hyper.ts';
import { type AnyParameter, type AnySharedTensor, SharedTensor } from '../parameter.ts';
import { type Named, readState } from '../state.ts';
import { Tensor } from '../tensor.ts';

/** Options of `WeightAverage`. */
export interface WeightAverageOptions {
  /**
   * β of average ← β·average + (1 − β)·weights, from the first ones on (Polyak & Juditsky, 1992). Without it the average is the
   * mean of all that were taken (Izmailov et al., "Averaging weights leads to wider optima and better generalization", 2018).
   */
  decay?: number;
  /** How many updates to let go by before the first that is averaged; until then the average is the weights. Default 0. */
  start?: number;
  /** To average after each so many updates from then on; default 1. */
  every?: number;
}

/**
 * An average of the parameters of a model. `fit` keeps it with `averageWeights`, and validates with it; a step of one's own
 * calls `update` after that of its optimizer, compiled or not. `swap` puts it into the model. Buffers, as the running
 * statistics of BatchNorm, are those of the model, whichever weights it has.
 *
 *     const average = new WeightAverage(model, { decay: 0.999 });
 *     await fit(model, data, { ...options, averageWeights: average });
 *     average.swap();
 *     await saveModel('model.safetensors', model);
 */
export class WeightAverage {
  static {
    nameClass(WeightAverage, 'WeightAverage');
  }

  readonly model: Layer;
  private readonly parameters: readonly [name: string, parameter: AnyParameter, average: AnySharedTensor][];
  private readonly decay: number | null;
  private readonly every: number;
  /** How many weights were averaged, and how many updates are to go by before the next. */
  private readonly taken = new SharedTensor([], 'float64');
  private readonly wait = new SharedTensor([], 'float64');
  private swapped = false;

  /** Of the parameters that the model has now. @throws ArgumentError for options out of their domains */
  constructor(model: Layer, options: WeightAverageOptions = {}) {
    const op = 'WeightAverage';
    checkLayer(op, model);
    checkOptions(op, options, ['decay', 'start', 'every']);
    const { decay, start = 0, every = 1 } = options;
    if (decay !== undefined) checkNumber(op, 'decay', decay, { low: 0, under: 1 });
    checkNumber(op, 'start', start, { low: 0, integer: true });
    checkNumber(op, 'every', every, { low: 1, integer: true });
    this.model = model;
    this.decay = decay ?? null;
    this.every = every;
    settleRuns();
    this.parameters = model.namedParameters().map(([name, parameter]) => {
      const average: AnySharedTensor = new SharedTensor(parameter.shape, parameter.dtype as FloatDtype);
      average.storage.array!.set(parameter.storage.array!);
      return [name, parameter, average];
    });
    this.wait.storage.array![0] = start;
  }

  /** Whether the model has the average, and this has the weights that are trained. */
  get isSwapped(): boolean {
    return this.swapped;
  }

  /**
   * Takes the weights as they are into the average, if it is time. In a compiled function as well.
   * @throws ArgumentError while the model has the average
   */
  update(): void {
    if (this.swapped) {
      throw new ArgumentError(
        '[update] expected the model to have its weights, got those of the average: swap() back',
      );
    }
    const { taken, wait, decay, every } = this;
    noGrad(() => {
      const isDue = lessEqual(wait, 0);
      const share = decay === null ? reciprocal(add(taken, 1)) : 1 - decay;
      const weight = where(equal(taken, 0), 1, mul(isDue, share));
      const left = add(neg(weight), 1);
      for (const [, parameter, average] of this.parameters) {
        // Is p where the weight is 1, and where the average is: what is frozen stays as it is.
        average.assign(sub(parameter, mul(sub(parameter, average), cast(left, average.dtype))));
      }
      const next = where(isDue, every - 1, sub(wait, 1));
      add_(taken, isDue);
      wait.assign(next);
    });
  }

  /** Exchanges the weights of the model for the average, and back. */
  swap(): void {
    refuseRecording('swap');
    settleRuns();
    for (const [, parameter, average] of this.parameters) {
      changing('swap', parameter.storage);
      changing('swap', average.storage);
      const weights = copyOf(parameter.storage.array!);
      parameter.storage.array!.set(average.storage.array!);
      average.storage.array!.set(weights);
    }
    this.swapped = !this.swapped;
  }

  /** Copies of the average and of how far it has come, by name. @throws ArgumentError while it is swapped */
  stateDict(): Record<string, Tensor> {
    settleRuns();
    this.checkOwn('stateDict');
    return Object.fromEntries(
      this.named().map(([name, { storage, shape, dtype }]) => [
        name,
        new Tensor(copyOf(storage.array!), shape, dtype),
      ]),
    );
  }

  /** @throws ArgumentError, ShapeError or DataError for a state of another model's; nothing was then changed. */
  loadStateDict(state: Readonly<Record<string, Tensor>>): void {
    refuseRecording('loadStateDict');
    this.checkOwn('loadStateDict');
    const own = this.named();
    const values = readState('loadStateDict', own, state);
    for (const [i, low] of [
      [0, 0],
      [1, -Infinity],
    ]) {
      checkNumber('loadStateDict', own[i][0], values[i][0], { low, integer: true });
    }
    settleRuns();
    own.forEach(([, { storage }], i) => {
      changing('loadStateDict', storage);
      storage.array!.set(values[i]);
    });
  }

  private named(): Named<Tensor> {
    return [
      ['taken', this.taken],
      ['wait', this.wait],
      ...this.parameters.map(([name, , average]): [string, Tensor] => [`average.${name}`, average]),
    ];
  }

  private checkOwn(op: string): void {
    if (!this.swapped) return;
    throw new ArgumentError(
      `[${op}] expected the model to have its weights, got those of the average: swap() back`,
    );
  }
}

/** @throws ArgumentError unless it is an average of this model that is not swapped */
export function checkAverage(op: string, model: Layer, average: unknown): asserts average is WeightAverage {
  if (!isInstance(average, WeightAverage)) {
    throw new ArgumentError(
      `[${op}] expected averageWeights to be a WeightAverage, got ${describe(average)}`,
    );
  }
  if (average.model !== model) {
    throw new ArgumentError(`[${op}] expected averageWeights to be of this model, got one of another`);
  }
  if (average.isSwapped) {
    throw new ArgumentError(
      `[${op}] expected the model to have its weights, got those of averageWeights: swap() back before training`,
    );
  }
}

/** What a checkpoint has of an average, checked. @throws ArgumentError where one of them has one alone, or of another model */
export function readAverage(
  op: string,
  title: string,
  saved: Fields,
  average: WeightAverage | undefined,
): Readonly<Record<string, Tensor>> | undefined {
  const has = saved.has('averageWeights');
  if (has !== (average !== undefined)) {
    const [known, own] = has ? ['some', 'none'] : ['none', 'some'];
    throw new ArgumentError(`[${op}] expected averageWeights, ${known} as in ${title}, got ${own}`);
  }
  if (average === undefined) return undefined;
  const state = saved.tensors('averageWeights');
  readState(op, Object.entries(average.stateDict()), state);
  return state;
}

/**
 * Gradients of several processes made one: their sums, bucket by bucket. A bucket is reduced as soon as the last of its
 * gradients is written, and what reads them waits; in a recorded step, so, other calls of backward go on between the two.
 */
import type { Float } from '../../binding.d.ts';
import { noGrad } from '../autograd.ts';
import { zeros } from '../create.ts';
import { exchangeCode, kernels } from '../kernels/index.ts';
import { settleRuns } from '../kernels/queue.ts';
import {
  arraysOf,
  changing,
  outdatePrograms,
  type RecordedCall,
  type Recording,
  recording,
} from '../kernels/recorder.ts';
import { allocateBytes, type FloatDtype, Storage } from '../memory.ts';
import type { Optimizer } from '../optimizers/optimizer.ts';
import { empty, floats, type Tensor } from '../tensor.ts';
import type { World } from './world.ts';

/** Gradients lie at multiples of so many bytes, as vectors of them are loaded fastest there. */
const alignment = 64;

/** How many reductions may be under way. */
const tickets = 256;

/** Gradients that are reduced together, and what lies between them in memory. */
interface Bucket {
  readonly arrays: Float[];
  bytes: number;
}

export class Reducer {
  /** The gap after each parameter's gradient in memory, as an array of its own. */
  private readonly gaps = new Map<Tensor, Float>();
  /** Backward writes the last layer's gradients first. */
  private readonly order: readonly Tensor[];
  /** Whether gradients are those of all ranks, since backward. */
  private isComplete = false;
  /** The parameters whose gradients were reduced last. */
  private taken: readonly Tensor[] | null = null;

  constructor(
    readonly world: World,
    readonly parameters: readonly Tensor[],
  ) {
    this.order = parameters.toReversed();
    this.place('float32');
    this.place('float64');
    outdatePrograms();
  }

  /** From now on the steps of an optimizer, and what clips gradients, ask for those of all ranks. */
  attach(optimizer: Optimizer): void {
    optimizer.reducer = this;
    for (const parameter of this.parameters) reducers.set(parameter, this);
    hasReducers = true;
  }

  detach(optimizer: Optimizer): void {
    optimizer.reducer = null;
    for (const parameter of this.parameters) reducers.delete(parameter);
  }

  /** Gives gradients of a dtype places one after the other, so that a bucket of them is one run of memory. */
  private place(dtype: FloatDtype): void {
    const own = this.order.filter((parameter) => parameter.dtype === dtype && parameter.storage.isShared);
    const width = dtype === 'float32' ? 4 : 8;
    const rounded = (size: number) => (Math.ceil((size * width) / alignment) * alignment) / width;
    const total = own.reduce((sum, { size }) => sum + rounded(size), 0);
    const buffer = allocateBytes(total * width);
    const memory = dtype === 'float32' ? new Float32Array(buffer) : new Float64Array(buffer);
    let at = 0;
    for (const parameter of own) {
      const { size, gradient } = parameter;
      const place = memory.subarray(at, at + size);
      this.gaps.set(parameter, memory.subarray(at + size, at + rounded(size)));
      at += rounded(size);
      const storage: Storage<FloatDtype> = new Storage(dtype, size, place as never);
      storage.isShared = true;
      parameter.gradientStorage = storage;
      if (gradient === null) continue;
      place.set(gradient);
      parameter.gradient = place;
    }
  }

  /** The parameters that have a gradient and want one. */
  private present(): Tensor[] {
    return this.order.filter((parameter) => {
      if (!parameter.requiresGrad) return false;
      parameter.observeGradient('read');
      return parameter.gradient !== null;
    });
  }

  private buckets(present: readonly Tensor[]): Bucket[] {
    const all = present.reduce((sum, { gradient }) => sum + gradient!.byteLength, 0);
    // No more than there are tickets, but for a last one that is not full.
    const bucketBytes = Math.max(this.world.bucketBytes, all / (tickets / 4));
    return (['float32', 'float64'] as const).flatMap((dtype) => {
      const buckets: Bucket[] = [];
      for (const parameter of present) {
        if (parameter.dtype !== dtype) continue;
        const gradient = parameter.gradient!;
        let bucket = buckets.at(-1);
        if (bucket === undefined || bucket.bytes + gradient.byteLength > bucketBytes) {
          bucket = { arrays: [], bytes: 0 };
          buckets.push(bucket);
        }
        bucket.arrays.push(gradient);
        const gap = this.gaps.get(parameter);
        if (gap !== undefined && gap.length > 0 && gap.buffer === gradient.buffer) bucket.arrays.push(gap);
        bucket.bytes += gradient.byteLength;
      }
      return buckets;
    });
  }

  /** What a reduction is of, for other ranks to compare. */
  private keyOf(present: readonly Tensor[]): number {
    const places = new Map(this.parameters.map((parameter, i) => [parameter, i]));
    let key = this.world.bucketBytes % 2 ** 31;
    for (const parameter of present) {
      key = (Math.imul(key, 31) + places.get(parameter)! * 7 + (parameter.size % 2 ** 24)) & 0x7fffffff;
    }
    return key;
  }

  /** @param own numbers of this rank, float64 [width]. @returns those of all, [size, width] */
  gather(own: Tensor): Tensor {
    inTurn();
    const { state } = this.world;
    const all = empty([this.world.size, own.size], 'float64');
    const values = floats(all) as Float64Array;
    kernels.allGatherBegin(values, floats(own) as Float64Array, state, exchangeCode.step, 0);
    kernels.allGatherEnd(values, state);
    return all;
  }

  /**
   * Makes gradients `scale` times their sums over the ranks, and gathers what they have to say along the way, as `gather` does.
   * Other ranks have to be about to do the same: where one has other gradients they all throw, before anything is reduced.
   */
  reduce(own: Tensor = zeros([0], { dtype: 'float64' }), scale = 1): Tensor {
    const { state, size } = this.world;
    inTurn();
    const present = this.present();
    const buckets = this.buckets(present);
    this.taken = present;
    const all = empty([size, own.size], 'float64');
    const [values, said] = [floats(all) as Float64Array, floats(own) as Float64Array];
    const begins = () => {
      kernels.allGatherBegin(values, said, state, exchangeCode.step, this.keyOf(present));
    };
    const ends = () => kernels.allGatherEnd(values, state);
    const reduces = buckets.map(
      ({ arrays }, i) =>
        () =>
          kernels.allReduceBegin(arrays, state, i),
    );
    if (recording === null) for (const make of [begins, ends, ...reduces]) make();
    else
      early(recording, [
        { make: begins, of: [said] },
        { make: ends, of: [] },
        ...reduces.map((make, i) => ({ make, of: buckets[i].arrays })),
      ]);
    buckets.forEach(({ arrays }, i) => {
      kernels.allReduceEnd(arrays, state, i, scale);
    });
    for (const { gradientStorage } of present) changing('reduce', gradientStorage!);
    this.setComplete(true);
    return all;
  }

  /** The parameters that another rank is going to reduce: those of before, or all that want gradients. */
  get expected(): readonly Tensor[] {
    return this.taken ?? this.order.filter(({ requiresGrad }) => requiresGrad);
  }

  /** Whether gradients are those of all ranks, since backward. */
  get areComplete(): boolean {
    recording?.observe(this, 'complete', 'read', this.observed);
    return this.isComplete;
  }

  /** Before gradients are read: makes them the means over the ranks, unless they are. */
  complete(): void {
    if (!this.areComplete) noGrad(() => this.reduce(undefined, 1 / this.world.size));
  }

  /** Gradients are about to be new. */
  reopen(): void {
    this.setComplete(false);
  }

  private setComplete(value: boolean): void {
    recording?.observe(this, 'complete', 'set', this.observed);
    this.isComplete = value;
  }

  private readonly observed = {
    get: () => this.isComplete,
    set: (value: boolean) => {
      this.isComplete = value;
    },
  };
}

/** Runs that were asked for come first: all ranks make their exchanges in the order in which they are called for. */
function inTurn(): void {
  if (recording === null) settleRuns();
}

/** Whose gradients are those of several processes. */
const reducers = new WeakMap<Tensor, Reducer>();
let hasReducers = false;

/** Before gradients of parameters are read: they become those of all ranks where there are several. */
export function completeGradients(parameters: Iterable<Tensor>): void {
  if (!hasReducers) return;
  const own = new Set<Reducer>();
  for (const parameter of parameters) {
    const reducer = reducers.get(parameter);
    if (reducer !== undefined) own.add(reducer);
  }
  for (const reducer of own) reducer.complete();
}

/**
 * Puts calls of a step that is being recorded to where they can be made soonest: each after what reads or writes its arrays, and
 * in their order. The first two are made right before the third, where there is one, but for what it takes.
 */
function early(into: Recording, wanted: readonly { make: () => void; of: readonly unknown[] }[]): void {
  const { calls } = into;
  const { length } = calls;
  const lastUse = new Map<unknown, number>();
  calls.forEach((call, i) => {
    for (const [array] of arraysOf<Float>(call)) lastUse.set(array, i + 1);
  });
  let least = 0;
  const places = wanted.map(({ of }) => {
    least = of.reduce<number>((place, array) => Math.max(place, lastUse.get(array) ?? 0), least);
    return least;
  });
  // Who gathers learns of others before the first reduction, and no sooner than that.
  places[1] = places[2] ?? length;
  for (const { make } of wanted) make();
  const made = calls.splice(length);
  const merged: RecordedCall[] = [];
  let next = 0;
  for (let i = 0; i <= length; i++) {
    for (; next < made.length && places[next] === i; next++) merged.push(made[next]);
    if (i < length) merged.push(calls[i]);
  }
  calls.splice(0, length, ...merged);
}

/** Layers that learn from data by `adapt` rather than by gradients, and what holds such. */
import { isArray, isFunction, readIterable } from '../arguments.ts';
import { ArgumentError, DataError } from '../errors.ts';
import { changing } from '../kernels/recorder.ts';
import { isMap } from '../platform.ts';
import { elements, isTensor } from '../tensor.ts';
import { isArrayLike } from '../values.ts';
import type { Layer } from './layer.ts';

/** A layer that hands what it is given to layers in it, and learns nothing itself. */
export const passesOn = Symbol('passes on');

/** How a layer tells what it has learned beside tensors: as a function that puts it back. */
export const learned = Symbol('learned');

interface Learner {
  // biome-ignore lint/suspicious/noExplicitAny: a layer says what it learns from
  adapt(data: any): unknown;
  [learned]?(): () => void;
}

/** Whether a layer learns by `adapt`; one that hands on what it is given does where a layer in it does. */
export function learns(layer: Layer, seen = new Set<Layer>()): layer is Layer & Learner {
  if (seen.has(layer) || !isFunction((layer as Layer & Learner).adapt)) return false;
  seen.add(layer);
  return !(passesOn in layer) || layer.children().some(([, child]) => learns(child, seen));
}

export function nothingToLearn({ label }: Layer): ArgumentError {
  return new ArgumentError(
    `${label} expected a layer that learns by adapt, as Normalize, to be in it, got none`,
  );
}

/** Runs `fn`; where it throws, all that the layer and those in it have learned by `adapt` is as it was. */
export function orAsBefore(layer: Layer, fn: () => void): void {
  const restore = layer
    .namedLayers()
    .map(([, one]) => (one as Layer & Learner)[learned]?.())
    .filter((back) => back !== undefined);
  const buffers = layer.namedBuffers().map(([, buffer]) => [buffer, elements(buffer).slice()] as const);
  try {
    fn();
  } catch (error) {
    for (const back of restore) back();
    for (const [buffer, values] of buffers) {
      changing('adapt', buffer.storage);
      elements(buffer).set(values);
    }
    throw error;
  }
}

/**
 * What `adapt` was given, batch by batch: itself, where it is a tensor or an array of values; each item, where it is an
 * array of tensors or something else that can be iterated.
 */
export function* batchesOf<Batch>(data: Batch | Iterable<Batch>): Generator<Batch> {
  const isOne = isTensor(data) || (isArrayLike(data) && !(isArray(data) && isTensor(data[0])));
  const batches = isOne || typeof data === 'string' ? null : readIterable(data as Iterable<Batch>);
  if (batches === null) yield data as Batch;
  else yield* batches;
}

/** @throws DataError unless there was something to learn from. */
export function checkAny(label: string, count: number): void {
  if (count === 0) throw new DataError(`${label} expected something to adapt to, got no values`);
}

/** What `adapt` was given, to be gone through more than once, as by layers one after the other. */
export class Given {
  private constructor(
    readonly batches: readonly unknown[],
    private readonly isOne: boolean,
  ) {}

  /** Batches that come one by one, perhaps but once, are kept; anything else is all there is. */
  static of(data: unknown): Given {
    const isOne = isTensor(data) || isArrayLike(data) || isMap(data) || typeof data === 'string';
    const batches = isOne ? null : readIterable(data as Iterable<unknown>);
    return batches === null ? new Given([data], true) : new Given([...batches], false);
  }

  /** As it was given. An array of batches might be several inputs. */
  get data(): unknown {
    const { batches } = this;
    return this.isOne ? batches[0] : { [Symbol.iterator]: () => batches.values() };
  }

  map(fn: (batch: unknown) => unknown): Given {
    return new Given(this.batches.map(fn), this.isOne);
  }
}

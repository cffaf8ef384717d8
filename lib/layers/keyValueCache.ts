/** What attention has seen, kept from one call to the next. */
import { describe } from '../arguments.ts';
import { wantsGradient } from '../autograd.ts';
import { arange } from '../create.ts';
import { ArgumentError, AutogradError } from '../errors.ts';
import { kernels } from '../kernels/index.ts';
import { settleRuns } from '../kernels/queue.ts';
import { changing, recording } from '../kernels/recorder.ts';
import type { FloatDtype } from '../memory.ts';
import { add, less, mul, where } from '../ops/binary.ts';
import { cast } from '../ops/cast.ts';
import { add_ } from '../ops/inPlace.ts';
import { reshape } from '../ops/reshape.ts';
import { SharedTensor } from '../parameter.ts';
import { elements, floats, type Tensor } from '../tensor.ts';
import { checkCount } from './checks.ts';
import { checkLayer, type Layer } from './layer.ts';

/** How a layer says that it goes by positions, and how many numbers it keeps of each: in memories of so many heads of a size. */
export const keeps = Symbol('keeps');

interface Keeping {
  [keeps](): {
    readonly memories: readonly (readonly [heads: number, size: number])[];
    readonly dtype: FloatDtype;
  };
}

/** What one layer keeps: [batch, heads, length, size] each. */
export class Kept {
  /** Of what comes next; [1]. */
  readonly position = new SharedTensor([1], 'float64');
  readonly memories: readonly SharedTensor<FloatDtype>[];

  constructor(
    private readonly batch: number,
    readonly length: number,
    { memories, dtype }: ReturnType<Keeping[typeof keeps]>,
  ) {
    this.memories = memories.map(([heads, size]) => new SharedTensor([batch, heads, length, size], dtype));
  }

  /** Those of so many vectors that come next, float64 [count]; beyond the length they are `beyond`. */
  positions(count: number, beyond = this.length): Tensor {
    const next = add(arange(0, count, 1, { dtype: 'float64' }), this.position);
    return where(less(next, this.length), next, beyond);
  }

  /** Writes rows [batch, heads, count, size] to their places in a memory. @throws IndexError where it is full */
  write(label: string, memory: number, rows: Tensor): SharedTensor<FloatDtype> {
    const to = this.memories[memory];
    const [batch, heads, count, size] = rows.shape;
    if (batch !== this.batch) {
      throw new ArgumentError(
        `${label} expected a batch of ${this.batch}, as the cache is for, got ${batch}`,
      );
    }
    if (wantsGradient([rows])) {
      throw new AutogradError(`${label} expected a cache in noGrad alone, as what it keeps has no history`);
    }
    const all = batch * heads;
    // Beyond all rows where there is no place left: the kernel throws then.
    const first = reshape(mul(arange(0, all, 1, { dtype: 'float64' }), this.length), [all, 1]);
    const at = cast(add(first, this.positions(count, all * this.length)), 'int32');
    changing('KeyValueCache', to.storage);
    // Where nothing has been written yet there are zeros.
    kernels.scatterAdd(floats(to), floats(rows), elements<'int32'>(at), all * count, all * this.length, size);
    return to;
  }

  advance(count: number): void {
    add_(this.position, count);
  }

  reset(): void {
    for (const memory of [this.position, ...this.memories]) {
      changing('KeyValueCache', memory.storage);
      kernels.fill(floats(memory), 0);
    }
  }
}

/**
 * The keys and values of what a model was given so far, for text that is written word by word: with it, `forward` is given what
 * is new alone, and costs the same whatever came before. Of a fixed length, so that a compiled function stays what it is:
 *
 *     const cache = new KeyValueCache(model, 1, 256);
 *     const next = compile((token: Tensor) => noGrad(() => model.forward(token, { cache }).argmax(-1)));
 *     let token = next.sync(prompt);       // int32 [1, length of the prompt] → those that follow
 *     …
 *     cache.reset();
 *
 * Layers that go by positions (MultiHeadAttention, PositionEmbedding) each know how many they have seen. The function refers to
 * the cache from outside; an argument's updates would be lost.
 */
export class KeyValueCache {
  readonly batch: number;
  /** How many positions there is room for. */
  readonly length: number;
  readonly #kept = new Map<Layer, Kept>();

  /** @throws ArgumentError for a model in which nothing goes by positions, and for sizes below 1 */
  constructor(model: Layer, batch: number, length: number) {
    checkLayer('KeyValueCache', model);
    this.batch = checkCount('KeyValueCache', 'batch', batch);
    this.length = checkCount('KeyValueCache', 'length', length);
    for (const [, layer] of model.namedLayers()) {
      if (!(keeps in layer)) continue;
      this.#kept.set(layer, new Kept(batch, length, (layer as Layer & Keeping)[keeps]()));
    }
    if (this.#kept.size > 0) return;
    throw new ArgumentError(
      `[KeyValueCache] expected a model with layers of attention, got ${describe(model.label)}`,
    );
  }

  /** How many positions it holds. */
  get position(): number {
    if (recording === null) settleRuns();
    for (const { position } of this.#kept.values()) return position.item();
    return 0;
  }

  /** Forgets all of it. */
  reset(): void {
    if (recording === null) settleRuns();
    for (const kept of this.#kept.values()) kept.reset();
  }

  /** @internal What a layer keeps here. @throws ArgumentError for one of another model */
  of(layer: Layer): Kept {
    const kept = this.#kept.get(layer);
    if (kept !== undefined) return kept;
    throw new ArgumentError(`${layer.label} expected the cache of its own model, got that of another`);
  }
}

/** What attention has seen, kept from one call to the next. */
import { describe } from '../arguments.ts';
import { wantsGradient } from '../autograd.ts';
import { arange } from '../create.ts';
import { ArgumentError, AutogradError } from '../errors.ts';
import { kernels } from '../kernels/index.ts';
import { settleRuns } from '../kernels/queue.ts';
import { changing, recording, type Use } from '../kernels/recorder.ts';
import type { FloatDtype } from '../memory.ts';
import { add, less, mul, where } from '../ops/binary.ts';
import { cast } from '../ops/cast.ts';
import { add_, assign } from '../ops/inPlace.ts';
import { reshape } from '../ops/reshape.ts';
import { SharedTensor } from '../parameter.ts';
import { elements, floats, type Tensor } from '../tensor.ts';
import { checkCount } from './checks.ts';
import { checkLayer, type Layer } from './layer.ts';

/** How a layer says that it goes by positions. */
export const keeps = Symbol('keeps');

/** What attention keeps of a context. */
export interface KeptContext {
  /** [batch, heads, keys, size] */
  readonly keys: SharedTensor<FloatDtype>;
  /** Likewise. */
  readonly values: SharedTensor<FloatDtype>;
  /** What is added to scores, or null: [batch, 1, 1, keys]. */
  readonly mask: SharedTensor<FloatDtype> | null;
}

/** What one layer keeps. Its memory is there from when it is first needed. */
export class Kept {
  /** Of what comes next; [1]. */
  readonly position = new SharedTensor([1], 'float64');
  /** [batch, heads, length, size] each. */
  private readonly memories: SharedTensor<FloatDtype>[] = [];
  /** Memory for contexts, by their length and whether they have a mask: programs that write and read it refer to it. */
  private readonly contexts = new Map<string, KeptContext>();
  private present: KeptContext | null = null;
  /** The run that left the present one. */
  private pass = 0;

  constructor(
    private readonly batch: number,
    readonly length: number,
  ) {}

  /** Those of so many vectors that come next, float64 [count]; beyond the length they are `beyond`. */
  positions(count: number, beyond = this.length): Tensor {
    const next = add(arange(0, count, 1, { dtype: 'float64' }), this.position);
    return where(less(next, this.length), next, beyond);
  }

  /** Writes rows [batch, heads, count, size] to their places in a memory. @throws IndexError where it is full */
  write(label: string, memory: number, rows: Tensor): SharedTensor<FloatDtype> {
    const [batch, heads, count, size] = rows.shape;
    this.check(label, batch, [rows]);
    this.memories[memory] ??= new SharedTensor([batch, heads, this.length, size], rows.dtype as FloatDtype);
    const to = this.memories[memory];
    const all = batch * heads;
    // Beyond all rows where there is no place left: the kernel throws then.
    const first = reshape(mul(arange(0, all, 1, { dtype: 'float64' }), this.length), [all, 1]);
    const at = cast(add(first, this.positions(count, all * this.length)), 'int32');
    changing('KeyValueCache', to.storage);
    // Where nothing has been written yet there are zeros.
    kernels.scatterAdd(floats(to), floats(rows), elements<'int32'>(at), all * count, all * this.length, size);
    return to;
  }

  private check(label: string, batch: number, kept: readonly (Tensor | null)[]): void {
    if (batch !== this.batch) {
      throw new ArgumentError(
        `${label} expected a batch of ${this.batch}, as the cache is for, got ${batch}`,
      );
    }
    if (wantsGradient(kept)) {
      throw new AutogradError(`${label} expected a cache in noGrad alone, as what it keeps has no history`);
    }
  }

  /** Keeps keys and values of a context, and what is added to the scores of each key, for calls to come. */
  keep(label: string, keys: Tensor, values: Tensor, mask: Tensor | null): KeptContext {
    this.check(label, keys.shape[0], [keys, values, mask]);
    const name = `${keys.shape[2]} ${mask !== null}`;
    let own = this.contexts.get(name);
    if (own === undefined) {
      const like = ({ shape, dtype }: Tensor) => new SharedTensor(shape, dtype as FloatDtype);
      own = { keys: like(keys), values: like(values), mask: mask && like(mask) };
      this.contexts.set(name, own);
    }
    assign(own.keys, keys);
    assign(own.values, values);
    if (own.mask !== null) assign(own.mask, mask!);
    this.observe('set');
    this.present = own;
    return own;
  }

  /** What was kept last. @throws ArgumentError where nothing was */
  context(label: string, batch: number): KeptContext {
    this.check(label, batch, []);
    this.observe('read');
    if (this.present !== null) return this.present;
    throw new ArgumentError(`${label} expected a context that was given with this cache before, got none`);
  }

  /** A program is for the memory that it found, and leaves what it wrote last. */
  private observe(use: Use): void {
    recording?.observe(this, 'context', use, {
      get: () => this.present,
      set: (context: KeptContext | null) => {
        this.present = context;
      },
      leave: (context, pass) => {
        this.present = context;
        this.pass = pass;
      },
      // Nobody knows then what has been written of it.
      abandon: (pass) => {
        if (this.pass <= pass) this.present = null;
      },
    });
  }

  advance(count: number): void {
    add_(this.position, count);
  }

  reset(): void {
    this.observe('set');
    this.present = null;
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
      if (keeps in layer) this.#kept.set(layer, new Kept(batch, length));
    }
    if (this.#kept.size > 0) return;
    throw new ArgumentError(
      `[KeyValueCache] expected a model with layers of attention, got ${describe(model.label)}`,
    );
  }

  /** How many positions it holds. */
  get position(): number {
    if (recording === null) settleRuns();
    // An encoder, say, has seen nothing with it.
    return Math.max(...Array.from(this.#kept.values(), ({ position }) => position.item()));
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

/** Attention with several heads. */
import { checkOptions, describe, isInstance } from '../arguments.ts';
import { arange } from '../create.ts';
import { ArgumentError, DtypeError, ShapeError } from '../errors.ts';
import { type Initializer, initialize } from '../initializers.ts';
import type { FloatDtype } from '../memory.ts';
import { scaledDotProductAttention } from '../ops/attention.ts';
import { add, greater, mul, where } from '../ops/binary.ts';
import { cast } from '../ops/cast.ts';
import { gather } from '../ops/gather.ts';
import { linear } from '../ops/linear.ts';
import { reshape } from '../ops/reshape.ts';
import { fillAngles, type RotaryStyle, turn } from '../ops/rotary.ts';
import { slice } from '../ops/slice.ts';
import { transpose } from '../ops/transpose.ts';
import { Parameter, SharedTensor } from '../parameter.ts';
import { checkSize, show } from '../shape.ts';
import { checkTensor, type Tensor } from '../tensor.ts';
import { checkEnd, checkInputDtype, inputError, readExample } from './checks.ts';
import { configure } from './config.ts';
import { rate } from './dropout.ts';
import { type Kept, type KeptContext, KeyValueCache, keeps } from './keyValueCache.ts';
import { type ExampleShape, Layer } from './layer.ts';
import { count, dtype, flag, initializer, layerForm, type OptionsOf, option } from './options.ts';

/** Options of `MultiHeadAttention`. */
export interface MultiHeadAttentionOptions<D extends FloatDtype = FloatDtype> {
  /** Of the vectors that keys and values are made of; default `size`. */
  kvSize?: number;
  /** How many heads keys and values have, a divisor of `heads` (Ainslie et al., 2023); default `heads`. */
  kvHeads?: number;
  /** Default true. */
  bias?: boolean;
  /** The probability with which a weight is set to 0 while training; default 0. */
  dropout?: number;
  /** Whether each position sees itself and those before alone; default false. */
  causal?: boolean;
  /** Whether queries and keys are turned by their positions, and which numbers together, see `rotary`; default false. */
  rotary?: RotaryStyle | false;
  /** Of the weights; default 'xavierUniform'. Biases are zeros at first. */
  init?: Initializer;
  /** Default float32. */
  dtype?: D;
}

/** What attention goes by beside x. */
export interface Attending {
  /**
   * What keys and values are made of: [batch, keys, kvSize]. Default: x. 'kept': the one that was given with this cache before,
   * whose keys, values and keyMask are there.
   */
  context?: Tensor | 'kept' | null;
  /** As of `scaledDotProductAttention`, of a shape that broadcasts to [batch, heads, queries, keys]. */
  mask?: Tensor | null;
  /** int32 [batch, keys]: 0 for a key that is not seen, as where a sequence is filled up. PyTorch's `key_padding_mask` has the opposite. */
  keyMask?: Tensor | null;
  /**
   * What came before, see `KeyValueCache`; it gets what is new. Without a context each position then sees itself and those before.
   * Of a context it keeps keys and values, and what keyMask says of them.
   */
  cache?: KeyValueCache | null;
}

export const rotaryStyle = option<RotaryStyle | false>(
  (layer, name, given) => {
    if (given === false || given === 'halves' || given === 'pairs') return given;
    throw new ArgumentError(
      `${layer} expected ${name} to be false, 'halves' or 'pairs', got ${describe(given)}`,
    );
  },
  () => false,
);

/** @throws ArgumentError unless so many heads are of one size, an even one for rotary */
export function checkHeads(
  layer: string,
  size: number,
  heads: number,
  kvHeads: number,
  rotary: RotaryStyle | false,
): void {
  if (size % heads !== 0 || heads % kvHeads !== 0) {
    throw new ArgumentError(
      `${layer} expected heads to divide size and kvHeads to divide heads, got ${heads} of ${size} and ${kvHeads}`,
    );
  }
  if (rotary && (size / heads) % 2 !== 0) {
    throw new ArgumentError(`${layer} expected heads of an even size for rotary, got ${size / heads}`);
  }
}

/** Queries, keys and values by heads, and the mask that comes with the keys. */
interface Attended {
  readonly q: Tensor;
  readonly k: Tensor;
  readonly v: Tensor;
  readonly seen: Tensor | null;
}

const form = layerForm('MultiHeadAttention', { size: count, heads: count }, {
  kvSize: { ...count, otherwise: ({ size }) => size as number },
  kvHeads: { ...count, otherwise: ({ heads }) => heads as number },
  bias: flag(true),
  dropout: { ...rate, otherwise: () => 0 },
  causal: flag(false),
  rotary: rotaryStyle,
  init: initializer(() => 'xavierUniform'),
  dtype,
} satisfies OptionsOf<MultiHeadAttentionOptions>);

/**
 * Attention with several heads (Vaswani et al., 2017): softmax(Q·Kᵀ/√d)·V for each head, of queries made of x [batch, queries,
 * size], and keys and values made of x or of another sequence; all heads together times a last weight. As PyTorch's
 * nn.MultiheadAttention with `batch_first`, whose weights load.
 *
 *     const attention = new MultiHeadAttention(128, 4, { causal: true });
 *     attention.forward(x);
 *     attention.forward(x, { context: encoded, keyMask, cache });
 *     attention.forward(next, { context: 'kept', cache });
 */
export class MultiHeadAttention<D extends FloatDtype = 'float32'> extends Layer {
  readonly size: number;
  readonly heads: number;
  readonly kvSize: number;
  readonly kvHeads: number;
  readonly causal: boolean;
  readonly dropout: number;
  readonly rotary: RotaryStyle | false;
  /** Of queries, keys and values, one below the other: [size + 2·own, size], where own is size·kvHeads/heads; null with a kvSize of its own. */
  readonly inProjWeight: Parameter<D> | null;
  /** Where those differ: [size, size], */
  readonly qProjWeight: Parameter<D> | null;
  /** [own, kvSize] */
  readonly kProjWeight: Parameter<D> | null;
  /** and [own, kvSize]. */
  readonly vProjWeight: Parameter<D> | null;
  /** [size + 2·own], or null without bias. */
  readonly inProjBias: Parameter<D> | null;
  /** [size, size] */
  readonly outProjWeight: Parameter<D>;
  /** [size], or null without bias. */
  readonly outProjBias: Parameter<D> | null;
  private readonly dtype: D;
  /** Cosines and sines of angles by position, by how many there are; programs refer to them. */
  readonly #angles = new Map<number, readonly SharedTensor<D>[]>();

  /**
   * @param size of the vectors, a multiple of `heads`
   * @throws ArgumentError, DtypeError for what is out of its domain
   */
  constructor(size: number, heads: number, options: MultiHeadAttentionOptions<D> = {}) {
    super();
    const own = form.read([size, heads], options);
    configure(this, own);
    checkHeads('MultiHeadAttention', own.size, own.heads, own.kvHeads, own.rotary);
    this.size = own.size;
    this.heads = own.heads;
    this.kvSize = own.kvSize;
    this.kvHeads = own.kvHeads;
    this.causal = own.causal;
    this.dropout = own.dropout;
    this.rotary = own.rotary;
    this.dtype = own.dtype as D;
    const kept = (size / heads) * own.kvHeads;
    checkSize('MultiHeadAttention', [size + 2 * kept, Math.max(size, own.kvSize)]);
    const weight = (rows: number, columns: number) => new Parameter([rows, columns], this.dtype);
    const isOne = own.kvSize === size;
    this.inProjWeight = isOne ? weight(size + 2 * kept, size) : null;
    this.qProjWeight = isOne ? null : weight(size, size);
    this.kProjWeight = isOne ? null : weight(kept, own.kvSize);
    this.vProjWeight = isOne ? null : weight(kept, own.kvSize);
    this.inProjBias = own.bias ? new Parameter([size + 2 * kept], this.dtype) : null;
    this.outProjWeight = weight(size, size);
    this.outProjBias = own.bias ? new Parameter([size], this.dtype) : null;
    for (const one of [
      this.inProjWeight,
      this.qProjWeight,
      this.kProjWeight,
      this.vProjWeight,
      this.outProjWeight,
    ]) {
      if (one) initialize(one, own.init, undefined, 'MultiHeadAttention');
    }
  }

  /**
   * @param x [batch, queries, size]
   * @returns [batch, queries, size]
   * @throws ShapeError, DtypeError for what does not fit; ArgumentError where no context was kept; IndexError where the cache is full
   */
  forward(x: Tensor, options: Attending = {}): Tensor<D> {
    checkTensor(this.label, x);
    if (x.rank !== 3 || x.shape[2] !== this.size)
      throw inputError(this, `[batch, length, ${this.size}]`, x.shape);
    checkInputDtype(this, x, this.dtype);
    checkOptions(this.label, options, ['context', 'mask', 'keyMask', 'cache']);
    const { context = null, mask = null, keyMask = null, cache = null } = options;
    const kept = this.keptOf(cache);
    const [batch, queries] = x.shape;
    const { q, k, v, seen } =
      context === null ? this.ofItself(x, keyMask, kept) : this.ofContext(x, context, keyMask, kept);
    const y = scaledDotProductAttention<FloatDtype>(q, k, v, {
      causal: this.causal && kept === null,
      mask: this.joined(mask, seen),
      dropout: this.training ? this.dropout : 0,
      grouped: this.kvHeads !== this.heads,
    });
    kept?.advance(queries);
    const together = reshape(transpose(y, [0, 2, 1, 3]), [batch * queries, this.size]);
    return reshape(linear(together, this.outProjWeight, this.outProjBias), [
      batch,
      queries,
      this.size,
    ]) as Tensor<D>;
  }

  override outputShape(input: ExampleShape): ExampleShape {
    const example = readExample(this, input);
    if (example) checkEnd(this, ['batch', ...example], [this.size]);
    return example;
  }

  /** @internal */
  get [keeps](): true {
    return true;
  }

  private keptOf(cache: KeyValueCache | null): Kept | null {
    if (cache === null) return null;
    if (isInstance(cache, KeyValueCache)) return cache.of(this);
    throw new ArgumentError(`${this.label} expected cache to be a KeyValueCache, got ${describe(cache)}`);
  }

  private ofItself(x: Tensor, keyMask: Tensor | null, kept: Kept | null): Attended {
    const [q, own, values] = this.inProjWeight
      ? this.atOnce(x, this.inProjWeight)
      : ([0, 1, 2] as const).map((part) => this.projected(x, part));
    let [k, v] = [this.turned(own, kept), values];
    let seen: Tensor | null = null;
    if (kept !== null) {
      k = kept.write(this.label, 0, k);
      v = kept.write(this.label, 1, v);
      seen = this.before(kept, x.shape[1], kept.length);
    }
    return { q: this.turned(q, kept), k, v, seen: this.joined(seen, this.keyMaskOf(keyMask, k)) };
  }

  private ofContext(
    x: Tensor,
    context: Tensor | 'kept',
    keyMask: Tensor | null,
    kept: Kept | null,
  ): Attended {
    const q = this.turned(this.projected(x, 0), kept);
    if (context === 'kept') {
      if (keyMask !== null) {
        throw new ArgumentError(
          `${this.label} expected keyMask with the context, beside which it is kept, got one for what is kept`,
        );
      }
      if (kept !== null) return this.withContext(q, kept.context(this.label, x.shape[0]), kept);
      throw new ArgumentError(`${this.label} expected a cache, in which a context is kept, got none`);
    }
    checkTensor(this.label, context, 'context');
    const { kvSize } = this;
    if (context.rank !== 3 || context.shape[2] !== kvSize || context.shape[0] !== x.shape[0]) {
      throw new ShapeError(
        `${this.label} expected context [${x.shape[0]}, length, ${kvSize}], received ${show(context.shape)}`,
      );
    }
    checkInputDtype(this, context, this.dtype);
    const k = this.turned(this.projected(context, 1), null);
    const v = this.projected(context, 2);
    const seen = this.keyMaskOf(keyMask, k);
    if (kept === null) return { q, k, v, seen };
    return this.withContext(q, kept.keep(this.label, k, v, seen && this.addedFor(seen)), kept);
  }

  private withContext(q: Tensor, { keys, values, mask }: KeptContext, kept: Kept): Attended {
    const before = this.causal ? this.before(kept, q.shape[2], keys.shape[2]) : null;
    return { q, k: keys, v: values, seen: this.joined(before, mask) };
  }

  /** Queries, keys and values of one sequence, by one product. */
  private atOnce(x: Tensor, weight: Tensor): Tensor[] {
    const { size, heads, kvHeads } = this;
    const [batch, length] = x.shape;
    const own = size / heads;
    const all = linear(reshape(x, [batch * length, size]), weight, this.inProjBias);
    const parts = transpose(reshape(all, [batch, length, heads + 2 * kvHeads, own]), [0, 2, 1, 3]);
    return [
      [0, heads],
      [heads, heads + kvHeads],
      [heads + kvHeads, heads + 2 * kvHeads],
    ].map(([from, to]) => slice(parts, [null, [from, to]]));
  }

  /** Queries (0), keys (1) or values (2) of a sequence. */
  private projected(from: Tensor, part: 0 | 1 | 2): Tensor {
    const { size, heads, kvHeads, inProjWeight, inProjBias } = this;
    const own = (size / heads) * kvHeads;
    const rows = [
      [0, size],
      [size, size + own],
      [size + own, size + 2 * own],
    ][part] as [number, number];
    const weight =
      [this.qProjWeight, this.kProjWeight, this.vProjWeight][part] ?? slice(inProjWeight!, [rows]);
    const [batch, length, width] = from.shape;
    const y = linear(reshape(from, [batch * length, width]), weight, inProjBias && slice(inProjBias, [rows]));
    return transpose(reshape(y, [batch, length, part === 0 ? heads : kvHeads, size / heads]), [0, 2, 1, 3]);
  }

  /** Queries or keys turned by their positions: those that come next in a cache, or from the first on. */
  private turned(x: Tensor, kept: Kept | null): Tensor {
    if (!this.rotary) return x;
    const length = x.shape[2];
    const at = kept && (cast(kept.positions(length, kept.length - 1), 'int32') as Tensor<'int32'>);
    const [cos, sin] = this.angles(kept?.length ?? length).map((table) =>
      at ? gather(table, at) : slice(table, [[0, length]]),
    );
    return turn(x, cos, sin, this.rotary);
  }

  /** Tables of at least so many positions, of few lengths. */
  private angles(least: number): readonly SharedTensor<D>[] {
    const count = 2 ** Math.ceil(Math.log2(Math.max(least, 1)));
    let tables = this.#angles.get(count);
    if (tables === undefined) {
      const pairs = this.size / this.heads / 2;
      tables = [Math.cos, Math.sin].map((of) => {
        const table = new SharedTensor([count, pairs], this.dtype);
        fillAngles(table.storage.array!, of, count, pairs, 10_000);
        table.storage.isConstant = true;
        return table;
      });
      this.#angles.set(count, tables);
    }
    return tables;
  }

  /** What is added to scores where a key lies ahead of a position that is new. */
  private before(kept: Kept, queries: number, keys: number): Tensor {
    const positions = reshape(kept.positions(queries), [queries, 1]);
    const ahead = greater(arange(0, keys, 1, { dtype: 'float64' }), positions);
    return where(cast(ahead, this.dtype), -Infinity, 0);
  }

  private keyMaskOf(keyMask: Tensor | null, { shape: [batch, , keys] }: Tensor): Tensor | null {
    if (keyMask === null) return null;
    checkTensor(this.label, keyMask, 'keyMask');
    if (keyMask.dtype !== 'int32') {
      throw new DtypeError(`${this.label} expected keyMask to be int32, received ${keyMask.dtype}`);
    }
    if (keyMask.rank !== 2 || keyMask.shape[0] !== batch || keyMask.shape[1] !== keys) {
      throw new ShapeError(
        `${this.label} expected keyMask [${batch}, ${keys}], received ${show(keyMask.shape)}`,
      );
    }
    return reshape(keyMask, [batch, 1, 1, keys]);
  }

  /** Two masks as one: what both let through. */
  private joined(mask: Tensor | null, other: Tensor | null): Tensor | null {
    if (mask === null || other === null) return mask ?? other;
    checkTensor(this.label, mask, 'mask');
    if (mask.dtype === 'int32' && other.dtype === 'int32') {
      return mul(where(mask, 1, 0), where(other, 1, 0));
    }
    return add(this.addedFor(mask), this.addedFor(other));
  }

  /** What a mask adds to scores. */
  private addedFor(mask: Tensor): Tensor {
    return mask.dtype === 'int32' ? where(cast(mask, this.dtype), 0, -Infinity) : mask;
  }
}

form.register(MultiHeadAttention);

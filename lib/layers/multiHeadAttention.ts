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
import { type Kept, KeyValueCache, keeps } from './keyValueCache.ts';
import { type ExampleShape, Layer } from './layer.ts';
import { count, dtype, flag, initializer, layerForm, type OptionsOf, option } from './options.ts';

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
  /** What keys and values are made of: [batch, keys, kvSize]. Default: x. */
  context?: Tensor | null;
  /** As of `scaledDotProductAttention`, of a shape that broadcasts to [batch, heads, queries, keys]. */
  mask?: Tensor | null;
  /** int32 [batch, keys]: 0 for a key that is not seen, as where a sequence is filled up. PyTorch's `key_padding_mask` has the opposite. */
  keyMask?: Tensor | null;
  /** What came before, see `KeyValueCache`; it gets what is new. Each position then sees itself and those before. */
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
 *     attention.forward(x, { context: encoded, keyMask });
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
  /** Cosines and sines of angles by position, as many as were asked for. */
  #angles: readonly SharedTensor<D>[] = [];

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
   * @throws ShapeError, DtypeError for what does not fit; IndexError where the cache is full
   */
  forward(x: Tensor, options: Attending = {}): Tensor<D> {
    checkTensor(this.label, x);
    if (x.rank !== 3 || x.shape[2] !== this.size)
      throw inputError(this, `[batch, length, ${this.size}]`, x.shape);
    checkInputDtype(this, x, this.dtype);
    checkOptions(this.label, options, ['context', 'mask', 'keyMask', 'cache']);
    const { context = null, mask = null, keyMask = null, cache = null } = options;
    const kept = this.keptOf(cache, context);
    const [batch, queries] = x.shape;
    let [q, k, v] =
      context === null && this.inProjWeight ? this.ofOne(x, this.inProjWeight) : this.ofTwo(x, context ?? x);
    if (this.rotary) [q, k] = this.turned(this.rotary, q, k, kept);
    let own = mask;
    if (kept !== null) {
      k = kept.write(this.label, 0, k);
      v = kept.write(this.label, 1, v);
      own = this.joined(own, this.before(kept, queries));
    }
    if (keyMask !== null) own = this.joined(own, this.keyMaskOf(keyMask, batch, k.shape[2]));
    const y = scaledDotProductAttention<FloatDtype>(q, k, v, {
      causal: this.causal && kept === null,
      mask: own,
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
  [keeps](): { memories: [number, number][]; dtype: D } {
    const one: [number, number] = [this.kvHeads, this.size / this.heads];
    return { memories: [one, one], dtype: this.dtype };
  }

  private keptOf(cache: KeyValueCache | null, context: Tensor | null): Kept | null {
    if (cache === null) return null;
    if (!isInstance(cache, KeyValueCache)) {
      throw new ArgumentError(`${this.label} expected cache to be a KeyValueCache, got ${describe(cache)}`);
    }
    if (context === null) return cache.of(this);
    throw new ArgumentError(`${this.label} expected no cache beside a context, whose keys stay as they are`);
  }

  /** Queries, keys and values of one sequence, by one product. */
  private ofOne(x: Tensor, weight: Tensor): Tensor[] {
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

  /** The same of two. */
  private ofTwo(x: Tensor, context: Tensor): Tensor[] {
    const { size, heads, kvHeads, kvSize, inProjWeight, inProjBias } = this;
    checkTensor(this.label, context, 'context');
    if (context.rank !== 3 || context.shape[2] !== kvSize || context.shape[0] !== x.shape[0]) {
      throw new ShapeError(
        `${this.label} expected context [${x.shape[0]}, length, ${kvSize}], received ${show(context.shape)}`,
      );
    }
    checkInputDtype(this, context, this.dtype);
    const kept = (size / heads) * kvHeads;
    const rows = [
      [0, size],
      [size, size + kept],
      [size + kept, size + 2 * kept],
    ] as const;
    const weights = [this.qProjWeight, this.kProjWeight, this.vProjWeight];
    return [x, context, context].map((from, i) => {
      const weight = weights[i] ?? slice(inProjWeight!, [rows[i]]);
      const bias = inProjBias && slice(inProjBias, [rows[i]]);
      const [batch, length, width] = from.shape;
      const y = linear(reshape(from, [batch * length, width]), weight, bias);
      return transpose(reshape(y, [batch, length, i === 0 ? heads : kvHeads, size / heads]), [0, 2, 1, 3]);
    });
  }

  private turned(style: RotaryStyle, q: Tensor, k: Tensor, kept: Kept | null): [Tensor, Tensor] {
    const most = kept?.length ?? Math.max(q.shape[2], k.shape[2]);
    const pairs = this.size / this.heads / 2;
    if ((this.#angles[0]?.shape[0] ?? 0) < most) {
      this.#angles = [Math.cos, Math.sin].map((of) => {
        const table = new SharedTensor([most, pairs], this.dtype);
        fillAngles(table.storage.array!, of, most, pairs, 10_000);
        return table;
      });
    }
    const at = kept && (cast(kept.positions(q.shape[2], kept.length - 1), 'int32') as Tensor<'int32'>);
    return [q, k].map((x) => {
      const [cos, sin] = this.#angles.map((table) =>
        at ? gather(table, at) : slice(table, [[0, x.shape[2]]]),
      );
      return turn(x, cos, sin, style);
    }) as [Tensor, Tensor];
  }

  /** What is added to scores where a position of the cache lies ahead of one that is new. */
  private before(kept: Kept, queries: number): Tensor {
    const positions = reshape(kept.positions(queries), [queries, 1]);
    const ahead = greater(arange(0, kept.length, 1, { dtype: 'float64' }), positions);
    return where(cast(ahead, this.dtype), -Infinity, 0);
  }

  private keyMaskOf(keyMask: Tensor, batch: number, keys: number): Tensor {
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
  private joined(mask: Tensor | null, other: Tensor): Tensor {
    if (mask === null) return other;
    checkTensor(this.label, mask, 'mask');
    if (mask.dtype === 'int32' && other.dtype === 'int32') {
      return mul(where(mask, 1, 0), where(other, 1, 0));
    }
    const added = (x: Tensor) => (x.dtype === 'int32' ? where(cast(x, this.dtype), 0, -Infinity) : x);
    return add(added(mask), added(other));
  }
}

form.register(MultiHeadAttention);

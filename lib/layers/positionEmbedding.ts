/** Vectors that tell positions. */
import { checkOptions, describe, isInstance } from '../arguments.ts';
import { ArgumentError } from '../errors.ts';
import { type Initializer, initialize } from '../initializers.ts';
import type { FloatDtype } from '../memory.ts';
import { add } from '../ops/binary.ts';
import { cast } from '../ops/cast.ts';
import { gather } from '../ops/gather.ts';
import { fillAngles } from '../ops/rotary.ts';
import { slice } from '../ops/slice.ts';
import { Parameter, SharedTensor } from '../parameter.ts';
import { checkSize } from '../shape.ts';
import { checkTensor, type Tensor } from '../tensor.ts';
import { checkInputDtype, inputError, readExample } from './checks.ts';
import { configure } from './config.ts';
import { KeyValueCache, keeps } from './keyValueCache.ts';
import { type ExampleShape, Layer } from './layer.ts';
import { choice, count, dtype, initializer, layerForm, type OptionsOf } from './options.ts';

/** Options of `PositionEmbedding`. */
export interface PositionEmbeddingOptions<D extends FloatDtype = FloatDtype> {
  /**
   * 'learned' (default): a vector for each position, learned. 'sinusoidal': sin(t·10000^(−2i/size)) and the cosine of it, side by
   * side (Vaswani et al., 2017), which is nothing to learn.
   */
  kind?: 'learned' | 'sinusoidal';
  /** Of what is learned; default normal with a deviation of 0.02, as in GPT-2. */
  init?: Initializer;
  /** Default float32. */
  dtype?: D;
}

const form = layerForm('PositionEmbedding', { count, size: count }, {
  kind: choice('learned', 'sinusoidal'),
  init: initializer(() => ({ name: 'normal', deviation: 0.02 })),
  dtype,
} satisfies OptionsOf<PositionEmbeddingOptions>);

/** Adds to each vector of a sequence the one that stands for its position: [batch, ..., length, size], of `count` at most. */
export class PositionEmbedding<D extends FloatDtype = 'float32'> extends Layer {
  /** How many positions there are. */
  readonly count: number;
  readonly size: number;
  /** [count, size]; null where nothing is learned. */
  readonly weight: Parameter<D> | null;
  readonly #table: SharedTensor<D>;

  /** @throws ArgumentError, DtypeError for what is out of its domain; sinusoids come in pairs, so that their size is even. */
  constructor(count: number, size: number, options: PositionEmbeddingOptions<D> = {}) {
    super();
    const own = form.read([count, size], options);
    configure(this, own);
    checkSize('PositionEmbedding', [count, size]);
    this.count = own.count;
    this.size = own.size;
    if (own.kind === 'learned') {
      this.weight = new Parameter([count, size], own.dtype as D);
      initialize(this.weight, own.init, undefined, 'PositionEmbedding');
      this.#table = this.weight;
      return;
    }
    if (size % 2 !== 0) {
      throw new ArgumentError(`PositionEmbedding expected an even size for sinusoids, got ${describe(size)}`);
    }
    this.weight = null;
    this.#table = new SharedTensor([count, size], own.dtype as D);
    const table = this.#table.storage.array!;
    for (const [first, of] of [Math.sin, Math.cos].entries()) {
      const values = new Float64Array((count * size) / 2);
      fillAngles(values, of, count, size / 2, 10_000);
      for (let i = 0; i < values.length; i++) table[2 * i + first] = values[i];
    }
    this.#table.storage.isConstant = true;
  }

  /**
   * @param options.cache what came before, see `KeyValueCache`
   * @throws ShapeError for another size, or more positions than there are; IndexError where the cache has seen them all
   */
  forward(x: Tensor, options: { cache?: KeyValueCache | null } = {}): Tensor<D> {
    checkTensor(this.label, x);
    const length = x.shape[x.rank - 2];
    if (x.rank < 2 || x.shape[x.rank - 1] !== this.size || length > this.count) throw this.refuse(x.shape);
    checkInputDtype(this, x, this.#table.dtype);
    checkOptions(this.label, options, ['cache']);
    const { cache = null } = options;
    if (cache === null) return add(x, slice(this.#table, [[0, length]])) as Tensor<D>;
    if (!isInstance(cache, KeyValueCache)) {
      throw new ArgumentError(`${this.label} expected cache to be a KeyValueCache, got ${describe(cache)}`);
    }
    const kept = cache.of(this);
    const at = cast(kept.positions(length, this.count), 'int32') as Tensor<'int32'>;
    const y = add(x, gather(this.#table, at));
    kept.advance(length);
    return y as Tensor<D>;
  }

  /** @internal */
  get [keeps](): true {
    return true;
  }

  override outputShape(input: ExampleShape): ExampleShape {
    const example = readExample(this, input);
    const isOwn = example === undefined || (example.length > 1 && example[example.length - 1] === this.size);
    if (!isOwn || (example && example[example.length - 2] > this.count))
      throw this.refuse(['batch', ...example!]);
    return example;
  }

  private refuse(received: readonly (number | string)[]): Error {
    return inputError(this, `[batch, ..., length ≤ ${this.count}, ${this.size}]`, received);
  }
}

form.register(PositionEmbedding);

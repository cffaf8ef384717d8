/** Rows of a table, by index. */
import { describe } from '../arguments.ts';
import { ArgumentError, DtypeError } from '../errors.ts';
import { type Initializer, initialize } from '../initializers.ts';
import type { FloatDtype } from '../memory.ts';
import { equal, where } from '../ops/binary.ts';
import { gather } from '../ops/gather.ts';
import { reshape } from '../ops/reshape.ts';
import { slice } from '../ops/slice.ts';
import { Parameter } from '../parameter.ts';
import { checkSize } from '../shape.ts';
import { checkTensor, type Tensor } from '../tensor.ts';
import { readExample } from './checks.ts';
import { configure } from './config.ts';
import { type ExampleShape, Layer } from './layer.ts';
import { count, dtype, initializer, layerForm, type OptionsOf, option } from './options.ts';

/** Options of `Embedding`. */
export interface EmbeddingOptions<D extends FloatDtype = FloatDtype> {
  /**
   * The index of what fills up sequences that are too short, if there is one: its row is zeros at first and gets no
   * gradient, so that training leaves it. A negative one is counted from the end.
   */
  paddingIndex?: number | null;
  /** Of the rows; default N(0, 1), as in PyTorch. */
  init?: Initializer;
  /** Default float32. */
  dtype?: D;
}

const paddingIndex = option<number | null>(
  (layer, name, given) => {
    if (given === null || Number.isInteger(given)) return given;
    throw new ArgumentError(`${layer} expected ${name} to be an index or null, got ${describe(given)}`);
  },
  () => null,
);

const form = layerForm('Embedding', { count, size: count }, {
  paddingIndex,
  init: initializer(() => ({ name: 'normal', deviation: 1 })),
  dtype,
} satisfies OptionsOf<EmbeddingOptions>);

/**
 * A vector for each word, product, user, …: int32 indices of any shape [batch, ...] as [batch, ..., size], the rows of a table
 * that is learned. The gradient of a row is the sum over the places where its index stands.
 */
export class Embedding<D extends FloatDtype = 'float32'> extends Layer {
  override readonly inputDtype = 'int32';
  /** How many rows there are. */
  readonly count: number;
  /** Of a row. */
  readonly size: number;
  readonly paddingIndex: number | null;
  /** [count, size] */
  readonly weight: Parameter<D>;

  /**
   * @param count how many indices there are: they are from 0 to count − 1
   * @param size how many numbers stand for each
   * @throws ArgumentError, DtypeError for what is out of its domain
   */
  constructor(count: number, size: number, options: EmbeddingOptions<D> = {}) {
    super();
    const own = form.read([count, size], options);
    const { paddingIndex: padding } = own;
    if (padding !== null && (padding < -count || padding >= count)) {
      throw new ArgumentError(
        `Embedding expected paddingIndex to be from ${-count} to ${count - 1}, got ${padding}`,
      );
    }
    this.count = own.count;
    this.size = own.size;
    this.paddingIndex = padding !== null && padding < 0 ? padding + count : padding;
    configure(this, { ...own, paddingIndex: this.paddingIndex });
    checkSize('Embedding', [count, size]);
    this.weight = new Parameter([count, size], own.dtype as D);
    const first = (this.paddingIndex ?? 0) * size;
    initialize(this.weight, own.init, undefined, 'Embedding', (values) => {
      if (this.paddingIndex !== null) values.fill(0, first, first + size);
    });
  }

  /**
   * @param x int32, of any shape
   * @throws IndexError for an index out of range, in compiled functions at each run; DtypeError unless x is int32
   */
  forward(x: Tensor): Tensor<D> {
    checkTensor(this.label, x);
    if (x.dtype !== 'int32') {
      throw new DtypeError(`${this.label} expected int32 indices, received ${x.dtype}: use cast('int32')`);
    }
    const { weight, paddingIndex, size } = this;
    const rows: Tensor<D> = gather(weight, x);
    if (paddingIndex === null || !rows.requiresGrad) return rows;
    // The same numbers, without a history where the padding is.
    const isPadding = reshape(equal(x, paddingIndex), [...x.shape, 1]);
    const padding = reshape(slice(weight.detach(), [[paddingIndex, paddingIndex + 1]]), [size]);
    return where(isPadding, padding, rows);
  }

  override outputShape(input: ExampleShape): ExampleShape {
    const example = readExample(this, input);
    return example && [...example, this.size];
  }
}

form.register(Embedding);

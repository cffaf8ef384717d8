/** Indices as rows of zeros with a one. */
import { ArgumentError, DtypeError, IndexError } from '../errors.ts';
import { place } from '../finite.ts';
import { settleRuns } from '../kernels/queue.ts';
import { refuseRecording } from '../kernels/recorder.ts';
import type { FloatDtype } from '../memory.ts';
import { greaterEqual, less, mul } from '../ops/binary.ts';
import { cast } from '../ops/cast.ts';
import { oneHot } from '../ops/gather.ts';
import { reshape } from '../ops/reshape.ts';
import { checkElements, checkTensor, type Tensor, type Values } from '../tensor.ts';
import { batchesOf, checkAny, learned } from './adapt.ts';
import { checkCount, checkInputDtype, readExample } from './checks.ts';
import { configure } from './config.ts';
import { toTensor } from './inputs.ts';
import { type ExampleShape, Layer } from './layer.ts';
import { choice, dtype, layerForm, type OptionsOf, option } from './options.ts';

/** Options of `OneHot`. */
export interface OneHotOptions<D extends FloatDtype = FloatDtype> {
  /** What becomes of an index out of range: an IndexError (default), or zeros. */
  unknown?: 'error' | 'zeros';
  /** Default float32. */
  dtype?: D;
}

const classes = option(
  (layer, name, given: number | null): number | null =>
    given === null ? null : checkCount(layer, name, given),
  () => null,
);

const form = layerForm('OneHot', { classes }, {
  unknown: choice('error', 'zeros'),
  dtype,
} satisfies OptionsOf<OneHotOptions>);

/** int32 indices [...shape] as [..., classes]: zeros with a one at the index. */
export class OneHot<D extends FloatDtype = 'float32'> extends Layer {
  override readonly inputDtype = 'int32';
  readonly unknown: 'error' | 'zeros';
  private readonly dtype: D;
  #classes: number | null;

  /**
   * @param classes how many there are; left out, `adapt` learns it
   * @throws ArgumentError, DtypeError for what is out of its domain
   */
  constructor(classes?: number | null, options: OneHotOptions<D> = {}) {
    super();
    const own = form.read([classes], options);
    this.unknown = own.unknown;
    this.dtype = own.dtype as D;
    this.#classes = own.classes;
    this.tell();
  }

  /** How many indices there are; null before it is known. */
  get classes(): number | null {
    return this.#classes;
  }

  /**
   * Learns how many classes there are, one more than the largest index, and forgets what it knew.
   * @param data indices: an int32 tensor or values; or an array of tensors or something else that can be iterated, of which
   *   each item is such a batch
   * @throws IndexError for a negative index, unless those are unknown ones; DataError for no index
   */
  adapt(data: Tensor<'int32'> | Values | Iterable<Tensor<'int32'> | Values>): this {
    refuseRecording('adapt');
    const { label } = this;
    let largest = -1;
    for (const batch of batchesOf(data)) {
      const x = toTensor(label, batch, 'int32');
      checkInputDtype(this, x, 'int32');
      checkElements('adapt', x);
      settleRuns();
      const { data: indices } = x;
      for (let i = 0; i < indices.length; i++) {
        if (indices[i] > largest) largest = indices[i];
        if (indices[i] >= 0 || this.unknown === 'zeros') continue;
        throw new IndexError(`${label} expected indices of at least 0, got ${indices[i]} at ${place(x, i)}`);
      }
    }
    checkAny(label, largest + 1);
    this.#classes = largest + 1;
    this.tell();
    return this;
  }

  /**
   * @param x int32, of any shape
   * @throws IndexError, which names the position, for an index out of range, unless `unknown` is 'zeros'
   */
  forward(x: Tensor): Tensor<D> {
    checkTensor(this.label, x);
    if (x.dtype !== 'int32') {
      throw new DtypeError(`${this.label} expected int32 indices, received ${x.dtype}: use cast('int32')`);
    }
    const classes = this.#classes;
    if (classes === null) {
      throw new ArgumentError(
        `${this.label} expected to know how many classes there are: give their number to the constructor, or indices to adapt`,
      );
    }
    if (this.unknown === 'error') return oneHot(x, classes, this.dtype);
    // An index out of range counts as 0, whose one is then taken away.
    const known = mul(greaterEqual(x, 0), less(x, classes));
    const rows = oneHot(mul(x, known), classes, this.dtype);
    return mul(rows, reshape(cast(known, this.dtype), [...x.shape, 1]));
  }

  override outputShape(input: ExampleShape): ExampleShape {
    const example = readExample(this, input);
    return example && this.#classes !== null ? [...example, this.#classes] : undefined;
  }

  /** @internal */
  [learned](): () => void {
    const classes = this.#classes;
    return () => {
      this.#classes = classes;
      this.tell();
    };
  }

  private tell(): void {
    configure(this, { classes: this.#classes, unknown: this.unknown, dtype: this.dtype });
  }
}

form.register(OneHot);

/** Features brought to mean 0 and deviation 1. */
import { isArray } from '../arguments.ts';
import { DataError } from '../errors.ts';
import { checkFiniteData } from '../finite.ts';
import { initialize } from '../initializers.ts';
import { settleRuns } from '../kernels/queue.ts';
import { changing, refuseRecording } from '../kernels/recorder.ts';
import type { FloatDtype } from '../memory.ts';
import { add, div, mul, sub, where } from '../ops/binary.ts';
import { cast } from '../ops/cast.ts';
import { sqrt } from '../ops/unary.ts';
import { SharedTensor } from '../parameter.ts';
import { checkSize, readShape, type Shape, sameShape, show, sizeOf } from '../shape.ts';
import { checkElements, checkTensor, elements, isTensor, type Tensor, type Values } from '../tensor.ts';
import { fitsFloat32 } from '../values.ts';
import { batchesOf, checkAny } from './adapt.ts';
import { checkCount, inputError, readExample } from './checks.ts';
import { configure } from './config.ts';
import { text, toTensor } from './inputs.ts';
import { type ExampleShape, Layer } from './layer.ts';
import { dtype, flag, layerForm, type OptionsOf, option } from './options.ts';

/** Options of `Normalize`. */
export interface NormalizeOptions<D extends FloatDtype = FloatDtype> {
  /** Whether it leads back, from deviations to values: x·√variance + mean; default false. */
  invert?: boolean;
  /** Of the output; default float32. */
  dtype?: D;
}

const shape = option(
  (layer, name, given: number | Shape): Shape =>
    isArray(given) ? readShape(layer, given) : [checkCount(layer, name, given)],
);

const form = layerForm('Normalize', { shape }, {
  invert: flag(false),
  dtype,
} satisfies OptionsOf<NormalizeOptions>);

/** A tensor as it is, values in a dtype that holds them. */
function readWide(name: string, values: Tensor | Values): Tensor {
  return toTensor(name, values, !isTensor(values) && fitsFloat32(values) ? 'float32' : 'float64');
}

/** Mean and variance of columns, batch by batch (Chan, Golub & LeVeque, 1979), in float64. */
class Moments {
  count = 0;
  readonly mean: Float64Array;
  /** Of the deviations from the mean, the sum of squares. */
  private readonly squares: Float64Array;

  constructor(private readonly columns: number) {
    this.mean = new Float64Array(columns);
    this.squares = new Float64Array(columns);
  }

  add(values: ArrayLike<number>): void {
    const { columns, count, mean, squares } = this;
    const rows = values.length / columns;
    if (rows === 0) return;
    const own = new Float64Array(columns);
    const rest = new Float64Array(columns);
    const ownSquares = new Float64Array(columns);
    // From the first row, so that an offset cancels before anything is rounded, and a constant column leaves nothing.
    for (let at = 0, i = 0; i < rows; i++) {
      for (let j = 0; j < columns; j++, at++) own[j] += values[at] - values[j];
    }
    for (let j = 0; j < columns; j++) own[j] = values[j] + own[j] / rows;
    for (let at = 0, i = 0; i < rows; i++) {
      for (let j = 0; j < columns; j++, at++) {
        const deviation = values[at] - own[j];
        rest[j] += deviation;
        ownSquares[j] += deviation * deviation;
      }
    }
    const total = count + rows;
    for (let j = 0; j < columns; j++) {
      const between = own[j] - mean[j];
      // What rounding of the mean adds to the squares goes off again.
      squares[j] += ownSquares[j] - (rest[j] * rest[j]) / rows + (between * between * count * rows) / total;
      mean[j] += count === 0 ? between : (between * rows) / total;
    }
    this.count = total;
  }

  variance(): Float64Array {
    return this.squares.map((sum) => Math.max(sum, 0) / this.count);
  }
}

/**
 * (x − mean) / √variance, feature by feature, with the mean and variance of what `adapt` saw: ordinary numbers, as data
 * brings them, become such that a network learns from well. Both are buffers, so they are saved and loaded with the model.
 * Before `adapt` it is the identity.
 *
 *     const model = new Sequential([new Normalize(3), new Dense(3, 16, { activation: 'relu' }), new Dense(16, 1)]);
 *     model.adapt(x);
 *
 * A feature that was constant, of variance 0, is divided by 1, as scikit-learn's StandardScaler does: it becomes 0. Missing
 * values are not its business: NaN is refused, and what to put in its place is decided before.
 *
 * Means and variances are float64, whatever the dtype of the output. Numbers that `fit` and `predict` are given are read as
 * float64 too, unless they come in typed arrays whose elements float32 can hold: of dates in seconds, or 10⁸ ± 1, nothing is
 * lost before the mean is off. Tensors are taken in the dtype that they have.
 */
export class Normalize<D extends FloatDtype = 'float32'> extends Layer {
  /** Of what has a mean of its own: the last axes of the input. */
  readonly shape: Shape;
  readonly invert: boolean;
  /** Of that shape, zeros at first. */
  readonly mean: SharedTensor<'float64'>;
  /** Of that shape, ones at first; divided by the count. */
  readonly variance: SharedTensor<'float64'>;
  private readonly dtype: D;

  /**
   * @param shape of what has a mean of its own, the last axes of the input: a number for the last axis alone, so that it is
   *   the number of features of rows, or of channels of images; `[]` for one mean of all numbers. With 1 feature the last
   *   axis may be left out: prices may be [n, 1] or [n].
   * @throws ArgumentError, ShapeError, DtypeError for a shape and options out of their domains
   */
  constructor(shape: number | Shape, options: NormalizeOptions<D> = {}) {
    super();
    const own = form.read([shape], options);
    configure(this, own);
    checkSize('Normalize', own.shape);
    this.shape = own.shape;
    this.invert = own.invert;
    this.dtype = own.dtype as D;
    this.mean = new SharedTensor(this.shape, 'float64');
    this.variance = new SharedTensor(this.shape, 'float64');
    initialize(this.variance, 'ones');
  }

  /**
   * Learns mean and variance, and forgets those it had. They are worked out in float64, whatever the offset of the numbers.
   * @param data all of it, [examples, ..., ...shape]: a tensor or values; or an array of tensors or something else that can be
   *   iterated, of which each item is such a batch
   * @throws DataError, which names row and position, for NaN and Infinity; for no values, or none whose variance is a number;
   *   ShapeError for another shape. Nothing was then changed.
   */
  adapt(data: Tensor | Values | Iterable<Tensor | Values>): this {
    const op = 'adapt';
    refuseRecording(op);
    const { label } = this;
    const moments = new Moments(sizeOf(this.shape));
    for (const batch of batchesOf(data)) {
      const x = readWide(label, batch);
      checkElements(op, x);
      this.checkInput(x.shape);
      checkFiniteData(`the data for ${label}`, x);
      settleRuns();
      moments.add(x.values());
    }
    checkAny(label, moments.count);
    const variance = moments.variance();
    if (!variance.every(Number.isFinite)) {
      throw new DataError(`${label} expected values whose variance is a finite number, got larger ones`);
    }
    settleRuns();
    changing(op, this.mean.storage);
    changing(op, this.variance.storage);
    elements(this.mean).set(moments.mean);
    elements(this.variance).set(variance);
    return this;
  }

  /** Values as float64, unless float32 holds them; tensors as they are. @throws DataError for what makes no tensor */
  override inputFrom(values: Tensor | Values, name = 'x'): Tensor {
    return readWide(text(name), values);
  }

  forward(x: Tensor): Tensor<D> {
    return this.apply(x, this.invert);
  }

  /**
   * The way back: what `forward` would make y of, or, with `invert`, what it would make of y. Targets that were scaled for
   * training are dollars again.
   */
  inverse(y: Tensor): Tensor<D> {
    return this.apply(y, !this.invert);
  }

  override outputShape(input: ExampleShape): ExampleShape {
    const example = readExample(this, input);
    if (example) this.checkInput(['batch', ...example]);
    return example;
  }

  private apply(given: Tensor, back: boolean): Tensor<D> {
    checkTensor(this.label, given);
    this.checkInput(given.shape);
    // float32 does not hold every int32.
    const x = given.dtype === 'int32' ? cast(given, 'float64') : given;
    const [mean, rest, deviation] = this.statisticsIn(x.dtype as FloatDtype);
    const y = back
      ? add(rest === null ? mul(x, deviation) : add(mul(x, deviation), rest), mean)
      : div(rest === null ? sub(x, mean) : sub(sub(x, mean), rest), deviation);
    return y.dtype === this.dtype ? y : cast(y, this.dtype);
  }

  /** The mean, what rounding took from it, and the deviation, 1 where there is none. */
  private statisticsIn(dtype: FloatDtype): [mean: Tensor, rest: Tensor | null, deviation: Tensor] {
    const root = sqrt(this.variance);
    const own = dtype === 'float64' ? root : cast(root, dtype);
    const deviation = where(own, own, 1);
    if (dtype === 'float64') return [this.mean, null, deviation];
    const mean = cast(this.mean, dtype);
    const rest = cast(sub(this.mean, cast(mean, 'float64')), dtype);
    // A constant is rounded as its mean is.
    return [mean, where(own, rest, 0), deviation];
  }

  private checkInput(received: readonly (number | string)[]): void {
    const { shape } = this;
    const isFlat = received.length === 1 && sameShape(shape, [1]);
    const lead = received.length - shape.length;
    if (isFlat || (lead >= 1 && sameShape(received.slice(lead) as number[], shape))) return;
    throw inputError(this, show(['batch', '...', ...shape]), received);
  }
}

form.register(Normalize);

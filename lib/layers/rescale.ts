/** A scale and an offset that are known beforehand. */
import type { FloatDtype } from '../memory.ts';
import { add, mul } from '../ops/binary.ts';
import { cast } from '../ops/cast.ts';
import { checkTensor, type Tensor } from '../tensor.ts';
import { checkInputDtype, readExample } from './checks.ts';
import { configure } from './config.ts';
import { type ExampleShape, Layer } from './layer.ts';
import { dtype, finite, layerForm, type OptionsOf } from './options.ts';

/** Options of `Rescale`. */
export interface RescaleOptions<D extends FloatDtype = FloatDtype> {
  /** Default float32. */
  dtype?: D;
}

const form = layerForm('Rescale', { scale: { ...finite(0), otherwise: undefined }, offset: finite(0) }, {
  dtype,
} satisfies OptionsOf<RescaleOptions>);

/** x·scale + offset: `new Rescale(1 / 255)` brings pixels to [0, 1], `new Rescale(1 / 127.5, -1)` to [−1, 1]. */
export class Rescale<D extends FloatDtype = 'float32'> extends Layer {
  readonly scale: number;
  readonly offset: number;
  private readonly dtype: D;

  /** @param offset default 0 @throws ArgumentError, DtypeError for what is out of its domain */
  constructor(scale: number, offset?: number, options: RescaleOptions<D> = {}) {
    super();
    const own = form.read([scale, offset], options);
    configure(this, own);
    this.scale = own.scale;
    this.offset = own.offset;
    this.dtype = own.dtype as D;
  }

  /**
   * x · scale + offset.
   * @param x of this dtype, or int32, which becomes that
   */
  forward(x: Tensor): Tensor<D> {
    checkTensor(this.label, x);
    if (x.dtype !== 'int32') checkInputDtype(this, x, this.dtype);
    const scaled = mul(x.dtype === 'int32' ? cast(x, this.dtype) : x, this.scale);
    return this.offset === 0 ? scaled : add(scaled, this.offset);
  }

  override outputShape(input: ExampleShape): ExampleShape {
    return readExample(this, input);
  }
}

form.register(Rescale);

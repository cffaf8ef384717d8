/** A leaky ReLU whose slope is learned. */
import { initialize } from '../initializers.ts';
import type { FloatDtype } from '../memory.ts';
import { add, minimum, mul } from '../ops/binary.ts';
import { relu } from '../ops/unary.ts';
import { Parameter } from '../parameter.ts';
import { checkSize } from '../shape.ts';
import { checkTensor, type Tensor } from '../tensor.ts';
import { checkInputDtype, inputError, readExample } from './checks.ts';
import { configure } from './config.ts';
import { type ExampleShape, Layer } from './layer.ts';
import { count, dtype, finite, layerForm, type OptionsOf } from './options.ts';

/** Options of `PReLU`. */
export interface PReLUOptions<D extends FloatDtype = FloatDtype> {
  /** The slope at first; default 0.25. */
  slope?: number;
  /** Default float32. */
  dtype?: D;
}

const form = layerForm('PReLU', { channels: { ...count, otherwise: () => 1 } }, {
  slope: finite(0.25),
  dtype,
} satisfies OptionsOf<PReLUOptions>);

/** max(x, 0) + a·min(x, 0) with a slope a that is learned, one for all or one for each channel (He, Zhang, Ren & Sun, 2015). */
export class PReLU<D extends FloatDtype = 'float32'> extends Layer {
  /** [channels] of the last axis, or [1]. L2 regularization leaves it out. */
  readonly weight: Parameter<D>;

  /** @param channels default 1 @throws ArgumentError, DtypeError for what is out of its domain */
  constructor(channels?: number, options: PReLUOptions<D> = {}) {
    super();
    const own = form.read([channels], options);
    configure(this, own);
    checkSize('PReLU', [own.channels]);
    this.weight = new Parameter([own.channels], own.dtype as D, { decays: false });
    initialize(this.weight, { name: 'constant', value: own.slope });
  }

  forward(x: Tensor): Tensor<D> {
    checkTensor(this.label, x);
    this.check(x.shape);
    checkInputDtype(this, x, this.weight.dtype);
    return add(relu(x), mul(minimum(x, 0), this.weight));
  }

  override outputShape(input: ExampleShape): ExampleShape {
    const example = readExample(this, input);
    if (example) this.check(['batch', ...example]);
    return example;
  }

  private check(received: readonly (number | string)[]): void {
    const { size } = this.weight;
    if (size === 1 || (received.length > 1 && received[received.length - 1] === size)) return;
    throw inputError(this, `[batch, ..., ${size}]`, received);
  }
}

form.register(PReLU);

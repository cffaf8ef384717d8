/** Layer normalisation as a layer. */
import { initialize } from '../initializers.ts';
import type { FloatDtype } from '../memory.ts';
import { checkEpsilon, layerNorm } from '../ops/normalize.ts';
import { Parameter } from '../parameter.ts';
import { checkSize, type Shape } from '../shape.ts';
import { checkTensor, type Tensor } from '../tensor.ts';
import { checkEnd, checkInputDtype, readExample } from './checks.ts';
import { configure } from './config.ts';
import { type ExampleShape, Layer } from './layer.ts';
import { dtype, flag, layerForm, normalizedShape, number, type OptionsOf } from './options.ts';

/** Options of `LayerNorm`. */
export interface LayerNormLayerOptions<D extends FloatDtype = FloatDtype> {
  /** Added to the variance; default 1e-5. */
  epsilon?: number;
  /** Whether there are a scale and a shift to learn; default true. */
  affine?: boolean;
  /** Default float32. */
  dtype?: D;
}

const form = layerForm('LayerNorm', { shape: normalizedShape }, {
  epsilon: number(1e-5, checkEpsilon),
  affine: flag(true),
  dtype,
} satisfies OptionsOf<LayerNormLayerOptions>);

/**
 * Layer normalisation (Ba, Kiros & Hinton, 2016): (x − μ) / √(σ² + ε) · weight + bias, with μ and σ² of each example over
 * the last axes, for input [..., ...shape]. The same in training and evaluation.
 */
export class LayerNorm<D extends FloatDtype = 'float32'> extends Layer {
  readonly shape: Shape;
  readonly epsilon: number;
  /** The scale, of that shape, ones at first; null without `affine`. L2 regularization leaves it out. */
  readonly weight: Parameter<D> | null;
  /** The shift, of that shape, zeros at first; null without `affine`. L2 regularization leaves it out. */
  readonly bias: Parameter<D> | null;
  private readonly dtype: D;

  /**
   * @param shape of what is normalised together; a number for the last axis alone
   * @throws ArgumentError, ShapeError, DtypeError for a shape and options out of their domains.
   */
  constructor(shape: number | Shape, options: LayerNormLayerOptions<D> = {}) {
    super();
    const own = form.read([shape], options);
    configure(this, own);
    checkSize('LayerNorm', own.shape);
    this.shape = own.shape;
    this.epsilon = own.epsilon;
    this.dtype = own.dtype as D;
    this.weight = own.affine ? new Parameter(this.shape, this.dtype, { decays: false }) : null;
    this.bias = own.affine ? new Parameter(this.shape, this.dtype, { decays: false }) : null;
    if (this.weight) initialize(this.weight, 'ones');
  }

  forward(x: Tensor): Tensor<D> {
    checkTensor(this.label, x);
    checkEnd(this, x.shape, this.shape);
    checkInputDtype(this, x, this.dtype);
    return layerNorm(x, this.shape, this.weight, this.bias, { epsilon: this.epsilon });
  }

  override outputShape(input: ExampleShape): ExampleShape {
    const example = readExample(this, input);
    if (example) checkEnd(this, ['batch', ...example], this.shape);
    return example;
  }
}

form.register(LayerNorm);

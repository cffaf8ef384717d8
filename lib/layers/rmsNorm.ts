/** Root mean square normalisation as a layer. */
import { initialize } from '../initializers.ts';
import type { FloatDtype } from '../memory.ts';
import { checkEpsilon } from '../ops/normalize.ts';
import { leastEpsilon, rmsNorm } from '../ops/rmsNorm.ts';
import { Parameter } from '../parameter.ts';
import { checkSize, type Shape } from '../shape.ts';
import { checkTensor, type Tensor } from '../tensor.ts';
import { checkEnd, checkInputDtype, readExample } from './checks.ts';
import { configure } from './config.ts';
import { type ExampleShape, Layer } from './layer.ts';
import { dtype, flag, layerForm, normalizedShape, number, type OptionsOf } from './options.ts';

/** Options of `RMSNorm`. */
export interface RMSNormLayerOptions<D extends FloatDtype = FloatDtype> {
  /** Default float32. */
  dtype?: D;
  /** Added to the mean square; by default the distance from 1 to the next number of the dtype, as in PyTorch. */
  epsilon?: number;
  /** Whether there is a scale to learn; default true. */
  affine?: boolean;
}

const form = layerForm('RMSNorm', { shape: normalizedShape }, {
  dtype,
  epsilon: {
    ...number(0, checkEpsilon),
    otherwise: ({ dtype }) => leastEpsilon[dtype as FloatDtype],
  },
  affine: flag(true),
} satisfies OptionsOf<RMSNormLayerOptions>);

/**
 * Root mean square normalisation (Zhang & Sennrich, 2019): x / √(mean(x²) + ε) · weight, with the mean of each example over
 * the last axes, for input [..., ...shape]. The same in training and evaluation.
 */
export class RMSNorm<D extends FloatDtype = 'float32'> extends Layer {
  readonly shape: Shape;
  readonly epsilon: number;
  /** The scale, of that shape, ones at first; null without `affine`. L2 regularization leaves it out. */
  readonly weight: Parameter<D> | null;
  private readonly dtype: D;

  /**
   * @param shape of what is normalised together; a number for the last axis alone
   * @throws ArgumentError, ShapeError, DtypeError for a shape and options out of their domains.
   */
  constructor(shape: number | Shape, options: RMSNormLayerOptions<D> = {}) {
    super();
    const own = form.read([shape], options);
    configure(this, own);
    checkSize('RMSNorm', own.shape);
    this.shape = own.shape;
    this.epsilon = own.epsilon;
    this.dtype = own.dtype as D;
    this.weight = own.affine ? new Parameter(this.shape, this.dtype, { decays: false }) : null;
    if (this.weight) initialize(this.weight, 'ones');
  }

  forward(x: Tensor): Tensor<D> {
    checkTensor(this.label, x);
    checkEnd(this, x.shape, this.shape);
    checkInputDtype(this, x, this.dtype);
    return rmsNorm(x, this.shape, this.weight, { epsilon: this.epsilon });
  }

  override outputShape(input: ExampleShape): ExampleShape {
    const example = readExample(this, input);
    if (example) checkEnd(this, ['batch', ...example], this.shape);
    return example;
  }
}

form.register(RMSNorm);

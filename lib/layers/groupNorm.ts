/** Group normalisation as a layer. */
import { initialize } from '../initializers.ts';
import type { FloatDtype } from '../memory.ts';
import { checkGroups, groupNorm } from '../ops/groupNorm.ts';
import { checkEpsilon } from '../ops/normalize.ts';
import { Parameter } from '../parameter.ts';
import { checkSize } from '../shape.ts';
import { checkTensor, type Tensor } from '../tensor.ts';
import { checkEnd, checkInputDtype, readExample } from './checks.ts';
import { configure } from './config.ts';
import { type ExampleShape, Layer } from './layer.ts';
import type { LayerNormLayerOptions } from './layerNorm.ts';
import { count, dtype, flag, layerForm, number, type OptionsOf } from './options.ts';

const form = layerForm('GroupNorm', { groups: count, channels: count }, {
  epsilon: number(1e-5, checkEpsilon),
  affine: flag(true),
  dtype,
} satisfies OptionsOf<LayerNormLayerOptions>);

/**
 * Group normalisation (Wu & He, 2018): (x − μ) / √(σ² + ε) · weight + bias, with μ and σ² of each example over all positions and
 * the channels of a group, for input [batch, ..., channels]. The same in training and evaluation, whatever the batch.
 */
export class GroupNorm<D extends FloatDtype = 'float32'> extends Layer {
  readonly groups: number;
  readonly channels: number;
  readonly epsilon: number;
  /** The scale, [channels], ones at first; null without `affine`. L2 regularization leaves it out. */
  readonly weight: Parameter<D> | null;
  /** The shift, [channels], zeros at first; null without `affine`. L2 regularization leaves it out. */
  readonly bias: Parameter<D> | null;
  private readonly dtype: D;

  /**
   * @param groups of so many channels each that they are `channels` together
   * @throws ArgumentError, ShapeError, DtypeError for sizes and options out of their domains.
   */
  constructor(groups: number, channels: number, options: LayerNormLayerOptions<D> = {}) {
    super();
    const own = form.read([groups, channels], options);
    configure(this, own);
    checkGroups('GroupNorm', own.groups, own.channels);
    checkSize('GroupNorm', [own.channels]);
    this.groups = own.groups;
    this.channels = own.channels;
    this.epsilon = own.epsilon;
    this.dtype = own.dtype as D;
    this.weight = own.affine ? new Parameter([channels], this.dtype) : null;
    this.bias = own.affine ? new Parameter([channels], this.dtype) : null;
    if (this.weight) initialize(this.weight, 'ones');
  }

  forward(x: Tensor): Tensor<D> {
    checkTensor(this.label, x);
    checkEnd(this, x.shape, [this.channels]);
    checkInputDtype(this, x, this.dtype);
    return groupNorm(x, this.groups, this.weight, this.bias, { epsilon: this.epsilon });
  }

  override outputShape(input: ExampleShape): ExampleShape {
    const example = readExample(this, input);
    if (example) checkEnd(this, ['batch', ...example], [this.channels]);
    return example;
  }
}

form.register(GroupNorm);

/** What convolutional layers share: a weight, a bias and an activation. */
import {
  type ActivationFunction,
  type ActivationName,
  fusedActivation,
  resolveActivation,
} from '../activations.ts';
import { ArgumentError } from '../errors.ts';
import { type Fans, type Initializer, initializeBoth } from '../initializers.ts';
import type { FloatDtype } from '../memory.ts';
import type { Activation } from '../ops/epilogue.ts';
import { Parameter } from '../parameter.ts';
import { checkSize, type Shape } from '../shape.ts';
import { checkTensor, type Tensor } from '../tensor.ts';
import { checkInputDtype, readExample } from './checks.ts';
import { configure } from './config.ts';
import { type ExampleShape, Layer } from './layer.ts';
import { activation, biasInit, count, dtype, flag, init, type OptionsOf } from './options.ts';

export interface ConvolutionLayerOptions<D extends FloatDtype = FloatDtype> {
  /** The channels fall into so many groups, each of which sees its share of the input channels alone. Default 1. */
  groups?: number;
  /** Default true. */
  bias?: boolean;
  /** Applied to the sum; default 'linear', which is none. */
  activation?: ActivationName | ActivationFunction;
  /** Of the weight; default 'heNormal' before a rectifier (relu, leakyRelu, elu, gelu, silu), else 'xavierNormal'. */
  init?: Initializer;
  /** Of the bias; default 'zeros'. */
  biasInit?: Initializer;
  /** Default float32. */
  dtype?: D;
  /**
   * Whether float32 convolutions by 3 × 3 kernels may use Winograd's algorithm, which is about twice as fast and rounds
   * about three times as much. Default true; the environment variable AXPY_WINOGRAD=0 forbids it.
   */
  winograd?: boolean;
}

/** What constructors take first. */
export const channels = { inChannels: count, outChannels: count };

/** These options. */
export const common = {
  groups: { ...count, otherwise: () => 1 },
  bias: flag(true),
  activation,
  init,
  biasInit,
  dtype,
  winograd: flag(true),
} satisfies OptionsOf<ConvolutionLayerOptions>;

/** What is read of arguments and options. */
interface Own {
  inChannels: number;
  outChannels: number;
  groups: number;
  bias: boolean;
  activation: ActivationName | ActivationFunction;
  init: Initializer;
  biasInit: Initializer;
  dtype: FloatDtype;
  winograd: boolean;
}

export abstract class Convolution<D extends FloatDtype> extends Layer {
  readonly inChannels: number;
  readonly outChannels: number;
  readonly groups: number;
  readonly weight: Parameter<D>;
  /** [out], or null without bias. */
  readonly bias: Parameter<D> | null;
  /** The activation's name, or the function given. */
  readonly activation: ActivationName | ActivationFunction;
  protected readonly winograd: boolean;

  /** @param weight its shape, and how many inputs an output has and the reverse; called once the groups are checked */
  protected constructor(name: string, own: Own, weight: () => { shape: Shape; fans: Fans }) {
    super();
    configure(this, own);
    const { inChannels, outChannels, groups } = own;
    if (inChannels % groups !== 0 || outChannels % groups !== 0) {
      throw new ArgumentError(
        `${name} expected groups to divide ${inChannels} and ${outChannels} channels, got ${groups}`,
      );
    }
    this.inChannels = inChannels;
    this.outChannels = outChannels;
    this.groups = groups;
    this.winograd = own.winograd;
    this.activation = own.activation;
    const { shape, fans } = weight();
    checkSize(name, shape);
    this.weight = new Parameter(shape, own.dtype as D);
    this.bias = own.bias ? new Parameter([outChannels], own.dtype as D) : null;
    initializeBoth(this.weight, own.init, this.bias, own.biasInit, fans, name);
  }

  forward(x: Tensor): Tensor<D> {
    checkTensor(this.label, x);
    this.exampleFrom(x.shape);
    checkInputDtype(this, x, this.weight.dtype);
    const fused = fusedActivation(this.activation);
    const z = this.convolve(x, fused);
    return fused ? z : resolveActivation(this.activation)(z);
  }

  override outputShape(input: ExampleShape): ExampleShape {
    const example = readExample(this, input);
    return example && this.exampleFrom(['batch', ...example]);
  }

  /** The shape of an example's output for an input, batch included. @throws ShapeError, which names the layer. */
  protected abstract exampleFrom(received: readonly (number | string)[]): Shape;

  protected abstract convolve(x: Tensor, activation: Activation | null): Tensor;
}

/** What convolutional layers share: a weight, a bias and an activation. */
import {
  type ActivationFunction,
  type ActivationName,
  fusedActivation,
  resolveActivation,
} from '../activations.ts';
import { checkBoolean } from '../arguments.ts';
import { ArgumentError } from '../errors.ts';
import { type Fans, type Initializer, initializeBoth, initializerBefore } from '../initializers.ts';
import type { FloatDtype } from '../memory.ts';
import type { Activation } from '../ops/epilogue.ts';
import { Parameter } from '../parameter.ts';
import type { Shape } from '../shape.ts';
import { checkTensor, type Tensor } from '../tensor.ts';
import { checkCount, checkInputDtype, checkLayerDtype, readExample } from './checks.ts';
import { type ExampleShape, Layer } from './layer.ts';

export interface ConvolutionLayerOptions {
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
  dtype?: FloatDtype;
  /**
   * Whether float32 convolutions by 3 × 3 kernels may use Winograd's algorithm, which is about twice as fast and rounds
   * about three times as much. Default true; the environment variable AXPY_WINOGRAD=0 forbids it.
   */
  winograd?: boolean;
}

/** The names of these options. */
export const common = ['groups', 'bias', 'activation', 'init', 'biasInit', 'dtype', 'winograd'] as const;

/** The names and numbers that a layer is made of, before they are checked. */
interface Form {
  name: string;
  inChannels: number;
  outChannels: number;
  /** Read once, by `readOptions`. */
  options: ConvolutionLayerOptions;
  /** The weight's shape, and how many inputs an output has and the reverse; called with checked numbers. */
  weight: (groups: number) => { shape: Shape; fans: Fans };
}

export abstract class Convolution extends Layer {
  readonly inChannels: number;
  readonly outChannels: number;
  readonly groups: number;
  readonly weight: Parameter;
  /** [out], or null without bias. */
  readonly bias: Parameter | null;
  /** The activation's name, or the function given. */
  readonly activation: ActivationName | ActivationFunction;
  protected readonly winograd: boolean;

  protected constructor({ name, inChannels, outChannels, options, weight }: Form) {
    super();
    this.inChannels = checkCount(name, 'inChannels', inChannels);
    this.outChannels = checkCount(name, 'outChannels', outChannels);
    const { groups = 1, bias = true, activation = 'linear', dtype = 'float32', winograd = true } = options;
    this.groups = checkCount(name, 'groups', groups);
    if (inChannels % groups !== 0 || outChannels % groups !== 0) {
      throw new ArgumentError(
        `${name} expected groups to divide ${inChannels} and ${outChannels} channels, got ${groups}`,
      );
    }
    checkBoolean(name, 'bias', bias);
    checkBoolean(name, 'winograd', winograd);
    this.winograd = winograd;
    resolveActivation(activation);
    this.activation = activation;
    const { init = initializerBefore(activation), biasInit = 'zeros' } = options;
    const { shape, fans } = weight(groups);
    this.weight = new Parameter(shape, checkLayerDtype(name, dtype));
    this.bias = bias ? new Parameter([outChannels], dtype) : null;
    initializeBoth(this.weight, init, this.bias, biasInit, fans);
  }

  forward(x: Tensor): Tensor {
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

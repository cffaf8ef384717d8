/** Convolution of images as a layer. */
import { readOptions } from '../arguments.ts';
import { conv2d } from '../ops/convolution.ts';
import type { Activation } from '../ops/epilogue.ts';
import { checkPair, ownPadding, type Padding, type Pair, type Window, windowOf } from '../ops/window.ts';
import type { Shape } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import { positionsOn } from './checks.ts';
import { Convolution, type ConvolutionLayerOptions, common } from './convolution.ts';

export interface Conv2DOptions extends ConvolutionLayerOptions {
  /** Pixels from one position of the kernel to the next; default 1. */
  stride?: Pair;
  /** Zeros around the image; default 'valid', none. */
  padding?: Padding;
  /** Pixels from one element of the kernel to the next; default 1. */
  dilation?: Pair;
}

/**
 * g(x ∗ W + b) over images: input [batch, height, width, in], output [batch, positions down, positions across, out], as
 * `conv2d`. The weight of PyTorch's Conv2d fits after `fromChannelsFirst`.
 *
 * Initializers count as inputs of an output in / groups · kernel height · kernel width, and as outputs of an input
 * out / groups times the same.
 */
export class Conv2D extends Convolution {
  /** [out, kernel height, kernel width, in / groups] */
  declare readonly weight: Convolution['weight'];
  private readonly window: Window;
  private readonly geometry: Required<Pick<Conv2DOptions, 'stride' | 'padding' | 'dilation'>>;

  /**
   * @param kernel its size, for both axes or [vertical, horizontal]
   * @throws ArgumentError, DtypeError for sizes and options out of their domains.
   */
  constructor(inChannels: number, outChannels: number, kernel: Pair, options: Conv2DOptions = {}) {
    const name = 'Conv2D';
    const own = readOptions(name, options, [...common, 'stride', 'padding', 'dilation']);
    const { stride = 1, padding = 'valid', dilation = 1 } = own;
    const size = checkPair(name, 'kernel', kernel);
    const geometry = {
      stride: checkPair(name, 'stride', stride),
      padding: ownPadding(name, padding),
      dilation: checkPair(name, 'dilation', dilation),
    };
    super({
      name,
      inChannels,
      outChannels,
      options: own,
      weight: (groups) => {
        const [height, width] = size;
        const area = height * width;
        return {
          shape: [outChannels, height, width, inChannels / groups],
          fans: { fanIn: (area * inChannels) / groups, fanOut: (area * outChannels) / groups },
        };
      },
    });
    this.geometry = geometry;
    this.window = windowOf(name, size, geometry);
  }

  protected convolve(x: Tensor, activation: Activation | null): Tensor {
    const { groups, winograd } = this;
    return conv2d(x, this.weight, this.bias, { ...this.geometry, groups, winograd, activation });
  }

  protected exampleFrom(received: readonly (number | string)[]): Shape {
    return [...positionsOn(this, this.window, received, this.inChannels), this.outChannels];
  }
}

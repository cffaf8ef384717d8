/** Transposed convolution of images as a layer. */
import { readOptions } from '../arguments.ts';
import { checkOutputPadding, convTranspose2d } from '../ops/convolution.ts';
import type { Activation } from '../ops/epilogue.ts';
import { checkPair, ownPadding, type Pair, pixelsOf, type Window, windowOf } from '../ops/window.ts';
import type { Shape } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import { checkImages } from './checks.ts';
import type { Conv2DOptions } from './conv2d.ts';
import { Convolution, common } from './convolution.ts';
import { inputError } from './layer.ts';

export interface ConvTranspose2DOptions extends Conv2DOptions {
  /** Rows and columns more at the bottom and on the right, below the stride or the dilation; default 0. */
  outputPadding?: Pair;
}

/**
 * g(x ∗ᵀ W + b), which makes images larger by the stride: input [batch, height, width, in], output as `convTranspose2d`.
 * The weight of PyTorch's ConvTranspose2d fits after `fromChannelsFirst`.
 *
 * Initializers count as inputs of an output in / groups · kernel height · kernel width / (stride down · stride across),
 * the mean over the pixels, and as outputs of an input out / groups · kernel height · kernel width.
 */
export class ConvTranspose2D extends Convolution {
  /** [in, kernel height, kernel width, out / groups] */
  declare readonly weight: Convolution['weight'];
  private readonly window: Window;
  private readonly geometry: Required<
    Pick<ConvTranspose2DOptions, 'stride' | 'padding' | 'dilation' | 'outputPadding'>
  >;

  /**
   * @param kernel its size, for both axes or [vertical, horizontal]
   * @throws ArgumentError, DtypeError for sizes and options out of their domains.
   */
  constructor(inChannels: number, outChannels: number, kernel: Pair, options: ConvTranspose2DOptions = {}) {
    const name = 'ConvTranspose2D';
    const own = readOptions(name, options, [...common, 'stride', 'padding', 'dilation', 'outputPadding']);
    const { stride = 1, padding = 'valid', dilation = 1, outputPadding = 0 } = own;
    const size = checkPair(name, 'kernel', kernel);
    const given = {
      stride: checkPair(name, 'stride', stride),
      padding: ownPadding(name, padding),
      dilation: checkPair(name, 'dilation', dilation),
    };
    const window = windowOf(name, size, given);
    const geometry = { ...given, outputPadding: checkOutputPadding(name, window, outputPadding) };
    super({
      name,
      inChannels,
      outChannels,
      options: own,
      weight: (groups) => {
        const [height, width] = size;
        const area = height * width;
        const met = area / (window.vertical.stride * window.horizontal.stride);
        return {
          shape: [inChannels, height, width, outChannels / groups],
          fans: { fanIn: (met * inChannels) / groups, fanOut: (area * outChannels) / groups },
        };
      },
    });
    this.geometry = geometry;
    this.window = window;
  }

  protected convolve(x: Tensor, activation: Activation | null): Tensor {
    const { groups, winograd } = this;
    return convTranspose2d(x, this.weight, this.bias, { ...this.geometry, groups, winograd, activation });
  }

  protected exampleFrom(received: readonly (number | string)[]): Shape {
    checkImages(this, received, this.inChannels);
    const [, height, width] = received as number[];
    const more = checkOutputPadding(this.label, this.window, this.geometry.outputPadding);
    const outHeight = pixelsOf(this.window.vertical, height, more[0]);
    const outWidth = pixelsOf(this.window.horizontal, width, more[1]);
    if (outHeight < 1 || outWidth < 1) {
      throw inputError(
        this,
        `[batch, height, width, ${this.inChannels}] that leaves a pixel without its padding`,
        received,
      );
    }
    return [outHeight, outWidth, this.outChannels];
  }
}

/** Transposed convolution of images as a layer. */
import type { FloatDtype } from '../memory.ts';
import { checkOutputPadding, convTranspose2d } from '../ops/convolution.ts';
import type { Activation } from '../ops/epilogue.ts';
import { checkPair, type Pair, pixelsOf, type Window, windowOf } from '../ops/window.ts';
import type { Shape } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import { checkImages, inputError } from './checks.ts';
import { type Conv2DLayerOptions, imageArguments, imageOptions } from './conv2d.ts';
import { Convolution } from './convolution.ts';
import { layerForm, type OptionsOf, option } from './options.ts';

/** Options of `ConvTranspose2D`. */
export interface ConvTranspose2DLayerOptions<D extends FloatDtype = FloatDtype>
  extends Conv2DLayerOptions<D> {
  /** Rows and columns more at the bottom and on the right, below the stride or the dilation; default 0. */
  outputPadding?: Pair;
}

const name = 'ConvTranspose2D';

const form = layerForm(name, imageArguments, {
  ...imageOptions,
  // The window says how large it may be.
  outputPadding: option<Pair>(
    (layer, name, given) => checkPair(layer, name, given, 0),
    () => 0,
  ),
} satisfies OptionsOf<ConvTranspose2DLayerOptions>);

/**
 * g(x ∗ᵀ W + b), which makes images larger by the stride: input [batch, height, width, in], output as `convTranspose2d`.
 * The weight of PyTorch's ConvTranspose2d fits after `fromChannelsFirst`.
 *
 * Initializers count as inputs of an output in / groups · kernel height · kernel width / (stride down · stride across),
 * the mean over the pixels, and as outputs of an input out / groups · kernel height · kernel width.
 */
export class ConvTranspose2D<D extends FloatDtype = 'float32'> extends Convolution<D> {
  /** [in, kernel height, kernel width, out / groups] */
  declare readonly weight: Convolution<D>['weight'];
  private readonly window: Window;
  private readonly geometry: Required<
    Pick<ConvTranspose2DLayerOptions, 'stride' | 'padding' | 'dilation' | 'outputPadding'>
  >;

  /**
   * @param kernel its size, for both axes or [vertical, horizontal]
   * @throws ArgumentError, DtypeError for sizes and options out of their domains.
   */
  constructor(
    inChannels: number,
    outChannels: number,
    kernel: Pair,
    options: ConvTranspose2DLayerOptions<D> = {},
  ) {
    const own = form.read([inChannels, outChannels, kernel], options);
    const { kernel: size, groups, stride, padding, dilation } = own;
    const window = windowOf(name, size, own);
    const outputPadding = checkOutputPadding(name, window, own.outputPadding);
    super(name, own, () => {
      const [height, width] = size;
      const area = height * width;
      const met = area / (window.vertical.stride * window.horizontal.stride);
      return {
        shape: [inChannels, height, width, outChannels / groups],
        fans: { fanIn: (met * inChannels) / groups, fanOut: (area * outChannels) / groups },
      };
    });
    this.geometry = { stride, padding, dilation, outputPadding };
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

form.register(ConvTranspose2D);

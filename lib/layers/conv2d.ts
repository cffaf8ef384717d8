/** Convolution of images as a layer. */
import type { FloatDtype } from '../memory.ts';
import { conv2d } from '../ops/convolution.ts';
import type { Activation } from '../ops/epilogue.ts';
import { type Padding, type Pair, type Window, windowOf } from '../ops/window.ts';
import type { Shape } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import { positionsOn } from './checks.ts';
import { Convolution, type ConvolutionLayerOptions, channels, common } from './convolution.ts';
import { layerForm, type OptionsOf, padding, pair } from './options.ts';

/** Options of `Conv2D`. */
export interface Conv2DLayerOptions<D extends FloatDtype = FloatDtype> extends ConvolutionLayerOptions<D> {
  /** Pixels from one position of the kernel to the next; default 1. */
  stride?: Pair;
  /** Zeros around the image; default 'valid', none. */
  padding?: Padding;
  /** Pixels from one element of the kernel to the next; default 1. */
  dilation?: Pair;
}

const name = 'Conv2D';

/** What both convolutions of images take. */
export const imageArguments = { ...channels, kernel: pair() };
export const imageOptions = {
  ...common,
  stride: pair(() => 1),
  padding,
  dilation: pair(() => 1),
} satisfies OptionsOf<Conv2DLayerOptions>;

const form = layerForm(name, imageArguments, imageOptions);

/**
 * g(x ∗ W + b) over images: input [batch, height, width, in], output [batch, positions down, positions across, out], as
 * `conv2d`. The weight of PyTorch's Conv2d fits after `fromChannelsFirst`.
 *
 * Initializers count as inputs of an output in / groups · kernel height · kernel width, and as outputs of an input
 * out / groups times the same.
 */
export class Conv2D<D extends FloatDtype = 'float32'> extends Convolution<D> {
  /** [out, kernel height, kernel width, in / groups] */
  declare readonly weight: Convolution<D>['weight'];
  private readonly window: Window;
  private readonly geometry: Required<Pick<Conv2DLayerOptions, 'stride' | 'padding' | 'dilation'>>;

  /**
   * @param kernel its size, for both axes or [vertical, horizontal]
   * @throws ArgumentError, DtypeError for sizes and options out of their domains.
   */
  constructor(inChannels: number, outChannels: number, kernel: Pair, options: Conv2DLayerOptions<D> = {}) {
    const own = form.read([inChannels, outChannels, kernel], options);
    const { kernel: size, groups, stride, padding, dilation } = own;
    const [height, width] = size;
    super(name, own, () => {
      const area = height * width;
      return {
        shape: [outChannels, height, width, inChannels / groups],
        fans: { fanIn: (area * inChannels) / groups, fanOut: (area * outChannels) / groups },
      };
    });
    this.geometry = { stride, padding, dilation };
    this.window = windowOf(name, size, this.geometry);
  }

  protected convolve(x: Tensor, activation: Activation | null): Tensor {
    const { groups, winograd } = this;
    return conv2d(x, this.weight, this.bias, { ...this.geometry, groups, winograd, activation });
  }

  protected exampleFrom(received: readonly (number | string)[]): Shape {
    return [...positionsOn(this, this.window, received, this.inChannels), this.outChannels];
  }
}

form.register(Conv2D);

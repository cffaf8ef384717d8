/** Convolution of sequences as a layer. */
import { readOptions } from '../arguments.ts';
import type { FloatDtype } from '../memory.ts';
import { conv1d, type Padding1d, windowOf1d } from '../ops/convolution.ts';
import type { Activation } from '../ops/epilogue.ts';
import { leastPixels, positions, type Window } from '../ops/window.ts';
import type { Shape } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import { inputError } from './checks.ts';
import { Convolution, type ConvolutionLayerOptions, channels, common } from './convolution.ts';
import { layerForm, type OptionsOf, option, unchecked } from './options.ts';

/** Options of `Conv1D`. */
export interface Conv1DLayerOptions<D extends FloatDtype = FloatDtype> extends ConvolutionLayerOptions<D> {
  /** Steps from one position of the kernel to the next; default 1. */
  stride?: number;
  /** Zeros around the sequence; default 'valid', none. `{ left: dilation · (kernel − 1) }` makes it causal. */
  padding?: Padding1d;
  /** Steps from one element of the kernel to the next; default 1. */
  dilation?: number;
}

const name = 'Conv1D';

// `windowOf1d` checks these.
const form = layerForm(name, { ...channels, kernel: unchecked<number>() }, {
  ...common,
  stride: unchecked<number>(() => 1),
  padding: option<Padding1d>(
    (layer, _, given) => (typeof given === 'object' ? readOptions(layer, given, ['left', 'right']) : given),
    () => 'valid',
  ),
  dilation: unchecked<number>(() => 1),
} satisfies OptionsOf<Conv1DLayerOptions>);

/**
 * g(x ∗ W + b) over sequences: input [batch, length, in], output [batch, positions, out], as `conv1d`. The weight of
 * PyTorch's Conv1d fits after `fromChannelsFirst`.
 */
export class Conv1D<D extends FloatDtype = 'float32'> extends Convolution<D> {
  /** [out, kernel, in / groups] */
  declare readonly weight: Convolution<D>['weight'];
  private readonly window: Window;
  private readonly geometry: Required<Pick<Conv1DLayerOptions, 'stride' | 'padding' | 'dilation'>>;

  /** @throws ArgumentError, DtypeError for sizes and options out of their domains. */
  constructor(inChannels: number, outChannels: number, kernel: number, options: Conv1DLayerOptions<D> = {}) {
    const own = form.read([inChannels, outChannels, kernel], options);
    const { groups, stride, padding, dilation } = own;
    const window = windowOf1d(name, kernel, own);
    super(name, own, () => ({
      shape: [outChannels, kernel, inChannels / groups],
      fans: { fanIn: (kernel * inChannels) / groups, fanOut: (kernel * outChannels) / groups },
    }));
    this.geometry = { stride, padding, dilation };
    this.window = window;
  }

  protected convolve(x: Tensor, activation: Activation | null): Tensor {
    const { groups, winograd } = this;
    return conv1d(x, this.weight, this.bias, { ...this.geometry, groups, winograd, activation });
  }

  protected exampleFrom(received: readonly (number | string)[]): Shape {
    const { horizontal } = this.window;
    const [, length, channels] = received;
    if (received.length !== 3 || channels !== this.inChannels) {
      throw inputError(this, `[batch, length, ${this.inChannels}]`, received);
    }
    const least = leastPixels(horizontal);
    if ((length as number) < least) {
      throw inputError(this, `[batch, length ≥ ${least}, ${this.inChannels}]`, received);
    }
    return [positions(horizontal, length as number), this.outChannels];
  }
}

form.register(Conv1D);

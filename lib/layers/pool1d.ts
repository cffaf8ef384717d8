/** Pooling of sequences as layers: images of one row. */
import { readOptions } from '../arguments.ts';
import type { Padding1d } from '../ops/convolution.ts';
import { averagePool2d, maxPool2d, type PoolOptions, poolingWindow } from '../ops/pool.ts';
import { max } from '../ops/reduce.ts';
import { reshape } from '../ops/reshape.ts';
import { leastPixels, positions, type Window } from '../ops/window.ts';
import type { Shape } from '../shape.ts';
import { checkFloat, checkTensor, type Tensor } from '../tensor.ts';
import { inputError, readExample } from './checks.ts';
import { configure } from './config.ts';
import { type ExampleShape, Layer } from './layer.ts';
import { count, flag, layerForm, type OptionsOf, option } from './options.ts';

/** Options of `MaxPool1D`. */
export interface Pool1DLayerOptions {
  /** Steps from one window to the next; default: as many as the window is long, so that windows do not overlap. */
  stride?: number;
  /** Places around the sequence, less than the window is long; default 'valid', none. */
  padding?: Padding1d;
}

/** Options of `AvgPool1D`. */
export interface AvgPool1DLayerOptions extends Pool1DLayerOptions {
  /** Whether padding counts as zeros; default false, as in Keras. PyTorch's default is true (`count_include_pad`). */
  countPadding?: boolean;
}

const window = {
  stride: { ...count, otherwise: ({ size }) => size as number },
  padding: option<Padding1d>(
    (layer, _, given) => (typeof given === 'object' ? readOptions(layer, given, ['left', 'right']) : given),
    () => 'valid',
  ),
} satisfies OptionsOf<Pool1DLayerOptions>;

const maxForm = layerForm('MaxPool1D', { size: count }, window);

const averageForm = layerForm('AvgPool1D', { size: count }, {
  ...window,
  countPadding: flag(false),
} satisfies OptionsOf<AvgPool1DLayerOptions>);

function checkSequences(layer: Layer, received: readonly (number | string)[], least = 0): void {
  if (received.length === 3 && (received[1] as number) >= least) return;
  throw inputError(layer, `[batch, length${least > 0 ? ` ≥ ${least}` : ''}, channels]`, received);
}

abstract class Pool1D extends Layer {
  protected readonly size: readonly [number, number];
  protected readonly options: Required<PoolOptions>;
  private readonly window: Window;

  constructor(name: string, own: { size: number } & Required<Pool1DLayerOptions>) {
    super();
    const { size, stride, padding } = own;
    this.size = [1, size];
    const sides = typeof padding === 'number' ? { left: padding, right: padding } : padding;
    this.options = { stride: [1, stride], padding: sides };
    this.window = poolingWindow(name, this.size, this.options);
  }

  forward(x: Tensor): Tensor {
    checkTensor(this.label, x);
    const [length, channels] = this.exampleFrom(x.shape);
    const y = this.pool(reshape(x, [x.shape[0], 1, x.shape[1], channels]));
    return reshape(y, [x.shape[0], length, channels]);
  }

  override outputShape(input: ExampleShape): ExampleShape {
    const example = readExample(this, input);
    return example && this.exampleFrom(['batch', ...example]);
  }

  private exampleFrom(received: readonly (number | string)[]): Shape {
    const { horizontal } = this.window;
    checkSequences(this, received, leastPixels(horizontal));
    return [positions(horizontal, received[1] as number), received[2] as number];
  }

  protected abstract pool(x: Tensor): Tensor;
}

/** The largest of each channel under a window: input [batch, length, channels], output [batch, positions, channels]. */
export class MaxPool1D extends Pool1D {
  /** @param size of the window @throws ArgumentError for sizes and options out of their domains. */
  constructor(size: number, options: Pool1DLayerOptions = {}) {
    const own = maxForm.read([size], options);
    super('MaxPool1D', own);
    configure(this, own);
  }

  protected pool(x: Tensor): Tensor {
    return maxPool2d(x, this.size, this.options);
  }
}

/** The mean of each channel under a window: input [batch, length, channels], output [batch, positions, channels]. */
export class AvgPool1D extends Pool1D {
  private readonly countPadding: boolean;

  /** @param size of the window @throws ArgumentError for sizes and options out of their domains. */
  constructor(size: number, options: AvgPool1DLayerOptions = {}) {
    const own = averageForm.read([size], options);
    super('AvgPool1D', own);
    configure(this, own);
    this.countPadding = own.countPadding;
  }

  protected pool(x: Tensor): Tensor {
    return averagePool2d(x, this.size, { ...this.options, countPadding: this.countPadding });
  }
}

abstract class GlobalPool1D extends Layer {
  forward(x: Tensor): Tensor {
    checkTensor(this.label, x);
    checkSequences(this, x.shape);
    checkFloat(this.label, x);
    return this.pool(x);
  }

  override outputShape(input: ExampleShape): ExampleShape {
    const example = readExample(this, input);
    if (example === undefined) return undefined;
    checkSequences(this, ['batch', ...example]);
    return [example[1]];
  }

  protected abstract pool(x: Tensor): Tensor;
}

/** The mean of each channel over the sequence: [batch, length, channels] → [batch, channels]. */
export class GlobalAvgPool1D extends GlobalPool1D {
  protected pool(x: Tensor): Tensor {
    return x.mean([1]);
  }
}

/** The largest of each channel in the sequence: [batch, length, channels] → [batch, channels]. */
export class GlobalMaxPool1D extends GlobalPool1D {
  protected pool(x: Tensor): Tensor {
    return max(x, [1]);
  }
}

maxForm.register(MaxPool1D);
averageForm.register(AvgPool1D);
layerForm('GlobalAvgPool1D', {}, {}).register(GlobalAvgPool1D);
layerForm('GlobalMaxPool1D', {}, {}).register(GlobalMaxPool1D);

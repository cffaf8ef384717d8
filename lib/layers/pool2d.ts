/** Pooling of images as layers. */
import { averagePool2d, maxPool2d, poolingWindow } from '../ops/pool.ts';
import { max } from '../ops/reduce.ts';
import type { Padding, Pair, Window } from '../ops/window.ts';
import type { Shape } from '../shape.ts';
import { checkFloat, checkTensor, type Tensor } from '../tensor.ts';
import { checkImages, positionsOn, readExample } from './checks.ts';
import { configure } from './config.ts';
import { type ExampleShape, Layer } from './layer.ts';
import { flag, layerForm, type OptionsOf, padding, pair } from './options.ts';

/** Options of `MaxPool2D`. */
export interface Pool2DLayerOptions {
  /** Pixels from one window to the next; default: as many as the window is large, so that windows do not overlap. */
  stride?: Pair;
  /** Places around the image, less than the window is large; default 'valid', none. */
  padding?: Padding;
}

/** Options of `AvgPool2D`. */
export interface AvgPool2DLayerOptions extends Pool2DLayerOptions {
  /** Whether padding counts as zeros; default false, as in Keras. PyTorch's default is true (`count_include_pad`). */
  countPadding?: boolean;
}

const window = {
  stride: pair(({ size }) => size as Pair),
  padding,
} satisfies OptionsOf<Pool2DLayerOptions>;

const maxForm = layerForm('MaxPool2D', { size: pair() }, window);

const averageForm = layerForm('AvgPool2D', { size: pair() }, {
  ...window,
  countPadding: flag(false),
} satisfies OptionsOf<AvgPool2DLayerOptions>);

abstract class Pool2D extends Layer {
  protected readonly size: Pair;
  protected readonly options: Required<Pool2DLayerOptions>;
  private readonly window: Window;

  constructor(name: string, { size, stride, padding }: { size: Pair } & Required<Pool2DLayerOptions>) {
    super();
    this.size = size;
    this.options = { stride, padding };
    this.window = poolingWindow(name, size, this.options);
  }

  forward(x: Tensor): Tensor {
    checkTensor(this.label, x);
    this.exampleFrom(x.shape);
    return this.pool(x);
  }

  override outputShape(input: ExampleShape): ExampleShape {
    const example = readExample(this, input);
    return example && this.exampleFrom(['batch', ...example]);
  }

  private exampleFrom(received: readonly (number | string)[]): Shape {
    return [...positionsOn(this, this.window, received), received[3] as number];
  }

  protected abstract pool(x: Tensor): Tensor;
}

/** The largest of each channel under a window: input [batch, height, width, channels], output as `maxPool2d`. */
export class MaxPool2D extends Pool2D {
  /**
   * @param size of the window, for both axes or [vertical, horizontal]
   * @throws ArgumentError for sizes and options out of their domains.
   */
  constructor(size: Pair, options: Pool2DLayerOptions = {}) {
    const own = maxForm.read([size], options);
    super('MaxPool2D', own);
    configure(this, own);
  }

  protected pool(x: Tensor): Tensor {
    return maxPool2d(x, this.size, this.options);
  }
}

/** The mean of each channel under a window: input [batch, height, width, channels], output as `averagePool2d`. */
export class AvgPool2D extends Pool2D {
  private readonly countPadding: boolean;

  /**
   * @param size of the window, for both axes or [vertical, horizontal]
   * @throws ArgumentError for sizes and options out of their domains.
   */
  constructor(size: Pair, options: AvgPool2DLayerOptions = {}) {
    const own = averageForm.read([size], options);
    super('AvgPool2D', own);
    configure(this, own);
    this.countPadding = own.countPadding;
  }

  protected pool(x: Tensor): Tensor {
    return averagePool2d(x, this.size, { ...this.options, countPadding: this.countPadding });
  }
}

abstract class GlobalPool2D extends Layer {
  forward(x: Tensor): Tensor {
    checkTensor(this.label, x);
    checkImages(this, x.shape);
    checkFloat(this.label, x);
    return this.pool(x);
  }

  override outputShape(input: ExampleShape): ExampleShape {
    const example = readExample(this, input);
    if (example === undefined) return undefined;
    checkImages(this, ['batch', ...example]);
    return [example[2]];
  }

  protected abstract pool(x: Tensor): Tensor;
}

/** The mean of each channel over the image: [batch, height, width, channels] → [batch, channels]. */
export class GlobalAvgPool2D extends GlobalPool2D {
  protected pool(x: Tensor): Tensor {
    return x.mean([1, 2]);
  }
}

/** The largest of each channel in the image: [batch, height, width, channels] → [batch, channels]. */
export class GlobalMaxPool2D extends GlobalPool2D {
  protected pool(x: Tensor): Tensor {
    return max(x, [1, 2]);
  }
}

maxForm.register(MaxPool2D);
averageForm.register(AvgPool2D);
layerForm('GlobalAvgPool2D', {}, {}).register(GlobalAvgPool2D);
layerForm('GlobalMaxPool2D', {}, {}).register(GlobalMaxPool2D);

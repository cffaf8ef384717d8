/** Pooling of images as layers. */
import { checkBoolean, checkOptions } from '../arguments.ts';
import { averagePool2d, maxPool2d, poolingWindow } from '../ops/pool.ts';
import { checkPair, ownPadding, type Padding, type Pair, type Window } from '../ops/window.ts';
import type { Shape } from '../shape.ts';
import { checkTensor, type Tensor } from '../tensor.ts';
import { checkImages, positionsOn, readExample } from './checks.ts';
import { type ExampleShape, Layer } from './layer.ts';

export interface Pool2DOptions {
  /** Pixels from one window to the next; default: as many as the window is large, so that windows do not overlap. */
  stride?: Pair;
  /** Places around the image, less than the window is large; default 'valid', none. */
  padding?: Padding;
}

export interface AvgPool2DOptions extends Pool2DOptions {
  /** Whether padding counts as zeros; default false, as in Keras. PyTorch's default is true (`count_include_pad`). */
  countPadding?: boolean;
}

abstract class Pool2D extends Layer {
  protected readonly size: Pair;
  protected readonly options: Required<Pool2DOptions>;
  private readonly window: Window;

  constructor(name: string, size: Pair, { stride, padding = 'valid' }: Pool2DOptions) {
    super();
    this.size = checkPair(name, 'size', size);
    this.options = {
      stride: stride === undefined ? this.size : checkPair(name, 'stride', stride),
      padding: ownPadding(name, padding),
    };
    this.window = poolingWindow(name, this.size, this.options);
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
  constructor(size: Pair, options: Pool2DOptions = {}) {
    checkOptions('MaxPool2D', options, ['stride', 'padding']);
    super('MaxPool2D', size, options);
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
  constructor(size: Pair, options: AvgPool2DOptions = {}) {
    checkOptions('AvgPool2D', options, ['stride', 'padding', 'countPadding']);
    super('AvgPool2D', size, options);
    const { countPadding = false } = options;
    checkBoolean('AvgPool2D', 'countPadding', countPadding);
    this.countPadding = countPadding;
  }

  protected pool(x: Tensor): Tensor {
    return averagePool2d(x, this.size, { ...this.options, countPadding: this.countPadding });
  }
}

/** The mean of each channel over the image: [batch, height, width, channels] → [batch, channels]. */
export class GlobalAvgPool2D extends Layer {
  forward(x: Tensor): Tensor {
    checkTensor(this.label, x);
    checkImages(this, x.shape);
    return x.mean([1, 2]);
  }

  override outputShape(input: ExampleShape): ExampleShape {
    const example = readExample(this, input);
    if (example === undefined) return undefined;
    checkImages(this, ['batch', ...example]);
    return [example[2]];
  }
}

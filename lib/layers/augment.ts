/**
 * Images changed at random while a model trains, each image by itself: rows, columns and lights, in the step itself, compiled or
 * not. In evaluation they stay as they are.
 */
import { describe } from '../arguments.ts';
import { arange } from '../create.ts';
import { ArgumentError } from '../errors.ts';
import { add, mul, sub } from '../ops/binary.ts';
import { cast } from '../ops/cast.ts';
import { pixelsAt } from '../ops/gridSample.ts';
import { pad } from '../ops/pad.ts';
import { mean } from '../ops/reduce.ts';
import { reshape } from '../ops/reshape.ts';
import { slice } from '../ops/slice.ts';
import { clip, floor } from '../ops/unary.ts';
import { rand } from '../random.ts';
import type { Shape } from '../shape.ts';
import { checkFloat, checkTensor, type Tensor } from '../tensor.ts';
import { checkImages, inputError, readExample } from './checks.ts';
import { configure } from './config.ts';
import { type ExampleShape, Layer } from './layer.ts';
import { choice, count, layerForm, number, type OptionsOf, option } from './options.ts';

/** A number for each image, [batch, 1, 1], uniform on [low, high). */
export const drawn = (batch: number, low: number, high: number): Tensor =>
  add(mul(rand([batch, 1, 1]), high - low), low);

/** An integer for each image, from 0 to below `end`. */
const drawnInteger = (batch: number, end: number): Tensor<'int32'> =>
  // A number that float32 rounds up to `end` is none.
  cast(clip(floor(drawn(batch, 0, end)), 0, end - 1), 'int32');

const places = (n: number, shape: Shape): Tensor<'int32'> =>
  reshape(arange(0, n, 1, { dtype: 'int32' }), shape);

export abstract class Augmentation extends Layer {
  forward(x: Tensor): Tensor {
    checkTensor(this.label, x);
    checkImages(this, x.shape);
    checkFloat(this.label, x);
    this.check(x.shape);
    return x.size === 0 || !this.training ? this.still(x) : this.change(x);
  }

  override outputShape(input: ExampleShape): ExampleShape {
    const example = readExample(this, input);
    if (example === undefined) return undefined;
    checkImages(this, ['batch', ...example]);
    this.check(['batch', ...example]);
    return this.sizes(example);
  }

  /** @throws ShapeError for images that are too small */
  protected check(_received: readonly (number | string)[]): void {}

  protected sizes(example: Shape): Shape {
    return example;
  }

  /** What becomes of images in evaluation. */
  protected still(x: Tensor): Tensor {
    return x;
  }

  protected abstract change(x: Tensor): Tensor;
}

const flipForm = layerForm('RandomFlip', { direction: choice('horizontal', 'vertical', 'both') }, {});

/** Mirrors every second image, as chance has it: [batch, height, width, channels], of which the width or the height turns round. */
export class RandomFlip extends Augmentation {
  readonly direction: 'horizontal' | 'vertical' | 'both';

  /** @param direction 'horizontal' (default), left for right; 'vertical', or 'both', each by itself @throws ArgumentError */
  constructor(direction?: 'horizontal' | 'vertical' | 'both') {
    super();
    const own = flipForm.read([direction]);
    configure(this, own);
    this.direction = own.direction;
  }

  protected change(x: Tensor): Tensor {
    const [batch, height, width] = x.shape;
    // p + turned·(last − 2p)
    const turned = (places: Tensor, last: number) =>
      add(places, mul(drawnInteger(batch, 2), add(mul(places, -2), last)));
    const rows = places(height, [1, height, 1]);
    const columns = places(width, [1, 1, width]);
    return pixelsAt(
      x,
      this.direction === 'horizontal' ? rows : turned(rows, height - 1),
      this.direction === 'vertical' ? columns : turned(columns, width - 1),
    );
  }
}

/** Options of `RandomCrop`. */
export interface RandomCropOptions {
  /** Pixels of 0 around each image before it is cut; default 0. */
  padding?: number;
}

const natural = option(
  (layer, name, given: number) => {
    if (Number.isInteger(given) && given >= 0) return given;
    throw new ArgumentError(
      `${layer} expected ${name} to be an integer of at least 0, got ${describe(given)}`,
    );
  },
  () => 0,
);

const cropForm = layerForm('RandomCrop', { height: count, width: count }, {
  padding: natural,
} satisfies OptionsOf<RandomCropOptions>);

/**
 * A part of each image, cut where chance has it; in evaluation from the middle, as torchvision's RandomCrop and CenterCrop.
 * [batch, ≥ height, ≥ width, channels] → [batch, height, width, channels]. With padding 4 the usual one for CIFAR-10 (He et al., 2016).
 */
export class RandomCrop extends Augmentation {
  readonly height: number;
  readonly width: number;
  readonly padding: number;

  /** @throws ArgumentError for sizes out of their domains. */
  constructor(height: number, width: number, options: RandomCropOptions = {}) {
    super();
    const own = cropForm.read([height, width], options);
    configure(this, own);
    this.height = own.height;
    this.width = own.width;
    this.padding = own.padding;
  }

  protected override check(received: readonly (number | string)[]): void {
    const [height, width] = [this.height - 2 * this.padding, this.width - 2 * this.padding];
    if ((received[1] as number) >= height && (received[2] as number) >= width) return;
    throw inputError(this, `[batch, height ≥ ${height}, width ≥ ${width}, channels]`, received);
  }

  protected override sizes([, , channels]: Shape): Shape {
    return [this.height, this.width, channels];
  }

  protected change(x: Tensor): Tensor {
    const { padding } = this;
    const from = (part: number, whole: number) =>
      sub(drawnInteger(x.shape[0], whole + 2 * padding - part + 1), padding);
    const rows = add(from(this.height, x.shape[1]), places(this.height, [1, this.height, 1]));
    const columns = add(from(this.width, x.shape[2]), places(this.width, [1, 1, this.width]));
    return pixelsAt(x, rows, columns);
  }

  protected override still(x: Tensor): Tensor {
    const { height, width } = this;
    const [above, beside] = [Math.max(0, height - x.shape[1]), Math.max(0, width - x.shape[2])];
    const [first, before] = [(above + 1) >> 1, (beside + 1) >> 1];
    const whole =
      above + beside === 0
        ? x
        : pad(x, [
            [0, 0],
            [first, above - first],
            [before, beside - before],
          ]);
    const [top, left] = [(whole.shape[1] - height) >> 1, (whole.shape[2] - width) >> 1];
    return slice(whole, [null, [top, top + height], [left, left + width]]);
  }
}

const share = number(0, (layer, given, name) => {
  if (Number.isFinite(given) && given >= 0) return;
  throw new ArgumentError(`${layer} expected ${name} to be a number of at least 0, got ${describe(given)}`);
});
const needed = { ...share, otherwise: undefined };

const brightnessForm = layerForm('RandomBrightness', { amount: needed }, {});

/** Adds one number to all pixels of an image, uniform from −amount to amount. */
export class RandomBrightness extends Augmentation {
  readonly amount: number;

  /** @param amount in units of the pixels: 0.2 for those from 0 to 1 @throws ArgumentError unless it is at least 0 */
  constructor(amount: number) {
    super();
    const own = brightnessForm.read([amount]);
    configure(this, own);
    this.amount = own.amount;
  }

  protected change(x: Tensor): Tensor {
    const added = drawn(x.shape[0], -this.amount, this.amount);
    return add(x, cast(reshape(added, [x.shape[0], 1, 1, 1]), x.dtype));
  }
}

const contrastForm = layerForm('RandomContrast', { amount: needed }, {});

/** Moves the pixels of an image from the mean of their channel, or towards it: by a factor uniform from 1 − amount to 1 + amount. */
export class RandomContrast extends Augmentation {
  readonly amount: number;

  /** @throws ArgumentError unless amount is at least 0 */
  constructor(amount: number) {
    super();
    const own = contrastForm.read([amount]);
    configure(this, own);
    this.amount = own.amount;
  }

  protected change(x: Tensor): Tensor {
    const factor = drawn(x.shape[0], 1 - this.amount, 1 + this.amount);
    const middle = mean(x, [1, 2], { keepDims: true });
    return add(middle, mul(sub(x, middle), cast(reshape(factor, [x.shape[0], 1, 1, 1]), x.dtype)));
  }
}

flipForm.register(RandomFlip);
cropForm.register(RandomCrop);
brightnessForm.register(RandomBrightness);
contrastForm.register(RandomContrast);

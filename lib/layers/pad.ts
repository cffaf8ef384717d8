/** Padding of images as a layer. */
import { checkOptions, describe } from '../arguments.ts';
import { ArgumentError } from '../errors.ts';
import { pad } from '../ops/pad.ts';
import { checkSides, type Padding, type Sides } from '../ops/window.ts';
import { checkTensor, type Tensor } from '../tensor.ts';
import { checkImages, readExample } from './checks.ts';
import { type ExampleShape, Layer } from './layer.ts';

export interface PadOptions {
  /** Default 0. */
  value?: number;
}

/** Pixels of one value around images: input [batch, height, width, channels], output larger by the padding. */
export class Pad extends Layer {
  readonly sides: Readonly<Sides>;
  readonly value: number;

  /**
   * @param padding a number for all sides, two for [top and bottom, left and right], or one for each side
   * @throws ArgumentError for negative numbers or a value that is no number.
   */
  constructor(padding: Exclude<Padding, string>, options: PadOptions = {}) {
    super();
    if (typeof padding === 'string') {
      throw new ArgumentError(`Pad expected padding to be numbers or sides, got ${describe(padding)}`);
    }
    this.sides = checkSides('Pad', padding);
    checkOptions('Pad', options, ['value']);
    const { value = 0 } = options;
    if (typeof value !== 'number') {
      throw new ArgumentError(`Pad expected value to be a number, got ${describe(value)}`);
    }
    this.value = value;
  }

  forward(x: Tensor): Tensor {
    checkTensor(this.label, x);
    checkImages(this, x.shape);
    const { top, bottom, left, right } = this.sides;
    const pairs = [
      [0, 0],
      [top, bottom],
      [left, right],
    ] as const;
    return pad(x, pairs, this.value);
  }

  override outputShape(input: ExampleShape): ExampleShape {
    const example = readExample(this, input);
    if (example === undefined) return undefined;
    checkImages(this, ['batch', ...example]);
    const { top, bottom, left, right } = this.sides;
    const [height, width, channels] = example;
    return [top + height + bottom, left + width + right, channels];
  }
}

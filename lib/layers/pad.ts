/** Padding of images as a layer. */
import { describe } from '../arguments.ts';
import { ArgumentError } from '../errors.ts';
import { pad } from '../ops/pad.ts';
import { checkSides, type Padding, type Sides } from '../ops/window.ts';
import { checkTensor, type Tensor } from '../tensor.ts';
import { checkImages, readExample } from './checks.ts';
import { configure } from './config.ts';
import { type ExampleShape, Layer } from './layer.ts';
import { layerForm, number, type OptionsOf, option } from './options.ts';

/** Options of `Pad`. */
export interface PadOptions {
  /** Default 0. */
  value?: number;
}

const padding = option((layer, name, given: Exclude<Padding, string>) => {
  if (typeof given !== 'string') return checkSides(layer, given);
  throw new ArgumentError(`${layer} expected ${name} to be numbers or sides, got ${describe(given)}`);
});

const form = layerForm('Pad', { padding }, { value: number(0) } satisfies OptionsOf<PadOptions>);

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
    const own = form.read([padding], options);
    configure(this, own);
    this.sides = own.padding;
    this.value = own.value;
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

form.register(Pad);

/** Images turned, zoomed and moved at random while a model trains, each image by itself. In evaluation they stay as they are. */
import { describe, isArray, readArray } from '../arguments.ts';
import { arange } from '../create.ts';
import { ArgumentError } from '../errors.ts';
import { add, mul, sub } from '../ops/binary.ts';
import { cast } from '../ops/cast.ts';
import { type GridSampleMode, type PaddingMode, sampleAt } from '../ops/gridSample.ts';
import { reshape } from '../ops/reshape.ts';
import { cos, sin } from '../ops/unary.ts';
import type { Shape } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import { Augmentation, drawn } from './augment.ts';
import { configure } from './config.ts';
import { choice, finite, layerForm, type OptionsOf, option } from './options.ts';

/** How much at most, either way: a number of at least 0; or from where to where. */
export type Factor = number | readonly [low: number, high: number];
type Range = readonly [low: number, high: number];

/** What lies beyond the edge of an image: its mirror image, the pixel at the edge, or a number. */
export type FillMode = 'reflect' | 'nearest' | 'constant';

/** How Keras's layers for images are told. */
export interface WarpOptions {
  /** What comes in from outside: 'reflect' (default), the image turned over at its edges; 'nearest', its pixels there; 'constant', fillValue. */
  fillMode?: FillMode;
  /** Default 0. */
  fillValue?: number;
  /** 'bilinear' (default) between the centres of four pixels, 'nearest' one of them. */
  interpolation?: GridSampleMode;
}

const outside: Readonly<Record<FillMode, PaddingMode>> = {
  reflect: 'reflection',
  nearest: 'border',
  constant: 'zeros',
};

const warpOptions = {
  fillMode: choice('reflect', 'nearest', 'constant'),
  fillValue: finite(0),
  interpolation: choice('bilinear', 'nearest'),
} satisfies OptionsOf<WarpOptions>;

function readFactor(layer: string, name: string, given: Factor): Range {
  const refuse = (got: string) =>
    new ArgumentError(
      `${layer} expected ${name} to be a number of at least 0 or [low, high], both finite, got ${got}`,
    );
  const ends = isArray(given) ? readArray(given as Range, 2, refuse) : [given as number, given as number];
  if (ends.length === 2 && ends.every((end) => Number.isFinite(end))) {
    // No −0, for which JSON has no number.
    const own: Range = [isArray(given) ? ends[0] + 0 : 0 - ends[0], ends[1] + 0];
    if (own[0] <= own[1]) return own;
  }
  throw refuse(describe(given));
}

const factor = option(readFactor);

const zoomFactor = option((layer: string, name: string, given: Factor): Range => {
  const own = readFactor(layer, name, given);
  if (own[0] > -1) return own;
  throw new ArgumentError(`${layer} expected ${name} to be above -1, got ${describe(given)}`);
});

/** A number for each image of x, uniform on a range times `scale`: [batch, 1, 1]. */
const draw = (x: Tensor, [low, high]: Range, scale = 1): Tensor =>
  cast(drawn(x.shape[0], scale * low, scale * high), x.dtype);

/** In `from` places are counted from the middle of the image. */
abstract class Warp extends Augmentation {
  readonly fillMode: FillMode;
  readonly fillValue: number;
  readonly interpolation: GridSampleMode;

  constructor(own: Required<WarpOptions>) {
    super();
    configure(this, own);
    this.fillMode = own.fillMode;
    this.fillValue = own.fillValue;
    this.interpolation = own.interpolation;
  }

  /** The rows and columns of x that pixels come from, by their own: [1, height, 1] and [1, 1, width]. */
  protected abstract from(x: Tensor, rows: Tensor, columns: Tensor): [rows: Tensor, columns: Tensor];

  protected change(x: Tensor): Tensor {
    const [, height, width] = x.shape;
    const [middle, centre] = [(height - 1) / 2, (width - 1) / 2];
    const about = (half: number, shape: Shape) =>
      reshape(arange(-half, half + 1, 1, { dtype: x.dtype }), shape);
    const [rows, columns] = this.from(x, about(middle, [1, height, 1]), about(centre, [1, 1, width]));
    return sampleAt(x, add(rows, middle), add(columns, centre), {
      mode: this.interpolation,
      paddingMode: outside[this.fillMode],
      alignCorners: false,
      fill: this.fillValue,
    });
  }
}

const rotationForm = layerForm('RandomRotation', { factor }, warpOptions);

/**
 * Turns each image about its middle, by an angle uniform from −factor to factor, in whole turns: 0.1 for up to 36° either way. Above 0 is
 * against the clock. As Keras's; the size stays.
 */
export class RandomRotation extends Warp {
  readonly factor: Range;

  /** @param factor in turns; [low, high] for other bounds @throws ArgumentError for what is out of its domain. */
  constructor(factor: Factor, options: WarpOptions = {}) {
    const own = rotationForm.read([factor], options);
    super(own);
    this.factor = own.factor;
  }

  protected from(x: Tensor, rows: Tensor, columns: Tensor): [Tensor, Tensor] {
    const angle = draw(x, this.factor, 2 * Math.PI);
    const [c, s] = [cos(angle), sin(angle)];
    return [add(mul(columns, s), mul(rows, c)), sub(mul(columns, c), mul(rows, s))];
  }
}

/** Options of `RandomZoom`. */
export interface RandomZoomOptions extends WarpOptions {
  /** That of the width; default null: as the height, so that proportions stay. */
  widthFactor?: Factor | null;
}

const zoomForm = layerForm('RandomZoom', { heightFactor: zoomFactor }, {
  ...warpOptions,
  widthFactor: option(
    (layer, name, given: Factor | null) => (given === null ? null : zoomFactor.read(layer, name, given)),
    () => null,
  ),
} satisfies OptionsOf<RandomZoomOptions>);

/**
 * Makes what is in each image smaller or larger about its middle: what was seen on 1 + f of the height is on all of it, with f uniform
 * from −factor to factor, such that what is above 0 zooms out. As Keras's; the size stays.
 */
export class RandomZoom extends Warp {
  readonly heightFactor: Range;
  readonly widthFactor: Range | null;

  /** @param heightFactor below 1, or [low, high] with low above −1 @throws ArgumentError for what is out of its domain. */
  constructor(heightFactor: Factor, options: RandomZoomOptions = {}) {
    const own = zoomForm.read([heightFactor], options);
    super(own);
    this.heightFactor = own.heightFactor;
    this.widthFactor = own.widthFactor;
  }

  protected from(x: Tensor, rows: Tensor, columns: Tensor): [Tensor, Tensor] {
    const down = add(draw(x, this.heightFactor), 1);
    const across = this.widthFactor === null ? down : add(draw(x, this.widthFactor), 1);
    return [mul(rows, down), mul(columns, across)];
  }
}

const translationForm = layerForm(
  'RandomTranslation',
  { heightFactor: factor, widthFactor: factor },
  warpOptions,
);

/**
 * Moves each image, by shares of its height and of its width that are uniform from −factor to factor; above 0 is down, and to the right.
 * As Keras's; the size stays.
 */
export class RandomTranslation extends Warp {
  readonly heightFactor: Range;
  readonly widthFactor: Range;

  /** @param heightFactor [low, high] for other bounds @throws ArgumentError for what is out of its domain. */
  constructor(heightFactor: Factor, widthFactor: Factor, options: WarpOptions = {}) {
    const own = translationForm.read([heightFactor, widthFactor], options);
    super(own);
    this.heightFactor = own.heightFactor;
    this.widthFactor = own.widthFactor;
  }

  protected from(x: Tensor, rows: Tensor, columns: Tensor): [Tensor, Tensor] {
    return [
      sub(rows, draw(x, this.heightFactor, x.shape[1])),
      sub(columns, draw(x, this.widthFactor, x.shape[2])),
    ];
  }
}

rotationForm.register(RandomRotation);
zoomForm.register(RandomZoom);
translationForm.register(RandomTranslation);

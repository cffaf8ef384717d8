/** Images at other sizes. */
import { checkBoolean, describe, readOptions } from '../arguments.ts';
import { contribute, track } from '../autograd.ts';
import { ArgumentError, ShapeError } from '../errors.ts';
import { type Float, kernels } from '../kernels/index.ts';
import type { FloatDtype } from '../memory.ts';
import { checkSize, show } from '../shape.ts';
import { checkFloat, checkTensor, empty, floats, type Tensor } from '../tensor.ts';
import { type Positions, tracing } from '../trace.ts';
import { linearMap } from './derivative.ts';
import { checkPair, type Pair, readPair } from './window.ts';

/** What a place between pixels has: the nearest one, or a mean of the four around it. */
export type UpsampleMode = 'nearest' | 'bilinear';

/** Options of `upsample`. */
export interface UpsampleOptions {
  /** The new size, instead of a scale: [height, width], or one number for both. */
  size?: Pair | null;
  /** 'nearest' (default) takes a pixel for each new one; 'bilinear' interpolates between the centres of four. */
  mode?: UpsampleMode;
  /**
   * Of 'bilinear': whether the first and the last pixels lie on those of the new image, and all others at equal
   * distances between them. False (default): the edges of both images lie on each other, and pixels at the border go on
   * beyond their centres; as PyTorch's `align_corners=False` and Keras do.
   */
  alignCorners?: boolean;
}

/** Options of `interpolate`. */
export interface InterpolateOptions extends UpsampleOptions {
  /** How many times as large, for both axes or [vertical, horizontal]: any number above 0. */
  scaleFactor?: Pair | null;
}

/** What becomes of the size of an image, and how. */
export interface Resizing {
  readonly size: readonly [height: number, width: number] | null;
  readonly scale: readonly [vertical: number, horizontal: number] | null;
  readonly mode: UpsampleMode;
  readonly alignCorners: boolean;
}

/**
 * @param name what the scale is called
 * @throws ArgumentError unless there is a size or a scale, of numbers that can be one, and for options that are none.
 */
export function checkResizing(
  op: string,
  name: string,
  scale: Pair | null | undefined,
  { size, mode = 'nearest', alignCorners = false }: UpsampleOptions,
): Resizing {
  if (mode !== 'nearest' && mode !== 'bilinear') {
    throw new ArgumentError(`[${op}] expected mode to be nearest or bilinear, got ${describe(mode)}`);
  }
  checkBoolean(op, 'alignCorners', alignCorners);
  if (alignCorners && mode === 'nearest') {
    throw new ArgumentError(`[${op}] expected alignCorners with mode bilinear alone, got mode "nearest"`);
  }
  const [hasSize, hasScale] = [size, scale].map((given) => given !== undefined && given !== null);
  if (hasSize === hasScale) {
    throw new ArgumentError(
      `[${op}] expected either size or ${name}, got ${hasSize ? 'both' : 'neither of them'}`,
    );
  }
  return {
    size: hasSize ? checkPair(op, 'size', size!) : null,
    scale: hasScale ? readPair(op, name, scale!, (each) => checkScale(op, name, each)) : null,
    mode,
    alignCorners,
  };
}

function checkScale(op: string, name: string, value: number): number {
  if (Number.isFinite(value) && value > 0) return value;
  throw new ArgumentError(`[${op}] expected ${name} to be a number above 0, got ${describe(value)}`);
}

/** The new height and width. @throws ShapeError where there would be no pixel, or there is none to take. */
export function resized(op: string, height: number, width: number, to: Resizing): [number, number] {
  const { size, scale } = to;
  const own = [height, width].map((pixels, axis) =>
    size === null ? Math.floor(pixels * scale![axis]) : size[axis],
  );
  for (const [axis, pixels] of [height, width].entries()) {
    if (pixels > 0 === own[axis] > 0) continue;
    const expected = size === null ? 'a scale that leaves a pixel' : 'images with pixels';
    throw new ShapeError(`[${op}] expected ${expected}, got ${height} x ${width} to ${own[0]} x ${own[1]}`);
  }
  return [own[0], own[1]];
}

/**
 * Images at another size, larger or smaller, as PyTorch's `interpolate`. Each new pixel is made of at most four: those
 * of weight 0, as where it lies on another's centre, are not read, and what they hold, NaN or Infinity, stays theirs
 * (PyTorch multiplies it by 0). With `scaleFactor` the new size is rounded down, and distances are those of the scale, as
 * with PyTorch's `recompute_scale_factor=False`; but 'bilinear' to the size that an image has copies it. ('nearest' by a
 * scale such as 1.2 to the same size is, in PyTorch 1.13, one thing or the other by the layout in memory; here it is what
 * the default layout gives.) Nothing is smoothed before an image becomes smaller.
 *
 *     interpolate(x, { scaleFactor: 2, mode: 'bilinear' })
 *     interpolate(x, { size: [224, 224], mode: 'bilinear', alignCorners: true })
 *
 * @param x [batch, height, width, channels]
 * @returns [batch, new height, new width, channels]
 * @throws ArgumentError unless there is either a size or a scale, and for options out of their domains; ShapeError unless
 * x are images, or for a scale that leaves no pixel; DtypeError for int32.
 */
export function interpolate<D extends FloatDtype>(x: Tensor<D>, options: InterpolateOptions): Tensor<D> {
  const op = 'interpolate';
  checkTensor(op, x);
  const { scaleFactor, ...rest } = readOptions(op, options, ['scaleFactor', 'size', 'mode', 'alignCorners']);
  return resize(op, x, checkResizing(op, 'scaleFactor', scaleFactor, rest));
}

/**
 * `interpolate` with the scale in the first place.
 * @param x [batch, height, width, channels]
 * @param scale for both axes, or [vertical, horizontal]; null where a size is given
 * @throws as `interpolate`
 */
export function upsample<D extends FloatDtype>(
  x: Tensor<D>,
  scale: Pair | null,
  options: UpsampleOptions = {},
): Tensor<D> {
  const op = 'upsample';
  checkTensor(op, x);
  const own = readOptions(op, options, ['size', 'mode', 'alignCorners']);
  return resize(op, x, checkResizing(op, 'scale', scale, own));
}

function resize<D extends FloatDtype>(op: string, x: Tensor<D>, to: Resizing): Tensor<D> {
  checkFloat(op, x);
  if (x.rank !== 4) {
    throw new ShapeError(`[${op}] expected x [batch, height, width, channels], got ${show(x.shape)}`);
  }
  const [batch, height, width, channels] = x.shape;
  const shape = [batch, ...resized(op, height, width, to), channels];
  checkSize(op, shape);
  const y = empty(shape, x.dtype);
  // An image without pixels may be said to be of any size.
  const [rows, columns] = y.size === 0 ? [none, none] : [axisOf(x, y, to, 0), axisOf(x, y, to, 1)];
  const axes = [rows.first, rows.shares, columns.first, columns.shares] as const;
  const forth = (out: Float, image: Float) => {
    if (out.length > 0) kernels.interpolate(out, image, ...axes, batch, height, width, channels);
  };
  const back = (dx: Float, dy: Float) => {
    if (dx.length > 0) kernels.interpolateGradient(dx, dy, ...axes, batch, height, width, channels);
  };
  forth(floats(y), floats(x));
  tracing?.note('interpolate', [x], y, { mode: to.mode, alignCorners: to.alignCorners, rows, columns });
  return track(
    y,
    [x],
    (dy) => contribute(x, (dx) => back(dx, dy)),
    [],
    (dy) => [linearMap(dy, x.shape, back, forth)],
  );
}

const none: Positions = { first: new Int32Array(0), shares: new Float64Array(0) };

function axisOf(x: Tensor, y: Tensor, { scale, mode, alignCorners }: Resizing, axis: 0 | 1): Positions {
  const [size, count] = [x.shape[1 + axis], y.shape[1 + axis]];
  const first = new Int32Array(count);
  const shares = new Float64Array(count);
  // Quotients of whole numbers are exact where they can be.
  const by = scale === null || size * scale[axis] === count ? null : scale[axis];
  for (let i = 0; i < count; i++) {
    let position = i;
    if (mode === 'nearest') {
      // What is a whole number but for the rounding of the scale counts as one.
      position = by === null ? (i * size) / count : (i / by) * (1 + 2 ** -51);
    } else if (alignCorners) {
      position = count === 1 ? 0 : (i * (size - 1)) / (count - 1);
    } else if (size !== count) {
      position = by === null ? ((2 * i + 1) * size - count) / (2 * count) : (i + 0.5) / by - 0.5;
    }
    first[i] = Math.min(Math.max(Math.floor(position), 0), size - 1);
    if (mode === 'bilinear' && position > 0 && first[i] < size - 1) shares[i] = position - first[i];
  }
  return { first, shares };
}

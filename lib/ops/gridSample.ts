/** Images at places between their pixels: those of a grid, as PyTorch's `grid_sample` takes them, and grids of affine maps. */
import { checkBoolean, describe, readOptions } from '../arguments.ts';
import { arange } from '../create.ts';
import { ArgumentError, ShapeError } from '../errors.ts';
import type { FloatDtype } from '../memory.ts';
import { checkSize, type Shape, show } from '../shape.ts';
import { checkFloat, checkSameFloat, checkTensor, type Tensor } from '../tensor.ts';
import { tracing, untraced } from '../trace.ts';
import { add, div, greater, greaterEqual, less, maximum, minimum, mul, sub, where } from './binary.ts';
import { cast } from './cast.ts';
import { gather } from './gather.ts';
import { reshape } from './reshape.ts';
import { slice } from './slice.ts';
import { abs, floor, round } from './unary.ts';
import { checkPair, type Pair } from './window.ts';

/** What a place between pixels has: a mean of the four around it, or the nearest one. */
export type GridSampleMode = 'bilinear' | 'nearest';
/** What lies beyond the edge: 0, the pixel at the edge, or the mirror image. */
export type PaddingMode = 'zeros' | 'border' | 'reflection';

/** Options of `affineGrid`. */
export interface AffineGridOptions {
  /**
   * Whether −1 and 1 are the centres of the first and the last pixels. False (default): they are the outer edges of these, as with
   * PyTorch's `align_corners=False`. The same for `affineGrid` and `gridSample`.
   */
  alignCorners?: boolean;
}

/** Options of `gridSample`. */
export interface GridSampleOptions extends AffineGridOptions {
  /** 'bilinear' (default) interpolates between the centres of four pixels; 'nearest' takes one, of two as near that of even number. */
  mode?: GridSampleMode;
  /**
   * What lies outside of an image: 'zeros' (default); with 'border' the pixels at its edges; with 'reflection' the image again, turned
   * over at its edges, or at the centres of its outer pixels with `alignCorners`.
   */
  paddingMode?: PaddingMode;
}

/** How pixels are made of those about a place. */
export interface Sampling extends Required<GridSampleOptions> {
  /** What lies outside with 'zeros'. */
  readonly fill: number;
}

function checkChoice<Name extends string>(
  op: string,
  option: string,
  given: Name,
  known: readonly Name[],
): void {
  if (known.includes(given)) return;
  throw new ArgumentError(`[${op}] expected ${option} to be ${known.join(' or ')}, got ${describe(given)}`);
}

/**
 * Where the pixels of an image of `size` lie in another, for a map of each: y = x · A + b in coordinates of which −1 and 1 are the edges
 * of both (columns first, then rows). What `gridSample` takes, as PyTorch's `affine_grid`.
 *
 *     affineGrid(tensor([[[0, -1, 0], [1, 0, 0]]]), [28, 28])     // a quarter turn
 *
 * @param theta [batch, 2, 3], of each map the rows (xx, xy, x) and (yx, yy, y)
 * @param size [height, width] of the grid, or one number for both
 * @returns [batch, height, width, 2]
 * @throws ShapeError unless theta is [batch, 2, 3], ArgumentError for sizes and options that are none, DtypeError for int32.
 */
export function affineGrid<D extends FloatDtype>(
  theta: Tensor<D>,
  size: Pair,
  options?: AffineGridOptions,
): Tensor<D>;
export function affineGrid(theta: Tensor, size: Pair, options: AffineGridOptions = {}): Tensor {
  const op = 'affineGrid';
  checkTensor(op, theta);
  const { alignCorners = false } = readOptions(op, options, ['alignCorners']);
  checkBoolean(op, 'alignCorners', alignCorners);
  const [height, width] = checkPair(op, 'size', size);
  const dtype = checkFloat(op, theta);
  const [batch, ...map] = theta.shape;
  if (theta.rank !== 3 || map[0] !== 2 || map[1] !== 3) {
    throw new ShapeError(`[${op}] expected theta [batch, 2, 3], got ${show(theta.shape)}`);
  }
  checkSize(op, [batch, height, width, 2]);
  // Whole numbers, divided once.
  const along = (n: number, shape: Shape) => {
    const places = arange(1 - n, n, 2, { dtype });
    return reshape(div(places, Math.max(alignCorners ? n - 1 : n, 1)), shape);
  };
  const of = (column: number) => reshape(slice(theta, [null, null, [column, column + 1]]), [batch, 1, 1, 2]);
  const [xs, ys] = [along(width, [1, 1, width, 1]), along(height, [1, height, 1, 1])];
  return add(mul(xs, of(0)), add(mul(ys, of(1)), of(2)));
}

/**
 * Pixels of images at the places of a grid, as PyTorch's `grid_sample`: y[b, i, j] is what image b has at grid[b, i, j] = (x, y), of which
 * (−1, −1) is the upper left corner and (1, 1) the lower right one. With 'bilinear' the gradient reaches the grid, and what it was made
 * of, as well (Jaderberg et al., Spatial Transformer Networks, 2015); with 'nearest' the images alone. A place of NaN counts as one
 * beyond the upper left corner.
 *
 *     gridSample(x, affineGrid(theta, [28, 28]), { paddingMode: 'border' })
 *
 * @param x [batch, height, width, channels]
 * @param grid [batch, new height, new width, 2]
 * @returns [batch, new height, new width, channels]
 * @throws ShapeError for other shapes and images without pixels, ArgumentError for options out of their domains, DtypeError unless both
 * are of one float dtype.
 */
export function gridSample<D extends FloatDtype>(
  x: Tensor<D>,
  grid: Tensor<NoInfer<D>>,
  options?: GridSampleOptions,
): Tensor<D>;
export function gridSample(x: Tensor, grid: Tensor, options: GridSampleOptions = {}): Tensor {
  const op = 'gridSample';
  checkTensor(op, x);
  checkTensor(op, grid, 'grid');
  const own = readOptions(op, options, ['mode', 'paddingMode', 'alignCorners']);
  const { mode = 'bilinear', paddingMode = 'zeros', alignCorners = false } = own;
  checkChoice(op, 'mode', mode, ['bilinear', 'nearest']);
  checkChoice(op, 'paddingMode', paddingMode, ['zeros', 'border', 'reflection']);
  checkBoolean(op, 'alignCorners', alignCorners);
  checkSameFloat(op, x, grid);
  if (x.rank !== 4 || grid.rank !== 4 || grid.shape[0] !== x.shape[0] || grid.shape[3] !== 2) {
    const expected = 'x [batch, height, width, channels] and grid [batch, new height, new width, 2]';
    throw new ShapeError(`[${op}] expected ${expected}, got ${show(x.shape)} and ${show(grid.shape)}`);
  }
  const [, height, width, channels] = x.shape;
  const shape = grid.shape.slice(0, 3);
  if (height * width === 0) {
    throw new ShapeError(`[${op}] expected images with pixels, got ${height} x ${width}`);
  }
  checkSize(op, [...shape, channels]);
  const sampling = { mode, paddingMode, alignCorners };
  const y = untraced(() => {
    const places = (axis: number, size: number) => {
      const from = reshape(slice(grid, [null, null, null, [axis, axis + 1]]), shape);
      return alignCorners ? mul(add(from, 1), (size - 1) / 2) : div(sub(mul(add(from, 1), size), 1), 2);
    };
    return sampleAt(x, places(1, height), places(0, width), { ...sampling, fill: 0 });
  });
  tracing?.note('gridSample', [x, grid], y, sampling);
  return y;
}

/**
 * Images at rows and columns that need not be whole: 0 is the centre of the first.
 * @param x with pixels @param rows @param columns of the dtype of x; both broadcast to [batch, new height, new width]
 */
export function sampleAt(x: Tensor, rows: Tensor, columns: Tensor, sampling: Sampling): Tensor {
  const [, height, width] = x.shape;
  if (sampling.mode === 'nearest') {
    const whole = (places: Tensor, size: number) => round(placed(places.detach(), size, sampling));
    return pixelsAt(x, whole(rows, height), whole(columns, width), sampling.fill);
  }
  // Of the two pixels that a place lies between, each with its weight.
  const both = (places: Tensor, size: number) => {
    const own = placed(places, size, sampling);
    const first = floor(own.detach());
    const share = reshape(sub(own, first), [...own.shape, 1]);
    return [
      [found(first, size), add(mul(share, -1), 1)],
      [found(add(first, 1), size), share],
    ] as const;
  };
  const across = both(columns, width);
  const parts = both(rows, height).flatMap(([row, vertical]) =>
    across.map(([column, horizontal]) =>
      mul(taken(x, row, column, sampling.fill), mul(vertical, horizontal)),
    ),
  );
  return parts.reduce(add);
}

/** Places within an image, or so near to it that nothing changes beyond. */
function placed(places: Tensor, size: number, { paddingMode, alignCorners }: Sampling): Tensor {
  // Not `clip`, as the slope is 0 at the ends and NaN is the first.
  const held = (own: Tensor, low: number, high: number) =>
    where(greater(own, low), where(less(own, high), own, high), low);
  if (paddingMode === 'zeros') return held(places, -2, size + 1);
  const [low, span] = alignCorners ? [0, size - 1] : [-0.5, size];
  if (paddingMode === 'border' || span === 0) return held(places, 0, size - 1);
  // A wave of triangles, there and back.
  const from = abs(sub(places, low));
  const within = sub(from, mul(floor(div(from.detach(), 2 * span)), 2 * span));
  return held(add(mul(abs(sub(within, span)), -1), low + span), 0, size - 1);
}

/**
 * Pixels of images from certain rows and columns; `fill`, by default 0, where those are outside.
 * @param rows whole, [batch or 1, height, 1 or width] @param columns whole, [batch or 1, 1 or height, width]
 */
export function pixelsAt(x: Tensor, rows: Tensor, columns: Tensor, fill = 0): Tensor {
  return taken(x, found(rows, x.shape[1]), found(columns, x.shape[2]), fill);
}

/** The row or the column that is nearest to a whole place, and whether it is that. */
interface Found {
  readonly at: Tensor<'int32'>;
  readonly inside: Tensor;
}

function found(places: Tensor, size: number): Found {
  const inside = mul(greaterEqual(places, 0), less(places, size));
  return { at: cast(minimum(maximum(places, 0), size - 1), 'int32') as Tensor<'int32'>, inside };
}

function taken(x: Tensor, rows: Found, columns: Found, fill: number): Tensor {
  const [batch, height, width, channels] = x.shape;
  const image = reshape(arange(0, batch * height, height, { dtype: 'int32' }), [batch, 1, 1]);
  // Within int32 as far as there may be pixels; float32 would end at 2²⁴.
  const indices = add(mul(add(image, rows.at), width), columns.at) as Tensor<'int32'>;
  const y = gather(reshape(x, [batch * height * width, channels]), indices);
  const inside = mul(rows.inside, columns.inside);
  return where(reshape(inside, [...inside.shape, 1]), y, fill);
}

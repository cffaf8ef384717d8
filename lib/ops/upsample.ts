/** Larger images. */
import { checkOptions, describe } from '../arguments.ts';
import { contribute, track } from '../autograd.ts';
import { ArgumentError, ShapeError } from '../errors.ts';
import { kernels } from '../kernels/index.ts';
import { allocate, type FloatDtype } from '../memory.ts';
import { checkSize, packLayout, show, stridesOf } from '../shape.ts';
import { checkFloat, checkTensor, elements, empty, Tensor } from '../tensor.ts';
import { matmul } from './matmul.ts';
import { sumTo } from './reduceInto.ts';
import { reshape } from './reshape.ts';
import { checkPair, type Pair } from './window.ts';

export type UpsampleMode = 'nearest' | 'bilinear';

export interface UpsampleOptions {
  /**
   * 'nearest' (default) repeats pixels; 'bilinear' interpolates between their centres, and repeats those at the border
   * beyond theirs, as PyTorch's `align_corners=False` and Keras do.
   */
  mode?: UpsampleMode;
}

/** @throws ArgumentError for an unknown mode. */
export function checkMode(op: string, mode: UpsampleMode): void {
  if (mode === 'nearest' || mode === 'bilinear') return;
  throw new ArgumentError(`[${op}] expected mode to be nearest or bilinear, got ${describe(mode)}`);
}

/**
 * Images larger by whole factors.
 * @param x [batch, height, width, channels]
 * @param scale for both axes, or [vertical, horizontal]
 * @returns [batch, height · vertical, width · horizontal, channels]
 * @throws ShapeError unless x are images, DtypeError for int32, ArgumentError for a scale below 1 or an unknown mode.
 */
export function upsample(x: Tensor, scale: Pair, options: UpsampleOptions = {}): Tensor {
  const op = 'upsample';
  checkTensor(op, x);
  const dtype = checkFloat(op, x);
  const [vertical, horizontal] = checkPair(op, 'scale', scale);
  checkOptions(op, options, ['mode']);
  const { mode = 'nearest' } = options;
  checkMode(op, mode);
  if (x.rank !== 4) {
    throw new ShapeError(`[${op}] expected x [batch, height, width, channels], got ${show(x.shape)}`);
  }
  const [batch, height, width, channels] = x.shape;
  const shape = [batch, height * vertical, width * horizontal, channels];
  checkSize(op, shape);
  if (mode === 'nearest') return repeat(x, shape, vertical, horizontal);
  // Along an axis interpolation is a product with a matrix: first the rows, [h′, h] · [batch, h, w·c], then the columns.
  const rows = reshape(x, [batch, height, width * channels]);
  const tall = matmul(interpolation(height, vertical, dtype), rows);
  const columns = reshape(tall, [batch * height * vertical, width, channels]);
  return reshape(matmul(interpolation(width, horizontal, dtype), columns), shape);
}

/** Each pixel as a block of pixels; the gradient is the sum over the block. */
function repeat(x: Tensor, shape: readonly number[], vertical: number, horizontal: number): Tensor {
  const [batch, height, width, channels] = x.shape;
  const y = empty(shape, x.dtype);
  const own = [batch, height, 1, width, 1, channels];
  const blocks = [batch, height, vertical, width, horizontal, channels];
  const source = stridesOf(own).map((stride, axis) => (axis === 2 || axis === 4 ? 0 : stride));
  if (y.size > 0)
    kernels.copy(elements(y), elements(x), packLayout(blocks, [stridesOf(blocks), source], [0, 0]));
  return track(y, [x], (dy) => contribute(x, (dx) => sumTo(dx, dy, own, blocks, x.dtype as FloatDtype, 1)));
}

/**
 * The matrix [size · scale, size] that interpolates: the weights of the two pixels around each new pixel's centre.
 * @throws ShapeError for an image too large for it
 */
function interpolation(size: number, scale: number, dtype: FloatDtype): Tensor {
  checkSize('upsample', [size * scale, size]);
  const weights = allocate(size * scale * size, dtype);
  for (let i = 0; i < size * scale; i++) {
    const position = Math.max((i + 0.5) / scale - 0.5, 0);
    const first = Math.floor(position);
    const share = position - first;
    weights[i * size + first] += 1 - share;
    weights[i * size + Math.min(first + 1, size - 1)] += share;
  }
  return new Tensor(weights, [size * scale, size], dtype);
}

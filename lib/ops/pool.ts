/** Pooling: the largest or the mean of each channel under a window that moves over images. */

import { checkBoolean, checkOptions } from '../arguments.ts';
import { contribute, track } from '../autograd.ts';
import { ArgumentError, ShapeError } from '../errors.ts';
import { binaryCode, type Float, geometryFields, kernels } from '../kernels/index.ts';
import type { FloatDtype } from '../memory.ts';
import { checkSize, show } from '../shape.ts';
import { checkFloat, checkTensor, elements, empty, floats, type Tensor } from '../tensor.ts';
import { tracing } from '../trace.ts';
import { linearMap } from './derivative.ts';
import {
  checkPair,
  checkPositions,
  geometryOf,
  type Padding,
  type Pair,
  type Window,
  windowOf,
} from './window.ts';

/** Options of `maxPool2d`. */
export interface PoolOptions {
  /** Pixels from one window to the next; default: as many as the window is large, so that windows do not overlap. */
  stride?: Pair;
  /** Places around the image, less than the window is large; default 'valid', none. They never are the largest. */
  padding?: Padding;
}

/** Options of `averagePool2d`. */
export interface AveragePoolOptions extends PoolOptions {
  /**
   * Whether padding counts as zeros. Default false: the mean is that of the pixels under the window, as in Keras and
   * TensorFlow. PyTorch's default is true (`count_include_pad`).
   */
  countPadding?: boolean;
}

/** @internal The window of a pooling. @throws ArgumentError for a padding that leaves a window without a pixel. */
export function poolingWindow(op: string, size: Pair, { stride, padding }: PoolOptions): Window {
  const own = checkPair(op, 'size', size);
  const window = windowOf(op, own, {
    stride: stride === undefined ? own : stride,
    ...(padding === undefined ? {} : { padding }),
  });
  for (const { kernel, padding: places } of [window.vertical, window.horizontal]) {
    if (places === 'same' || Math.max(places.before, places.after) < kernel) continue;
    throw new ArgumentError(
      `[${op}] expected padding to be less than the window of ${kernel}, got ${Math.max(places.before, places.after)}`,
    );
  }
  return window;
}

/** The result, still empty, and the geometry for the kernels. */
function prepare(
  op: string,
  x: Tensor,
  size: Pair,
  options: PoolOptions,
): { y: Tensor; window: Window; geometry: Int32Array } {
  const dtype = checkFloat(op, x);
  const window = poolingWindow(op, size, options);
  if (x.rank !== 4) {
    throw new ShapeError(`[${op}] expected x [batch, height, width, channels], got ${show(x.shape)}`);
  }
  const [batch, height, width, channels] = x.shape;
  const [outHeight, outWidth] = checkPositions(op, window, height, width);
  const shape = [batch, outHeight, outWidth, channels];
  checkSize(op, shape);
  const output = { height: outHeight, width: outWidth, channels };
  return {
    y: empty(shape, dtype),
    window,
    geometry: geometryOf(window, batch, { height, width, channels }, output, 1),
  };
}

/**
 * The largest of each channel under a window. The gradient goes to the first of several that are largest; NaN counts as
 * largest.
 * @param x [batch, height, width, channels]
 * @param size of the window
 * @returns [batch, positions down, positions across, channels], as for `conv2d`
 * @throws ShapeError unless x are images at least as large as the window, DtypeError for int32, ArgumentError for options
 *   out of their domains.
 */
export function maxPool2d<D extends FloatDtype>(
  x: Tensor<D>,
  size: Pair,
  options: PoolOptions = {},
): Tensor<D> {
  const op = 'maxPool2d';
  checkTensor(op, x);
  checkOptions(op, options, ['stride', 'padding']);
  const { y, window, geometry } = prepare(op, x, size, options);
  const indices = elements<'int32'>(empty(y.shape, 'int32'));
  kernels.maxPool(floats(y), indices, floats(x), geometry);
  tracing?.note(op, [x], y, { window });
  const scatter = (dx: Float, dy: Float) => kernels.maxPoolGradient(dx, dy, indices, geometry);
  // Where each largest one is in the image, for gradients of gradients alone.
  const gather = (out: Float, whole: Float) => {
    const place = elements<'int32'>(empty(y.shape, 'int32'));
    kernels.gather(
      place,
      offsetsOf(geometry),
      indices,
      y.size,
      window.vertical.kernel * window.horizontal.kernel,
      1,
    );
    kernels.binary(place, place, originsOf(geometry), null, binaryCode.add);
    kernels.gather(out, whole, place, y.size, x.size, 1);
  };
  return track(
    y,
    [x],
    (dy) => contribute(x, (dx) => scatter(dx, dy)),
    [],
    (dy) => [linearMap(dy, x.shape, scatter, gather)],
  );
}

/**
 * The mean of each channel under a window.
 * @param x [batch, height, width, channels]
 * @param size of the window
 * @returns [batch, positions down, positions across, channels], as for `conv2d`
 * @throws as `maxPool2d`
 */
export function averagePool2d<D extends FloatDtype>(
  x: Tensor<D>,
  size: Pair,
  options: AveragePoolOptions = {},
): Tensor<D> {
  const op = 'averagePool2d';
  checkTensor(op, x);
  checkOptions(op, options, ['stride', 'padding', 'countPadding']);
  const { countPadding = false, ...rest } = options;
  checkBoolean(op, 'countPadding', countPadding);
  const { y, window, geometry } = prepare(op, x, size, rest);
  const count = countPadding ? 1 : 0;
  kernels.averagePool(floats(y), floats(x), geometry, count);
  tracing?.note(op, [x], y, { window, countPadding });
  const spread = (dx: Float, dy: Float) => kernels.averagePoolGradient(dx, dy, geometry, count);
  const average = (out: Float, whole: Float) => kernels.averagePool(out, whole, geometry, count);
  return track(
    y,
    [x],
    (dy) => contribute(x, (dx) => spread(dx, dy)),
    [],
    (dy) => [linearMap(dy, x.shape, spread, average)],
  );
}

/** The numbers of a geometry by name. */
function fieldsOf(geometry: Int32Array): Record<(typeof geometryFields)[number], number> {
  return Object.fromEntries(geometryFields.map((name, i) => [name, geometry[i]])) as never;
}

/** From a window's first place to each of its places, in elements of the image. */
function offsetsOf(geometry: Int32Array): Int32Array {
  const { kernelHeight, kernelWidth, width, channels } = fieldsOf(geometry);
  return Int32Array.from(
    { length: kernelHeight * kernelWidth },
    (_, i) => (Math.floor(i / kernelWidth) * width + (i % kernelWidth)) * channels,
  );
}

/** The first place of the window of each element of the result, which may lie outside of the image. */
function originsOf(geometry: Int32Array): Int32Array {
  const g = fieldsOf(geometry);
  const origins = new Int32Array(g.batch * g.outHeight * g.outWidth * g.channels);
  let at = 0;
  for (let image = 0; image < g.batch; image++) {
    for (let i = 0; i < g.outHeight; i++) {
      for (let j = 0; j < g.outWidth; j++) {
        const row = image * g.height + i * g.strideY - g.padTop;
        const first = (row * g.width + j * g.strideX - g.padLeft) * g.channels;
        for (let channel = 0; channel < g.channels; channel++) origins[at++] = first + channel;
      }
    }
  }
  return origins;
}

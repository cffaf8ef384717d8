/**
 * Convolutions, in the sense of neural networks: cross-correlations. Images are [batch, height, width, channels], weights
 * [out, kernel height, kernel width, in / groups]; `fromChannelsFirst` makes both of PyTorch's.
 */

import { checkBoolean, checkOptions, checkPositive, readOptions } from '../arguments.ts';
import { contribute, track } from '../autograd.ts';
import { ArgumentError, ShapeError } from '../errors.ts';
import { type Flag, kernels } from '../kernels/index.ts';
import type { FloatDtype } from '../memory.ts';
import { variable } from '../platform.ts';
import { checkSize, type Shape, show, sizeOf } from '../shape.ts';
import { checkSameFloat, checkTensor, empty, floats, type Tensor } from '../tensor.ts';
import { tracing } from '../trace.ts';
import { trackInOps } from './derivative.ts';
import {
  type Activation,
  activationCode,
  biasDerivative,
  checkVector,
  epilogueDerivative,
  epilogueGradient,
  readActivation,
} from './epilogue.ts';
import {
  checkPair,
  checkPositions,
  geometryOf,
  leastPixels,
  type Padding,
  type Pair,
  pixelsOf,
  positions,
  type Window,
  windowOf,
} from './window.ts';

export interface ConvolutionOptions {
  /** The channels fall into so many groups, each of which sees its share of the input channels alone. Default 1. */
  groups?: number;
  /** Applied to the sum, in the same kernel call; default null, none. */
  activation?: Activation | null;
  /**
   * Whether float32 convolutions by 3 × 3 kernels may use Winograd's algorithm (Lavin & Gray, 2016), which is about twice
   * as fast and rounds about three times as much. Default true; the environment variable AXPY_WINOGRAD=0 forbids it.
   */
  winograd?: boolean;
}

/** Options of `conv2d`. */
export interface Conv2dOptions extends ConvolutionOptions {
  /** Pixels from one position of the kernel to the next; default 1. */
  stride?: Pair;
  /** Default 'valid', none. */
  padding?: Padding;
  /** Pixels from one element of the kernel to the next; default 1. */
  dilation?: Pair;
}

/** Options of `convTranspose2d`. */
export interface ConvTranspose2dOptions extends Conv2dOptions {
  /** Rows and columns more at the bottom and on the right, below the stride or the dilation; default 0. */
  outputPadding?: Pair;
}

/** 'same' and 'valid' as for images; a number for both ends, or one for each. */
export type Padding1d = 'same' | 'valid' | number | { left?: number; right?: number };

/** Options of `conv1d`. */
export interface Conv1dOptions extends ConvolutionOptions {
  /** Default 1. */
  stride?: number;
  /** Default 'valid', none. `{ left: dilation · (kernel − 1) }` makes a causal convolution. */
  padding?: Padding1d;
  /** Default 1. */
  dilation?: number;
}

const winogradAllowed = variable('AXPY_WINOGRAD') !== '0';

const common = ['stride', 'padding', 'dilation', 'groups', 'activation', 'winograd'];

/** What the kernels take beside tensors and sizes. */
interface Settings {
  groups: number;
  activation: Activation | null;
  fast: Flag;
}

function checkSettings(op: string, options: ConvolutionOptions): Settings {
  const { groups = 1, activation = null, winograd = true } = options;
  checkPositive(op, 'groups', groups);
  const own = readActivation(op, activation);
  checkBoolean(op, 'winograd', winograd);
  return { groups, activation: own, fast: winograd && winogradAllowed ? 1 : 0 };
}

/** @throws ArgumentError or DtypeError unless both are tensors of one float dtype. */
function checkOperands(op: string, x: Tensor, weight: Tensor): void {
  checkTensor(op, x);
  checkTensor(op, weight, 'weight');
  checkSameFloat(op, x, weight);
}

/** @throws ArgumentError unless the groups divide the first axis of the weight. */
function checkGroups(op: string, groups: number, channels: number): void {
  if (channels % groups === 0) return;
  throw new ArgumentError(`[${op}] expected groups to divide the ${channels} channels, got ${groups}`);
}

/**
 * A convolution: y[n, i, j, o] = g(b[o] + Σ x[n, i·stride + p·dilation − top, j·stride + q·dilation − left, c] ·
 * weight[o, p, q, c]) over the kernel's positions p, q and the channels c of o's group.
 * @param x [batch, height, width, in]
 * @param weight [out, kernel height, kernel width, in / groups]
 * @param bias [out], or null for none
 * @returns [batch, positions down, positions across, out]; ⌊(size + padding − dilation·(kernel − 1) − 1) / stride⌋ + 1
 *   positions along an axis, or ⌈size / stride⌉ with padding 'same'
 * @throws ShapeError when the shapes do not fit or an image is smaller than the kernel, DtypeError for two dtypes or int32,
 *   ArgumentError for options out of their domains.
 */
export function conv2d<D extends FloatDtype>(
  x: Tensor<D>,
  weight: Tensor<NoInfer<D>>,
  bias: Tensor<NoInfer<D>> | null = null,
  options: Conv2dOptions = {},
): Tensor<D> {
  const op = 'conv2d';
  checkOperands(op, x, weight);
  checkOptions(op, options, common);
  const settings = checkSettings(op, options);
  if (x.rank !== 4 || weight.rank !== 4 || x.shape[3] !== weight.shape[3] * settings.groups) {
    throw new ShapeError(
      `[${op}] expected x [batch, height, width, in] and weight [out, kernel height, kernel width, in / groups], got ` +
        `${show(x.shape)} and ${show(weight.shape)} for ${settings.groups} group(s)`,
    );
  }
  const [batch, height, width, channels] = x.shape;
  const [outChannels, kernelHeight, kernelWidth] = weight.shape;
  checkGroups(op, settings.groups, outChannels);
  checkVector(op, x, bias, 'bias', outChannels);
  const window = windowOf(op, checkKernel(op, [kernelHeight, kernelWidth]), options);
  const [outHeight, outWidth] = checkPositions(op, window, height, width);
  const input = { height, width, channels };
  const output = { height: outHeight, width: outWidth, channels: outChannels };
  const geometry = geometryOf(window, batch, input, output, settings.groups);
  const shape = [batch, outHeight, outWidth, outChannels];
  return convolve(op, x, weight, bias, window, geometry, shape, settings);
}

/**
 * A convolution along one axis, as of time series: `conv2d` over images of one row.
 * @param x [batch, length, in]
 * @param weight [out, kernel, in / groups]
 * @param bias [out], or null for none
 * @returns [batch, positions, out]
 * @throws as `conv2d`
 */
export function conv1d<D extends FloatDtype>(
  x: Tensor<D>,
  weight: Tensor<NoInfer<D>>,
  bias: Tensor<NoInfer<D>> | null = null,
  options: Conv1dOptions = {},
): Tensor<D> {
  const op = 'conv1d';
  checkOperands(op, x, weight);
  checkOptions(op, options, common);
  const settings = checkSettings(op, options);
  if (x.rank !== 3 || weight.rank !== 3 || x.shape[2] !== weight.shape[2] * settings.groups) {
    throw new ShapeError(
      `[${op}] expected x [batch, length, in] and weight [out, kernel, in / groups], got ${show(x.shape)} and ` +
        `${show(weight.shape)} for ${settings.groups} group(s)`,
    );
  }
  const [batch, length, channels] = x.shape;
  const [outChannels, kernel] = weight.shape;
  checkGroups(op, settings.groups, outChannels);
  checkVector(op, x, bias, 'bias', outChannels);
  const window = windowOf1d(op, checkKernel(op, [1, kernel])[1], options);
  const outLength = checkPositions1d(op, window, length);
  const input = { height: 1, width: length, channels };
  const output = { height: 1, width: outLength, channels: outChannels };
  const geometry = geometryOf(window, batch, input, output, settings.groups);
  const shape = [batch, outLength, outChannels];
  return convolve(op, x, weight, bias, window, geometry, shape, settings);
}

/** @internal An image of one row under the kernel. */
export function windowOf1d(
  op: string,
  kernel: number,
  { stride = 1, padding = 'valid', dilation = 1 }: Pick<Conv1dOptions, 'stride' | 'padding' | 'dilation'>,
): Window {
  checkPositive(op, 'kernel', kernel);
  checkPositive(op, 'stride', stride);
  checkPositive(op, 'dilation', dilation);
  const ends = typeof padding === 'object' ? readOptions(op, padding, ['left', 'right']) : padding;
  return windowOf(op, [1, kernel], {
    stride: [1, stride],
    dilation: [1, dilation],
    padding: typeof ends === 'number' ? [0, ends] : ends,
  });
}

/** How many positions there are. @throws ShapeError when the kernel does not fit. */
function checkPositions1d(op: string, { horizontal }: Window, length: number): number {
  const least = leastPixels(horizontal);
  if (length >= least) return positions(horizontal, length);
  throw new ShapeError(`[${op}] expected a length of at least ${least}, got ${length}`);
}

/** y, of a shape, = g(convolution of x with weight + b), and its backward pass. */
function convolve(
  op: 'conv1d' | 'conv2d',
  x: Tensor,
  weight: Tensor,
  bias: Tensor | null,
  window: Window,
  geometry: Int32Array,
  shape: Shape,
  { groups, activation, fast }: Settings,
): Tensor {
  checkSize(op, shape);
  const y = empty(shape, x.dtype);
  const columns = weight.shape[0];
  const code = activationCode(activation);
  const b = bias ? floats(bias) : null;
  kernels.convolve(floats(y), floats(x), floats(weight), b, geometry, code, activation?.parameter ?? 0, fast);
  tracing?.note(op, [x, weight, bias], y, { window, groups, activation });
  return track(
    y,
    [x, weight, bias],
    (dz) => {
      epilogueGradient(dz, floats(y), bias, activation, rowsOf(shape), columns);
      contribute(weight, (dw) => kernels.convolveWeightGradient(dw, floats(x), dz, geometry, fast));
      contribute(x, (dx) => kernels.convolveTransposed(dx, dz, floats(weight), null, geometry, -1, 0, fast));
    },
    saved(x, weight, y, activation),
    (dy) => {
      const dz = epilogueDerivative(dy, y, activation);
      const tied = { x, weight, y: dz };
      return [
        () => tie('x', tied, geometry, fast),
        () => tie('weight', tied, geometry, fast),
        biasDerivative(dz, bias),
      ];
    },
  );
}

/** What a convolution, y = x ∗ weight, ties together. */
interface Tied {
  x: Tensor;
  weight: Tensor;
  y: Tensor;
}

/**
 * Σ y ⊙ (x ∗ weight) is linear in each of the three: its derivative by one of them, of which the shape alone counts here, is
 * made of the two others. Those are the convolution and its gradients, and so are theirs.
 */
function tie(of: keyof Tied, tied: Tied, geometry: Int32Array, fast: Flag): Tensor {
  const { x, weight, y } = tied;
  const out = empty(tied[of].shape, x.dtype);
  if (of === 'x')
    kernels.convolveTransposed(floats(out), floats(y), floats(weight), null, geometry, -1, 0, fast);
  else if (of === 'y') kernels.convolve(floats(out), floats(x), floats(weight), null, geometry, -1, 0, fast);
  else kernels.convolveWeightGradient(floats(out), floats(x), floats(y), geometry, fast);
  const others = (['x', 'weight', 'y'] as const).filter((name) => name !== of);
  const inputs = others.map((name) => tied[name]);
  return trackInOps(out, inputs, inputs, (g) =>
    others.map((name) => () => tie(name, { ...tied, [of]: g }, geometry, fast)),
  );
}

/** What backward reads. */
function saved(x: Tensor, weight: Tensor, y: Tensor, activation: Activation | null): (Tensor | null)[] {
  return [weight.requiresGrad ? x : null, x.requiresGrad ? weight : null, activation && y];
}

/** The pixels of all images. */
function rowsOf(shape: Shape): number {
  return sizeOf(shape.slice(0, -1));
}

/**
 * A transposed convolution, also called deconvolution: as a map of x, the transpose of the `conv2d` that takes images of
 * `out` channels to ones of `in` channels with the same weight and options, and so what makes images larger by `stride`.
 * @param x [batch, height, width, in]
 * @param weight [in, kernel height, kernel width, out / groups]
 * @param bias [out], or null for none
 * @returns [batch, …, …, out]; (size − 1)·stride − padding + dilation·(kernel − 1) + 1 + outputPadding pixels along an
 *   axis, or size·stride with padding 'same', which takes no outputPadding
 * @throws as `conv2d`
 */
export function convTranspose2d<D extends FloatDtype>(
  x: Tensor<D>,
  weight: Tensor<NoInfer<D>>,
  bias: Tensor<NoInfer<D>> | null = null,
  options: ConvTranspose2dOptions = {},
): Tensor<D> {
  const op = 'convTranspose2d';
  checkOperands(op, x, weight);
  checkOptions(op, options, [...common, 'outputPadding']);
  const { outputPadding = 0 } = options;
  const { groups, activation, fast } = checkSettings(op, options);
  if (x.rank !== 4 || weight.rank !== 4 || x.shape[3] !== weight.shape[0]) {
    throw new ShapeError(
      `[${op}] expected x [batch, height, width, in] and weight [in, kernel height, kernel width, out / groups], got ` +
        `${show(x.shape)} and ${show(weight.shape)}`,
    );
  }
  const [batch, height, width, channels] = x.shape;
  const [, kernelHeight, kernelWidth, outPart] = weight.shape;
  checkGroups(op, groups, channels);
  const outChannels = outPart * groups;
  checkVector(op, x, bias, 'bias', outChannels);
  const window = windowOf(op, checkKernel(op, [kernelHeight, kernelWidth]), options);
  const more = checkOutputPadding(op, window, outputPadding);
  const outHeight = pixelsOf(window.vertical, height, more[0]);
  const outWidth = pixelsOf(window.horizontal, width, more[1]);
  if (outHeight < 1 || outWidth < 1) {
    throw new ShapeError(
      `[${op}] expected images that leave a pixel after the padding is cut off, got ${height} x ${width} pixels`,
    );
  }
  const shape = [batch, outHeight, outWidth, outChannels];
  checkSize(op, shape);
  const y = empty(shape, x.dtype);
  // The kernels call the larger image, here the result, the input.
  const image = { height: outHeight, width: outWidth, channels: outChannels };
  const geometry = geometryOf(window, batch, image, { height, width, channels }, groups);
  const code = activationCode(activation);
  const parameter = activation?.parameter ?? 0;
  const b = bias ? floats(bias) : null;
  kernels.convolveTransposed(floats(y), floats(x), floats(weight), b, geometry, code, parameter, fast);
  tracing?.note(op, [x, weight, bias], y, { window, groups, activation, outputPadding: more });
  return track(
    y,
    [x, weight, bias],
    (dz) => {
      epilogueGradient(dz, floats(y), bias, activation, rowsOf(shape), outChannels);
      contribute(weight, (dw) => kernels.convolveWeightGradient(dw, dz, floats(x), geometry, fast));
      contribute(x, (dx) => kernels.convolve(dx, dz, floats(weight), null, geometry, -1, 0, fast));
    },
    saved(x, weight, y, activation),
    (dy) => {
      const dz = epilogueDerivative(dy, y, activation);
      const tied = { x: dz, weight, y: x };
      return [
        () => tie('y', tied, geometry, fast),
        () => tie('weight', tied, geometry, fast),
        biasDerivative(dz, bias),
      ];
    },
  );
}

/** @throws ShapeError for a weight without kernel positions. */
function checkKernel(op: string, kernel: readonly [number, number]): readonly [number, number] {
  if (kernel[0] >= 1 && kernel[1] >= 1) return kernel;
  throw new ShapeError(
    `[${op}] expected a weight with a kernel of at least 1 x 1, got ${kernel.join(' x ')}`,
  );
}

/** @internal @throws ArgumentError unless each is below the stride or the dilation, and 0 with 'same'. */
export function checkOutputPadding(op: string, window: Window, outputPadding: Pair): [number, number] {
  const both = checkPair(op, 'outputPadding', outputPadding, 0);
  [window.vertical, window.horizontal].forEach(({ stride, dilation, padding }, axis) => {
    const limit = padding === 'same' ? 1 : Math.max(stride, dilation);
    if (both[axis] < limit) return;
    throw new ArgumentError(
      `[${op}] expected outputPadding to be less than ${limit} for this stride, dilation and padding, got ${both[axis]}`,
    );
  });
  return both;
}

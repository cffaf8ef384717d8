/**
 * Between layouts: axpy keeps channels in the last axis, PyTorch (and ONNX) in the one after the batch. One permutation
 * serves everything that has channels:
 *
 *                              channels first                      channels last, here
 *   images                     [batch, channels, height, width]    [batch, height, width, channels]
 *   sequences                  [batch, channels, length]           [batch, length, channels]
 *   weights of Conv2D          [out, in / groups, kh, kw]          [out, kh, kw, in / groups]
 *   weights of ConvTranspose2D [in, out / groups, kh, kw]          [in, kh, kw, out / groups]
 *   weights of Conv1D          [out, in / groups, k]               [out, k, in / groups]
 */

import { ArgumentError, ShapeError } from '../errors.ts';
import type { Dtype } from '../memory.ts';
import { readShape, type Shape, show, sizeOf } from '../shape.ts';
import { checkTensor, type Tensor } from '../tensor.ts';
import { reshape } from './reshape.ts';
import { transpose } from './transpose.ts';

/** @throws ShapeError for a tensor that has no channels. */
function checkRank(op: string, x: Tensor): void {
  checkTensor(op, x);
  if (x.rank < 2) throw new ShapeError(`[${op}] expected at least two axes, got shape ${show(x.shape)}`);
}

/**
 * Moves axis 1 to the end: PyTorch's images, sequences and weights of convolutions become those of axpy.
 * @param x [n, channels, ...]
 * @returns [n, ..., channels], a copy
 * @throws ShapeError for fewer than two axes.
 */
export function fromChannelsFirst<D extends Dtype>(x: Tensor<D>): Tensor<D> {
  checkRank('fromChannelsFirst', x);
  return transpose(x, [0, ...x.shape.slice(2).map((_, i) => i + 2), 1]);
}

/**
 * Moves the last axis to place 1: images, sequences and weights of convolutions become those of PyTorch.
 * @param x [n, ..., channels]
 * @returns [n, channels, ...], a copy
 * @throws ShapeError for fewer than two axes.
 */
export function toChannelsFirst<D extends Dtype>(x: Tensor<D>): Tensor<D> {
  checkRank('toChannelsFirst', x);
  return transpose(x, [0, x.rank - 1, ...x.shape.slice(2).map((_, i) => i + 1)]);
}

/**
 * The weight of a Dense that follows Flatten, whose inputs PyTorch has in the order channels, height, width.
 * @param weight [out, channels · height · width]
 * @param image [height, width, channels] of what was flattened
 * @returns [out, height · width · channels], a copy
 * @throws ShapeError when the image has another size.
 */
export function denseFromChannelsFirst<D extends Dtype>(weight: Tensor<D>, image: Shape): Tensor<D> {
  const [out, ...own] = checkDense('denseFromChannelsFirst', weight, image);
  const channels = own[own.length - 1];
  return reshape(fromChannelsFirst(reshape(weight, [out, channels, ...own.slice(0, -1)])), weight.shape);
}

/**
 * The reverse of `denseFromChannelsFirst`.
 * @param weight [out, height · width · channels]
 * @param image [height, width, channels] of what was flattened
 * @returns [out, channels · height · width], a copy
 * @throws ShapeError when the image has another size.
 */
export function denseToChannelsFirst<D extends Dtype>(weight: Tensor<D>, image: Shape): Tensor<D> {
  const own = checkDense('denseToChannelsFirst', weight, image);
  return reshape(toChannelsFirst(reshape(weight, own)), weight.shape);
}

/** [out, ...image] of a weight that fits. */
function checkDense(op: string, weight: Tensor, image: Shape): number[] {
  checkTensor(op, weight, 'weight');
  const own = readShape(op, image);
  if (own.length === 0) throw new ArgumentError(`[${op}] expected image [height, width, channels], got []`);
  if (weight.rank !== 2 || weight.shape[1] !== sizeOf(own)) {
    throw new ShapeError(
      `[${op}] expected weight [out, ${sizeOf(own)}] for an image ${show(own)}, got ${show(weight.shape)}`,
    );
  }
  return [weight.shape[0], ...own];
}

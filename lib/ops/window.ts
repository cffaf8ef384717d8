/** How a window moves over images: kernel sizes, steps, dilation and padding, and the sizes that follow from them. */
import { describe, isArray, isRecord, readArray } from '../arguments.ts';
import { ArgumentError, ShapeError } from '../errors.ts';

/** One number for both axes of an image, or one for each, the vertical first. */
export type Pair = number | readonly [vertical: number, horizontal: number];

/**
 * Zeros around an image, or for pooling places that do not count:
 * - 'valid': none
 * - 'same': as many as make the output ⌈input / stride⌉ large; when they are odd in number, the one more is at the bottom
 *   or on the right. With a stride of 1 it is what PyTorch and Keras do, with larger ones what Keras and TensorFlow do
 *   (PyTorch refuses it)
 * - a number for all sides, two for [top and bottom, left and right], or one for each side, 0 where left out
 */
export type Padding = 'same' | 'valid' | Pair | Partial<Sides>;

/** How many pixels lie beyond each edge. */
export interface Sides {
  top: number;
  bottom: number;
  left: number;
  right: number;
}

/** A window along one axis. */
export interface Span {
  readonly kernel: number;
  readonly stride: number;
  readonly dilation: number;
  readonly padding: 'same' | { readonly before: number; readonly after: number };
}

export interface Window {
  readonly vertical: Span;
  readonly horizontal: Span;
}

export interface WindowOptions {
  stride?: Pair;
  padding?: Padding;
  dilation?: Pair;
}

/** The largest number that the kernels' geometry holds. */
const largest = 0x7fffffff;

/** @throws ArgumentError unless value is an integer from `least` on. */
function checkInteger(op: string, name: string, value: number, least: number): number {
  if (Number.isInteger(value) && value >= least && value <= largest) return value;
  throw new ArgumentError(
    `[${op}] expected ${name} to be an integer of at least ${least}, got ${describe(value)}`,
  );
}

/** A number for both axes, or two; `check` throws for what it may not be. @throws ArgumentError unless it is one or two */
export function readPair(
  op: string,
  name: string,
  value: Pair,
  check: (value: number) => number,
): [number, number] {
  if (!isArray(value)) {
    const both = check(value as number);
    return [both, both];
  }
  const refuse = (got: string) =>
    new ArgumentError(`[${op}] expected ${name} to be one number or two, got ${got}`);
  const own = readArray<number>(value, 2, refuse);
  if (own.length !== 2) throw refuse(String(own.length));
  return [check(own[0]), check(own[1])];
}

/** @throws ArgumentError unless value is an integer from `least` on, or two. */
export function checkPair(op: string, name: string, value: Pair, least = 1): [number, number] {
  return readPair(op, name, value, (each) => checkInteger(op, name, each, least));
}

/** The numbers for each side; 'valid' for none. @throws ArgumentError for anything that is no padding. */
export function checkSides(op: string, padding: Exclude<Padding, 'same'>): Sides {
  if (padding === 'valid') return { top: 0, bottom: 0, left: 0, right: 0 };
  if (isRecord(padding)) {
    const sides: Sides = { top: 0, bottom: 0, left: 0, right: 0 };
    for (const [side, value] of Object.entries(padding)) {
      if (!Object.hasOwn(sides, side)) {
        throw new ArgumentError(
          `[${op}] expected padding with top, bottom, left and right, got ${describe(side)}`,
        );
      }
      if (value !== undefined) sides[side as keyof Sides] = checkInteger(op, `padding ${side}`, value, 0);
    }
    return sides;
  }
  if (typeof padding !== 'number' && !isArray(padding)) {
    throw new ArgumentError(
      `[${op}] expected padding to be same, valid, numbers or sides, got ${describe(padding)}`,
    );
  }
  const [vertical, horizontal] = checkPair(op, 'padding', padding as Pair, 0);
  return { top: vertical, bottom: vertical, left: horizontal, right: horizontal };
}

/** A padding that a layer keeps: what it was made of may change. @throws ArgumentError for anything that is no padding. */
export function ownPadding(op: string, padding: Padding): Padding {
  if (padding === 'same') return padding;
  const sides = checkSides(op, padding);
  return typeof padding === 'object' ? sides : padding;
}

/** @throws ArgumentError for sizes below 1 or a padding that is none. */
export function windowOf(
  op: string,
  kernel: Pair,
  { stride = 1, padding = 'valid', dilation = 1 }: WindowOptions,
): Window {
  const kernels = checkPair(op, 'kernel', kernel);
  const strides = checkPair(op, 'stride', stride);
  const dilations = checkPair(op, 'dilation', dilation);
  const sides = padding === 'same' ? null : checkSides(op, padding);
  const span = (axis: 0 | 1, before: keyof Sides, after: keyof Sides): Span => ({
    kernel: kernels[axis],
    stride: strides[axis],
    dilation: dilations[axis],
    padding: sides === null ? 'same' : { before: sides[before], after: sides[after] },
  });
  return { vertical: span(0, 'top', 'bottom'), horizontal: span(1, 'left', 'right') };
}

/** From the first pixel that a window reaches to its last. */
export function reach({ kernel, dilation }: Span): number {
  return dilation * (kernel - 1) + 1;
}

/** How many positions the window has over `size` pixels; below 1 when it does not fit. */
export function positions(span: Span, size: number): number {
  const { stride, padding } = span;
  if (padding === 'same') return Math.ceil(size / stride);
  return Math.floor((size + padding.before + padding.after - reach(span)) / stride) + 1;
}

/** How many pixels there must be for the window to fit. */
export function leastPixels(span: Span): number {
  if (span.padding === 'same') return 1;
  return Math.max(1, reach(span) - span.padding.before - span.padding.after);
}

/** How many positions the window has on an image. @throws ShapeError when it does not fit. */
export function checkPositions(
  op: string,
  { vertical, horizontal }: Window,
  height: number,
  width: number,
): [down: number, across: number] {
  const [leastHeight, leastWidth] = [leastPixels(vertical), leastPixels(horizontal)];
  if (height < leastHeight || width < leastWidth) {
    throw new ShapeError(
      `[${op}] expected images of at least ${leastHeight} x ${leastWidth} pixels, got ${height} x ${width}`,
    );
  }
  return [positions(vertical, height), positions(horizontal, width)];
}

/** The places before the first and after the last of `size` pixels. */
export function ends(span: Span, size: number): [before: number, after: number] {
  if (span.padding !== 'same') return [span.padding.before, span.padding.after];
  const total = Math.max(0, (positions(span, size) - 1) * span.stride + reach(span) - size);
  return [Math.floor(total / 2), Math.ceil(total / 2)];
}

/** The pixels that `count` positions come from: what a transposed convolution makes of so many. */
export function pixelsOf(span: Span, count: number, outputPadding: number): number {
  const { stride, padding } = span;
  if (padding === 'same') return count * stride;
  return (count - 1) * stride + reach(span) - padding.before - padding.after + outputPadding;
}

/** An image as kernels see it. */
export interface Image {
  readonly height: number;
  readonly width: number;
  readonly channels: number;
}

/** The geometry that the kernels take (`geometryFields` of codes.ts). */
export function geometryOf(
  { vertical, horizontal }: Window,
  batch: number,
  input: Image,
  output: Image,
  groups: number,
): Int32Array {
  return Int32Array.of(
    batch,
    input.height,
    input.width,
    input.channels,
    output.height,
    output.width,
    output.channels,
    vertical.kernel,
    horizontal.kernel,
    vertical.stride,
    horizontal.stride,
    vertical.dilation,
    horizontal.dilation,
    ends(vertical, input.height)[0],
    ends(horizontal, input.width)[0],
    groups,
  );
}

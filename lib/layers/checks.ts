/** Checks that layers share. */
import { describe } from '../arguments.ts';
import { ArgumentError, DtypeError, ShapeError } from '../errors.ts';
import type { Dtype, FloatDtype } from '../memory.ts';
import { leastPixels, positions, type Window } from '../ops/window.ts';
import { readShape, type Shape, sameShape, show } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import type { ExampleShape, Layer } from './layer.ts';

/** An error about a layer's input, which names the layer: `Dense 2 expected input [batch, 512], received [128, 256]`. */
export function inputError(
  layer: Layer,
  expected: string,
  received: readonly (number | string)[],
): ShapeError {
  return new ShapeError(`${layer.label} expected input ${expected}, received ${show(received)}`);
}

/** @throws ArgumentError unless value is an integer of at least 1. */
export function checkCount(layer: string, name: string, value: number): number {
  if (!Number.isInteger(value) || value < 1) {
    throw new ArgumentError(
      `${layer} expected ${name} to be an integer of at least 1, got ${describe(value)}`,
    );
  }
  return value;
}

/** The shape of an example that `outputShape` was given, read once. @throws ShapeError for what is none. */
export function readExample(layer: Layer, input: ExampleShape): number[] | undefined {
  return input === undefined ? undefined : readShape(layer.label, input);
}

/** @throws DtypeError unless dtype is float32 or float64. */
export function checkLayerDtype(layer: string, dtype: FloatDtype): FloatDtype {
  if (dtype !== 'float32' && dtype !== 'float64') {
    throw new DtypeError(`${layer} expected dtype to be float32 or float64, got ${describe(dtype)}`);
  }
  return dtype;
}

/** @throws DtypeError unless the input has the dtype of the layer's parameters. */
export function checkInputDtype(layer: Layer, x: Tensor, dtype: Dtype): void {
  if (x.dtype === dtype) return;
  throw new DtypeError(`${layer.label} expected ${dtype} input, received ${x.dtype}`);
}

/** @throws ShapeError, which names the layer, unless `received`, batch included, ends in these sizes. */
export function checkEnd(layer: Layer, received: readonly (number | string)[], shape: Shape): void {
  const lead = received.length - shape.length;
  if (lead >= 1 && sameShape(received.slice(lead) as number[], shape)) return;
  throw inputError(layer, `[batch, ..., ${shape.join(', ')}]`, received);
}

/** @throws ShapeError, which names the layer, unless `received`, batch included, are images of so many channels. */
export function checkImages(layer: Layer, received: readonly (number | string)[], channels?: number): void {
  if (received.length === 4 && (channels === undefined || received[3] === channels)) return;
  throw inputError(layer, `[batch, height, width, ${channels ?? 'channels'}]`, received);
}

/**
 * How many positions a window has on images of what was received, batch included.
 * @throws ShapeError, which names the layer, for anything but images of so many channels, or where they are too small.
 */
export function positionsOn(
  layer: Layer,
  { vertical, horizontal }: Window,
  received: readonly (number | string)[],
  channels?: number,
): [down: number, across: number] {
  checkImages(layer, received, channels);
  const [, height, width] = received as number[];
  const [leastHeight, leastWidth] = [leastPixels(vertical), leastPixels(horizontal)];
  if (height < leastHeight || width < leastWidth) {
    const sizes = `height ≥ ${leastHeight}, width ≥ ${leastWidth}`;
    throw inputError(layer, `[batch, ${sizes}, ${channels ?? 'channels'}]`, received);
  }
  return [positions(vertical, height), positions(horizontal, width)];
}

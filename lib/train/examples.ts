/** Examples as users give them, made into checked tensors. */

import { describe, isArray, isRecord } from '../arguments.ts';
import { DataError, ShapeError } from '../errors.ts';
import type { Layer } from '../layers/layer.ts';
import { type LossFunction, type LossName, losses } from '../losses.ts';
import type { Dtype, FloatDtype } from '../memory.ts';
import { isTensor, type Tensor, tensor, type Values } from '../tensor.ts';
import { checkFinite } from './finite.ts';

/** Examples and what is known about them: each a tensor, or values to make one of; the first axis counts examples. */
export interface Examples {
  x: Tensor | Values;
  y: Tensor | Values;
}

/** Examples as tensors; both have as many rows, at least one. */
export interface Batch {
  x: Tensor;
  y: Tensor;
}

/** How plain values become tensors. */
export interface Conversion {
  /** The model's. */
  dtype: FloatDtype;
  /** Whether a flat y holds the labels of classes. */
  labels: boolean;
}

/** The conversion for a model and a loss: its parameters' dtype, float32 without parameters. */
export function conversionFor(model: Layer, loss?: LossName | LossFunction): Conversion {
  const dtype = (model.parameters()[0]?.dtype ?? 'float32') as FloatDtype;
  return { dtype, labels: loss === 'softmaxCrossEntropy' || loss === losses.softmaxCrossEntropy };
}

/** A tensor as it is, values as a tensor of `dtype`. @throws DataError that names them. */
export function toTensor(name: string, values: Tensor | Values, dtype: Dtype): Tensor {
  if (isTensor(values)) return values;
  try {
    return tensor(values, { dtype });
  } catch (error) {
    if (error instanceof DataError) throw new DataError(`${name}: ${error.message}`);
    throw error;
  }
}

/** True for a typed array and for an array of nothing but numbers. */
function isFlat(values: Values): values is Exclude<Values, number> {
  if (ArrayBuffer.isView(values)) return true;
  if (!isArray(values)) return false;
  // Not by a method of the array, which would walk the holes of a sparse one.
  for (let i = 0; i < values.length; i++) if (typeof values[i] !== 'number') return false;
  return values.length > 0;
}

function toTargets(name: string, values: Tensor | Values, { dtype, labels }: Conversion): Tensor {
  if (isTensor(values) || !labels || !isFlat(values)) return toTensor(name, values, dtype);
  const flat = values as ArrayLike<number>;
  for (let i = 0; i < flat.length; i++) {
    if (!Number.isInteger(flat[i])) {
      throw new DataError(
        `expected ${name} to hold integer labels for softmaxCrossEntropy, got ${flat[i]} at row ${i}, position 0 ` +
          '(counted from 0)',
      );
    }
  }
  return toTensor(name, values, 'int32');
}

/**
 * Checked tensors for examples. `nameOf` says what messages call them, as in 'validation.x'.
 * @throws DataError for no examples, values that are no numbers, NaN or Infinity; ShapeError unless x and y have as many
 *   rows.
 */
export function toBatch(given: Examples, conversion: Conversion, nameOf: (part: 'x' | 'y') => string): Batch {
  const { x: givenX, y: givenY } = given;
  for (const [part, value] of [
    ['x', givenX],
    ['y', givenY],
  ] as const) {
    if (value === undefined || value === null) throw new DataError(`expected ${nameOf(part)}, got none`);
  }
  const x = toTensor(nameOf('x'), givenX, conversion.dtype);
  const y = toTargets(nameOf('y'), givenY, conversion);
  for (const [part, values] of [
    ['x', x],
    ['y', y],
  ] as const) {
    if (values.rank === 0) {
      throw new ShapeError(`expected ${nameOf(part)} to be [examples, ...], got a single number`);
    }
  }
  if (x.shape[0] !== y.shape[0]) {
    throw new ShapeError(
      `expected ${nameOf('x')} and ${nameOf('y')} to hold as many examples, got ${x.shape[0]} and ${y.shape[0]}`,
    );
  }
  if (x.shape[0] === 0) throw new DataError(`expected at least one example in ${nameOf('x')}, got none`);
  checkFinite(nameOf('x'), x);
  checkFinite(nameOf('y'), y);
  return { x, y };
}

/** @throws DataError unless value is an object with x and y. */
export function checkExamples(name: string, value: unknown): asserts value is Examples {
  if (!isRecord(value) || !('x' in value) || !('y' in value)) {
    throw new DataError(`expected ${name} to be { x, y }, got ${describe(value)}`);
  }
}

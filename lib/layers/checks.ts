/** Checks that constructors of layers share. */
import { describe } from '../arguments.ts';
import { ArgumentError, DtypeError } from '../errors.ts';
import type { FloatDtype } from '../memory.ts';

/** @throws ArgumentError unless value is an integer of at least 1. */
export function checkCount(layer: string, name: string, value: number): number {
  if (!Number.isInteger(value) || value < 1) {
    throw new ArgumentError(
      `${layer} expected ${name} to be an integer of at least 1, got ${describe(value)}`,
    );
  }
  return value;
}

/** @throws DtypeError unless dtype is float32 or float64. */
export function checkLayerDtype(layer: string, dtype: FloatDtype): FloatDtype {
  if (dtype !== 'float32' && dtype !== 'float64') {
    throw new DtypeError(`${layer} expected dtype to be float32 or float64, got ${describe(dtype)}`);
  }
  return dtype;
}

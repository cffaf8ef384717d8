/** The search for NaN and Infinity. */
import { DataError, NonFiniteError } from './errors.ts';
import { type Float, kernels } from './kernels/index.ts';
import type { Tensor } from './tensor.ts';

/** The position of the first NaN or Infinity, or −1. */
export function firstNonFinite(values: ArrayLike<number>): number {
  for (let i = 0; i < values.length; i++) if (!Number.isFinite(values[i])) return i;
  return -1;
}

/** True when x holds neither NaN nor Infinity. */
export function allFinite(x: Tensor): boolean {
  return x.dtype === 'int32' || areFinite(x.values() as Float);
}

/** The same for an array, by a kernel, as it may be large. */
export function areFinite(values: Float): boolean {
  try {
    kernels.checkFinite(values);
    return true;
  } catch (error) {
    if (error instanceof NonFiniteError) return false;
    throw error;
  }
}

/** Where element `at` of examples [rows, ...] is, for messages; both numbers count from 0. */
export function place(x: Tensor, at: number): string {
  const width = x.size / x.shape[0];
  return `row ${Math.floor(at / width)}, position ${at % width} (counted from 0)`;
}

/** Infinity need not be what was given. */
const large = ', which in float32 stands for any number beyond 3.4e38';

/** @throws DataError, which names the row and the position in it, where x holds NaN or Infinity. */
export function checkFiniteData(name: string, x: Tensor): void {
  if (x.dtype === 'int32') return;
  const values = x.values();
  const at = firstNonFinite(values);
  if (at < 0) return;
  const value = values[at];
  const isLarge = x.dtype === 'float32' && !Number.isNaN(value);
  throw new DataError(
    `expected ${name} to hold finite numbers, got ${value} at ${place(x, at)}${isLarge ? large : ''}`,
  );
}

import type { Data, Float } from '../../../binding.d.ts';
import { IndexError, KernelError } from '../../errors.ts';

/**
 * Checks of the arguments of a kernel. Each kernel runs them in the same order as its C++ twin, so that both report the
 * same mistake in the same words: types in the order of the signature, then values of the scalars, then lengths, then
 * contents. The messages are built only when something is wrong; the way through costs a few comparisons.
 */

export const maxSize = 2147483647;
export const anySize = `an integer from 0 to ${maxSize}`;
export const anyFlag = '0 or 1';
export const anyFinite = 'a finite number';

export function codeFrom(first: number, names: readonly string[]): string {
  return `a code from ${first} to ${names.length - 1}`;
}

export function refuse(kernel: string, name: string, expected: string, got: string): never {
  throw new KernelError(`[${kernel}] expected ${name} to ${expected}, got ${got}`);
}

function describe(value: unknown): string {
  if (value === null) return 'null';
  if (typeof value !== 'object') return typeof value;
  try {
    const name = (value as { constructor?: { name?: unknown } }).constructor?.name;
    return typeof name === 'string' && name !== '' ? name : 'object';
  } catch {
    // A revoked proxy has nothing to show.
    return 'object';
  }
}

export function refuseType(kernel: string, name: string, expected: string, value: unknown): never {
  refuse(kernel, name, `be ${expected}`, describe(value));
}

/** Whether it is an array; a revoked proxy is none. */
export function isArray(value: unknown): value is readonly unknown[] {
  try {
    return Array.isArray(value);
  } catch {
    return false;
  }
}

/** A detached array looks like an empty one; only making a view of its buffer tells. */
function checkAttached(kernel: string, name: string, array: Data | Uint32Array): void {
  try {
    new Uint8Array(array.buffer);
  } catch {
    refuse(kernel, name, 'have an attached buffer', 'a detached one');
  }
}

// ── types of arrays ─────────────────────────────────────────────────────────────────────────────────────────────────

/** The first Float argument, which fixes the type of the others. */
export function checkFloat(kernel: string, name: string, value: Float): void {
  if (!(value instanceof Float32Array || value instanceof Float64Array)) {
    refuseType(kernel, name, 'a Float32Array or Float64Array', value);
  }
  if (value.length === 0) checkAttached(kernel, name, value);
}

export function checkData(kernel: string, name: string, value: Data): void {
  if (!(value instanceof Float32Array || value instanceof Float64Array || value instanceof Int32Array)) {
    refuseType(kernel, name, 'a Float32Array, Float64Array or Int32Array', value);
  }
  if (value.length === 0) checkAttached(kernel, name, value);
}

function isLike(value: unknown, first: Data): boolean {
  if (first instanceof Float32Array) return value instanceof Float32Array;
  if (first instanceof Float64Array) return value instanceof Float64Array;
  return value instanceof Int32Array;
}

function like(first: Data, firstName: string): string {
  const type = isLike(first, new Float32Array(0))
    ? 'a Float32Array'
    : isLike(first, new Float64Array(0))
      ? 'a Float64Array'
      : 'an Int32Array';
  return `${type} like ${firstName}`;
}

/** A later array argument, of the type that the first one fixed. */
export function checkLike(kernel: string, name: string, value: Data, firstName: string, first: Data): void {
  if (!isLike(value, first)) refuseType(kernel, name, like(first, firstName), value);
  if (value.length === 0) checkAttached(kernel, name, value);
}

export function checkLikeOrNull(
  kernel: string,
  name: string,
  value: Float | null,
  firstName: string,
  first: Float,
): void {
  if (value === null) return;
  if (!isLike(value, first)) refuseType(kernel, name, `${like(first, firstName)} or null`, value);
  if (value.length === 0) checkAttached(kernel, name, value);
}

/** An array that may be null in general, but not with these scalars. */
export function checkNotNull(
  kernel: string,
  name: string,
  value: Float | null,
  firstName: string,
  first: Float,
): asserts value is Float {
  if (value === null) refuseType(kernel, name, `${like(first, firstName)} for this op`, value);
}

export function checkInt32(kernel: string, name: string, value: Int32Array): void {
  if (!(value instanceof Int32Array)) refuseType(kernel, name, 'an Int32Array', value);
  if (value.length === 0) checkAttached(kernel, name, value);
}

export function checkInt32OrNull(kernel: string, name: string, value: Int32Array | null): void {
  if (value === null) return;
  if (!(value instanceof Int32Array)) refuseType(kernel, name, 'an Int32Array or null', value);
  if (value.length === 0) checkAttached(kernel, name, value);
}

export function checkUint32(kernel: string, name: string, value: Uint32Array): void {
  if (!(value instanceof Uint32Array)) refuseType(kernel, name, 'a Uint32Array', value);
  if (value.length === 0) checkAttached(kernel, name, value);
}

export function checkFloat64(kernel: string, name: string, value: Float64Array): void {
  if (!(value instanceof Float64Array)) refuseType(kernel, name, 'a Float64Array', value);
  if (value.length === 0) checkAttached(kernel, name, value);
}

// ── types and values of scalars ─────────────────────────────────────────────────────────────────────────────────────

/** The type alone; `expected` says what its value will have to be. */
export function checkNumber(kernel: string, name: string, value: number, expected = 'a number'): void {
  if (typeof value !== 'number') refuseType(kernel, name, expected, value);
}

export function refuseValue(kernel: string, name: string, expected: string, value: number): never {
  refuse(kernel, name, `be ${expected}`, String(value));
}

export function checkSize(kernel: string, name: string, value: number): void {
  if ((value | 0) !== value || value < 0) refuseValue(kernel, name, anySize, value);
}

export function checkFlag(kernel: string, name: string, value: number): void {
  if (value !== 0 && value !== 1) refuseValue(kernel, name, anyFlag, value);
}

export function checkFinite(kernel: string, name: string, value: number): void {
  if (!Number.isFinite(value)) refuseValue(kernel, name, anyFinite, value);
}

export function checkCode(
  kernel: string,
  name: string,
  value: number,
  first: number,
  names: readonly string[],
): void {
  if ((value | 0) !== value || value < first || value >= names.length) {
    refuseValue(kernel, name, codeFrom(first, names), value);
  }
}

// ── lengths ─────────────────────────────────────────────────────────────────────────────────────────────────────────

type Sized = { readonly length: number };

export function checkLength(kernel: string, name: string, array: Sized, expected: number): void {
  if (array.length !== expected) {
    refuse(kernel, name, `have length ${expected}`, String(array.length));
  }
}

export function checkLengthOneOr(kernel: string, name: string, array: Sized, expected: number): void {
  if (array.length !== expected && array.length !== 1) {
    refuse(kernel, name, `have length 1 or ${expected}`, String(array.length));
  }
}

// ── contents ────────────────────────────────────────────────────────────────────────────────────────────────────────

export function checkIndices(kernel: string, name: string, indices: Int32Array, size: number): void {
  for (let i = 0; i < indices.length; i++) {
    const index = indices[i];
    if (index < 0 || index >= size) {
      throw new IndexError(`[${kernel}] expected ${name}[${i}] to be from 0 to ${size - 1}, got ${index}`);
    }
  }
}

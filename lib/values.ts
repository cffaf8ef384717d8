/** Numbers as users have them: one, arrays of them nested in each other, typed arrays, and typed arrays as rows. */

import { describe, isArray, isRevoked } from './arguments.ts';
import { DataError } from './errors.ts';
import { type Arrays, type Dtype, lengthOf } from './memory.ts';
import { typedArrayName } from './platform.ts';
import { maxRank, type Shape } from './shape.ts';

/**
 * What becomes a tensor: a number; a typed array of any numbers but BigInts; an array, or what has a length and numbered
 * elements as one; nested arrays of them, the innermost of which may be typed ones.
 */
export type Values = number | ArrayLike<number> | readonly Values[];

/** A row, or arrays of rows; of `never` an array of nothing. */
export type Rows<Row> = Row | readonly Rows<Row>[];

/** What becomes float32, whatever it holds. */
export type Float32Values = Rows<
  number | Float32Array | Int8Array | Uint8Array | Uint8ClampedArray | Int16Array | Uint16Array | Uint32Array
>;

const isView = (value: unknown): value is ArrayBufferView => ArrayBuffer.isView(value);

/** How many elements it has; undefined for what is neither an array nor a typed array nor looks like one. */
function countOf(value: unknown): unknown {
  if (isView(value)) return typedArrayName.call(value) !== undefined ? lengthOf(value) : undefined;
  if (typeof value !== 'object' || value === null || isRevoked(value)) return undefined;
  const { length } = value as { length?: unknown };
  return isArray(value) || typeof length === 'number' ? length : undefined;
}

/** Whether it has numbered elements and their count, rather than parts by name. */
export function isArrayLike(value: unknown): value is ArrayLike<unknown> {
  if (isView(value) || isArray(value)) return true;
  const count = countOf(value);
  return typeof count === 'number' && Number.isInteger(count) && count > 0 && count - 1 in (value as object);
}

/**
 * BigInts are no numbers here, a DataView has no elements, and an array whose buffer was detached, or resized to end
 * before it, looks like an empty one.
 */
function checkTyped(values: ArrayBufferView, where: string): void {
  const name = typedArrayName.call(values);
  if (name === undefined || name.startsWith('Big')) {
    throw new DataError(`[tensor] expected an array of numbers${where}, got ${describe(values)}`);
  }
  if (lengthOf(values) > 0) return;
  try {
    Uint8Array.prototype.keys.call(values);
  } catch {
    throw new DataError(
      `[tensor] expected values${where}, got an array whose buffer was detached (transferred) or made smaller`,
    );
  }
}

/** What becomes of an array of this class: itself where a tensor can be so, and else float32, as of numbers. */
function dtypeOf(row: unknown): Dtype {
  const name = isView(row) ? typedArrayName.call(row) : undefined;
  if (name === 'Float64Array') return 'float64';
  return name === 'Int32Array' ? 'int32' : 'float32';
}

/** Whether the first row is a typed array whose elements float32 holds, whatever they are. */
export function fitsFloat32(values: unknown): boolean {
  let row = values;
  for (let depth = 0; depth < maxRank && isArray(row); depth++) row = row[0];
  const name = isView(row) ? typedArrayName.call(row) : undefined;
  return name === 'Float32Array' || (name !== undefined && /(8|8Clamped|16)Array$/.test(name));
}

/** The shape that the first elements show, and the dtype of the innermost of them. */
export function natureOf(values: unknown): { shape: number[]; dtype: Dtype } {
  const shape: number[] = [];
  let row: unknown;
  // An array may hold itself: the check of the rank ends what has no end here.
  for (let level = values; shape.length <= maxRank; ) {
    if (isView(level)) checkTyped(level, shape.length === 0 ? '' : ` at values${'[0]'.repeat(shape.length)}`);
    const count = countOf(level);
    if (count === undefined) break;
    shape.push(count as number);
    row = level;
    if (isView(level) || count === 0) break;
    level = (level as ArrayLike<unknown>)[0];
  }
  return { shape, dtype: dtypeOf(row) };
}

/**
 * Writes values out flat.
 * @param isGiven whether somebody asked for this dtype; otherwise all rows have to have it
 * @throws DataError where the nesting is ragged or holds something else than numbers, fractions for int32, or rows of two
 *   dtypes of which nobody chose one
 */
export function fill(
  data: Arrays[Dtype],
  values: unknown,
  shape: Shape,
  dtype: Dtype,
  isGiven: boolean,
): void {
  const last = shape.length - 1;
  const place = shape.map(() => 0);
  const pathOf = (axis: number) =>
    place
      .slice(0, axis)
      .map((i) => `[${i}]`)
      .join('');
  let at = 0;

  const fillRow = (row: unknown): void => {
    if (!isGiven && dtypeOf(row) !== dtype) {
      const rows = `[tensor] expected rows of one dtype, got ${dtype} and ${dtypeOf(row)} at values${pathOf(last)}`;
      throw new DataError(`${rows}: choose one by the option dtype`);
    }
    const count = shape[last];
    if (isView(row)) {
      data.set(row as unknown as ArrayLike<number>, at);
      if (dtype === 'int32') checkIntegers(data, at, row as unknown as ArrayLike<number>, count);
      at += count;
      return;
    }
    const isInteger = dtype === 'int32';
    for (let i = 0; i < count; i++, at++) {
      const value = (row as ArrayLike<unknown>)[i];
      if (typeof value !== 'number') {
        place[last] = i;
        throw notNumber(value, pathOf(shape.length));
      }
      if (isInteger && (value | 0) !== value) throw notInteger(value, at);
      data[at] = value;
    }
  };

  const visit = (level: unknown, axis: number): void => {
    if (isView(level)) checkTyped(level, axis === 0 ? '' : ` at values${pathOf(axis)}`);
    const count = countOf(level);
    if (count !== shape[axis] || (isView(level) && axis < last)) {
      const got = count === undefined || isView(level) ? describe(level) : `one of ${describe(count)}`;
      throw new DataError(
        `[tensor] expected an array of ${shape[axis]} at values${pathOf(axis)}, got ${got}`,
      );
    }
    if (axis === last) {
      fillRow(level);
      return;
    }
    for (let i = 0; i < shape[axis]; i++) {
      place[axis] = i;
      visit((level as ArrayLike<unknown>)[i], axis + 1);
    }
  };

  if (last >= 0) {
    visit(values, 0);
    return;
  }
  if (typeof values !== 'number') throw notNumber(values, '');
  if (dtype === 'int32' && (values | 0) !== values) throw notInteger(values, 0);
  data[0] = values;
}

function checkIntegers(data: Arrays[Dtype], at: number, row: ArrayLike<number>, count: number): void {
  for (let i = 0; i < count; i++) if (data[at + i] !== row[i]) throw notInteger(row[i], at + i);
}

function notNumber(value: unknown, path: string): DataError {
  const got = isArray(value) ? `an array of ${describe(value.length)}` : describe(value);
  return new DataError(`[tensor] expected a number at values${path}, got ${got}`);
}

function notInteger(value: number, position: number): DataError {
  return new DataError(`[tensor] expected integers for int32, got ${value} at position ${position}`);
}

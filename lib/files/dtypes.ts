/** Numbers as files have them, made into elements of tensors. Nothing is lost unless the caller asks for a dtype that loses. */
import { describe } from '../arguments.ts';
import { ArgumentError, DataError } from '../errors.ts';
import type { Arrays, Dtype } from '../memory.ts';

/** Numbers that lie one after the other, lowest byte first. */
export interface Encoding {
  readonly bytes: number;
  /** What holds all of them exactly; for integers of 32 and more bits what holds those that people have. */
  readonly dtype: Dtype;
  /** Whether the bytes are those of a typed array of that dtype. */
  readonly isOwn?: boolean;
  /** The typed arrays that hold such numbers, where there are any: they are converted at once. */
  readonly array?: View;
  at(view: DataView, offset: number): number;
  /** What `at` rounds beyond 2⁵³. */
  readonly exact?: (view: DataView, offset: number) => bigint;
}

type View = new (buffer: ArrayBufferLike, offset: number, length: number) => ArrayLike<number>;

const wide = 2 ** 32;

/** The fields where a float32 has them, whose exponent counts from another number. */
function half(bits: number): number {
  const sign = (bits & 0x8000) << 16;
  scratch.setUint32(0, sign | ((bits & 0x7fff) << 13));
  const value = scratch.getFloat32(0) * raised;
  if ((bits & 0x7c00) !== 0x7c00) return value;
  if ((bits & 0x3ff) !== 0) return NaN;
  return sign === 0 ? Infinity : -Infinity;
}

const raised = 2 ** (127 - 15);
const scratch = new DataView(new ArrayBuffer(4));

/** Four bits of exponent, three of fraction, no infinity (Micikevicius et al., "FP8 formats for deep learning", 2022). */
function e4m3(bits: number): number {
  const [exponent, fraction] = [(bits >> 3) & 15, bits & 7];
  if (exponent === 15 && fraction === 7) return NaN;
  const size = exponent === 0 ? fraction * 2 ** -9 : (1 + fraction / 8) * 2 ** (exponent - 7);
  return bits & 0x80 ? -size : size;
}

function brain(bits: number): number {
  scratch.setUint32(0, bits << 16);
  return scratch.getFloat32(0);
}

/** How numbers lie in a file of safetensors, as it says. */
export type EncodingName =
  | 'F64'
  | 'F32'
  | 'F16'
  | 'BF16'
  | 'F8_E5M2'
  | 'F8_E4M3'
  | 'I64'
  | 'U64'
  | 'I32'
  | 'U32'
  | 'I16'
  | 'U16'
  | 'I8'
  | 'U8'
  | 'BOOL';

export const encodings: Readonly<Record<EncodingName, Encoding>> = {
  F64: {
    bytes: 8,
    dtype: 'float64',
    isOwn: true,
    array: Float64Array,
    at: (view, i) => view.getFloat64(i, true),
  },
  F32: {
    bytes: 4,
    dtype: 'float32',
    isOwn: true,
    array: Float32Array,
    at: (view, i) => view.getFloat32(i, true),
  },
  F16: { bytes: 2, dtype: 'float32', at: (view, i) => half(view.getUint16(i, true)) },
  BF16: { bytes: 2, dtype: 'float32', at: (view, i) => brain(view.getUint16(i, true)) },
  // The upper byte of a half.
  F8_E5M2: { bytes: 1, dtype: 'float32', at: (view, i) => half(view.getUint8(i) << 8) },
  F8_E4M3: { bytes: 1, dtype: 'float32', at: (view, i) => e4m3(view.getUint8(i)) },
  I64: {
    bytes: 8,
    dtype: 'int32',
    at: (view, i) => view.getInt32(i + 4, true) * wide + view.getUint32(i, true),
    exact: (view, i) => view.getBigInt64(i, true),
  },
  U64: {
    bytes: 8,
    dtype: 'int32',
    at: (view, i) => view.getUint32(i + 4, true) * wide + view.getUint32(i, true),
    exact: (view, i) => view.getBigUint64(i, true),
  },
  I32: { bytes: 4, dtype: 'int32', isOwn: true, array: Int32Array, at: (view, i) => view.getInt32(i, true) },
  U32: { bytes: 4, dtype: 'int32', array: Uint32Array, at: (view, i) => view.getUint32(i, true) },
  I16: { bytes: 2, dtype: 'int32', array: Int16Array, at: (view, i) => view.getInt16(i, true) },
  U16: { bytes: 2, dtype: 'int32', array: Uint16Array, at: (view, i) => view.getUint16(i, true) },
  I8: { bytes: 1, dtype: 'int32', array: Int8Array, at: (view, i) => view.getInt8(i) },
  U8: { bytes: 1, dtype: 'int32', array: Uint8Array, at: (view, i) => view.getUint8(i) },
  BOOL: { bytes: 1, dtype: 'int32', at: (view, i) => (view.getUint8(i) === 0 ? 0 : 1) },
};

/** What a caller wants numbers to be, whatever becomes of them. @throws ArgumentError for what is no dtype */
export function checkWanted(op: string, dtype: unknown): asserts dtype is Dtype | undefined {
  if (dtype === undefined || dtype === 'float32' || dtype === 'float64' || dtype === 'int32') return;
  throw new ArgumentError(`[${op}] expected dtype to be float32, float64 or int32, got ${describe(dtype)}`);
}

/** Cut off to 53 bits, the last of which says whether there was more: what is rounded then is rounded once. */
const cut = (value: bigint) => Number(((value >> 11n) | (value & 0x7ffn ? 1n : 0n)) << 11n);

/**
 * Converts numbers, from `first` on, into elements.
 * @param isWanted whether the caller asked for the dtype; floats are then rounded, integers are not
 * @throws DataError, which names it, for a number that the dtype does not hold
 */
export function convert(
  name: string,
  from: Encoding,
  bytes: Uint8Array,
  into: Arrays[Dtype],
  first: number,
  isWanted: boolean,
): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const count = bytes.length / from.bytes;
  const isInteger = into instanceof Int32Array;
  const check = (i: number, value: number) => {
    if (into[first + i] === value) return;
    const given = from.exact?.(view, i * from.bytes) ?? value;
    throw new DataError(
      `expected integers of 32 bits in ${name}, got ${given} at position ${first + i}` +
        (isWanted ? '' : ": pass dtype: 'float64', which holds up to 2^53 exactly, or 'float32'"),
    );
  };
  if (from.array !== undefined && bytes.byteOffset % from.bytes === 0) {
    const values = new from.array(bytes.buffer, bytes.byteOffset, count);
    into.set(values, first);
    if (isInteger) for (let i = 0; i < count; i++) check(i, values[i]);
    return;
  }
  const { exact } = from;
  const isRounded = exact !== undefined && into instanceof Float32Array;
  for (let i = 0; i < count; i++) {
    const value = from.at(view, i * from.bytes);
    const isBeyond = isRounded && Math.abs(value) >= 2 ** 53;
    into[first + i] = isBeyond ? cut(exact(view, i * from.bytes)) : value;
    if (isInteger) check(i, value);
  }
}

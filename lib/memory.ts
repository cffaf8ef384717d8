/**
 * Buffers. What a user can see is an ordinary typed array that the garbage collector frees; what nobody can see
 * (gradients of intermediates, saved masks, workspaces) comes from a pool and goes back as soon as it has been used.
 * Parameters and optimizer state live on SharedArrayBuffers: few, long-lived, never detached under a native thread.
 */
import { getHeapStatistics } from 'node:v8';
import type { Float } from '../binding.d.ts';
import { MemoryError } from './errors.ts';
import { recording } from './kernels/recorder.ts';

export type FloatDtype = 'float32' | 'float64';
export type Dtype = FloatDtype | 'int32';

export interface Arrays {
  float32: Float32Array;
  float64: Float64Array;
  int32: Int32Array;
}

/** What kernels take: the elements of tensors, and random states. */
export type Elements = Arrays[Dtype] | Uint32Array;

/**
 * One piece of memory. Tensors that are views of each other share it, and so the count of its updates. While a function is
 * recorded nothing is computed, and what it makes has no array.
 */
export class Storage<D extends Dtype = Dtype> {
  readonly dtype: D;
  /** The number of elements. Not that of the array, which a transfer of its buffer changes. */
  readonly length: number;
  array: Arrays[D] | null;
  /** Counts updates in place, so that backward can tell that what it reads has changed; see `owner`. */
  version = 0;
  /** Whose version counts: its own, or that of another one whose memory it uses. */
  owner: Storage = this as unknown as Storage;

  constructor(dtype: D, length: number, array: Arrays[D] | null) {
    this.dtype = dtype;
    this.length = length;
    this.array = array;
    recording?.add(this);
  }
}

/** How many bytes the elements take. */
export function bytesOf(some: Elements | Storage): number {
  return some instanceof Storage ? some.length * (some.dtype === 'float64' ? 8 : 4) : some.byteLength;
}

function refused(length: number, dtype: Dtype, cause: unknown): MemoryError {
  return new MemoryError(`expected memory for ${length} elements of ${dtype}, got none from the system`, {
    cause,
  });
}

function make(length: number, dtype: Dtype): Arrays[Dtype] {
  try {
    if (dtype === 'float32') return new Float32Array(length);
    return dtype === 'float64' ? new Float64Array(length) : new Int32Array(length);
  } catch (cause) {
    throw refused(length, dtype, cause);
  }
}

/** A copy on memory of its own. @throws MemoryError when the system has none for it. */
export function copyOf<A extends Arrays[Dtype] | Uint32Array>(array: A): A {
  try {
    // Not by a method of the array, which whoever sees it may have replaced.
    if (array instanceof Float32Array) return new Float32Array(array) as A;
    if (array instanceof Float64Array) return new Float64Array(array) as A;
    return (array instanceof Int32Array ? new Int32Array(array) : new Uint32Array(array)) as A;
  } catch (cause) {
    throw new MemoryError(`expected ${array.byteLength} bytes for a copy, got none from the system`, {
      cause,
    });
  }
}

const lengthGetter = Object.getOwnPropertyDescriptor(Object.getPrototypeOf(Uint8Array.prototype), 'length')!
  .get!;

/** How many elements an array has, whatever a property of that name says; 0 when its buffer was detached. */
export function lengthOf(array: ArrayBufferView): number {
  return lengthGetter.call(array) as number;
}

/** A typed array of zeros for a user to see. @throws MemoryError when the system has none for it. */
export function allocate<D extends Dtype>(length: number, dtype: D): Arrays[D] {
  return make(length, dtype) as Arrays[D];
}

/** Shared memory, zeros. @throws MemoryError when the system has none for it. */
export function allocateBytes(bytes: number): SharedArrayBuffer {
  try {
    return new SharedArrayBuffer(bytes);
  } catch (cause) {
    throw new MemoryError(`expected ${bytes} bytes of shared memory, got none from the system`, { cause });
  }
}

/** An array of zeros on a SharedArrayBuffer. @throws MemoryError when the system has no memory for it. */
export function allocateShared<D extends FloatDtype>(length: number, dtype: D): Arrays[D] {
  try {
    return (
      dtype === 'float32'
        ? new Float32Array(new SharedArrayBuffer(4 * length))
        : new Float64Array(new SharedArrayBuffer(8 * length))
    ) as Arrays[D];
  } catch (cause) {
    throw refused(length, dtype, cause);
  }
}

/** What the pool keeps at most, in bytes; what comes back beyond it is left to the garbage collector. */
const poolLimit = 256 * 2 ** 20;
const pools = { float32: new Map<number, Float[]>(), float64: new Map<number, Float[]>() };
let pooledBytes = 0;

/** A buffer with unspecified content. Whoever takes it writes all of it before reading. */
export function take(length: number, dtype: FloatDtype): Float {
  // What a recorded call names is planned later.
  if (recording !== null) return new Storage(dtype, length, null) as unknown as Float;
  const buffer = pools[dtype].get(length)?.pop();
  if (buffer === undefined) return allocate(length, dtype);
  pooledBytes -= buffer.byteLength;
  return buffer;
}

/** Gives a buffer of `take` back. The caller holds no other reference to it. */
export function release(buffer: Float): void {
  if (recording !== null) return;
  const bytes = buffer.byteLength;
  if (pooledBytes + bytes > poolLimit) return;
  const pool = buffer instanceof Float32Array ? pools.float32 : pools.float64;
  const free = pool.get(buffer.length);
  if (free === undefined) pool.set(buffer.length, [buffer]);
  else free.push(buffer);
  pooledBytes += bytes;
}

/** Longer arrays of JavaScript than this are refused by its engine; measured. */
const longestArray = 2 ** 27 - 1024;
/** Nobody asks the heap whether it has room for less; in bytes. */
const few = 2 ** 22;
/** What the heap's limit holds for young objects, of which arrays that stay are none. */
const young = 48 * 2 ** 20;

/** What nested arrays of this shape take at most, in bytes, with the longest of them counted twice, as it may move. */
export function nestedBytes(shape: readonly number[]): number {
  let bytes = 0;
  let longest = 0;
  let arrays = 1;
  for (const size of shape) {
    const own = 96 + 8 * size;
    bytes += arrays * own;
    if (arrays > 0 && own > longest) longest = own;
    arrays *= size;
  }
  return bytes + longest;
}

/**
 * Checks that there can be nested arrays of this shape: when the heap of JavaScript is full, the process ends.
 * @throws MemoryError
 */
export function checkNested(op: string, shape: readonly number[]): void {
  const bytes = nestedBytes(shape);
  if (bytes < few) return;
  const { heap_size_limit: limit, used_heap_size: used } = getHeapStatistics();
  const left = Math.max(0.9 * (limit - used) - young, 0);
  if (bytes <= left && shape.every((size) => size <= longestArray)) return;
  throw new MemoryError(
    `[${op}] expected nested arrays of shape [${shape.join(', ')}] to fit into the heap of JavaScript, got ` +
      `${megabytes(bytes)} for ${megabytes(left)} left of it`,
  );
}

const megabytes = (bytes: number) => `${Math.ceil(bytes / 2 ** 20).toLocaleString('en-US')} MiB`;

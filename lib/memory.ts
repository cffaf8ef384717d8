/**
 * Buffers. What a user can see is an ordinary typed array that the garbage collector frees; what nobody can see
 * (gradients of intermediates, saved masks, workspaces) comes from a pool and goes back as soon as it has been used.
 * Parameters and optimizer state live on SharedArrayBuffers: few, long-lived, never detached under a native thread.
 */
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

/** A typed array of zeros for a user to see. @throws MemoryError when the system has none for it. */
export function allocate<D extends Dtype>(length: number, dtype: D): Arrays[D] {
  const array = make(length, dtype);
  recording?.made.add(array);
  return array as Arrays[D];
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
  // A recorded call names its buffer for good, and its memory is planned later: nothing from the pool, nothing back.
  if (recording !== null) return allocate(length, dtype);
  const buffer = pools[dtype].get(length)?.pop();
  if (buffer === undefined) return allocate(length, dtype);
  pooledBytes -= buffer.byteLength;
  return buffer;
}

/** Gives a buffer of `take` back. The caller holds no other reference to it. */
export function release(buffer: Float): void {
  const bytes = buffer.byteLength;
  if (recording !== null) return;
  if (pooledBytes + bytes > poolLimit) return;
  const pool = buffer instanceof Float32Array ? pools.float32 : pools.float64;
  const free = pool.get(buffer.length);
  if (free === undefined) pool.set(buffer.length, [buffer]);
  else free.push(buffer);
  pooledBytes += bytes;
}

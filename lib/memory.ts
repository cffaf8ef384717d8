/**
 * Buffers. What a user can see is an ordinary typed array that the garbage collector frees; what nobody can see
 * (gradients of intermediates, saved masks, workspaces) comes from a pool and goes back as soon as it has been used.
 * Parameters and optimizer state live on SharedArrayBuffers: few, long-lived, never detached under a native thread.
 */
import type { Float } from '../binding.d.ts';
import { MemoryError } from './errors.ts';
import { beforeChange } from './hold.ts';
import { recording } from './kernels/recorder.ts';
import { heap, sharedMemory, sharesMemory } from './platform.ts';

/** Those that have gradients. */
export type FloatDtype = 'float32' | 'float64';
/** The types of elements that there are. */
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
  /** Whether it is shared memory, which programs read and write in place. */
  isShared = false;
  /** Whether nobody writes to it once it is filled, so that whatever runs meanwhile may read it. */
  isConstant = false;
  /** Whether a user has its array, or another thread its memory, and may write to it unseen. */
  isExposed = false;
  /** Whose version counts: its own, or that of another one whose memory it uses. */
  owner: Storage = this as unknown as Storage;

  constructor(dtype: D, length: number, array: Arrays[D] | null) {
    this.dtype = dtype;
    this.length = length;
    this.array = array;
    recording?.add(this);
  }

  /** The array or, where it may be written to unseen, a copy. Whoever writes to it otherwise tells before, see `hold`. */
  still(): Arrays[D] {
    const array = this.array!;
    return this.isExposed || this.owner !== (this as unknown as Storage) ? copyOf(array) : array;
  }

  /** From now on it may be written to unseen. */
  expose(): void {
    if (this.isExposed) return;
    this.isExposed = true;
    if (this.array !== null) beforeChange(this.array.buffer);
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
    const buffer = sharedMemory(bytes);
    if (sharesMemory) weigh(buffer, bytes);
    return buffer;
  } catch (cause) {
    throw new MemoryError(`expected ${bytes} bytes of shared memory, got none from the system`, { cause });
  }
}

/** An array of zeros on a SharedArrayBuffer. @throws MemoryError when the system has no memory for it. */
export function allocateShared<D extends FloatDtype>(length: number, dtype: D): Arrays[D] {
  const array =
    dtype === 'float32'
      ? new Float32Array(allocateBytes(4 * length))
      : new Float64Array(allocateBytes(8 * length));
  return array as Arrays[D];
}

/**
 * The garbage collector does not count shared memory, and would not come for it in time. It counts ordinary memory: so each
 * shared buffer has a companion of its size, which nobody touches and the system therefore never provides, and which goes
 * with it.
 */
const companions = new WeakMap<SharedArrayBuffer, ArrayBuffer>();
/** One companion stands for small buffers of so many bytes together. */
const largest = 2 ** 16;
let unweighed = 0;

function weigh(buffer: SharedArrayBuffer, bytes: number): void {
  unweighed += bytes;
  if (unweighed < largest) return;
  try {
    // A buffer that may be resized lies on pages of its own, which are not written to when it is made.
    const Resizable = ArrayBuffer as unknown as new (
      bytes: number,
      options: { maxByteLength: number },
    ) => ArrayBuffer;
    companions.set(buffer, new Resizable(unweighed, { maxByteLength: unweighed }));
  } catch {
    // No address is left for it. Then there is none for anything else soon.
  }
  unweighed = 0;
}

/** What the pool keeps at most, in bytes; what comes back beyond it is left to the garbage collector. */
const poolLimit = 256 * 2 ** 20;

/** Buffers that came back, by dtype and length. */
class Pool {
  private readonly buffers = { float32: new Map<number, Float[]>(), float64: new Map<number, Float[]>() };
  bytes = 0;

  take(length: number, dtype: FloatDtype): Float | undefined {
    const buffer = this.buffers[dtype].get(length)?.pop();
    if (buffer !== undefined) this.bytes -= buffer.byteLength;
    return buffer;
  }

  add(buffer: Float): void {
    const own = this.buffers[buffer instanceof Float32Array ? 'float32' : 'float64'];
    const free = own.get(buffer.length);
    if (free === undefined) own.set(buffer.length, [buffer]);
    else free.push(buffer);
    this.bytes += buffer.byteLength;
  }
}

/** Those that came back of late, and those before. What nobody takes from the latter goes with them. */
let recent = new Pool();
let older = new Pool();
let backwards = 0;
let takes = 0;

/** After a backward pass, and so many buffers taken: in a loop of training each size is asked for again by then. */
export function agePool(): void {
  if (++backwards % 4 !== 0) return;
  older = recent;
  recent = new Pool();
}

/** A buffer with unspecified content. Whoever takes it writes all of it before reading. */
export function take(length: number, dtype: FloatDtype): Float {
  // What a recorded call names is planned later.
  if (recording !== null) return new Storage(dtype, length, null) as unknown as Float;
  if (++takes % 256 === 0) agePool();
  return recent.take(length, dtype) ?? older.take(length, dtype) ?? allocate(length, dtype);
}

/** Gives a buffer of `take` back. The caller holds no other reference to it. */
export function release(buffer: Float): void {
  if (recording !== null || recent.bytes + older.bytes + buffer.byteLength > poolLimit) return;
  recent.add(buffer);
}

/** The memory of tensors that are made while `lending` runs; null when it does not. */
let lent: Float[] | null = null;

/**
 * Runs `fn`, which makes tensors of which nobody uses but the one that it returns: what the others lie on goes to the pool.
 * Of large tensors that are used once, new memory would cost more than what is computed in it.
 */
export function lending<Made extends { readonly storage: Storage } | null>(fn: () => Made): Made {
  if (recording !== null) return fn();
  const outer = lent;
  const own: Float[] = [];
  lent = own;
  try {
    const made = fn();
    for (const buffer of own) if (buffer !== made?.storage.array) release(buffer);
    return made;
  } finally {
    lent = outer;
  }
}

/** Memory for a tensor that an op will fill. @throws MemoryError when the system has none for it. */
export function allocateTensor(length: number, dtype: Dtype): Arrays[Dtype] {
  if (lent === null || dtype === 'int32') return allocate(length, dtype);
  const buffer = take(length, dtype);
  lent.push(buffer);
  return buffer;
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
  const { limit, used } = heap() ?? { limit: Infinity, used: 0 };
  const left = Math.max(0.9 * (limit - used) - young, 0);
  if (bytes <= left && shape.every((size) => size <= longestArray)) return;
  throw new MemoryError(
    `[${op}] expected nested arrays of shape [${shape.join(', ')}] to fit into the heap of JavaScript, got ` +
      `${megabytes(bytes)} for ${megabytes(left)} left of it`,
  );
}

const megabytes = (bytes: number) => `${Math.ceil(bytes / 2 ** 20).toLocaleString('en-US')} MiB`;

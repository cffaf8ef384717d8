/** Kernel calls as data: recorded from the ops, and replayed on an implementation inside guarded memory. */
import type { Kernels } from '../../binding.d.ts';
import { withKernels } from '../../lib/kernels/index.ts';
import type { FloatDtype } from '../../lib/memory.ts';
import type { Case, Declaration, DirectCase } from '../cases/case.ts';
import { cotangentOf, inputsOf } from '../cases/values.ts';
import { type KernelName, kernelNames, roles, signatures } from './signature.ts';

export type TypedArray = Float32Array | Float64Array | Int32Array | Uint32Array;

export function isArray(value: unknown): value is TypedArray {
  return ArrayBuffer.isView(value);
}

/** Whether an argument is a list of arrays. */
export function isList(value: unknown): value is readonly TypedArray[] {
  return Array.isArray(value) && value.every(isArray);
}

/** The arrays of a call in order, those in lists included, with the position of the argument. */
export function arraysOf(args: readonly unknown[]): { array: TypedArray; position: number }[] {
  return args.flatMap((value, position) => {
    const arrays = isArray(value) ? [value] : isList(value) ? value : [];
    return arrays.map((array) => ({ array, position }));
  });
}

export interface Call {
  readonly kernel: KernelName;
  /** Arrays are copies of what the call was given; the same array twice is the same copy twice. */
  readonly args: readonly unknown[];
  /** The case it comes from. */
  readonly from: string;
}

type AnyKernel = (...args: unknown[]) => void;

export function invoke(implementation: Kernels, kernel: KernelName, args: readonly unknown[]): void {
  (implementation[kernel] as AnyKernel)(...args);
}

/** Copies of the arrays; arguments that are one array, or lie on the same memory, stay one. */
export function mapArrays(
  args: readonly unknown[],
  copy: (array: TypedArray, position: number) => TypedArray,
): unknown[] {
  const known = new Map<string, TypedArray>();
  const buffers: ArrayBufferLike[] = [];
  const copied = (value: TypedArray, position: number): TypedArray => {
    if (!buffers.includes(value.buffer)) buffers.push(value.buffer);
    // Empty arrays are never the same memory.
    const place = value.length === 0 ? `empty ${known.size}` : value.byteOffset;
    const key = `${buffers.indexOf(value.buffer)} ${place} ${value.length} ${value.constructor.name}`;
    const same = known.get(key);
    if (same !== undefined) return same;
    const fresh = copy(value, position);
    known.set(key, fresh);
    return fresh;
  };
  return args.map((value, position) => {
    if (isList(value)) return value.map((array) => copied(array, position));
    return isArray(value) && !(value instanceof DataView) ? copied(value, position) : value;
  });
}

const duplicate = (array: TypedArray): TypedArray => array.slice();

/** Runs `fn` on `target` and returns the kernel calls it made, with copies of their arguments as they were before. */
export function record(target: Kernels, from: string, fn: () => void): Call[] {
  const calls: Call[] = [];
  const recorder: Partial<Record<KernelName, AnyKernel>> = {};
  for (const kernel of kernelNames) {
    recorder[kernel] = (...args) => {
      calls.push({ kernel, args: mapArrays(args, duplicate), from });
      invoke(target, kernel, args);
    };
  }
  withKernels(recorder as unknown as Kernels, fn);
  return calls;
}

/** The calls of a case: forward, and backward where it has one, with a random cotangent. */
export function recordCase(
  target: Kernels,
  op: string,
  c: Pick<Case, 'name' | 'inputs' | 'run'> & { gradient?: Case['gradient']; backward?: boolean },
  dtype: FloatDtype,
): Call[] {
  return record(target, `${op} / ${c.name} / ${dtype}`, () => {
    const y = c.run(...inputsOf(op, c, dtype));
    if (c.gradient !== 'none' && c.backward !== false) y.backward(cotangentOf(op, c, y));
  });
}

export function recordDirect(target: Kernels, op: string, c: DirectCase, dtype: FloatDtype): Call[] {
  return record(target, `${op} / ${c.name} / ${dtype}`, () => c.run(dtype));
}

/** Every call of a declaration, in both dtypes. */
export function recordDeclaration(target: Kernels, declaration: Declaration): Call[] {
  return (['float32', 'float64'] as const).flatMap((dtype) => [
    ...declaration.cases.flatMap((c) => recordCase(target, declaration.op, c, dtype)),
    ...(declaration.direct ?? []).flatMap((c) => recordDirect(target, declaration.op, c, dtype)),
  ]);
}

// ── replay ──────────────────────────────────────────────────────────────────────────────────────────────────────────

/** Elements before and after each array. An odd number: no array begins at the start of a vector. */
const guard = 17;
/** A byte that makes NaN of floats, and one that no kernel writes by itself: a NaN of the processor has other bits. */
const pattern = 0xff;

export interface Outcome {
  /** The arguments after the call. */
  readonly args: readonly unknown[];
  /** What was thrown, or null. */
  readonly error: unknown;
  /** What the call did that no call may do, or null: written outside an array or to an input. */
  readonly fault: string | null;
}

interface Guarded {
  readonly position: number;
  readonly bytes: Uint8Array;
  readonly array: TypedArray;
  readonly before: TypedArray;
}

function surround(array: TypedArray, position: number, shared: boolean, poison: boolean): Guarded {
  const type = array.constructor as new (
    buffer: ArrayBufferLike,
    offset: number,
    length: number,
  ) => TypedArray;
  const width = array.BYTES_PER_ELEMENT;
  const size = (array.length + 2 * guard) * width;
  const buffer = shared ? new SharedArrayBuffer(size) : new ArrayBuffer(size);
  const bytes = new Uint8Array(buffer);
  const copy = new type(buffer, guard * width, array.length);
  if (poison) {
    bytes.fill(pattern);
    return { position, bytes, array: copy, before: copy.slice() };
  }
  bytes.fill(pattern, 0, guard * width).fill(pattern, size - guard * width);
  copy.set(array as never);
  // Nobody writes to the arguments of a call, of which this is a copy.
  return { position, bytes, array: copy, before: array };
}

/** Whether the layout of a call of `fused` says where its outs are stored. */
function placesOuts([, ins, layout]: readonly unknown[]): boolean {
  if (!isList(ins) || !(layout instanceof Int32Array)) return true;
  const rank = layout[4];
  return layout.length > 5 + rank + ins.length * (rank + 1);
}

export interface ReplayOptions {
  /** Arrays on SharedArrayBuffers. Default false. */
  readonly shared?: boolean;
  /** An argument that goes in as it is: one that cannot be copied, such as a detached array or a list with one. */
  readonly raw?: number;
}

/**
 * Calls a kernel on fresh copies of the arguments between guards. What the kernel has to overwrite holds NaN before.
 */
export function replay(
  implementation: Kernels,
  { kernel, args }: Pick<Call, 'kernel' | 'args'>,
  { shared = false, raw = -1 }: ReplayOptions = {},
): Outcome {
  const parameters = signatures.get(kernel)!;
  const { overwritten, updated, partly } = roles[kernel];
  const isPlaced =
    kernel === 'fused'
      ? placesOuts(args)
      : args[parameters.findIndex(({ name }) => name === 'layout')] !== null;
  const mustOverwrite = (name: string) => overwritten.includes(name) || (partly.includes(name) && !isPlaced);
  const placed: Guarded[] = [];
  const guardable = args.map((value, position) => (position === raw ? null : value));
  const own = mapArrays(guardable, (array, position) => {
    const name = parameters[position]?.name;
    // The very same array may be destination and input; its content then counts.
    const alone = args.every((other, i) => i === position || other !== array);
    const guarded = surround(array, position, shared, alone && mustOverwrite(name));
    placed.push(guarded);
    return guarded.array;
  });
  if (raw >= 0 && raw < args.length) own[raw] = args[raw];
  let error: unknown = null;
  try {
    invoke(implementation, kernel, own);
  } catch (thrown) {
    error = thrown;
  }
  let fault: string | null = null;
  const writes = (name: string) => overwritten.includes(name) || updated.includes(name);
  const destinations = new Set(
    arraysOf(own)
      .filter(({ position }) => writes(parameters[position]?.name))
      .map(({ array }) => array),
  );
  for (const { position, array, bytes, before } of placed) {
    const name = parameters[position]?.name;
    const edge = guard * array.BYTES_PER_ELEMENT;
    const outside = [bytes.subarray(0, edge), bytes.subarray(bytes.length - edge)];
    if (outside.some((zone) => zone.some((byte) => byte !== pattern))) fault = `wrote outside ${name}`;
    const mayChange = error === null && destinations.has(array);
    if (!mayChange && !sameBytes(array, before)) {
      fault = error === null ? `changed its input ${name}` : `changed ${name} before it threw`;
    }
  }
  return { args: own, error, fault };
}

export function sameBytes(a: TypedArray, b: TypedArray): boolean {
  const left = Buffer.from(a.buffer, a.byteOffset, a.byteLength);
  return left.equals(Buffer.from(b.buffer, b.byteOffset, b.byteLength));
}

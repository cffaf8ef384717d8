/** The Tensor: a contiguous, row-major array with a shape, and its place in the history that backward walks. */
import { checkBoolean, checkOptions, describe, isRecord, readOptions } from './arguments.ts';
import type { GraphNode } from './autograd.ts';
import { runBackward } from './backward.ts';
import { ArgumentError, AutogradError, DataError, DtypeError, ShapeError } from './errors.ts';
import type { Gaps } from './gaps.ts';
import { type Float, kernels } from './kernels/index.ts';
import { recording, type Use } from './kernels/recorder.ts';
import {
  type Arrays,
  allocate,
  allocateTensor,
  checkNested,
  type Dtype,
  type FloatDtype,
  lengthOf,
  nestedBytes,
  Storage,
} from './memory.ts';
import { nameClass } from './names.ts';
import type { TensorMethods } from './ops/index.ts';
import { checkShape, readShape, type Shape, sameShape, show, sizeOf } from './shape.ts';
import { type Float32Values, fill, natureOf, type Rows, type Values } from './values.ts';

/** Numbers nested as deep as the rank. */
export type Nested = number | readonly Nested[];

export type { Values } from './values.ts';

/** Options of `backward` of a `Tensor`. */
export interface BackwardOptions<D extends Dtype = Dtype> {
  /** dL/dthis, of this shape and dtype; may be left out for a tensor of one element, where it is 1. */
  gradient?: Tensor<D>;
  /** Whether the history can be used again, for another backward; it keeps what ops have saved. Default: `createGraph`. */
  retainGraph?: boolean;
  /**
   * Whether gradients have a history themselves, so that they can be differentiated: `x.grad` is then a computed tensor, until
   * the next backward adds to it. Default false; `gradients` and `grad` leave no trace in leaves.
   */
  createGraph?: boolean;
}

/** D itself; every dtype for `any`, of which a condition takes all branches. */
type Known<D extends Dtype> = D extends 'float32' ? 'float32' : D extends 'float64' ? 'float64' : 'int32';

// The ops are methods too; `ops/index.ts` puts them on the prototype, and this makes the compiler see them.
// biome-ignore lint/suspicious/noExplicitAny: see the class
export interface Tensor<out D extends Dtype = any> extends TensorMethods<D> {}

/**
 * Numbers in a shape. `Tensor<'float32'>` tells the compiler the dtype, which ops pass on, so that it refuses to mix two; a
 * plain `Tensor`, as layers take and return it, goes with all of them, and what is wrong there is found as it runs.
 */
// biome-ignore lint/suspicious/noExplicitAny: what no one has said goes with everything
// biome-ignore lint/suspicious/noUnsafeDeclarationMerging: the methods are installed from the list the type is made of
export class Tensor<out D extends Dtype = any> {
  static {
    nameClass(Tensor, 'Tensor');
  }

  /** Only what the constructor made has it. */
  readonly #genuine = true;
  /** An array of its own: what happens to it concerns no other tensor. */
  readonly shape: Shape;
  readonly dtype: Known<D>;
  /**
   * @internal The memory, which views share; `data` shows its elements. Another one for a while where a model is lent other
   * numbers: see `lib/serve/replica.ts`.
   */
  storage: Storage;
  readonly size: number;
  /** @internal What `requiresGrad` shows; ops set it without the checks. */
  wantsGradient = false;
  /** @internal The history; null for a leaf. */
  node: GraphNode | null = null;
  /** @internal The gradient summed so far: for a leaf across calls of backward, otherwise within one. */
  gradient: Float | null = null;
  /** @internal The same with a history, where backward was told to create one; in memory of its own. */
  derived: Tensor | null = null;
  /** @internal What is left to write of it, where it is made of parts. */
  gaps: Gaps | null = null;
  /** @internal A leaf's gradient memory, kept between steps. */
  gradientStorage: Storage<FloatDtype> | null = null;
  /** @internal The latest backward that wrote to a leaf's gradient, or run of a program that started it anew. */
  pass = 0;

  /** @internal Use `tensor()`, `zeros()` and the like. `data` is taken over, not copied. */
  constructor(data: Arrays[Dtype] | Storage, shape: Shape, dtype: Dtype) {
    this.shape = shape.slice();
    this.dtype = dtype as Known<D>;
    this.size = sizeOf(shape);
    this.storage = data instanceof Storage ? data : new Storage(dtype, this.size, data);
    recording?.add(this);
  }

  /** @internal See `isTensor`. */
  static made(x: object): x is Tensor {
    return #genuine in x;
  }

  /**
   * The elements, row-major. Writing to them is allowed where no history depends on them; autograd cannot see it.
   * @throws AutogradError in a function that is being compiled, unless it can be recorded anew for other values.
   */
  get data(): Arrays[Known<D>] {
    this.storage.expose();
    return this.values() as Arrays[Known<D>];
  }

  /** @internal The elements, to be read at once: `data`, which whoever asks for may keep, counts as known to a user. */
  values(): Arrays[Dtype] {
    recording?.readValues(this.storage, 'reading of values (data, item, toArray)');
    return this.storage.array ?? missing('data');
  }

  /** True for a leaf that wants a gradient, and for all that is computed from one. Setting it is `setRequiresGrad`. */
  get requiresGrad(): boolean {
    if (recording !== null && this.node === null) this.observeRequiresGrad('read');
    return this.wantsGradient;
  }

  set requiresGrad(value: boolean) {
    this.setRequiresGrad(value);
  }

  /** The number of axes; 0 for a scalar. */
  get rank(): number {
    return this.shape.length;
  }

  /**
   * dL/dthis after `backward`, for a leaf with `requiresGrad`; null before, and after `zeroGrad`. Its memory is the
   * leaf's own and is written again by the next backward: `clone()` what must last.
   */
  get grad(): Tensor<D> | null {
    if (this.node !== null) return null;
    this.observeGradient('read');
    if (this.gradient === null) return null;
    if (this.derived !== null) return this.derived;
    return new Tensor(this.gradientStorage!, this.shape, this.dtype);
  }

  /** Forgets the gradient, so that the next backward starts from zero. */
  zeroGrad(): void {
    checkTensor('zeroGrad', this);
    if (this.node !== null) return;
    this.observeGradient('set');
    this.gradient = null;
    this.derived = null;
  }

  /** @internal Before a leaf's gradient is looked at, written or forgotten: a program depends on whether there is one. */
  observeGradient(use: Use): void {
    recording?.observe(this, 'gradient', use, {
      get: () => this.gradient !== null,
      set: (present) => {
        this.gradient = present ? (this.gradientStorage!.array as Float) : null;
        this.derived = null;
      },
      leave: (present, pass, isNew) => {
        this.gradient = present ? (this.gradientStorage!.array as Float) : null;
        this.derived = null;
        if (isNew) this.pass = pass;
      },
      abandon: (pass) => {
        // A later run that does not depend on this one has its own.
        if (this.pass <= pass) this.gradient = null;
      },
    });
  }

  private observeRequiresGrad(use: Use): void {
    recording?.observe(this, 'requiresGrad', use, {
      get: () => this.wantsGradient,
      set: (wanted) => {
        this.wantsGradient = wanted;
      },
    });
  }

  /**
   * Adds dthis/dleaf, times `gradient`, to the `grad` of every leaf behind this tensor. The history is used up.
   *
   * When this throws, every `grad` is as it was. What of the history had run by then is used up all the same; what had not
   * can still serve another tensor that was computed from it.
   * @param gradient dL/dthis, of this shape and dtype; may be left out for a tensor of one element, where it is 1. Or options.
   * @throws AutogradError without a history, on a second pass through it, or when a parameter changed since; what a kernel
   *   throws, for a buffer that was detached in the meantime, say.
   */
  backward(gradient?: Tensor<D> | BackwardOptions<D>): void {
    const op = 'backward';
    checkTensor(op, this);
    if (gradient === undefined) return void runBackward(this, null);
    const { gradient: given, createGraph = false, retainGraph = createGraph } = readBackward(op, gradient);
    checkBoolean(op, 'createGraph', createGraph);
    checkBoolean(op, 'retainGraph', retainGraph);
    if (given !== undefined) checkGradient(op, given, this);
    const dy = given === undefined ? null : floats(given);
    if (!createGraph) return void runBackward(this, dy, retainGraph);
    runBackward(this, dy, retainGraph, given ?? onesLike(this));
  }

  /** The same data without the history. Shares memory. */
  detach(): Tensor<D> {
    checkTensor('detach', this);
    return new Tensor(this.storage, this.shape, this.dtype);
  }

  /** The value of a tensor with one element. @throws ShapeError for any other size. */
  item(): number {
    checkTensor('item', this);
    if (this.size !== 1) {
      throw new ShapeError(`[item] expected a tensor with one element, got shape ${show(this.shape)}`);
    }
    checkElements('item', this);
    return this.values()[0];
  }

  /**
   * Nested arrays of numbers; a number for a scalar. `toArray<number[][]>()` says how deep they are, which nobody checks.
   * @throws MemoryError where the heap of JavaScript has no room
   */
  toArray<Values extends Nested = Nested>(): Values {
    checkTensor('toArray', this);
    checkElements('toArray', this);
    const data = this.values();
    const { shape } = this;
    checkNested('toArray', shape);
    let at = 0;
    const rowOf = (count: number, axis: number): Nested[] => {
      const row = new Array<Nested>(count);
      if (axis === shape.length - 1) for (let i = 0; i < count; i++) row[i] = data[at++];
      else for (let i = 0; i < count; i++) row[i] = nest(axis + 1);
      return row;
    };
    const nest = (axis: number): Nested[] => {
      const count = shape[axis];
      if (count <= longestRow) return rowOf(count, axis);
      const parts: Nested[][] = [];
      for (let start = 0; start < count; start += longestRow) {
        parts.push(rowOf(Math.min(longestRow, count - start), axis));
      }
      return ([] as Nested[]).concat(...parts);
    };
    if (shape.length === 0) return data[0] as Values;
    return nest(0) as Nested as Values;
  }

  /** Marks a leaf as wanting a gradient (or no longer). @throws AutogradError for a computed tensor or an int32 one. */
  setRequiresGrad(requiresGrad = true): this {
    checkTensor('setRequiresGrad', this);
    checkBoolean('setRequiresGrad', 'requiresGrad', requiresGrad);
    if (this.node !== null) {
      throw new AutogradError('[setRequiresGrad] expected a leaf, got a computed tensor: detach() it first');
    }
    if (requiresGrad) checkFloat('setRequiresGrad', this);
    this.observeRequiresGrad('set');
    this.wantsGradient = requiresGrad;
    return this;
  }

  /** Its shape, dtype and elements, of many the first eight, for people to read. */
  toString(): string {
    checkTensor('toString', this);
    checkElements('toString', this);
    const isSmall = this.size <= 64 && nestedBytes(this.shape) < 2 ** 17;
    const few = isSmall ? textOf(this.toArray()) : [...this.values().subarray(0, 8), '…'].join(', ');
    return `Tensor ${this.dtype} ${show(this.shape)} ${few}`;
  }

  /**
   * What `JSON.stringify` shows: dtype, shape and the values, flat. JSON has no numbers for NaN and infinities, which are
   * strings: 'NaN', 'Infinity', '-Infinity'. Of others `tensor(values, { shape, dtype })` makes the tensor again.
   * @throws MemoryError where the heap of JavaScript has no room
   */
  toJSON(): { dtype: Dtype; shape: number[]; values: (number | string)[] } {
    checkTensor('toJSON', this);
    checkElements('toJSON', this);
    checkNested('toJSON', [this.size]);
    const { dtype, shape, size } = this;
    const data = this.values();
    const values = new Array<number | string>(size);
    for (let i = 0; i < size; i++) values[i] = Number.isFinite(data[i]) ? data[i] : String(data[i]);
    return { dtype, shape: [...shape], values };
  }

  [Symbol.for('nodejs.util.inspect.custom')](): string {
    return this.toString();
  }
}

/** A gradient alone, or options. */
function readBackward(op: string, given: Tensor | BackwardOptions): BackwardOptions {
  if (!isTensor(given) && isRecord(given)) {
    return readOptions(op, given as BackwardOptions, ['gradient', 'retainGraph', 'createGraph']);
  }
  checkTensor(op, given, 'gradient');
  return { gradient: given };
}

/** @throws ArgumentError or AutogradError unless it is a tensor of x's shape and dtype. */
export function checkGradient(op: string, gradient: unknown, x: Tensor): asserts gradient is Tensor {
  checkTensor(op, gradient, 'gradient');
  if (sameShape(gradient.shape, x.shape) && gradient.dtype === x.dtype) return;
  throw new AutogradError(
    `[${op}] expected a gradient of shape ${show(x.shape)} and dtype ${x.dtype}, ` +
      `got ${show(gradient.shape)} and ${gradient.dtype}`,
  );
}

/** @internal dx/dx of a float tensor. */
export function onesLike(x: Tensor): Tensor {
  const ones = empty(x.shape, x.dtype);
  kernels.fill(floats(ones), 1);
  return ones;
}

/** As JSON, which has no NaN and no Infinity. */
function textOf(values: Nested): string {
  return typeof values === 'number' ? String(values) : `[${values.map(textOf).join(',')}]`;
}

/**
 * A longer array than 2²⁵ of JavaScript grows as it is filled, slowly, and where it would grow beyond what an array can have,
 * the engine ends the process. Joined from parts it has its size at once.
 */
const longestRow = 2 ** 24;

/** Whether x is a tensor; a proxy of one is none, as it could answer otherwise each time it is asked. */
export function isTensor(x: unknown): x is Tensor {
  return typeof x === 'object' && x !== null && Tensor.made(x);
}

/** @throws DtypeError unless `dtype` is one of the three names. */
export function checkDtype(op: string, dtype: Dtype): void {
  if (dtype !== 'float32' && dtype !== 'float64' && dtype !== 'int32') {
    throw new DtypeError(`[${op}] expected dtype to be float32, float64 or int32, got ${describe(dtype)}`);
  }
}

/** @throws ArgumentError unless x is a Tensor. */
export function checkTensor(op: string, x: unknown, name = 'a tensor'): asserts x is Tensor {
  if (!isTensor(x)) {
    throw new ArgumentError(
      `[${op}] expected ${name === 'a tensor' ? name : `${name} to be a tensor`}, got ${describe(x)}`,
    );
  }
}

/** @throws DataError where the elements are gone. */
export function checkElements(op: string, { storage: { array }, size }: Tensor): void {
  if (array !== null && lengthOf(array) !== size) {
    throw new DataError(
      `[${op}] expected a tensor with its elements, got one whose buffer was detached (transferred)`,
    );
  }
}

/** The float dtype of x. @throws DtypeError for an int32 tensor. */
export function checkFloat(op: string, x: Tensor): FloatDtype {
  if (x.dtype === 'int32') {
    throw new DtypeError(`[${op}] expected float32 or float64, got int32: use cast('float32')`);
  }
  return x.dtype;
}

/** The dtype that both have. @throws DtypeError when they differ. */
export function checkSame(op: string, a: Tensor, b: Tensor): Dtype {
  if (a.dtype === b.dtype) return a.dtype;
  throw new DtypeError(`[${op}] expected one dtype, got ${a.dtype} and ${b.dtype}: use cast`);
}

/** The same where it has to be a float. @throws DtypeError when they differ or are int32. */
export function checkSameFloat(op: string, a: Tensor, b: Tensor): FloatDtype {
  checkSame(op, a, b);
  return checkFloat(op, a);
}

/** x's elements, for kernels. While a function is recorded, what stands for them. */
export function elements<D extends Dtype>({ storage }: Tensor): Arrays[D] {
  if (recording !== null) return recording.argument(storage) as Arrays[D];
  return (storage.array ?? missing('elements')) as Arrays[D];
}

function missing(what: string): never {
  throw new AutogradError(
    `[compile] expected ${what} of a tensor that has values, got one that a compiled function made: return it from there`,
  );
}

/** x, or a copy where it may be written to unseen, see `Storage`. */
export function still(x: Tensor): Tensor {
  const array = x.storage.still();
  return array === x.storage.array ? x : new Tensor(array, x.shape, x.dtype);
}

/** The same for a kernel that takes floats; the dtype was checked before. */
export function floats(x: Tensor): Float {
  return elements<FloatDtype>(x);
}

/** A new tensor that an op will fill. */
export function empty(shape: Shape, dtype: Dtype): Tensor {
  const length = sizeOf(shape);
  return new Tensor(
    recording === null ? allocateTensor(length, dtype) : new Storage(dtype, length, null),
    shape,
    dtype,
  );
}

/** Options of `tensor`. */
export interface TensorOptions<D extends Dtype = Dtype> {
  /** Wanted where values is flat or should be folded; otherwise the nesting gives it. */
  shape?: Shape;
  /** Default: float64 for a Float64Array or rows of such, int32 for an Int32Array, float32 for all else. */
  dtype?: D;
  requiresGrad?: boolean;
}

/**
 * A tensor from a number, nested arrays, whose rows may be typed arrays, or a typed array, copied. Numbers of other typed
 * arrays than Float64Array and Int32Array become float32, which holds integers up to 2²⁴; nested arrays have a dtype in
 * common, or it is given.
 * @throws DataError for ragged arrays, elements that are not numbers, fractions for int32 or a detached buffer;
 *   ShapeError when `shape` does not fit; DtypeError for an unknown dtype or a gradient on int32.
 */
export function tensor<D extends Dtype = 'float32'>(
  values: Rows<never>,
  options?: TensorOptions<D>,
): Tensor<NoInfer<D>>;
export function tensor(values: Rows<Float64Array>, options?: TensorOptions<never>): Tensor<'float64'>;
export function tensor(values: Rows<Int32Array>, options?: TensorOptions<never>): Tensor<'int32'>;
export function tensor<D extends Dtype = 'float32'>(
  values: Float32Values,
  options?: TensorOptions<D>,
): Tensor<NoInfer<D>>;
// biome-ignore lint/suspicious/noExplicitAny: nobody knows whether there is a Float64Array or an Int32Array in it
export function tensor<D extends Dtype = any>(values: Values, options?: TensorOptions<D>): Tensor<NoInfer<D>>;
export function tensor(values: Values, options: TensorOptions = {}): Tensor {
  const op = 'tensor';
  checkOptions(op, options, ['shape', 'dtype', 'requiresGrad']);
  const { shape, dtype: wanted, requiresGrad = false } = options;
  checkBoolean(op, 'requiresGrad', requiresGrad);
  const folded = shape === undefined ? undefined : readShape(op, shape);
  const { shape: natural, dtype: own } = natureOf(values);
  const dtype = wanted !== undefined ? wanted : own;
  checkDtype(op, dtype);
  checkShape(op, natural);
  const target = folded ?? natural;
  if (sizeOf(natural) !== sizeOf(target)) {
    throw new ShapeError(
      `[tensor] expected ${sizeOf(target)} elements for shape ${show(target)}, got ${sizeOf(natural)}`,
    );
  }
  const data = allocate(sizeOf(target), dtype);
  fill(data, values, natural, dtype, wanted !== undefined);
  const result = new Tensor(data, target, dtype);
  return requiresGrad ? result.setRequiresGrad() : result;
}

/** Tensors that stay: parameters, and the state that layers keep beside them. */

import type { Float } from '../binding.d.ts';
import { checkBoolean, checkOptions, describe, isRecord } from './arguments.ts';
import { blank } from './blank.ts';
import { DtypeError, MemoryError, ShapeError } from './errors.ts';
import { outdatePrograms } from './kernels/recorder.ts';
import { allocateShared, type FloatDtype, lengthOf, type Storage } from './memory.ts';
import { nameClass } from './names.ts';
import { isSharedArrayBuffer, sharesMemory } from './platform.ts';
import { readShape, type Shape, sameShape, show, sizeOf } from './shape.ts';
import { Tensor } from './tensor.ts';

/**
 * A tensor on a SharedArrayBuffer, which programs may update in place and worker threads may share. As a field of a Layer
 * it is state that no gradient changes, as the running mean of BatchNorm: part of `stateDict`, `share` and `attach`, but no
 * parameter.
 */
export class SharedTensor<D extends FloatDtype = 'float32'> extends Tensor<D> {
  static {
    nameClass(SharedTensor, 'SharedTensor');
  }

  /** Zeros. @throws ShapeError for a bad shape, DtypeError unless dtype is float32 (default) or float64. */
  constructor(shape: Shape, dtype?: D);
  constructor(shape: Shape, dtype: FloatDtype = 'float32') {
    const op = new.target.name;
    const own = readShape(op, shape);
    if (dtype !== 'float32' && dtype !== 'float64') {
      throw new DtypeError(`[${op}] expected dtype to be float32 or float64, got ${describe(dtype)}`);
    }
    blank?.reserve(sizeOf(own) * (dtype === 'float32' ? 4 : 8));
    super(allocateShared(sizeOf(own), dtype), own, dtype);
    this.storage.isShared = true;
    blank?.tensors.add(this);
  }

  /** Where the values are, for `attach` in another thread. @throws MemoryError where the host has no shared memory. */
  share(): SharedParameter {
    if (!sharesMemory) {
      throw new MemoryError(
        '[share] expected SharedArrayBuffer, got a host without it: a page has to be cross-origin isolated',
      );
    }
    const { storage, shape, dtype } = this;
    owners.set(storage.array!.buffer, storage.owner);
    // Another thread will write to it unseen.
    storage.expose();
    return {
      buffer: storage.array!.buffer as SharedArrayBuffer,
      shape: [...shape],
      dtype: dtype as FloatDtype,
    };
  }

  /**
   * Takes values from, and writes updates to, the memory of another one of the same shape and dtype.
   * @throws ShapeError for anything else; nothing was then changed.
   */
  attach(shared: SharedParameter): void {
    this.useMemory(this.readMemory('memory', shared));
  }

  /** @internal The elements in memory that another thread shares, read once. @throws ShapeError unless they are as many. */
  readMemory(name: string, shared: SharedParameter): Float {
    const { shape, dtype, size } = this;
    const bytes = size * (dtype === 'float32' ? 4 : 8);
    const refuse = (got: string) =>
      new ShapeError(
        `[attach] expected ${name} to be ${dtype} ${show(shape)} on a SharedArrayBuffer of ${bytes} bytes, got ${got}`,
      );
    if (!isRecord(shared)) throw refuse(describe(shared));
    const { buffer, shape: givenShape, dtype: givenDtype } = shared;
    const own = readShape('attach', givenShape);
    if (givenDtype !== dtype || !sameShape(own, shape)) throw refuse(`${describe(givenDtype)} ${show(own)}`);
    if (!isSharedArrayBuffer(buffer)) throw refuse(describe(buffer));
    const length = lengthOf(new Uint8Array(buffer));
    if (length !== bytes) throw refuse(`one of ${length}`);
    // Of a fixed length, as the buffer might grow.
    return dtype === 'float32' ? new Float32Array(buffer, 0, size) : new Float64Array(buffer, 0, size);
  }

  /** @internal Uses what `readMemory` returned. */
  useMemory(memory: Float): void {
    this.storage.array = memory;
    this.storage.isExposed = true;
    // Another tensor of this thread may have it as well.
    const owner = owners.get(memory.buffer) ?? this.storage;
    // More than either was, so that no sum of versions is what it was before.
    owner.version = Math.max(owner.version, this.storage.owner.version) + 1;
    this.storage.owner = owner;
    outdatePrograms();
  }
}

/** Of whichever dtype. */
// biome-ignore lint/suspicious/noExplicitAny: as in a plain Tensor
export type AnySharedTensor = SharedTensor<any>;
/** A parameter of whichever dtype. */
// biome-ignore lint/suspicious/noExplicitAny: likewise
export type AnyParameter = Parameter<any>;

/** Whose memory has been given away. */
const owners = new WeakMap<object, Storage>();

/** Options of `Parameter`. */
export interface ParameterOptions {
  /** Default: whether the rank is at least 2, as that of weights is and that of biases is not. */
  decays?: boolean;
}

/** A leaf that an optimizer updates. Its data lives on a SharedArrayBuffer; write with `weight.data.set(…)` or `assign`. */
export class Parameter<D extends FloatDtype = 'float32'> extends SharedTensor<D> {
  static {
    nameClass(Parameter, 'Parameter');
  }

  /** Whether L2 regularization applies. */
  readonly decays: boolean;

  /** Zeros. @throws ShapeError for a bad shape, DtypeError unless dtype is float32 (default) or float64. */
  constructor(shape: Shape, dtype?: D, options: ParameterOptions = {}) {
    super(shape, dtype);
    checkOptions('Parameter', options, ['decays']);
    const { decays = this.rank >= 2 } = options;
    checkBoolean('Parameter', 'decays', decays);
    this.requiresGrad = true;
    this.decays = decays;
  }
}

/** The memory of a Parameter or a SharedTensor, as `postMessage` carries it to another thread. */
export interface SharedParameter {
  readonly buffer: SharedArrayBuffer;
  readonly shape: Shape;
  readonly dtype: FloatDtype;
}

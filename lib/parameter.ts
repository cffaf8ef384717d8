/** Tensors that stay: parameters, and the state that layers keep beside them. */
import { checkBoolean, checkOptions, describe } from './arguments.ts';
import { DtypeError } from './errors.ts';
import { outdatePrograms } from './kernels/recorder.ts';
import { allocateShared, type FloatDtype } from './memory.ts';
import { checkShape, type Shape, sizeOf } from './shape.ts';
import { Tensor } from './tensor.ts';

/**
 * A tensor on a SharedArrayBuffer, which programs may update in place and worker threads may share. As a field of a Layer
 * it is state that no gradient changes, as the running mean of BatchNorm: part of `stateDict`, `share` and `attach`, but no
 * parameter.
 */
export class SharedTensor extends Tensor {
  /** Zeros. @throws ShapeError for a bad shape, DtypeError unless dtype is float32 (default) or float64. */
  constructor(shape: Shape, dtype: FloatDtype = 'float32') {
    const op = new.target.name;
    checkShape(op, shape);
    if (dtype !== 'float32' && dtype !== 'float64') {
      throw new DtypeError(`[${op}] expected dtype to be float32 or float64, got ${describe(dtype)}`);
    }
    super(allocateShared(sizeOf(shape), dtype), [...shape], dtype);
  }

  /** Where the values are, for `attach` in another thread. */
  share(): SharedParameter {
    const { storage, shape, dtype } = this;
    return { buffer: storage.buffer as SharedArrayBuffer, shape, dtype: dtype as FloatDtype };
  }

  /** Takes values from, and writes updates to, the memory of another one of the same shape and dtype. */
  attach({ buffer }: SharedParameter): void {
    this.storage = this.dtype === 'float32' ? new Float32Array(buffer) : new Float64Array(buffer);
    this.version++;
    outdatePrograms();
  }
}

export interface ParameterOptions {
  /** Default: whether the rank is at least 2, as that of weights is and that of biases is not. */
  decays?: boolean;
}

/** A leaf that an optimizer updates. Its data lives on a SharedArrayBuffer; write with `weight.data.set(…)` or `assign`. */
export class Parameter extends SharedTensor {
  /** Whether L2 regularization applies. */
  readonly decays: boolean;

  /** Zeros. @throws ShapeError for a bad shape, DtypeError unless dtype is float32 (default) or float64. */
  constructor(shape: Shape, dtype: FloatDtype = 'float32', options: ParameterOptions = {}) {
    super(shape, dtype);
    checkOptions('Parameter', options, ['decays']);
    const { decays = shape.length >= 2 } = options;
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

import { nameClass } from './names.ts';
import type { History } from './train/history.ts';

/** ErrorOptions, for compilers that know ECMAScript 2020. */
interface Cause {
  cause?: unknown;
}

/**
 * Every error that axpy raises is an AxpyError with a stable `code`, and a message that says what was expected, what was
 * given and for which argument. Nothing was changed when one is thrown, unless its text says so.
 */
export class AxpyError extends Error {
  /** Stable across releases; what programs should compare. */
  readonly code: string;
  /** Not a property, which `console.log` would show with all its records. */
  #history: History | undefined;

  constructor(code: string, message: string, options?: Cause) {
    super(message, options);
    this.code = code;
    this.name = new.target.name;
  }

  /** The records of the training that this ended; undefined for what ended none. */
  get history(): History | undefined {
    return this.#history;
  }

  /** @internal Says which training an error ended, if it is one of these. */
  static ended(error: unknown, history: History): void {
    if (typeof error === 'object' && error !== null && #history in error) error.#history = history;
  }
}

/** Runs `fn`, whose errors then name the op that a user called, not the one that this is made of. */
export function inNameOf<Result>(op: string, inner: string, fn: () => Result): Result {
  try {
    return fn();
  } catch (error) {
    if (error instanceof AxpyError && error.message.startsWith(`[${inner}]`)) {
      const { message, stack } = error;
      error.message = `[${op}]${message.slice(inner.length + 2)}`;
      // Which begins with the message.
      if (stack !== undefined) error.stack = stack.replace(message, () => error.message);
    }
    throw error;
  }
}

/** `AXPY_SHAPE`: shapes that do not fit each other, the data or the layer. */
export class ShapeError extends AxpyError {
  constructor(message: string) {
    super('AXPY_SHAPE', message);
  }
}

/** `AXPY_DTYPE`: a dtype that the operation does not take, or a mixture of two. */
export class DtypeError extends AxpyError {
  constructor(message: string) {
    super('AXPY_DTYPE', message);
  }
}

/** `AXPY_ARGUMENT`: an option, a name or a number out of its domain. */
export class ArgumentError extends AxpyError {
  constructor(message: string) {
    super('AXPY_ARGUMENT', message);
  }
}

/** `AXPY_INDEX`: an index or a label out of its range. */
export class IndexError extends AxpyError {
  constructor(message: string) {
    super('AXPY_INDEX', message);
  }
}

/** `AXPY_DATA`: data that cannot be used: empty, ragged, or with NaN or Infinity in it. */
export class DataError extends AxpyError {
  constructor(message: string) {
    super('AXPY_DATA', message);
  }
}

/** `AXPY_AUTOGRAD`: a backward pass that would give wrong gradients or none. */
export class AutogradError extends AxpyError {
  constructor(message: string) {
    super('AXPY_AUTOGRAD', message);
  }
}

/** `AXPY_NON_FINITE`: training produced NaN or Infinity; the message names layer, epoch and batch. */
export class NonFiniteError extends AxpyError {
  constructor(message: string) {
    super('AXPY_NON_FINITE', message);
  }
}

/** `AXPY_ABORT`: the operation was ended by its signal, whose reason is the `cause`. */
export class AbortError extends AxpyError {
  constructor(op: string, reason: unknown) {
    super('AXPY_ABORT', `[${op}] was ended by its signal: see cause`, { cause: reason });
  }
}

/** `AXPY_QUEUE_FULL`: more requests at a time than a Predictor takes. */
export class QueueFullError extends AxpyError {
  constructor(message: string) {
    super('AXPY_QUEUE_FULL', message);
  }
}

/** `AXPY_TIMEOUT`: no answer within the time that there was for it. */
export class TimeoutError extends AxpyError {
  constructor(message: string) {
    super('AXPY_TIMEOUT', message);
  }
}

/** `AXPY_CLOSED`: something was asked of what is closed. */
export class ClosedError extends AxpyError {
  constructor(message: string) {
    super('AXPY_CLOSED', message);
  }
}

/** `AXPY_MEMORY`: memory for a tensor that the system did not give. */
export class MemoryError extends AxpyError {
  constructor(message: string, options?: Cause) {
    super('AXPY_MEMORY', message, options);
  }
}

/** `AXPY_FORMAT`: a file, or bytes, that is not what its format says; the message tells what and where. */
export class FormatError extends AxpyError {
  constructor(message: string, options?: Cause) {
    super('AXPY_FORMAT', message, options);
  }
}

/** `AXPY_FILE`: a file that the system does not let be read or written; its error is the `cause`. */
export class FileError extends AxpyError {
  constructor(message: string, options?: Cause) {
    super('AXPY_FILE', message, options);
  }
}

/** `AXPY_BACKEND`: the backend that was asked for cannot be used. */
export class BackendError extends AxpyError {
  /** True when there is no binary for this platform or it cannot be loaded: what the fallback exists for. */
  readonly unavailable: boolean;

  constructor(message: string, options: Cause & { unavailable?: boolean } = {}) {
    super('AXPY_BACKEND', message, options);
    this.unavailable = options.unavailable ?? false;
  }
}

/** `AXPY_KERNEL`: a kernel was called against its contract (`binding.d.ts`). */
export class KernelError extends AxpyError {
  constructor(message: string) {
    super('AXPY_KERNEL', message);
  }
}

/** `AXPY_DISTRIBUTED`: processes that train together and do not: one ended, did not come, or does something else; or no MPI. */
export class DistributedError extends AxpyError {
  constructor(message: string) {
    super('AXPY_DISTRIBUTED', message);
  }
}

const classes = {
  AxpyError,
  ShapeError,
  DtypeError,
  ArgumentError,
  IndexError,
  DataError,
  DistributedError,
  AutogradError,
  NonFiniteError,
  AbortError,
  QueueFullError,
  TimeoutError,
  ClosedError,
  MemoryError,
  FormatError,
  FileError,
  BackendError,
  KernelError,
};
for (const [name, kind] of Object.entries(classes)) nameClass(kind, name);

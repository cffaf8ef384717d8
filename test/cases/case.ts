/**
 * What a declaration of an op holds. One file here per op or family of ops, and everything that is checked about the op
 * follows from it:
 *
 *   contract.native.test.ts  its kernel calls, forward and backward, on both implementations
 *   gradient.test.ts         backward against central differences
 *   gradgrad.test.ts         the gradient of the gradient likewise, and gradients with a history against those without
 *   reference.test.ts        values and gradients against PyTorch's (`npm run reference` evaluates `torch`)
 *   errors.test.ts           its bad calls
 *   bench:kernels            its bench sizes
 *
 * To add an op, copy the file of a similar one, and add a line to index.ts.
 */
import type { FloatDtype } from '../../lib/memory.ts';
import type { Shape } from '../../lib/shape.ts';
import type { Tensor } from '../../lib/tensor.ts';

/** How the elements of an input come about. make_reference.py has the same recipes, bit for bit. */
export interface Input {
  readonly shape: Shape;
  readonly recipe: 'uniform' | 'distinct' | 'integers' | 'given';
  /** Bounds of uniform and integers, the latter inclusive. */
  readonly low?: number;
  readonly high?: number;
  /** Kinks from which uniform values are moved away by at least 1/8, so that a difference quotient does not straddle one. */
  readonly avoid?: readonly number[];
  readonly values?: readonly number[];
  /** Default: the float dtype that the case runs in. */
  readonly dtype?: 'int32';
  /** True for an input that asks for no gradient. Default: true for int32, else false. */
  readonly constant?: boolean;
}

export interface Case {
  /** Unique within the declaration. The seed of its inputs is made of it. */
  readonly name: string;
  readonly inputs: readonly Input[];
  run(...inputs: Tensor[]): Tensor;
  /**
   * The same in PyTorch, as a Python expression of a, b, c, … (the inputs in order), torch and F. Left out only where
   * PyTorch has no such function.
   */
  readonly torch?: string;
  /**
   * smooth (default): backward is checked against central differences. kinked: backward is run, and compared with
   * PyTorch's, but the inputs lie on a kink or are not finite. none: the result has no gradient.
   */
  readonly gradient?: 'smooth' | 'kinked' | 'none';
  /** dL/dy, one number for each element of the result. Default: random numbers. */
  readonly cotangent?: readonly number[];
  /** The relative deviation from the reference that rounding explains, by dtype; see `defaultTolerance`. */
  readonly tolerance?: Partial<Record<FloatDtype, number>>;
}

/** For kernels that no op of tensors reaches: `run` calls `kernels.*` itself. */
export interface DirectCase {
  readonly name: string;
  run(dtype: FloatDtype): void;
}

export interface BadCall {
  readonly name: string;
  call(): unknown;
  /** The code of the error; its class follows from it. */
  readonly code: string;
  /** A part of the message, without its `[op]`. */
  readonly message: RegExp;
}

/** A realistic size, float32. Also replayed with several numbers of threads. */
export interface BenchCase {
  readonly name: string;
  readonly inputs: readonly Input[];
  run(...inputs: Tensor[]): Tensor;
  /** False for a forward pass alone. Default true. */
  readonly backward?: boolean;
  /** True where the fallback would take minutes: several numbers of threads are compared, the fallback is not. */
  readonly large?: boolean;
}

export interface Declaration {
  readonly op: string;
  readonly cases: readonly Case[];
  readonly direct?: readonly DirectCase[];
  readonly bad: readonly BadCall[];
  readonly bench: readonly BenchCase[];
}

/** Rounding of a handful of operations; an op that loses more says so in its cases. */
export const defaultTolerance: Readonly<Record<FloatDtype, number>> = { float32: 2e-6, float64: 1e-13 };

export function defineCases(declaration: Declaration): Declaration {
  const { op, cases, direct = [], bad, bench } = declaration;
  for (const list of [[...cases, ...direct], bad, bench]) {
    const names = list.map(({ name }) => name);
    const repeated = names.find((name, i) => names.indexOf(name) !== i);
    if (repeated !== undefined) throw new Error(`${op}: two cases are named "${repeated}"`);
  }
  return declaration;
}

/** Uniform on [low, high], rounded down to multiples of 1/1024, which float32 holds exactly. */
export function uniform(shape: Shape, low = -2, high = 2, avoid: readonly number[] = []): Input {
  return { shape, recipe: 'uniform', low, high, avoid };
}

/** Multiples of 1/8 around 0, each once, in a random order: no ties. */
export function distinct(shape: Shape): Input {
  return { shape, recipe: 'distinct' };
}

/** Integers from low to high as floats: ties are likely. */
export function integers(shape: Shape, low: number, high: number): Input {
  return { shape, recipe: 'integers', low, high };
}

/** int32 from 0 to high. */
export function indices(shape: Shape, high: number): Input {
  return { shape, recipe: 'integers', low: 0, high, dtype: 'int32', constant: true };
}

/** These numbers. */
export function given(shape: Shape, values: readonly number[], dtype?: 'int32'): Input {
  return { shape, recipe: 'given', values, ...(dtype ? { dtype, constant: true } : {}) };
}

/** The input without a gradient. */
export function constant(input: Input): Input {
  return { ...input, constant: true };
}

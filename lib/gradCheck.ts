/** Comparison of backward with central differences. */

import { checkFunction, checkOptions, describe, readList } from './arguments.ts';
import { noGrad } from './autograd.ts';
import { ArgumentError, DtypeError, ShapeError } from './errors.ts';
import { gradients } from './gradients.ts';
import { kernels } from './kernels/index.ts';
import { refuseRecording } from './kernels/recorder.ts';
import { copyOf, lengthOf } from './memory.ts';
import { concat } from './ops/concat.ts';
import { randomState } from './random.ts';
import { type Shape, sameShape, show } from './shape.ts';
import { checkElements, checkTensor, empty, floats, type Tensor } from './tensor.ts';

/** Options of `gradCheck`. */
export interface GradCheckOptions {
  /** The step of the differences; default 1e-6, near the cube root of float64's precision. */
  epsilon?: number;
  /** The largest error allowed; default 1e-6. */
  tolerance?: number;
  /**
   * 1 (default): backward against differences of `fn`. 2: the gradient of the gradient, as PyTorch's `gradgradcheck`: backward
   * through what `gradients` makes of `fn` with `createGraph`, against differences of the gradient without it.
   */
  order?: 1 | 2;
}

/** How far gradients are from differences, at most. */
export interface GradCheckResult {
  /** Whether maxError ≤ tolerance; false as well when an error is NaN. */
  ok: boolean;
  /** The largest |analytic − numeric| / max(1, |analytic|, |numeric|). */
  maxError: number;
  /** Where it was: which input, which element, and both values; null when there is no element. */
  worst: { input: number; index: number; analytic: number; numeric: number } | null;
}

/**
 * Checks the gradient of `fn` with respect to each input: backward against central differences of ⟨c, fn(inputs)⟩ for
 * one random cotangent c. (A cotangent of ones cannot see, for example, a wrong gradient of softmax.)
 * @param fn computes one tensor; differentiable at the inputs, and the same at each call. It may use the inputs through
 *   its arguments or directly, as a layer uses its parameters.
 * @param inputs float64 leaves; they are changed while this runs, and as they were afterwards, also when fn throws.
 * @throws DtypeError unless inputs and result are float64, AutogradError for an input that is computed, ArgumentError for
 *   none.
 */
export function gradCheck(
  fn: (...inputs: Tensor[]) => Tensor,
  inputs: readonly Tensor[],
  options: GradCheckOptions = {},
): GradCheckResult {
  checkFunction('gradCheck', 'fn', fn);
  refuseRecording('gradCheck');
  const leaves = readList('gradCheck', 'inputs', inputs);
  if (leaves.length === 0) throw new ArgumentError('[gradCheck] expected at least one input, got none');
  checkOptions('gradCheck', options, ['epsilon', 'tolerance', 'order']);
  const { epsilon = 1e-6, tolerance = 1e-6, order = 1 } = options;
  if (order !== 1 && order !== 2) {
    throw new ArgumentError(`[gradCheck] expected order to be 1 or 2, got ${describe(order)}`);
  }
  for (const [name, value] of Object.entries({ epsilon, tolerance })) {
    if (!(Number.isFinite(value) && value > 0)) {
      throw new ArgumentError(
        `[gradCheck] expected ${name} to be a number greater than 0, got ${describe(value)}`,
      );
    }
  }
  for (const input of leaves) {
    checkTensor('gradCheck', input, 'each input');
    if (input.dtype !== 'float64')
      throw new DtypeError(`[gradCheck] expected float64 inputs, got ${input.dtype}`);
    checkElements('gradCheck', input);
  }
  const restore = leaves.map(snapshot);
  try {
    for (const input of leaves) input.setRequiresGrad().zeroGrad();
    const value = () => checkResult(fn(...leaves));
    if (order === 1) {
      return check(leaves, value, () => noGrad(value), epsilon, tolerance);
    }
    const cotangent = normal(noGrad(value).shape, 2).setRequiresGrad();
    const gradient = (createGraph: boolean) => () => {
      const output = value();
      const shares = output.requiresGrad
        ? gradients(output, leaves, { gradOutputs: cotangent, createGraph, allowUnused: true })
        : [];
      return concat([normal([0], 1), ...shares.flatMap((share) => share?.reshape([-1]) ?? [])]);
    };
    return check([...leaves, cotangent], gradient(true), gradient(false), epsilon, tolerance);
  } finally {
    for (const put of restore) put();
  }
}

/** Independent N(0, 1) values. */
function normal(shape: Shape, seed: number): Tensor {
  const x = empty(shape, 'float64');
  kernels.randomNormal(floats(x), randomState(seed), 0, 1);
  return x;
}

/** Backward through `value` against differences of `plain`, which is the same, by one random cotangent. */
function check(
  leaves: readonly Tensor[],
  value: () => Tensor,
  plain: () => Tensor,
  epsilon: number,
  tolerance: number,
): GradCheckResult {
  const output = value();
  const cotangent = normal(output.shape, 1);
  if (output.requiresGrad) output.backward(cotangent);
  const project = () => {
    const result = plain();
    if (!sameShape(result.shape, output.shape)) {
      throw new ShapeError(
        `[gradCheck] expected the result of fn to keep its shape ${show(output.shape)}, got ${show(result.shape)}`,
      );
    }
    return dot(cotangent.storage.array!, result.data);
  };
  return compare(leaves, project, epsilon, tolerance);
}

/** What fn returned. @throws ArgumentError, DtypeError unless it is a float64 tensor */
function checkResult(result: Tensor): Tensor {
  checkTensor('gradCheck', result, 'the result of fn');
  if (result.dtype === 'float64') return result;
  throw new DtypeError(`[gradCheck] expected a float64 result, got ${result.dtype}`);
}

/** What a leaf holds now; the function that is returned puts it back, into the same memory. */
function snapshot(leaf: Tensor): () => void {
  const { requiresGrad, gradient, gradientStorage, storage } = leaf;
  // Both are written to without a word.
  storage.expose();
  gradientStorage?.expose();
  const array = storage.array!;
  const values = copyOf(array);
  const sum = gradient && copyOf(gradient);
  return () => {
    // What fn has detached is gone.
    if (lengthOf(array) === values.length) array.set(values);
    if (sum && lengthOf(gradient!) === sum.length) gradient!.set(sum);
    leaf.wantsGradient = requiresGrad;
    leaf.gradient = gradient;
  };
}

function dot(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i] * b[i];
  return sum;
}

/** Moves each element by ±epsilon and holds the difference of `project` against the gradient; stops at a NaN. */
function compare(
  inputs: readonly Tensor[],
  project: () => number,
  epsilon: number,
  tolerance: number,
): GradCheckResult {
  let maxError = 0;
  let worst: GradCheckResult['worst'] = null;
  for (const [input, leaf] of inputs.entries()) {
    const data = leaf.storage.array!;
    for (let index = 0; index < leaf.size; index++) {
      const value = data[index];
      data[index] = value + epsilon;
      const above = project();
      data[index] = value - epsilon;
      const below = project();
      data[index] = value;
      const numeric = (above - below) / (2 * epsilon);
      const analytic = leaf.gradient?.[index] ?? 0;
      const error = Math.abs(analytic - numeric) / Math.max(1, Math.abs(analytic), Math.abs(numeric));
      if (worst === null || !(error <= maxError)) {
        maxError = error;
        worst = { input, index, analytic, numeric };
      }
      if (Number.isNaN(error)) return { ok: false, maxError, worst };
    }
  }
  return { ok: maxError <= tolerance, maxError, worst };
}

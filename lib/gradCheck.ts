/** Comparison of backward with central differences. */

import { checkFunction, checkOptions, describe } from './arguments.ts';
import { noGrad } from './autograd.ts';
import { ArgumentError, DtypeError } from './errors.ts';
import { kernels } from './kernels/index.ts';
import { randomState } from './random.ts';
import { checkTensor, empty, floats, type Tensor } from './tensor.ts';

export interface GradCheckOptions {
  /** The step of the differences; default 1e-6, near the cube root of float64's precision. */
  epsilon?: number;
  /** The largest error allowed; default 1e-6. */
  tolerance?: number;
}

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
 * @param inputs float64 leaves; they are changed while this runs, and as they were afterwards.
 * @throws DtypeError unless inputs and result are float64, AutogradError for an input that is computed.
 */
export function gradCheck(
  fn: (...inputs: Tensor[]) => Tensor,
  inputs: readonly Tensor[],
  options: GradCheckOptions = {},
): GradCheckResult {
  checkFunction('gradCheck', 'fn', fn);
  if (!Array.isArray(inputs)) {
    throw new ArgumentError(`[gradCheck] expected inputs to be an array of tensors, got ${describe(inputs)}`);
  }
  checkOptions('gradCheck', options, ['epsilon', 'tolerance']);
  const { epsilon = 1e-6, tolerance = 1e-6 } = options;
  for (const [name, value] of Object.entries({ epsilon, tolerance })) {
    if (!(Number.isFinite(value) && value > 0)) {
      throw new ArgumentError(
        `[gradCheck] expected ${name} to be a number greater than 0, got ${describe(value)}`,
      );
    }
  }
  for (const input of inputs) {
    checkTensor('gradCheck', input, 'each input');
    if (input.dtype !== 'float64')
      throw new DtypeError(`[gradCheck] expected float64 inputs, got ${input.dtype}`);
  }
  const before = inputs.map(({ requiresGrad, gradient }) => ({
    requiresGrad,
    gradient: gradient?.slice() ?? null,
  }));
  try {
    for (const input of inputs) input.setRequiresGrad().zeroGrad();
    const output = fn(...inputs);
    checkTensor('gradCheck', output, 'the result of fn');
    if (output.dtype !== 'float64') {
      throw new DtypeError(`[gradCheck] expected a float64 result, got ${output.dtype}`);
    }
    const cotangent = empty(output.shape, 'float64');
    kernels.randomNormal(floats(cotangent), randomState(1), 0, 1);
    if (output.requiresGrad) output.backward(cotangent);
    const project = () => dot(cotangent.storage, noGrad(() => fn(...inputs)).data);
    return compare(inputs, project, epsilon, tolerance);
  } finally {
    inputs.forEach((input, i) => {
      input.wantsGradient = before[i].requiresGrad;
      input.gradient = before[i].gradient;
    });
  }
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
    for (let index = 0; index < leaf.size; index++) {
      const value = leaf.storage[index];
      leaf.storage[index] = value + epsilon;
      const above = project();
      leaf.storage[index] = value - epsilon;
      const below = project();
      leaf.storage[index] = value;
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

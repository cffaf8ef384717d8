import type { Float } from '../../../binding.d.ts';
import { checkFloat64, checkIndices, checkInt32, checkLength, refuse } from './check.ts';
import { checkFloats, checkFloatsLike, elements } from './check-list.ts';

/** The types of what both kernels are given. */
function checkTypes(
  kernel: string,
  outs: readonly Float[],
  gradients: readonly Float[],
  scalars: Float64Array,
  rows: Int32Array,
  hyper: Float64Array,
): void {
  checkFloats(kernel, 'outs', outs);
  checkFloatsLike(kernel, 'gradients', gradients, 'outs', outs);
  checkFloat64(kernel, 'scalars', scalars);
  checkInt32(kernel, 'rows', rows);
  checkFloat64(kernel, 'hyper', hyper);
}

/** Lengths, with `each` arrays of outs and `width` scalars for each parameter, and then the rows. */
function checkSizes(
  kernel: string,
  outs: readonly Float[],
  gradients: readonly Float[],
  scalars: Float64Array,
  rows: Int32Array,
  hyper: Float64Array,
  each: number,
  width: number,
): void {
  for (let i = 0; i < outs.length; i++) {
    const { length } = gradients[Math.floor(i / each)];
    if (outs[i].length !== length) checkLength(kernel, `outs[${i}]`, outs[i], length);
  }
  checkLength(kernel, 'hyper', hyper, 5);
  checkLength(kernel, 'rows', rows, gradients.length);
  if (scalars.length % width !== 0) {
    refuse(kernel, 'scalars', `have a length that is a multiple of ${width}`, String(scalars.length));
  }
  checkIndices(kernel, 'rows', rows, scalars.length / width);
}

export function sgd(
  outs: readonly Float[],
  gradients: readonly Float[],
  scalars: Float64Array,
  rows: Int32Array,
  hyper: Float64Array,
): void {
  const os = elements(outs);
  const gs = elements(gradients);
  checkTypes('sgd', os, gs, scalars, rows, hyper);
  const n = gs.length;
  const each = n > 0 && os.length === 2 * n ? 2 : 1;
  if (os.length !== each * n) refuse('sgd', 'outs', `have length ${n} or ${2 * n}`, String(os.length));
  checkSizes('sgd', os, gs, scalars, rows, hyper, each, 1);

  for (let i = 0; i < n; i++) {
    const lambda = scalars[rows[i]] * hyper[4] === 0 ? 0 : hyper[4];
    if (each === 1) descend(os[i], gs[i], hyper, lambda);
    else descendWithMomentum(os[2 * i], os[2 * i + 1], gs[i], hyper, lambda);
  }
}

/** Here and below, λ is 0 for what does not decay, whatever the parameter is. */
function descend(parameter: Float, gradient: Float, hyper: Float64Array, lambda: number): void {
  const learningRate = hyper[0];
  const decays = lambda !== 0;
  for (let i = 0; i < parameter.length; i++) {
    const g = decays ? gradient[i] + lambda * parameter[i] : gradient[i];
    parameter[i] -= learningRate * g;
  }
}

function descendWithMomentum(
  parameter: Float,
  velocity: Float,
  gradient: Float,
  hyper: Float64Array,
  lambda: number,
): void {
  const learningRate = hyper[0];
  const momentum = hyper[1];
  const fresh = 1 - hyper[2];
  const nesterov = hyper[3];
  const decays = lambda !== 0;
  for (let i = 0; i < parameter.length; i++) {
    const g = decays ? gradient[i] + lambda * parameter[i] : gradient[i];
    velocity[i] = momentum * velocity[i] + fresh * g;
    // What is kept counts as it is kept: rounded to float32, perhaps infinite.
    const v = velocity[i];
    parameter[i] -= learningRate * (nesterov === 0 ? v : g + momentum * v);
  }
}

export function adam(
  outs: readonly Float[],
  gradients: readonly Float[],
  scalars: Float64Array,
  rows: Int32Array,
  hyper: Float64Array,
): void {
  const os = elements(outs);
  const gs = elements(gradients);
  checkTypes('adam', os, gs, scalars, rows, hyper);
  checkLength('adam', 'outs', os, 3 * gs.length);
  checkSizes('adam', os, gs, scalars, rows, hyper, 3, 2);

  for (let i = 0; i < gs.length; i++) {
    const at = 2 * rows[i];
    scalars[at + 1]++;
    const lambda = scalars[at] * hyper[4] === 0 ? 0 : hyper[4];
    adamStep(os[3 * i], os[3 * i + 1], os[3 * i + 2], gs[i], hyper, lambda, scalars[at + 1]);
  }
}

function adamStep(
  parameter: Float,
  mean: Float,
  square: Float,
  gradient: Float,
  hyper: Float64Array,
  lambda: number,
  step: number,
): void {
  const beta1 = hyper[1];
  const beta2 = hyper[2];
  const epsilon = hyper[3];
  const decays = lambda !== 0;
  // learningRate · m̂ / (√v̂ + ε) with the corrections of m and v taken out of the loop.
  const stepSize = hyper[0] / (1 - beta1 ** step);
  const rootCorrection = 1 / Math.sqrt(1 - beta2 ** step);
  for (let i = 0; i < parameter.length; i++) {
    const p = parameter[i];
    const g = decays ? gradient[i] + lambda * p : gradient[i];
    mean[i] = beta1 * mean[i] + (1 - beta1) * g;
    square[i] = beta2 * square[i] + (1 - beta2) * g * g;
    // What is kept counts as it is kept: rounded to float32, perhaps infinite or 0.
    parameter[i] = p - stepSize * (mean[i] / (Math.sqrt(square[i]) * rootCorrection + epsilon));
  }
}

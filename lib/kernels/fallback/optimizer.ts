import type { Float } from '../../../binding.d.ts';
import { checkFloat64, checkInt32, checkLength } from './check.ts';
import {
  checkFlags,
  checkFloats,
  checkFloatsLike,
  checkFloatsLikeOrNull,
  checkLengths,
  elements,
} from './check-list.ts';

export function sgd(
  parameters: readonly Float[],
  velocities: readonly Float[] | null,
  gradients: readonly Float[],
  hyper: Float64Array,
  decays: Int32Array,
): void {
  const ps = elements(parameters);
  const vs = elements(velocities);
  const gs = elements(gradients);
  checkFloats('sgd', 'parameters', ps);
  checkFloatsLikeOrNull('sgd', 'velocities', vs, 'parameters', ps);
  checkFloatsLike('sgd', 'gradients', gs, 'parameters', ps);
  checkFloat64('sgd', 'hyper', hyper);
  checkInt32('sgd', 'decays', decays);
  if (vs !== null) checkLengths('sgd', 'velocities', vs, ps);
  checkLengths('sgd', 'gradients', gs, ps);
  checkLength('sgd', 'hyper', hyper, 5);
  checkLength('sgd', 'decays', decays, ps.length);
  checkFlags('sgd', 'decays', decays);

  for (let i = 0; i < ps.length; i++) {
    if (vs === null) descend(ps[i], gs[i], hyper, decays[i] === 1);
    else descendWithMomentum(ps[i], vs[i], gs[i], hyper, decays[i] === 1);
  }
}

function descend(parameter: Float, gradient: Float, hyper: Float64Array, decays: boolean): void {
  const learningRate = hyper[0];
  const lambda = hyper[4];
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
  decays: boolean,
): void {
  const learningRate = hyper[0];
  const momentum = hyper[1];
  const fresh = 1 - hyper[2];
  const nesterov = hyper[3];
  const lambda = hyper[4];
  for (let i = 0; i < parameter.length; i++) {
    const g = decays ? gradient[i] + lambda * parameter[i] : gradient[i];
    velocity[i] = momentum * velocity[i] + fresh * g;
    // What is kept counts as it is kept: rounded to float32, perhaps infinite.
    const v = velocity[i];
    parameter[i] -= learningRate * (nesterov === 0 ? v : g + momentum * v);
  }
}

export function adamAdvance(hyper: Float64Array): void {
  checkFloat64('adamAdvance', 'hyper', hyper);
  checkLength('adamAdvance', 'hyper', hyper, 8);

  hyper[5] += 1;
  hyper[6] *= hyper[1];
  hyper[7] *= hyper[2];
}

export function adam(
  parameters: readonly Float[],
  means: readonly Float[],
  squares: readonly Float[],
  gradients: readonly Float[],
  hyper: Float64Array,
  decays: Int32Array,
): void {
  const ps = elements(parameters);
  const ms = elements(means);
  const vs = elements(squares);
  const gs = elements(gradients);
  checkFloats('adam', 'parameters', ps);
  checkFloatsLike('adam', 'means', ms, 'parameters', ps);
  checkFloatsLike('adam', 'squares', vs, 'parameters', ps);
  checkFloatsLike('adam', 'gradients', gs, 'parameters', ps);
  checkFloat64('adam', 'hyper', hyper);
  checkInt32('adam', 'decays', decays);
  checkLengths('adam', 'means', ms, ps);
  checkLengths('adam', 'squares', vs, ps);
  checkLengths('adam', 'gradients', gs, ps);
  checkLength('adam', 'hyper', hyper, 8);
  checkLength('adam', 'decays', decays, ps.length);
  checkFlags('adam', 'decays', decays);

  for (let i = 0; i < ps.length; i++) adamStep(ps[i], ms[i], vs[i], gs[i], hyper, decays[i] === 1);
}

function adamStep(
  parameter: Float,
  mean: Float,
  square: Float,
  gradient: Float,
  hyper: Float64Array,
  decays: boolean,
): void {
  const beta1 = hyper[1];
  const beta2 = hyper[2];
  const epsilon = hyper[3];
  const lambda = hyper[4];
  // learningRate · m̂ / (√v̂ + ε) with the corrections of m and v taken out of the loop.
  const stepSize = hyper[0] / (1 - hyper[6]);
  const rootCorrection = 1 / Math.sqrt(1 - hyper[7]);
  for (let i = 0; i < parameter.length; i++) {
    const p = parameter[i];
    const g = decays ? gradient[i] + lambda * p : gradient[i];
    mean[i] = beta1 * mean[i] + (1 - beta1) * g;
    square[i] = beta2 * square[i] + (1 - beta2) * g * g;
    // What is kept counts as it is kept: rounded to float32, perhaps infinite or 0.
    parameter[i] = p - stepSize * (mean[i] / (Math.sqrt(square[i]) * rootCorrection + epsilon));
  }
}

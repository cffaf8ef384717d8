import type { Flag, Float } from '../../../binding.d.ts';
import {
  anyFlag,
  checkFlag,
  checkFloat,
  checkFloat64,
  checkLength,
  checkLike,
  checkLikeOrNull,
  checkNumber,
} from './check.ts';

export function sgd(
  parameter: Float,
  velocity: Float | null,
  gradient: Float,
  hyper: Float64Array,
  decay: Flag,
): void {
  checkFloat('sgd', 'parameter', parameter);
  checkLikeOrNull('sgd', 'velocity', velocity, 'parameter', parameter);
  checkLike('sgd', 'gradient', gradient, 'parameter', parameter);
  checkFloat64('sgd', 'hyper', hyper);
  checkNumber('sgd', 'decay', decay, anyFlag);
  checkFlag('sgd', 'decay', decay);
  if (velocity !== null) checkLength('sgd', 'velocity', velocity, parameter.length);
  checkLength('sgd', 'gradient', gradient, parameter.length);
  checkLength('sgd', 'hyper', hyper, 5);

  const learningRate = hyper[0];
  const momentum = hyper[1];
  const dampening = hyper[2];
  const nesterov = hyper[3];
  const lambda = decay === 1 ? hyper[4] : 0;
  if (velocity === null) {
    for (let i = 0; i < parameter.length; i++) {
      const g = decay === 1 ? gradient[i] + lambda * parameter[i] : gradient[i];
      parameter[i] -= learningRate * g;
    }
    return;
  }
  for (let i = 0; i < parameter.length; i++) {
    const g = decay === 1 ? gradient[i] + lambda * parameter[i] : gradient[i];
    const v = momentum * velocity[i] + (1 - dampening) * g;
    velocity[i] = v;
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
  parameter: Float,
  m: Float,
  v: Float,
  gradient: Float,
  hyper: Float64Array,
  decay: Flag,
): void {
  checkFloat('adam', 'parameter', parameter);
  checkLike('adam', 'm', m, 'parameter', parameter);
  checkLike('adam', 'v', v, 'parameter', parameter);
  checkLike('adam', 'gradient', gradient, 'parameter', parameter);
  checkFloat64('adam', 'hyper', hyper);
  checkNumber('adam', 'decay', decay, anyFlag);
  checkFlag('adam', 'decay', decay);
  checkLength('adam', 'm', m, parameter.length);
  checkLength('adam', 'v', v, parameter.length);
  checkLength('adam', 'gradient', gradient, parameter.length);
  checkLength('adam', 'hyper', hyper, 8);

  const beta1 = hyper[1];
  const beta2 = hyper[2];
  const epsilon = hyper[3];
  const lambda = decay === 1 ? hyper[4] : 0;
  // learningRate · m̂ / (√v̂ + ε) with the corrections of m and v taken out of the loop.
  const stepSize = hyper[0] / (1 - hyper[6]);
  const rootCorrection = 1 / Math.sqrt(1 - hyper[7]);
  for (let i = 0; i < parameter.length; i++) {
    const p = parameter[i];
    const g = decay === 1 ? gradient[i] + lambda * p : gradient[i];
    const first = beta1 * m[i] + (1 - beta1) * g;
    const second = beta2 * v[i] + (1 - beta2) * g * g;
    m[i] = first;
    v[i] = second;
    parameter[i] = p - (stepSize * first) / (Math.sqrt(second) * rootCorrection + epsilon);
  }
}

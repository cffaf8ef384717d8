import type { Float, Kernels } from '../../../binding.d.ts';

export const sgd: Kernels['sgd'] = (parameters, velocities, gradients, hyper, decays) => {
  for (let i = 0; i < parameters.length; i++) {
    const [parameter, gradient, decaying] = [parameters[i], gradients[i], decays[i] === 1];
    if (velocities === null) descend(parameter, gradient, hyper, decaying);
    else descendWithMomentum(parameter, velocities[i], gradient, hyper, decaying);
  }
};

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

export const adamAdvance: Kernels['adamAdvance'] = (hyper) => {
  hyper[5] += 1;
  hyper[6] *= hyper[1];
  hyper[7] *= hyper[2];
};

export const adam: Kernels['adam'] = (parameters, means, squares, gradients, hyper, decays) => {
  for (let i = 0; i < parameters.length; i++) {
    adamStep(parameters[i], means[i], squares[i], gradients[i], hyper, decays[i] === 1);
  }
};

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

import type { Float, Kernels } from '../../../binding.d.ts';
import { checkIndices, checkLength, refuse } from './check.ts';
import { Loop, wide } from './loops.ts';

/** The parts of each parameter, `each` arrays of outs as long as its gradient, and its row of `width` scalars. */
function checkParts(
  kernel: string,
  outs: readonly Float[],
  gradients: readonly Float[],
  scalars: Float64Array,
  rows: Int32Array,
  each: number,
  width: number,
): void {
  for (let i = 0; i < outs.length; i++) {
    const { length } = gradients[Math.floor(i / each)];
    if (outs[i].length !== length) checkLength(kernel, `outs[${i}]`, outs[i], length);
  }
  if (scalars.length % width !== 0) {
    refuse(kernel, 'scalars', `have a length that is a multiple of ${width}`, String(scalars.length));
  }
  checkIndices(kernel, 'rows', rows, scalars.length / width);
}

export const sgd: Kernels['sgd'] = (outs, gradients, scalars, rows, hyper) => {
  const n = gradients.length;
  const each = n > 0 && outs.length === 2 * n ? 2 : 1;
  if (outs.length !== each * n) refuse('sgd', 'outs', `have length ${n} or ${2 * n}`, String(outs.length));
  checkParts('sgd', outs, gradients, scalars, rows, each, 1);

  for (let i = 0; i < n; i++) {
    const lambda = scalars[rows[i]] * hyper[4] === 0 ? 0 : hyper[4];
    if (each === 1) descend(outs[i], gradients[i], hyper, lambda);
    else descendWithMomentum(outs[2 * i], outs[2 * i + 1], gradients[i], hyper, lambda);
  }
};

// ── float32 by vectors, the same formulas ───────────────────────────────────────────────────────────────────────────

const { add, sub, mul, div, sqrt } = wide;

/** Without and with a decay of weights, which would make NaN of 0 · ∞. */
const descentLoops = [false, true].map(
  (decays) =>
    new Loop(2, 1, 2, 0, (body, [p, gradient], [rate, lambda]) => {
      const parameter = body.widen(p);
      const g = body.widen(gradient);
      const whole = decays ? add(g, mul(lambda, parameter)) : g;
      return { outs: [body.narrow(sub(parameter, mul(rate, whole)))] };
    }),
);

/** Likewise, then the same with Nesterov's step. */
const momentumLoops = [false, true].flatMap((nesterov) =>
  [false, true].map(
    (decays) =>
      new Loop(3, 2, 4, 0, (body, [p, v, gradient], [rate, momentum, fresh, lambda]) => {
        const parameter = body.widen(p);
        const raw = body.widen(gradient);
        const g = decays ? body.keepWide(add(raw, mul(lambda, parameter))) : raw;
        const velocity = body.narrow(add(mul(momentum, body.widen(v)), mul(fresh, g)));
        const kept = body.widen(velocity);
        const step = nesterov ? add(g, mul(momentum, kept)) : kept;
        return { outs: [body.narrow(sub(parameter, mul(rate, step))), velocity] };
      }),
  ),
);

const adamLoops = [false, true].map(
  (decays) =>
    new Loop(4, 3, 8, 0, (body, [p, m, v, gradient], own) => {
      const [beta1, fresh1, beta2, fresh2, rate, correction, epsilon, lambda] = own;
      const parameter = body.widen(p);
      const raw = body.widen(gradient);
      const g = decays ? body.keepWide(add(raw, mul(lambda, parameter))) : raw;
      const mean = body.narrow(add(mul(beta1, body.widen(m)), mul(fresh1, g)));
      const square = body.narrow(add(mul(beta2, body.widen(v)), mul(mul(fresh2, g), g)));
      const root = add(mul(sqrt(body.widen(square)), correction), epsilon);
      const step = mul(rate, div(body.widen(mean), root));
      return { outs: [body.narrow(sub(parameter, step)), mean, square] };
    }),
);

/** Here and below, λ is 0 for what does not decay, whatever the parameter is. */
function descend(parameter: Float, gradient: Float, hyper: Float64Array, lambda: number): void {
  const learningRate = hyper[0];
  const decays = lambda !== 0;
  const loop = descentLoops[Number(decays)];
  if (loop.suits(parameter)) {
    loop.flat([parameter], [parameter, gradient as Float32Array], [learningRate, lambda]);
    return;
  }
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
  const loop = momentumLoops[Number(decays) + 2 * Number(nesterov !== 0)];
  if (loop.suits(parameter)) {
    const [p, v, g] = [parameter, velocity, gradient] as Float32Array[];
    loop.flat([p, v], [p, v, g], [learningRate, momentum, fresh, lambda]);
    return;
  }
  for (let i = 0; i < parameter.length; i++) {
    const g = decays ? gradient[i] + lambda * parameter[i] : gradient[i];
    velocity[i] = momentum * velocity[i] + fresh * g;
    // What is kept counts as it is kept: rounded to float32, perhaps infinite.
    const v = velocity[i];
    parameter[i] -= learningRate * (nesterov === 0 ? v : g + momentum * v);
  }
}

export const adam: Kernels['adam'] = (outs, gradients, scalars, rows, hyper) => {
  checkLength('adam', 'outs', outs, 3 * gradients.length);
  checkParts('adam', outs, gradients, scalars, rows, 3, 2);

  for (let i = 0; i < gradients.length; i++) {
    const at = 2 * rows[i];
    scalars[at + 1]++;
    const lambda = scalars[at] * hyper[4] === 0 ? 0 : hyper[4];
    adamStep(outs[3 * i], outs[3 * i + 1], outs[3 * i + 2], gradients[i], hyper, lambda, scalars[at + 1]);
  }
};

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
  const loop = adamLoops[Number(decays)];
  if (loop.suits(parameter)) {
    const [p, m, v, g] = [parameter, mean, square, gradient] as Float32Array[];
    const hypers = [beta1, 1 - beta1, beta2, 1 - beta2, stepSize, rootCorrection, epsilon, lambda];
    loop.flat([p, m, v], [p, m, v, g], hypers);
    return;
  }
  for (let i = 0; i < parameter.length; i++) {
    const p = parameter[i];
    const g = decays ? gradient[i] + lambda * p : gradient[i];
    mean[i] = beta1 * mean[i] + (1 - beta1) * g;
    square[i] = beta2 * square[i] + (1 - beta2) * g * g;
    // What is kept counts as it is kept: rounded to float32, perhaps infinite or 0.
    parameter[i] = p - stepSize * (mean[i] / (Math.sqrt(square[i]) * rootCorrection + epsilon));
  }
}

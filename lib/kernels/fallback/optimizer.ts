import type { Float, Kernels } from '../../../binding.d.ts';
import { checkIndices, checkLength, refuse } from './check.ts';
import type { Keep } from './formulas.ts';
import { Loop } from './loops.ts';
import { type Code, f32x4 } from './wasm.ts';

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

// ── float32 by vectors, in float32 as long as nothing leaves its range on the way ─────────────────────────────────

const { add, sub, mul, div, sqrt } = f32x4;

/** A rule of float32, and numbers for all elements; a sum says whether what it gives is finite. */
function loopOf(
  ins: number,
  numbers: number,
  rule: (keep: Keep, ins: readonly Code[], own: readonly Code[]) => readonly Code[],
): Loop {
  return new Loop(ins, ins - 1, numbers, 1, (body, given, own, [[sum, unused]]) => {
    const keep = (value: Code) => body.keep(value);
    const outs = rule(
      keep,
      given,
      own.map((number) => body.narrow(number)),
    );
    const check = outs.map((out) => sub(out, out)).reduce(add);
    return { outs, sums: [[add(sum, check), unused]] };
  });
}

/** With λ·p for what decays, which would make NaN of 0 · ∞ elsewhere. */
const slopeOf = (decays: boolean, gradient: Code, lambda: Code, p: Code) =>
  decays ? add(gradient, mul(lambda, p)) : gradient;

/** Without and with a decay of weights. */
const descentLoops = [false, true].map((decays) =>
  loopOf(2, 2, (keep, [p, gradient], [rate, lambda]) => [
    keep(sub(p, mul(rate, slopeOf(decays, gradient, lambda, p)))),
  ]),
);

/** Likewise, then the same with Nesterov's step. */
const momentumLoops = [false, true].flatMap((nesterov) =>
  [false, true].map((decays) =>
    loopOf(3, 4, (keep, [p, v, gradient], [rate, momentum, fresh, lambda]) => {
      const g = keep(slopeOf(decays, gradient, lambda, p));
      const velocity = keep(add(mul(momentum, v), mul(fresh, g)));
      const step = nesterov ? add(g, mul(momentum, velocity)) : velocity;
      return [keep(sub(p, mul(rate, step))), velocity];
    }),
  ),
);

const adamLoops = [false, true].map((decays) =>
  loopOf(4, 9, (keep, [p, m, v, gradient], own) => {
    const [beta1, fresh1, beta2, fresh2, rate, correction, epsilon, lambda, left] = own;
    const g = keep(slopeOf(decays, gradient, lambda, p));
    const mean = keep(add(mul(beta1, m), mul(fresh1, g)));
    // Scaled before it is squared: a large gradient overflows later.
    const square = keep(add(mul(beta2, v), mul(mul(fresh2, g), g)));
    const step = div(mean, add(mul(sqrt(square), correction), epsilon));
    return [keep(sub(mul(left, p), mul(rate, step))), mean, square];
  }),
);

/** Here and below, λ is 0 for what does not decay, whatever the parameter is. */
function descend(parameter: Float, gradient: Float, hyper: Float64Array, lambda: number): void {
  const loop = descentLoops[Number(lambda !== 0)];
  if (!loop.suits(parameter)) {
    descendPlainly(parameter, gradient, hyper, lambda, 0, parameter.length);
    return;
  }
  loop.flat([parameter], [parameter, gradient as Float32Array], [hyper[0], lambda], (first, end) =>
    descendPlainly(parameter, gradient, hyper, lambda, first, end),
  );
}

function descendPlainly(
  parameter: Float,
  gradient: Float,
  hyper: Float64Array,
  lambda: number,
  first: number,
  end: number,
): void {
  const learningRate = hyper[0];
  const decays = lambda !== 0;
  for (let i = first; i < end; i++) {
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
  const loop = momentumLoops[Number(lambda !== 0) + 2 * Number(hyper[3] !== 0)];
  if (!loop.suits(parameter)) {
    momentumPlainly(parameter, velocity, gradient, hyper, lambda, 0, parameter.length);
    return;
  }
  const [p, v, g] = [parameter, velocity, gradient] as Float32Array[];
  loop.flat([p, v], [p, v, g], [hyper[0], hyper[1], 1 - hyper[2], lambda], (first, end) =>
    momentumPlainly(parameter, velocity, gradient, hyper, lambda, first, end),
  );
}

function momentumPlainly(
  parameter: Float,
  velocity: Float,
  gradient: Float,
  hyper: Float64Array,
  lambda: number,
  first: number,
  end: number,
): void {
  const learningRate = hyper[0];
  const momentum = hyper[1];
  const fresh = 1 - hyper[2];
  const nesterov = hyper[3];
  const decays = lambda !== 0;
  for (let i = first; i < end; i++) {
    const g = decays ? gradient[i] + lambda * parameter[i] : gradient[i];
    velocity[i] = momentum * velocity[i] + fresh * g;
    // What is kept counts as it is kept: rounded to float32, perhaps infinite.
    const v = velocity[i];
    parameter[i] -= learningRate * (nesterov === 0 ? v : g + momentum * v);
  }
}

export const adam: Kernels['adam'] = (outs, gradients, scalars, rows, hyper, decoupled) => {
  checkLength('adam', 'outs', outs, 3 * gradients.length);
  checkParts('adam', outs, gradients, scalars, rows, 3, 2);

  for (let i = 0; i < gradients.length; i++) {
    const at = 2 * rows[i];
    scalars[at + 1]++;
    const isPart = decoupled === 0 && scalars[at] * hyper[4] !== 0;
    adamStep(outs[3 * i], outs[3 * i + 1], outs[3 * i + 2], gradients[i], {
      beta1: hyper[1],
      beta2: hyper[2],
      epsilon: hyper[3],
      lambda: isPart ? hyper[4] : 0,
      left: decoupled === 0 ? 1 : 1 - hyper[0] * hyper[4],
      stepSize: hyper[0] / (1 - hyper[1] ** scalars[at + 1]),
      rootCorrection: 1 / Math.sqrt(1 - hyper[2] ** scalars[at + 1]),
    });
  }
};

/** learningRate · m̂ / (√v̂ + ε) with the corrections of m and v taken out of the loop. */
interface AdamNumbers {
  readonly beta1: number;
  readonly beta2: number;
  readonly epsilon: number;
  readonly lambda: number;
  /** What is left of a parameter that decays by itself; else 1. */
  readonly left: number;
  readonly stepSize: number;
  readonly rootCorrection: number;
}

function adamStep(parameter: Float, mean: Float, square: Float, gradient: Float, own: AdamNumbers): void {
  const plainly = (first: number, end: number) =>
    adamPlainly(parameter, mean, square, gradient, own, first, end);
  const { beta1, beta2, epsilon, lambda, left, stepSize, rootCorrection } = own;
  const loop = adamLoops[Number(lambda !== 0)];
  if (!loop.suits(parameter)) {
    plainly(0, parameter.length);
    return;
  }
  const [p, m, v, g] = [parameter, mean, square, gradient] as Float32Array[];
  const numbers = [beta1, 1 - beta1, beta2, 1 - beta2, stepSize, rootCorrection, epsilon, lambda, left];
  loop.flat([p, m, v], [p, m, v, g], numbers, plainly);
}

function adamPlainly(
  parameter: Float,
  mean: Float,
  square: Float,
  gradient: Float,
  { beta1, beta2, epsilon, lambda, left, stepSize, rootCorrection }: AdamNumbers,
  first: number,
  end: number,
): void {
  const decays = lambda !== 0;
  for (let i = first; i < end; i++) {
    const p = parameter[i];
    const g = decays ? gradient[i] + lambda * p : gradient[i];
    mean[i] = beta1 * mean[i] + (1 - beta1) * g;
    square[i] = beta2 * square[i] + (1 - beta2) * g * g;
    // What is kept counts as it is kept: rounded to float32, perhaps infinite or 0.
    parameter[i] = left * p - stepSize * (mean[i] / (Math.sqrt(square[i]) * rootCorrection + epsilon));
  }
}

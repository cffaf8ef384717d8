/** Linear models, by which networks are measured: ridge regression and logistic regression, solved to the end in float64. */
import { noGrad, type Tensor, tensor } from '../index.ts';

/** How many corrections L-BFGS keeps (Liu & Nocedal, "On the limited memory BFGS method", 1989). */
const memory = 10;
const mostSteps = 500;
/** How many operations there are for a solution, after the first steps: of a large table the last digits are not waited for. */
const fewestSteps = 25;
const operations = 1e11;
const stepsFor = (products: number): number =>
  Math.max(fewestSteps, Math.min(mostSteps, Math.floor(operations / (4 * products))));

/** Weights [outputs, features] and biases [outputs], row after row. */
export interface Linear {
  readonly weight: Float64Array;
  readonly bias: Float64Array;
}

/** What the outputs are held against: numbers [n, outputs] by half their squared distance, or classes by cross-entropy. */
export type Targets =
  | { readonly numbers: Float64Array }
  | { readonly classes: Int32Array; readonly count: number };

const dot = (a: Float64Array, b: Float64Array): number => {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i] * b[i];
  return sum;
};

/** x + factor · y */
const along = (x: Float64Array, factor: number, y: Float64Array): Float64Array =>
  x.map((value, i) => value + factor * y[i]);

interface Place {
  readonly at: Float64Array;
  readonly value: number;
  readonly gradient: Float64Array;
}

/** Where a convex function is least, as far as its gradient tells. */
function minimize(
  start: Float64Array,
  steps: number,
  look: (at: Float64Array) => Omit<Place, 'at'>,
): Float64Array {
  const visit = (at: Float64Array): Place => ({ at, ...look(at) });
  let here = visit(start);
  const goal = 1e-7 * Math.max(1, Math.sqrt(dot(here.gradient, here.gradient)));
  const history: { step: Float64Array; change: Float64Array; scale: number }[] = [];
  for (let count = 0; count < steps; count++) {
    if (Math.sqrt(dot(here.gradient, here.gradient)) <= goal) break;
    let direction: Float64Array = here.gradient.map((value) => -value);
    const factors: number[] = [];
    for (const { step, change, scale } of history.toReversed()) {
      const factor = scale * dot(step, direction);
      factors.push(factor);
      direction = along(direction, -factor, change);
    }
    const last = history.at(-1);
    const size =
      last === undefined
        ? 1 / Math.max(1, Math.sqrt(dot(here.gradient, here.gradient)))
        : 1 / (last.scale * dot(last.change, last.change));
    direction = direction.map((value) => size * value);
    for (const { step, change, scale } of history) {
      direction = along(direction, factors.pop()! - scale * dot(change, direction), step);
    }
    const slope = dot(here.gradient, direction);
    if (slope >= 0) break;
    let rate = 1;
    let next = visit(along(here.at, rate, direction));
    // Armijo's rule; of a convex function with a step that BFGS proposes the first try nearly always does.
    while (next.value > here.value + 1e-4 * rate * slope && rate > 1e-10) {
      rate /= 2;
      next = visit(along(here.at, rate, direction));
    }
    if (next.value >= here.value) break;
    const step = along(next.at, -1, here.at);
    const change = along(next.gradient, -1, here.gradient);
    const curvature = dot(step, change);
    if (curvature > 1e-12 * dot(change, change)) {
      history.push({ step, change, scale: 1 / curvature });
      if (history.length > memory) history.shift();
    }
    here = next;
  }
  return here.at;
}

/** Outputs less targets, in place, and the sum of the losses. */
function errors(outputs: Float64Array, targets: Targets): number {
  let loss = 0;
  if ('numbers' in targets) {
    for (let i = 0; i < outputs.length; i++) {
      outputs[i] -= targets.numbers[i];
      loss += outputs[i] ** 2 / 2;
    }
    return loss;
  }
  const { classes, count } = targets;
  for (let row = 0; row < classes.length; row++) {
    const own = outputs.subarray(row * count, (row + 1) * count);
    const largest = Math.max(...own);
    const target = own[classes[row]];
    let sum = 0;
    for (let k = 0; k < count; k++) {
      own[k] = Math.exp(own[k] - largest);
      sum += own[k];
    }
    loss += largest + Math.log(sum) - target;
    for (let k = 0; k < count; k++) own[k] /= sum;
    own[classes[row]] -= 1;
  }
  return loss;
}

/**
 * The weights w and biases of least mean loss + λ/2 · ‖w‖², biases for free.
 * @param x [n, features], float64
 * @param from where to begin, the solution for another λ
 */
export function fitLinear(x: Tensor<'float64'>, targets: Targets, lambda: number, from?: Linear): Linear {
  const [n, features] = x.shape;
  const outputs = 'numbers' in targets ? targets.numbers.length / n : targets.count;
  const size = outputs * features;
  const start = new Float64Array(size + outputs);
  if (from !== undefined) {
    start.set(from.weight);
    start.set(from.bias, size);
  }
  const solution = noGrad(() =>
    minimize(start, stepsFor(n * size), (at) => {
      const w = tensor(at.slice(0, size), { dtype: 'float64' }).reshape([outputs, features]);
      const bias = tensor(at.slice(size), { dtype: 'float64' });
      const z = x.matmul(w, { transposeB: true }).add(bias).data as Float64Array;
      let value = errors(z, targets) / n;
      const residuals = tensor(z, { dtype: 'float64' }).reshape([n, outputs]);
      const gradient = new Float64Array(size + outputs);
      gradient.set(residuals.matmul(x, { transposeA: true }).data as Float64Array);
      gradient.set(residuals.sum(0).data as Float64Array, size);
      for (let i = 0; i < gradient.length; i++) {
        gradient[i] /= n;
        if (i >= size) continue;
        gradient[i] += lambda * at[i];
        value += (lambda / 2) * at[i] ** 2;
      }
      return { value, gradient };
    }),
  );
  return { weight: solution.slice(0, size), bias: solution.slice(size) };
}

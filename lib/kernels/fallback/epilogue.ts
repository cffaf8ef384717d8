/** The activation that ends a product, a convolution or a normalisation; −1 for none. */
import type { Float, Kernels } from '../../../binding.d.ts';
import { reduceCode } from '../codes.ts';
import { reduce } from './reduce.ts';
import { apply, applyGradient } from './unary.ts';

/** x = f(x) */
export function activate(x: Float, activation: number, parameter: number): void {
  if (activation >= 0) apply(x, x, activation, parameter, 0);
}

/** out = gradient · f′(y) */
export function activateGradient(
  out: Float,
  gradient: Float,
  y: Float,
  activation: number,
  parameter: number,
): void {
  if (activation >= 0) applyGradient(out, gradient, y, activation, parameter, 0);
  else if (out !== gradient) out.set(gradient);
}

/** Every row of out = bias; 0 without one. */
export function fillRows(out: Float, bias: Float | null): void {
  if (bias === null) {
    out.fill(0);
    return;
  }
  if (out.length === 0) return;
  out.set(bias);
  // What is there is copied behind itself, twice as much each time.
  for (let n = bias.length; n < out.length; n *= 2) out.copyWithin(n, 0, n);
}

export const epilogueGradient: Kernels['epilogueGradient'] = (
  out,
  biasGradient,
  gradient,
  y,
  rows,
  columns,
  activation,
  parameter,
) => {
  activateGradient(out, gradient, y, activation, parameter);
  if (biasGradient !== null) reduce(biasGradient, out, 1, rows, columns, 1, reduceCode.sum, 1);
};

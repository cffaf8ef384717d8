/** The activation that ends a product, a convolution or a normalisation; −1 for none. */
import type { Float } from '../../../binding.d.ts';
import { gradientFromOutput, reduceCode, unaryOps } from '../codes.ts';
import {
  anySize,
  checkCode,
  checkFloat,
  checkLength,
  checkLike,
  checkLikeOrNull,
  checkNumber,
  checkSize,
  codeFrom,
  refuseValue,
} from './check.ts';
import { reduce } from './reduce.ts';
import { apply, applyGradient } from './unary.ts';

const anyActivation = codeFrom(-1, unaryOps);
const hasGradient = unaryOps.map((name) => (gradientFromOutput as readonly string[]).includes(name));

/** The types of an activation and its parameter; the value of the activation is checked after all other values. */
export function checkActivationType(kernel: string, activation: number, parameter: number): void {
  checkNumber(kernel, 'activation', activation, anyActivation);
  checkNumber(kernel, 'parameter', parameter);
}

export function checkActivation(kernel: string, activation: number): void {
  checkCode(kernel, 'activation', activation, -1, unaryOps);
}

/** Where only the output is at hand. */
export function checkActivationOfOutput(kernel: string, activation: number): void {
  checkActivation(kernel, activation);
  if (activation >= 0 && !hasGradient[activation]) {
    refuseValue(kernel, 'activation', '-1 or one whose gradient follows from the output', activation);
  }
}

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
  const n = bias.length;
  for (let i = 0; i < out.length; i += n) for (let j = 0; j < n; j++) out[i + j] = bias[j];
}

export function epilogueGradient(
  out: Float,
  biasGradient: Float | null,
  gradient: Float,
  y: Float,
  rows: number,
  columns: number,
  activation: number,
  parameter: number,
): void {
  const kernel = 'epilogueGradient';
  checkFloat(kernel, 'out', out);
  checkLikeOrNull(kernel, 'biasGradient', biasGradient, 'out', out);
  checkLike(kernel, 'gradient', gradient, 'out', out);
  checkLike(kernel, 'y', y, 'out', out);
  checkNumber(kernel, 'rows', rows, anySize);
  checkNumber(kernel, 'columns', columns, anySize);
  checkActivationType(kernel, activation, parameter);
  checkSize(kernel, 'rows', rows);
  checkSize(kernel, 'columns', columns);
  checkActivationOfOutput(kernel, activation);
  checkLength(kernel, 'out', out, rows * columns);
  if (biasGradient !== null) checkLength(kernel, 'biasGradient', biasGradient, columns);
  checkLength(kernel, 'gradient', gradient, rows * columns);
  checkLength(kernel, 'y', y, rows * columns);

  activateGradient(out, gradient, y, activation, parameter);
  if (biasGradient !== null) reduce(biasGradient, out, 1, rows, columns, 1, reduceCode.sum, 1);
}

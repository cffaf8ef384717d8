/**
 * Elementwise functions of one tensor. Each keeps for backward its output where f′ can be computed from that, else its
 * input; codes.ts says which.
 */
import { describe } from '../arguments.ts';
import { contribute, track } from '../autograd.ts';
import { ArgumentError } from '../errors.ts';
import { gradientFromOutput, kernels, type UnaryOp, unaryCode } from '../kernels/index.ts';
import { checkFloat, checkTensor, empty, floats, type Tensor } from '../tensor.ts';
import { tracing } from '../trace.ts';
import { absoluteIntegers, isInteger, signsOfIntegers, withNumber } from './integer.ts';
import { reshape } from './reshape.ts';
import { unaryDerivative, unaryGradient } from './unaryDerivative.ts';

const fromOutput: ReadonlySet<UnaryOp> = new Set<UnaryOp>(gradientFromOutput);
/** Those whose derivative depends on neither. */
const isConstant: ReadonlySet<UnaryOp> = new Set<UnaryOp>(['neg', 'scale', 'sign', 'floor', 'ceil', 'round']);

/** y = f(x; p, q) for an op of codes.ts. dx = dy · f′. Errors name the caller. */
export function unary(name: UnaryOp, x: Tensor, p = 0, q = 0, caller: string = name): Tensor {
  checkTensor(caller, x);
  const dtype = checkFloat(caller, x);
  const y = empty(x.shape, dtype);
  const op = unaryCode[name];
  kernels.unary(floats(y), floats(x), op, p, q);
  tracing?.note('unary', [x], y, { op: name, p, q });
  return track(
    y,
    [x],
    (dy) =>
      contribute(x, (dx) =>
        unaryGradient(name, dx, dy, fromOutput.has(name) ? null : floats(x), floats(y), p, q),
      ),
    isConstant.has(name) ? [] : [fromOutput.has(name) ? y : x],
    (dy) => [unaryDerivative(name, dy, fromOutput.has(name) ? y : x, p, q)],
  );
}

/** −x */
export const neg = (x: Tensor): Tensor => (isInteger(x) ? withNumber('mul', x, -1) : unary('neg', x));
/** eˣ */
export const exp = (x: Tensor): Tensor => unary('exp', x);
/** The natural logarithm; NaN below 0, −Infinity at 0. */
export const log = (x: Tensor): Tensor => unary('log', x);
/** log(1 + x), accurate near 0, where 1 + x would be rounded; NaN below −1, −Infinity at −1. */
export const log1p = (x: Tensor): Tensor => unary('log1p', x);
/** eˣ − 1, accurate near 0. */
export const expm1 = (x: Tensor): Tensor => unary('expm1', x);
/** The square root; NaN below 0. */
export const sqrt = (x: Tensor): Tensor => unary('sqrt', x);
/** |x|, derivative 0 at 0. */
export const abs = (x: Tensor): Tensor => (isInteger(x) ? absoluteIntegers(x) : unary('abs', x));
/** x² */
export const square = (x: Tensor): Tensor => unary('square', x);
/** 1/x */
export const reciprocal = (x: Tensor): Tensor => unary('reciprocal', x);
/** −1, 0 or 1; derivative 0. */
export const sign = (x: Tensor): Tensor => (isInteger(x) ? signsOfIntegers(x) : unary('sign', x));

/** The sine of x in radians; NaN of ±Infinity. */
export const sin = (x: Tensor): Tensor => unary('sin', x);
/** The cosine of x in radians; NaN of ±Infinity. */
export const cos = (x: Tensor): Tensor => unary('cos', x);

/** Integers are what they are rounded to. */
const rounded = (name: 'floor' | 'ceil' | 'round', x: Tensor): Tensor =>
  isInteger(x) ? reshape(x, x.shape) : unary(name, x);

/** The largest integer that is at most x; derivative 0. */
export const floor = (x: Tensor): Tensor => rounded('floor', x);
/** The smallest integer that is at least x; derivative 0. */
export const ceil = (x: Tensor): Tensor => rounded('ceil', x);
/** The nearest integer, of two the even one, as in PyTorch and unlike Math.round; derivative 0. */
export const round = (x: Tensor): Tensor => rounded('round', x);

/**
 * min(max(x, low), high); the gradient passes where low ≤ x ≤ high.
 * @throws ArgumentError when low > high or one is NaN.
 */
export function clip(x: Tensor, low: number, high: number): Tensor {
  if (typeof low !== 'number' || typeof high !== 'number' || !(low <= high)) {
    throw new ArgumentError(
      `[clip] expected low to be at most high, got ${describe(low)} and ${describe(high)}`,
    );
  }
  return unary('clip', x, low, high);
}

/** max(x, 0), the notes' neuron; derivative 0 at 0. */
export const relu = (x: Tensor): Tensor => unary('relu', x);

/** x > 0 ? x : slope·x (Maas, Hannun & Ng, 2013). @throws ArgumentError unless slope ≥ 0. */
export function leakyRelu(x: Tensor, slope = 0.01): Tensor {
  return unary('leakyRelu', x, checkPositive('leakyRelu', 'slope', slope));
}

/** x > 0 ? x : alpha·(eˣ − 1) (Clevert, Unterthiner & Hochreiter, 2016). @throws ArgumentError unless alpha ≥ 0. */
export function elu(x: Tensor, alpha = 1): Tensor {
  return unary('elu', x, checkPositive('elu', 'alpha', alpha));
}

/** x·Φ(x), Φ the standard normal distribution by erf (Hendrycks & Gimpel, 2016). */
export const gelu = (x: Tensor): Tensor => unary('gelu', x);
/** x·σ(x), also known as swish (Elfwing, Uchibe & Doya, 2018). */
export const silu = (x: Tensor): Tensor => unary('silu', x);
/** log(1 + eˣ), without overflow. */
export const softplus = (x: Tensor): Tensor => unary('softplus', x);
/** log σ(x) = −log(1 + e⁻ˣ), without overflow, and −e⁻ˣ rather than 0 where σ(x) is rounded to 1. */
export const logSigmoid = (x: Tensor): Tensor => unary('logSigmoid', x);
/** σ(x) = 1 / (1 + e⁻ˣ), the notes' logistic function. */
export const sigmoid = (x: Tensor): Tensor => unary('sigmoid', x);
/** The hyperbolic tangent. */
export const tanh = (x: Tensor): Tensor => unary('tanh', x);

// Their gradients are computed from the output, which determines the side of the kink only for slopes ≥ 0.
function checkPositive(op: string, name: string, value: number): number {
  if (!(Number.isFinite(value) && value >= 0)) {
    throw new ArgumentError(`[${op}] expected ${name} to be a number of at least 0, got ${describe(value)}`);
  }
  return value;
}

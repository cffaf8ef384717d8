/** The ops that are methods of Tensor: a line each, with what editors show, and the type of the methods follows from it. */
import { Tensor } from '../tensor.ts';
import * as binary from './binary.ts';
import { broadcastTo } from './broadcastTo.ts';
import { cast, clone } from './cast.ts';
import { gather } from './gather.ts';
import * as inPlace from './inPlace.ts';
import { matmul } from './matmul.ts';
import { pad } from './pad.ts';
import * as reduce from './reduce.ts';
import { flatten, reshape } from './reshape.ts';
import { slice } from './slice.ts';
import { logSoftmax, softmax } from './softmax.ts';
import { transpose } from './transpose.ts';
import * as unary from './unary.ts';

const methods = {
  /** a + b */
  add: binary.add,
  /** a − b */
  sub: binary.sub,
  /** a · b, element by element */
  mul: binary.mul,
  /** a / b, element by element */
  div: binary.div,
  /** aᵇ, element by element; NaN for a negative a and a fractional b. */
  pow: binary.pow,
  /** The larger of a and b; at a tie each gets half the gradient. NaN when either is. */
  maximum: binary.maximum,
  /** The smaller of a and b; at a tie each gets half the gradient. NaN when either is. */
  minimum: binary.minimum,
  /** 1 where a = b, else 0; of the operands' dtype, without gradient, as all comparisons. */
  equal: binary.equal,
  /** 1 where a ≠ b, else 0. */
  notEqual: binary.notEqual,
  /** 1 where a > b, else 0. */
  greater: binary.greater,
  /** 1 where a ≥ b, else 0. */
  greaterEqual: binary.greaterEqual,
  /** 1 where a < b, else 0. */
  less: binary.less,
  /** 1 where a ≤ b, else 0. */
  lessEqual: binary.lessEqual,
  /** −x */
  neg: unary.neg,
  /** eˣ */
  exp: unary.exp,
  /** The natural logarithm; NaN below 0, −Infinity at 0. */
  log: unary.log,
  /** The square root; NaN below 0. */
  sqrt: unary.sqrt,
  /** |x|, derivative 0 at 0. */
  abs: unary.abs,
  /** x² */
  square: unary.square,
  /** 1/x */
  reciprocal: unary.reciprocal,
  /** −1, 0 or 1; derivative 0. */
  sign: unary.sign,
  /** min(max(x, low), high); the gradient passes where low ≤ x ≤ high. */
  clip: unary.clip,
  /** max(x, 0); derivative 0 at 0. */
  relu: unary.relu,
  /** x > 0 ? x : slope·x (Maas, Hannun & Ng, 2013). */
  leakyRelu: unary.leakyRelu,
  /** x > 0 ? x : alpha·(eˣ − 1) (Clevert, Unterthiner & Hochreiter, 2016). */
  elu: unary.elu,
  /** x·Φ(x), Φ the standard normal distribution by erf (Hendrycks & Gimpel, 2016). */
  gelu: unary.gelu,
  /** x·σ(x), also known as swish (Elfwing, Uchibe & Doya, 2018). */
  silu: unary.silu,
  /** log(1 + eˣ), without overflow. */
  softplus: unary.softplus,
  /** σ(x) = 1 / (1 + e⁻ˣ), the notes' logistic function. */
  sigmoid: unary.sigmoid,
  /** The hyperbolic tangent. */
  tanh: unary.tanh,
  /** The sum over axes (all of them by default); 0 over nothing. */
  sum: reduce.sum,
  /** The mean over axes (all of them by default); NaN over nothing. */
  mean: reduce.mean,
  /** The largest element over axes. NaN when one is NaN. */
  max: reduce.max,
  /** The smallest element over axes. NaN when one is NaN. */
  min: reduce.min,
  /** The mean squared deviation from the mean over axes, divided by count − correction (default 0). */
  variance: reduce.variance,
  /** The position of the largest element along an axis, or of the flattened tensor, int32; the first one at a tie. */
  argmax: reduce.argmax,
  /** e^xᵢ / Σ e^xⱼ along an axis (default: the last), without overflow. */
  softmax,
  /** log softmax(x) along an axis (default: the last), computed without the intermediate probabilities. */
  logSoftmax,
  /** this · b over the last two axes, [..., m, k] · [..., k, n] → [..., m, n]; the axes before are batches and broadcast. */
  matmul,
  /** A copy with its axes reordered: axis i of the result is axis axes[i] of x. Default: all axes reversed. */
  transpose,
  /** The same elements in another shape, sharing memory. One size may be −1 and follows from the rest. */
  reshape,
  /** Joins the axes from `startAxis` on into one (default 1: all but the batch). */
  flatten,
  /** A copy of a part: [start, end?, step?] or null for each axis, from the first one on; ends are exclusive. */
  slice,
  /** x within a larger tensor of a value (default 0): [before, after] for each axis, from the first one on. */
  pad,
  /** x[indices[i], ...] for each index: [rows, ...rest] and int32 [...shape] give [...shape, ...rest]. */
  gather,
  /** x repeated to a larger shape by the broadcasting rule; a copy. The gradient is summed over the repetitions. */
  broadcastTo,
  /** A copy in another dtype; to int32 values are truncated towards zero and saturate, NaN becomes 0. */
  cast,
  /** A copy with memory of its own; the gradient passes. */
  clone,
  /** x ← values, of this shape, or flat in a typed array; not differentiated, as all updates in place. */
  assign: inPlace.assign,
  /** x ← x + b */
  add_: inPlace.add_,
  /** x ← x − b */
  sub_: inPlace.sub_,
  /** x ← x · b */
  mul_: inPlace.mul_,
  /** x ← x / b */
  div_: inPlace.div_,
  /** x ← x + weight · (end − x) */
  lerp_: inPlace.lerp_,
};

type Method<Op> = Op extends (x: Tensor, ...rest: infer Rest) => infer Result
  ? (...rest: Rest) => Result
  : never;

export type TensorMethods = { [Name in keyof typeof methods]: Method<(typeof methods)[Name]> };

for (const [name, op] of Object.entries(methods) as [string, (x: Tensor, ...rest: unknown[]) => Tensor][]) {
  Object.defineProperty(Tensor.prototype, name, {
    configurable: true,
    writable: true,
    value(this: Tensor, ...rest: unknown[]): Tensor {
      return op(this, ...rest);
    },
  });
}

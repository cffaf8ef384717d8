import type { Float } from '../../../binding.d.ts';
import { gradientFromOutput, type UnaryOp, unaryCode, unaryOps } from '../codes.ts';
import {
  checkCode,
  checkFloat,
  checkLength,
  checkLike,
  checkLikeOrNull,
  checkNotNull,
  checkNumber,
  codeFrom,
} from './check.ts';
import { pow, standardNormalCdf, standardNormalDensity } from './math.ts';

/**
 * A loop over whole arrays for each op, and not a function of one element: a call through a table costs more than most
 * of these formulas, and a loop of its own stays specialised to one op.
 */
interface Rule {
  /** out = f(x) */
  forward(out: Float, x: Float, p: number, q: number): void;
  /** out = gradient · f′, by the input or the output as `gradientFromOutput` says. */
  gradient(out: Float, gradient: Float, xOrY: Float, p: number, q: number): void;
}

/**
 * leakyRelu's slope below and above 0. It and relu choose without a branch: the signs of activations are as good as
 * random, and a branch predicted wrongly half of the time makes these loops four times slower.
 */
const slopes = new Float64Array([0, 1]);

const rules: Record<UnaryOp, Rule> = {
  neg: {
    forward(out, x) {
      for (let i = 0; i < x.length; i++) out[i] = -x[i];
    },
    gradient(out, g) {
      for (let i = 0; i < g.length; i++) out[i] = -g[i];
    },
  },
  exp: {
    forward(out, x) {
      for (let i = 0; i < x.length; i++) out[i] = Math.exp(x[i]);
    },
    gradient(out, g, y) {
      for (let i = 0; i < g.length; i++) out[i] = g[i] * y[i];
    },
  },
  log: {
    forward(out, x) {
      for (let i = 0; i < x.length; i++) out[i] = Math.log(x[i]);
    },
    gradient(out, g, x) {
      for (let i = 0; i < g.length; i++) out[i] = g[i] / x[i];
    },
  },
  sqrt: {
    forward(out, x) {
      for (let i = 0; i < x.length; i++) out[i] = Math.sqrt(x[i]);
    },
    gradient(out, g, y) {
      for (let i = 0; i < g.length; i++) out[i] = g[i] * (0.5 / y[i]);
    },
  },
  abs: {
    forward(out, x) {
      for (let i = 0; i < x.length; i++) out[i] = Math.abs(x[i]);
    },
    gradient(out, g, x) {
      for (let i = 0; i < g.length; i++) out[i] = g[i] * Math.sign(x[i]);
    },
  },
  square: {
    forward(out, x) {
      for (let i = 0; i < x.length; i++) out[i] = x[i] * x[i];
    },
    gradient(out, g, x) {
      for (let i = 0; i < g.length; i++) out[i] = g[i] * (2 * x[i]);
    },
  },
  reciprocal: {
    forward(out, x) {
      for (let i = 0; i < x.length; i++) out[i] = 1 / x[i];
    },
    gradient(out, g, y) {
      for (let i = 0; i < g.length; i++) out[i] = g[i] * -(y[i] * y[i]);
    },
  },
  sign: {
    forward(out, x) {
      for (let i = 0; i < x.length; i++) out[i] = Math.sign(x[i]);
    },
    gradient(out) {
      out.fill(0);
    },
  },
  powScalar: {
    forward(out, x, p) {
      for (let i = 0; i < x.length; i++) out[i] = pow(x[i], p);
    },
    gradient(out, g, x, p) {
      // x⁰ is constant, at x = 0 too, where the formula would give 0 · ∞.
      if (p === 0) out.fill(0);
      else for (let i = 0; i < g.length; i++) out[i] = g[i] * (p * pow(x[i], p - 1));
    },
  },
  scale: {
    forward(out, x, p, q) {
      for (let i = 0; i < x.length; i++) out[i] = p * x[i] + q;
    },
    gradient(out, g, _, p) {
      for (let i = 0; i < g.length; i++) out[i] = g[i] * p;
    },
  },
  clip: {
    forward(out, x, p, q) {
      for (let i = 0; i < x.length; i++) out[i] = Math.min(Math.max(x[i], p), q);
    },
    gradient(out, g, x, p, q) {
      for (let i = 0; i < g.length; i++) {
        const v = x[i];
        const slope = v >= p && v <= q ? 1 : Number.isNaN(v) ? v : 0;
        out[i] = g[i] * slope;
      }
    },
  },
  relu: {
    forward(out, x) {
      // −∞ · 0 would be NaN, hence the lower bound; + 0 makes 0 of −0.
      for (let i = 0; i < x.length; i++) {
        out[i] = Math.max(x[i], -Number.MAX_VALUE) * Number(x[i] > 0) + 0;
      }
    },
    gradient(out, g, y) {
      for (let i = 0; i < g.length; i++) {
        out[i] = g[i] * (Number.isNaN(y[i]) ? y[i] : Number(y[i] > 0));
      }
    },
  },
  leakyRelu: {
    forward(out, x, p) {
      slopes[0] = p;
      for (let i = 0; i < x.length; i++) out[i] = x[i] * slopes[Number(x[i] > 0)];
    },
    gradient(out, g, y, p) {
      slopes[0] = p;
      for (let i = 0; i < g.length; i++) {
        out[i] = g[i] * (Number.isNaN(y[i]) ? y[i] : slopes[Number(y[i] > 0)]);
      }
    },
  },
  elu: {
    forward(out, x, p) {
      for (let i = 0; i < x.length; i++) out[i] = x[i] > 0 ? x[i] : p * Math.expm1(x[i]);
    },
    gradient(out, g, y, p) {
      for (let i = 0; i < g.length; i++) out[i] = g[i] * (y[i] > 0 ? 1 : y[i] + p);
    },
  },
  gelu: {
    forward(out, x) {
      for (let i = 0; i < x.length; i++) out[i] = x[i] * standardNormalCdf(x[i]);
    },
    gradient(out, g, x) {
      for (let i = 0; i < g.length; i++) {
        out[i] = g[i] * (standardNormalCdf(x[i]) + x[i] * standardNormalDensity(x[i]));
      }
    },
  },
  silu: {
    forward(out, x) {
      for (let i = 0; i < x.length; i++) out[i] = x[i] / (1 + Math.exp(-x[i]));
    },
    gradient(out, g, x) {
      for (let i = 0; i < g.length; i++) {
        const s = 1 / (1 + Math.exp(-x[i]));
        out[i] = g[i] * (s * (1 + x[i] * (1 - s)));
      }
    },
  },
  softplus: {
    forward(out, x) {
      for (let i = 0; i < x.length; i++) {
        // log(1 + eˣ) without the overflow of eˣ.
        out[i] = Math.max(x[i], 0) + Math.log1p(Math.exp(-Math.abs(x[i])));
      }
    },
    gradient(out, g, y) {
      for (let i = 0; i < g.length; i++) out[i] = g[i] * -Math.expm1(-y[i]);
    },
  },
  sigmoid: {
    forward(out, x) {
      for (let i = 0; i < x.length; i++) out[i] = 1 / (1 + Math.exp(-x[i]));
    },
    gradient(out, g, y) {
      for (let i = 0; i < g.length; i++) out[i] = g[i] * (y[i] * (1 - y[i]));
    },
  },
  tanh: {
    forward(out, x) {
      for (let i = 0; i < x.length; i++) out[i] = Math.tanh(x[i]);
    },
    gradient(out, g, y) {
      for (let i = 0; i < g.length; i++) out[i] = g[i] * (1 - y[i] * y[i]);
    },
  },
};

const rule = unaryOps.map((name) => rules[name]);
const anyOp = codeFrom(0, unaryOps);

const readsOutput = unaryOps.map((name) => (gradientFromOutput as readonly string[]).includes(name));
const readsNothing = unaryOps.map((_, op) => op === unaryCode.neg || op === unaryCode.scale);

/** out = f(x) without checks, for the epilogue of a product. */
export function apply(out: Float, x: Float, op: number, p: number, q: number): void {
  rule[op].forward(out, x, p, q);
}

/** out = gradient · f′ without checks, likewise; xOrY as `gradientFromOutput` says. */
export function applyGradient(
  out: Float,
  gradient: Float,
  xOrY: Float,
  op: number,
  p: number,
  q: number,
): void {
  rule[op].gradient(out, gradient, xOrY, p, q);
}

export function unary(out: Float, x: Float, op: number, p: number, q: number): void {
  checkFloat('unary', 'out', out);
  checkLike('unary', 'x', x, 'out', out);
  checkNumber('unary', 'op', op, anyOp);
  checkNumber('unary', 'p', p);
  checkNumber('unary', 'q', q);
  checkCode('unary', 'op', op, 0, unaryOps);
  checkLength('unary', 'x', x, out.length);

  rule[op].forward(out, x, p, q);
}

export function unaryGradient(
  out: Float,
  gradient: Float,
  x: Float | null,
  y: Float | null,
  op: number,
  p: number,
  q: number,
): void {
  checkFloat('unaryGradient', 'out', out);
  checkLike('unaryGradient', 'gradient', gradient, 'out', out);
  checkLikeOrNull('unaryGradient', 'x', x, 'out', out);
  checkLikeOrNull('unaryGradient', 'y', y, 'out', out);
  checkNumber('unaryGradient', 'op', op, anyOp);
  checkNumber('unaryGradient', 'p', p);
  checkNumber('unaryGradient', 'q', q);
  checkCode('unaryGradient', 'op', op, 0, unaryOps);
  const name = readsOutput[op] ? 'y' : 'x';
  const read = readsNothing[op] ? gradient : readsOutput[op] ? y : x;
  checkNotNull('unaryGradient', name, read, 'out', out);
  checkLength('unaryGradient', 'gradient', gradient, out.length);
  if (x !== null) checkLength('unaryGradient', 'x', x, out.length);
  if (y !== null) checkLength('unaryGradient', 'y', y, out.length);

  rule[op].gradient(out, gradient, read, p, q);
}

import type { Float, Kernels } from '../../../binding.d.ts';
import { gradientFromOutput, type UnaryOp, unaryCode, unaryOps } from '../codes.ts';
import { opNumber } from '../instructions.ts';
import { runByVectors } from './chains.ts';
import { refuseType } from './check.ts';
import {
  aboveNegativeInfinity,
  finite,
  HalfSteps,
  pow,
  roundToEven,
  sigmoid,
  silu,
  standardNormalCdf,
  standardNormalDensity,
} from './math.ts';

/**
 * A loop over whole arrays for each op, and not a function of one element: a call through a table costs more than most
 * of these formulas, and a loop of its own stays specialised to one op.
 */
interface Rule {
  /** out = f(x) */
  forward(out: Float, x: Float, p: number, q: number): void;
  /**
   * out = gradient · f′, by the input or the output as `gradientFromOutput` says. Products are taken in an order in which
   * nothing leaves the range of float64 on the way to a result that does not.
   */
  gradient(out: Float, gradient: Float, xOrY: Float, p: number, q: number): void;
}

/** Below this a number has no full precision left. */
const leastNormal = 2 ** -1022;

/**
 * leakyRelu's slope below and above 0. It and relu choose without a branch: the signs of activations are as good as
 * random, and a branch predicted wrongly half of the time makes these loops four times slower.
 */
const slopes = new Float64Array([0, 1]);

/** Likewise what a mask lets pass: nothing, whatever the gradient is, or the gradient; NaN where the activation is. */
const passed = new Float64Array([0, 0, Number.NaN]);

/** What is constant almost everywhere. */
const step = (f: (x: number) => number): Rule => ({
  forward(out, x) {
    for (let i = 0; i < x.length; i++) out[i] = f(x[i]);
  },
  gradient(out) {
    out.fill(0);
  },
});

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
      for (let i = 0; i < g.length; i++) {
        // Whichever half leaves no range on the way.
        out[i] = Math.abs(y[i]) > 1 ? (0.5 * g[i]) / y[i] : g[i] / (2 * y[i]);
      }
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
      for (let i = 0; i < g.length; i++) out[i] = 2 * (g[i] * x[i]);
    },
  },
  reciprocal: {
    forward(out, x) {
      for (let i = 0; i < x.length; i++) out[i] = 1 / x[i];
    },
    gradient(out, g, y) {
      for (let i = 0; i < g.length; i++) {
        const square = y[i] * y[i];
        const inRange = square >= leastNormal && square < Infinity;
        out[i] = inRange ? -(g[i] * square) : -(g[i] * y[i] * y[i]);
      }
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
      if (p === 2) for (let i = 0; i < x.length; i++) out[i] = x[i] * x[i];
      else if (HalfSteps.fit(p)) {
        const steps = new HalfSteps(p);
        for (let i = 0; i < x.length; i++) out[i] = steps.power(x[i]);
      } else for (let i = 0; i < x.length; i++) out[i] = pow(x[i], p);
    },
    gradient(out, g, x, p) {
      // x⁰ is constant, at x = 0 too, where the formula would give 0 · ∞.
      if (p === 0) out.fill(0);
      else if (p === 2) for (let i = 0; i < g.length; i++) out[i] = 2 * (g[i] * x[i]);
      else if (HalfSteps.fit(p - 1)) {
        const steps = new HalfSteps(p - 1);
        for (let i = 0; i < g.length; i++) out[i] = g[i] * (p * steps.power(x[i]));
      } else for (let i = 0; i < g.length; i++) out[i] = g[i] * (p * pow(x[i], p - 1));
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
        out[i] = v >= p && v <= q ? g[i] : Number.isNaN(v) ? v : 0;
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
        passed[1] = g[i];
        out[i] = passed[Number(y[i] > 0) + 2 * Number(Number.isNaN(y[i]))];
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
      for (let i = 0; i < x.length; i++) out[i] = aboveNegativeInfinity(x[i]) * standardNormalCdf(x[i]);
    },
    gradient(out, g, x) {
      for (let i = 0; i < g.length; i++) {
        out[i] = g[i] * (standardNormalCdf(x[i]) + finite(x[i]) * standardNormalDensity(x[i]));
      }
    },
  },
  silu: {
    forward(out, x) {
      for (let i = 0; i < x.length; i++) out[i] = silu(x[i]);
    },
    gradient(out, g, x) {
      for (let i = 0; i < g.length; i++) {
        out[i] = g[i] * (sigmoid(x[i]) * (1 + finite(x[i]) * sigmoid(-x[i])));
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
      for (let i = 0; i < g.length; i++) out[i] = g[i] * -Math.expm1(-Math.max(y[i], 0));
    },
  },
  sigmoid: {
    forward(out, x) {
      for (let i = 0; i < x.length; i++) out[i] = sigmoid(x[i]);
    },
    gradient(out, g, y) {
      for (let i = 0; i < g.length; i++) out[i] = g[i] * y[i] * (1 - y[i]);
    },
  },
  tanh: {
    forward(out, x) {
      for (let i = 0; i < x.length; i++) out[i] = Math.tanh(x[i]);
    },
    gradient(out, g, y) {
      for (let i = 0; i < g.length; i++) out[i] = g[i] * (1 - Math.abs(y[i])) * (1 + Math.abs(y[i]));
    },
  },
  log1p: {
    forward(out, x) {
      for (let i = 0; i < x.length; i++) out[i] = Math.log1p(x[i]);
    },
    gradient(out, g, x) {
      for (let i = 0; i < g.length; i++) out[i] = g[i] / (1 + x[i]);
    },
  },
  expm1: {
    forward(out, x) {
      for (let i = 0; i < x.length; i++) out[i] = Math.expm1(x[i]);
    },
    gradient(out, g, x) {
      for (let i = 0; i < g.length; i++) out[i] = g[i] * Math.exp(x[i]);
    },
  },
  sin: {
    forward(out, x) {
      for (let i = 0; i < x.length; i++) out[i] = Math.sin(x[i]);
    },
    gradient(out, g, x) {
      for (let i = 0; i < g.length; i++) out[i] = g[i] * Math.cos(x[i]);
    },
  },
  cos: {
    forward(out, x) {
      for (let i = 0; i < x.length; i++) out[i] = Math.cos(x[i]);
    },
    gradient(out, g, x) {
      for (let i = 0; i < g.length; i++) out[i] = g[i] * -Math.sin(x[i]);
    },
  },
  floor: step(Math.floor),
  ceil: step(Math.ceil),
  round: step(roundToEven),
  logSigmoid: {
    forward(out, x) {
      for (let i = 0; i < x.length; i++) {
        out[i] = Math.min(x[i], 0) - Math.log1p(Math.exp(-Math.abs(x[i])));
      }
    },
    gradient(out, g, y) {
      for (let i = 0; i < g.length; i++) out[i] = g[i] * -Math.expm1(Math.min(y[i], 0));
    },
  },
};

/** The number of the gradient of the first op. */
const gradientOps = opNumber('unaryGradient');

const rule = unaryOps.map((name) => rules[name]);

const readsOutput = unaryOps.map((name) => (gradientFromOutput as readonly string[]).includes(name));
const readsNothing = unaryOps.map((_, op) => op === unaryCode.neg || op === unaryCode.scale);

/** out = f(x) without checks, for the epilogue of a product. */
export function apply(out: Float, x: Float, op: number, p: number, q: number): void {
  if (!runByVectors(op, out, [x], [p, q])) rule[op].forward(out, x, p, q);
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
  if (runByVectors(gradientOps + op, out, [gradient, xOrY], [p, q])) return;
  rule[op].gradient(out, gradient, xOrY, p, q);
}

export const unary: Kernels['unary'] = (out, x, op, p, q) => {
  apply(out, x, op, p, q);
};

export const unaryGradient: Kernels['unaryGradient'] = (out, gradient, x, y, op, p, q) => {
  const read = readsNothing[op] ? gradient : readsOutput[op] ? y : x;
  if (read === null) {
    refuseType(
      'unaryGradient',
      readsOutput[op] ? 'y' : 'x',
      `a ${out.constructor.name} like out for this op`,
      read,
    );
  }

  applyGradient(out, gradient, read, op, p, q);
};

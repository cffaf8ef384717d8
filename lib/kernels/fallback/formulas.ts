/**
 * Elementwise ops as code of WebAssembly SIMD, with the bits of the loops in unary.ts and binary.ts; but exp, sigmoid, tanh,
 * silu and gelu are polynomials here, in float64, whose error is too small for float32 to show but once in ten thousand.
 * Ops that are not here have no vectors.
 */
import { type BinaryOp, binaryOps, type UnaryOp, unaryOps } from '../codes.ts';
import type { Op } from '../instructions.ts';
import { type Arithmetic, type Code, f64x2, i64x2, v128 } from './wasm.ts';

/** Keeps a value that is used more than once. */
export type Keep = (value: Code) => Code;

/** The code of an op for vectors of one type. */
type Formula = (v: Arithmetic, args: readonly Code[], keep: Keep) => Code;

export interface Vectors {
  readonly formula: Formula;
  /** Whether float32 in, float32 out is what float64 would round to: no step but the last one rounds. */
  readonly isExact: boolean;
  /** Whether it is another function than that of JavaScript. */
  readonly isApproximate: boolean;
}

const exact = (formula: Formula): Vectors => ({ formula, isExact: true, isApproximate: false });
/** In float64, rounded once at the end. */
const wide = (formula: Formula): Vectors => ({ formula, isExact: false, isApproximate: false });
const approximate = (formula: Formula): Vectors => ({ formula, isExact: false, isApproximate: true });

// ── functions of float64 ────────────────────────────────────────────────────────────────────────────────────────────

const { const: number, add, sub, mul, div, min, max, gt, abs } = f64x2;

/** a where the mask is set, else 0. */
const masked = (a: Code, mask: Code) => v128.and(a, mask);

/** Coefficients from the constant one on. */
function polynomial(x: Code, coefficients: readonly number[]): Code {
  return coefficients
    .slice(0, -1)
    .reduceRight<Code>((sum, c) => add(mul(sum, x), number(c)), number(coefficients.at(-1)!));
}

/** (e^r − 1) / r for |r| up to ½·ln 2, by interpolation at Chebyshev's points, within 2·10⁻¹⁵. */
const risingExp = [
  1.0000000000000013, 0.5000000000000001, 0.16666666666615607, 0.04166666666662413, 0.008333333367332009,
  0.0013888888917213717, 0.0001984119061583585, 2.4801521295954376e-5, 2.763265575933203e-6,
  2.7620088445409746e-7,
];

/** Added to a number of this size, it rounds to a whole one, which its lowest bits then are. */
const rounder = 1.5 * 2 ** 52;

/** eˣ as a sum: 2ⁿ and 2ⁿ·(e^r − 1), with x = n·ln 2 + r; within the range of float64. */
function exponential(x: Code, keep: Keep): { scale: Code; part: Code } {
  const bounded = keep(min(max(x, number(-700)), number(700)));
  const shifted = keep(add(mul(bounded, number(Math.LOG2E)), number(rounder)));
  const n = sub(shifted, number(rounder));
  const r = keep(sub(bounded, mul(n, number(Math.LN2))));
  const scale = keep(i64x2.shiftLeft(i64x2.add(shifted, i64x2.const(1023)), 52));
  const part = keep(mul(mul(r, polynomial(r, risingExp)), scale));
  return { scale, part };
}

function exp(x: Code, keep: Keep): Code {
  const { scale, part } = exponential(x, keep);
  return add(scale, part);
}

const one = number(1);
const sigmoid = (x: Code, keep: Keep) => div(one, add(one, exp(f64x2.neg(x), keep)));
/** Beyond every float32: for products with what is next to 0 there. */
const large = 1e39;
const aboveNegativeInfinity = (x: Code) => max(x, number(-large));
const finite = (x: Code) => min(aboveNegativeInfinity(x), number(large));

function tanh(x: Code, keep: Keep): Code {
  const { scale, part } = exponential(mul(number(2), abs(x)), keep);
  const less = keep(add(part, sub(scale, one)));
  return v128.or(div(less, add(less, number(2))), v128.and(x, number(-0)));
}

/** e^(z²)·erfc(z) / t with t = 1 / (1 + 0.3·z), by interpolation at Chebyshev's points of z from 0 to 15, within 6·10⁻¹⁴. */
const scaledErfc = [
  0.16925683926061405, 0.16925832139598448, 0.16161345924751405, 0.14671161638055522, 0.12222686503504512,
  0.11148985761327951, 0.014268295245934167, 0.22444558156643105, -0.4307498930787936, 0.8844682044024855,
  -1.3211352855517087, 1.5001110904114414, -1.2773692086933253, 0.7579155382232731, -0.291128104494897,
  0.06507282159534418, -0.006455998559177849,
];

/** [Φ(x), φ(x)·√(2π)] */
function normal(x: Code, keep: Keep): { cdf: Code; gauss: Code } {
  const z = keep(mul(min(abs(x), number(21)), number(Math.SQRT1_2)));
  // Exactly 0 far out, which an infinite gradient makes NaN of.
  const gauss = keep(masked(exp(f64x2.neg(mul(z, z)), keep), f64x2.le(abs(x), number(38))));
  const t = keep(div(one, add(one, mul(number(0.3), z))));
  const tail = keep(mul(mul(number(0.5), gauss), mul(t, polynomial(t, scaledErfc))));
  return { cdf: v128.select(sub(one, tail), tail, gt(x, number(0))), gauss };
}

const density = 1 / Math.sqrt(2 * Math.PI);

// ── the ops ─────────────────────────────────────────────────────────────────────────────────────────────────────────

/** All ones, which is NaN, where x is NaN. */
const nanOf = (v: Arithmetic, x: Code) => v.ne(x, x);
const isPositive = (v: Arithmetic, x: Code) => v.gt(x, v128.zero);

const sign = (v: Arithmetic, x: Code) =>
  v128.select(v.const(1), v128.select(v.const(-1), x, v.lt(x, v128.zero)), isPositive(v, x));

const forward: Partial<Record<UnaryOp, Vectors>> = {
  neg: exact((v, [x]) => v.neg(x)),
  exp: approximate((_, [x], keep) => exp(x, keep)),
  sqrt: exact((v, [x]) => v.sqrt(x)),
  abs: exact((v, [x]) => v.abs(x)),
  square: exact((v, [x]) => v.mul(x, x)),
  reciprocal: exact((v, [x]) => v.div(v.const(1), x)),
  sign: exact((v, [x]) => sign(v, x)),
  scale: wide((v, [x, p, q]) => v.add(v.mul(p, x), q)),
  clip: wide((v, [x, p, q]) => v.min(v.max(x, p), q)),
  relu: exact((v, [x]) => v.max(x, v128.zero)),
  leakyRelu: wide((v, [x, p]) => v.mul(x, v128.select(one, p, isPositive(v, x)))),
  gelu: approximate((_, [x], keep) => mul(aboveNegativeInfinity(x), normal(x, keep).cdf)),
  silu: approximate((_, [x], keep) => mul(aboveNegativeInfinity(x), sigmoid(x, keep))),
  sigmoid: approximate((_, [x], keep) => sigmoid(x, keep)),
  tanh: approximate((_, [x], keep) => tanh(x, keep)),
};

/** Of the gradient, the input or the output, and the parameters. */
const backward: Partial<Record<UnaryOp, Vectors>> = {
  neg: exact((v, [g]) => v.neg(g)),
  exp: exact((v, [g, y]) => v.mul(g, y)),
  log: exact((v, [g, x]) => v.div(g, x)),
  sqrt: wide((_, [g, y]) =>
    v128.select(div(mul(number(0.5), g), y), div(g, mul(number(2), y)), gt(abs(y), one)),
  ),
  abs: exact((v, [g, x]) => v.mul(g, sign(v, x))),
  square: wide((_, [g, x]) => mul(number(2), mul(g, x))),
  sign: exact(() => v128.zero),
  scale: wide((_, [g, , p]) => mul(g, p)),
  clip: wide((v, [g, x, p, q]) => v128.or(masked(g, v128.and(v.ge(x, p), v.le(x, q))), nanOf(v, x))),
  relu: exact((v, [g, y]) => v128.or(masked(g, isPositive(v, y)), nanOf(v, y))),
  leakyRelu: wide((v, [g, y, p]) => mul(g, v128.or(v128.select(one, p, isPositive(v, y)), nanOf(v, y)))),
  elu: wide((v, [g, y, p]) => mul(g, v128.select(one, add(y, p), isPositive(v, y)))),
  gelu: approximate((_, [g, x], keep) => {
    const { cdf, gauss } = normal(x, keep);
    return mul(g, add(cdf, mul(finite(x), mul(number(density), gauss))));
  }),
  silu: approximate((v, [g, x], keep) => {
    const up = keep(masked(sigmoid(x, keep), v.ne(x, number(-Infinity))));
    return mul(g, mul(up, add(one, mul(finite(x), sigmoid(f64x2.neg(x), keep)))));
  }),
  sigmoid: wide((_, [g, y]) => mul(mul(g, y), sub(one, y))),
  tanh: wide((_, [g, y]) => mul(mul(g, sub(one, abs(y))), add(one, abs(y)))),
};

const flag = (compare: (v: Arithmetic, a: Code, b: Code) => Code) =>
  exact((v, [a, b]) => masked(v.const(1), compare(v, a, b)));

const both: Partial<Record<BinaryOp, Vectors>> = {
  add: exact((v, [a, b]) => v.add(a, b)),
  sub: exact((v, [a, b]) => v.sub(a, b)),
  mul: exact((v, [a, b]) => v.mul(a, b)),
  div: exact((v, [a, b]) => v.div(a, b)),
  maximum: exact((v, [a, b]) => v.max(a, b)),
  minimum: exact((v, [a, b]) => v.min(a, b)),
  equal: flag((v, a, b) => v.eq(a, b)),
  notEqual: flag((v, a, b) => v.ne(a, b)),
  greater: flag((v, a, b) => v.gt(a, b)),
  greaterEqual: flag((v, a, b) => v.ge(a, b)),
  less: flag((v, a, b) => v.lt(a, b)),
  lessEqual: flag((v, a, b) => v.le(a, b)),
};

const same = exact((_, [g]) => g);
const opposite = exact((v, [g]) => v.neg(g));
/** By an operand that wins, loses or shares a tie. */
const share = (first: number, second: number) =>
  exact((v, [g, ...operands]) => {
    const [winner, loser] = [operands[first], operands[second]];
    const half = v128.or(masked(v.mul(v.const(0.5), g), v.eq(winner, loser)), masked(g, v.gt(winner, loser)));
    return v128.or(half, v128.or(nanOf(v, winner), nanOf(v, loser)));
  });

/** By the first and by the second operand, of the gradient and both operands. */
const slopes: Partial<Record<BinaryOp, readonly [Vectors, Vectors]>> = {
  add: [same, same],
  sub: [same, opposite],
  mul: [exact((v, [g, , b]) => v.mul(g, b)), exact((v, [g, a]) => v.mul(g, a))],
  div: [exact((v, [g, , b]) => v.div(g, b)), wide((_, [g, a, b]) => mul(g, f64x2.neg(div(div(a, b), b))))],
  maximum: [share(0, 1), share(1, 0)],
  minimum: [share(1, 0), share(0, 1)],
};

const choice = exact((v, [condition, a, b]) => v128.select(a, b, v.ne(condition, v128.zero)));

/** The vectors of an op, if it has any. */
export function vectorsOf({
  form,
  code,
  operand,
}: Pick<Op, 'form' | 'code' | 'operand'>): Vectors | undefined {
  if (form === 'unary') return forward[unaryOps[code]];
  if (form === 'unaryGradient') return backward[unaryOps[code]];
  if (form === 'binary') return both[binaryOps[code]];
  if (form === 'binaryGradient') return slopes[binaryOps[code]]?.[operand];
  return form === 'where' ? choice : undefined;
}

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

const { const: number, add, sub, mul, div, least, greatest, gt, abs } = f64x2;

/** a where the mask is set, else 0. */
const masked = (a: Code, mask: Code) => v128.and(a, mask);

/** The sum of c[i]·xⁱ, by Horner's rule. */
function polynomial(x: Code, c: readonly number[]): Code {
  return c.slice(0, -1).reduceRight<Code>((sum, term) => add(mul(sum, x), number(term)), number(c.at(-1)!));
}

/** Likewise, even and odd powers apart: a processor works on both at once, and has registers for no more. */
function longPolynomial(x: Code, c: readonly number[], keep: Keep): Code {
  const square = keep(mul(x, x));
  const [even, odd] = [0, 1].map((parity) => c.filter((_, power) => power % 2 === parity));
  return add(polynomial(square, even), mul(x, polynomial(square, odd)));
}

/** (e^r − 1) / r for |r| up to ½·ln 2, by interpolation at Chebyshev's points, within 10⁻¹³. */
const risingExp = [
  1.0, 0.49999999999797773, 0.1666666666664829, 0.0416666668910917, 0.008333333353729397,
  0.001388882165071769, 0.00019841208732536384, 2.4876178959085513e-5, 2.762511557828763e-6,
];

/** Added to a number of this size, it rounds to a whole one, which its lowest bits then are. */
const rounder = 1.5 * 2 ** 52;

/** eˣ as a sum: 2ⁿ and 2ⁿ·(e^r − 1), with x = n·ln 2 + r; within the range of float64. */
function exponential(x: Code, keep: Keep): { scale: Code; part: Code } {
  const bounded = keep(least(greatest(x, number(-700)), number(700)));
  const shifted = keep(add(mul(bounded, number(Math.LOG2E)), number(rounder)));
  const n = sub(shifted, number(rounder));
  const r = keep(sub(bounded, mul(n, number(Math.LN2))));
  const scale = keep(i64x2.shiftLeft(i64x2.add(shifted, i64x2.const(1023)), 52));
  const part = keep(mul(mul(r, longPolynomial(r, risingExp, keep)), scale));
  return { scale, part };
}

/** eˣ, and a number that float32 has none of for −∞. */
export function exp(x: Code, keep: Keep): Code {
  const { scale, part } = exponential(x, keep);
  return add(scale, part);
}

const one = number(1);
const sigmoid = (x: Code, keep: Keep) => div(one, add(one, exp(f64x2.neg(x), keep)));
/** Beyond every float32: for products with what is next to 0 there. */
const large = 1e39;
const aboveNegativeInfinity = (x: Code) => greatest(x, number(-large));
const finite = (x: Code) => least(aboveNegativeInfinity(x), number(large));

function tanh(x: Code, keep: Keep): Code {
  const { scale, part } = exponential(mul(number(2), abs(x)), keep);
  const less = keep(add(part, sub(scale, one)));
  return v128.or(div(less, add(less, number(2))), v128.and(x, number(-0)));
}

/** e^(z²)·erfc(z) / t with t = 1 / (1 + 0.3·z), by interpolation at Chebyshev's points of z from 0 to 15, within 3·10⁻¹². */
const scaledErfc = [
  0.1692571480919325, 0.1692471986529757, 0.1617959787220827, 0.14489971252874928, 0.13441175251478066,
  0.05259298041832726, 0.22609491053987893, -0.35430455051420096, 0.7843670611400155, -1.0844460248405985,
  1.135269371493135, -0.8369591284655011, 0.3865293902409187, -0.09983903183418702, 0.01108323131156257,
];

/** [Φ(x), φ(x)·√(2π)] */
function normal(x: Code, keep: Keep): { cdf: Code; gauss: Code } {
  const z = keep(mul(least(abs(x), number(21)), number(Math.SQRT1_2)));
  // Exactly 0 far out, which an infinite gradient makes NaN of.
  const gauss = keep(masked(exp(f64x2.neg(mul(z, z)), keep), f64x2.le(abs(x), number(38))));
  const t = keep(div(one, add(one, mul(number(0.3), z))));
  const tail = keep(mul(mul(number(0.5), gauss), mul(t, longPolynomial(t, scaledErfc, keep))));
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
  floor: exact((v, [x]) => v.floor(x)),
  ceil: exact((v, [x]) => v.ceil(x)),
  round: exact((v, [x]) => v.nearest(x)),
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
  floor: exact(() => v128.zero),
  ceil: exact(() => v128.zero),
  round: exact(() => v128.zero),
  scale: wide((_, [g, , p]) => mul(g, p)),
  clip: wide((v, [g, x, p, q]) => v128.or(masked(g, v128.and(v.ge(x, p), v.le(x, q))), nanOf(v, x))),
  relu: exact((v, [g, y]) => v128.or(masked(g, isPositive(v, y)), nanOf(v, y))),
  leakyRelu: wide((v, [g, y, p]) => mul(g, v128.or(v128.select(one, p, isPositive(v, y)), nanOf(v, y)))),
  elu: wide((v, [g, y, p]) => mul(g, v128.select(one, add(y, p), isPositive(v, y)))),
  gelu: approximate((_, [g, x], keep) => {
    const { cdf, gauss } = normal(x, keep);
    return mul(g, add(cdf, mul(finite(x), mul(number(density), gauss))));
  }),
  // Where e⁻ˣ leaves float64 the slope is 0, as that of scalars is.
  silu: approximate((v, [g, x], keep) => {
    const e = keep(exp(f64x2.neg(x), keep));
    const up = keep(div(one, add(one, e)));
    const down = mul(e, up);
    return mul(g, mul(masked(up, v.gt(x, number(-745.2))), add(one, mul(finite(x), down))));
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

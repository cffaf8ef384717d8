import type { Data, Float, Kernels } from '../../../binding.d.ts';
import { type BinaryOp, binaryCode, binaryOps } from '../codes.ts';
import { opNumber } from '../instructions.ts';
import { runByVectors } from './chains.ts';
import { checkLength, checkLengthOneOr, refuseValue } from './check.ts';
import { checkDims, checkLayoutLength, checkReach, checkStrides, Walk } from './layout.ts';
import { pow } from './math.ts';

/**
 * A run of n elements: a at i, i + stepA, … and b at j, j + stepB, …; out (and the gradient) at o, o + 1, … Steps of 0
 * and 1 are those of a broadcast and of an ordinary operand; one loop serves both.
 */
type Forward = (
  out: Data,
  o: number,
  n: number,
  a: Data,
  i: number,
  stepA: number,
  b: Data,
  j: number,
  stepB: number,
) => void;

type Gradient = (
  out: Float,
  gradient: Float,
  o: number,
  n: number,
  a: Float,
  i: number,
  stepA: number,
  b: Float,
  j: number,
  stepB: number,
) => void;

interface Rule {
  forward: Forward;
  /** out = gradient · ∂f/∂a */
  gradientA: Gradient;
  /** out = gradient · ∂f/∂b */
  gradientB: Gradient;
}

const copyGradient: Gradient = (out, g, o, n) => {
  for (const end = o + n; o < end; o++) out[o] = g[o];
};

const negateGradient: Gradient = (out, g, o, n) => {
  for (const end = o + n; o < end; o++) out[o] = -g[o];
};

const noGradient: Gradient = (out, _, o, n) => {
  out.fill(0, o, o + n);
};

/** What the winner of a comparison gets of the gradient: all, half at a tie, else 0 whatever it is; NaN for NaN. */
function share(gradient: number, winner: number, loser: number): number {
  if (winner > loser) return gradient;
  if (winner < loser) return 0;
  return winner === loser ? 0.5 * gradient : Number.NaN;
}

/** a⁰ is constant, whatever the gradient is. */
function gradientOfBase(gradient: number, a: number, b: number): number {
  return b === 0 ? 0 : gradient * (b * pow(a, b - 1));
}

function slopeOfExponent(a: number, b: number): number {
  return a === 0 && b >= 0 ? 0 : pow(a, b) * Math.log(a);
}

const rules: Record<BinaryOp, Rule> = {
  add: {
    forward(out, o, n, a, i, stepA, b, j, stepB) {
      for (const end = o + n; o < end; o++, i += stepA, j += stepB) out[o] = a[i] + b[j];
    },
    gradientA: copyGradient,
    gradientB: copyGradient,
  },
  sub: {
    forward(out, o, n, a, i, stepA, b, j, stepB) {
      for (const end = o + n; o < end; o++, i += stepA, j += stepB) out[o] = a[i] - b[j];
    },
    gradientA: copyGradient,
    gradientB: negateGradient,
  },
  mul: {
    forward(out, o, n, a, i, stepA, b, j, stepB) {
      for (const end = o + n; o < end; o++, i += stepA, j += stepB) out[o] = a[i] * b[j];
    },
    gradientA(out, g, o, n, _a, _i, _stepA, b, j, stepB) {
      for (const end = o + n; o < end; o++, j += stepB) out[o] = g[o] * b[j];
    },
    gradientB(out, g, o, n, a, i, stepA) {
      for (const end = o + n; o < end; o++, i += stepA) out[o] = g[o] * a[i];
    },
  },
  div: {
    forward(out, o, n, a, i, stepA, b, j, stepB) {
      for (const end = o + n; o < end; o++, i += stepA, j += stepB) out[o] = a[i] / b[j];
    },
    gradientA(out, g, o, n, _a, _i, _stepA, b, j, stepB) {
      for (const end = o + n; o < end; o++, j += stepB) out[o] = g[o] / b[j];
    },
    gradientB(out, g, o, n, a, i, stepA, b, j, stepB) {
      for (const end = o + n; o < end; o++, i += stepA, j += stepB) out[o] = g[o] * -(a[i] / b[j] / b[j]);
    },
  },
  pow: {
    forward(out, o, n, a, i, stepA, b, j, stepB) {
      for (const end = o + n; o < end; o++, i += stepA, j += stepB) out[o] = pow(a[i], b[j]);
    },
    gradientA(out, g, o, n, a, i, stepA, b, j, stepB) {
      for (const end = o + n; o < end; o++, i += stepA, j += stepB) out[o] = gradientOfBase(g[o], a[i], b[j]);
    },
    gradientB(out, g, o, n, a, i, stepA, b, j, stepB) {
      for (const end = o + n; o < end; o++, i += stepA, j += stepB)
        out[o] = g[o] * slopeOfExponent(a[i], b[j]);
    },
  },
  maximum: {
    forward(out, o, n, a, i, stepA, b, j, stepB) {
      for (const end = o + n; o < end; o++, i += stepA, j += stepB) out[o] = Math.max(a[i], b[j]);
    },
    gradientA(out, g, o, n, a, i, stepA, b, j, stepB) {
      for (const end = o + n; o < end; o++, i += stepA, j += stepB) out[o] = share(g[o], a[i], b[j]);
    },
    gradientB(out, g, o, n, a, i, stepA, b, j, stepB) {
      for (const end = o + n; o < end; o++, i += stepA, j += stepB) out[o] = share(g[o], b[j], a[i]);
    },
  },
  minimum: {
    forward(out, o, n, a, i, stepA, b, j, stepB) {
      for (const end = o + n; o < end; o++, i += stepA, j += stepB) out[o] = Math.min(a[i], b[j]);
    },
    gradientA(out, g, o, n, a, i, stepA, b, j, stepB) {
      for (const end = o + n; o < end; o++, i += stepA, j += stepB) out[o] = share(g[o], b[j], a[i]);
    },
    gradientB(out, g, o, n, a, i, stepA, b, j, stepB) {
      for (const end = o + n; o < end; o++, i += stepA, j += stepB) out[o] = share(g[o], a[i], b[j]);
    },
  },
  equal: {
    forward(out, o, n, a, i, stepA, b, j, stepB) {
      for (const end = o + n; o < end; o++, i += stepA, j += stepB) out[o] = a[i] === b[j] ? 1 : 0;
    },
    gradientA: noGradient,
    gradientB: noGradient,
  },
  notEqual: {
    forward(out, o, n, a, i, stepA, b, j, stepB) {
      for (const end = o + n; o < end; o++, i += stepA, j += stepB) out[o] = a[i] !== b[j] ? 1 : 0;
    },
    gradientA: noGradient,
    gradientB: noGradient,
  },
  greater: {
    forward(out, o, n, a, i, stepA, b, j, stepB) {
      for (const end = o + n; o < end; o++, i += stepA, j += stepB) out[o] = a[i] > b[j] ? 1 : 0;
    },
    gradientA: noGradient,
    gradientB: noGradient,
  },
  greaterEqual: {
    forward(out, o, n, a, i, stepA, b, j, stepB) {
      for (const end = o + n; o < end; o++, i += stepA, j += stepB) out[o] = a[i] >= b[j] ? 1 : 0;
    },
    gradientA: noGradient,
    gradientB: noGradient,
  },
  less: {
    forward(out, o, n, a, i, stepA, b, j, stepB) {
      for (const end = o + n; o < end; o++, i += stepA, j += stepB) out[o] = a[i] < b[j] ? 1 : 0;
    },
    gradientA: noGradient,
    gradientB: noGradient,
  },
  lessEqual: {
    forward(out, o, n, a, i, stepA, b, j, stepB) {
      for (const end = o + n; o < end; o++, i += stepA, j += stepB) out[o] = a[i] <= b[j] ? 1 : 0;
    },
    gradientA: noGradient,
    gradientB: noGradient,
  },
};

const rule = binaryOps.map((name) => rules[name]);

/** Of int32: what else leaves its range is exact in float64, and wraps around when it is stored. */
const multiplyIntegers: Forward = (out, o, n, a, i, stepA, b, j, stepB) => {
  for (const end = o + n; o < end; o++, i += stepA, j += stepB) out[o] = Math.imul(a[i], b[j]);
};
const walk = new Walk(2);

/** The numbers of the first ops. */
const [firstOp, whereOp] = [opNumber('binary'), opNumber('where')];
const firstGradients = [opNumber('binaryGradient', 0, 0), opNumber('binaryGradient', 0, 1)];

/** Whether op number `number` of arrays as long as `out` was computed by vectors. */
function areVectors(number: number, out: Data, arrays: readonly Data[]): boolean {
  const { length } = out;
  return (
    out instanceof Float32Array &&
    arrays.every((array) => array.length === length) &&
    runByVectors(number, out, arrays as Float32Array[], [])
  );
}

/** out = f(a, b) without checks, with steps of 0 or 1. */
export function applyBinary(out: Float, a: Float, stepA: number, b: Float, stepB: number, op: number): void {
  rule[op].forward(out, 0, out.length, a, 0, stepA, b, 0, stepB);
}

/** out = gradient · ∂f/∂a or, by operand 1, ∂f/∂b, likewise. */
export function applyBinaryGradient(
  out: Float,
  gradient: Float,
  a: Float,
  b: Float,
  op: number,
  operand: 0 | 1,
): void {
  const run = operand === 0 ? rule[op].gradientA : rule[op].gradientB;
  run(out, gradient, 0, out.length, a, 0, 1, b, 0, 1);
}

export const binary: Kernels['binary'] = (out, a, b, layout, op) => {
  const isInteger = out instanceof Int32Array;
  if (isInteger && (op === binaryCode.div || op === binaryCode.pow)) {
    refuseValue('binary', 'op', 'neither div nor pow for Int32Array', op);
  }
  checkOperands('binary', out, a, b, layout);

  const forward = isInteger && op === binaryCode.mul ? multiplyIntegers : rule[op].forward;
  if (layout === null) {
    if (areVectors(firstOp + op, out, [a, b])) return;
    const n = out.length;
    forward(out, 0, n, a, 0, a.length === n ? 1 : 0, b, 0, b.length === n ? 1 : 0);
    return;
  }
  walk.start(layout, layout.length / 3);
  const { position, step, size } = walk;
  if (size === 0) return;
  let o = 0;
  do {
    forward(out, o, size, a, position[0], step[0], b, position[1], step[1]);
    o += size;
  } while (walk.next());
};

export const binaryGradient: Kernels['binaryGradient'] = (out, gradient, a, b, layout, op, operand) => {
  checkOperands('binaryGradient', out, a, b, layout);

  const run = operand === 0 ? rule[op].gradientA : rule[op].gradientB;
  if (layout === null) {
    if (areVectors(firstGradients[operand] + op, out, [gradient, a, b])) return;
    const n = out.length;
    run(out, gradient, 0, n, a, 0, a.length === n ? 1 : 0, b, 0, b.length === n ? 1 : 0);
    return;
  }
  walk.start(layout, layout.length / 3);
  const { position, step, size } = walk;
  if (size === 0) return;
  let o = 0;
  do {
    run(out, gradient, o, size, a, position[0], step[0], b, position[1], step[1]);
    o += size;
  } while (walk.next());
};

function checkOperands(kernel: string, out: Data, a: Data, b: Data, layout: Int32Array | null): void {
  if (layout === null) {
    checkLengthOneOr(kernel, 'a', a, out.length);
    checkLengthOneOr(kernel, 'b', b, out.length);
    return;
  }
  checkLayoutLength(kernel, layout, 3, 0, 1);
  const rank = layout.length / 3;
  const size = checkDims(kernel, layout, rank);
  checkStrides(kernel, layout, rank);
  checkLength(kernel, 'out', out, size);
  if (size === 0) return;
  checkReach(kernel, layout, rank, 1, 0, 'a', a.length);
  checkReach(kernel, layout, rank, 2, 0, 'b', b.length);
}

const whereWalk = new Walk(3);

/** The choice between a and b, likewise. */
export function applyWhere(
  out: Float,
  condition: Float,
  stepC: number,
  a: Float,
  stepA: number,
  b: Float,
  stepB: number,
): void {
  select(out, 0, out.length, condition, 0, stepC, a, 0, stepA, b, 0, stepB);
}

export const where: Kernels['where'] = (out, condition, a, b, layout) => {
  if (layout === null) {
    const n = out.length;
    checkLengthOneOr('where', 'condition', condition, n);
    checkLengthOneOr('where', 'a', a, n);
    checkLengthOneOr('where', 'b', b, n);

    if (areVectors(whereOp, out, [condition, a, b])) return;
    const stepC = condition.length === n ? 1 : 0;
    select(out, 0, n, condition, 0, stepC, a, 0, a.length === n ? 1 : 0, b, 0, b.length === n ? 1 : 0);
    return;
  }
  checkLayoutLength('where', layout, 4, 0, 1);
  const rank = layout.length / 4;
  const count = checkDims('where', layout, rank);
  checkStrides('where', layout, rank);
  checkLength('where', 'out', out, count);
  if (count === 0) return;
  checkReach('where', layout, rank, 1, 0, 'condition', condition.length);
  checkReach('where', layout, rank, 2, 0, 'a', a.length);
  checkReach('where', layout, rank, 3, 0, 'b', b.length);

  whereWalk.start(layout, rank);
  const { position, step, size } = whereWalk;
  let o = 0;
  do {
    select(out, o, size, condition, position[0], step[0], a, position[1], step[1], b, position[2], step[2]);
    o += size;
  } while (whereWalk.next());
};

function select(
  out: Data,
  o: number,
  n: number,
  condition: Data,
  c: number,
  stepC: number,
  a: Data,
  i: number,
  stepA: number,
  b: Data,
  j: number,
  stepB: number,
): void {
  for (const end = o + n; o < end; o++, c += stepC, i += stepA, j += stepB) {
    out[o] = condition[c] !== 0 ? a[i] : b[j];
  }
}

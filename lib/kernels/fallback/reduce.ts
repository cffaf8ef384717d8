import type { Data, Kernels } from '../../../binding.d.ts';
import { DataError } from '../../errors.ts';
import { type ReduceOp, reduceCode, reduceOps } from '../codes.ts';
import { refuseValue } from './check.ts';
import { Product, Sum } from './math.ts';

/**
 * Results in the making, float64 whatever the type of the arrays: one for each of up to `lanes` columns, so that a
 * reduction along the first axis reads memory in order. The corrections belong to sums of float64 (Neumaier, see Sum in
 * math.ts); for float32 the accumulator alone has digits enough for any length.
 */
const lanes = 1024;
const value = new Float64Array(lanes);
const correction = new Float64Array(lanes);
const products: Product[] = [];

interface Rule {
  start: number;
  /** Takes the `count` elements from `first` on into value[lane]. */
  along(x: Data, first: number, count: number, lane: number): void;
  /** Takes the `count` elements from `first` on into value[0], value[1], … */
  across(x: Data, first: number, count: number): void;
}

const rules: Record<ReduceOp, Rule> = {
  sum: {
    start: 0,
    along(x, first, count, lane) {
      let total = 0;
      for (let i = first; i < first + count; i++) total += x[i];
      value[lane] += total;
    },
    across(x, first, count) {
      for (let j = 0, i = first; j < count; j++, i++) value[j] += x[i];
    },
  },
  product: {
    start: 1,
    along(x, first, count, lane) {
      for (let i = first; i < first + count; i++) products[lane].times(x[i]);
    },
    across(x, first, count) {
      for (let j = 0, i = first; j < count; j++, i++) products[j].times(x[i]);
    },
  },
  max: {
    start: -Infinity,
    along(x, first, count, lane) {
      let largest = value[lane];
      for (let i = first; i < first + count; i++) largest = Math.max(largest, x[i]);
      value[lane] = largest;
    },
    across(x, first, count) {
      for (let j = 0, i = first; j < count; j++, i++) value[j] = Math.max(value[j], x[i]);
    },
  },
  min: {
    start: Infinity,
    along(x, first, count, lane) {
      let smallest = value[lane];
      for (let i = first; i < first + count; i++) smallest = Math.min(smallest, x[i]);
      value[lane] = smallest;
    },
    across(x, first, count) {
      for (let j = 0, i = first; j < count; j++, i++) value[j] = Math.min(value[j], x[i]);
    },
  },
  sumOfSquares: {
    start: 0,
    along(x, first, count, lane) {
      let total = 0;
      for (let i = first; i < first + count; i++) total += x[i] * x[i];
      value[lane] += total;
    },
    across(x, first, count) {
      for (let j = 0, i = first; j < count; j++, i++) value[j] += x[i] * x[i];
    },
  },
};

function addCorrected(lane: number, term: number): void {
  const before = value[lane];
  const sum = before + term;
  correction[lane] += Math.abs(before) >= Math.abs(term) ? before - sum + term : term - sum + before;
  value[lane] = sum;
}

const sumOfFloat64: Rule = {
  start: 0,
  along(x, first, count, lane) {
    for (let i = first; i < first + count; i++) addCorrected(lane, x[i]);
  },
  across(x, first, count) {
    for (let j = 0, i = first; j < count; j++, i++) addCorrected(j, x[i]);
  },
};

const sumOfSquaresOfFloat64: Rule = {
  start: 0,
  along(x, first, count, lane) {
    for (let i = first; i < first + count; i++) addCorrected(lane, x[i] * x[i]);
  },
  across(x, first, count) {
    for (let j = 0, i = first; j < count; j++, i++) addCorrected(j, x[i] * x[i]);
  },
};

const float32Rule = reduceOps.map((name) => rules[name]);
const float64Rule = reduceOps.map((name) => {
  if (name === 'sum') return sumOfFloat64;
  return name === 'sumOfSquares' ? sumOfSquaresOfFloat64 : rules[name];
});

export const reduce: Kernels['reduce'] = (out, x, k0, r0, k1, r1, op, scale) => {
  if ((op === reduceCode.max || op === reduceCode.min) && scale !== 1) {
    refuseValue('reduce', 'scale', '1 for max and min', scale);
  }
  if (out instanceof Int32Array) reduceIntegers(out, x, k0, r0, k1, r1, op, scale);
  else reduceAll(out, x, k0, r0, k1, r1, op, scale);
};

/** By way of float64, whose corrected sums are exact, so that nothing is written unless int32 holds all of it. */
const reduceIntegers: Kernels['reduce'] = (out, x, k0, r0, k1, r1, op, scale) => {
  if (op === reduceCode.product || op === reduceCode.sumOfSquares) {
    refuseValue('reduce', 'op', 'sum, max or min for Int32Array', op);
  }
  if (scale !== 1) refuseValue('reduce', 'scale', '1 for Int32Array', scale);
  const results = new Float64Array(out.length);
  reduceAll(results, x, k0, r0, k1, r1, op, scale);
  const wrong = results.findIndex((result) => (result | 0) !== result);
  if (wrong >= 0) {
    throw new DataError(
      `[reduce] expected out[${wrong}] to fit int32, got ${results[wrong]}: use cast('float64')`,
    );
  }
  out.set(results);
};

const reduceAll: Kernels['reduce'] = (out, x, k0, r0, k1, r1, op, scale) => {
  if (out.length === 0) return;
  const rule = x instanceof Float32Array ? float32Rule[op] : float64Rule[op];
  // Empty runs are none, however many.
  const runs = r1 === 0 ? 0 : r0;
  for (let i = 0; i < k0; i++) {
    for (let j = 0; j < k1; j += lanes) {
      const count = Math.min(lanes, k1 - j);
      value.fill(rule.start, 0, count);
      correction.fill(0, 0, count);
      if (op === reduceCode.product) for (let lane = 0; lane < count; lane++) products[lane] = new Product();
      for (let r = 0; r < runs; r++) {
        const first = ((i * r0 + r) * k1 + j) * r1;
        if (r1 === 1) rule.across(x, first, count);
        else for (let lane = 0; lane < count; lane++) rule.along(x, first + lane * r1, r1, lane);
      }
      for (let lane = 0; lane < count; lane++) {
        const o = i * k1 + j + lane;
        if (op === reduceCode.product) {
          products[lane].times(scale);
          out[o] = products[lane].value;
          continue;
        }
        const total = scale * (value[lane] + correction[lane]);
        // The correction of an infinite sum is ∞ − ∞.
        out[o] = Number.isFinite(total)
          ? total
          : reduceAgain(x, (i * r0 * k1 + j + lane) * r1, r0, k1 * r1, r1, op, scale, value[lane]);
      }
    }
  }
};

/**
 * scale · the sum of r0 runs of r1 finite numbers, or of their squares, whatever the size of partial sums; scale · before
 * where not all are finite, and for extremes.
 */
function reduceAgain(
  x: Data,
  first: number,
  r0: number,
  stride: number,
  r1: number,
  op: number,
  scale: number,
  before: number,
): number {
  if (op === reduceCode.max || op === reduceCode.min) return scale * before;
  const isSum = op === reduceCode.sum;
  // The terms so small that no sum of them overflows.
  const unit = isSum ? 2 ** -64 : 2 ** -540;
  const sum = new Sum();
  for (let r = 0; r < r0; r++) {
    for (let i = first + r * stride, end = i + r1; i < end; i++) {
      if (!Number.isFinite(x[i])) return scale * before;
      sum.add(isSum ? x[i] * unit : (x[i] * unit) ** 2);
    }
  }
  const result = new Product();
  for (const factor of isSum ? [scale, sum.value, 1 / unit] : [scale, sum.value, 1 / unit, 1 / unit]) {
    result.times(factor);
  }
  return result.value;
}

export const argmax: Kernels['argmax'] = (out, x, outer, size, inner, least) => {
  if (out.length === 0) return;
  for (let i = 0; i < outer; i++) {
    for (let j = 0; j < inner; j++) {
      const first = i * size * inner + j;
      let best = 0;
      let found = x[first];
      for (let n = 1; n < size && !Number.isNaN(found); n++) {
        const candidate = x[first + n * inner];
        if (!(least === 1 ? candidate >= found : candidate <= found)) {
          best = n;
          found = candidate;
        }
      }
      out[i * inner + j] = best;
    }
  }
};

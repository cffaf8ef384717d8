import type { Data, Kernels } from '../../../binding.d.ts';
import { DataError } from '../../errors.ts';
import { type ReduceOp, reduceCode, reduceOps } from '../codes.ts';
import { refuseValue } from './check.ts';
import { sumLoop } from './loops.ts';
import { Product, Sum } from './math.ts';

/** Columns that are reduced beside each other, so that a reduction along the first axis reads memory in order. */
const lanes = 1024;
/** Elements that are asked for at most at once. */
export const pieceSize = 4096;

/**
 * Results in the making, float64 whatever the type of the arrays: one for each of up to `lanes` columns. The corrections
 * belong to sums of float64 (Neumaier, see Sum in math.ts); for float32 the accumulator alone has digits enough for any
 * length.
 */
class Accumulators {
  readonly value = new Float64Array(lanes);
  readonly correction = new Float64Array(lanes);
  readonly products: Product[] = [];

  addCorrected(lane: number, term: number): void {
    const before = this.value[lane];
    const sum = before + term;
    this.correction[lane] += Math.abs(before) >= Math.abs(term) ? before - sum + term : term - sum + before;
    this.value[lane] = sum;
  }
}

interface Rule {
  start: number;
  /** Takes the `count` elements from `first` on into one lane. */
  along(into: Accumulators, x: Data, first: number, count: number, lane: number): void;
  /** Takes the `count` elements from `first` on into lane 0, 1, … */
  across(into: Accumulators, x: Data, first: number, count: number): void;
}

const squares: Rule = {
  start: 0,
  along({ value }, x, first, count, lane) {
    let total = 0;
    for (let i = first; i < first + count; i++) total += x[i] * x[i];
    value[lane] += total;
  },
  across({ value }, x, first, count) {
    for (let j = 0, i = first; j < count; j++, i++) value[j] += x[i] * x[i];
  },
};

const rules: Record<ReduceOp, Rule> = {
  sum: {
    start: 0,
    along({ value }, x, first, count, lane) {
      let total = 0;
      for (let i = first; i < first + count; i++) total += x[i];
      value[lane] += total;
    },
    across({ value }, x, first, count) {
      for (let j = 0, i = first; j < count; j++, i++) value[j] += x[i];
    },
  },
  product: {
    start: 1,
    along({ products }, x, first, count, lane) {
      for (let i = first; i < first + count; i++) products[lane].times(x[i]);
    },
    across({ products }, x, first, count) {
      for (let j = 0, i = first; j < count; j++, i++) products[j].times(x[i]);
    },
  },
  max: {
    start: -Infinity,
    along({ value }, x, first, count, lane) {
      let largest = value[lane];
      for (let i = first; i < first + count; i++) largest = Math.max(largest, x[i]);
      value[lane] = largest;
    },
    across({ value }, x, first, count) {
      for (let j = 0, i = first; j < count; j++, i++) value[j] = Math.max(value[j], x[i]);
    },
  },
  min: {
    start: Infinity,
    along({ value }, x, first, count, lane) {
      let smallest = value[lane];
      for (let i = first; i < first + count; i++) smallest = Math.min(smallest, x[i]);
      value[lane] = smallest;
    },
    across({ value }, x, first, count) {
      for (let j = 0, i = first; j < count; j++, i++) value[j] = Math.min(value[j], x[i]);
    },
  },
  sumOfSquares: squares,
  norm: squares,
};

const sumOfFloat64: Rule = {
  start: 0,
  along(into, x, first, count, lane) {
    for (let i = first; i < first + count; i++) into.addCorrected(lane, x[i]);
  },
  across(into, x, first, count) {
    for (let j = 0, i = first; j < count; j++, i++) into.addCorrected(j, x[i]);
  },
};

const sumOfSquaresOfFloat64: Rule = {
  start: 0,
  along(into, x, first, count, lane) {
    for (let i = first; i < first + count; i++) into.addCorrected(lane, x[i] * x[i]);
  },
  across(into, x, first, count) {
    for (let j = 0, i = first; j < count; j++, i++) into.addCorrected(j, x[i] * x[i]);
  },
};

const float32Rule = reduceOps.map((name) => rules[name]);
const float64Rule = reduceOps.map((name) => {
  if (name === 'sum') return sumOfFloat64;
  return rules[name] === squares ? sumOfSquaresOfFloat64 : rules[name];
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
  if (op === reduceCode.product || op === reduceCode.sumOfSquares || op === reduceCode.norm) {
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
  if (op === reduceCode.sum && k0 * r1 === 1 && sumLoop.suitsColumns(x, k1)) {
    // As `reduceFrom` adds, row after row in float64.
    const [sums] = sumLoop.columns([], [x], r0, k1);
    for (let i = 0; i < k1; i++) out[i] = scale * sums[i];
    return;
  }
  const again = (_: number, first: number, count: number) => x.subarray(first, first + count);
  reduceFrom({ arrays: [x], at: (first) => first, again }, [{ out, op, scale }], k0, r0, k1, r1);
};

/** What is reduced: arrays, or what computes them. */
export interface Source {
  /** The elements for each reduction. */
  readonly arrays: readonly Data[];
  /**
   * Where in the arrays the `count` elements from position `first` on are. All up to position `end` are asked for next, in
   * order.
   */
  at(first: number, count: number, end: number): number;
  /** An array that has the elements of a reduction from position `first` on at its beginning, asked for once more. */
  again(reduction: number, first: number, count: number): Data;
}

export interface Reduction {
  readonly out: Data;
  readonly op: number;
  readonly scale: number;
}

const accumulators: Accumulators[] = [];

/** All reductions of a source of k0 × r0 × k1 × r1 elements, in one pass. */
export function reduceFrom(
  source: Source,
  reductions: readonly Reduction[],
  k0: number,
  r0: number,
  k1: number,
  r1: number,
): void {
  if (k1 === 0) return;
  if (r0 === 1 && k0 !== 1) {
    // The same columns, all beside each other.
    reduceFrom(source, reductions, 1, 1, k0 * k1, r1);
    return;
  }
  const { arrays } = source;
  while (accumulators.length < reductions.length) accumulators.push(new Accumulators());
  const ruleOf = reductions.map(
    ({ op }, which) => (arrays[which] instanceof Float32Array ? float32Rule : float64Rule)[op],
  );
  // Empty runs are none, however many.
  const runs = r1 === 0 ? 0 : r0;
  const total = k0 * r0 * k1 * r1;
  for (let i = 0; i < k0; i++) {
    for (let j = 0; j < k1; j += lanes) {
      const count = Math.min(lanes, k1 - j);
      for (let which = 0; which < reductions.length; which++) {
        const { value, correction, products } = accumulators[which];
        value.fill(ruleOf[which].start, 0, count);
        correction.fill(0, 0, count);
        if (reductions[which].op !== reduceCode.product) continue;
        for (let lane = 0; lane < count; lane++) products[lane] = new Product();
      }
      for (let r = 0; r < runs; r++) {
        const first = ((i * r0 + r) * k1 + j) * r1;
        const end = k1 <= lanes ? total : first + count * r1;
        if (r1 === 1) {
          const at = source.at(first, count, end);
          for (let which = 0; which < reductions.length; which++) {
            ruleOf[which].across(accumulators[which], arrays[which], at, count);
          }
          continue;
        }
        for (let lane = 0; lane < count; lane++) {
          for (let part = 0; part < r1; part += pieceSize) {
            const length = Math.min(pieceSize, r1 - part);
            const at = source.at(first + lane * r1 + part, length, end);
            for (let which = 0; which < reductions.length; which++) {
              ruleOf[which].along(accumulators[which], arrays[which], at, length, lane);
            }
          }
        }
      }
      for (let which = 0; which < reductions.length; which++) {
        const { out, op, scale } = reductions[which];
        const { value, correction, products } = accumulators[which];
        for (let lane = 0; lane < count; lane++) {
          const o = i * k1 + j + lane;
          if (op === reduceCode.product) {
            products[lane].times(scale);
            out[o] = products[lane].value;
            continue;
          }
          const sum = value[lane] + correction[lane];
          const result = scale * (op === reduceCode.norm ? Math.sqrt(sum) : sum);
          // The correction of an infinite sum is ∞ − ∞. Sums of float32 do not leave the range.
          const isLost = op === reduceCode.norm && sum < leastSquares;
          const isRight = (Number.isFinite(result) && !isLost) || arrays[which] instanceof Float32Array;
          const from = (i * r0 * k1 + j + lane) * r1;
          out[o] = isRight
            ? result
            : reduceAgain(source, which, from, runs, k1 * r1, r1, op, scale, value[lane]);
        }
      }
    }
  }
}

/** Below it, squares lack digits. */
const leastSquares = 2 ** -960;

/**
 * scale · the sum of r0 runs of r1 finite numbers, or of their squares, whatever the size of partial sums; scale · before
 * where not all are finite, and for extremes.
 */
function reduceAgain(
  source: Source,
  which: number,
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
  const isNorm = op === reduceCode.norm;
  // The terms so small that no sum of them overflows, or so large that their squares are there.
  const unit = isSum ? 2 ** -64 : isNorm && before < leastSquares ? 2 ** 540 : 2 ** -540;
  const sum = new Sum();
  for (let r = 0; r < r0; r++) {
    for (let part = 0; part < r1; part += pieceSize) {
      const length = Math.min(pieceSize, r1 - part);
      const x = source.again(which, first + r * stride + part, length);
      for (let i = 0; i < length; i++) {
        if (!Number.isFinite(x[i])) return scale * before;
        sum.add(isSum ? x[i] * unit : (x[i] * unit) ** 2);
      }
    }
  }
  const result = new Product();
  const factors = [scale, isNorm ? Math.sqrt(sum.value) : sum.value, 1 / unit];
  if (op === reduceCode.sumOfSquares) factors.push(1 / unit);
  for (const factor of factors) result.times(factor);
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

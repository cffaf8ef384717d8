import type { Float, Kernels } from '../../../binding.d.ts';
import { exp } from './formulas.ts';
import { Loop, sumLoop, wide } from './loops.ts';
import { Sum } from './math.ts';

// ── rows of float32 by vectors, the same formulas ───────────────────────────────────────────────────────────────────

const { add, sub, mul } = wide;

/** The sums of e^(x − largest); and what is summed. */
const [totalLoop, exponentialLoop] = [0, 1].map(
  (outs) =>
    new Loop(1, outs, 1, 1, (body, [x], [largest], [sum]) => {
      const e = body.both(exp, sub(body.widen(x), largest));
      return { outs: outs === 0 ? [] : [body.narrow(e)], sums: [add(sum, e)] };
    }),
);

const scaleLoop = new Loop(1, 1, 1, 0, (body, [x], [scale]) => ({
  outs: [body.narrow(mul(body.widen(x), scale))],
}));

const logLoop = new Loop(1, 1, 2, 0, (body, [x], [largest, logTotal]) => ({
  outs: [body.narrow(sub(sub(body.widen(x), largest), logTotal))],
}));

const productLoop = new Loop(2, 0, 0, 1, (body, [g, y], _, [sum]) => ({
  sums: [add(sum, mul(body.widen(g), body.widen(y)))],
}));

const gradientLoop = new Loop(2, 1, 1, 0, (body, [g, y], [total]) => ({
  outs: [body.narrow(mul(body.widen(y), sub(body.widen(g), total)))],
}));

const logGradientLoop = new Loop(2, 1, 1, 0, (body, [g, y], [total]) => ({
  outs: [body.narrow(sub(body.widen(g), mul(body.both(exp, body.widen(y)), total)))],
}));

const largestOf = (x: Float, rows: number, size: number) =>
  new Float64Array(rows).map((_, row) => maximum(x, row * size, size, 1));

/** Softmax of rows; returns Σ eˣ of each, less its largest x. */
function softmaxRows(
  out: Float32Array,
  x: Float32Array,
  largest: Float64Array,
  rows: number,
  size: number,
): Float64Array {
  const [totals] = exponentialLoop.rows([out], [x], rows, size, [largest], -Infinity);
  scaleLoop.rows([out], [out], rows, size, [totals.map((total) => 1 / total)]);
  return totals;
}

// ── the kernels ─────────────────────────────────────────────────────────────────────────────────────────────────────

export const softmax: Kernels['softmax'] = (out, x, outer, size, inner, log) => {
  if (out.length === 0) return;
  if (inner === 1 && exponentialLoop.suitsRows(x, size)) {
    const largest = largestOf(x, outer, size);
    if (log === 0) {
      softmaxRows(out as Float32Array, x, largest, outer, size);
      return;
    }
    const [totals] = totalLoop.rows([], [x], outer, size, [largest], -Infinity);
    logLoop.rows([out as Float32Array], [x], outer, size, [largest, totals.map(Math.log)]);
    return;
  }
  for (let i = 0; i < outer; i++) {
    for (let j = 0; j < inner; j++) {
      const first = i * size * inner + j;
      if (log === 1) logSoftmaxLine(out, x, first, size, inner);
      else softmaxLine(out, x, first, size, inner);
    }
  }
};

/** The maximum but for NaN, which every term of the sum that follows brings back. */
function maximum(x: Float, first: number, size: number, stride: number): number {
  let largest = -Infinity;
  for (let n = 0, i = first; n < size; n++, i += stride) if (x[i] > largest) largest = x[i];
  return largest;
}

/** Softmax of x[first], x[first + stride], …; returns Σ eˣ less the largest x. */
function softmaxLine(out: Float, x: Float, first: number, size: number, stride: number): number {
  const largest = maximum(x, first, size, stride);
  let total = 0;
  for (let n = 0, i = first; n < size; n++, i += stride) {
    const e = Math.exp(x[i] - largest);
    out[i] = e;
    total += e;
  }
  const scale = 1 / total;
  for (let n = 0, i = first; n < size; n++, i += stride) out[i] *= scale;
  return total;
}

function logSoftmaxLine(out: Float, x: Float, first: number, size: number, stride: number): void {
  const largest = maximum(x, first, size, stride);
  let total = 0;
  for (let n = 0, i = first; n < size; n++, i += stride) total += Math.exp(x[i] - largest);
  const logTotal = Math.log(total);
  for (let n = 0, i = first; n < size; n++, i += stride) out[i] = x[i] - largest - logTotal;
}

export const softmaxGradient: Kernels['softmaxGradient'] = (out, gradient, y, outer, size, inner, log) => {
  if (out.length === 0) return;
  if (inner === 1 && gradientLoop.suitsRows(y, size)) {
    const arrays = [gradient as Float32Array, y];
    const [totals] =
      log === 1 ? sumLoop.rows([], [arrays[0]], outer, size) : productLoop.rows([], arrays, outer, size);
    (log === 1 ? logGradientLoop : gradientLoop).rows([out as Float32Array], arrays, outer, size, [totals]);
    return;
  }
  for (let i = 0; i < outer; i++) {
    for (let j = 0; j < inner; j++) {
      const first = i * size * inner + j;
      if (log === 1) logGradientLine(out, gradient, y, first, size, inner);
      else gradientLine(out, gradient, y, first, size, inner);
    }
  }
};

/** y · (g − Σ g·y) */
function gradientLine(out: Float, g: Float, y: Float, first: number, size: number, stride: number): void {
  let total = 0;
  for (let n = 0, i = first; n < size; n++, i += stride) total += g[i] * y[i];
  for (let n = 0, i = first; n < size; n++, i += stride) out[i] = y[i] * (g[i] - total);
}

/** g − e^y · Σ g */
function logGradientLine(out: Float, g: Float, y: Float, first: number, size: number, stride: number): void {
  let total = 0;
  for (let n = 0, i = first; n < size; n++, i += stride) total += g[i];
  for (let n = 0, i = first; n < size; n++, i += stride) out[i] = g[i] - Math.exp(y[i]) * total;
}

export const logSumExp: Kernels['logSumExp'] = (out, x, outer, size, inner) => {
  for (let o = 0; o < outer * inner; o++) {
    const first = Math.floor(o / inner) * size * inner + (o % inner);
    const largest = maximum(x, first, size, inner);
    // ∞ less ∞ would be no number.
    const shift = Number.isFinite(largest) ? largest : 0;
    let total = 0;
    for (let n = 0, i = first; n < size; n++, i += inner) total += Math.exp(x[i] - shift);
    out[o] = shift + Math.log(total);
  }
};

export const softmaxCrossEntropy: Kernels['softmaxCrossEntropy'] = (
  out,
  probabilities,
  logits,
  labels,
  rows,
  classes,
  scale,
) => {
  // Read before the softmax is written: probabilities may be the array of the logits.
  const largest = largestOf(logits, rows, classes);
  const margins = largest.map((value, row) => value - logits[row * classes + labels[row]]);
  const isByVectors = exponentialLoop.suitsRows(logits, classes);
  const totals = isByVectors
    ? softmaxRows(probabilities as Float32Array, logits, largest, rows, classes)
    : largest.map((_, row) => softmaxLine(probabilities, logits, row * classes, classes, 1));
  const losses = totals.map((total, row) => Math.log(total) + margins[row]);
  if (out.length === rows) {
    for (let row = 0; row < rows; row++) out[row] = scale * losses[row];
    return;
  }
  const sum = new Sum();
  for (const loss of losses) sum.add(loss);
  out[0] = scale * sum.value;
};

export const softmaxCrossEntropyGradient: Kernels['softmaxCrossEntropyGradient'] = (
  out,
  gradient,
  probabilities,
  labels,
  rows,
  classes,
  scale,
) => {
  const step = gradient.length === rows ? 1 : 0;
  for (let row = 0, i = 0; row < rows; row++) {
    const factor = scale * gradient[row * step];
    const label = i + labels[row];
    const target = factor * (probabilities[label] - 1);
    for (const end = i + classes; i < end; i++) out[i] = factor * probabilities[i];
    out[label] = target;
  }
};

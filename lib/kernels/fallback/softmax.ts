import type { Float, Kernels } from '../../../binding.d.ts';
import { Sum } from './math.ts';

export const softmax: Kernels['softmax'] = (out, x, outer, size, inner, log) => {
  if (out.length === 0) return;
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

/** Softmax of x[first], x[first + stride], …; returns the logarithm of Σ eˣ less the largest x. */
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
  return Math.log(total);
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
  const total = new Sum();
  for (let row = 0; row < rows; row++) {
    const first = row * classes;
    // Read before the softmax is written: probabilities may be the array of the logits.
    const margin = maximum(logits, first, classes, 1) - logits[first + labels[row]];
    const loss = softmaxLine(probabilities, logits, first, classes, 1) + margin;
    if (out.length === rows) out[row] = scale * loss;
    else total.add(loss);
  }
  if (out.length !== rows) out[0] = scale * total.value;
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

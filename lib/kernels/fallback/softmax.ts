import type { Flag, Float } from '../../../binding.d.ts';
import {
  anyFinite,
  anyFlag,
  anySize,
  checkFinite,
  checkFlag,
  checkFloat,
  checkIndices,
  checkInt32,
  checkLength,
  checkLengthOneOr,
  checkLike,
  checkNumber,
  checkSize,
} from './check.ts';
import { Sum } from './math.ts';

export function softmax(out: Float, x: Float, outer: number, size: number, inner: number, log: Flag): void {
  checkFloat('softmax', 'out', out);
  checkLike('softmax', 'x', x, 'out', out);
  checkShape('softmax', outer, size, inner, log);
  checkLength('softmax', 'out', out, outer * size * inner);
  checkLength('softmax', 'x', x, outer * size * inner);

  if (out.length === 0) return;
  for (let i = 0; i < outer; i++) {
    for (let j = 0; j < inner; j++) {
      const first = i * size * inner + j;
      if (log === 1) logSoftmaxLine(out, x, first, size, inner);
      else softmaxLine(out, x, first, size, inner);
    }
  }
}

function checkShape(kernel: string, outer: number, size: number, inner: number, log: number): void {
  checkNumber(kernel, 'outer', outer, anySize);
  checkNumber(kernel, 'size', size, anySize);
  checkNumber(kernel, 'inner', inner, anySize);
  checkNumber(kernel, 'log', log, anyFlag);
  checkSize(kernel, 'outer', outer);
  checkSize(kernel, 'size', size);
  checkSize(kernel, 'inner', inner);
  checkFlag(kernel, 'log', log);
}

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

export function softmaxGradient(
  out: Float,
  gradient: Float,
  y: Float,
  outer: number,
  size: number,
  inner: number,
  log: Flag,
): void {
  checkFloat('softmaxGradient', 'out', out);
  checkLike('softmaxGradient', 'gradient', gradient, 'out', out);
  checkLike('softmaxGradient', 'y', y, 'out', out);
  checkShape('softmaxGradient', outer, size, inner, log);
  checkLength('softmaxGradient', 'out', out, outer * size * inner);
  checkLength('softmaxGradient', 'gradient', gradient, outer * size * inner);
  checkLength('softmaxGradient', 'y', y, outer * size * inner);

  if (out.length === 0) return;
  for (let i = 0; i < outer; i++) {
    for (let j = 0; j < inner; j++) {
      const first = i * size * inner + j;
      if (log === 1) logGradientLine(out, gradient, y, first, size, inner);
      else gradientLine(out, gradient, y, first, size, inner);
    }
  }
}

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

export function softmaxCrossEntropy(
  out: Float,
  probabilities: Float,
  logits: Float,
  labels: Int32Array,
  rows: number,
  classes: number,
  scale: number,
): void {
  checkFloat('softmaxCrossEntropy', 'out', out);
  checkLike('softmaxCrossEntropy', 'probabilities', probabilities, 'out', out);
  checkLike('softmaxCrossEntropy', 'logits', logits, 'out', out);
  checkInt32('softmaxCrossEntropy', 'labels', labels);
  checkRows('softmaxCrossEntropy', rows, classes, scale);
  checkLengthOneOr('softmaxCrossEntropy', 'out', out, rows);
  checkLength('softmaxCrossEntropy', 'probabilities', probabilities, rows * classes);
  checkLength('softmaxCrossEntropy', 'logits', logits, rows * classes);
  checkLength('softmaxCrossEntropy', 'labels', labels, rows);
  checkIndices('softmaxCrossEntropy', 'labels', labels, classes);

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
}

function checkRows(kernel: string, rows: number, classes: number, scale: number): void {
  checkNumber(kernel, 'rows', rows, anySize);
  checkNumber(kernel, 'classes', classes, anySize);
  checkNumber(kernel, 'scale', scale, anyFinite);
  checkSize(kernel, 'rows', rows);
  checkSize(kernel, 'classes', classes);
  checkFinite(kernel, 'scale', scale);
}

export function softmaxCrossEntropyGradient(
  out: Float,
  gradient: Float,
  probabilities: Float,
  labels: Int32Array,
  rows: number,
  classes: number,
  scale: number,
): void {
  const kernel = 'softmaxCrossEntropyGradient';
  checkFloat(kernel, 'out', out);
  checkLike(kernel, 'gradient', gradient, 'out', out);
  checkLike(kernel, 'probabilities', probabilities, 'out', out);
  checkInt32(kernel, 'labels', labels);
  checkRows(kernel, rows, classes, scale);
  checkLength(kernel, 'out', out, rows * classes);
  checkLengthOneOr(kernel, 'gradient', gradient, rows);
  checkLength(kernel, 'probabilities', probabilities, rows * classes);
  checkLength(kernel, 'labels', labels, rows);
  checkIndices(kernel, 'labels', labels, classes);

  const step = gradient.length === rows ? 1 : 0;
  for (let row = 0, i = 0; row < rows; row++) {
    const factor = scale * gradient[row * step];
    const label = i + labels[row];
    const target = factor * (probabilities[label] - 1);
    for (const end = i + classes; i < end; i++) out[i] = factor * probabilities[i];
    out[label] = target;
  }
}

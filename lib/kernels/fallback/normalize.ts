import type { Flag, Float } from '../../../binding.d.ts';
import {
  anyFinite,
  anyFlag,
  anySize,
  checkFinite,
  checkFlag,
  checkFloat,
  checkLength,
  checkLike,
  checkLikeOrNull,
  checkNumber,
  checkSize,
} from './check.ts';
import {
  activate,
  activateGradient,
  checkActivation,
  checkActivationOfOutput,
  checkActivationType,
} from './epilogue.ts';
import { Sum, Sums } from './math.ts';

/** Elements of the rows whose output is recomputed at a time. */
const blockElements = 2 ** 14;

/** What numbers whose sum or squares leave the range of float64 are multiplied by for the time being. */
const unit = 2 ** -600;

/** The mean and the variance of `count` numbers, `stride` apart, that are multiplied by `unit`. */
function scaledMoments(
  x: Float,
  first: number,
  stride: number,
  count: number,
): { mean: number; variance: number } {
  const sum = new Sum();
  for (let n = 0, i = first; n < count; n++, i += stride) sum.add(x[i] * unit);
  const mean = sum.value / count;
  const squares = new Sum();
  for (let n = 0, i = first; n < count; n++, i += stride) squares.add((x[i] * unit - mean) ** 2);
  return { mean, variance: squares.value / count };
}

/**
 * (x − mean)·factor + shift, by halves: the difference, and the product beside the shift, may be twice as large as the
 * largest number.
 */
function normalOf(x: number, mean: number, factor: number, shift = 0): number {
  return 2 * ((0.5 * x - 0.5 * mean) * factor + 0.5 * shift);
}

export function batchMoments(
  mean: Float,
  inverse: Float,
  runningMean: Float | null,
  runningVariance: Float | null,
  x: Float,
  rows: number,
  channels: number,
  epsilon: number,
  momentum: number,
): void {
  const kernel = 'batchMoments';
  checkFloat(kernel, 'mean', mean);
  checkLike(kernel, 'inverse', inverse, 'mean', mean);
  checkLikeOrNull(kernel, 'runningMean', runningMean, 'mean', mean);
  checkLikeOrNull(kernel, 'runningVariance', runningVariance, 'mean', mean);
  checkLike(kernel, 'x', x, 'mean', mean);
  checkNumber(kernel, 'rows', rows, anySize);
  checkNumber(kernel, 'channels', channels, anySize);
  checkNumber(kernel, 'epsilon', epsilon, anyFinite);
  checkNumber(kernel, 'momentum', momentum, anyFinite);
  checkSize(kernel, 'rows', rows);
  checkSize(kernel, 'channels', channels);
  checkFinite(kernel, 'epsilon', epsilon);
  checkFinite(kernel, 'momentum', momentum);
  checkLength(kernel, 'mean', mean, channels);
  checkLength(kernel, 'inverse', inverse, channels);
  if (runningMean !== null) checkLength(kernel, 'runningMean', runningMean, channels);
  if (runningVariance !== null) checkLength(kernel, 'runningVariance', runningVariance, channels);
  checkLength(kernel, 'x', x, rows * channels);

  const sums = new Sums(channels);
  for (let i = 0; i < x.length; i += channels) for (let c = 0; c < channels; c++) sums.add(c, x[i + c]);
  const means = new Float64Array(channels).map((_, c) => sums.value(c) / Math.max(rows, 1));
  const squares = new Sums(channels);
  for (let i = 0; i < x.length; i += channels) {
    for (let c = 0; c < channels; c++) squares.add(c, (x[i + c] - means[c]) ** 2);
  }
  for (let c = 0; c < channels; c++) {
    let center = means[c];
    let variance = squares.value(c) / Math.max(rows, 1);
    let factor = 1 / Math.sqrt(variance + epsilon);
    if (!Number.isFinite(variance)) {
      const scaled = scaledMoments(x, c, channels, rows);
      center = scaled.mean / unit;
      variance = scaled.variance / unit / unit;
      factor = unit / Math.sqrt(scaled.variance + epsilon * unit * unit);
    }
    mean[c] = center;
    inverse[c] = factor;
    if (rows === 0) continue;
    const unbiased = rows === 1 ? variance : variance * (rows / (rows - 1));
    if (runningMean !== null) runningMean[c] = (1 - momentum) * runningMean[c] + momentum * center;
    if (runningVariance !== null) {
      runningVariance[c] = (1 - momentum) * runningVariance[c] + momentum * unbiased;
    }
  }
}

export function batchNorm(
  out: Float,
  x: Float,
  mean: Float,
  inverse: Float,
  scale: Float | null,
  shift: Float | null,
  rows: number,
  channels: number,
  activation: number,
  parameter: number,
): void {
  checkFloat('batchNorm', 'out', out);
  checkLike('batchNorm', 'x', x, 'out', out);
  checkLike('batchNorm', 'mean', mean, 'out', out);
  checkLike('batchNorm', 'inverse', inverse, 'out', out);
  checkLikeOrNull('batchNorm', 'scale', scale, 'out', out);
  checkLikeOrNull('batchNorm', 'shift', shift, 'out', out);
  checkNumber('batchNorm', 'rows', rows, anySize);
  checkNumber('batchNorm', 'channels', channels, anySize);
  checkActivationType('batchNorm', activation, parameter);
  checkSize('batchNorm', 'rows', rows);
  checkSize('batchNorm', 'channels', channels);
  checkActivation('batchNorm', activation);
  checkLength('batchNorm', 'out', out, rows * channels);
  checkLength('batchNorm', 'x', x, rows * channels);
  checkLength('batchNorm', 'mean', mean, channels);
  checkLength('batchNorm', 'inverse', inverse, channels);
  if (scale !== null) checkLength('batchNorm', 'scale', scale, channels);
  if (shift !== null) checkLength('batchNorm', 'shift', shift, channels);

  normalize(out, x, mean, inverse, scale, shift, channels);
  activate(out, activation, parameter);
}

/** out = (x − mean)·inverse·scale + shift by columns. */
function normalize(
  out: Float,
  x: Float,
  mean: Float,
  inverse: Float,
  scale: Float | null,
  shift: Float | null,
  channels: number,
): void {
  const factors = Float64Array.from(inverse, (value, c) => value * (scale === null ? 1 : scale[c]));
  const shifts = Float64Array.from(inverse, (_, c) => (shift === null ? 0 : shift[c]));
  for (let i = 0; i < out.length; i += channels) {
    for (let c = 0; c < channels; c++) out[i + c] = normalOf(x[i + c], mean[c], factors[c], shifts[c]);
  }
}

export function batchNormGradient(
  out: Float,
  scaleGradient: Float,
  shiftGradient: Float,
  gradient: Float,
  x: Float,
  mean: Float,
  inverse: Float,
  scale: Float | null,
  shift: Float | null,
  rows: number,
  channels: number,
  activation: number,
  parameter: number,
  moments: Flag,
): void {
  const kernel = 'batchNormGradient';
  checkFloat(kernel, 'out', out);
  checkLike(kernel, 'scaleGradient', scaleGradient, 'out', out);
  checkLike(kernel, 'shiftGradient', shiftGradient, 'out', out);
  checkLike(kernel, 'gradient', gradient, 'out', out);
  checkLike(kernel, 'x', x, 'out', out);
  checkLike(kernel, 'mean', mean, 'out', out);
  checkLike(kernel, 'inverse', inverse, 'out', out);
  checkLikeOrNull(kernel, 'scale', scale, 'out', out);
  checkLikeOrNull(kernel, 'shift', shift, 'out', out);
  checkNumber(kernel, 'rows', rows, anySize);
  checkNumber(kernel, 'channels', channels, anySize);
  checkActivationType(kernel, activation, parameter);
  checkNumber(kernel, 'moments', moments, anyFlag);
  checkSize(kernel, 'rows', rows);
  checkSize(kernel, 'channels', channels);
  checkFlag(kernel, 'moments', moments);
  checkActivationOfOutput(kernel, activation);
  checkLength(kernel, 'out', out, rows * channels);
  checkLength(kernel, 'scaleGradient', scaleGradient, channels);
  checkLength(kernel, 'shiftGradient', shiftGradient, channels);
  checkLength(kernel, 'gradient', gradient, rows * channels);
  checkLength(kernel, 'x', x, rows * channels);
  checkLength(kernel, 'mean', mean, channels);
  checkLength(kernel, 'inverse', inverse, channels);
  if (scale !== null) checkLength(kernel, 'scale', scale, channels);
  if (shift !== null) checkLength(kernel, 'shift', shift, channels);

  // out holds dz first: it may be the array of gradient, which is then no longer needed.
  const step = Math.max(1, Math.floor(blockElements / Math.max(channels, 1))) * channels;
  for (let first = 0; first < out.length; first += step) {
    const part = (array: Float): Float => array.subarray(first, first + step) as Float;
    if (activation === -1) {
      activateGradient(part(out), part(gradient), part(gradient), activation, parameter);
      continue;
    }
    const y = part(x).slice() as Float;
    normalize(y, y, mean, inverse, scale, shift, channels);
    activate(y, activation, parameter);
    activateGradient(part(out), part(gradient), y, activation, parameter);
  }
  const dz = new Sums(channels);
  const dzNormal = new Sums(channels);
  for (let i = 0; i < out.length; i += channels) {
    for (let c = 0; c < channels; c++) {
      dz.add(c, out[i + c]);
      dzNormal.add(c, out[i + c] * normalOf(x[i + c], mean[c], inverse[c]));
    }
  }
  // What moves with the moments of x; nothing where they are constants.
  const share = (sums: Sums) =>
    Float64Array.from(inverse, (_, c) => (moments === 1 ? sums.value(c) / rows : 0));
  const [along, alongNormal] = [share(dz), share(dzNormal)];
  const factors = Float64Array.from(inverse, (value, c) => value * (scale === null ? 1 : scale[c]));
  for (let i = 0; i < out.length; i += channels) {
    for (let c = 0; c < channels; c++) {
      const normal = normalOf(x[i + c], mean[c], inverse[c]);
      out[i + c] = factors[c] * (out[i + c] - (along[c] + normal * alongNormal[c]));
    }
  }
  for (let c = 0; c < channels; c++) {
    scaleGradient[c] = dzNormal.value(c);
    shiftGradient[c] = dz.value(c);
  }
}

export function layerNorm(
  out: Float,
  mean: Float,
  inverse: Float,
  x: Float,
  scale: Float | null,
  shift: Float | null,
  rows: number,
  size: number,
  epsilon: number,
): void {
  checkFloat('layerNorm', 'out', out);
  checkLike('layerNorm', 'mean', mean, 'out', out);
  checkLike('layerNorm', 'inverse', inverse, 'out', out);
  checkLike('layerNorm', 'x', x, 'out', out);
  checkLikeOrNull('layerNorm', 'scale', scale, 'out', out);
  checkLikeOrNull('layerNorm', 'shift', shift, 'out', out);
  checkNumber('layerNorm', 'rows', rows, anySize);
  checkNumber('layerNorm', 'size', size, anySize);
  checkNumber('layerNorm', 'epsilon', epsilon, anyFinite);
  checkSize('layerNorm', 'rows', rows);
  checkSize('layerNorm', 'size', size);
  checkFinite('layerNorm', 'epsilon', epsilon);
  checkLength('layerNorm', 'out', out, rows * size);
  checkLength('layerNorm', 'mean', mean, rows);
  checkLength('layerNorm', 'inverse', inverse, rows);
  checkLength('layerNorm', 'x', x, rows * size);
  if (scale !== null) checkLength('layerNorm', 'scale', scale, size);
  if (shift !== null) checkLength('layerNorm', 'shift', shift, size);

  for (let row = 0; row < rows; row++) {
    const first = row * size;
    const sum = new Sum();
    for (let j = 0; j < size; j++) sum.add(x[first + j]);
    let center = sum.value / Math.max(size, 1);
    const squares = new Sum();
    for (let j = 0; j < size; j++) squares.add((x[first + j] - center) ** 2);
    const variance = squares.value / Math.max(size, 1);
    let factor = 1 / Math.sqrt(variance + epsilon);
    if (!Number.isFinite(variance)) {
      const scaled = scaledMoments(x, first, 1, size);
      center = scaled.mean / unit;
      factor = unit / Math.sqrt(scaled.variance + epsilon * unit * unit);
    }
    mean[row] = center;
    inverse[row] = factor;
    for (let j = 0; j < size; j++) {
      // By halves, as in normalOf.
      const half = (0.5 * x[first + j] - 0.5 * center) * factor;
      out[first + j] = 2 * (half * (scale === null ? 1 : scale[j]) + (shift === null ? 0 : 0.5 * shift[j]));
    }
  }
}

export function layerNormGradient(
  out: Float,
  scaleGradient: Float,
  shiftGradient: Float,
  gradient: Float,
  x: Float,
  mean: Float,
  inverse: Float,
  scale: Float | null,
  rows: number,
  size: number,
): void {
  const kernel = 'layerNormGradient';
  checkFloat(kernel, 'out', out);
  checkLike(kernel, 'scaleGradient', scaleGradient, 'out', out);
  checkLike(kernel, 'shiftGradient', shiftGradient, 'out', out);
  checkLike(kernel, 'gradient', gradient, 'out', out);
  checkLike(kernel, 'x', x, 'out', out);
  checkLike(kernel, 'mean', mean, 'out', out);
  checkLike(kernel, 'inverse', inverse, 'out', out);
  checkLikeOrNull(kernel, 'scale', scale, 'out', out);
  checkNumber(kernel, 'rows', rows, anySize);
  checkNumber(kernel, 'size', size, anySize);
  checkSize(kernel, 'rows', rows);
  checkSize(kernel, 'size', size);
  checkLength(kernel, 'out', out, rows * size);
  checkLength(kernel, 'scaleGradient', scaleGradient, size);
  checkLength(kernel, 'shiftGradient', shiftGradient, size);
  checkLength(kernel, 'gradient', gradient, rows * size);
  checkLength(kernel, 'x', x, rows * size);
  checkLength(kernel, 'mean', mean, rows);
  checkLength(kernel, 'inverse', inverse, rows);
  if (scale !== null) checkLength(kernel, 'scale', scale, size);

  const gradients = new Sums(size);
  const gradientsNormal = new Sums(size);
  for (let row = 0; row < rows; row++) {
    const first = row * size;
    const dz = new Sum();
    const dzNormal = new Sum();
    for (let j = 0; j < size; j++) {
      const g = gradient[first + j];
      const normal = normalOf(x[first + j], mean[row], inverse[row]);
      gradients.add(j, g);
      gradientsNormal.add(j, g * normal);
      const own = g * (scale === null ? 1 : scale[j]);
      dz.add(own);
      dzNormal.add(own * normal);
    }
    for (let j = 0; j < size; j++) {
      const normal = normalOf(x[first + j], mean[row], inverse[row]);
      const own = gradient[first + j] * (scale === null ? 1 : scale[j]);
      out[first + j] = inverse[row] * (own - (dz.value + normal * dzNormal.value) / size);
    }
  }
  for (let j = 0; j < size; j++) {
    scaleGradient[j] = gradientsNormal.value(j);
    shiftGradient[j] = gradients.value(j);
  }
}

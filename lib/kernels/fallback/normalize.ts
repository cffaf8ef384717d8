import type { Float, Kernels } from '../../../binding.d.ts';
import { activate, activateGradient } from './epilogue.ts';
import { Sum, Sums } from './math.ts';

/** Elements of the rows whose output is recomputed at a time. */
const blockElements = 2 ** 14;

interface Moments {
  mean: number;
  variance: number;
  /** 1 / √(variance + ε) */
  inverse: number;
}

/**
 * The moments of `count` numbers, `stride` apart, whose sum or squares leave the range of float64, made by a power of two
 * smaller for the time being where they have to be; NaN and the like for numbers that are not finite.
 */
function largeMoments(x: Float, first: number, stride: number, count: number, epsilon: number): Moments {
  const unit = 2 ** -600;
  const average = (term: (value: number) => number): number => {
    const sum = new Sum();
    for (let n = 0, i = first; n < count; n++, i += stride) sum.add(term(x[i]));
    return sum.value / count;
  };
  let center = average((value) => value * unit);
  // Once more about the mean: equal numbers deviate by nothing then.
  if (Number.isFinite(center)) center += average((value) => value * unit - center);
  const mean = center / unit;
  const variance = average((value) => (value - mean) ** 2);
  if (Number.isFinite(variance)) return { mean, variance, inverse: 1 / Math.sqrt(variance + epsilon) };
  const scaled = average((value) => (value * unit - center) ** 2);
  return {
    mean,
    variance: scaled / unit / unit,
    inverse: unit / Math.sqrt(scaled + epsilon * unit * unit),
  };
}

/**
 * (x − mean − remainder)·factor + shift, by halves: the difference, and the product beside the shift, may be twice as large
 * as the largest number.
 */
function normalOf(x: number, mean: number, remainder: number, factor: number, shift = 0): number {
  return 2 * ((0.5 * x - 0.5 * mean - 0.5 * remainder) * factor + 0.5 * shift);
}

/** Puts mean + lack at a place of both arrays, as far as they hold it. */
function putMean(means: Float, remainders: Float, at: number, mean: number, lack: number): void {
  means[at] = mean;
  const remainder = mean - means[at] + lack;
  remainders[at] = Number.isFinite(remainder) ? remainder : 0;
}

export const batchMoments: Kernels['batchMoments'] = (
  mean,
  remainder,
  inverse,
  runningMean,
  runningVariance,
  recentRows,
  x,
  rows,
  channels,
  epsilon,
  momentum,
) => {
  const sums = new Sums(channels);
  for (let i = 0; i < x.length; i += channels) for (let c = 0; c < channels; c++) sums.add(c, x[i + c]);
  const means = new Float64Array(channels).map((_, c) => sums.value(c) / Math.max(rows, 1));
  const squares = new Sums(channels);
  const deviations = new Float64Array(channels);
  for (let i = 0; i < x.length; i += channels) {
    for (let c = 0; c < channels; c++) {
      const deviation = x[i + c] - means[c];
      deviations[c] += deviation;
      squares.add(c, deviation ** 2);
    }
  }
  // There is no variance of one row.
  const moves = rows > 1;
  let share = momentum;
  if (moves && recentRows !== null) {
    const most = recentRows[0] > rows ? recentRows[0] : rows;
    share *= (rows - 1) / (most - 1);
    recentRows[0] = Math.max(rows, most / 2);
  }
  for (let c = 0; c < channels; c++) {
    let center = means[c];
    let lack = deviations[c] / Math.max(rows, 1);
    let variance = squares.value(c) / Math.max(rows, 1) - lack * lack;
    if (variance < 0) variance = 0;
    let factor = 1 / Math.sqrt(variance + epsilon);
    if (!Number.isFinite(variance)) {
      ({ mean: center, variance, inverse: factor } = largeMoments(x, c, channels, rows, epsilon));
      lack = 0;
    }
    putMean(mean, remainder, c, center, lack);
    inverse[c] = factor;
    if (!moves) continue;
    const unbiased = variance * (rows / (rows - 1));
    if (runningMean !== null) runningMean[c] = (1 - share) * runningMean[c] + share * (center + lack);
    if (runningVariance !== null) runningVariance[c] = (1 - share) * runningVariance[c] + share * unbiased;
  }
};

export const batchNorm: Kernels['batchNorm'] = (
  out,
  x,
  mean,
  remainder,
  inverse,
  scale,
  shift,
  _rows,
  channels,
  activation,
  parameter,
) => {
  normalize(out, x, mean, remainder, inverse, scale, shift, channels);
  activate(out, activation, parameter);
};

/** out = (x − mean − remainder)·inverse·scale + shift by columns. */
function normalize(
  out: Float,
  x: Float,
  mean: Float,
  remainder: Float | null,
  inverse: Float,
  scale: Float | null,
  shift: Float | null,
  channels: number,
): void {
  const factors = Float64Array.from(inverse, (value, c) => value * (scale === null ? 1 : scale[c]));
  const shifts = Float64Array.from(inverse, (_, c) => (shift === null ? 0 : shift[c]));
  for (let i = 0; i < out.length; i += channels) {
    for (let c = 0; c < channels; c++) {
      out[i + c] = normalOf(x[i + c], mean[c], remainder === null ? 0 : remainder[c], factors[c], shifts[c]);
    }
  }
}

export const batchNormGradient: Kernels['batchNormGradient'] = (
  out,
  scaleGradient,
  shiftGradient,
  gradient,
  x,
  mean,
  remainder,
  inverse,
  scale,
  shift,
  rows,
  channels,
  activation,
  parameter,
  moments,
) => {
  const hatOf = (i: number, c: number) =>
    normalOf(x[i + c], mean[c], remainder === null ? 0 : remainder[c], inverse[c]);
  // out holds dz first: it may be the array of gradient, which is then no longer needed.
  const step = Math.max(1, Math.floor(blockElements / Math.max(channels, 1))) * channels;
  for (let first = 0; first < out.length; first += step) {
    const part = (array: Float): Float => array.subarray(first, first + step) as Float;
    if (activation === -1) {
      activateGradient(part(out), part(gradient), part(gradient), activation, parameter);
      continue;
    }
    const y = part(x).slice() as Float;
    normalize(y, y, mean, remainder, inverse, scale, shift, channels);
    activate(y, activation, parameter);
    activateGradient(part(out), part(gradient), y, activation, parameter);
  }
  const dz = new Sums(channels);
  const dzNormal = new Sums(channels);
  for (let i = 0; i < out.length; i += channels) {
    for (let c = 0; c < channels; c++) {
      dz.add(c, out[i + c]);
      dzNormal.add(c, out[i + c] * hatOf(i, c));
    }
  }
  // What moves with the moments of x; nothing where they are constants.
  const share = (sums: Sums) =>
    Float64Array.from(inverse, (_, c) => (moments === 1 ? sums.value(c) / rows : 0));
  const [along, alongNormal] = [share(dz), share(dzNormal)];
  const factors = Float64Array.from(inverse, (value, c) => value * (scale === null ? 1 : scale[c]));
  for (let i = 0; i < out.length; i += channels) {
    for (let c = 0; c < channels; c++) {
      const normal = hatOf(i, c);
      out[i + c] = factors[c] * (out[i + c] - (along[c] + normal * alongNormal[c]));
    }
  }
  for (let c = 0; c < channels; c++) {
    scaleGradient[c] = dzNormal.value(c);
    shiftGradient[c] = dz.value(c);
  }
};

export const layerNorm: Kernels['layerNorm'] = (
  out,
  mean,
  remainder,
  inverse,
  x,
  scale,
  shift,
  rows,
  size,
  epsilon,
) => {
  for (let row = 0; row < rows; row++) {
    const first = row * size;
    const sum = new Sum();
    for (let j = 0; j < size; j++) sum.add(x[first + j]);
    let center = sum.value / Math.max(size, 1);
    const squares = new Sum();
    let deviations = 0;
    for (let j = 0; j < size; j++) {
      const deviation = x[first + j] - center;
      deviations += deviation;
      squares.add(deviation ** 2);
    }
    let lack = deviations / Math.max(size, 1);
    let variance = squares.value / Math.max(size, 1) - lack * lack;
    if (variance < 0) variance = 0;
    let factor = 1 / Math.sqrt(variance + epsilon);
    if (!Number.isFinite(variance)) {
      ({ mean: center, inverse: factor } = largeMoments(x, first, 1, size, epsilon));
      lack = 0;
    }
    putMean(mean, remainder, row, center, lack);
    inverse[row] = factor;
    for (let j = 0; j < size; j++) {
      // By halves, as in normalOf.
      const half = (0.5 * x[first + j] - 0.5 * center - 0.5 * lack) * factor;
      out[first + j] = 2 * (half * (scale === null ? 1 : scale[j]) + (shift === null ? 0 : 0.5 * shift[j]));
    }
  }
};

export const layerNormGradient: Kernels['layerNormGradient'] = (
  out,
  scaleGradient,
  shiftGradient,
  gradient,
  x,
  mean,
  remainder,
  inverse,
  scale,
  rows,
  size,
) => {
  const gradients = new Sums(size);
  const gradientsNormal = new Sums(size);
  for (let row = 0; row < rows; row++) {
    const first = row * size;
    const dz = new Sum();
    const dzNormal = new Sum();
    for (let j = 0; j < size; j++) {
      const g = gradient[first + j];
      const normal = normalOf(x[first + j], mean[row], remainder[row], inverse[row]);
      gradients.add(j, g);
      gradientsNormal.add(j, g * normal);
      const own = g * (scale === null ? 1 : scale[j]);
      dz.add(own);
      dzNormal.add(own * normal);
    }
    for (let j = 0; j < size; j++) {
      const normal = normalOf(x[first + j], mean[row], remainder[row], inverse[row]);
      const own = gradient[first + j] * (scale === null ? 1 : scale[j]);
      out[first + j] = inverse[row] * (own - (dz.value + normal * dzNormal.value) / size);
    }
  }
  for (let j = 0; j < size; j++) {
    scaleGradient[j] = gradientsNormal.value(j);
    shiftGradient[j] = gradients.value(j);
  }
};

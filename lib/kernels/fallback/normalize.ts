import type { Float, Kernels } from '../../../binding.d.ts';
import { unaryCode } from '../codes.ts';
import { activate, activateGradient } from './epilogue.ts';
import { Loop, type Wide, wide } from './loops.ts';
import { Sum, Sums } from './math.ts';
import { f32x4, v128 } from './wasm.ts';

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

// ── float32 by vectors, whose sums float64 holds without corrections ──────────────────────────────────────────────

const { add, sub, mul } = wide;

const sumLoop = new Loop(1, 0, 0, 1, (body, [x], _, [sum]) => ({ sums: [add(sum, body.widen(x))] }));

const deviationLoop = new Loop(1, 0, 1, 2, (body, [x], [mean], [deviations, squares]) => {
  const deviation = body.keepWide(sub(body.widen(x), mean));
  return { sums: [add(deviations, deviation), add(squares, mul(deviation, deviation))] };
});

const centered = (x: Wide, mean: Wide, remainder: Wide) => sub(sub(x, mean), remainder);

const normalLoop = new Loop(1, 1, 4, 0, (body, [x], [mean, remainder, factor, shift]) => ({
  outs: [body.narrow(add(mul(centered(body.widen(x), mean, remainder), factor), shift))],
}));

/** The sums of dz, and of dz by what is normal, where the gradient is dz; or where it is that of ReLU, and dz as well. */
const gradientLoops = [false, true].map(
  (isRelu) =>
    new Loop(
      2,
      Number(isRelu),
      5,
      2,
      (body, [g, x], [mean, remainder, inverse, factor, shift], [along, alongNormal]) => {
        const center = body.keepWide(centered(body.widen(x), mean, remainder));
        let dz = g;
        if (isRelu) {
          const y = body.narrow(add(mul(center, factor), shift));
          // NaN where y is.
          dz = body.keep(v128.or(v128.and(g, f32x4.gt(y, v128.zero)), f32x4.ne(y, y)));
        }
        const own = body.widen(dz);
        return {
          outs: isRelu ? [dz] : [],
          sums: [add(along, own), add(alongNormal, mul(own, mul(center, inverse)))],
        };
      },
    ),
);

const inputGradientLoop = new Loop(2, 1, 6, 0, (body, [dz, x], own) => {
  const [mean, remainder, inverse, factor, along, alongNormal] = own;
  const normal = mul(centered(body.widen(x), mean, remainder), inverse);
  return { outs: [body.narrow(mul(factor, sub(body.widen(dz), add(along, mul(normal, alongNormal)))))] };
});

/** Sums of x by columns, and about their means of the deviations and of their squares. */
function columnMoments(x: Float, rows: number, channels: number): [Float64Array, Float64Array, Float64Array] {
  const many = Math.max(rows, 1);
  if (sumLoop.suitsColumns(x, channels)) {
    const means = sumLoop.columns([], [x], rows, channels)[0].map((sum) => sum / many);
    const [deviations, squares] = deviationLoop.columns([], [x], rows, channels, [means]);
    return [means, deviations, squares];
  }
  const sums = new Sums(channels);
  for (let i = 0; i < x.length; i += channels) for (let c = 0; c < channels; c++) sums.add(c, x[i + c]);
  const means = new Float64Array(channels).map((_, c) => sums.value(c) / many);
  const squares = new Sums(channels);
  const deviations = new Float64Array(channels);
  for (let i = 0; i < x.length; i += channels) {
    for (let c = 0; c < channels; c++) {
      const deviation = x[i + c] - means[c];
      deviations[c] += deviation;
      squares.add(c, deviation ** 2);
    }
  }
  return [means, deviations, Float64Array.from(means, (_, c) => squares.value(c))];
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
  const [means, deviations, squares] = columnMoments(x, rows, channels);
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
    let variance = squares[c] / Math.max(rows, 1) - lack * lack;
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

/** What columns are multiplied by and get added, and what their means lack; in float64. */
function affine(
  mean: Float,
  remainder: Float | null,
  inverse: Float,
  scale: Float | null,
  shift: Float | null,
) {
  return {
    factors: Float64Array.from(inverse, (value, c) => value * (scale === null ? 1 : scale[c])),
    shifts: Float64Array.from(inverse, (_, c) => (shift === null ? 0 : shift[c])),
    remainders: Float64Array.from(mean, (_, c) => (remainder === null ? 0 : remainder[c])),
  };
}

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
  const { factors, shifts, remainders } = affine(mean, remainder, inverse, scale, shift);
  if (normalLoop.suitsColumns(x, channels)) {
    const own = [Float64Array.from(mean), remainders, factors, shifts];
    normalLoop.columns([out as Float32Array], [x], x.length / channels, channels, own);
    return;
  }
  for (let i = 0; i < out.length; i += channels) {
    for (let c = 0; c < channels; c++) {
      out[i + c] = normalOf(x[i + c], mean[c], remainders[c], factors[c], shifts[c]);
    }
  }
}

/** out = gradient by what batchNorm gave before its activation. */
function backThrough(
  out: Float,
  gradient: Float,
  x: Float,
  mean: Float,
  remainder: Float | null,
  inverse: Float,
  scale: Float | null,
  shift: Float | null,
  channels: number,
  activation: number,
  parameter: number,
): void {
  if (activation === -1) {
    activateGradient(out, gradient, gradient, activation, parameter);
    return;
  }
  const step = Math.max(1, Math.floor(blockElements / Math.max(channels, 1))) * channels;
  for (let first = 0; first < out.length; first += step) {
    const part = (array: Float): Float => array.subarray(first, first + step) as Float;
    const y = part(x).slice() as Float;
    normalize(y, y, mean, remainder, inverse, scale, shift, channels);
    activate(y, activation, parameter);
    activateGradient(part(out), part(gradient), y, activation, parameter);
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
  const isByVectors = inputGradientLoop.suitsColumns(x, channels);
  const isRelu = isByVectors && activation === unaryCode.relu;
  // out holds dz first: it may be the array of gradient, which is then no longer needed.
  if (!isRelu) {
    backThrough(out, gradient, x, mean, remainder, inverse, scale, shift, channels, activation, parameter);
  }
  if (isByVectors) {
    const { factors, shifts, remainders } = affine(mean, remainder, inverse, scale, shift);
    const about = [Float64Array.from(mean), remainders, Float64Array.from(inverse)];
    const [dx, g] = [out, isRelu ? gradient : out] as Float32Array[];
    const loop = gradientLoops[Number(isRelu)];
    const sums = loop.columns(isRelu ? [dx] : [], [g, x], rows, channels, [...about, factors, shifts]);
    const shares = sums.map((sum) => sum.map((value) => (moments === 1 ? value / rows : 0)));
    inputGradientLoop.columns([dx], [dx, x], rows, channels, [...about, factors, ...shares]);
    shiftGradient.set(sums[0]);
    scaleGradient.set(sums[1]);
    return;
  }
  const hatOf = (i: number, c: number) =>
    normalOf(x[i + c], mean[c], remainder === null ? 0 : remainder[c], inverse[c]);
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

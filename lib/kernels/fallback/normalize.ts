import type { Float, Kernels } from '../../../binding.d.ts';
import { unaryCode } from '../codes.ts';
import { activate, activateGradient } from './epilogue.ts';
import { Loop, sumLoop, type Wide, wide } from './loops.ts';
import { Sum, Sums } from './math.ts';
import { f32x4, v128 } from './wasm.ts';

/** Elements of the rows whose output is recomputed at a time. */
const blockElements = 2 ** 14;

interface Moments {
  mean: number;
  /** What is to be added to the mean. */
  lack: number;
  variance: number;
  /** 1 / √(variance + ε) */
  inverse: number;
}

/**
 * The moments of `count` numbers, `stride` apart, whose sum or squares leave the range of float64, made by a power of two
 * smaller for the time being where they have to be; NaN and the like for numbers that are not finite. About 0 where they are
 * not centered.
 */
function largeMoments(
  x: Float,
  first: number,
  stride: number,
  count: number,
  epsilon: number,
  isCentered: boolean,
): Moments {
  const unit = 2 ** -600;
  const average = (term: (value: number) => number): number => {
    const sum = new Sum();
    for (let n = 0, i = first; n < count; n++, i += stride) sum.add(term(x[i]));
    return sum.value / count;
  };
  let center = isCentered ? average((value) => value * unit) : 0;
  // Once more about the mean: equal numbers deviate by nothing then.
  if (isCentered && Number.isFinite(center)) center += average((value) => value * unit - center);
  const mean = center / unit;
  const variance = average((value) => (value - mean) ** 2);
  if (Number.isFinite(variance)) {
    return { mean, lack: 0, variance, inverse: 1 / Math.sqrt(variance + epsilon) };
  }
  const scaled = average((value) => (value * unit - center) ** 2);
  return {
    mean,
    lack: 0,
    variance: scaled / unit / unit,
    inverse: unit / Math.sqrt(scaled + epsilon * unit * unit),
  };
}

/** The moments of those numbers from their mean, and about it the sums of their deviations and of the squares of these. */
function momentsOf(
  x: Float,
  first: number,
  stride: number,
  count: number,
  epsilon: number,
  mean: number,
  deviations: number,
  squares: number,
  isCentered = true,
): Moments {
  const lack = deviations / Math.max(count, 1);
  const variance = Math.max(squares / Math.max(count, 1) - lack * lack, 0);
  if (!Number.isFinite(variance)) return largeMoments(x, first, stride, count, epsilon, isCentered);
  return { mean, lack, variance, inverse: 1 / Math.sqrt(variance + epsilon) };
}

/**
 * (x − mean − remainder)·factor + shift, by halves: the difference, and the product beside the shift, may be twice as large
 * as the largest number.
 */
function normalOf(x: number, mean: number, remainder: number, factor: number, shift = 0): number {
  return 2 * ((0.5 * x - 0.5 * mean - 0.5 * remainder) * factor + 0.5 * shift);
}

/** Puts mean + lack at a place of both arrays, as far as they hold it and are wanted. */
function putMean(
  means: Float | null,
  remainders: Float | null,
  at: number,
  mean: number,
  lack: number,
): void {
  if (means !== null) means[at] = mean;
  if (remainders === null) return;
  const remainder = mean - (means === null ? 0 : means[at]) + lack;
  remainders[at] = Number.isFinite(remainder) ? remainder : 0;
}

// ── float32 by vectors, whose sums float64 holds without corrections ──────────────────────────────────────────────

const { add, sub, mul } = wide;

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

/** With a scale and a shift for each element of a row. */
const layerLoop = new Loop(3, 1, 3, 0, (body, [x, scale, shift], [mean, remainder, inverse]) => {
  const normal = mul(centered(body.widen(x), mean, remainder), inverse);
  return { outs: [body.narrow(add(mul(normal, body.widen(scale)), body.widen(shift)))] };
});

/** The gradient by what is normal, which is kept, and the sums of it and of it by what is normal. */
const layerSumLoop = new Loop(3, 1, 3, 2, (body, [x, g, scale], [mean, remainder, inverse], sums) => {
  const normal = body.keepWide(mul(centered(body.widen(x), mean, remainder), inverse));
  const own = body.keepWide(mul(body.widen(g), body.widen(scale)));
  const [along, alongNormal] = sums;
  return { outs: [body.narrow(normal)], sums: [add(along, own), add(alongNormal, mul(own, normal))] };
});

const layerGradientLoop = new Loop(3, 1, 5, 0, (body, [g, x, scale], own) => {
  const [mean, remainder, inverse, along, alongNormal] = own;
  const normal = mul(centered(body.widen(x), mean, remainder), inverse);
  const dz = mul(body.widen(g), body.widen(scale));
  return { outs: [body.narrow(mul(inverse, sub(dz, add(along, mul(normal, alongNormal)))))] };
});

/** Sums of gradients by columns, and of gradients by what is normal. */
const parameterLoop = new Loop(2, 0, 0, 2, (body, [g, normal], _, [sum, sumNormal]) => {
  const own = body.widen(g);
  return { sums: [add(sum, own), add(sumNormal, mul(own, body.widen(normal)))] };
});

/** Whether rows are computed by vectors: whole ones, as what is beyond a row would count in its sums. */
const suitsLayers = (x: Float, size: number): x is Float32Array =>
  size % 4 === 0 && layerLoop.suitsRows(x, size);

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
    const own = momentsOf(x, c, channels, rows, epsilon, means[c], deviations[c], squares[c]);
    const { mean: center, lack, variance, inverse: factor } = own;
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

/** Means of x by rows, zeros where it is not centered; and about these the sums of deviations and of their squares. */
function rowMoments(
  x: Float,
  rows: number,
  size: number,
  isCentered: boolean,
): [Float64Array, Float64Array, Float64Array] {
  const many = Math.max(size, 1);
  const none = () => new Float64Array(rows);
  if (suitsLayers(x, size)) {
    const means = isCentered ? sumLoop.rows([], [x], rows, size)[0].map((sum) => sum / many) : none();
    const [deviations, squares] = deviationLoop.rows([], [x], rows, size, [means]);
    return [means, isCentered ? deviations : none(), squares];
  }
  const [means, deviations, squares] = [none(), none(), none()];
  for (let row = 0; row < rows; row++) {
    const [first, end] = [row * size, (row + 1) * size];
    if (isCentered) {
      const sum = new Sum();
      for (let i = first; i < end; i++) sum.add(x[i]);
      means[row] = sum.value / many;
    }
    const square = new Sum();
    for (let i = first; i < end; i++) {
      const deviation = x[i] - means[row];
      if (isCentered) deviations[row] += deviation;
      square.add(deviation ** 2);
    }
    squares[row] = square.value;
  }
  return [means, deviations, squares];
}

const rowOf = (array: Float | null, size: number, value: number) =>
  (array ?? new Float32Array(size).fill(value)) as Float32Array;

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
  const isCentered = mean !== null;
  const [means, deviations, squares] = rowMoments(x, rows, size, isCentered);
  const [lacks, factors] = [deviations, squares];
  for (let row = 0; row < rows; row++) {
    const first = row * size;
    const own = momentsOf(x, first, 1, size, epsilon, means[row], deviations[row], squares[row], isCentered);
    putMean(mean, remainder, row, own.mean, own.lack);
    inverse[row] = own.inverse;
    [means[row], lacks[row], factors[row]] = [own.mean, own.lack, own.inverse];
  }
  if (suitsLayers(x, size)) {
    const ins = [x, rowOf(scale, size, 1), rowOf(shift, size, 0)];
    layerLoop.rows([out as Float32Array], ins, rows, size, [means, lacks, factors]);
    return;
  }
  for (let row = 0, i = 0; row < rows; row++) {
    for (let j = 0; j < size; j++, i++) {
      // By halves, as in normalOf.
      const half = (0.5 * x[i] - 0.5 * means[row] - 0.5 * lacks[row]) * factors[row];
      out[i] = 2 * (half * (scale === null ? 1 : scale[j]) + (shift === null ? 0 : 0.5 * shift[j]));
    }
  }
};

/**
 * `layerNormGradient` by vectors: some rows at a time, whose normal elements are kept for the sums by columns. `own` are the
 * mean, the remainder and the inverse of each row.
 */
function layerGradientByVectors(
  out: Float32Array,
  scaleGradient: Float,
  shiftGradient: Float,
  gradient: Float32Array,
  x: Float32Array,
  own: readonly Float64Array[],
  isCentered: boolean,
  scale: Float32Array,
  rows: number,
  size: number,
): void {
  const most = Math.max(1, Math.floor(blockElements / size));
  const kept = new Float32Array(Math.min(most, rows) * size);
  const totals = [0, 1].map(() => new Float64Array(size));
  for (let row = 0; row < rows; row += most) {
    const count = Math.min(most, rows - row);
    const part = (array: Float32Array) => array.subarray(row * size, (row + count) * size);
    const [dx, g, values, normal] = [part(out), part(gradient), part(x), kept.subarray(0, count * size)];
    const about = own.map((numbers) => numbers.subarray(row, row + count));
    const sums = layerSumLoop.rows([normal], [values, g, scale], count, size, about);
    const columns = parameterLoop.columns([], [g, normal], count, size);
    for (const [i, sum] of columns.entries()) for (let j = 0; j < size; j++) totals[i][j] += sum[j];
    const shares = sums.map((sum, i) => sum.map((value) => (i === 0 && !isCentered ? 0 : value / size)));
    layerGradientLoop.rows([dx], [g, values, scale], count, size, [...about, ...shares]);
  }
  shiftGradient.set(totals[0]);
  scaleGradient.set(totals[1]);
}

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
  const isCentered = mean !== null;
  const own = [mean, remainder, inverse].map((numbers) =>
    Float64Array.from(numbers ?? new Float64Array(rows)),
  );
  if (suitsLayers(x, size)) {
    const [dx, g] = [out, gradient] as Float32Array[];
    const by = rowOf(scale, size, 1);
    layerGradientByVectors(dx, scaleGradient, shiftGradient, g, x, own, isCentered, by, rows, size);
    return;
  }
  const [means, remainders] = own;
  const gradients = new Sums(size);
  const gradientsNormal = new Sums(size);
  for (let row = 0; row < rows; row++) {
    const first = row * size;
    const dz = new Sum();
    const dzNormal = new Sum();
    for (let j = 0; j < size; j++) {
      const g = gradient[first + j];
      const normal = normalOf(x[first + j], means[row], remainders[row], inverse[row]);
      gradients.add(j, g);
      gradientsNormal.add(j, g * normal);
      const own = g * (scale === null ? 1 : scale[j]);
      dz.add(own);
      dzNormal.add(own * normal);
    }
    const along = isCentered ? dz.value : 0;
    for (let j = 0; j < size; j++) {
      const normal = normalOf(x[first + j], means[row], remainders[row], inverse[row]);
      const own = gradient[first + j] * (scale === null ? 1 : scale[j]);
      out[first + j] = inverse[row] * (own - (along + normal * dzNormal.value) / size);
    }
  }
  for (let j = 0; j < size; j++) {
    scaleGradient[j] = gradientsNormal.value(j);
    shiftGradient[j] = gradients.value(j);
  }
};

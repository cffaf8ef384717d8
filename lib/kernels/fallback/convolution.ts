import type { Float, Kernels } from '../../../binding.d.ts';
import { unaryCode } from '../codes.ts';
import { checkLength } from './check.ts';
import { addDepthwise, addDepthwiseWeightGradient } from './depthwise.ts';
import { activate, fillRows } from './epilogue.ts';
import { product } from './gemm.ts';
import {
  type Axis,
  type Geometry,
  inputAxes,
  inputLength,
  outputAxis,
  outputLength,
  readConvolution,
  weightLength,
} from './geometry.ts';
import { areImage, type Patches, patchCount, tapCount, targetPixel, writePatches } from './patches.ts';

import { suitsWinograd, winograd, winogradWeightGradient } from './winograd.ts';

/** Elements of the patches that are multiplied at a time: they stay in the cache. */
const tileElements = 2 ** 20;
/** Fewer patches would not be worth the packing of the weights, however large they are. */
const leastTile = 16;

export const convolve: Kernels['convolve'] = (
  out,
  x,
  weight,
  bias,
  geometry,
  activation,
  parameter,
  fast,
) => {
  const g = readConvolution('convolve', geometry);
  checkLength('convolve', 'out', out, outputLength(g));
  checkLength('convolve', 'x', x, inputLength(g));
  checkLength('convolve', 'weight', weight, weightLength(g));
  if (bias !== null) checkLength('convolve', 'bias', bias, g.outChannels);

  if (byWinograd(out, x, weight, bias, activation, parameter, fast, g, false)) return;
  fillRows(out, bias);
  if (out.length > 0 && x.length > 0) {
    const patches = patchesOfInput(x, g);
    if (isDepthwise(g)) {
      addDepthwise(out, patches, weightsByTap(weight, patches, g), g.outHeight, g.outWidth);
    } else {
      addProducts(out, patches, weight, 1, g.outHeight, g.outWidth, g.outChannels, g.groups);
    }
  }
  activate(out, activation, parameter);
};

export const convolveTransposed: Kernels['convolveTransposed'] = (
  out,
  x,
  weight,
  bias,
  geometry,
  activation,
  parameter,
  fast,
) => {
  const kernel = 'convolveTransposed';
  const g = readConvolution(kernel, geometry);
  checkLength(kernel, 'out', out, inputLength(g));
  checkLength(kernel, 'x', x, outputLength(g));
  checkLength(kernel, 'weight', weight, weightLength(g));
  if (bias !== null) checkLength(kernel, 'bias', bias, g.channels);

  if (byWinograd(out, x, weight, bias, activation, parameter, fast, g, true)) return;
  fillRows(out, bias);
  if (out.length > 0 && x.length > 0) {
    for (const patches of patchesOfOutput(x, g)) {
      if (isDepthwise(g)) {
        addDepthwise(out, patches, weightsByTap(weight, patches, g), g.height, g.width);
      } else {
        const turned = transposedWeights(weight, patches, g);
        addProducts(out, patches, turned, 0, g.height, g.width, g.channels, g.groups);
      }
    }
  }
  activate(out, activation, parameter);
};

export const convolveWeightGradient: Kernels['convolveWeightGradient'] = (
  out,
  x,
  gradient,
  geometry,
  fast,
) => {
  const kernel = 'convolveWeightGradient';
  const g = readConvolution(kernel, geometry);
  checkLength(kernel, 'out', out, weightLength(g));
  checkLength(kernel, 'x', x, inputLength(g));
  checkLength(kernel, 'gradient', gradient, outputLength(g));

  if (isSingle(out) && fast === 1 && suitsWinograd(g)) {
    winogradWeightGradient(out, x as Float32Array, gradient as Float32Array, g);
    return;
  }
  out.fill(0);
  if (out.length === 0 || x.length === 0 || gradient.length === 0) return;
  const patches = patchesOfInput(x, g);
  if (!isDepthwise(g)) {
    addWeightProducts(out, patches, gradient, g.outChannels, g.groups);
    return;
  }
  const sums = new Float64Array(out.length);
  addDepthwiseWeightGradient(sums, patches, gradient);
  const taps = tapCount(patches);
  for (let c = 0; c < g.channels; c++) {
    for (let tap = 0; tap < taps; tap++) out[c * taps + tap] = sums[tap * g.channels + c];
  }
};

const isSingle = (out: Float): out is Float32Array => out instanceof Float32Array;

/** Whether it was done by Winograd's algorithm, which the sizes alone decide. */
function byWinograd(
  out: Float,
  x: Float,
  weight: Float,
  bias: Float | null,
  activation: number,
  parameter: number,
  fast: number,
  g: Geometry,
  isTransposed: boolean,
): boolean {
  if (!(out instanceof Float32Array) || fast === 0 || !suitsWinograd(g)) return false;
  const isRelu = activation === unaryCode.relu;
  winograd(
    out,
    x as Float32Array,
    weight as Float32Array,
    bias as Float32Array | null,
    isRelu,
    g,
    isTransposed,
  );
  if (!isRelu) activate(out, activation, parameter);
  return true;
}

/** A single channel makes a product of a matrix with a vector, which is faster than the loops over taps. */
function isDepthwise({ channels, outChannels, groups }: Geometry): boolean {
  return groups > 1 && channels === groups && outChannels === groups;
}

// ── patches and weights ─────────────────────────────────────────────────────────────────────────────────────────────

function patchesOfInput(x: Float, g: Geometry): Patches {
  return {
    image: x,
    batch: g.batch,
    channels: g.channels,
    rows: outputAxis(g.height, g.outHeight, g.kernelHeight, g.strideY, g.dilationY, g.padTop),
    columns: outputAxis(g.width, g.outWidth, g.kernelWidth, g.strideX, g.dilationX, g.padLeft),
  };
}

/** For each pair of axes the patches of the output that the pixels of the input meet. */
function patchesOfOutput(x: Float, g: Geometry): Patches[] {
  const rows = inputAxes(g.height, g.outHeight, g.kernelHeight, g.strideY, g.dilationY, g.padTop);
  const columns = inputAxes(g.width, g.outWidth, g.kernelWidth, g.strideX, g.dilationX, g.padLeft);
  const from = { image: x, batch: g.batch, channels: g.outChannels };
  return rows.flatMap((row) => columns.map((column) => ({ ...from, rows: row, columns: column })));
}

/** Calls `visit` with each tap of the patches and the position in the kernel that it stands for. */
function eachTap(
  rows: Axis,
  columns: Axis,
  g: Geometry,
  visit: (tap: number, position: number) => void,
): void {
  for (let i = 0, tap = 0; i < rows.taps; i++) {
    const row = (rows.tapFirst + i * rows.tapEvery) * g.kernelWidth;
    for (let j = 0; j < columns.taps; j++, tap++) visit(tap, row + columns.tapFirst + j * columns.tapEvery);
  }
}

/** The weights of a depthwise convolution as taps × channels. */
function weightsByTap(weight: Float, patches: Patches, g: Geometry): Float {
  const turned = like(weight, tapCount(patches) * g.channels);
  const positions = g.kernelHeight * g.kernelWidth;
  eachTap(patches.rows, patches.columns, g, (tap, position) => {
    for (let c = 0; c < g.channels; c++) turned[tap * g.channels + c] = weight[c * positions + position];
  });
  return turned;
}

/** The weights as groups × taps × outChannels / groups × channels / groups. */
function transposedWeights(weight: Float, patches: Patches, g: Geometry): Float {
  const [inPart, outPart] = [g.channels / g.groups, g.outChannels / g.groups];
  const positions = g.kernelHeight * g.kernelWidth;
  const taps = tapCount(patches);
  const turned = like(weight, taps * g.outChannels * inPart);
  eachTap(patches.rows, patches.columns, g, (tap, position) => {
    for (let o = 0; o < g.outChannels; o++) {
      const group = Math.floor(o / outPart);
      const target = ((group * taps + tap) * outPart + (o - group * outPart)) * inPart;
      const from = (o * positions + position) * inPart;
      for (let c = 0; c < inPart; c++) turned[target + c] = weight[from + c];
    }
  });
  return turned;
}

function like(array: Float, length: number): Float {
  return array instanceof Float32Array ? new Float32Array(length) : new Float64Array(length);
}

// ── products ────────────────────────────────────────────────────────────────────────────────────────────────────────

function tileOf(count: number, patchLength: number): number {
  return Math.min(count, Math.max(leastTile, Math.floor(tileElements / patchLength)));
}

/**
 * out += patches · op(weight), at the pixels that the patches belong to. `weight` is one matrix for each group, with
 * `transposeB` of one row for each channel of out, else of one column.
 */
function addProducts(
  out: Float,
  patches: Patches,
  weight: Float,
  transposeB: number,
  outHeight: number,
  outWidth: number,
  outChannels: number,
  groups: number,
): void {
  const { image, channels, rows, columns } = patches;
  const count = patchCount(patches);
  const part = channels / groups;
  const m = outChannels / groups;
  const k = tapCount(patches) * part;
  const weightRow = transposeB === 0 ? m : k;
  // Then the results stand in out as the product leaves them.
  const whole = groups === 1 && rows.every === 1 && columns.every === 1;
  if (whole && areImage(patches)) {
    product(out, 0, m, image, 0, k, weight, 0, weightRow, count, m, k, 0, transposeB, 1);
    return;
  }
  const tile = tileOf(count, k);
  const matrix = like(out, tile * k);
  const sums = like(out, whole ? 0 : tile * m);
  for (let first = 0; first < count; first += tile) {
    const own = Math.min(tile, count - first);
    for (let group = 0; group < groups; group++) {
      writePatches(matrix, patches, first, own, group * part, part);
      if (whole) {
        product(out, first * m, m, matrix, 0, k, weight, 0, weightRow, own, m, k, 0, transposeB, 1);
        continue;
      }
      sums.fill(0);
      product(sums, 0, m, matrix, 0, k, weight, group * m * k, weightRow, own, m, k, 0, transposeB, 1);
      for (let n = 0; n < own; n++) {
        const target = targetPixel(patches, first + n, outHeight, outWidth) * outChannels + group * m;
        for (let c = 0; c < m; c++) out[target + c] += sums[n * m + c];
      }
    }
  }
}

/** out += gradientᵀ · patches for each group, where patch n belongs to pixel n of gradient. */
function addWeightProducts(
  out: Float,
  patches: Patches,
  gradient: Float,
  outChannels: number,
  groups: number,
): void {
  const { image, channels } = patches;
  const count = patchCount(patches);
  const part = channels / groups;
  const m = outChannels / groups;
  const n = tapCount(patches) * part;
  if (groups === 1 && areImage(patches)) {
    product(out, 0, n, gradient, 0, m, image, 0, n, m, n, count, 1, 0, 1);
    return;
  }
  const tile = tileOf(count, n);
  const matrix = like(out, tile * n);
  for (let first = 0; first < count; first += tile) {
    const own = Math.min(tile, count - first);
    for (let group = 0; group < groups; group++) {
      writePatches(matrix, patches, first, own, group * part, part);
      const from = first * outChannels + group * m;
      product(out, group * m * n, n, gradient, from, outChannels, matrix, 0, n, m, n, own, 1, 0, 1);
    }
  }
}

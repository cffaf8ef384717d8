import type { Float, Kernels } from '../../../binding.d.ts';
import { checkLength } from './check.ts';
import {
  endTap,
  firstTap,
  type Geometry,
  inputLength,
  outputAxis,
  outputLength,
  pixelOf,
  readPooling,
} from './geometry.ts';
import { type PoolFunctions, poolFunctions } from './pool-simd.ts';
import { floats, give, take } from './simd.ts';

export const maxPool: Kernels['maxPool'] = (out, indices, x, geometry) => {
  const g = readPooling('maxPool', geometry);
  checkLength('maxPool', 'out', out, outputLength(g));
  checkLength('maxPool', 'indices', indices, outputLength(g));
  checkLength('maxPool', 'x', x, inputLength(g));

  const { channels } = g;
  out.fill(-Infinity);
  indices.fill(-1);
  if (out.length === 0 || x.length === 0) return;
  if (suitsVectors(x, g)) {
    byRows(poolFunctions()!.pool, out as Float32Array, indices, x, g, false);
    return;
  }
  eachWindow(g, (window, target) => {
    let isFirst = true;
    eachPixel(window, g, (pixel, index) => {
      for (let c = 0; c < channels; c++) {
        const candidate = x[pixel + c];
        const largest = out[target + c];
        // The first NaN stays: no comparison with it holds, and it is not replaced.
        if (isFirst || (!(candidate <= largest) && !Number.isNaN(largest))) {
          out[target + c] = candidate;
          indices[target + c] = index;
        }
      }
      isFirst = false;
    });
  });
};

export const maxPoolGradient: Kernels['maxPoolGradient'] = (out, gradient, indices, geometry) => {
  const g = readPooling('maxPoolGradient', geometry);
  checkLength('maxPoolGradient', 'out', out, inputLength(g));
  checkLength('maxPoolGradient', 'gradient', gradient, outputLength(g));
  checkLength('maxPoolGradient', 'indices', indices, outputLength(g));

  const { channels } = g;
  out.fill(0);
  if (out.length === 0 || gradient.length === 0) return;
  if (suitsVectors(gradient, g)) {
    byRows(poolFunctions()!.gradient, gradient, indices, out as Float32Array, g, true);
    return;
  }
  eachWindow(g, (window, from) => {
    eachPixel(window, g, (pixel, index) => {
      for (let c = 0; c < channels; c++) {
        if (indices[from + c] === index) out[pixel + c] += gradient[from + c];
      }
    });
  });
};

export const averagePool: Kernels['averagePool'] = (out, x, geometry, countPadding) => {
  const g = readPooling('averagePool', geometry);
  checkLength('averagePool', 'out', out, outputLength(g));
  checkLength('averagePool', 'x', x, inputLength(g));

  const { channels } = g;
  out.fill(0);
  if (out.length === 0 || x.length === 0) return;
  const sums = new Float64Array(channels);
  eachWindow(g, (window, target) => {
    sums.fill(0);
    eachPixel(window, g, (pixel) => {
      for (let c = 0; c < channels; c++) sums[c] += x[pixel + c];
    });
    const count = countOf(window, g, countPadding);
    if (count > 0) for (let c = 0; c < channels; c++) out[target + c] = sums[c] / count;
  });
};

export const averagePoolGradient: Kernels['averagePoolGradient'] = (
  out,
  gradient,
  geometry,
  countPadding,
) => {
  const g = readPooling('averagePoolGradient', geometry);
  checkLength('averagePoolGradient', 'out', out, inputLength(g));
  checkLength('averagePoolGradient', 'gradient', gradient, outputLength(g));

  const { channels } = g;
  out.fill(0);
  if (out.length === 0 || gradient.length === 0) return;
  eachWindow(g, (window, from) => {
    const count = countOf(window, g, countPadding);
    eachPixel(window, g, (pixel) => {
      for (let c = 0; c < channels; c++) out[pixel + c] += gradient[from + c] / count;
    });
  });
};

// ── by vectors ──────────────────────────────────────────────────────────────────────────────────────────────────────

/** Fewer elements take longer to copy than to compare. */
const leastElements = 512;
/** Bytes of the rows under a row of windows, which are copied together. */
const mostBytes = 2 ** 24;

function suitsVectors(array: Float, g: Geometry): array is Float32Array {
  const { channels, width, kernelHeight } = g;
  return (
    array instanceof Float32Array &&
    channels % 4 === 0 &&
    array.length >= leastElements &&
    4 * channels * width * kernelHeight <= mostBytes &&
    poolFunctions() !== null
  );
}

/**
 * Row by row of the output: what is under its windows is copied into the memory of WebAssembly, with `adds` back as well; so
 * are its elements and their indices.
 */
function byRows(
  run: PoolFunctions['pool'],
  small: Float32Array,
  indices: Int32Array,
  image: Float32Array,
  g: Geometry,
  adds: boolean,
): void {
  const { channels, width, outWidth, kernelHeight, kernelWidth } = g;
  const rows = outputAxis(g.height, g.outHeight, g.kernelHeight, g.strideY, g.dilationY, g.padTop);
  const columns = outputAxis(g.width, g.outWidth, g.kernelWidth, g.strideX, g.dilationX, g.padLeft);
  const pixel = 4 * channels;
  const length = outWidth * channels;
  const imageRow = width * channels;
  const smallAt = take(4 * length);
  const indicesAt = take(4 * length);
  const imageAt = take(4 * imageRow * kernelHeight);
  const view = floats();
  const places = new Int32Array(view.buffer);
  for (let line = 0; line < g.batch * g.outHeight; line++) {
    const t = line % g.outHeight;
    const [firstI, endI] = [firstTap(rows, t), endTap(rows, t)];
    const count = Math.max(0, endI - firstI);
    const first = Math.floor(line / g.outHeight) * g.height;
    const imageFirst = (i: number) => (first + pixelOf(rows, t, firstI + i)) * imageRow;
    const here = (i: number) => imageAt / 4 + i * imageRow;
    for (let i = 0; i < count; i++) {
      view.set(image.subarray(imageFirst(i), imageFirst(i) + imageRow), here(i));
    }
    const own = line * length;
    if (adds) {
      view.set(small.subarray(own, own + length), smallAt / 4);
      places.set(indices.subarray(own, own + length), indicesAt / 4);
    }
    for (let u = 0; u < outWidth; ) {
      const [firstJ, endJ] = [firstTap(columns, u), endTap(columns, u)];
      let end = u + 1;
      while (end < outWidth && firstTap(columns, end) === firstJ && endTap(columns, end) === endJ) end++;
      const across = Math.max(0, endJ - firstJ);
      const [skipped, x] = [u * pixel, imageAt + pixelOf(columns, u, firstJ) * pixel];
      run(
        ...[
          smallAt + skipped,
          indicesAt + skipped,
          x,
          end - u,
          channels / 4,
          across === 0 ? 0 : count,
          across,
        ],
        ...[4 * imageRow, g.dilationX * pixel, g.strideX * pixel],
        ...[firstI * kernelWidth + firstJ, kernelWidth - across],
      );
      u = end;
    }
    if (adds) {
      for (let i = 0; i < count; i++) {
        image.set(view.subarray(here(i), here(i) + imageRow), imageFirst(i));
      }
    } else {
      small.set(view.subarray(smallAt / 4, smallAt / 4 + length), own);
      indices.set(places.subarray(indicesAt / 4, indicesAt / 4 + length), own);
    }
  }
  give(smallAt);
}

// ── windows ─────────────────────────────────────────────────────────────────────────────────────────────────────────

/** What a window sees of the image: the positions within it, from `first` up to `end`, and where position 0 lies. */
interface Window {
  image: number;
  y: number;
  x: number;
  firstI: number;
  endI: number;
  firstJ: number;
  endJ: number;
}

/** Calls `visit` with each window, one object whose content changes, and the first element of its output. */
function eachWindow(g: Geometry, visit: (window: Window, target: number) => void): void {
  const rows = outputAxis(g.height, g.outHeight, g.kernelHeight, g.strideY, g.dilationY, g.padTop);
  const columns = outputAxis(g.width, g.outWidth, g.kernelWidth, g.strideX, g.dilationX, g.padLeft);
  const window: Window = { image: 0, y: 0, x: 0, firstI: 0, endI: 0, firstJ: 0, endJ: 0 };
  let target = 0;
  for (let b = 0; b < g.batch; b++) {
    window.image = b;
    for (let t = 0; t < g.outHeight; t++) {
      window.y = pixelOf(rows, t, 0);
      window.firstI = firstTap(rows, t);
      window.endI = endTap(rows, t);
      for (let u = 0; u < g.outWidth; u++, target += g.channels) {
        window.x = pixelOf(columns, u, 0);
        window.firstJ = firstTap(columns, u);
        window.endJ = endTap(columns, u);
        visit(window, target);
      }
    }
  }
}

/** Calls `visit` with the first element of each pixel under the window, and its index in it. */
function eachPixel(
  { image, y, x, firstI, endI, firstJ, endJ }: Window,
  g: Geometry,
  visit: (pixel: number, index: number) => void,
): void {
  if (firstJ >= endJ) return;
  for (let i = firstI; i < endI; i++) {
    const row = (image * g.height + y + i * g.dilationY) * g.width;
    for (let j = firstJ; j < endJ; j++) {
      visit((row + x + j * g.dilationX) * g.channels, i * g.kernelWidth + j);
    }
  }
}

/** By how much the sum of a window is divided. */
function countOf({ firstI, endI, firstJ, endJ }: Window, g: Geometry, countPadding: number): number {
  if (countPadding === 1) return g.kernelHeight * g.kernelWidth;
  return Math.max(0, endI - firstI) * Math.max(0, endJ - firstJ);
}

import type { Float, Kernels } from '../../../binding.d.ts';
import { refuse } from './check.ts';

function checkShares(kernel: string, name: string, shares: Float64Array): void {
  const at = shares.findIndex((share) => !(share >= 0 && share <= 1));
  if (at >= 0) refuse(kernel, `${name}[${at}]`, 'be from 0 to 1', String(shares[at]));
}

/** Calls `visit` with each pixel of the output, its first element, and the pixels of the image that it is a mean of. */
function eachMean(
  rows: Int32Array,
  rowShares: Float64Array,
  columns: Int32Array,
  columnShares: Float64Array,
  batch: number,
  height: number,
  width: number,
  channels: number,
  visit: (target: number, pixels: Pixels) => void,
): void {
  const pixels: Pixels = { count: 0, first: [0, 0, 0, 0], weight: [0, 0, 0, 0] };
  let target = 0;
  for (let image = 0; image < batch; image++) {
    for (let i = 0; i < rows.length; i++) {
      for (let j = 0; j < columns.length; j++, target += channels) {
        pixels.count = 0;
        for (let down = 0; down < 2; down++) {
          const vertical = down === 0 ? 1 - rowShares[i] : rowShares[i];
          if (vertical === 0) continue;
          const y = image * height + Math.min(rows[i] + down, height - 1);
          for (let across = 0; across < 2; across++) {
            const horizontal = across === 0 ? 1 - columnShares[j] : columnShares[j];
            if (horizontal === 0) continue;
            const x = Math.min(columns[j] + across, width - 1);
            pixels.first[pixels.count] = (y * width + x) * channels;
            pixels.weight[pixels.count++] = vertical * horizontal;
          }
        }
        visit(target, pixels);
      }
    }
  }
}

/** Pixels that have a weight: the first element of each. */
interface Pixels {
  count: number;
  readonly first: number[];
  readonly weight: number[];
}

export const interpolate: Kernels['interpolate'] = (
  out,
  x,
  rows,
  rowShares,
  columns,
  columnShares,
  batch,
  height,
  width,
  channels,
) => {
  checkShares('interpolate', 'rowShares', rowShares);
  checkShares('interpolate', 'columnShares', columnShares);
  if (out.length === 0) return;
  eachMean(rows, rowShares, columns, columnShares, batch, height, width, channels, (target, pixels) => {
    const { count, first, weight } = pixels;
    for (let c = 0; c < channels; c++) {
      let sum = weight[0] * x[first[0] + c];
      for (let k = 1; k < count; k++) sum += weight[k] * x[first[k] + c];
      out[target + c] = sum;
    }
  });
};

export const interpolateGradient: Kernels['interpolateGradient'] = (
  out,
  gradient,
  rows,
  rowShares,
  columns,
  columnShares,
  batch,
  height,
  width,
  channels,
) => {
  checkShares('interpolateGradient', 'rowShares', rowShares);
  checkShares('interpolateGradient', 'columnShares', columnShares);
  out.fill(0);
  if (gradient.length === 0) return;
  // Sums in float64.
  const sums: Float = out instanceof Float64Array ? out : new Float64Array(out.length);
  eachMean(rows, rowShares, columns, columnShares, batch, height, width, channels, (from, pixels) => {
    const { count, first, weight } = pixels;
    for (let k = 0; k < count; k++) {
      for (let c = 0; c < channels; c++) sums[first[k] + c] += weight[k] * gradient[from + c];
    }
  });
  if (sums !== out) out.set(sums);
};

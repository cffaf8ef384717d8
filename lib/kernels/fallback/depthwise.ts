/** Convolutions in which each channel has a kernel of its own, by plain loops: as products they would be narrow. */
import type { Float } from '../../../binding.d.ts';
import { endTap, firstTap, pixelOf } from './geometry.ts';
import { type Patches, patchCount, targetPixel } from './patches.ts';

/** Calls `visit` with each patch n, tap and first element of the pixel that it meets within the image. */
function eachMeeting(
  { batch, channels, rows, columns }: Patches,
  visit: (n: number, tap: number, pixel: number) => void,
): void {
  let n = 0;
  for (let b = 0; b < batch; b++) {
    for (let t = 0; t < rows.count; t++) {
      const [firstI, endI] = [firstTap(rows, t), endTap(rows, t)];
      for (let u = 0; u < columns.count; u++, n++) {
        const [firstJ, endJ] = [firstTap(columns, u), endTap(columns, u)];
        for (let i = firstI; i < endI; i++) {
          const row = (b * rows.size + pixelOf(rows, t, i)) * columns.size;
          for (let j = firstJ; j < endJ; j++) {
            visit(n, i * columns.taps + j, (row + pixelOf(columns, u, j)) * channels);
          }
        }
      }
    }
  }
}

/** out += the sum over the taps of each patch, with a weight for each tap and channel (taps × channels). */
export function addDepthwise(
  out: Float,
  patches: Patches,
  weight: Float,
  targetHeight: number,
  targetWidth: number,
): void {
  if (patchCount(patches) === 0) return;
  const { image, channels } = patches;
  eachMeeting(patches, (n, tap, pixel) => {
    const target = targetPixel(patches, n, targetHeight, targetWidth) * channels;
    const taken = tap * channels;
    for (let c = 0; c < channels; c++) out[target + c] += image[pixel + c] * weight[taken + c];
  });
}

/** sums (taps × channels) += the gradient by the weights of `addDepthwise`, where patch n belongs to pixel n. */
export function addDepthwiseWeightGradient(sums: Float64Array, patches: Patches, gradient: Float): void {
  if (patchCount(patches) === 0) return;
  const { image, channels } = patches;
  eachMeeting(patches, (n, tap, pixel) => {
    const from = n * channels;
    const target = tap * channels;
    for (let c = 0; c < channels; c++) sums[target + c] += image[pixel + c] * gradient[from + c];
  });
}

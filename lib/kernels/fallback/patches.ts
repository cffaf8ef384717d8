import type { Float } from '../../../binding.d.ts';
import { type Axis, endTap, firstTap, pixelOf } from './geometry.ts';
import { copyRun } from './move.ts';

/**
 * The patches of an image, one for each position (t, u) of the two axes: what the taps meet, in their order, each with
 * all channels; 0 outside of the image. As rows of a matrix they turn a convolution into a product (im2col: Chellapilla,
 * Puri & Simard, "High performance convolutional neural networks for document processing", 2006).
 */
export interface Patches {
  readonly image: Float;
  readonly batch: number;
  readonly channels: number;
  readonly rows: Axis;
  readonly columns: Axis;
}

export function patchCount({ batch, rows, columns }: Patches): number {
  return batch * rows.count * columns.count;
}

export function tapCount({ rows, columns }: Patches): number {
  return rows.taps * columns.taps;
}

/** Whether patch after patch is the image itself, as for a kernel of one pixel. */
export function areImage({ rows, columns }: Patches): boolean {
  return [rows, columns].every(
    ({ taps, offset, step, count, size }) => taps === 1 && offset === 0 && step === 1 && count === size,
  );
}

/** Writes patches first, first + 1, … of `count`, of a part of the channels, one after the other. */
export function writePatches(
  to: Float,
  patches: Patches,
  first: number,
  count: number,
  firstChannel: number,
  partChannels: number,
): void {
  const { image, channels, rows, columns } = patches;
  const rowLength = columns.taps * partChannels;
  const patchLength = rows.taps * rowLength;
  // Then the pixels of a row of taps lie one after the other in the image as well.
  const joined = columns.spacing === 1 && partChannels === channels;
  to.fill(0, 0, count * patchLength);
  for (let n = 0; n < count; n++) {
    const u = (first + n) % columns.count;
    const line = Math.floor((first + n) / columns.count);
    const t = line % rows.count;
    const batchRow = Math.floor(line / rows.count) * rows.size;
    const firstJ = firstTap(columns, u);
    const endJ = endTap(columns, u);
    const endI = endTap(rows, t);
    if (firstJ >= endJ) continue;
    for (let i = firstTap(rows, t); i < endI; i++) {
      const imageRow = (batchRow + pixelOf(rows, t, i)) * columns.size;
      let from = (imageRow + pixelOf(columns, u, firstJ)) * channels + firstChannel;
      let target = n * patchLength + i * rowLength + firstJ * partChannels;
      if (joined) {
        copyRun(to, target, image, from, (endJ - firstJ) * channels);
        continue;
      }
      for (let j = firstJ; j < endJ; j++) {
        copyRun(to, target, image, from, partChannels);
        from += columns.spacing * channels;
        target += partChannels;
      }
    }
  }
}

/** The pixel of the target image, 0 being the first of the first image, that patch n belongs to. */
export function targetPixel(
  { rows, columns }: Patches,
  n: number,
  targetHeight: number,
  targetWidth: number,
): number {
  const u = n % columns.count;
  const line = Math.floor(n / columns.count);
  const t = line % rows.count;
  const image = Math.floor(line / rows.count);
  const row = image * targetHeight + rows.first + t * rows.every;
  return row * targetWidth + columns.first + u * columns.every;
}

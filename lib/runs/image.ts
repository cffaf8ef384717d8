/** Tensors as images: PNG, of 8 bits, as PNG (Portable Network Graphics, W3C 2003) has it. */
import { describe, isInstance } from '../arguments.ts';
import { concatBytes } from '../files/bytes.ts';
import { crc32 } from '../files/crc32.ts';
import { ArgumentError, FileError, ShapeError, Tensor } from '../index.ts';
import { builtin } from '../platform.ts';

export interface Picture {
  readonly width: number;
  readonly height: number;
  /** 1 for grey, 3 for red, green and blue, 4 with opacity. */
  readonly channels: number;
  /** [height, width, channels] */
  readonly pixels: Uint8Array;
}

/** How channels are called in a PNG, by their number. */
const colourTypes: Readonly<Record<number, number>> = { 1: 0, 3: 2, 4: 6 };
/** Larger ones nobody looks at, and browsers do not show. */
const mostPixels = 2 ** 26;

/** @throws ShapeError, ArgumentError for what is no image or several, see `RunLog.image` */
export function pictureOf(op: string, x: Tensor): Picture {
  if (!isInstance(x, Tensor)) {
    throw new ArgumentError(`[${op}] expected pixels to be a tensor, got ${describe(x)}`);
  }
  const shape = x.rank === 2 ? [...x.shape, 1] : x.shape;
  const [count, rows, columns, channels] = shape.length === 3 ? [1, ...shape] : shape;
  const isImage = shape.length <= 4 && channels in colourTypes && x.size > 0 && x.size <= mostPixels;
  if (!isImage) {
    throw new ShapeError(
      `[${op}] expected pixels [height, width], [height, width, channels] or [images, height, width, channels] of 1, 3 or 4 ` +
        `channels, ${mostPixels} at most, got [${x.shape}]`,
    );
  }
  const across = Math.ceil(Math.sqrt(count));
  const [width, height] = [columns * across, rows * Math.ceil(count / across)];
  const pixels = new Uint8Array(width * height * channels);
  const scale = x.dtype === 'int32' ? 1 : 255;
  const { data } = x;
  const line = columns * channels;
  for (let image = 0, at = 0; image < count; image++) {
    const [left, top] = [(image % across) * line, Math.floor(image / across) * rows];
    for (let row = 0; row < rows; row++) {
      const start = (top + row) * width * channels + left;
      // NaN is black.
      for (let i = 0; i < line; i++)
        pixels[start + i] = Math.min(255, Math.max(0, Math.round(scale * data[at++])));
    }
  }
  return { width, height, channels, pixels };
}

function chunk(type: string, data: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(12 + data.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, data.length);
  for (let i = 0; i < 4; i++) bytes[4 + i] = type.charCodeAt(i);
  bytes.set(data, 8);
  view.setUint32(8 + data.length, crc32(bytes.subarray(4, 8 + data.length)));
  return bytes;
}

/** The file. @throws FileError on a host that has no deflate */
export async function pngOf({ width, height, channels, pixels }: Picture): Promise<Uint8Array> {
  const deflate = builtin('node:zlib')?.deflate;
  if (deflate === undefined) throw new FileError('[image] expected node:zlib, got a host without it');
  const line = width * channels;
  const rows = new Uint8Array(height * (line + 1));
  // The filter of each row: none.
  for (let y = 0; y < height; y++) rows.set(pixels.subarray(y * line, (y + 1) * line), y * (line + 1) + 1);
  const packed = await new Promise<Uint8Array>((resolve, reject) =>
    deflate(rows, (error, bytes) => (error === null ? resolve(bytes) : reject(error))),
  );
  const header = new Uint8Array(13);
  const view = new DataView(header.buffer);
  view.setUint32(0, width);
  view.setUint32(4, height);
  header.set([8, colourTypes[channels]], 8);
  const signature = Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a);
  const parts = [signature, chunk('IHDR', header), chunk('IDAT', packed), chunk('IEND', new Uint8Array(0))];
  return concatBytes(parts);
}

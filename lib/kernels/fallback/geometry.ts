/** The geometry of the convolution and pooling kernels: what is read from the array, and what it says about an axis. */
import { type GeometryField, geometryFields } from '../codes.ts';
import { maxSize } from '../facts.ts';
import { refuse } from './check.ts';

export type Geometry = Readonly<Record<GeometryField, number>>;

const fromOne: ReadonlySet<GeometryField> = new Set<GeometryField>([
  'kernelHeight',
  'kernelWidth',
  'strideY',
  'strideX',
  'dilationY',
  'dilationX',
  'groups',
]);

function readGeometry(kernel: string, values: Int32Array): Geometry {
  const count = geometryFields.length;
  if (values.length !== count) refuse(kernel, 'geometry', `have length ${count}`, String(values.length));
  const geometry = {} as Record<GeometryField, number>;
  for (let i = 0; i < count; i++) {
    const field = geometryFields[i];
    const least = fromOne.has(field) ? 1 : 0;
    if (values[i] < least) {
      refuse(kernel, `geometry ${field}`, `be at least ${least}`, String(values[i]));
    }
    geometry[field] = values[i];
  }
  return geometry;
}

export function readConvolution(kernel: string, values: Int32Array): Geometry {
  const geometry = readGeometry(kernel, values);
  const { channels, outChannels, groups } = geometry;
  if (channels % groups !== 0 || outChannels % groups !== 0) {
    const expected = `divide channels ${channels} and outChannels ${outChannels}`;
    refuse(kernel, 'geometry groups', expected, String(groups));
  }
  return geometry;
}

export function readPooling(kernel: string, values: Int32Array): Geometry {
  const geometry = readGeometry(kernel, values);
  const { channels, outChannels, groups } = geometry;
  if (outChannels !== channels) {
    refuse(kernel, 'geometry outChannels', `equal channels ${channels}`, String(outChannels));
  }
  if (groups !== 1) refuse(kernel, 'geometry groups', 'be 1', String(groups));
  // Positions in the window are int32.
  const positions = geometry.kernelHeight * geometry.kernelWidth;
  if (positions > maxSize) {
    refuse(kernel, 'geometry kernelHeight · kernelWidth', `be at most ${maxSize}`, String(positions));
  }
  return geometry;
}

/** Elements of the image on the side of the input. */
export function inputLength({ batch, height, width, channels }: Geometry): number {
  return batch * height * width * channels;
}

/** Elements of the image on the side of the output. */
export function outputLength({ batch, outHeight, outWidth, outChannels }: Geometry): number {
  return batch * outHeight * outWidth * outChannels;
}

export function weightLength({ channels, outChannels, kernelHeight, kernelWidth, groups }: Geometry): number {
  return outChannels * kernelHeight * kernelWidth * (channels / groups);
}

/**
 * One dimension of a map from a source image to a target image. Position t < count of the target is its pixel first +
 * t·every; it meets tap n < taps at the pixel t·step + offset + n·spacing of the source, which has `size`. Tap n is
 * position tapFirst + n·tapEvery of the kernel. Pixels may lie far outside of the image, past 2³¹: no |0 here.
 */
export interface Axis {
  readonly size: number;
  readonly count: number;
  readonly first: number;
  readonly every: number;
  readonly step: number;
  readonly offset: number;
  readonly spacing: number;
  readonly taps: number;
  readonly tapFirst: number;
  readonly tapEvery: number;
}

/** The pixel of the source that tap n of position t meets. */
export function pixelOf({ step, offset, spacing }: Axis, t: number, n: number): number {
  return t * step + offset + n * spacing;
}

/** The first tap of position t that meets the source image, or a later one than `endTap` where none does. */
export function firstTap({ step, offset, spacing }: Axis, t: number): number {
  return Math.max(0, Math.ceil(-(t * step + offset) / spacing));
}

/** One more than the last tap of position t that meets the source image. */
export function endTap({ size, step, offset, spacing, taps }: Axis, t: number): number {
  return Math.min(taps, Math.ceil((size - (t * step + offset)) / spacing));
}

/** The axis of a convolution or pooling from the input to the output. */
export function outputAxis(
  size: number,
  outSize: number,
  kernelSize: number,
  stride: number,
  dilation: number,
  pad: number,
): Axis {
  return {
    size,
    count: outSize,
    first: 0,
    every: 1,
    step: stride,
    offset: 0 - pad,
    spacing: dilation,
    taps: kernelSize,
    tapFirst: 0,
    tapEvery: 1,
  };
}

/**
 * The axes of a transposed convolution, from the output to the input. Pixel h of the input meets kernel position i at
 * the pixel (h + pad − i·dilation) / stride of the output, where that is whole. So pixels that are equal modulo the
 * stride meet the same kernel positions, every stride / gcd(stride, dilation)-th, and form an axis; those that meet
 * none are left out.
 */
export function inputAxes(
  size: number,
  outSize: number,
  kernelSize: number,
  stride: number,
  dilation: number,
  pad: number,
): Axis[] {
  const period = stride / greatestCommonDivisor(stride, dilation);
  const axes: Axis[] = [];
  for (let first = 0; first < Math.min(stride, size); first++) {
    const residue = (first + pad) % stride;
    let position = 0;
    const end = Math.min(period, kernelSize);
    for (let sum = 0; position < end && sum !== residue; position++) sum = (sum + dilation) % stride;
    if (position === end) continue;
    const taps = Math.ceil((kernelSize - position) / period);
    // From the last kernel position to the first: the pixels then ascend.
    const tapFirst = position + (taps - 1) * period;
    axes.push({
      size: outSize,
      count: Math.ceil((size - first) / stride),
      first,
      every: stride,
      step: 1,
      offset: (first + pad - tapFirst * dilation) / stride,
      spacing: (period * dilation) / stride,
      taps,
      tapFirst,
      tapEvery: -period,
    });
  }
  return axes;
}

function greatestCommonDivisor(a: number, b: number): number {
  return b === 0 ? a : greatestCommonDivisor(b, a % b);
}

/** Geometries of convolutions and poolings, for fast-check, and the lengths that follow from them. */
import fc from 'fast-check';
import { type GeometryField, geometryFields } from '../../lib/kernels/codes.ts';

export type Geometry = Readonly<Record<GeometryField, number>>;

export const inputLength = (g: Geometry): number => g.batch * g.height * g.width * g.channels;
export const outputLength = (g: Geometry): number => g.batch * g.outHeight * g.outWidth * g.outChannels;
export const weightLength = (g: Geometry): number =>
  g.outChannels * g.kernelHeight * g.kernelWidth * (g.channels / g.groups);

export const pack = (g: Geometry): Int32Array => Int32Array.from(geometryFields, (field) => g[field]);

/** The output size that PyTorch gives, with the pad after the image the third number. */
export function natural(
  size: number,
  before: number,
  after: number,
  kernel: number,
  stride: number,
  dilation: number,
) {
  const room = size + before + after - dilation * (kernel - 1) - 1;
  return room < 0 ? 0 : Math.floor(room / stride) + 1;
}

const from = (min: number, max: number) => fc.integer({ min, max });

const drawn = fc.record({
  batch: from(0, 2),
  height: from(0, 9),
  width: from(0, 9),
  kernelHeight: from(1, 4),
  kernelWidth: from(1, 4),
  strideY: from(1, 3),
  strideX: from(1, 3),
  dilationY: from(1, 3),
  dilationX: from(1, 3),
  padTop: from(0, 3),
  padLeft: from(0, 3),
  padBottom: from(0, 3),
  padRight: from(0, 3),
  groups: from(1, 3),
  // Of one group.
  channels: from(0, 6),
  outChannels: from(0, 6),
  /**
   * 3 × 3 by steps of 1, with channels and pixels enough for Winograd; a kernel for each channel; windows that are
   * pixels, or the whole image.
   */
  kind: fc.constantFrom('any', 'any', 'any', 'winograd', 'depthwise', 'pixel', 'image'),
  larger: fc.constantFrom(0, 0, 0, 0, 1, -1),
  wider: fc.constantFrom(0, 0, 0, 0, 1, -1),
});

const kinds = {
  any: {},
  winograd: { kernelHeight: 3, kernelWidth: 3, strideY: 1, strideX: 1, dilationY: 1, dilationX: 1 },
  depthwise: { channels: 1, outChannels: 1 },
  pixel: { kernelHeight: 1, kernelWidth: 1, padTop: 0, padLeft: 0, padBottom: 0, padRight: 0 },
  image: { dilationY: 1, dilationX: 1, padTop: 0, padLeft: 0, padBottom: 0, padRight: 0 },
} as const;

export const geometries: fc.Arbitrary<Geometry> = drawn.map(
  ({ kind, larger, wider, padBottom, padRight, ...any }) => {
    const some = { ...any, padBottom, padRight, ...kinds[kind] };
    const least = kind === 'winograd' ? 8 : 0;
    const [height, width] =
      kind === 'image' ? [some.kernelHeight, some.kernelWidth] : [some.height + least, some.width + least];
    const {
      padBottom: bottom,
      padRight: right,
      ...g
    } = {
      ...some,
      height,
      width,
      channels: (some.channels + least) * some.groups,
      outChannels: (some.outChannels + least) * some.groups,
    };
    const outHeight = natural(g.height, g.padTop, bottom, g.kernelHeight, g.strideY, g.dilationY) + larger;
    const outWidth = natural(g.width, g.padLeft, right, g.kernelWidth, g.strideX, g.dilationX) + wider;
    return { ...g, outHeight: Math.max(0, outHeight), outWidth: Math.max(0, outWidth) };
  },
);

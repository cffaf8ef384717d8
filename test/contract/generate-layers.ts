/** Random calls of the kernels behind layers: convolution, pooling, normalisation and epilogues. */
import { gradientFromOutput, unaryCode } from '../../lib/kernels/codes.ts';
import type { TypedArray } from './call.ts';
import type { Draw, Make } from './generate.ts';
import { inputLength, outputLength, pack, weightLength } from './geometries.ts';
import type { KernelName } from './signature.ts';

/** Those that no domain restricts. */
const activations = [unaryCode.relu, unaryCode.sigmoid, unaryCode.tanh, -1];
const activationOf = (draw: Draw): number => activations[draw.code % activations.length];

/** An activation whose gradient follows from outputs within (0, 1), and −1. */
const activationOfOutput = (draw: Draw): number => {
  const at = draw.code % (gradientFromOutput.length + 1);
  return at === gradientFromOutput.length ? -1 : unaryCode[gradientFromOutput[at]];
};

const layer = (draw: Draw, transposed: boolean): unknown[] => {
  const { geometry } = draw;
  const [input, output] = [inputLength(geometry), outputLength(geometry)];
  const [to, from] = transposed ? [input, output] : [output, input];
  const biasLength = transposed ? geometry.channels : geometry.outChannels;
  return [
    draw.floats(to),
    draw.floats(from),
    draw.floats(weightLength(geometry)),
    draw.flags[0] ? null : draw.floats(biasLength),
    pack(geometry),
    activationOf(draw),
    0.25,
    draw.flags[1],
  ];
};

const pooling = ({ geometry }: Draw) => ({ ...geometry, outChannels: geometry.channels, groups: 1 });

/** What rounding may have taken from means. */
export function remainderOf(mean: TypedArray): TypedArray {
  const share = mean instanceof Float32Array ? 2 ** -25 : 2 ** -54;
  return mean.map((value) => (Number.isFinite(value) ? share * value : 0)) as TypedArray;
}

/** A mean with its remainder, or null for that. */
const meanOf = (draw: Draw, length: number, isWhole: boolean): unknown[] => {
  const mean = draw.floats(length);
  return [mean, isWhole ? null : remainderOf(mean)];
};

/** Axes in any order, whose shares are sometimes 0 or 1, between images of any size. */
const resampling = (draw: Draw) => {
  const [height, width] = draw.sizes.map((size) => (size % 20) + 1);
  const [channels, outHeight, outWidth] = draw.sizes.slice(1).map((size) => size % 70);
  const batch = draw.code % 4;
  const axis = (count: number, size: number, wholes: number) => [
    draw.int32(count, size),
    Float64Array.from(draw.floats(count, 0, 1), (share) => (wholes === 1 ? Math.round(share) : share)),
  ];
  return {
    axes: [
      ...axis(outHeight, height, draw.flags[0]),
      ...axis(outWidth, width, draw.flags[1]),
      ...[batch, height, width, channels],
    ],
    input: batch * height * width * channels,
    output: batch * outHeight * outWidth * channels,
  };
};

export const layerMakers = {
  epilogueGradient: (draw) => {
    const [rows, columns] = draw.sizes;
    const n = rows * columns;
    const gradient = draw.floats(n);
    return [
      draw.flags[0] ? gradient : draw.floats(n),
      draw.flags[1] ? null : draw.floats(columns),
      gradient,
      draw.floats(n, 0.25, 0.75),
      rows,
      columns,
      activationOfOutput(draw),
      0.5,
    ];
  },
  convolve: (draw) => layer(draw, false),
  convolveTransposed: (draw) => layer(draw, true),
  convolveWeightGradient: (draw) => {
    const { geometry } = draw;
    return [
      draw.floats(weightLength(geometry)),
      draw.floats(inputLength(geometry)),
      draw.floats(outputLength(geometry)),
      pack(geometry),
      draw.flags[0],
    ];
  },
  maxPool: (draw) => {
    const g = pooling(draw);
    // Integers tie often.
    const x = draw.floats(inputLength(g), 0, 5).map(Math.floor);
    return [draw.floats(outputLength(g)), draw.int32(outputLength(g), 9), x, pack(g)];
  },
  maxPoolGradient: (draw) => {
    const g = pooling(draw);
    const n = outputLength(g);
    // From −2 to two past the window, and anywhere in it, padding included.
    const indices = draw.int32(n, g.kernelHeight * g.kernelWidth + 4).map((index) => index - 2);
    return [draw.floats(inputLength(g)), draw.floats(n), indices, pack(g)];
  },
  averagePool: (draw) => {
    const g = pooling(draw);
    return [draw.floats(outputLength(g)), draw.floats(inputLength(g)), pack(g), draw.flags[0]];
  },
  averagePoolGradient: (draw) => {
    const g = pooling(draw);
    return [draw.floats(inputLength(g)), draw.floats(outputLength(g)), pack(g), draw.flags[0]];
  },
  interpolate: (draw) => {
    const { axes, input, output } = resampling(draw);
    return [draw.floats(output), draw.floats(input), ...axes];
  },
  interpolateGradient: (draw) => {
    const { axes, input, output } = resampling(draw);
    return [draw.floats(input), draw.floats(output), ...axes];
  },
  batchMoments: (draw) => {
    const [rows, channels] = draw.sizes;
    return [
      draw.floats(channels),
      draw.floats(channels),
      draw.floats(channels),
      draw.flags[0] ? null : draw.floats(channels),
      draw.flags[1] ? null : draw.floats(channels, 0, 2),
      draw.flags[2] ? null : draw.floats(1, 0, 2 * rows),
      draw.floats(rows * channels, -1, 3),
      rows,
      channels,
      1e-3,
      0.1,
    ];
  },
  batchNorm: (draw) => {
    const [rows, channels] = draw.sizes;
    const x = draw.floats(rows * channels);
    return [
      draw.flags[0] ? x : draw.floats(rows * channels),
      x,
      ...meanOf(draw, channels, draw.flags[4] === 1),
      draw.floats(channels, 0.25, 2),
      draw.flags[1] ? null : draw.floats(channels),
      draw.flags[2] ? null : draw.floats(channels),
      rows,
      channels,
      activationOf(draw),
      0.25,
    ];
  },
  batchNormGradient: (draw) => {
    const [rows, channels] = draw.sizes;
    const gradient = draw.floats(rows * channels);
    return [
      draw.flags[0] ? gradient : draw.floats(rows * channels),
      draw.floats(channels),
      draw.floats(channels),
      gradient,
      draw.floats(rows * channels),
      ...meanOf(draw, channels, draw.flags[4] === 1),
      draw.floats(channels, 0.25, 2),
      draw.flags[1] ? null : draw.floats(channels),
      draw.flags[2] ? null : draw.floats(channels),
      rows,
      channels,
      activationOf(draw),
      0.25,
      draw.flags[3],
    ];
  },
  layerNorm: (draw) => {
    const [rows, size] = draw.sizes;
    return [
      draw.floats(rows * size),
      draw.flags[2] ? null : draw.floats(rows),
      draw.flags[3] ? null : draw.floats(rows),
      draw.floats(rows),
      draw.floats(rows * size, -1, 3),
      draw.flags[0] ? null : draw.floats(size),
      draw.flags[1] ? null : draw.floats(size),
      rows,
      size,
      1e-3,
    ];
  },
  layerNormGradient: (draw) => {
    const [rows, size] = draw.sizes;
    const gradient = draw.floats(rows * size);
    return [
      draw.flags[0] ? gradient : draw.floats(rows * size),
      draw.floats(size),
      draw.floats(size),
      gradient,
      draw.floats(rows * size),
      ...(draw.flags[2] ? [null, null] : meanOf(draw, rows, draw.flags[3] === 1)),
      draw.floats(rows, 0.25, 2),
      draw.flags[1] ? null : draw.floats(size),
      rows,
      size,
    ];
  },
} satisfies Partial<Record<KernelName, Make>>;

/** What the contract of convolution and pooling allows: geometries of all kinds, with and without each epilogue. */
import {
  type Float,
  type GeometryField,
  geometryFields,
  kernels,
  unaryCode,
} from '../../lib/kernels/index.ts';
import { allocate, type FloatDtype } from '../../lib/memory.ts';
import { type DirectCase, defineCases } from './case.ts';
import { generator, hash } from './values.ts';

/** Uniform values; the name is the seed. */
function random(name: string, dtype: FloatDtype, length: number, low = -2, high = 2): Float {
  const next = generator(hash(name));
  return allocate(length, dtype).map(() => low + (high - low) * next()) as Float;
}

type Geometry = Record<GeometryField, number>;

/** An image of one pixel and channel under a kernel of the same size, but for what is given. */
function geometryOf(fields: Partial<Geometry>): Geometry {
  const zero: GeometryField[] = ['padTop', 'padLeft'];
  const all = geometryFields.map((field) => [field, fields[field] ?? (zero.includes(field) ? 0 : 1)]);
  return Object.fromEntries(all) as Geometry;
}

const lengthsOf = (g: Geometry) => ({
  input: g.batch * g.height * g.width * g.channels,
  output: g.batch * g.outHeight * g.outWidth * g.outChannels,
  weight: (g.outChannels * g.kernelHeight * g.kernelWidth * g.channels) / g.groups,
});

/** The first one is small, and the one that wrong arguments are made from. */
const convolutions: readonly (readonly [name: string, Partial<Geometry>])[] = [
  [
    'groups, strides, dilation and padding',
    {
      height: 4,
      width: 3,
      channels: 4,
      outHeight: 3,
      outWidth: 2,
      outChannels: 4,
      kernelHeight: 2,
      kernelWidth: 3,
      strideY: 2,
      dilationX: 2,
      padTop: 1,
      padLeft: 2,
      groups: 2,
    },
  ],
  ['one pixel', {}],
  [
    'a kernel of one pixel',
    { batch: 2, height: 3, width: 5, channels: 3, outHeight: 3, outWidth: 5, outChannels: 7 },
  ],
  [
    'a kernel of one pixel by steps',
    {
      batch: 2,
      height: 5,
      width: 4,
      channels: 3,
      outHeight: 2,
      outWidth: 2,
      outChannels: 2,
      strideY: 3,
      strideX: 2,
    },
  ],
  [
    'depthwise',
    {
      batch: 2,
      height: 5,
      width: 6,
      channels: 5,
      outHeight: 3,
      outWidth: 4,
      outChannels: 5,
      kernelHeight: 3,
      kernelWidth: 2,
      strideY: 2,
      dilationX: 3,
      padTop: 1,
      padLeft: 1,
      groups: 5,
    },
  ],
  [
    'depthwise with two outputs a channel',
    {
      height: 4,
      width: 4,
      channels: 3,
      outHeight: 4,
      outWidth: 4,
      outChannels: 6,
      kernelHeight: 3,
      kernelWidth: 3,
      padTop: 1,
      padLeft: 1,
      groups: 3,
    },
  ],
  [
    'three by three, for Winograd, with odd rests',
    {
      batch: 2,
      height: 11,
      width: 9,
      channels: 17,
      outHeight: 11,
      outWidth: 9,
      outChannels: 19,
      kernelHeight: 3,
      kernelWidth: 3,
      padTop: 1,
      padLeft: 1,
    },
  ],
  [
    'three by three without padding, and output beyond the image',
    {
      height: 9,
      width: 10,
      channels: 8,
      outHeight: 10,
      outWidth: 7,
      outChannels: 16,
      kernelHeight: 3,
      kernelWidth: 3,
    },
  ],
  [
    'padding beyond the image',
    {
      height: 2,
      width: 1,
      channels: 2,
      outHeight: 9,
      outWidth: 8,
      outChannels: 3,
      kernelHeight: 2,
      kernelWidth: 2,
      padTop: 4,
      padLeft: 5,
    },
  ],
  [
    'a kernel larger than the image',
    {
      height: 2,
      width: 3,
      channels: 2,
      outHeight: 2,
      outWidth: 2,
      outChannels: 2,
      kernelHeight: 7,
      kernelWidth: 5,
      padTop: 3,
      padLeft: 2,
    },
  ],
  [
    'steps that jump over pixels, and a dilation that shares a factor with them',
    {
      height: 9,
      width: 13,
      channels: 2,
      outHeight: 2,
      outWidth: 3,
      outChannels: 3,
      kernelHeight: 2,
      kernelWidth: 3,
      strideY: 5,
      strideX: 4,
      dilationX: 2,
    },
  ],
  [
    'steps of 2³¹ − 1',
    {
      height: 3,
      width: 3,
      outHeight: 2,
      outWidth: 2,
      kernelHeight: 2,
      kernelWidth: 2,
      strideY: 2 ** 31 - 1,
      dilationX: 2 ** 31 - 1,
      padTop: 1,
      padLeft: 2 ** 31 - 1,
    },
  ],
  ['no batch', { batch: 0, height: 3, width: 3, outHeight: 2, outWidth: 2, kernelHeight: 2, kernelWidth: 2 }],
  [
    'no rows',
    {
      height: 0,
      width: 3,
      channels: 2,
      outHeight: 2,
      outWidth: 2,
      outChannels: 2,
      kernelHeight: 2,
      padTop: 2,
    },
  ],
  [
    'no columns of output',
    { height: 3, width: 3, outHeight: 2, outWidth: 0, kernelHeight: 2, kernelWidth: 2 },
  ],
  ['no channels', { channels: 0, height: 2, width: 2, outHeight: 2, outWidth: 2, outChannels: 3 }],
  ['no channels of output', { outChannels: 0, height: 2, width: 2, outHeight: 2, outWidth: 2, channels: 3 }],
];

const pack = (g: Geometry): Int32Array => Int32Array.from(geometryFields, (field) => g[field]);

const convolutionCases: DirectCase[] = convolutions.map(([name, fields]) => ({
  name: `convolution, ${name}`,
  run: (dtype) => {
    const g = geometryOf(fields);
    const { input, output, weight } = lengthsOf(g);
    const [x, w, dy] = [
      random('x', dtype, input),
      random('w', dtype, weight, -1, 1),
      random('dy', dtype, output),
    ];
    const epilogues = [
      [null, null, -1],
      [random('bias', dtype, g.outChannels), random('shift', dtype, g.channels), -1],
      [random('bias', dtype, g.outChannels), null, unaryCode.relu],
      [null, random('shift', dtype, g.channels), unaryCode.tanh],
    ] as const;
    for (const fast of [0, 1] as const) {
      for (const [bias, shift, activation] of epilogues) {
        kernels.convolve(allocate(output, dtype), x, w, bias, pack(g), activation, 0, fast);
        kernels.convolveTransposed(allocate(input, dtype), dy, w, shift, pack(g), activation, 0, fast);
      }
      kernels.convolveWeightGradient(allocate(weight, dtype), x, dy, pack(g), fast);
    }
    const bias = random('bias', dtype, g.outChannels);
    kernels.convolve(allocate(output, dtype), x, w, bias, pack(g), unaryCode.leakyRelu, 0.25, 0);
  },
}));

const poolings: readonly (readonly [name: string, Partial<Geometry>])[] = [
  [
    'steps, dilation and padding',
    {
      height: 4,
      width: 5,
      channels: 3,
      outHeight: 3,
      outWidth: 3,
      kernelHeight: 2,
      kernelWidth: 3,
      strideY: 2,
      dilationY: 2,
      padTop: 1,
      padLeft: 1,
    },
  ],
  [
    'windows side by side',
    {
      batch: 2,
      height: 6,
      width: 8,
      channels: 17,
      outHeight: 3,
      outWidth: 4,
      kernelHeight: 2,
      kernelWidth: 2,
      strideY: 2,
      strideX: 2,
    },
  ],
  [
    'windows without a pixel',
    {
      height: 1,
      width: 2,
      channels: 2,
      outHeight: 7,
      outWidth: 6,
      kernelHeight: 2,
      kernelWidth: 2,
      padTop: 3,
      padLeft: 3,
    },
  ],
  ['a window over all', { batch: 3, height: 5, width: 3, channels: 4, kernelHeight: 5, kernelWidth: 3 }],
  [
    'a window 2³¹ − 1 high',
    {
      height: 2,
      width: 3,
      channels: 2,
      outHeight: 2,
      outWidth: 2,
      kernelHeight: 2 ** 31 - 1,
      padTop: 2 ** 31 - 2,
    },
  ],
  [
    'a window 2³¹ − 1 wide',
    {
      height: 2,
      width: 3,
      channels: 2,
      outHeight: 2,
      outWidth: 2,
      kernelWidth: 2 ** 31 - 1,
      padLeft: 5,
    },
  ],
  [
    'more positions than are looked at together',
    {
      ...{ height: 9, width: 8, channels: 19, outHeight: 5, outWidth: 5 },
      ...{ kernelHeight: 7, kernelWidth: 5, padTop: 1, padLeft: 1 },
    },
  ],
  ['no batch', { batch: 0, height: 2, width: 2, channels: 2 }],
  ['no pixels', { height: 0, width: 2, channels: 2, outHeight: 2, outWidth: 2 }],
  ['no channels', { channels: 0, height: 2, width: 2, outHeight: 2, outWidth: 2 }],
];

const poolingCases: DirectCase[] = poolings.map(([name, fields]) => ({
  name: `pooling, ${name}`,
  run: (dtype) => {
    const g = geometryOf({ ...fields, outChannels: fields.channels ?? 1 });
    const { input, output } = lengthsOf(g);
    const [x, dy] = [random('x', dtype, input), random('dy', dtype, output)];
    // Ties, NaN and −Infinity.
    const special = x.map((value, i) => [Math.round(value), Math.round(value), -Infinity, Number.NaN][i % 4]);
    for (const values of [x, special as Float]) {
      const indices = new Int32Array(output);
      kernels.maxPool(allocate(output, dtype), indices, values, pack(g));
      kernels.maxPoolGradient(allocate(input, dtype), dy, indices, pack(g));
    }
    for (const countPadding of [0, 1] as const) {
      kernels.averagePool(allocate(output, dtype), x, pack(g), countPadding);
      kernels.averagePoolGradient(allocate(input, dtype), dy, pack(g), countPadding);
    }
  },
}));

export default defineCases({
  op: 'image kernels',
  cases: [],
  direct: [...convolutionCases, ...poolingCases],
  bad: [],
  bench: [],
});

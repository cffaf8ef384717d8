/** What conv2d.ts runs: a convolution for every option, and those of the networks that benchmarks train. */
import { type Conv2dOptions, conv2d } from '../../lib/ops/convolution.ts';
import { type BenchCase, constant, uniform } from './case.ts';

export type Shape4 = readonly [number, number, number, number];

interface Convolution {
  name: string;
  x: Shape4;
  weight: Shape4;
  bias?: boolean;
  options?: Conv2dOptions;
  /** What PyTorch adds around the image: left, right, top, bottom. Written down, not computed, for padding same. */
  pads?: Shape4;
}

const pair = (value: number | readonly [number, number] = 1) => {
  const [y, x] = typeof value === 'number' ? [value, value] : value;
  return `(${y}, ${x})`;
};

/** A convolution in PyTorch. */
export function torchOf({ bias = false, options = {}, pads = [0, 0, 0, 0] }: Convolution): string {
  const steps = `stride=${pair(options.stride)}, dilation=${pair(options.dilation)}, groups=${options.groups ?? 1}`;
  return `last(F.conv2d(F.pad(first(a), (${pads.join(', ')})), first(b), ${bias ? 'c' : 'None'}, ${steps}))`;
}

export const convolutions: readonly Convolution[] = [
  { name: 'one pixel', x: [1, 1, 1, 1], weight: [1, 1, 1, 1] },
  { name: '3 x 3', x: [2, 5, 6, 3], weight: [4, 3, 3, 3], bias: true },
  { name: 'kernel as large as the image', x: [2, 3, 4, 2], weight: [3, 3, 4, 2], bias: true },
  { name: '1 x 1', x: [2, 3, 3, 4], weight: [5, 1, 1, 4], bias: true },
  { name: '1 x 1 by steps', x: [1, 5, 4, 3], weight: [2, 1, 1, 3], options: { stride: [2, 3] } },
  { name: 'a row and a column', x: [1, 5, 6, 2], weight: [2, 1, 3, 2], bias: true },
  { name: 'even kernel', x: [1, 5, 6, 2], weight: [2, 2, 4, 2] },
  { name: 'stride', x: [1, 7, 8, 2], weight: [3, 3, 3, 2], bias: true, options: { stride: 2 } },
  { name: 'two strides', x: [1, 7, 8, 2], weight: [3, 2, 3, 2], options: { stride: [3, 2] } },
  { name: 'stride beyond the kernel', x: [1, 7, 9, 1], weight: [2, 2, 1, 1], options: { stride: 4 } },
  { name: 'dilation', x: [1, 7, 7, 2], weight: [2, 3, 3, 2], bias: true, options: { dilation: 2 } },
  {
    name: 'two dilations and strides',
    x: [1, 9, 9, 2],
    weight: [2, 3, 2, 2],
    options: { dilation: [2, 3], stride: [2, 1] },
  },
  {
    name: 'padding 1',
    x: [2, 4, 5, 2],
    weight: [3, 3, 3, 2],
    bias: true,
    options: { padding: 1 },
    pads: [1, 1, 1, 1],
  },
  {
    name: 'two paddings',
    x: [1, 4, 5, 2],
    weight: [3, 3, 3, 2],
    options: { padding: [2, 0] },
    pads: [0, 0, 2, 2],
  },
  {
    name: 'a padding for each side',
    x: [1, 4, 3, 2],
    weight: [3, 3, 3, 2],
    options: { padding: { top: 2, left: 1, right: 3 } },
    pads: [1, 3, 2, 0],
  },
  {
    name: 'padding beyond the kernel',
    x: [1, 2, 2, 1],
    weight: [2, 2, 2, 1],
    options: { padding: 3 },
    pads: [3, 3, 3, 3],
  },
  {
    name: 'same',
    x: [2, 4, 5, 2],
    weight: [3, 3, 3, 2],
    bias: true,
    options: { padding: 'same' },
    pads: [1, 1, 1, 1],
  },
  {
    name: 'same, even kernel',
    x: [1, 4, 5, 2],
    weight: [2, 2, 4, 2],
    options: { padding: 'same' },
    pads: [1, 2, 0, 1],
  },
  {
    name: 'same, dilation',
    x: [1, 4, 5, 2],
    weight: [2, 2, 3, 2],
    options: { padding: 'same', dilation: [3, 2] },
    pads: [2, 2, 1, 2],
  },
  {
    // ⌈6 / 2⌉ = 3 positions reach 7 pixels, ⌈5 / 2⌉ = 3 reach 7.
    name: 'same, stride',
    x: [1, 6, 5, 2],
    weight: [2, 3, 3, 2],
    options: { padding: 'same', stride: 2 },
    pads: [1, 1, 0, 1],
  },
  {
    // The window never reaches the end: no padding.
    name: 'same, stride beyond the kernel',
    x: [1, 5, 6, 1],
    weight: [2, 1, 2, 1],
    options: { padding: 'same', stride: 3 },
  },
  { name: 'groups', x: [2, 4, 4, 4], weight: [6, 3, 3, 2], bias: true, options: { groups: 2 } },
  {
    name: 'groups, strides, dilation and padding',
    x: [2, 6, 5, 6],
    weight: [3, 2, 3, 2],
    bias: true,
    options: { groups: 3, stride: [2, 1], dilation: [1, 2], padding: [1, 2] },
    pads: [2, 2, 1, 1],
  },
  {
    name: 'depthwise',
    x: [2, 5, 4, 5],
    weight: [5, 3, 3, 1],
    bias: true,
    options: { groups: 5, padding: 'same' },
    pads: [1, 1, 1, 1],
  },
  {
    name: 'depthwise, by steps',
    x: [1, 6, 7, 3],
    weight: [3, 3, 3, 1],
    options: { groups: 3, stride: 2 },
  },
  {
    name: 'depthwise with two outputs a channel',
    x: [1, 4, 4, 3],
    weight: [6, 3, 3, 1],
    bias: true,
    options: { groups: 3 },
  },
  { name: 'no batch', x: [0, 4, 4, 2], weight: [3, 3, 3, 2], bias: true },
];

interface Bench {
  name: string;
  x: Shape4;
  weight: Shape4;
  options?: Conv2dOptions;
  /** Whether x wants a gradient; the first layer's does not. */
  first?: boolean;
}

const sizes: readonly Bench[] = [
  { name: '1 to 32, 3 x 3 on 28 x 28, batch 64', x: [64, 28, 28, 1], weight: [32, 3, 3, 1], first: true },
  { name: '32 to 64, 3 x 3 on 26 x 26, batch 64', x: [64, 26, 26, 32], weight: [64, 3, 3, 32] },
  {
    name: '3 to 64, 3 x 3 same on 32 x 32, batch 32',
    x: [32, 32, 32, 3],
    weight: [64, 3, 3, 3],
    options: { padding: 1 },
    first: true,
  },
  {
    name: '64 to 64, 3 x 3 same on 32 x 32, batch 32',
    x: [32, 32, 32, 64],
    weight: [64, 3, 3, 64],
    options: { padding: 1 },
  },
  {
    name: '64 to 128, 3 x 3 same on 16 x 16, batch 32',
    x: [32, 16, 16, 64],
    weight: [128, 3, 3, 64],
    options: { padding: 1 },
  },
  {
    name: '128 to 128, 3 x 3 same on 16 x 16, batch 32',
    x: [32, 16, 16, 128],
    weight: [128, 3, 3, 128],
    options: { padding: 1 },
  },
  {
    name: 'depthwise, 64 channels, 3 x 3 on 32 x 32, batch 8',
    x: [8, 32, 32, 64],
    weight: [64, 3, 3, 1],
    options: { padding: 1, groups: 64 },
  },
  { name: '1 x 1, 64 to 64 on 32 x 32, batch 8', x: [8, 32, 32, 64], weight: [64, 1, 1, 64] },
  {
    name: 'stride 2, 64 to 64, 3 x 3 on 32 x 32, batch 8',
    x: [8, 32, 32, 64],
    weight: [64, 3, 3, 64],
    options: { padding: 1, stride: 2 },
  },
];

export const benches: readonly BenchCase[] = sizes.map(
  ({ name, x, weight: w, options = {}, first = false }): BenchCase => ({
    name,
    inputs: [first ? constant(uniform(x, -1, 1)) : uniform(x, -1, 1), uniform(w, -0.1, 0.1), uniform([w[0]])],
    run: (a, b, c) => conv2d(a, b, c, { ...options, activation: { op: 'relu', parameter: 0 } }),
    large: true,
  }),
);

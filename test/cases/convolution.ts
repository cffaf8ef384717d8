/** lib/ops/convolution.ts: conv2d and convTranspose2d, conv1d. In PyTorch `first` and `last` move the channels. */
import { type Conv2dOptions, conv1d, conv2d, convTranspose2d } from '../../lib/ops/convolution.ts';
import { type Tensor, tensor, type Values } from '../../lib/tensor.ts';
import { type BenchCase, type Case, constant, defineCases, integers, uniform } from './case.ts';

type Shape4 = readonly [number, number, number, number];

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
function torchOf({ bias = false, options = {}, pads = [0, 0, 0, 0] }: Convolution): string {
  const steps = `stride=${pair(options.stride)}, dilation=${pair(options.dilation)}, groups=${options.groups ?? 1}`;
  return `last(F.conv2d(F.pad(first(a), (${pads.join(', ')})), first(b), ${bias ? 'c' : 'None'}, ${steps}))`;
}

const convolutions: readonly Convolution[] = [
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

const kernels3 = (name: string, x: Shape4, out: number, padding: 0 | 1): Case => ({
  // float64 has no Winograd, and differences of so many numbers would take long.
  name,
  inputs: [integers(x, -4, 4), integers([out, 3, 3, x[3]], -2, 2), integers([out], -3, 3)],
  run: (a, b, c) => conv2d(a, b, c, { padding }),
  torch: `last(F.conv2d(first(a), first(b), c, padding=${padding}))`,
  gradient: 'kinked',
  // Winograd's rounding, relative to the typical element: F(4 × 4, 3 × 3) multiplies by numbers up to 8 and 1/24.
  tolerance: { float32: 5e-5, float64: 1e-12 },
});

const activations = {
  relu: 'torch.relu(z)',
  leakyRelu: 'F.leaky_relu(z, 0.125)',
  elu: 'F.elu(z, 0.125)',
  softplus: 'torch.logaddexp(z, torch.zeros_like(z))',
  sigmoid: 'torch.sigmoid(z)',
  tanh: 'torch.tanh(z)',
} as const;

const activated = Object.entries(activations) as [keyof typeof activations, string][];

interface Transposed {
  name: string;
  x: Shape4;
  weight: Shape4;
  bias?: boolean;
  options?: Parameters<typeof convTranspose2d>[3];
  /** The arguments of PyTorch's function after the bias, and what is cut off its result. */
  torch?: string;
  cut?: string;
}

const transposed: readonly Transposed[] = [
  { name: 'one pixel', x: [1, 1, 1, 1], weight: [1, 1, 1, 1] },
  { name: '3 x 3', x: [2, 3, 4, 3], weight: [3, 3, 3, 2], bias: true },
  { name: '1 x 1', x: [1, 3, 2, 3], weight: [3, 1, 1, 4], bias: true },
  {
    name: 'stride',
    x: [2, 3, 4, 2],
    weight: [2, 2, 2, 3],
    bias: true,
    options: { stride: 2 },
    torch: ', stride=2',
  },
  {
    name: 'stride beyond the kernel',
    x: [1, 2, 3, 2],
    weight: [2, 1, 2, 1],
    options: { stride: 3 },
    torch: ', stride=3',
  },
  {
    name: 'strides, padding, dilation and outputPadding',
    x: [1, 3, 4, 2],
    weight: [2, 3, 2, 3],
    bias: true,
    options: { stride: [2, 3], padding: [1, 2], dilation: [1, 2], outputPadding: [1, 2] },
    torch: ', stride=(2, 3), padding=(1, 2), dilation=(1, 2), output_padding=(1, 2)',
  },
  {
    name: 'groups',
    x: [1, 3, 3, 4],
    weight: [4, 3, 3, 3],
    bias: true,
    options: { groups: 2, stride: 2, padding: 1 },
    torch: ', stride=2, padding=1, groups=2',
  },
  {
    name: 'depthwise',
    x: [1, 3, 3, 4],
    weight: [4, 2, 2, 1],
    options: { groups: 4, stride: 2 },
    torch: ', stride=2, groups=4',
  },
  {
    name: 'same',
    x: [1, 3, 4, 2],
    weight: [2, 3, 3, 2],
    bias: true,
    options: { padding: 'same' },
    torch: ', padding=1',
  },
  {
    // (3 − 1)·2 + 3 = 7 rows, of which the last is cut off.
    name: 'same, stride',
    x: [1, 3, 3, 2],
    weight: [2, 3, 3, 2],
    options: { padding: 'same', stride: 2 },
    torch: ', stride=2',
    cut: '[:, :, :-1, :-1]',
  },
  {
    // Rows that no position of the kernel reaches are the bias.
    name: 'same, stride beyond the kernel',
    x: [1, 2, 2, 2],
    weight: [2, 1, 1, 2],
    bias: true,
    options: { padding: 'same', stride: 2 },
    torch: ', stride=2, output_padding=1',
  },
  {
    name: 'a padding for each side',
    x: [1, 3, 4, 2],
    weight: [2, 3, 3, 2],
    options: { padding: { top: 1, right: 2 } },
    cut: '[:, :, 1:, :-2]',
  },
  {
    name: 'no batch',
    x: [0, 3, 3, 2],
    weight: [2, 2, 2, 3],
    bias: true,
    options: { stride: 2 },
    torch: ', stride=2',
  },
];

interface Bench {
  name: string;
  x: Shape4;
  weight: Shape4;
  options?: Conv2dOptions;
  /** Whether x wants a gradient; the first layer's does not. */
  first?: boolean;
}

const benches: readonly Bench[] = [
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

const image = (): Tensor => tensor([[[[1], [2]]]]);
const weight = (): Tensor => tensor([[[[1]]]]);
const sized = (...shape: number[]): Tensor =>
  tensor(new Float32Array(shape.reduce((a, b) => a * b)), { shape });

export default defineCases({
  op: 'convolution',
  cases: [
    ...convolutions.map((given): Case => {
      const { name, x, weight: w, bias, options = {} } = given;
      return {
        name: `conv2d, ${name}`,
        inputs: [uniform(x), uniform(w), ...(bias ? [uniform([w[0]])] : [])],
        run: (a, b, c) => conv2d(a, b, c ?? null, options),
        torch: torchOf(given),
        tolerance: { float32: 1e-5, float64: 1e-12 },
      };
    }),
    kernels3('conv2d, 3 x 3 for Winograd', [1, 12, 12, 16], 16, 1),
    kernels3('conv2d, 3 x 3 for Winograd, odd sizes', [1, 15, 13, 17], 18, 0),
    ...activated.map(
      ([op, z]): Case => ({
        name: `conv2d, ${op}`,
        inputs: [uniform([2, 4, 4, 2], -1, 1), uniform([3, 2, 2, 2], -1, 1), uniform([3], -1, 1)],
        run: (a, b, c) => conv2d(a, b, c, { activation: { op, parameter: 0.125 } }),
        torch: `last((lambda z: ${z})(F.conv2d(first(a), first(b), c)))`,
        tolerance: { float32: 1e-5 },
      }),
    ),
    {
      name: 'conv2d, activation without bias',
      inputs: [uniform([1, 4, 4, 2], -1, 1), uniform([3, 2, 2, 2], -1, 1)],
      run: (a, b) => conv2d(a, b, null, { activation: { op: 'tanh', parameter: 0 } }),
      torch: 'last(torch.tanh(F.conv2d(first(a), first(b))))',
      tolerance: { float32: 1e-5 },
    },
    {
      name: 'conv2d, activation and a bias that stays',
      inputs: [uniform([1, 4, 4, 2], -1, 1), uniform([3, 2, 2, 2], -1, 1), constant(uniform([3]))],
      run: (a, b, c) => conv2d(a, b, c, { activation: { op: 'sigmoid', parameter: 0 } }),
      torch: 'last(torch.sigmoid(F.conv2d(first(a), first(b), c)))',
      tolerance: { float32: 1e-5 },
    },
    {
      name: 'conv2d, relu at its kink',
      inputs: [integers([1, 4, 4, 2], -1, 1), integers([3, 2, 2, 2], -1, 1), integers([3], -1, 1)],
      run: (a, b, c) => conv2d(a, b, c, { activation: { op: 'relu', parameter: 0 } }),
      torch: 'last(torch.relu(F.conv2d(first(a), first(b), c)))',
      gradient: 'kinked',
    },
    {
      name: 'conv2d, constant images',
      inputs: [constant(uniform([2, 4, 4, 2])), uniform([3, 3, 3, 2]), uniform([3])],
      run: (a, b, c) => conv2d(a, b, c),
      torch: 'last(F.conv2d(first(a), first(b), c))',
      tolerance: { float32: 1e-5 },
    },
    {
      name: 'conv2d, constant weight and bias',
      inputs: [uniform([2, 4, 4, 2]), constant(uniform([3, 3, 3, 2])), constant(uniform([3]))],
      run: (a, b, c) => conv2d(a, b, c),
      torch: 'last(F.conv2d(first(a), first(b), c))',
      tolerance: { float32: 1e-5 },
    },
    {
      name: 'conv2d, one weight in two layers',
      inputs: [uniform([1, 5, 5, 3], -1, 1), uniform([3, 3, 3, 3], -1, 1), uniform([3], -1, 1)],
      run: (a, b, c) =>
        conv2d(conv2d(a, b, c, { padding: 1, activation: { op: 'tanh', parameter: 0 } }), b, c),
      torch: 'last(F.conv2d(torch.tanh(F.conv2d(first(a), first(b), c, padding=1)), first(b), c))',
      tolerance: { float32: 1e-5, float64: 1e-12 },
    },
    {
      name: 'conv2d, without Winograd',
      inputs: [uniform([1, 5, 5, 3]), uniform([3, 3, 3, 3])],
      run: (a, b) => conv2d(a, b, null, { winograd: false }),
      torch: 'last(F.conv2d(first(a), first(b)))',
      tolerance: { float32: 1e-5, float64: 1e-12 },
    },
    ...transposed.map(
      ({ name, x, weight: w, bias, options = {}, torch = '', cut = '' }): Case => ({
        name: `convTranspose2d, ${name}`,
        inputs: [uniform(x), uniform(w), ...(bias ? [uniform([w[3] * (options.groups ?? 1)])] : [])],
        run: (a, b, c) => convTranspose2d(a, b, c ?? null, options),
        torch: `last(F.conv_transpose2d(first(a), first(b), ${bias ? 'c' : 'None'}${torch})${cut})`,
        tolerance: { float32: 1e-5, float64: 1e-12 },
      }),
    ),
    {
      name: 'convTranspose2d, activation',
      inputs: [uniform([1, 3, 3, 2], -1, 1), uniform([2, 2, 2, 3], -1, 1), uniform([3], -1, 1)],
      run: (a, b, c) => convTranspose2d(a, b, c, { stride: 2, activation: { op: 'tanh', parameter: 0 } }),
      torch: 'last(torch.tanh(F.conv_transpose2d(first(a), first(b), c, stride=2)))',
      tolerance: { float32: 1e-5 },
    },
    {
      name: 'conv1d',
      inputs: [uniform([2, 7, 3]), uniform([4, 3, 3]), uniform([4])],
      run: (a, b, c) => conv1d(a, b, c),
      torch: 'last(F.conv1d(first(a), first(b), c))',
      tolerance: { float32: 1e-5 },
    },
    {
      name: 'conv1d, stride, padding, dilation and groups',
      inputs: [uniform([2, 9, 4]), uniform([6, 3, 2]), uniform([6])],
      run: (a, b, c) => conv1d(a, b, c, { stride: 2, padding: 2, dilation: 2, groups: 2 }),
      torch: 'last(F.conv1d(first(a), first(b), c, stride=2, padding=2, dilation=2, groups=2))',
      tolerance: { float32: 1e-5 },
    },
    {
      name: 'conv1d, causal, elu',
      inputs: [uniform([2, 6, 2], -1, 1), uniform([3, 2, 2], -1, 1)],
      run: (a, b) =>
        conv1d(a, b, null, { padding: { left: 2 }, dilation: 2, activation: { op: 'elu', parameter: 1 } }),
      torch: 'last(F.elu(F.conv1d(F.pad(first(a), (2, 0)), first(b), dilation=2)))',
      tolerance: { float32: 1e-5 },
    },
    {
      name: 'conv1d, same',
      inputs: [uniform([1, 6, 2]), uniform([3, 4, 2])],
      run: (a, b) => conv1d(a, b, null, { padding: 'same' }),
      torch: 'last(F.conv1d(F.pad(first(a), (1, 2)), first(b)))',
      tolerance: { float32: 1e-5 },
    },
  ],
  bad: [
    {
      name: 'rank of x',
      call: () => conv2d(sized(2, 3, 4), weight()),
      code: 'AXPY_SHAPE',
      message: /expected x \[batch, height, width, in\] and weight .* got \[2, 3, 4\] and \[1, 1, 1, 1\]/,
    },
    {
      name: 'channels',
      call: () => conv2d(sized(1, 3, 3, 2), sized(1, 3, 3, 3)),
      code: 'AXPY_SHAPE',
      message: /got \[1, 3, 3, 2\] and \[1, 3, 3, 3\]/,
    },
    {
      name: 'channels of a group',
      call: () => conv2d(sized(1, 3, 3, 4), sized(2, 3, 3, 4), null, { groups: 2 }),
      code: 'AXPY_SHAPE',
      message: /for 2 group/,
    },
    {
      name: 'groups',
      call: () => conv2d(sized(1, 3, 3, 4), sized(3, 3, 3, 2), null, { groups: 2 }),
      code: 'AXPY_ARGUMENT',
      message: /groups to divide the 3 channels, got 2/,
    },
    {
      name: 'bias',
      call: () => conv2d(image(), weight(), tensor([1, 2])),
      code: 'AXPY_SHAPE',
      message: /expected bias \[1\], got \[2\]/,
    },
    {
      name: 'image smaller than the kernel',
      call: () => conv2d(sized(1, 2, 5, 1), sized(1, 3, 3, 1)),
      code: 'AXPY_SHAPE',
      message: /images of at least 3 x 3 pixels, got 2 x 5/,
    },
    {
      name: 'image smaller than the kernel with its padding',
      call: () => conv2d(sized(1, 2, 5, 1), sized(1, 5, 3, 1), null, { padding: 1 }),
      code: 'AXPY_SHAPE',
      message: /images of at least 3 x 1 pixels, got 2 x 5/,
    },
    {
      name: 'no pixels',
      call: () => conv2d(sized(1, 0, 5, 1), sized(1, 1, 1, 1), null, { padding: 'same' }),
      code: 'AXPY_SHAPE',
      message: /at least 1 x 1 pixels, got 0 x 5/,
    },
    {
      name: 'a kernel of nothing',
      call: () => conv2d(sized(1, 3, 3, 1), sized(1, 0, 3, 1)),
      code: 'AXPY_SHAPE',
      message: /kernel of at least 1 x 1, got 0 x 3/,
    },
    {
      name: 'stride',
      call: () => conv2d(image(), weight(), null, { stride: 0 }),
      code: 'AXPY_ARGUMENT',
      message: /stride to be an integer of at least 1, got 0/,
    },
    {
      name: 'three strides',
      call: () => conv2d(image(), weight(), null, { stride: [1, 1, 1] as never }),
      code: 'AXPY_ARGUMENT',
      message: /stride to be one number or two, got 3/,
    },
    {
      name: 'dilation',
      call: () => conv2d(image(), weight(), null, { dilation: [1, 1.5] }),
      code: 'AXPY_ARGUMENT',
      message: /dilation to be an integer of at least 1, got 1\.5/,
    },
    {
      name: 'negative padding',
      call: () => conv2d(image(), weight(), null, { padding: -1 }),
      code: 'AXPY_ARGUMENT',
      message: /padding to be an integer of at least 0, got -1/,
    },
    {
      name: 'unknown padding',
      call: () => conv2d(image(), weight(), null, { padding: 'full' as never }),
      code: 'AXPY_ARGUMENT',
      message: /padding to be same, valid, numbers or sides, got "full"/,
    },
    {
      name: 'unknown side',
      call: () => conv2d(image(), weight(), null, { padding: { above: 1 } as never }),
      code: 'AXPY_ARGUMENT',
      message: /top, bottom, left and right, got "above"/,
    },
    {
      name: 'activation that cannot be fused',
      call: () => conv2d(image(), weight(), null, { activation: { op: 'gelu', parameter: 0 } }),
      code: 'AXPY_ARGUMENT',
      message: /activation to be null or \{ op, parameter \}/,
    },
    {
      name: 'option',
      call: () => conv2d(image(), weight(), null, { strides: 1 } as never),
      code: 'AXPY_ARGUMENT',
      message: /got strides/,
    },
    {
      name: 'int32',
      call: () => conv2d(image().cast('int32'), weight().cast('int32')),
      code: 'AXPY_DTYPE',
      message: /int32/,
    },
    {
      name: 'dtypes',
      call: () => conv2d(image(), tensor(new Float64Array(1) as Values, { shape: [1, 1, 1, 1] })),
      code: 'AXPY_DTYPE',
      message: /one dtype/,
    },
    {
      name: 'too large',
      call: () => conv2d(sized(1, 1, 1, 1), weight(), null, { padding: 1 << 20 }),
      code: 'AXPY_SHAPE',
      message: /fewer than 2\^31/,
    },
    {
      name: 'transposed, channels',
      call: () => convTranspose2d(sized(1, 3, 3, 2), sized(3, 2, 2, 2)),
      code: 'AXPY_SHAPE',
      message:
        /weight \[in, kernel height, kernel width, out \/ groups\], got \[1, 3, 3, 2\] and \[3, 2, 2, 2\]/,
    },
    {
      name: 'transposed, groups',
      call: () => convTranspose2d(sized(1, 3, 3, 3), sized(3, 2, 2, 2), null, { groups: 2 }),
      code: 'AXPY_ARGUMENT',
      message: /groups to divide the 3 channels/,
    },
    {
      name: 'transposed, outputPadding',
      call: () => convTranspose2d(image(), weight(), null, { stride: 2, outputPadding: [1, 2] }),
      code: 'AXPY_ARGUMENT',
      message: /outputPadding to be less than 2 .* got 2/,
    },
    {
      name: 'transposed, outputPadding with same',
      call: () => convTranspose2d(image(), weight(), null, { stride: 2, padding: 'same', outputPadding: 1 }),
      code: 'AXPY_ARGUMENT',
      message: /outputPadding to be less than 1/,
    },
    {
      name: 'transposed, all cut off',
      call: () => convTranspose2d(image(), weight(), null, { padding: 1 }),
      code: 'AXPY_SHAPE',
      message: /leave a pixel after the padding is cut off, got 1 x 2/,
    },
    {
      name: 'one axis, rank',
      call: () => conv1d(image(), sized(1, 1, 1)),
      code: 'AXPY_SHAPE',
      message: /x \[batch, length, in\]/,
    },
    {
      name: 'one axis, length',
      call: () => conv1d(sized(1, 2, 1), sized(1, 3, 1)),
      code: 'AXPY_SHAPE',
      message: /a length of at least 3, got 2/,
    },
    {
      name: 'one axis, sides of two',
      call: () => conv1d(sized(1, 2, 1), sized(1, 1, 1), null, { padding: { top: 1 } as never }),
      code: 'AXPY_ARGUMENT',
      message: /among left, right, got top/,
    },
  ],
  bench: benches.map(
    ({ name, x, weight: w, options = {}, first = false }): BenchCase => ({
      name,
      inputs: [
        first ? constant(uniform(x, -1, 1)) : uniform(x, -1, 1),
        uniform(w, -0.1, 0.1),
        uniform([w[0]]),
      ],
      run: (a, b, c) => conv2d(a, b, c, { ...options, activation: { op: 'relu', parameter: 0 } }),
      large: true,
    }),
  ),
});

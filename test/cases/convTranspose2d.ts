/** lib/ops/convolution.ts: convTranspose2d. In PyTorch `first` and `last` move the channels. */
import { convTranspose2d } from '../../lib/ops/convolution.ts';
import { type Tensor, tensor } from '../../lib/tensor.ts';
import { type Case, defineCases, uniform } from './case.ts';
import type { Shape4 } from './conv2dSizes.ts';

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

const image = (): Tensor => tensor([[[[1], [2]]]]);
const weight = (): Tensor => tensor([[[[1]]]]);
const sized = (...shape: number[]): Tensor =>
  tensor(new Float32Array(shape.reduce((a, b) => a * b)), { shape });

export default defineCases({
  op: 'convTranspose2d',
  cases: [
    ...transposed.map(
      ({ name, x, weight: w, bias, options = {}, torch = '', cut = '' }): Case => ({
        name,
        inputs: [uniform(x), uniform(w), ...(bias ? [uniform([w[3] * (options.groups ?? 1)])] : [])],
        run: (a, b, c) => convTranspose2d(a, b, c ?? null, options),
        torch: `last(F.conv_transpose2d(first(a), first(b), ${bias ? 'c' : 'None'}${torch})${cut})`,
        tolerance: { float32: 1e-5, float64: 1e-12 },
      }),
    ),
    {
      name: 'activation',
      inputs: [uniform([1, 3, 3, 2], -1, 1), uniform([2, 2, 2, 3], -1, 1), uniform([3], -1, 1)],
      run: (a, b, c) => convTranspose2d(a, b, c, { stride: 2, activation: { op: 'tanh', parameter: 0 } }),
      torch: 'last(torch.tanh(F.conv_transpose2d(first(a), first(b), c, stride=2)))',
      tolerance: { float32: 1e-5 },
    },
  ],
  bad: [
    {
      name: 'channels',
      call: () => convTranspose2d(sized(1, 3, 3, 2), sized(3, 2, 2, 2)),
      code: 'AXPY_SHAPE',
      message:
        /weight \[in, kernel height, kernel width, out \/ groups\], got \[1, 3, 3, 2\] and \[3, 2, 2, 2\]/,
    },
    {
      name: 'groups',
      call: () => convTranspose2d(sized(1, 3, 3, 3), sized(3, 2, 2, 2), null, { groups: 2 }),
      code: 'AXPY_ARGUMENT',
      message: /groups to divide the 3 channels/,
    },
    {
      name: 'outputPadding',
      call: () => convTranspose2d(image(), weight(), null, { stride: 2, outputPadding: [1, 2] }),
      code: 'AXPY_ARGUMENT',
      message: /outputPadding to be less than 2 .* got 2/,
    },
    {
      name: 'outputPadding with same',
      call: () => convTranspose2d(image(), weight(), null, { stride: 2, padding: 'same', outputPadding: 1 }),
      code: 'AXPY_ARGUMENT',
      message: /outputPadding to be less than 1/,
    },
    {
      name: 'all cut off',
      call: () => convTranspose2d(image(), weight(), null, { padding: 1 }),
      code: 'AXPY_SHAPE',
      message: /leave a pixel after the padding is cut off, got 1 x 2/,
    },
  ],
  bench: [
    {
      name: '64 to 32, 2 x 2 by 2 on 16 x 16, batch 8',
      inputs: [uniform([8, 16, 16, 64], -1, 1), uniform([64, 2, 2, 32], -0.1, 0.1), uniform([32])],
      run: (a, b, c) => convTranspose2d(a, b, c, { stride: 2 }),
      large: true,
    },
  ],
});

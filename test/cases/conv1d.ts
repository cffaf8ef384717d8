/** lib/ops/convolution.ts: conv1d. In PyTorch `first` and `last` move the channels. */
import { conv1d } from '../../lib/ops/convolution.ts';
import { type Tensor, tensor } from '../../lib/tensor.ts';
import { defineCases, uniform } from './case.ts';

const image = (): Tensor => tensor([[[[1], [2]]]]);
const sized = (...shape: number[]): Tensor =>
  tensor(new Float32Array(shape.reduce((a, b) => a * b)), { shape });

export default defineCases({
  op: 'conv1d',
  cases: [
    {
      name: 'plain',
      inputs: [uniform([2, 7, 3]), uniform([4, 3, 3]), uniform([4])],
      run: (a, b, c) => conv1d(a, b, c),
      torch: 'last(F.conv1d(first(a), first(b), c))',
      tolerance: { float32: 1e-5 },
    },
    {
      name: 'stride, padding, dilation and groups',
      inputs: [uniform([2, 9, 4]), uniform([6, 3, 2]), uniform([6])],
      run: (a, b, c) => conv1d(a, b, c, { stride: 2, padding: 2, dilation: 2, groups: 2 }),
      torch: 'last(F.conv1d(first(a), first(b), c, stride=2, padding=2, dilation=2, groups=2))',
      tolerance: { float32: 1e-5 },
    },
    {
      name: 'causal, elu',
      inputs: [uniform([2, 6, 2], -1, 1), uniform([3, 2, 2], -1, 1)],
      run: (a, b) =>
        conv1d(a, b, null, { padding: { left: 2 }, dilation: 2, activation: { op: 'elu', parameter: 1 } }),
      torch: 'last(F.elu(F.conv1d(F.pad(first(a), (2, 0)), first(b), dilation=2)))',
      tolerance: { float32: 1e-5 },
    },
    {
      name: 'same',
      inputs: [uniform([1, 6, 2]), uniform([3, 4, 2])],
      run: (a, b) => conv1d(a, b, null, { padding: 'same' }),
      torch: 'last(F.conv1d(F.pad(first(a), (1, 2)), first(b)))',
      tolerance: { float32: 1e-5 },
    },
  ],
  bad: [
    {
      name: 'rank',
      call: () => conv1d(image(), sized(1, 1, 1)),
      code: 'AXPY_SHAPE',
      message: /x \[batch, length, in\]/,
    },
    {
      name: 'length',
      call: () => conv1d(sized(1, 2, 1), sized(1, 3, 1)),
      code: 'AXPY_SHAPE',
      message: /a length of at least 3, got 2/,
    },
    {
      name: 'sides of two',
      call: () => conv1d(sized(1, 2, 1), sized(1, 1, 1), null, { padding: { top: 1 } as never }),
      code: 'AXPY_ARGUMENT',
      message: /among left, right, got top/,
    },
  ],
  bench: [
    {
      name: '32 to 64, 3 causal on 128, batch 16',
      inputs: [uniform([16, 128, 32], -1, 1), uniform([64, 3, 32], -0.1, 0.1), uniform([64])],
      run: (a, b, c) => conv1d(a, b, c, { padding: { left: 2 } }),
      large: true,
    },
  ],
});

/** lib/ops/pool.ts: maxPool2d and averagePool2d. In PyTorch `first` and `last` move the channels. */
import { averagePool2d, maxPool2d } from '../../lib/ops/pool.ts';
import { type Tensor, tensor } from '../../lib/tensor.ts';
import { type Case, defineCases, distinct, given, integers, uniform } from './case.ts';

interface Pooling {
  name: string;
  x: readonly number[];
  size: number | readonly [number, number];
  options?: { stride?: number | readonly [number, number]; padding?: number | readonly [number, number] };
}

const poolings: readonly Pooling[] = [
  { name: '2 x 2', x: [2, 4, 6, 3], size: 2 },
  { name: 'odd size', x: [1, 5, 7, 2], size: 2 },
  { name: 'one pixel', x: [1, 1, 1, 2], size: 1 },
  { name: 'two sizes', x: [1, 6, 6, 2], size: [3, 2] },
  { name: 'overlap', x: [2, 5, 6, 2], size: 3, options: { stride: 1 } },
  { name: 'two strides', x: [1, 7, 8, 1], size: [2, 3], options: { stride: [3, 2] } },
  { name: 'stride beyond the window', x: [1, 7, 7, 1], size: 2, options: { stride: 3 } },
  { name: 'padding', x: [1, 5, 5, 2], size: 3, options: { stride: 2, padding: 1 } },
  { name: 'two paddings', x: [1, 4, 5, 2], size: [4, 2], options: { stride: [2, 1], padding: [2, 0] } },
  { name: 'all of the image', x: [2, 4, 3, 2], size: [4, 3] },
  { name: 'no batch', x: [0, 4, 4, 2], size: 2 },
  { name: 'many channels', x: [1, 4, 4, 19], size: 2 },
];

const text = (value: number | readonly [number, number]) =>
  typeof value === 'number' ? `(${value}, ${value})` : `(${value.join(', ')})`;

const argumentsOf = ({ size, options = {} }: Pooling) =>
  `${text(size)}, ${text(options.stride ?? size)}, ${text(options.padding ?? 0)}`;

const nan = Number.NaN;
const sized = (...shape: number[]): Tensor =>
  tensor(new Float32Array(shape.reduce((a, b) => a * b)), { shape });

export default defineCases({
  op: 'pool',
  cases: [
    ...poolings.map(
      (p): Case => ({
        name: `max, ${p.name}`,
        inputs: [distinct(p.x)],
        run: (a) => maxPool2d(a, p.size, p.options),
        torch: `last(F.max_pool2d(first(a), ${argumentsOf(p)}))`,
      }),
    ),
    ...poolings.map(
      (p): Case => ({
        name: `average, ${p.name}`,
        inputs: [uniform(p.x)],
        run: (a) => averagePool2d(a, p.size, p.options),
        torch: `last(F.avg_pool2d(first(a), ${argumentsOf(p)}, count_include_pad=False))`,
      }),
    ),
    {
      name: 'average, padding that counts',
      inputs: [uniform([1, 5, 5, 2])],
      run: (a) => averagePool2d(a, 3, { stride: 2, padding: 1, countPadding: true }),
      torch: 'last(F.avg_pool2d(first(a), 3, 2, 1, count_include_pad=True))',
    },
    {
      name: 'max, same',
      inputs: [distinct([1, 4, 5, 2])],
      run: (a) => maxPool2d(a, 2, { stride: 1, padding: 'same' }),
      torch: 'last(F.max_pool2d(F.pad(first(a), (0, 1, 0, 1), value=-torch.inf), 2, 1))',
    },
    {
      name: 'max, same by steps',
      inputs: [distinct([1, 5, 6, 2])],
      run: (a) => maxPool2d(a, 3, { stride: 2, padding: 'same' }),
      torch: 'last(F.max_pool2d(F.pad(first(a), (0, 1, 1, 1), value=-torch.inf), 3, 2))',
    },
    {
      name: 'average, same',
      // The pixels alone count: sums over what is there.
      inputs: [uniform([1, 4, 5, 2])],
      run: (a) => averagePool2d(a, 2, { stride: 1, padding: 'same' }),
      torch:
        'last(F.avg_pool2d(F.pad(first(a), (0, 1, 0, 1)), 2, 1) / ' +
        'F.avg_pool2d(F.pad(torch.ones_like(first(a)), (0, 1, 0, 1)), 2, 1))',
    },
    {
      name: 'max, a padding for each side',
      inputs: [distinct([1, 4, 4, 1])],
      run: (a) => maxPool2d(a, 3, { stride: 2, padding: { left: 2, bottom: 1 } }),
      torch: 'last(F.max_pool2d(F.pad(first(a), (2, 0, 0, 1), value=-torch.inf), 3, 2))',
    },
    {
      name: 'max, ties',
      inputs: [integers([2, 6, 6, 3], 0, 1)],
      run: (a) => maxPool2d(a, 3, { stride: 2 }),
      torch: 'last(F.max_pool2d(first(a).contiguous(), 3, 2))',
      gradient: 'kinked',
    },
    {
      name: 'max, not finite',
      inputs: [
        given([1, 2, 6, 1], [1, nan, -Infinity, -Infinity, Infinity, 2, 3, nan, -Infinity, -Infinity, 1, 2]),
      ],
      run: (a) => maxPool2d(a, 2),
      // PyTorch names the last NaN of a window where we name the first.
      torch: 'last(F.max_pool2d(first(a.detach()), 2))',
      gradient: 'kinked',
    },
  ],
  bad: [
    {
      name: 'rank',
      call: () => maxPool2d(sized(2, 3, 4), 2),
      code: 'AXPY_SHAPE',
      message: /x \[batch, height, width, channels\], got \[2, 3, 4\]/,
    },
    {
      name: 'image smaller than the window',
      call: () => averagePool2d(sized(1, 1, 4, 1), 2),
      code: 'AXPY_SHAPE',
      message: /at least 2 x 2 pixels, got 1 x 4/,
    },
    {
      name: 'size',
      call: () => maxPool2d(sized(1, 2, 2, 1), 0),
      code: 'AXPY_ARGUMENT',
      message: /size to be an integer of at least 1, got 0/,
    },
    {
      name: 'padding as large as the window',
      call: () => maxPool2d(sized(1, 2, 2, 1), 2, { padding: 2 }),
      code: 'AXPY_ARGUMENT',
      message: /padding to be less than the window of 2, got 2/,
    },
    {
      name: 'countPadding',
      call: () => averagePool2d(sized(1, 2, 2, 1), 2, { countPadding: 1 as never }),
      code: 'AXPY_ARGUMENT',
      message: /countPadding to be true or false/,
    },
    {
      name: 'option',
      call: () => maxPool2d(sized(1, 2, 2, 1), 2, { countPadding: true } as never),
      code: 'AXPY_ARGUMENT',
      message: /got countPadding/,
    },
    {
      name: 'int32',
      call: () => maxPool2d(sized(1, 2, 2, 1).cast('int32') as Tensor, 2),
      code: 'AXPY_DTYPE',
      message: /int32/,
    },
  ],
  bench: [
    {
      name: 'max 2 x 2 on 24 x 24 x 64, batch 64',
      inputs: [uniform([64, 24, 24, 64])],
      run: (a) => maxPool2d(a, 2),
      large: true,
    },
    {
      name: 'max 2 x 2 on 32 x 32 x 64, batch 32',
      inputs: [uniform([32, 32, 32, 64])],
      run: (a) => maxPool2d(a, 2),
      large: true,
    },
    {
      name: 'max 2 x 2 on 16 x 16 x 128, batch 32',
      inputs: [uniform([32, 16, 16, 128])],
      run: (a) => maxPool2d(a, 2),
      large: true,
    },
    {
      name: 'average 3 x 3 by 2 on 32 x 32 x 32, batch 8',
      inputs: [uniform([8, 32, 32, 32])],
      run: (a) => averagePool2d(a, 3, { stride: 2, padding: 1 }),
    },
  ],
});

/** lib/ops/interpolate.ts. In PyTorch `first` and `last` move the channels. */
import { kernels } from '../../lib/kernels/index.ts';
import { allocate } from '../../lib/memory.ts';
import { type InterpolateOptions, interpolate, upsample } from '../../lib/ops/interpolate.ts';
import { type Tensor, tensor } from '../../lib/tensor.ts';
import { type Case, type DirectCase, defineCases, given, uniform } from './case.ts';
import { generator, hash } from './values.ts';

type Two = readonly [vertical: number, horizontal: number];

const targets: readonly (readonly [
  name: string,
  shape: readonly number[],
  to: { size: Two } | { by: Two },
])[] = [
  ['by 2', [2, 3, 4, 2], { by: [2, 2] }],
  ['by 3', [1, 2, 3, 1], { by: [3, 3] }],
  ['by two factors', [1, 3, 2, 3], { by: [2, 3] }],
  ['along one axis', [1, 3, 4, 2], { by: [1, 4] }],
  ['by 1', [1, 2, 3, 2], { by: [1, 1] }],
  ['one pixel', [1, 1, 1, 2], { by: [2, 3] }],
  ['no batch', [0, 2, 3, 2], { by: [2, 2] }],
  ['by 2.7 and 1.5', [1, 4, 5, 3], { by: [2.7, 1.5] }],
  ['by a half and 0.3', [2, 6, 7, 2], { by: [0.5, 0.3] }],
  ['by 1.1', [1, 11, 9, 1], { by: [1.1, 2.3] }],
  ['to 7 x 5', [2, 4, 3, 2], { size: [7, 5] }],
  ['to 2 x 9', [1, 5, 2, 4], { size: [2, 9] }],
  ['to the same size', [1, 3, 4, 2], { size: [3, 4] }],
  ['to one pixel', [2, 5, 4, 2], { size: [1, 1] }],
  ['rows to one', [1, 3, 2, 9], { size: [1, 6] }],
  ['one column to many', [1, 2, 1, 3], { size: [3, 5] }],
];

/** PyTorch's gradient of nearest is not that of its forward pass there. */
const unlikeNearest = ['by 1.2, to the same size', [1, 3, 4, 2], { by: [1.2, 1.2] }] as const;

const modes = {
  nearest: [{ mode: 'nearest' }, "mode='nearest'"],
  bilinear: [{ mode: 'bilinear' }, "mode='bilinear', align_corners=False"],
  'bilinear by corners': [{ mode: 'bilinear', alignCorners: true }, "mode='bilinear', align_corners=True"],
} as const;

const sized = (...shape: number[]): Tensor<'float32'> =>
  tensor(new Float32Array(shape.reduce((a, b) => a * b)), { shape });

/** Axes that the op never asks for: out of order, some pixels left out, shares of all kinds. */
const axes: readonly (readonly [
  name: string,
  sizes: readonly number[],
  rows: number[],
  columns: number[],
])[] = [
  ['in no order', [2, 3, 4, 5], [2, 0, 0, 1], [3, 3, 1]],
  ['a vector and a rest', [1, 2, 2, 19], [0, 1, 0], [1, 0]],
  ['whole vectors', [2, 3, 3, 64], [1, 1, 2], [0, 1, 2, 2, 2]],
  ['of one channel', [3, 7, 5, 1], [6, 0, 3], [0, 1, 2, 3, 4, 4]],
  ['no batch', [0, 2, 2, 3], [0, 1], [1]],
  ['no channels', [2, 2, 2, 0], [0, 1], [1]],
  ['no outputs', [1, 2, 2, 3], [], [1]],
  ['of nothing', [1, 0, 2, 3], [], [1, 0]],
];

const direct = axes.map(
  ([name, [batch, height, width, channels], first, second]): DirectCase => ({
    name: `axes ${name}`,
    run: (dtype) => {
      const next = generator(hash(name));
      const floats = (length: number) => allocate(length, dtype).map(() => 4 * next() - 2) as Float32Array;
      const input = batch * height * width * channels;
      const output = batch * first.length * second.length * channels;
      const [rows, columns] = [first, second].map((list) => Int32Array.from(list));
      // 0 and 1 among them, and one that no float32 holds.
      for (const [down, across] of [
        [0, 0.25],
        [1, 0],
        [0.5, 0.5],
        [1e-50, 1],
      ]) {
        const shares = (list: Int32Array, share: number) =>
          Float64Array.from(list, (_, i) => (i === 0 ? share : next()));
        const sizes = [batch, height, width, channels] as const;
        const all = [rows, shares(rows, down), columns, shares(columns, across), ...sizes] as const;
        kernels.interpolate(floats(output), floats(input), ...all);
        kernels.interpolateGradient(floats(input), floats(output), ...all);
      }
    },
  }),
);

export default defineCases({
  op: 'interpolate',
  cases: [
    ...Object.entries(modes).flatMap(([mode, [options, torch]]) =>
      (mode === 'nearest' ? targets : [...targets, unlikeNearest]).map(([name, shape, to]): Case => {
        const scaled = 'by' in to;
        const target = scaled
          ? `scale_factor=(${to.by.map((by) => by.toFixed(1)).join(', ')})`
          : `size=(${to.size.join(', ')})`;
        return {
          name: `${mode}, ${name}`,
          inputs: [uniform(shape)],
          run: (a) =>
            interpolate(a, { ...options, ...(scaled ? { scaleFactor: to.by } : { size: to.size }) }),
          // PyTorch interpolates no empty batch.
          torch:
            shape[0] === 0
              ? 'torch.zeros(0, 4, 6, 2) + a.sum()'
              : `last(F.interpolate(first(a), ${target}, ${torch}))`,
        };
      }),
    ),
    {
      name: 'numbers that are not finite stay with their neighbours',
      inputs: [given([1, 2, 3, 1], [1, Infinity, 3, 4, Number.NaN, 6])],
      run: (a) => interpolate(a, { size: [4, 9], mode: 'bilinear' }),
      // PyTorch multiplies them by weights of 0 as well.
      gradient: 'kinked',
    },
  ],
  direct,
  bad: [
    {
      name: 'rank',
      call: () => interpolate(sized(1, 2, 3), { size: 2 }),
      code: 'AXPY_SHAPE',
      message: /x \[batch, height, width, channels\], got \[1, 2, 3\]/,
    },
    {
      name: 'scale',
      call: () => upsample(sized(1, 2, 2, 1), [2, 0]),
      code: 'AXPY_ARGUMENT',
      message: /scale to be a number above 0, got 0/,
    },
    {
      name: 'scale factor',
      call: () => interpolate(sized(1, 2, 2, 1), { scaleFactor: Number.NaN }),
      code: 'AXPY_ARGUMENT',
      message: /scaleFactor to be a number above 0, got NaN/,
    },
    {
      name: 'three factors',
      call: () => interpolate(sized(1, 2, 2, 1), { scaleFactor: [1, 2, 3] as never }),
      code: 'AXPY_ARGUMENT',
      message: /scaleFactor to be one number or two, got 3/,
    },
    {
      name: 'size',
      call: () => interpolate(sized(1, 2, 2, 1), { size: [2.5, 1] }),
      code: 'AXPY_ARGUMENT',
      message: /size to be an integer of at least 1, got 2.5/,
    },
    {
      name: 'both',
      call: () => interpolate(sized(1, 2, 2, 1), { size: 2, scaleFactor: 2 }),
      code: 'AXPY_ARGUMENT',
      message: /either size or scaleFactor, got both/,
    },
    {
      name: 'neither',
      call: () => upsample(sized(1, 2, 2, 1), null, { mode: 'nearest' }),
      code: 'AXPY_ARGUMENT',
      message: /either size or scale, got neither/,
    },
    {
      name: 'mode',
      call: () => upsample(sized(1, 2, 2, 1), 2, { mode: 'cubic' as never }),
      code: 'AXPY_ARGUMENT',
      message: /nearest or bilinear, got "cubic"/,
    },
    {
      name: 'corners of nearest',
      call: () => upsample(sized(1, 2, 2, 1), 2, { alignCorners: true }),
      code: 'AXPY_ARGUMENT',
      message: /alignCorners with mode bilinear alone, got mode "nearest"/,
    },
    {
      name: 'corners',
      call: () => interpolate(sized(1, 2, 2, 1), { size: 2, mode: 'bilinear', alignCorners: 1 as never }),
      code: 'AXPY_ARGUMENT',
      message: /alignCorners to be true or false, got 1/,
    },
    {
      name: 'an unknown option',
      call: () => interpolate(sized(1, 2, 2, 1), { scale: 2 } as never),
      code: 'AXPY_ARGUMENT',
      message: /options among scaleFactor, size, mode, alignCorners, got scale/,
    },
    {
      name: 'no pixel left',
      call: () => interpolate(sized(1, 3, 2, 1), { scaleFactor: [1, 0.4] }),
      code: 'AXPY_SHAPE',
      message: /a scale that leaves a pixel, got 3 x 2 to 3 x 0/,
    },
    {
      name: 'pixels of nothing',
      call: () => interpolate(sized(1, 0, 2, 1), { size: 4 }),
      code: 'AXPY_SHAPE',
      message: /images with pixels, got 0 x 2 to 4 x 4/,
    },
    {
      name: 'too large',
      call: () => upsample(sized(1, 2, 2, 1), 1 << 20),
      code: 'AXPY_SHAPE',
      message: /2\^31/,
    },
    {
      name: 'too large, of no batch',
      call: () => upsample(sized(0, 2, 2, 1), 1e300),
      code: 'AXPY_SHAPE',
      message: /2\^31/,
    },
    {
      name: 'int32',
      call: () => upsample(sized(1, 2, 2, 1).cast('int32') as never, 2),
      code: 'AXPY_DTYPE',
      message: /int32/,
    },
  ],
  bench: (['nearest', 'bilinear'] as const).map((mode) => ({
    name: `${mode} by 2, 16 x 16 x 32, batch 8`,
    inputs: [uniform([8, 16, 16, 32])],
    run: (a: Tensor) => interpolate(a as Tensor<'float32'>, { scaleFactor: 2, mode } as InterpolateOptions),
  })),
});

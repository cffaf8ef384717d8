/** lib/ops/gridSample.ts. In PyTorch `first` and `last` move the channels. */
import { affineGrid, type GridSampleOptions, gridSample } from '../../lib/ops/gridSample.ts';
import { type Tensor, tensor } from '../../lib/tensor.ts';
import { type Case, constant, defineCases, given, type Input, uniform } from './case.ts';

const sized = (...shape: number[]): Tensor<'float32'> =>
  tensor(new Float32Array(shape.reduce((a, b) => a * b, 1)), { shape });

const python = (value: boolean) => (value ? 'True' : 'False');
/** Differences of positions, which are made of sizes as well. */
const tolerance = { float32: 3e-5, float64: 1e-12 };

function sampled(
  name: string,
  x: Input,
  grid: Input,
  options: Required<GridSampleOptions>,
  kinked = false,
): Case {
  const { mode, paddingMode, alignCorners } = options;
  const how = `mode='${mode}', padding_mode='${paddingMode}', align_corners=${python(alignCorners)}`;
  return {
    name: `${name}, ${mode}, ${paddingMode}${alignCorners ? ', corners' : ''}`,
    // 'nearest' has no gradient for the grid, where PyTorch's is 0.
    inputs: [x, mode === 'nearest' ? constant(grid) : grid],
    run: (a, b) => gridSample(a, b, options),
    torch: `last(F.grid_sample(first(a), b, ${how}))`,
    tolerance,
    ...(kinked ? { gradient: 'kinked' } : {}),
  };
}

const all = (['zeros', 'border', 'reflection'] as const).flatMap((paddingMode) =>
  [false, true].flatMap((alignCorners) =>
    (['bilinear', 'nearest'] as const).map((mode) => ({ mode, paddingMode, alignCorners })),
  ),
);

/** Where places between pixels of 4, or of 3 with corners, turn from one to the next. */
const turns = (corners: boolean) =>
  corners ? [-3, -2, -1, 0, 1, 2, 3] : [-2.25, -1.75, -1.25, -0.75, -0.25, 0.25, 0.75, 1.25, 1.75, 2.25];

/** On pixels, half way between them, on edges and corners; far away. */
const exact = [-1, -0.75, -0.5, -0.25, 0, 0.25, 0.5, 0.75, 1];
const ends = [-1.25, 1.25, -3, 3, 1e6];
const pairs = (values: readonly number[]) => values.flatMap((x) => values.flatMap((y) => [x, y]));

export default defineCases({
  op: 'gridSample',
  cases: [
    ...all.flatMap((options) => {
      const { mode, alignCorners } = options;
      const side = alignCorners ? 3 : 4;
      return [
        sampled(
          'between pixels',
          uniform([2, side, side, 2]),
          uniform([2, 3, 5, 2], -2.5, 2.5, turns(alignCorners)),
          options,
        ),
        // PyTorch's slope is of one side there; at random none lies on such a place.
        sampled(
          'of any size',
          uniform([2, 5, 7, 3]),
          uniform([2, 4, 3, 2], -1.5, 1.5),
          options,
          mode === 'bilinear',
        ),
        sampled('on pixels', uniform([1, 4, 4, 1]), given([1, 9, 9, 2], pairs(exact)), options, true),
        sampled(
          'one pixel',
          uniform([1, 1, 1, 2]),
          given([1, 5, 5, 2], pairs([-1.5, -1, 0, 0.5, 1])),
          options,
          true,
        ),
        sampled('beyond', uniform([1, 2, 3, 1]), constant(given([1, 5, 5, 2], pairs(ends))), options, true),
      ];
    }),
    {
      name: 'no batch',
      inputs: [uniform([0, 2, 3, 2]), uniform([0, 4, 5, 2])],
      run: (a, b) => gridSample(a, b),
      torch: 'torch.zeros(0, 4, 5, 2) + a.sum() + b.sum()',
    },
    ...[false, true].flatMap((alignCorners) =>
      (
        [
          [3, 4],
          [1, 5],
          [1, 1],
        ] as const
      ).map(
        ([height, width]): Case => ({
          name: `affineGrid, ${height} x ${width}${alignCorners ? ', corners' : ''}`,
          inputs: [uniform([2, 2, 3])],
          run: (a) => affineGrid(a, [height, width], { alignCorners }),
          torch: `F.affine_grid(a, (2, 1, ${height}, ${width}), align_corners=${python(alignCorners)})`,
        }),
      ),
    ),
    {
      name: 'a spatial transformer',
      inputs: [uniform([2, 5, 6, 2]), uniform([2, 2, 3], -1, 1)],
      run: (a, b) => gridSample(a, affineGrid(b, [4, 5]), { paddingMode: 'reflection' }),
      torch:
        "last(F.grid_sample(first(a), F.affine_grid(b, (2, 2, 4, 5), align_corners=False), padding_mode='reflection', align_corners=False))",
      tolerance,
      gradient: 'kinked',
    },
  ],
  bad: [
    {
      name: 'theta',
      call: () => affineGrid(sized(2, 3), 4),
      code: 'AXPY_SHAPE',
      message: /theta \[batch, 2, 3\], got \[2, 3\]/,
    },
    {
      name: 'size',
      call: () => affineGrid(sized(1, 2, 3), [4, 0]),
      code: 'AXPY_ARGUMENT',
      message: /size to be an integer of at least 1, got 0/,
    },
    {
      name: 'too large',
      call: () => affineGrid(sized(1, 2, 3), 1 << 16),
      code: 'AXPY_SHAPE',
      message: /2\^31/,
    },
    {
      name: 'theta of int32',
      call: () => affineGrid(sized(1, 2, 3).cast('int32') as never, 2),
      code: 'AXPY_DTYPE',
      message: /int32/,
    },
    {
      name: 'images',
      call: () => gridSample(sized(2, 3, 3), sized(2, 4, 4, 2)),
      code: 'AXPY_SHAPE',
      message: /x \[batch, height, width, channels\] and grid .*, got \[2, 3, 3\] and \[2, 4, 4, 2\]/,
    },
    {
      name: 'batches',
      call: () => gridSample(sized(2, 3, 3, 1), sized(1, 4, 4, 2)),
      code: 'AXPY_SHAPE',
      message: /got \[2, 3, 3, 1\] and \[1, 4, 4, 2\]/,
    },
    {
      name: 'three coordinates',
      call: () => gridSample(sized(1, 3, 3, 1), sized(1, 4, 4, 3)),
      code: 'AXPY_SHAPE',
      message: /grid \[batch, new height, new width, 2\]/,
    },
    {
      name: 'no pixels',
      call: () => gridSample(sized(1, 0, 3, 1), sized(1, 4, 4, 2)),
      code: 'AXPY_SHAPE',
      message: /images with pixels, got 0 x 3/,
    },
    {
      name: 'two dtypes',
      call: () => gridSample(sized(1, 3, 3, 1), sized(1, 4, 4, 2).cast('float64') as never),
      code: 'AXPY_DTYPE',
      message: /float64/,
    },
    {
      name: 'mode',
      call: () => gridSample(sized(1, 3, 3, 1), sized(1, 4, 4, 2), { mode: 'bicubic' as never }),
      code: 'AXPY_ARGUMENT',
      message: /mode to be bilinear or nearest, got "bicubic"/,
    },
    {
      name: 'padding',
      call: () => gridSample(sized(1, 3, 3, 1), sized(1, 4, 4, 2), { paddingMode: 'wrap' as never }),
      code: 'AXPY_ARGUMENT',
      message: /paddingMode to be zeros or border or reflection, got "wrap"/,
    },
    {
      name: 'corners',
      call: () => gridSample(sized(1, 3, 3, 1), sized(1, 4, 4, 2), { alignCorners: 0 as never }),
      code: 'AXPY_ARGUMENT',
      message: /alignCorners to be true or false, got 0/,
    },
  ],
  bench: [
    {
      name: 'bilinear, 32 x 32 x 3, batch 32',
      inputs: [uniform([32, 32, 32, 3]), uniform([32, 32, 32, 2], -1, 1)],
      run: (a: Tensor, b: Tensor) => gridSample(a, b),
    },
  ],
});

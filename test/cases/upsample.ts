/** lib/ops/upsample.ts. In PyTorch `first` and `last` move the channels. */
import { type UpsampleMode, upsample } from '../../lib/ops/upsample.ts';
import { type Tensor, tensor } from '../../lib/tensor.ts';
import { type Case, defineCases, uniform } from './case.ts';

const sizes = [
  ['by 2', [2, 3, 4, 2], [2, 2]],
  ['by 3', [1, 2, 3, 1], [3, 3]],
  ['by two factors', [1, 3, 2, 3], [2, 3]],
  ['along one axis', [1, 3, 4, 2], [1, 4]],
  ['by 1', [1, 2, 3, 2], [1, 1]],
  ['one pixel', [1, 1, 1, 2], [2, 3]],
  ['no batch', [0, 2, 3, 2], [2, 2]],
] as const;

const options = { nearest: "mode='nearest'", bilinear: "mode='bilinear', align_corners=False" };
const sized = (...shape: number[]): Tensor =>
  tensor(new Float32Array(shape.reduce((a, b) => a * b)), { shape });

export default defineCases({
  op: 'upsample',
  cases: (Object.keys(options) as UpsampleMode[]).flatMap((mode) =>
    sizes.map(
      ([name, shape, scale]): Case => ({
        name: `${mode}, ${name}`,
        inputs: [uniform(shape)],
        run: (a) => upsample(a, scale, { mode }),
        // PyTorch interpolates no empty batch.
        torch:
          shape[0] === 0
            ? 'torch.zeros(0, 4, 6, 2) + a.sum()'
            : `last(F.interpolate(first(a), scale_factor=(${scale.join('.0, ')}.0), ${options[mode]}))`,
      }),
    ),
  ),
  bad: [
    {
      name: 'rank',
      call: () => upsample(sized(1, 2, 3), 2),
      code: 'AXPY_SHAPE',
      message: /x \[batch, height, width, channels\], got \[1, 2, 3\]/,
    },
    {
      name: 'scale',
      call: () => upsample(sized(1, 2, 2, 1), [2, 0]),
      code: 'AXPY_ARGUMENT',
      message: /scale to be an integer of at least 1, got 0/,
    },
    {
      name: 'mode',
      call: () => upsample(sized(1, 2, 2, 1), 2, { mode: 'cubic' as never }),
      code: 'AXPY_ARGUMENT',
      message: /nearest or bilinear, got "cubic"/,
    },
    {
      name: 'too large',
      call: () => upsample(sized(1, 2, 2, 1), 1 << 20),
      code: 'AXPY_SHAPE',
      message: /2\^31/,
    },
    {
      name: 'int32',
      call: () => upsample(sized(1, 2, 2, 1).cast('int32'), 2),
      code: 'AXPY_DTYPE',
      message: /int32/,
    },
  ],
  bench: (Object.keys(options) as UpsampleMode[]).map((mode) => ({
    name: `${mode} by 2, 16 x 16 x 32, batch 8`,
    inputs: [uniform([8, 16, 16, 32])],
    run: (a: Tensor) => upsample(a, 2, { mode }),
  })),
});

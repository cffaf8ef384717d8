/** lib/ops/normalize.ts, groupNorm.ts and rmsNorm.ts. In PyTorch `first` and `last` move the channels. */
import { groupNorm } from '../../lib/ops/groupNorm.ts';
import { batchNorm, layerNorm } from '../../lib/ops/normalize.ts';
import { rmsNorm } from '../../lib/ops/rmsNorm.ts';
import { type Tensor, tensor, type Values } from '../../lib/tensor.ts';
import { type Case, constant, defineCases, given, uniform } from './case.ts';

const shapes = [
  ['rows', [7, 3]],
  ['images', [2, 3, 4, 5]],
  ['sequences', [3, 5, 2]],
  ['one channel', [9, 1]],
  ['many rows', [67, 19]],
] as const;

const layers = [
  ['rows', [7, 3], 3],
  ['images', [2, 3, 4, 5], 5],
  ['many rows', [67, 19], 19],
] as const;

/** The sums of deviations cancel. */
const tolerance = { float32: 2e-5, float64: 1e-11 };

const activations = {
  leakyRelu: 'F.leaky_relu(z, 0.125)',
  elu: 'F.elu(z, 0.125)',
  softplus: 'torch.logaddexp(z, torch.zeros_like(z))',
  logSigmoid: 'F.logsigmoid(z)',
  sigmoid: 'torch.sigmoid(z)',
  tanh: 'torch.tanh(z)',
} as const;

const activated = Object.entries(activations) as [keyof typeof activations, string][];

const matrix = (): Tensor =>
  tensor([
    [1, 2],
    [3, 5],
  ]);
const two = (): Tensor => tensor([1, 2]);
const exact = (): Tensor => tensor(new Float64Array(2) as Values);
const batch = 'F.batch_norm(first(a), None, None, b, c, True, 0.1, 1e-5)';

export default defineCases({
  op: 'normalize',
  cases: [
    ...shapes.map(([name, shape]): Case => {
      const channels = shape[shape.length - 1];
      return {
        name: `batch, ${name}`,
        inputs: [uniform(shape), uniform([channels]), uniform([channels])],
        run: (a, b, c) => batchNorm(a, b, c),
        torch: `last(${batch})`,
        tolerance,
      };
    }),
    ...shapes.map(([name, shape]): Case => {
      const channels = shape[shape.length - 1];
      return {
        name: `batch in evaluation, ${name}`,
        inputs: [
          uniform(shape),
          uniform([channels]),
          uniform([channels]),
          constant(uniform([channels])),
          constant(uniform([channels], 0.5, 2)),
        ],
        run: (a, b, c, d, e) =>
          batchNorm(a, b, c, { mean: d, variance: e }, { training: false, epsilon: 0.125 }),
        torch: 'last(F.batch_norm(first(a), d, e, b, c, False, 0.1, 0.125))',
        tolerance,
      };
    }),
    {
      name: 'batch, neither scale nor shift',
      inputs: [uniform([6, 3])],
      run: (a) => batchNorm(a, null, null, null, { epsilon: 0.01 }),
      torch: 'F.batch_norm(a, None, None, None, None, True, 0.1, 0.01)',
      tolerance,
    },
    {
      name: 'batch, shift alone',
      inputs: [uniform([6, 3]), uniform([3])],
      run: (a, b) => batchNorm(a, null, b),
      torch: 'F.batch_norm(a, None, None, None, None, True) + b',
      tolerance,
    },
    {
      name: 'batch, constant x',
      inputs: [constant(uniform([6, 3])), uniform([3]), uniform([3])],
      run: (a, b, c) => batchNorm(a, b, c),
      torch: batch.replace('first(a)', 'a'),
      tolerance,
    },
    {
      name: 'batch, constant scale and shift',
      inputs: [uniform([6, 3]), constant(uniform([3])), constant(uniform([3]))],
      run: (a, b, c) => batchNorm(a, b, c),
      torch: batch.replace('first(a)', 'a'),
      tolerance,
    },
    ...activated.flatMap(([op, z]): Case[] =>
      [true, false].map((training) => ({
        name: `batch${training ? '' : ' in evaluation'}, ${op}`,
        inputs: [
          uniform([9, 3]),
          uniform([3], 0.5, 1),
          uniform([3], -1, 1),
          constant(uniform([3])),
          constant(uniform([3], 0.5, 2)),
        ],
        run: (a, b, c, d, e) =>
          batchNorm(a, b, c, training ? null : { mean: d, variance: e }, {
            training,
            activation: { op, parameter: 0.125 },
          }),
        torch: `(lambda z: ${z})(F.batch_norm(a, ${training ? 'None, None' : 'd, e'}, b, c, ${training ? 'True' : 'False'}))`,
        tolerance,
      })),
    ),
    {
      name: 'batch, relu',
      // No sum lies at the kink: the rows are far apart.
      inputs: [given([4, 2], [1, 2, 3, 5, 8, 7, -4, -6]), given([2], [1, 2]), given([2], [0.25, -0.5])],
      run: (a, b, c) => batchNorm(a, b, c, null, { activation: { op: 'relu', parameter: 0 } }),
      torch: 'torch.relu(F.batch_norm(a, None, None, b, c, True))',
      tolerance,
    },
    {
      name: 'batch, all the same',
      inputs: [given([4, 2], [3, -1, 3, -1, 3, -1, 3, -1]), uniform([2]), uniform([2])],
      run: (a, b, c) => batchNorm(a, b, c, null, { epsilon: 0.25 }),
      torch: 'F.batch_norm(a, None, None, b, c, True, 0.1, 0.25)',
    },
    {
      name: 'batch, no rows',
      inputs: [uniform([0, 3]), uniform([3]), uniform([3])],
      run: (a, b, c) => batchNorm(a, b, c),
      torch: 'a * b + c',
    },
    {
      name: 'batch, far from zero',
      // A one-pass variance in float32 would be off by more than the variance itself.
      inputs: [uniform([50, 2], 1000, 1001), uniform([2]), uniform([2])],
      run: (a, b, c) => batchNorm(a, b, c),
      torch: 'F.batch_norm(a, None, None, b, c, True)',
      gradient: 'kinked',
      tolerance: { float32: 1e-3, float64: 1e-9 },
    },
    ...layers.map(
      ([name, shape, size]): Case => ({
        name: `layer, ${name}`,
        inputs: [uniform(shape), uniform([size]), uniform([size])],
        run: (a, b, c) => layerNorm(a, size, b, c),
        torch: `F.layer_norm(a, [${size}], b, c)`,
        tolerance,
      }),
    ),
    {
      name: 'layer, one feature',
      inputs: [uniform([9, 1]), uniform([1]), uniform([1])],
      run: (a, b, c) => layerNorm(a, 1, b, c),
      // Its deviation from itself; PyTorch's own has rounding errors over √ε there.
      torch: '(a - a) * b + c',
    },
    {
      name: 'layer, two axes',
      inputs: [uniform([3, 2, 4]), uniform([2, 4]), uniform([2, 4])],
      run: (a, b, c) => layerNorm(a, [2, 4], b, c, { epsilon: 0.125 }),
      torch: 'F.layer_norm(a, [2, 4], b, c, 0.125)',
      tolerance,
    },
    {
      name: 'layer, a single example',
      inputs: [uniform([5])],
      run: (a) => layerNorm(a, 5),
      torch: 'F.layer_norm(a, [5])',
      tolerance,
    },
    {
      name: 'layer, scale alone',
      inputs: [uniform([4, 3]), uniform([3])],
      run: (a, b) => layerNorm(a, 3, b),
      torch: 'F.layer_norm(a, [3], b)',
      tolerance,
    },
    {
      name: 'layer, shift alone, constant x',
      inputs: [constant(uniform([4, 3])), uniform([3])],
      run: (a, b) => layerNorm(a, 3, null, b),
      torch: 'F.layer_norm(a, [3]) + b',
      tolerance,
    },
    {
      name: 'layer, no rows',
      inputs: [uniform([0, 3]), uniform([3]), uniform([3])],
      run: (a, b, c) => layerNorm(a, 3, b, c),
      torch: 'a * b + c',
    },
    ...shapes
      .filter(([, { length }]) => length > 2)
      .flatMap(([name, shape]): Case[] => {
        const channels = shape[shape.length - 1];
        return [...new Set([1, channels])].map((groups) => ({
          name: `${groups === 1 ? 'one group' : 'as many groups'}, ${name}`,
          inputs: [uniform(shape), uniform([channels]), uniform([channels])],
          run: (a, b, c) => groupNorm(a, groups, b, c),
          torch: `last(F.group_norm(first(a), ${groups}, b, c))`,
          tolerance,
        }));
      }),
    {
      name: 'two groups of three channels',
      inputs: [uniform([2, 3, 2, 6]), uniform([6]), uniform([6])],
      run: (a, b, c) => groupNorm(a, 2, b, c, { epsilon: 0.125 }),
      torch: 'last(F.group_norm(first(a), 2, b, c, 0.125))',
      tolerance,
    },
    {
      name: 'two groups, no positions',
      inputs: [uniform([5, 6])],
      run: (a) => groupNorm(a, 2),
      torch: 'F.group_norm(a, 2)',
      tolerance,
    },
    {
      name: 'two groups, no examples',
      inputs: [uniform([0, 3, 4]), uniform([4]), uniform([4])],
      run: (a, b, c) => groupNorm(a, 2, b, c),
      torch: 'a * b + c',
    },
    ...layers.map(
      ([name, shape, size]): Case => ({
        name: `root mean square, ${name}`,
        inputs: [uniform(shape), uniform([size])],
        run: (a, b) => rmsNorm(a, size, b, { epsilon: 1e-6 }),
        torch: 'a * torch.rsqrt(a.pow(2).mean(-1, keepdim=True) + 1e-6) * b',
        tolerance,
      }),
    ),
    {
      name: 'root mean square, two axes, no scale',
      inputs: [uniform([3, 2, 4])],
      run: (a) => rmsNorm(a, [2, 4], null, { epsilon: 0.125 }),
      torch: 'a * torch.rsqrt(a.pow(2).mean([-2, -1], keepdim=True) + 0.125)',
      tolerance,
    },
    {
      name: 'root mean square, no rows',
      inputs: [uniform([0, 3]), uniform([3])],
      run: (a, b) => rmsNorm(a, 3, b),
      torch: 'a * b',
    },
  ],
  bad: [
    {
      name: 'one row',
      call: () => batchNorm(tensor([[1, 2]])),
      code: 'AXPY_SHAPE',
      message:
        /more than one value per channel in training, got x \[1, 2\]: there is no variance of one value/,
    },
    {
      name: 'running count',
      call: () => batchNorm(matrix(), null, null, { mean: two(), variance: two(), count: two() }),
      code: 'AXPY_SHAPE',
      message: /running count \[1\], got \[2\]/,
    },
    {
      name: 'rank',
      call: () => batchNorm(two()),
      code: 'AXPY_SHAPE',
      message: /x \[\.\.\., channels\], got \[2\]/,
    },
    {
      name: 'scale',
      call: () => batchNorm(matrix(), tensor([1])),
      code: 'AXPY_SHAPE',
      message: /scale \[2\], got \[1\]/,
    },
    {
      name: 'shift, dtype',
      call: () => batchNorm(matrix(), null, exact()),
      code: 'AXPY_DTYPE',
      message: /one dtype/,
    },
    {
      name: 'running mean',
      call: () => batchNorm(matrix(), null, null, { mean: tensor([1]), variance: two() }),
      code: 'AXPY_SHAPE',
      message: /running mean \[2\], got \[1\]/,
    },
    {
      name: 'no running variance',
      call: () => batchNorm(matrix(), null, null, { mean: two() } as never),
      code: 'AXPY_ARGUMENT',
      message: /running variance to be a tensor/,
    },
    {
      name: 'evaluation without statistics',
      call: () => batchNorm(matrix(), null, null, null, { training: false }),
      code: 'AXPY_ARGUMENT',
      message: /running statistics to normalise by, got null/,
    },
    {
      name: 'momentum',
      call: () => batchNorm(matrix(), null, null, null, { momentum: 1.5 }),
      code: 'AXPY_ARGUMENT',
      message: /momentum to be from 0 to 1, got 1\.5/,
    },
    {
      name: 'epsilon',
      call: () => batchNorm(matrix(), null, null, null, { epsilon: 0 }),
      code: 'AXPY_ARGUMENT',
      message: /epsilon to be a finite number above 0, got 0/,
    },
    {
      name: 'activation',
      call: () => batchNorm(matrix(), null, null, null, { activation: { op: 'silu', parameter: 0 } }),
      code: 'AXPY_ARGUMENT',
      message: /op among/,
    },
    {
      name: 'int32',
      call: () => batchNorm(matrix().cast('int32') as Tensor),
      code: 'AXPY_DTYPE',
      message: /int32/,
    },
    {
      name: 'layer, shape',
      call: () => layerNorm(matrix(), 3),
      code: 'AXPY_SHAPE',
      message: /x of shape \[\.\.\., 3\], got \[2, 2\]/,
    },
    {
      name: 'layer, no axes',
      call: () => layerNorm(matrix(), []),
      code: 'AXPY_SHAPE',
      message: /got \[2, 2\] for shape \[\]/,
    },
    {
      name: 'layer, scale',
      call: () => layerNorm(matrix(), 2, tensor([1])),
      code: 'AXPY_SHAPE',
      message: /scale \[2\], got \[1\]/,
    },
    {
      name: 'layer, dtype',
      call: () => layerNorm(matrix(), 2, null, exact()),
      code: 'AXPY_DTYPE',
      message: /one dtype/,
    },
    {
      name: 'groups, rank',
      call: () => groupNorm(two(), 1),
      code: 'AXPY_SHAPE',
      message: /x \[batch, \.\.\., channels\], got \[2\]/,
    },
    {
      name: 'groups',
      call: () => groupNorm(matrix(), 3),
      code: 'AXPY_ARGUMENT',
      message: /groups to divide 2 channels, got 3/,
    },
    {
      name: 'groups, shift',
      call: () => groupNorm(matrix(), 1, null, tensor([1])),
      code: 'AXPY_SHAPE',
      message: /shift \[2\], got \[1\]/,
    },
    {
      name: 'root mean square, scale',
      call: () => rmsNorm(matrix(), 2, tensor([1])),
      code: 'AXPY_SHAPE',
      message: /scale \[2\], got \[1\]/,
    },
    {
      name: 'root mean square, epsilon',
      call: () => rmsNorm(matrix(), 2, null, { epsilon: -1 }),
      code: 'AXPY_ARGUMENT',
      message: /epsilon to be a finite number above 0, got -1/,
    },
  ],
  bench: [
    {
      name: 'batch, relu, 32 x 32 x 64, batch 32',
      inputs: [uniform([32, 32, 32, 64]), uniform([64]), uniform([64])],
      run: (a, b, c) => batchNorm(a, b, c, null, { activation: { op: 'relu', parameter: 0 } }),
      large: true,
    },
    {
      name: 'batch, relu, 16 x 16 x 128, batch 32',
      inputs: [uniform([32, 16, 16, 128]), uniform([128]), uniform([128])],
      run: (a, b, c) => batchNorm(a, b, c, null, { activation: { op: 'relu', parameter: 0 } }),
      large: true,
    },
    {
      name: 'layer, 1024 x 128',
      inputs: [uniform([1024, 128]), uniform([128]), uniform([128])],
      run: (a, b, c) => layerNorm(a, 128, b, c),
    },
    {
      name: 'root mean square, 1024 x 128',
      inputs: [uniform([1024, 128]), uniform([128])],
      run: (a, b) => rmsNorm(a, 128, b),
    },
  ],
});

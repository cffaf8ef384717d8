/** lib/ops/reduce.ts: sum, mean, max, min, logSumExp, variance, argmax. */
import { variance } from '../../lib/ops/norm.ts';
import * as ops from '../../lib/ops/reduce.ts';
import type { ReduceOptions } from '../../lib/ops/reduction.ts';
import { type Tensor, tensor } from '../../lib/tensor.ts';
import { type Case, defineCases, distinct, given, integers, uniform } from './case.ts';

interface Over {
  name: string;
  shape: readonly number[];
  axes?: number | readonly number[];
  keepDims?: boolean;
}

/** Every pattern of kept and reduced groups; the kernel takes two reduced groups at once. */
const patterns: readonly Over[] = [
  { name: 'all', shape: [3, 5] },
  { name: 'all, keepDims', shape: [3, 5], keepDims: true },
  { name: 'first axis', shape: [3, 5], axes: 0 },
  { name: 'last axis', shape: [3, 5], axes: 1 },
  { name: 'negative axis', shape: [3, 5], axes: -1 },
  { name: 'keepDims', shape: [3, 5], axes: -2, keepDims: true },
  { name: 'middle axis', shape: [2, 3, 4], axes: 1 },
  { name: 'outer axes', shape: [2, 3, 4], axes: [0, 2] },
  { name: 'outer axes, unsorted, keepDims', shape: [2, 3, 4], axes: [2, 0], keepDims: true },
  { name: 'alternating axes', shape: [2, 3, 2, 3, 2], axes: [0, 2, 4] },
  { name: 'inner alternating axes', shape: [2, 2, 2, 3, 2, 2, 2], axes: [1, 3, 5] },
  { name: 'four groups', shape: [2, 2, 2, 2, 2, 2, 2, 2], axes: [0, 2, 4, 6] },
  { name: 'no axes', shape: [2, 3], axes: [] },
  { name: 'scalar', shape: [] },
  { name: 'one element', shape: [1, 1], axes: 0 },
  { name: 'axes of size 1', shape: [1, 4, 1], axes: [0, 2] },
  { name: 'odd size', shape: [37] },
  // Past the block of the compensated summation.
  { name: 'long', shape: [1031] },
];

const text = ({ shape, axes, keepDims = false }: Over) => {
  const list = axes === undefined ? shape.map((_, i) => i) : Array.isArray(axes) ? axes : [axes];
  return {
    dims: `(${list.map((axis) => `${axis},`).join('')})`,
    keep: keepDims ? 'True' : 'False',
    none: list.length === 0,
  };
};

type Reduction = (x: Tensor, axes?: number | readonly number[], options?: ReduceOptions) => Tensor;

function casesOf(
  name: string,
  run: Reduction,
  torch: (dims: string, keep: string) => string,
  ties = false,
): Case[] {
  return patterns.map((over) => {
    const { dims, keep, none } = text(over);
    return {
      name: `${name}, ${over.name}`,
      inputs: [ties ? distinct(over.shape) : uniform(over.shape)],
      run: (x) => run(x, over.axes, over.keepDims === undefined ? {} : { keepDims: over.keepDims }),
      // For PyTorch an empty tuple of axes means all of them; here it means none.
      torch: none || over.shape.length === 0 ? 'a * 1' : torch(dims, keep),
    };
  });
}

const nan = Number.NaN;
const matrix = () => tensor([[1, 2]]);
const hollow = () => tensor([], { shape: [0, 3] });

export default defineCases({
  op: 'reduce',
  cases: [
    ...casesOf('sum', ops.sum, (dims, keep) => `torch.sum(a, dim=${dims}, keepdim=${keep})`),
    ...casesOf('mean', ops.mean, (dims, keep) => `torch.mean(a, dim=${dims}, keepdim=${keep})`),
    ...casesOf('max', ops.max, (dims, keep) => `torch.amax(a, dim=${dims}, keepdim=${keep})`, true),
    ...casesOf('min', ops.min, (dims, keep) => `torch.amin(a, dim=${dims}, keepdim=${keep})`, true),
    ...casesOf(
      'logSumExp',
      ops.logSumExp,
      (dims, keep) => `torch.logsumexp(a, dim=${dims}, keepdim=${keep})`,
    ),
    {
      name: 'sum, empty',
      inputs: [uniform([0, 3])],
      run: (a) => ops.sum(a, 0),
      torch: 'torch.sum(a, dim=0)',
    },
    {
      name: 'sum, empty and kept',
      inputs: [uniform([0, 3])],
      run: (a) => ops.sum(a, 1),
      torch: 'torch.sum(a, dim=1)',
    },
    { name: 'sum, all of nothing', inputs: [uniform([2, 0])], run: (a) => ops.sum(a), torch: 'torch.sum(a)' },
    {
      name: 'mean of nothing',
      inputs: [uniform([0, 3])],
      run: (a) => ops.mean(a, 0),
      torch: 'torch.mean(a, dim=0)',
    },
    {
      name: 'max, empty and kept',
      inputs: [uniform([0, 3])],
      run: (a) => ops.max(a, 1),
      torch: 'torch.amax(a, dim=1)',
    },
    {
      name: 'sum, cancellation',
      // A naive float32 sum loses the ones.
      inputs: [given([6], [16777216, 1, 1, 1, 1, -16777216])],
      run: (a) => ops.sum(a),
      torch: 'torch.sum(a)',
      // The difference quotient loses what the compensated sum keeps.
      gradient: 'kinked',
    },
    ...Object.entries({ max: ops.max, min: ops.min }).flatMap(([op, run]): Case[] => [
      {
        name: `${op}, ties`,
        inputs: [integers([4, 6], 0, 1)],
        run: (a) => run(a, 1),
        torch: `torch.a${op}(a, dim=1)`,
        gradient: 'kinked',
      },
      {
        name: `${op}, ties over all`,
        inputs: [integers([3, 4], 0, 1)],
        run: (a) => run(a),
        torch: `torch.a${op}(a, dim=(0, 1))`,
        gradient: 'kinked',
      },
      {
        name: `${op}, not finite`,
        inputs: [
          given(
            [4, 3],
            [1, nan, 2, Infinity, 1, -Infinity, -Infinity, -Infinity, -Infinity, nan, Infinity, nan],
          ),
        ],
        run: (a) => run(a, 1),
        // The gradient at NaN is no number in both, but not the same one; the value alone is compared.
        torch: `torch.a${op}(a.detach(), dim=1)`,
        gradient: 'kinked',
      },
    ]),
    ...Object.entries({ sum: ops.sum, mean: ops.mean }).map(
      ([op, run]): Case => ({
        name: `${op}, not finite`,
        inputs: [given([4, 2], [nan, 1, Infinity, 1, -Infinity, 1, Infinity, -Infinity])],
        run: (a) => run(a, 1),
        torch: `torch.${op}(a, dim=1)`,
        gradient: 'kinked',
      }),
    ),
    ...patterns
      .filter(({ shape }) => shape.length > 0 && shape.every((size) => size > 1))
      .filter(({ axes }) => !Array.isArray(axes) || axes.length > 0)
      .map((over): Case => {
        const { dims, keep } = text(over);
        return {
          name: `variance, ${over.name}`,
          inputs: [uniform(over.shape)],
          run: (x) => variance(x, over.axes, { keepDims: over.keepDims ?? false }),
          torch: `torch.var(a, dim=${dims}, unbiased=False, keepdim=${keep})`,
          tolerance: { float32: 1e-5 },
        };
      }),
    {
      name: 'variance, unbiased',
      inputs: [uniform([4, 3])],
      run: (x) => variance(x, 0, { correction: 1 }),
      torch: 'torch.var(a, dim=0, unbiased=True)',
    },
    {
      name: 'variance of one, unbiased',
      inputs: [uniform([1, 3])],
      run: (x) => variance(x, 0, { correction: 1 }),
      torch: 'torch.var(a, dim=0, unbiased=True)',
      gradient: 'kinked',
    },
    {
      name: 'sum of a product with its mean',
      inputs: [uniform([3, 4])],
      run: (a) => ops.sum(a.mul(ops.mean(a, 1, { keepDims: true })), 0),
      torch: 'torch.sum(a * torch.mean(a, dim=1, keepdim=True), dim=0)',
    },
    ...[
      { name: 'argmax, last axis', shape: [3, 5], axis: -1 },
      { name: 'argmax, first axis', shape: [3, 5], axis: 0 },
      { name: 'argmax, middle axis', shape: [2, 3, 4], axis: 1 },
      { name: 'argmax, all', shape: [3, 4], axis: undefined },
    ].map(
      ({ name, shape, axis }): Case => ({
        name,
        inputs: [distinct(shape)],
        run: (x) => ops.argmax(x, axis),
        torch: axis === undefined ? 'torch.argmax(a)' : `torch.argmax(a, dim=${axis})`,
        gradient: 'none',
      }),
    ),
    {
      name: 'argmax, NaN and ties',
      inputs: [
        given(
          [5, 3],
          [1, nan, 2, nan, nan, 1, 5, 5, 4, -Infinity, -Infinity, -Infinity, Infinity, nan, Infinity],
        ),
      ],
      run: (x) => ops.argmax(x, 1),
      // PyTorch names no rule for ties; this is ours spelled out: the first NaN, else the first maximum.
      torch: 'torch.tensor([1, 0, 0, 0, 1])',
      gradient: 'none',
    },
    {
      name: 'argmax, no rows',
      inputs: [uniform([0, 3])],
      run: (x) => ops.argmax(x, 1),
      torch: 'torch.argmax(a, dim=1)',
      gradient: 'none',
    },
  ],
  bad: [
    {
      name: 'axis out of range',
      call: () => ops.sum(matrix(), 2),
      code: 'AXPY_ARGUMENT',
      message: /an axis from -2 to 1, got 2/,
    },
    {
      name: 'negative axis out of range',
      call: () => ops.mean(matrix(), -3),
      code: 'AXPY_ARGUMENT',
      message: /got -3/,
    },
    {
      name: 'fractional axis',
      call: () => ops.max(matrix(), 0.5),
      code: 'AXPY_ARGUMENT',
      message: /got 0\.5/,
    },
    {
      name: 'an axis twice',
      call: () => ops.sum(matrix(), [0, -2]),
      code: 'AXPY_ARGUMENT',
      message: /each axis once/,
    },
    {
      name: 'axis of a scalar',
      call: () => ops.sum(tensor(1), 0),
      code: 'AXPY_ARGUMENT',
      message: /a scalar has none/,
    },
    {
      name: 'max of nothing',
      call: () => ops.max(hollow(), 0),
      code: 'AXPY_SHAPE',
      message: /at least one element/,
    },
    {
      name: 'min of nothing',
      call: () => ops.min(hollow()),
      code: 'AXPY_SHAPE',
      message: /at least one element/,
    },
    {
      name: 'argmax of nothing',
      call: () => ops.argmax(hollow(), 0),
      code: 'AXPY_SHAPE',
      message: /at least one element/,
    },
    { name: 'argmax, axis', call: () => ops.argmax(matrix(), 2), code: 'AXPY_ARGUMENT', message: /axis/ },
    {
      name: 'int32',
      call: () => ops.mean(tensor([1], { dtype: 'int32' })),
      code: 'AXPY_DTYPE',
      message: /got int32/,
    },
    {
      name: 'no tensor',
      call: () => variance(undefined as never),
      code: 'AXPY_ARGUMENT',
      message: /a tensor/,
    },
  ],
  bench: [
    { name: 'sum, 256 thousand', inputs: [uniform([1 << 18])], run: (a) => ops.sum(a) },
    { name: 'sum over rows, 512 x 512', inputs: [uniform([512, 512])], run: (a) => ops.sum(a, 0) },
    { name: 'max over columns, 512 x 512', inputs: [uniform([512, 512])], run: (a) => ops.max(a, 1) },
    {
      name: 'argmax, 512 x 512',
      inputs: [uniform([512, 512])],
      run: (a) => ops.argmax(a, 1),
      backward: false,
    },
  ],
});

/** lib/ops/matmul.ts: products of matrices, vectors and batches of matrices. */
import { type MatmulOptions, matmul } from '../../lib/ops/matmul.ts';
import { tensor, type Values } from '../../lib/tensor.ts';
import { type Case, constant, defineCases, given, uniform } from './case.ts';

type Shapes = readonly [string, readonly number[], readonly number[]];

const plain: readonly Shapes[] = [
  ['one by one', [1, 1], [1, 1]],
  ['odd sizes', [3, 5], [5, 7]],
  ['row times matrix', [1, 6], [6, 4]],
  ['matrix times column', [6, 4], [4, 1]],
  ['outer product', [5, 1], [1, 4]],
  ['inner product', [1, 9], [9, 1]],
  // Beyond the blocks of any gemm kernel, with a remainder in each direction.
  ['past a block', [17, 33], [33, 19]],
  ['vector, matrix', [5], [5, 3]],
  ['matrix, vector', [4, 5], [5]],
  ['vector, vector', [5], [5]],
  ['no rows', [0, 3], [3, 2]],
  ['no columns', [2, 3], [3, 0]],
  ['nothing to sum', [2, 0], [0, 3]],
  ['nothing at all', [0, 0], [0, 0]],
  ['batch', [3, 2, 4], [3, 4, 5]],
  ['batch against one matrix', [3, 2, 4], [4, 5]],
  ['one matrix against a batch', [2, 4], [3, 4, 5]],
  ['batch of rank 1 against matrix', [1, 2, 4], [3, 4, 2]],
  ['batches broadcast', [2, 1, 2, 3], [3, 3, 2]],
  ['both batches broadcast', [2, 1, 2, 3], [1, 3, 3, 2]],
  ['two batch axes', [2, 3, 2, 4], [2, 3, 4, 1]],
  ['vector against a batch', [4], [3, 4, 2]],
  ['batch against a vector', [3, 2, 4], [4]],
  ['empty batch', [0, 2, 3], [0, 3, 2]],
  ['empty batch against one matrix', [0, 2, 3], [3, 2]],
];

const swap = (shape: readonly number[]) => [
  ...shape.slice(0, -2),
  shape[shape.length - 1],
  shape[shape.length - 2],
];

const variants: readonly (readonly [MatmulOptions, string])[] = [
  [{ transposeA: true }, 'a.transpose(-1, -2) @ b'],
  [{ transposeB: true }, 'a @ b.transpose(-1, -2)'],
  [{ transposeA: true, transposeB: true }, 'a.transpose(-1, -2) @ b.transpose(-1, -2)'],
];

function transposed([name, a, b]: Shapes): Case[] {
  return variants.map(([options, torch]) => ({
    name: `${name}, ${Object.keys(options).join(' ')}`,
    inputs: [uniform(options.transposeA ? swap(a) : a), uniform(options.transposeB ? swap(b) : b)],
    run: (x, y) => matmul(x, y, options),
    torch,
  }));
}

const matrix = () => tensor([[1, 2]]);

export default defineCases({
  op: 'matmul',
  cases: [
    ...plain.map(
      ([name, a, b]): Case => ({
        name,
        inputs: [uniform(a), uniform(b)],
        run: (x, y) => matmul(x, y),
        torch: 'a @ b',
      }),
    ),
    ...plain.filter(([, a, b]) => a.length > 1 && b.length > 1).flatMap(transposed),
    {
      name: 'by itself',
      inputs: [uniform([3, 3])],
      run: (a) => matmul(a, a),
      torch: 'a @ a',
    },
    {
      name: 'by its own transpose',
      inputs: [uniform([3, 4])],
      run: (a) => matmul(a, a, { transposeB: true }),
      torch: 'a @ a.T',
    },
    {
      name: 'a matrix used in two products',
      inputs: [uniform([2, 3]), uniform([3, 3])],
      run: (a, b) => matmul(matmul(a, b), b),
      torch: 'a @ b @ b',
    },
    {
      name: 'not finite',
      // 0 · NaN and 0 · Infinity are NaN: a gemm that skips zeros would hide them.
      inputs: [given([2, 2], [0, 1, 1, 2]), given([2, 2], [Number.NaN, 1, 2, Infinity])],
      run: (a, b) => matmul(a, b),
      torch: 'a @ b',
      gradient: 'kinked',
    },
    {
      name: 'constant right',
      inputs: [uniform([2, 3]), constant(uniform([3, 2]))],
      run: (a, b) => matmul(a, b),
      torch: 'a @ b',
    },
  ],
  bad: [
    {
      name: 'inner sizes',
      call: () => matmul(matrix(), matrix()),
      code: 'AXPY_SHAPE',
      message: /inner sizes that agree, got 2 and 1/,
    },
    {
      name: 'a scalar',
      call: () => matmul(tensor(1), matrix()),
      code: 'AXPY_SHAPE',
      message: /at least one axis/,
    },
    {
      name: 'batches',
      call: () =>
        matmul(
          tensor(new Float32Array(8), { shape: [2, 2, 2] }),
          tensor(new Float32Array(12), { shape: [3, 2, 2] }),
        ),
      code: 'AXPY_SHAPE',
      message: /broadcast/,
    },
    {
      name: 'transposed vector',
      call: () => matmul(tensor([1, 2]), matrix(), { transposeA: true }),
      code: 'AXPY_ARGUMENT',
      message: /matrix to transpose/,
    },
    {
      name: 'dtypes',
      call: () => matmul(matrix(), tensor(new Float64Array(2) as Values)),
      code: 'AXPY_DTYPE',
      message: /one dtype/,
    },
    {
      name: 'no tensor',
      call: () => matmul(matrix(), 3 as never),
      code: 'AXPY_ARGUMENT',
      message: /operand/,
    },
  ],
  bench: [
    {
      name: '256 x 256 x 256',
      inputs: [uniform([256, 256]), uniform([256, 256])],
      run: (a, b) => matmul(a, b),
    },
    {
      name: 'batch of 16, 64 x 64 x 64',
      inputs: [uniform([16, 64, 64]), uniform([16, 64, 64])],
      run: (a, b) => matmul(a, b),
    },
    {
      name: 'shared left, batch of 16',
      inputs: [uniform([65, 63]), uniform([16, 63, 67])],
      run: (a, b) => matmul(a, b),
    },
  ],
});

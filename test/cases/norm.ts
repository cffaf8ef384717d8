/** lib/ops/norm.ts: norms and standard deviations; variances have their cases in reduce.ts. */
import { norm, std } from '../../lib/ops/norm.ts';
import { tensor } from '../../lib/tensor.ts';
import { type Case, defineCases, given, integers, uniform } from './case.ts';

/** By name, the shape, the axes, and the same for PyTorch. */
const patterns: readonly (readonly [
  string,
  readonly number[],
  number | readonly number[] | undefined,
  string,
])[] = [
  ['all', [3, 5], undefined, '(0, 1)'],
  ['first axis', [3, 5], 0, '0'],
  ['last axis', [3, 5], -1, '-1'],
  ['outer axes', [2, 3, 4], [0, 2], '(0, 2)'],
  ['alternating axes', [2, 3, 2, 3, 2], [0, 2, 4], '(0, 2, 4)'],
  ['long', [1031], undefined, '0'],
];

export default defineCases({
  op: 'norm',
  cases: [
    ...patterns.flatMap(([name, shape, axes, dims]): Case[] => [
      ...[1, 2, 3, Infinity].map(
        (ord): Case => ({
          name: `norm ${ord}, ${name}`,
          inputs: [uniform(shape, -3, 3, [0])],
          run: (x) => norm(x, axes, { ord }),
          torch: `torch.linalg.vector_norm(a, ${ord === Infinity ? "float('inf')" : ord}, dim=${dims})`,
          tolerance: { float32: 1e-5 },
          // Largest magnitudes may tie.
          gradient: ord === Infinity ? 'kinked' : 'smooth',
        }),
      ),
      {
        name: `std, ${name}`,
        inputs: [uniform(shape)],
        run: (x) => std(x, axes),
        torch: `torch.std(a, dim=${dims}, unbiased=False)`,
        tolerance: { float32: 1e-5 },
      },
    ]),
    {
      name: 'norm, keepDims',
      inputs: [uniform([3, 4])],
      run: (x) => x.div(norm(x, 1, { keepDims: true })),
      torch: 'a / torch.linalg.vector_norm(a, dim=1, keepdim=True)',
    },
    {
      name: 'norm, no axes',
      inputs: [uniform([5], -2, 2, [0])],
      run: (x) => norm(x, []),
      torch: 'torch.abs(a)',
    },
    { name: 'norm, scalar', inputs: [uniform([], 1, 2)], run: (x) => norm(x), torch: 'torch.abs(a)' },
    ...[1, 2, 3, Infinity].map(
      (ord): Case => ({
        name: `norm ${ord}, zeros`,
        inputs: [given([2, 3], [0, 0, 0, 1, -0, 0])],
        run: (x) => norm(x, 1, { ord }),
        torch: `torch.linalg.vector_norm(a, ${ord === Infinity ? "float('inf')" : ord}, dim=1)`,
        gradient: 'kinked',
      }),
    ),
    {
      name: 'norm Infinity, ties',
      inputs: [integers([4, 6], -1, 1)],
      run: (x) => norm(x, 1, { ord: Infinity }),
      torch: "torch.linalg.vector_norm(a, float('inf'), dim=1)",
      gradient: 'kinked',
    },
    {
      name: 'norm, not finite',
      inputs: [given([3, 2], [Number.NaN, 1, Infinity, 1, -Infinity, 2])],
      run: (x) => norm(x, 1),
      torch: 'torch.linalg.vector_norm(a.detach(), dim=1)',
      gradient: 'kinked',
    },
    {
      name: 'norm, squares beyond float32',
      inputs: [given([2, 2], [3e20, 4e20, 3e-30, -4e-30])],
      run: (x) => norm(x, 1),
      torch: 'torch.linalg.vector_norm(a, dim=1)',
      gradient: 'kinked',
    },
    {
      name: 'norm, nothing',
      inputs: [uniform([0, 3])],
      run: (x) => norm(x, 0),
      torch: 'torch.linalg.vector_norm(a, dim=0)',
    },
    {
      name: 'std, unbiased',
      inputs: [uniform([4, 3])],
      run: (x) => std(x, 0, { correction: 1, keepDims: true }),
      torch: 'torch.std(a, dim=0, unbiased=True, keepdim=True)',
    },
    {
      name: 'std, equals',
      inputs: [given([2, 3], [2, 2, 2, 1, 2, 3])],
      run: (x) => std(x, 1),
      torch: 'torch.std(a, dim=1, unbiased=False)',
      gradient: 'kinked',
    },
    {
      name: 'std of one, unbiased',
      inputs: [uniform([1, 3])],
      run: (x) => std(x, 0, { correction: 1 }),
      torch: 'torch.std(a.detach(), dim=0, unbiased=True)',
      gradient: 'kinked',
    },
  ],
  bad: [
    {
      name: 'ord below 1',
      call: () => norm(tensor([1]), 0, { ord: 0.5 }),
      code: 'AXPY_ARGUMENT',
      message: /at least 1, got 0\.5/,
    },
    {
      name: 'ord NaN',
      call: () => norm(tensor([1]), 0, { ord: Number.NaN }),
      code: 'AXPY_ARGUMENT',
      message: /got NaN/,
    },
    { name: 'axis', call: () => norm(tensor([1]), 1), code: 'AXPY_ARGUMENT', message: /axis/ },
    {
      name: 'the largest of nothing',
      call: () => norm(tensor([]), 0, { ord: Infinity }),
      code: 'AXPY_SHAPE',
      message: /at least one element/,
    },
    {
      name: 'int32',
      call: () => norm(tensor([1], { dtype: 'int32' })),
      code: 'AXPY_DTYPE',
      message: /got int32/,
    },
    {
      name: 'std, correction',
      call: () => std(tensor([1]), 0, { correction: -1 }),
      code: 'AXPY_ARGUMENT',
      message: /correction/,
    },
  ],
  bench: [{ name: 'rows of 512 x 512', inputs: [uniform([512, 512])], run: (x) => norm(x, 1) }],
});

/** lib/ops/slice.ts: parts of a tensor. */
import { flip, type Range, slice } from '../../lib/ops/slice.ts';
import { tensor } from '../../lib/tensor.ts';
import { type Case, defineCases, given, uniform } from './case.ts';

/** PyTorch takes no negative steps: those are its flip, then a slice. */
const parts: readonly (readonly [string, readonly number[], readonly Range[], string])[] = [
  ['front', [7], [[0, 3]], 'a[0:3]'],
  ['to the end', [7], [[4]], 'a[4:]'],
  ['negative positions', [7], [[-3, -1]], 'a[-3:-1]'],
  ['step', [7], [[1, 7, 2]], 'a[1:7:2]'],
  ['step past the end', [7], [[0, 100, 5]], 'a[0:100:5]'],
  ['backwards', [7], [[6, undefined, -1]], 'a.flip(0)'],
  ['backwards by two', [7], [[-2, 0, -2]], 'a.flip(0)[1:6:2]'],
  ['backwards from past the end', [7], [[100, -100, -3]], 'a.flip(0)[::3]'],
  [
    'rows and columns',
    [4, 5],
    [
      [1, 3],
      [0, 5, 2],
    ],
    'a[1:3, 0:5:2]',
  ],
  ['columns', [4, 5], [null, [1, 2]], 'a[:, 1:2]'],
  ['rows', [4, 5], [[2, 3]], 'a[2:3]'],
  ['middle axis', [2, 4, 3], [null, [1, -1]], 'a[:, 1:-1]'],
  ['rows backwards, columns forwards', [4, 5], [[3, undefined, -2], [1]], 'a.flip(0)[::2, 1:]'],
  ['nothing', [4, 5], [[2, 2]], 'a[2:2]'],
  ['start after end', [4], [[3, 1]], 'a[3:1]'],
  ['past the end', [4], [[9]], 'a[9:]'],
  ['of nothing', [0, 3], [[0, 1], [1]], 'a[0:1, 1:]'],
  ['everything', [2, 3], [], 'a[:]'],
  ['scalar', [], [], 'a.clone()'],
];

const matrix = () => tensor([[1, 2]]);

export default defineCases({
  op: 'slice',
  cases: [
    ...parts.map(
      ([name, shape, ranges, torch]): Case => ({
        name,
        inputs: [uniform(shape)],
        run: (a) => slice(a, ranges),
        torch,
      }),
    ),
    {
      name: 'overlapping parts',
      inputs: [uniform([5])],
      run: (a) => slice(a, [[0, 4]]).mul(slice(a, [[1]])),
      torch: 'a[0:4] * a[1:]',
    },
    ...(
      [
        ['all axes', [2, 3], undefined, '(0, 1)'],
        ['rows', [3, 2], 0, '(0,)'],
        ['last axis', [2, 3, 2], -1, '(-1,)'],
        ['outer axes', [2, 3, 2], [2, 0], '(2, 0)'],
        ['no axes', [2, 3], [], '()'],
        ['nothing', [0, 3], undefined, '(0, 1)'],
      ] as const
    ).map(
      ([name, shape, axes, dims]): Case => ({
        name: `flip, ${name}`,
        inputs: [uniform(shape)],
        run: (a) => flip(a, axes),
        torch: `torch.flip(a, ${dims})`,
      }),
    ),
    {
      name: 'int32',
      inputs: [given([4], [1, 2, 3, 4], 'int32')],
      run: (a) => slice(a, [[3, 0, -1]]),
      torch: 'a.flip(0)[0:3]',
      gradient: 'none',
    },
  ],
  bad: [
    {
      name: 'too many ranges',
      call: () => slice(matrix(), [[0], [0], [0]]),
      code: 'AXPY_ARGUMENT',
      message: /at most 2 ranges, got 3/,
    },
    {
      name: 'step 0',
      call: () => slice(matrix(), [[0, 1, 0]]),
      code: 'AXPY_ARGUMENT',
      message: /a step other than 0/,
    },
    {
      name: 'fraction',
      call: () => slice(matrix(), [[0.5]]),
      code: 'AXPY_ARGUMENT',
      message: /integers for axis 0/,
    },
    {
      name: 'NaN',
      call: () => slice(matrix(), [[0, Number.NaN]]),
      code: 'AXPY_ARGUMENT',
      message: /integers/,
    },
    {
      name: 'a number',
      call: () => slice(matrix(), [1 as never]),
      code: 'AXPY_ARGUMENT',
      message: /null or \[start/,
    },
    {
      name: 'empty range',
      call: () => slice(matrix(), [[] as never]),
      code: 'AXPY_ARGUMENT',
      message: /null or \[start/,
    },
    {
      name: 'no ranges',
      call: () => slice(matrix(), undefined as never),
      code: 'AXPY_ARGUMENT',
      message: /ranges/,
    },
    {
      name: 'flip, an axis twice',
      call: () => flip(matrix(), [0, 0]),
      code: 'AXPY_ARGUMENT',
      message: /each axis once/,
    },
  ],
  bench: [
    {
      name: 'half the columns of 512 x 512',
      inputs: [uniform([512, 512])],
      run: (a) => slice(a, [null, [0, 256]]),
    },
  ],
});

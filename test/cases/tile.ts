/** lib/ops/tile.ts: repetition of the whole. */
import { tile } from '../../lib/ops/tile.ts';
import { tensor } from '../../lib/tensor.ts';
import { type Case, defineCases, given, uniform } from './case.ts';

const list: readonly (readonly [string, readonly number[], readonly number[]])[] = [
  ['vector', [3], [4]],
  ['both axes', [2, 3], [2, 3]],
  ['rows', [2, 3], [3, 1]],
  ['fewer repeats than axes', [2, 2, 3], [2]],
  ['more repeats than axes', [3], [2, 2, 2]],
  ['scalar', [], [3]],
  ['once', [2, 3], [1, 1]],
  ['never', [2, 3], [0, 2]],
  ['nothing', [0, 3], [2, 2]],
  ['no repeats', [2, 3], []],
  ['many axes', [2, 1, 2, 1, 2, 1, 2, 1, 2, 1], [1, 2, 2, 1, 1, 2, 1, 2, 1, 2]],
];

export default defineCases({
  op: 'tile',
  cases: [
    ...list.map(
      ([name, shape, repeats]): Case => ({
        name,
        inputs: [uniform(shape)],
        run: (a) => tile(a, repeats),
        torch: `torch.tile(a, (${repeats.map((count) => `${count},`).join('')}))`,
      }),
    ),
    {
      name: 'int32',
      inputs: [given([2], [1, 2], 'int32')],
      run: (a) => tile(a, [2]),
      torch: 'torch.tile(a, (2,))',
      gradient: 'none',
    },
  ],
  bad: [
    { name: 'negative', call: () => tile(tensor([1]), [-1]), code: 'AXPY_ARGUMENT', message: /got \[-1\]/ },
    { name: 'no list', call: () => tile(tensor([1]), 2 as never), code: 'AXPY_ARGUMENT', message: /repeats/ },
    {
      name: 'too large',
      call: () => tile(tensor([1, 2]), [2 ** 30]),
      code: 'AXPY_SHAPE',
      message: /fewer than 2\^31/,
    },
  ],
  bench: [{ name: '64 x 64, 8 times each way', inputs: [uniform([64, 64])], run: (a) => tile(a, [8, 8]) }],
});

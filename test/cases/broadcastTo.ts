/** lib/ops/broadcastTo.ts: repetition along axes of size 1. */
import { broadcastTo } from '../../lib/ops/broadcastTo.ts';
import { tensor } from '../../lib/tensor.ts';
import { type Case, defineCases, given, uniform } from './case.ts';

const shapes: readonly (readonly [string, readonly number[], readonly number[]])[] = [
  ['rows', [3], [2, 3]],
  ['columns', [2, 1], [2, 3]],
  ['both', [1, 3, 1], [2, 2, 3, 4]],
  ['scalar', [], [2, 3]],
  ['to itself', [2, 3], [2, 3]],
  ['scalar to scalar', [], []],
  ['to nothing', [1, 3], [0, 3]],
  ['nothing', [0, 1], [0, 3]],
  ['alternating', [2, 1, 2, 1], [2, 3, 2, 3]],
];

const x = () => tensor([1, 2, 3]);

export default defineCases({
  op: 'broadcastTo',
  cases: [
    ...shapes.map(
      ([name, own, wide]): Case => ({
        name,
        inputs: [uniform(own)],
        run: (a) => broadcastTo(a, wide),
        torch: `a.expand(${wide.length === 0 ? '()' : wide.join(', ')})`,
      }),
    ),
    {
      name: 'int32',
      inputs: [given([2, 1], [1, -2], 'int32')],
      run: (a) => broadcastTo(a, [2, 2]),
      torch: 'a.expand(2, 2)',
      gradient: 'none',
    },
  ],
  bad: [
    { name: 'does not fit', call: () => broadcastTo(x(), [2]), code: 'AXPY_SHAPE', message: /broadcast/ },
    {
      name: 'smaller',
      call: () => broadcastTo(x(), [1]),
      code: 'AXPY_SHAPE',
      message: /a shape that \[3\] broadcasts to, got \[1\]/,
    },
    {
      name: 'lower rank',
      call: () => broadcastTo(tensor([[1, 2]]), [2]),
      code: 'AXPY_SHAPE',
      message: /broadcasts to/,
    },
    { name: 'negative', call: () => broadcastTo(x(), [-1, 3]), code: 'AXPY_SHAPE', message: /at least 0/ },
  ],
  bench: [{ name: 'a row to 512 x 512', inputs: [uniform([512])], run: (a) => broadcastTo(a, [512, 512]) }],
});

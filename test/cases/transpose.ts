/** lib/ops/transpose.ts: axes in another order. */
import { transpose } from '../../lib/ops/transpose.ts';
import { tensor } from '../../lib/tensor.ts';
import { type Case, defineCases, given, uniform } from './case.ts';

const orders: readonly (readonly [string, readonly number[], readonly number[]])[] = [
  ['matrix', [3, 5], [1, 0]],
  ['no change', [3, 5], [0, 1]],
  ['cycle', [2, 3, 4], [2, 0, 1]],
  ['inner axes stay together', [2, 3, 4, 5], [2, 3, 0, 1]],
  ['negative axes', [2, 3, 4], [-1, 0, -2]],
  ['size 1', [1, 3, 1], [2, 1, 0]],
  ['nothing', [0, 3], [1, 0]],
  ['past a block', [35, 37], [1, 0]],
];

const matrix = () => tensor([[1, 2]]);

export default defineCases({
  op: 'transpose',
  cases: [
    ...orders.map(
      ([name, shape, axes]): Case => ({
        name,
        inputs: [uniform(shape)],
        run: (a) => transpose(a, axes),
        torch: `a.permute(${axes.join(', ')})`,
      }),
    ),
    { name: 'reversed', inputs: [uniform([2, 3, 4])], run: (a) => transpose(a), torch: 'a.permute(2, 1, 0)' },
    { name: 'vector', inputs: [uniform([3])], run: (a) => transpose(a), torch: 'a.permute(0)' },
    { name: 'scalar', inputs: [uniform([])], run: (a) => transpose(a), torch: 'a.clone()' },
    {
      name: 'int32',
      inputs: [given([2, 3], [1, 2, 3, -4, 5, 2147483647], 'int32')],
      run: (a) => transpose(a),
      torch: 'a.T',
      gradient: 'none',
    },
    {
      name: 'plus itself',
      inputs: [uniform([3, 3])],
      run: (a) => transpose(a).add(a),
      torch: 'a.T + a',
    },
  ],
  bad: [
    {
      name: 'too few',
      call: () => transpose(matrix(), [0]),
      code: 'AXPY_ARGUMENT',
      message: /each of 2 axes once, got \[0\]/,
    },
    { name: 'twice', call: () => transpose(matrix(), [0, -2]), code: 'AXPY_ARGUMENT', message: /once/ },
    { name: 'out of range', call: () => transpose(matrix(), [0, 2]), code: 'AXPY_ARGUMENT', message: /axis/ },
  ],
  bench: [{ name: '512 x 512', inputs: [uniform([512, 512])], run: (a) => transpose(a) }],
});

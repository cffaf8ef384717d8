/** lib/ops/cumulate.ts: sums of all up to an element. */
import { cumsum } from '../../lib/ops/cumulate.ts';
import { tensor } from '../../lib/tensor.ts';
import { type Case, defineCases, given, uniform } from './case.ts';

/** By name, the shape and the axis. */
export const list: readonly (readonly [string, readonly number[], number])[] = [
  ['rows', [3, 5], 1],
  ['columns', [4, 3], 0],
  ['middle axis', [2, 3, 4], 1],
  ['negative axis', [2, 3, 4], -1],
  ['many columns', [3, 131], 0],
  ['vector', [37], 0],
  ['one', [3, 1], 1],
  ['nothing', [0, 3], 0],
  ['no columns', [3, 0], 0],
];

export default defineCases({
  op: 'cumsum',
  cases: [
    ...list.map(
      ([name, shape, axis]): Case => ({
        name,
        inputs: [uniform(shape)],
        run: (x) => cumsum(x, axis),
        torch: `torch.cumsum(a, ${axis})`,
      }),
    ),
    {
      name: 'cancellation',
      inputs: [given([4], [16777216, 1, 1, -16777216])],
      run: (x) => cumsum(x),
      torch: 'torch.cumsum(a, 0)',
      gradient: 'kinked',
      // PyTorch's sums are of float64, of which float32 rounds each.
      tolerance: { float32: 1e-7 },
    },
    {
      name: 'not finite',
      inputs: [given([3, 3], [1, Number.NaN, 2, Infinity, 1, -Infinity, 2, -Infinity, 3])],
      run: (x) => cumsum(x),
      torch: 'torch.cumsum(a.detach(), 1)',
      gradient: 'kinked',
    },
  ],
  bad: [
    {
      name: 'int32',
      call: () => cumsum(tensor([1], { dtype: 'int32' })),
      code: 'AXPY_DTYPE',
      message: /got int32/,
    },
    { name: 'axis', call: () => cumsum(tensor([1]), 1), code: 'AXPY_ARGUMENT', message: /axis/ },
    { name: 'scalar', call: () => cumsum(tensor(1)), code: 'AXPY_ARGUMENT', message: /scalar/ },
  ],
  bench: [
    { name: 'rows of 512 x 512', inputs: [uniform([512, 512])], run: (x) => cumsum(x) },
    { name: 'columns of 512 x 512', inputs: [uniform([512, 512])], run: (x) => cumsum(x, 0) },
  ],
});

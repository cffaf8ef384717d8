/** lib/ops/gather.ts: rows by index, and indices as rows. */
import { gather, oneHot } from '../../lib/ops/gather.ts';
import { type Tensor, tensor } from '../../lib/tensor.ts';
import { defineCases, given, indices, uniform } from './case.ts';

const table = () =>
  tensor([
    [1, 2],
    [3, 4],
  ]);
const index = (...values: number[]) => tensor(values, { dtype: 'int32' });

export default defineCases({
  op: 'gather',
  cases: [
    { name: 'rows', inputs: [uniform([4, 3]), indices([5], 3)], run: gather, torch: 'a[b]' },
    {
      name: 'a row several times',
      inputs: [uniform([3, 2]), given([6], [1, 1, 0, 1, 2, 1], 'int32')],
      run: gather,
      torch: 'a[b]',
    },
    { name: 'elements', inputs: [uniform([5]), indices([4], 4)], run: gather, torch: 'a[b]' },
    { name: 'matrix of indices', inputs: [uniform([4, 3]), indices([2, 3], 3)], run: gather, torch: 'a[b]' },
    { name: 'matrices', inputs: [uniform([3, 2, 2]), indices([4], 2)], run: gather, torch: 'a[b]' },
    { name: 'one index', inputs: [uniform([3, 2]), given([], [2], 'int32')], run: gather, torch: 'a[b]' },
    { name: 'no indices', inputs: [uniform([3, 2]), given([0], [], 'int32')], run: gather, torch: 'a[b]' },
    { name: 'no width', inputs: [uniform([3, 0]), given([2], [2, 0], 'int32')], run: gather, torch: 'a[b]' },
    { name: 'wide rows', inputs: [uniform([3, 131]), indices([7], 2)], run: gather, torch: 'a[b]' },
    {
      name: 'int32 rows',
      inputs: [given([2, 2], [1, 2, 3, 4], 'int32'), given([2], [1, 0], 'int32')],
      run: gather,
      torch: 'a[b]',
      gradient: 'none',
    },
    {
      name: 'oneHot',
      inputs: [indices([6], 3)],
      run: (y) => oneHot(y, 4),
      torch: 'F.one_hot(a, 4).to(torch.float32)',
      gradient: 'none',
    },
    {
      name: 'oneHot, matrix, float64',
      inputs: [indices([2, 3], 2)],
      run: (y) => oneHot(y, 3, 'float64'),
      torch: 'F.one_hot(a, 3).to(torch.float64)',
      gradient: 'none',
    },
    {
      name: 'oneHot, nothing',
      inputs: [given([0], [], 'int32')],
      run: (y) => oneHot(y, 3),
      torch: 'torch.zeros(0, 3)',
      gradient: 'none',
    },
  ],
  bad: [
    {
      name: 'too large',
      call: () => gather(table(), index(0, 2)),
      code: 'AXPY_INDEX',
      message: /\[1\] to be from 0 to 1, got 2/,
    },
    { name: 'negative', call: () => gather(table(), index(-1)), code: 'AXPY_INDEX', message: /got -1/ },
    {
      name: 'float indices',
      call: () => gather(table(), tensor([0]) as Tensor),
      code: 'AXPY_DTYPE',
      message: /int32 indices/,
    },
    {
      name: 'scalar',
      call: () => gather(tensor(1), index(0)),
      code: 'AXPY_SHAPE',
      message: /at least one axis/,
    },
    {
      name: 'indices that are no tensor',
      call: () => gather(table(), [0] as never),
      code: 'AXPY_ARGUMENT',
      message: /indices to be a tensor/,
    },
    { name: 'oneHot, too large', call: () => oneHot(index(0, 3), 3), code: 'AXPY_INDEX', message: /got 3/ },
    { name: 'oneHot, negative', call: () => oneHot(index(-1), 3), code: 'AXPY_INDEX', message: /got -1/ },
    {
      name: 'oneHot, classes',
      call: () => oneHot(index(0), 1.5),
      code: 'AXPY_ARGUMENT',
      message: /classes to be an integer/,
    },
    {
      name: 'oneHot, dtype',
      call: () => oneHot(index(0), 2, 'int32' as never),
      code: 'AXPY_DTYPE',
      message: /float32 or float64/,
    },
    {
      name: 'oneHot, float labels',
      call: () => oneHot(tensor([0]) as Tensor, 2),
      code: 'AXPY_DTYPE',
      message: /int32 indices/,
    },
  ],
  bench: [
    { name: '4096 of 10000 rows of 64', inputs: [uniform([10000, 64]), indices([4096], 9999)], run: gather },
    {
      name: 'oneHot, 256 x 1000',
      inputs: [indices([256], 999)],
      run: (y) => oneHot(y, 1000),
      backward: false,
    },
  ],
});

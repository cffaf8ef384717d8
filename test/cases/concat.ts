/** lib/ops/concat.ts: tensors joined along an axis, old or new. */
import { concat, stack } from '../../lib/ops/concat.ts';
import { tensor, type Values } from '../../lib/tensor.ts';
import { defineCases, given, uniform } from './case.ts';

const two = () => tensor([1, 2]);

export default defineCases({
  op: 'concat',
  cases: [
    {
      name: 'rows',
      inputs: [uniform([2, 3]), uniform([1, 3]), uniform([4, 3])],
      run: (...inputs) => concat(inputs),
      torch: 'torch.cat([a, b, c])',
    },
    {
      name: 'columns',
      inputs: [uniform([2, 3]), uniform([2, 1])],
      run: (...inputs) => concat(inputs, -1),
      torch: 'torch.cat([a, b], dim=-1)',
    },
    {
      name: 'middle axis',
      inputs: [uniform([2, 1, 3]), uniform([2, 4, 3])],
      run: (...inputs) => concat(inputs, 1),
      torch: 'torch.cat([a, b], dim=1)',
    },
    { name: 'one', inputs: [uniform([3])], run: (a) => concat([a]), torch: 'torch.cat([a])' },
    {
      name: 'one empty',
      inputs: [uniform([2, 3]), uniform([0, 3])],
      run: (...inputs) => concat(inputs),
      torch: 'torch.cat([a, b])',
    },
    {
      name: 'all empty',
      inputs: [uniform([2, 0]), uniform([1, 0])],
      run: (...inputs) => concat(inputs),
      torch: 'torch.cat([a, b])',
    },
    {
      name: 'the same tensor twice',
      inputs: [uniform([2, 2])],
      run: (a) => concat([a, a], 1),
      torch: 'torch.cat([a, a], dim=1)',
    },
    {
      name: 'int32',
      inputs: [given([2], [1, 2], 'int32'), given([1], [-3], 'int32')],
      run: (...inputs) => concat(inputs),
      torch: 'torch.cat([a, b])',
      gradient: 'none',
    },
    {
      name: 'stack',
      inputs: [uniform([2, 3]), uniform([2, 3])],
      run: (...inputs) => stack(inputs),
      torch: 'torch.stack([a, b])',
    },
    {
      name: 'stack, last axis',
      inputs: [uniform([2, 3]), uniform([2, 3]), uniform([2, 3])],
      run: (...inputs) => stack(inputs, -1),
      torch: 'torch.stack([a, b, c], dim=-1)',
    },
    {
      name: 'stack of scalars',
      inputs: [uniform([]), uniform([])],
      run: (...inputs) => stack(inputs),
      torch: 'torch.stack([a, b])',
    },
  ],
  bad: [
    { name: 'nothing', call: () => concat([]), code: 'AXPY_ARGUMENT', message: /at least one tensor/ },
    { name: 'no array', call: () => concat(two() as never), code: 'AXPY_ARGUMENT', message: /an array/ },
    {
      name: 'not tensors',
      call: () => concat([two(), [1] as never]),
      code: 'AXPY_ARGUMENT',
      message: /a tensor, got an array/,
    },
    {
      name: 'dtypes',
      call: () => concat([two(), tensor(new Float64Array(2) as Values)]),
      code: 'AXPY_DTYPE',
      message: /one dtype/,
    },
    {
      name: 'ranks',
      call: () => concat([two(), tensor([[1, 2]])]),
      code: 'AXPY_SHAPE',
      message: /differ only in axis 0/,
    },
    {
      name: 'other axis',
      call: () => concat([tensor([[1, 2]]), tensor([[1]])]),
      code: 'AXPY_SHAPE',
      message: /got \[1, 2\] and \[1, 1\]/,
    },
    { name: 'axis', call: () => concat([two()], 1), code: 'AXPY_ARGUMENT', message: /axis/ },
    { name: 'scalars', call: () => concat([tensor(1)]), code: 'AXPY_ARGUMENT', message: /scalar/ },
    {
      name: 'stack, shapes',
      call: () => stack([two(), tensor([1])]),
      code: 'AXPY_SHAPE',
      message: /one shape/,
    },
    { name: 'stack, axis', call: () => stack([two()], 3), code: 'AXPY_ARGUMENT', message: /axis/ },
  ],
  bench: [
    {
      name: 'two halves of 512 x 1024',
      inputs: [uniform([512, 512]), uniform([512, 512])],
      run: (...inputs) => concat(inputs, 1),
    },
  ],
});

/** lib/ops/split.ts: a tensor taken apart along an axis. */
import { concat, stack } from '../../lib/ops/concat.ts';
import { split, unbind } from '../../lib/ops/split.ts';
import { tensor } from '../../lib/tensor.ts';
import { defineCases, given, uniform } from './case.ts';

const matrix = () => tensor([[1, 2, 3]]);

export default defineCases({
  op: 'split',
  cases: [
    {
      name: 'by a size',
      inputs: [uniform([4, 3])],
      run: (a) => split(a, 2)[1].sub(split(a, 2)[0]),
      torch: 'torch.split(a, 2)[1] - torch.split(a, 2)[0]',
    },
    {
      name: 'by a size that leaves a rest',
      inputs: [uniform([2, 7])],
      run: (a) => concat(split(a, 3, 1).reverse(), 1),
      torch: 'torch.cat(torch.split(a, 3, 1)[::-1], 1)',
    },
    {
      name: 'by a size beyond the axis',
      inputs: [uniform([2, 3])],
      run: (a) => stack(split(a, 9)),
      torch: 'torch.stack(torch.split(a, 9))',
    },
    {
      name: 'by sizes',
      inputs: [uniform([2, 6, 2])],
      run: (a) => concat(split(a, [1, 0, 3, 2], -2).reverse(), 1),
      torch: 'torch.cat(torch.split(a, [1, 0, 3, 2], 1)[::-1], 1)',
    },
    {
      name: 'nothing',
      inputs: [uniform([0, 3])],
      run: (a) => stack(split(a, 2)),
      torch: 'torch.stack(torch.split(a, 2))',
    },
    {
      name: 'int32',
      inputs: [given([3], [1, 2, 3], 'int32')],
      run: (a) => split(a, [1, 2])[1],
      torch: 'torch.split(a, [1, 2])[1]',
      gradient: 'none',
    },
    {
      name: 'unbind, rows',
      inputs: [uniform([3, 4])],
      run: (a) => stack(unbind(a).reverse(), 1),
      torch: 'torch.stack(torch.unbind(a)[::-1], 1)',
    },
    {
      name: 'unbind, middle axis',
      inputs: [uniform([2, 3, 4])],
      run: (a) => unbind(a, 1).reduce((x, y) => x.mul(y)),
      torch: 'torch.prod(a, 1)',
    },
    {
      name: 'unbind, vector',
      inputs: [uniform([3])],
      run: (a) => unbind(a, -1)[1],
      torch: 'torch.unbind(a, -1)[1]',
    },
  ],
  bad: [
    { name: 'size 0', call: () => split(matrix(), 0), code: 'AXPY_ARGUMENT', message: /at least 1.*got 0/ },
    { name: 'fraction', call: () => split(matrix(), 1.5), code: 'AXPY_ARGUMENT', message: /got 1\.5/ },
    {
      name: 'sizes of another sum',
      call: () => split(matrix(), [1, 1], 1),
      code: 'AXPY_ARGUMENT',
      message: /add up to 3, got \[1, 1\]/,
    },
    {
      name: 'negative size',
      call: () => split(matrix(), [4, -1], 1),
      code: 'AXPY_ARGUMENT',
      message: /at least 0.*got \[4, -1\]/,
    },
    { name: 'axis', call: () => split(matrix(), 1, 2), code: 'AXPY_ARGUMENT', message: /axis from -2 to 1/ },
    { name: 'unbind, axis', call: () => unbind(tensor(1)), code: 'AXPY_ARGUMENT', message: /scalar/ },
  ],
  bench: [
    {
      name: 'four parts of 512 x 512',
      inputs: [uniform([512, 512])],
      run: (a) => split(a, 128, 1).reduce((x, y) => x.mul(y)),
    },
  ],
});

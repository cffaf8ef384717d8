/** lib/ops/product.ts: products over axes. */
import { prod } from '../../lib/ops/product.ts';
import { tensor } from '../../lib/tensor.ts';
import { defineCases, given, uniform } from './case.ts';

export default defineCases({
  op: 'product',
  cases: [
    { name: 'all', inputs: [uniform([3, 4], 0.5, 2)], run: (x) => prod(x), torch: 'torch.prod(a)' },
    { name: 'first axis', inputs: [uniform([3, 4])], run: (x) => prod(x, 0), torch: 'torch.prod(a, 0)' },
    {
      name: 'last axis, keepDims',
      inputs: [uniform([3, 4])],
      run: (x) => prod(x, -1, { keepDims: true }),
      torch: 'torch.prod(a, -1, keepdim=True)',
    },
    {
      name: 'outer axes',
      inputs: [uniform([2, 3, 2])],
      run: (x) => prod(x, [0, 2]),
      torch: 'torch.prod(torch.prod(a, 2), 0)',
    },
    { name: 'no axes', inputs: [uniform([3])], run: (x) => prod(x, []), torch: 'a * 1' },
    { name: 'scalar', inputs: [uniform([])], run: (x) => prod(x), torch: 'torch.prod(a)' },
    {
      name: 'zeros',
      inputs: [given([4, 3], [1, 2, 3, 0, 2, 3, 0, 0, 5, -0, 4, -2])],
      run: (x) => prod(x, 1),
      torch: 'torch.prod(a, 1)',
    },
    {
      name: 'a zero among all',
      inputs: [given([4], [1.5, 2, 0, -3])],
      run: (x) => prod(x),
      torch: 'torch.prod(a)',
    },
    {
      name: 'not finite',
      inputs: [given([3, 2], [Number.NaN, 2, Infinity, 2, -Infinity, 0])],
      run: (x) => prod(x, 1),
      torch: 'torch.prod(a.detach(), 1)',
      gradient: 'kinked',
    },
    { name: 'nothing', inputs: [uniform([0, 3])], run: (x) => prod(x, 0), torch: 'torch.prod(a, 0)' },
  ],
  bad: [
    {
      name: 'int32',
      call: () => prod(tensor([1], { dtype: 'int32' })),
      code: 'AXPY_DTYPE',
      message: /got int32/,
    },
    { name: 'axis', call: () => prod(tensor([1]), 1), code: 'AXPY_ARGUMENT', message: /axis/ },
  ],
  bench: [{ name: 'rows of 512 x 512', inputs: [uniform([512, 512], 0.9, 1.1)], run: (x) => prod(x, 1) }],
});

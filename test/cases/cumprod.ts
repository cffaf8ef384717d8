/** lib/ops/cumulate.ts: products of all up to an element. */
import { cumprod } from '../../lib/ops/cumulate.ts';
import { tensor } from '../../lib/tensor.ts';
import { type Case, defineCases, given, uniform } from './case.ts';
import { list } from './cumsum.ts';

export default defineCases({
  op: 'cumprod',
  cases: [
    ...list.map(
      ([name, shape, axis]): Case => ({
        name,
        inputs: [uniform(shape, 0.5, 1.5)],
        run: (x) => cumprod(x, axis),
        torch: `torch.cumprod(a, ${axis})`,
        tolerance: { float32: 1e-5, float64: 1e-12 },
      }),
    ),
    {
      name: 'zeros',
      inputs: [given([5, 4], [1, 0, 2, 3, 0, 2, 3, 4, 2, 0, 3, 0, 2, 3, 4, 0, 0, 0, 1, 2])],
      run: (x) => cumprod(x),
      torch: 'torch.cumprod(a, 1)',
    },
    {
      name: 'zeros in columns',
      inputs: [given([4, 3], [1, 0, 2, 3, 0, 2, 3, 4, 0, 0, 3, 0.5])],
      run: (x) => cumprod(x, 0),
      torch: 'torch.cumprod(a, 0)',
    },
    {
      name: 'not finite',
      inputs: [given([3, 3], [1, Number.NaN, 2, Infinity, 1, -Infinity, 2, -Infinity, 3])],
      run: (x) => cumprod(x),
      torch: 'torch.cumprod(a.detach(), 1)',
      gradient: 'kinked',
    },
  ],
  bad: [
    {
      name: 'int32',
      call: () => cumprod(tensor([1], { dtype: 'int32' })),
      code: 'AXPY_DTYPE',
      message: /got int32/,
    },
    { name: 'axis', call: () => cumprod(tensor([1]), 1), code: 'AXPY_ARGUMENT', message: /axis/ },
    { name: 'scalar', call: () => cumprod(tensor(1)), code: 'AXPY_ARGUMENT', message: /scalar/ },
  ],
  bench: [{ name: 'rows of 512 x 512', inputs: [uniform([512, 512], 0.9, 1.1)], run: (x) => cumprod(x) }],
});

/** lib/ops/dropout.ts. PyTorch draws other numbers, so nothing here has a reference; random.test.ts has the moments. */
import { dropout } from '../../lib/ops/dropout.ts';
import { randomState } from '../../lib/random.ts';
import { tensor } from '../../lib/tensor.ts';
import { constant, defineCases, given, uniform } from './case.ts';

// Each run starts from the same state, as the difference quotient wants the same mask each time.
export default defineCases({
  op: 'dropout',
  cases: [
    { name: 'half', inputs: [uniform([37])], run: (a) => dropout(a, 0.5, randomState(1)) },
    { name: 'a tenth', inputs: [uniform([6, 7])], run: (a) => dropout(a, 0.1, randomState(2)) },
    { name: 'none', inputs: [uniform([5])], run: (a) => dropout(a, 0, randomState(3)), torch: 'a * 1' },
    { name: 'nothing', inputs: [uniform([0])], run: (a) => dropout(a, 0.5, randomState(4)), torch: 'a * 1' },
    { name: 'scalar', inputs: [uniform([])], run: (a) => dropout(a, 0.5, randomState(5)) },
    {
      name: 'twice',
      inputs: [uniform([9])],
      run: (a) => dropout(a, 0.3, randomState(6)).add(dropout(a, 0.3, randomState(7))),
    },
    {
      name: 'not finite',
      // A dropped NaN stays NaN: 0 · NaN.
      inputs: [given([3], [Number.NaN, Infinity, -Infinity])],
      run: (a) => dropout(a, 0.5, randomState(8)),
      gradient: 'kinked',
    },
    {
      name: 'no gradient',
      inputs: [constant(uniform([5]))],
      run: (a) => dropout(a, 0.5, randomState(9)),
      gradient: 'none',
    },
  ],
  bad: [
    {
      name: 'rate 1',
      call: () => dropout(tensor([1]), 1),
      code: 'AXPY_ARGUMENT',
      message: /at least 0 and less than 1, got 1/,
    },
    {
      name: 'negative rate',
      call: () => dropout(tensor([1]), -0.1),
      code: 'AXPY_ARGUMENT',
      message: /got -0\.1/,
    },
    { name: 'NaN', call: () => dropout(tensor([1]), Number.NaN), code: 'AXPY_ARGUMENT', message: /got NaN/ },
    {
      name: 'int32',
      call: () => dropout(tensor([1], { dtype: 'int32' }) as never, 0.5),
      code: 'AXPY_DTYPE',
      message: /int32/,
    },
  ],
  bench: [
    { name: '256 thousand', inputs: [uniform([1 << 18])], run: (a) => dropout(a, 0.5, randomState(1)) },
  ],
});

/** lib/ops/softmax.ts: softmax and its logarithm. */
import { logSoftmax, softmax } from '../../lib/ops/softmax.ts';
import { tensor } from '../../lib/tensor.ts';
import { type Case, defineCases, given, uniform } from './case.ts';

const nan = Number.NaN;

const shapes: readonly (readonly [string, readonly number[], number])[] = [
  ['last axis', [3, 5], -1],
  ['first axis', [3, 5], 0],
  ['middle axis', [2, 3, 4], 1],
  ['negative axis', [2, 3, 4], -2],
  ['vector', [37], 0],
  ['one class', [4, 1], 1],
  ['one element', [1], 0],
  ['past a block', [2, 129], 1],
  ['no rows', [0, 4], 1],
  ['no classes', [3, 0], 1],
];

function casesOf(name: string, run: typeof softmax, torch: string): Case[] {
  return [
    ...shapes.map(
      ([title, shape, axis]): Case => ({
        name: `${name}, ${title}`,
        inputs: [uniform(shape)],
        run: (x) => run(x, axis),
        torch: `${torch}(a, dim=${axis})`,
      }),
    ),
    {
      name: `${name}, large logits`,
      inputs: [given([3, 3], [1000, 1000, 1000, -1000, 0, 1000, 3e38, -3e38, 0])],
      run: (x) => run(x),
      torch: `${torch}(a, dim=-1)`,
      gradient: 'kinked',
    },
    {
      name: `${name}, not finite`,
      inputs: [given([4, 3], [nan, 1, 2, -Infinity, 1, 2, Infinity, 1, 2, -Infinity, -Infinity, -Infinity])],
      run: (x) => run(x),
      torch: `${torch}(a, dim=-1)`,
      gradient: 'kinked',
    },
  ];
}

export default defineCases({
  op: 'softmax',
  cases: [
    ...casesOf('softmax', softmax, 'F.softmax'),
    ...casesOf('logSoftmax', logSoftmax, 'F.log_softmax'),
    {
      name: 'of itself',
      inputs: [uniform([3, 4])],
      run: (x) => softmax(x, 0).mul(x).add(logSoftmax(x)),
      torch: 'F.softmax(a, dim=0) * a + F.log_softmax(a, dim=-1)',
    },
  ],
  bad: [
    { name: 'scalar', call: () => softmax(tensor(1)), code: 'AXPY_SHAPE', message: /at least one axis/ },
    { name: 'axis', call: () => softmax(tensor([1]), 1), code: 'AXPY_ARGUMENT', message: /axis/ },
    { name: 'log axis', call: () => logSoftmax(tensor([1]), -2), code: 'AXPY_ARGUMENT', message: /axis/ },
    {
      name: 'int32',
      call: () => softmax(tensor([1], { dtype: 'int32' })),
      code: 'AXPY_DTYPE',
      message: /int32/,
    },
    { name: 'no tensor', call: () => softmax([1] as never), code: 'AXPY_ARGUMENT', message: /a tensor/ },
  ],
  bench: [
    { name: '256 x 1000', inputs: [uniform([256, 1000])], run: (x) => softmax(x) },
    { name: '128 x 10', inputs: [uniform([128, 10])], run: (x) => logSoftmax(x) },
  ],
});

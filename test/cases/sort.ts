/** lib/ops/sort.ts: elements in order. */
import { argsort, sort, topK } from '../../lib/ops/sort.ts';
import { tensor } from '../../lib/tensor.ts';
import { type Case, constant, defineCases, distinct, given, integers, uniform } from './case.ts';

const list: readonly (readonly [string, readonly number[], number])[] = [
  ['rows', [3, 7], 1],
  ['columns', [6, 3], 0],
  ['middle axis', [2, 5, 3], 1],
  ['vector', [131], -1],
  ['one', [3, 1], 1],
  ['nothing', [0, 3], 0],
  ['no rows', [0, 3], 1],
];
const ends = [1, Number.NaN, -Infinity, 0, Infinity, -0, Number.NaN, -1, 1, 1e-40, -1e-40, 0];

export default defineCases({
  op: 'sort',
  cases: [
    ...[false, true].flatMap((descending) =>
      list.flatMap(([name, shape, axis]): Case[] => {
        const title = `${name}${descending ? ', descending' : ''}`;
        const torch = `torch.sort(a, dim=${axis}, descending=${descending ? 'True' : 'False'}, stable=True)`;
        const k = Math.min(shape.at(axis)!, 2);
        const top = `torch.topk(a, ${k}, ${axis}, largest=${descending ? 'True' : 'False'})`;
        return [
          {
            name: `sort, ${title}`,
            inputs: [distinct(shape)],
            run: (x) => sort(x, axis, { descending }).values,
            torch: `${torch}[0]`,
          },
          {
            name: `argsort, ${title}`,
            inputs: [constant(integers(shape, 0, 3))],
            run: (x) => argsort(x, axis, { descending }),
            torch: `${torch}[1]`,
            gradient: 'none',
          },
          {
            name: `topK, ${title}`,
            inputs: [distinct(shape)],
            run: (x) => topK(x, k, axis, { largest: descending }).values,
            torch: `${top}[0]`,
          },
          {
            name: `topK, places, ${title}`,
            inputs: [constant(distinct(shape))],
            run: (x) => topK(x, k, axis, { largest: descending }).indices,
            torch: `${top}[1]`,
            gradient: 'none',
          },
        ];
      }),
    ),
    ...[false, true].map(
      (descending): Case => ({
        name: `sort, ends${descending ? ', descending' : ''}`,
        inputs: [constant(given([12], ends))],
        run: (x) => sort(x, 0, { descending }).indices,
        torch: `torch.sort(a, dim=0, descending=${descending ? 'True' : 'False'}, stable=True)[1]`,
        gradient: 'none',
      }),
    ),
    {
      name: 'topK, ties and NaN',
      inputs: [constant(given([2, 5], [1, 3, 3, 2, 3, Number.NaN, 1, Number.NaN, 2, Infinity]))],
      run: (x) => topK(x, 3).indices,
      // PyTorch names no rule for ties; the first ones here.
      torch: 'torch.tensor([[1, 2, 4], [0, 2, 4]])',
      gradient: 'none',
    },
    {
      name: 'topK, none',
      inputs: [uniform([3, 4])],
      run: (x) => topK(x, 0).values,
      torch: 'torch.topk(a, 0)[0]',
    },
    {
      name: 'sort, int32',
      inputs: [given([5], [3, -(2 ** 31), 2 ** 31 - 1, 0, 3], 'int32')],
      run: (x) => sort(x, 0, { descending: true }).indices,
      torch: 'torch.sort(a, dim=0, descending=True, stable=True)[1]',
      gradient: 'none',
    },
    {
      name: 'topK, all, in a product',
      inputs: [distinct([2, 4])],
      run: (x) => topK(x, 4).values.mul(x),
      torch: 'torch.topk(a, 4)[0] * a',
    },
  ],
  bad: [
    { name: 'axis', call: () => sort(tensor([1]), 1), code: 'AXPY_ARGUMENT', message: /axis/ },
    { name: 'scalar', call: () => argsort(tensor(1)), code: 'AXPY_ARGUMENT', message: /scalar/ },
    {
      name: 'k beyond the axis',
      call: () => topK(tensor([1, 2]), 3),
      code: 'AXPY_ARGUMENT',
      message: /from 0 to 2, got 3/,
    },
    {
      name: 'k a fraction',
      call: () => topK(tensor([1, 2]), 0.5),
      code: 'AXPY_ARGUMENT',
      message: /got 0\.5/,
    },
    {
      name: 'no k',
      call: () => topK(tensor([1, 2]), undefined as never),
      code: 'AXPY_ARGUMENT',
      message: /got undefined/,
    },
    {
      name: 'option',
      call: () => sort(tensor([1]), 0, { descending: 1 as never }),
      code: 'AXPY_ARGUMENT',
      message: /descending to be true or false/,
    },
  ],
  bench: [
    { name: 'sort, rows of 256 x 512', inputs: [uniform([256, 512])], run: (x) => sort(x).values },
    { name: 'topK, 8 of 64 x 4096', inputs: [uniform([64, 4096])], run: (x) => topK(x, 8).values },
  ],
});

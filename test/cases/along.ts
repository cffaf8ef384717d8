/** lib/ops/along.ts: elements by their places along an axis. */
import { scatterAdd, takeAlongAxis } from '../../lib/ops/along.ts';
import { type Tensor, tensor } from '../../lib/tensor.ts';
import { type Case, defineCases, given, indices, uniform } from './case.ts';

/** By name, the shapes of x and of indices, and the axis. */
const places: readonly (readonly [string, readonly number[], readonly number[], number])[] = [
  ['rows', [3, 4], [3, 2], 1],
  ['columns', [3, 4], [5, 4], 0],
  ['middle axis', [2, 3, 4], [2, 5, 4], 1],
  ['negative axis', [2, 3, 4], [2, 3, 1], -1],
  ['vector', [5], [7], 0],
  ['one index', [1, 5], [1, 1], 1],
  ['wide', [3, 131], [2, 131], 0],
  ['no indices', [3, 4], [3, 0], 1],
  ['nothing', [0, 4], [0, 2], 1],
];

const int32 = (...values: number[]) => tensor(values, { dtype: 'int32' });
const vector = () => tensor([1, 2, 3]);

export default defineCases({
  op: 'along',
  cases: [
    ...places.flatMap(([name, shape, of, axis]): Case[] => {
      const at = axis < 0 ? axis + shape.length : axis;
      return [
        {
          name: `takeAlongAxis, ${name}`,
          inputs: [uniform(shape), indices(of, shape[at] - 1)],
          run: (x, index) => takeAlongAxis(x, index, axis),
          torch: `torch.gather(a, ${axis}, b)`,
        },
        {
          name: `scatterAdd, ${name}`,
          inputs: [uniform(shape), indices(of, shape[at] - 1), uniform(of)],
          run: (x, index, updates) => scatterAdd(x, index, updates, axis),
          torch: `torch.scatter_add(a, ${axis}, b, c)`,
        },
      ];
    }),
    {
      name: 'takeAlongAxis, indices that broadcast',
      inputs: [uniform([2, 3, 4]), indices([1, 2, 4], 2)],
      run: (x, index) => takeAlongAxis(x, index, 1),
      torch: 'torch.take_along_dim(a, b, 1)',
    },
    {
      name: 'takeAlongAxis, x that broadcasts',
      inputs: [uniform([1, 3]), indices([4, 2], 2)],
      run: (x, index) => takeAlongAxis(x, index),
      torch: 'torch.take_along_dim(a, b, 1)',
    },
    {
      name: 'takeAlongAxis, int32',
      inputs: [given([2, 2], [1, 2, 3, 4], 'int32'), given([2, 1], [1, 0], 'int32')],
      run: (x, index) => takeAlongAxis(x, index),
      torch: 'torch.gather(a, 1, b)',
      gradient: 'none',
    },
    {
      name: 'scatterAdd, indices that broadcast',
      inputs: [uniform([3, 4]), given([2, 1], [1, 1], 'int32'), uniform([2, 4])],
      run: (x, index, updates) => scatterAdd(x, index, updates, 0),
      torch: 'torch.scatter_add(a, 0, b.expand(2, 4), c)',
    },
    {
      name: 'scatterAdd, not finite',
      inputs: [
        given([3], [1, Infinity, Number.NaN]),
        given([3], [0, 1, 1], 'int32'),
        given([3], [Infinity, -Infinity, 1]),
      ],
      run: (x, index, updates) => scatterAdd(x, index, updates),
      torch: 'torch.scatter_add(a, 0, b, c)',
      gradient: 'kinked',
    },
  ],
  bad: [
    {
      name: 'too large',
      call: () => takeAlongAxis(vector(), int32(0, 3)),
      code: 'AXPY_INDEX',
      message: /\[1\] to be from 0 to 2, got 3/,
    },
    {
      name: 'negative',
      call: () => scatterAdd(vector(), int32(-1), tensor([1])),
      code: 'AXPY_INDEX',
      message: /got -1/,
    },
    {
      name: 'float indices',
      call: () => takeAlongAxis(vector(), vector() as Tensor),
      code: 'AXPY_DTYPE',
      message: /int32 indices/,
    },
    {
      name: 'another rank',
      call: () => takeAlongAxis(tensor([[1, 2]]), int32(0)),
      code: 'AXPY_SHAPE',
      message: /indices with 2 axes, as x of shape \[1, 2\], got \[1\]/,
    },
    {
      name: 'axes that do not broadcast',
      call: () => takeAlongAxis(tensor([[1], [2]]), tensor(Int32Array.of(0, 0, 1), { shape: [3, 1] }), 1),
      code: 'AXPY_SHAPE',
      message: /broadcast/,
    },
    {
      name: 'scalar',
      call: () => takeAlongAxis(tensor(1), int32(0)),
      code: 'AXPY_ARGUMENT',
      message: /axis/,
    },
    {
      name: 'updates of another shape',
      call: () => scatterAdd(vector(), int32(0, 1), tensor([1])),
      code: 'AXPY_SHAPE',
      message: /updates of the shape/,
    },
    {
      name: 'updates of another dtype',
      call: () => scatterAdd(vector(), int32(0), tensor(Float64Array.of(1)) as Tensor),
      code: 'AXPY_DTYPE',
      message: /one dtype/,
    },
    {
      name: 'int32 updates',
      call: () => scatterAdd(int32(1), int32(0), int32(1)),
      code: 'AXPY_DTYPE',
      message: /got int32/,
    },
  ],
  bench: [
    {
      name: 'takeAlongAxis, 512 x 512',
      inputs: [uniform([512, 512]), indices([512, 512], 511)],
      run: (x, index) => takeAlongAxis(x, index),
    },
    {
      name: 'scatterAdd, 512 x 512',
      inputs: [uniform([512, 512]), indices([512, 512], 511), uniform([512, 512])],
      run: (x, index, updates) => scatterAdd(x, index, updates, 0),
    },
  ],
});

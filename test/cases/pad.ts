/** lib/ops/pad.ts. */
import { pad } from '../../lib/ops/pad.ts';
import { tensor } from '../../lib/tensor.ts';
import { type Case, constant, defineCases, given, uniform } from './case.ts';

interface Padding {
  name: string;
  shape: readonly number[];
  pairs: readonly (readonly [number, number])[];
  value?: number;
  /** PyTorch's pairs, from the last axis to the first. */
  torch: string;
}

const paddings: readonly Padding[] = [
  { name: 'a vector', shape: [4], pairs: [[1, 2]], torch: '(1, 2)' },
  { name: 'rows', shape: [3, 2], pairs: [[2, 1]], torch: '(0, 0, 2, 1)' },
  {
    name: 'columns',
    shape: [3, 2],
    pairs: [
      [0, 0],
      [1, 3],
    ],
    torch: '(1, 3)',
  },
  {
    name: 'images',
    shape: [2, 3, 2, 2],
    pairs: [
      [0, 0],
      [1, 0],
      [2, 1],
    ],
    torch: '(0, 0, 2, 1, 1, 0)',
  },
  {
    name: 'every axis',
    shape: [2, 1, 2],
    pairs: [
      [1, 1],
      [0, 2],
      [2, 0],
    ],
    torch: '(2, 0, 0, 2, 1, 1)',
  },
  {
    name: 'a value',
    shape: [2, 2],
    pairs: [
      [1, 0],
      [0, 1],
    ],
    value: -1.5,
    torch: '(0, 1, 1, 0), value=-1.5',
  },
  { name: 'nothing around', shape: [2, 3], pairs: [], torch: '(0, 0)' },
  { name: 'around nothing', shape: [0, 2], pairs: [[1, 1]], value: 3, torch: '(0, 0, 1, 1), value=3' },
];

const matrix = () =>
  tensor([
    [1, 2],
    [3, 4],
  ]);

export default defineCases({
  op: 'pad',
  cases: [
    ...paddings.map(
      ({ name, shape, pairs, value, torch }): Case => ({
        name,
        inputs: [uniform(shape)],
        run: (a) => (value === undefined ? pad(a, pairs) : pad(a, pairs, value)),
        torch: `F.pad(a, ${torch})`,
      }),
    ),
    { name: 'scalar', inputs: [uniform([])], run: (a) => pad(a, []), torch: 'a * 1' },
    {
      name: 'infinite value',
      inputs: [uniform([2])],
      run: (a) => pad(a, [[1, 1]], -Infinity).maximum(-5),
      torch: 'torch.clamp(F.pad(a, (1, 1), value=-torch.inf), min=-5)',
    },
    {
      name: 'int32',
      inputs: [given([2], [3, 4], 'int32')],
      run: (a) => pad(a, [[1, 2]], 7),
      torch: 'F.pad(a, (1, 2), value=7)',
      gradient: 'none',
    },
    {
      name: 'no gradient',
      inputs: [constant(uniform([2]))],
      run: (a) => pad(a, [[1, 0]]),
      torch: 'F.pad(a, (1, 0))',
      gradient: 'none',
    },
  ],
  bad: [
    {
      name: 'too many pairs',
      call: () =>
        pad(matrix(), [
          [0, 0],
          [0, 0],
          [1, 1],
        ]),
      code: 'AXPY_ARGUMENT',
      message: /at most 2 pairs \[before, after\], got 3/,
    },
    { name: 'negative', call: () => pad(matrix(), [[0, -1]]), code: 'AXPY_ARGUMENT', message: /for axis 0/ },
    {
      name: 'fraction',
      call: () =>
        pad(matrix(), [
          [0, 0],
          [0.5, 0],
        ]),
      code: 'AXPY_ARGUMENT',
      message: /for axis 1/,
    },
    { name: 'a number', call: () => pad(matrix(), 1 as never), code: 'AXPY_ARGUMENT', message: /got 1/ },
    {
      name: 'value',
      call: () => pad(matrix(), [], '0' as never),
      code: 'AXPY_ARGUMENT',
      message: /value to be a number, got "0"/,
    },
    {
      name: 'fraction for int32',
      call: () => pad(matrix().cast('int32'), [], 0.5),
      code: 'AXPY_ARGUMENT',
      message: /value to be an integer, got 0\.5/,
    },
    { name: 'too large', call: () => pad(matrix(), [[0, 2 ** 31]]), code: 'AXPY_SHAPE', message: /2\^31/ },
  ],
  bench: [
    {
      name: 'a pixel around 32 x 32 x 64, batch 8',
      inputs: [uniform([8, 32, 32, 64])],
      run: (a) =>
        pad(a, [
          [0, 0],
          [1, 1],
          [1, 1],
        ]),
    },
  ],
});

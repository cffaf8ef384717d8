/** lib/ops/reshape.ts: other shapes over the same elements. */
import { flatten, reshape, squeeze, unsqueeze } from '../../lib/ops/reshape.ts';
import { tensor } from '../../lib/tensor.ts';
import { defineCases, uniform } from './case.ts';

const six = () => tensor([1, 2, 3, 4, 5, 6]);

export default defineCases({
  op: 'reshape',
  cases: [
    { name: 'to a matrix', inputs: [uniform([6])], run: (a) => reshape(a, [2, 3]), torch: 'a.reshape(2, 3)' },
    {
      name: 'one size open',
      inputs: [uniform([2, 6])],
      run: (a) => reshape(a, [3, -1, 2]),
      torch: 'a.reshape(3, -1, 2)',
    },
    { name: 'to a scalar', inputs: [uniform([1, 1])], run: (a) => reshape(a, []), torch: 'a.reshape(())' },
    { name: 'of a scalar', inputs: [uniform([])], run: (a) => reshape(a, [1, 1]), torch: 'a.reshape(1, 1)' },
    { name: 'nothing', inputs: [uniform([0, 3])], run: (a) => reshape(a, [5, 0]), torch: 'a.reshape(5, 0)' },
    { name: 'flatten', inputs: [uniform([2, 3, 2])], run: (a) => flatten(a), torch: 'a.flatten(1)' },
    { name: 'flatten all', inputs: [uniform([2, 3, 2])], run: (a) => flatten(a, 0), torch: 'a.flatten()' },
    {
      name: 'flatten from the end',
      inputs: [uniform([2, 3, 2])],
      run: (a) => flatten(a, -2),
      torch: 'a.flatten(-2)',
    },
    { name: 'flatten a scalar', inputs: [uniform([])], run: (a) => flatten(a), torch: 'a.reshape(1)' },
    {
      name: 'flatten a batch of numbers',
      inputs: [uniform([3])],
      run: (a) => flatten(a),
      torch: 'a.reshape(3, 1)',
    },
    {
      name: 'two views of one tensor',
      inputs: [uniform([6])],
      run: (a) => reshape(a, [2, 3]).matmul(reshape(a, [3, 2])),
      torch: 'a.reshape(2, 3) @ a.reshape(3, 2)',
    },
    { name: 'squeeze', inputs: [uniform([1, 3, 1, 2])], run: (a) => squeeze(a), torch: 'a.squeeze()' },
    {
      name: 'squeeze an axis',
      inputs: [uniform([1, 3, 1])],
      run: (a) => squeeze(a, -1),
      torch: 'a.squeeze(-1)',
    },
    {
      name: 'squeeze axes',
      inputs: [uniform([1, 3, 1, 1])],
      run: (a) => squeeze(a, [3, 0]),
      torch: 'a.squeeze(3).squeeze(0)',
    },
    {
      name: 'squeeze no axes',
      inputs: [uniform([1, 3])],
      run: (a) => squeeze(a, []),
      torch: 'a.clone()',
    },
    {
      name: 'unsqueeze in front',
      inputs: [uniform([2, 3])],
      run: (a) => unsqueeze(a, 0),
      torch: 'a.unsqueeze(0)',
    },
    {
      name: 'unsqueeze behind',
      inputs: [uniform([2, 3])],
      run: (a) => unsqueeze(a, -1),
      torch: 'a.unsqueeze(-1)',
    },
    {
      name: 'unsqueeze a scalar',
      inputs: [uniform([])],
      run: (a) => unsqueeze(a, 0),
      torch: 'a.unsqueeze(0)',
    },
  ],
  bad: [
    {
      name: 'count',
      call: () => reshape(six(), [4, 2]),
      code: 'AXPY_SHAPE',
      message: /6 elements for \[6\], got \[4, 2\]/,
    },
    {
      name: 'open size does not divide',
      call: () => reshape(six(), [4, -1]),
      code: 'AXPY_SHAPE',
      message: /6 elements/,
    },
    {
      name: 'two open sizes',
      call: () => reshape(six(), [-1, -1]),
      code: 'AXPY_SHAPE',
      message: /-1 for one size at most, got \[-1, -1\]/,
    },
    {
      name: 'negative size',
      call: () => reshape(six(), [-2, -3]),
      code: 'AXPY_SHAPE',
      message: /at least 0/,
    },
    { name: 'fraction', call: () => reshape(six(), [1.5, 4]), code: 'AXPY_SHAPE', message: /integers/ },
    {
      name: 'no array',
      call: () => reshape(six(), 6 as never),
      code: 'AXPY_SHAPE',
      message: /an array of integers/,
    },
    {
      name: 'rank',
      call: () => reshape(six(), [6, ...new Array(16).fill(1)]),
      code: 'AXPY_SHAPE',
      message: /rank of at most 16/,
    },
    { name: 'flatten, axis', call: () => flatten(six(), 3), code: 'AXPY_ARGUMENT', message: /axis/ },
    {
      name: 'squeeze, size',
      call: () => squeeze(six(), 0),
      code: 'AXPY_SHAPE',
      message: /axis 0 to have size 1, got shape \[6\]/,
    },
    { name: 'squeeze, axis', call: () => squeeze(six(), 1), code: 'AXPY_ARGUMENT', message: /axis/ },
    { name: 'unsqueeze, axis', call: () => unsqueeze(six(), 2), code: 'AXPY_ARGUMENT', message: /-2 to 1/ },
    {
      name: 'unsqueeze, rank',
      call: () => unsqueeze(reshape(six(), [6, ...new Array(15).fill(1)]), 0),
      code: 'AXPY_SHAPE',
      message: /rank of at most 16/,
    },
  ],
  bench: [{ name: 'flatten images', inputs: [uniform([64, 28, 28])], run: (a) => flatten(a) }],
});

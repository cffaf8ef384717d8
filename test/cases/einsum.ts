/** lib/ops/einsum.ts: products by the names of axes. */
import { einsum } from '../../lib/ops/einsum.ts';
import { type Tensor, tensor } from '../../lib/tensor.ts';
import { type Case, defineCases, given, uniform } from './case.ts';

/** Equations with shapes of their operands. */
const list: readonly (readonly [string, ...(readonly number[])[]])[] = [
  ['ij,jk->ik', [2, 3], [3, 4]],
  ['ji,jk->ik', [3, 2], [3, 4]],
  ['ij,kj->ik', [2, 3], [4, 3]],
  ['ij,jk', [2, 3], [3, 4]],
  ['bij,bjk->bik', [2, 3, 4], [2, 4, 2]],
  ['bhqd,bhkd->bhqk', [2, 2, 3, 4], [2, 2, 5, 4]],
  ['bqhd,bkhd->bhqk', [2, 3, 2, 4], [2, 5, 2, 4]],
  ['bhqk,bkhd->bqhd', [2, 2, 3, 5], [2, 5, 2, 4]],
  ['i,i->', [4], [4]],
  ['i,j->ij', [3], [4]],
  ['ij,ij->ij', [2, 3], [2, 3]],
  ['ij->ji', [2, 3]],
  ['ij->j', [2, 3]],
  ['ij->', [2, 3]],
  ['ii->i', [3, 3]],
  ['ii', [3, 3]],
  ['iji->j', [3, 2, 3]],
  ['iij,jk->ik', [2, 2, 3], [3, 2]],
  ['i,ij,j->', [3], [3, 4], [4]],
  ['ab,bc,cd->ad', [2, 3], [3, 2], [2, 4]],
  ['ijk,k->ij', [2, 3, 4], [4]],
  ['ijk,jkl->il', [2, 3, 4], [3, 4, 2]],
  ['ia,ib->ab', [4, 2], [4, 3]],
  ['ij,k->i', [2, 3], [4]],
  ['...ij,...jk->...ik', [2, 2, 3], [2, 3, 2]],
  ['...ij,...jk->...ik', [2, 1, 2, 3], [3, 3, 2]],
  ['...i,i', [2, 3, 4], [4]],
  ['...i->...', [2, 3, 4]],
  ['i...->...', [2, 3, 4]],
  ['i...j,j...->i...', [2, 3, 4], [4, 3]],
  ['...,...->...', [2, 3], [3]],
  ['ij,ij->i', [2, 1], [2, 3]],
  [' i j , j k -> i k ', [2, 3], [3, 1]],
  [',i->i', [], [3]],
  ['ij,jk->ik', [2, 0], [0, 3]],
  ['ij,jk->ik', [0, 2], [2, 3]],
  ['aB,Bc->ca', [2, 3], [3, 2]],
];

const matrix = () => tensor([[1, 2, 3]]);

export default defineCases({
  op: 'einsum',
  cases: [
    ...list.map(
      ([equation, ...shapes]): Case => ({
        name: `${equation.trim()} of ${shapes.map((shape) => `[${shape}]`).join(' ')}`,
        inputs: shapes.map((shape) => uniform(shape)),
        run: (...xs: Tensor[]) => einsum(equation, ...xs),
        torch: `torch.einsum('${equation}', ${[...'abcd'].slice(0, shapes.length).join(', ')})`,
        tolerance: { float32: 1e-5 },
      }),
    ),
    {
      name: 'int32, of one',
      inputs: [given([2, 2], [1, 2, 3, 4], 'int32')],
      run: (x) => einsum('ij->j', x),
      torch: "torch.einsum('ij->j', a)",
      gradient: 'none',
    },
  ],
  bad: [
    {
      name: 'another number of terms',
      call: () => einsum('ij,jk', matrix()),
      code: 'AXPY_ARGUMENT',
      message: /1 terms/,
    },
    {
      name: 'two arrows',
      call: () => einsum('i->i->i', matrix()),
      code: 'AXPY_ARGUMENT',
      message: /at most one ->/,
    },
    { name: 'a digit', call: () => einsum('i1', matrix()), code: 'AXPY_ARGUMENT', message: /letters/ },
    { name: 'no text', call: () => einsum(1 as never, matrix()), code: 'AXPY_ARGUMENT', message: /got 1/ },
    { name: 'no tensors', call: () => einsum(''), code: 'AXPY_ARGUMENT', message: /at least one tensor/ },
    {
      name: 'another rank',
      call: () => einsum('i->i', matrix()),
      code: 'AXPY_SHAPE',
      message: /axes i, got shape/,
    },
    {
      name: 'an unknown letter',
      call: () => einsum('ij->k', matrix()),
      code: 'AXPY_ARGUMENT',
      message: /letters of its terms/,
    },
    {
      name: 'a letter twice in the result',
      call: () => einsum('ij->ii', matrix()),
      code: 'AXPY_ARGUMENT',
      message: /each once/,
    },
    {
      name: 'two sizes',
      call: () => einsum('ij,jk->ik', matrix(), tensor([[1], [2]])),
      code: 'AXPY_SHAPE',
      message: /one size for j, or 1, got 3 and 2/,
    },
    {
      name: 'no square',
      call: () => einsum('ii', matrix()),
      code: 'AXPY_SHAPE',
      message: /one size for both i/,
    },
    {
      name: 'two dtypes',
      call: () => einsum('i,i', tensor([1]), tensor(Float64Array.of(1)) as Tensor),
      code: 'AXPY_DTYPE',
      message: /one dtype/,
    },
    {
      name: 'int32',
      call: () => einsum('i,i->', tensor(Int32Array.of(1, 2)), tensor(Int32Array.of(1, 2))),
      code: 'AXPY_DTYPE',
      message: /got int32/,
    },
  ],
  bench: [
    {
      name: 'attention scores, 8 heads of 128 x 32',
      inputs: [uniform([4, 128, 8, 32]), uniform([4, 128, 8, 32])],
      run: (q, k) => einsum('bqhd,bkhd->bhqk', q, k),
    },
  ],
});

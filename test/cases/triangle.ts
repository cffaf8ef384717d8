/** lib/ops/triangle.ts: triangles of matrices. */
import { tril, triu } from '../../lib/ops/triangle.ts';
import { tensor } from '../../lib/tensor.ts';
import { type Case, defineCases, given, uniform } from './case.ts';

const list: readonly (readonly [string, readonly number[], number])[] = [
  ['square', [4, 4], 0],
  ['tall', [5, 3], 0],
  ['above', [3, 5], 2],
  ['below', [4, 4], -1],
  ['beyond', [2, 3], 9],
  ['far below', [2, 3], -(2 ** 40)],
  ['several', [2, 2, 3, 3], 1],
  ['nothing', [0, 3], 0],
];

export default defineCases({
  op: 'triangle',
  cases: [
    ...Object.entries({ tril, triu }).flatMap(([op, run]) => [
      ...list.map(
        ([name, shape, diagonal]): Case => ({
          name: `${op}, ${name}`,
          inputs: [uniform(shape)],
          run: (a) => run(a, diagonal),
          torch: `torch.${op}(a, ${diagonal})`,
        }),
      ),
      {
        name: `${op}, not finite`,
        inputs: [given([2, 2], [1, Number.NaN, Infinity, 2])],
        run: (a) => run(a),
        torch: `torch.${op}(a)`,
        gradient: 'kinked',
      } satisfies Case,
      {
        name: `${op}, int32`,
        inputs: [given([2, 2], [1, 2, 3, 4], 'int32')],
        run: (a) => run(a),
        torch: `torch.${op}(a)`,
        gradient: 'none',
      } satisfies Case,
    ]),
  ],
  bad: [
    {
      name: 'vector',
      call: () => tril(tensor([1, 2])),
      code: 'AXPY_SHAPE',
      message: /two axes, got shape \[2\]/,
    },
    { name: 'fraction', call: () => triu(tensor([[1]]), 0.5), code: 'AXPY_ARGUMENT', message: /got 0\.5/ },
  ],
  bench: [{ name: '8 of 256 x 256', inputs: [uniform([8, 256, 256])], run: (a) => tril(a) }],
});

/** lib/ops/attention.ts. PyTorch 1.13 has no such function: `attention` of make_reference.py is its formula. */
import { type AttentionOptions, scaledDotProductAttention } from '../../lib/ops/attention.ts';
import { concat } from '../../lib/ops/concat.ts';
import { type Tensor, tensor, type Values } from '../../lib/tensor.ts';
import { type Case, constant, defineCases, given, type Input, uniform } from './case.ts';

const of = (
  name: string,
  shapes: readonly [readonly number[], readonly number[], readonly number[]],
  torch: string,
  options: AttentionOptions = {},
  mask?: Input,
): Case => ({
  name,
  inputs: [...shapes.map((shape) => uniform([...shape])), ...(mask ? [mask] : [])],
  run: (q, k, v, m) =>
    scaledDotProductAttention(q, k, v, m === undefined ? options : { ...options, mask: m }),
  torch: `attention(a, b, c${torch === '' ? '' : `, ${torch}`})`,
  tolerance: { float32: 1e-5, float64: 1e-12 },
});

const square = [
  [2, 3, 5, 4],
  [2, 3, 5, 4],
  [2, 3, 5, 4],
] as const;
const apart = [
  [2, 4, 3],
  [2, 6, 3],
  [2, 6, 5],
] as const;
const infinity = Number.POSITIVE_INFINITY;
/** Of four queries and six keys; the third query sees none. */
const seen = [1, 0, 1, 1, 0, 1, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1];

const matrix = (): Tensor =>
  tensor([
    [1, 2],
    [3, 5],
  ]);
const call = (options: object) => () => scaledDotProductAttention(matrix(), matrix(), matrix(), options);

export default defineCases({
  op: 'attention',
  cases: [
    of('self', square, ''),
    of('cross, values of another size', apart, ''),
    of(
      'no batch',
      [
        [4, 3],
        [2, 3],
        [2, 3],
      ],
      '',
    ),
    of('causal', square, 'causal=True', { causal: true }),
    of(
      'causal, more queries',
      [
        [2, 5, 3],
        [2, 3, 3],
        [2, 3, 2],
      ],
      'causal=True',
      { causal: true },
    ),
    of('causal, more keys', apart, 'causal=True', { causal: true }),
    of('scale', square, 'scale=0.25', { scale: 0.25 }),
    of(
      'axes that broadcast',
      [
        [2, 1, 4, 3],
        [3, 5, 3],
        [1, 5, 2],
      ],
      '',
    ),
    of('mask of int32', apart, 'mask=d != 0', {}, given([4, 6], seen, 'int32')),
    of(
      'mask of keys',
      apart,
      'mask=d != 0',
      {},
      given([2, 1, 6], [1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0], 'int32'),
    ),
    of('mask and causal', apart, 'mask=d != 0, causal=True', { causal: true }, given([4, 6], seen, 'int32')),
    of(
      'mask that is added',
      apart,
      'mask=d',
      {},
      constant(
        given(
          [4, 6],
          seen.map((value, i) => (value ? i / 8 : -infinity)),
        ),
      ),
    ),
    of('mask that learns', square, 'mask=d', {}, uniform([3, 1, 5])),
    of(
      'grouped heads',
      [
        [2, 4, 3, 2],
        [2, 2, 5, 2],
        [2, 2, 5, 3],
      ],
      'grouped=True',
      { grouped: true },
    ),
    of(
      'grouped heads, one head of keys, causal',
      [
        [4, 3, 2],
        [1, 3, 2],
        [1, 3, 2],
      ],
      'grouped=True, causal=True',
      {
        grouped: true,
        causal: true,
      },
    ),
    {
      ...of(
        'no queries',
        [
          [2, 0, 3],
          [2, 4, 3],
          [2, 4, 3],
        ],
        '',
      ),
      gradient: 'kinked',
    },
    {
      name: 'no keys',
      inputs: [uniform([2, 3, 4]), uniform([2, 0, 4]), uniform([2, 0, 5])],
      run: (q, k, v) => scaledDotProductAttention(q, k, v, { causal: true }),
      torch: 'attention(a, b, c)',
      gradient: 'kinked',
    },
    {
      name: 'of constants, all but the values',
      inputs: [constant(uniform([3, 2])), constant(uniform([4, 2])), uniform([4, 3])],
      run: (q, k, v) => scaledDotProductAttention(q, k, v),
      torch: 'attention(a, b, c)',
    },
    {
      name: 'of one tensor three times',
      inputs: [uniform([2, 4, 3])],
      run: (x) => scaledDotProductAttention(x, x, x, { causal: true }),
      torch: 'attention(a, a, a, causal=True)',
      tolerance: { float32: 1e-5, float64: 1e-12 },
    },
  ],
  bad: [
    {
      name: 'rank',
      call: () => scaledDotProductAttention(tensor([1, 2]), matrix(), matrix()),
      code: 'AXPY_SHAPE',
      message: /q \[\.\.\., length, size\], got \[2\]/,
    },
    {
      name: 'sizes',
      call: () => scaledDotProductAttention(matrix(), tensor([[1, 2, 3]]), tensor([[1, 2, 3]])),
      code: 'AXPY_SHAPE',
      message: /one size.*q \[2, 2\], k \[1, 3\] and v \[1, 3\]/,
    },
    {
      name: 'lengths',
      call: () => scaledDotProductAttention(matrix(), matrix(), tensor([[1, 2]])),
      code: 'AXPY_SHAPE',
      message: /keys and values of one length/,
    },
    {
      name: 'batches',
      call: () =>
        scaledDotProductAttention(
          concat([matrix(), matrix()]).reshape([2, 2, 2]),
          matrix().reshape([1, 2, 2]),
          concat([matrix(), matrix(), matrix()]).reshape([3, 2, 2]),
        ),
      code: 'AXPY_SHAPE',
      message: /\[scaledDotProductAttention\]/,
    },
    {
      name: 'dtypes',
      call: () => scaledDotProductAttention(matrix(), matrix(), matrix().cast('float64') as never),
      code: 'AXPY_DTYPE',
      message: /float32 and float64/,
    },
    {
      name: 'int32',
      call: () =>
        scaledDotProductAttention(...([1, 2, 3].map(() => matrix().cast('int32')) as [never, never, never])),
      code: 'AXPY_DTYPE',
      message: /int32/,
    },
    {
      name: 'mask, shape',
      call: call({ mask: tensor([1, 2, 3]) }),
      code: 'AXPY_SHAPE',
      message: /broadcast/,
    },
    {
      name: 'mask, rank',
      call: call({ mask: tensor([[[1, 2]]]) }),
      code: 'AXPY_SHAPE',
      message: /a mask that broadcasts to \[2, 2\], got \[1, 1, 2\]/,
    },
    {
      name: 'mask, dtype',
      call: call({ mask: tensor(new Float64Array(2) as Values) }),
      code: 'AXPY_DTYPE',
      message: /mask to be int32 or float32, got float64/,
    },
    { name: 'mask', call: call({ mask: [[true]] }), code: 'AXPY_ARGUMENT', message: /mask to be a tensor/ },
    {
      name: 'dropout',
      call: call({ dropout: 1 }),
      code: 'AXPY_ARGUMENT',
      message: /dropout to be at least 0/,
    },
    {
      name: 'scale',
      call: call({ scale: infinity }),
      code: 'AXPY_ARGUMENT',
      message: /scale to be a finite number/,
    },
    { name: 'causal', call: call({ causal: 1 }), code: 'AXPY_ARGUMENT', message: /causal/ },
    {
      name: 'grouped, no heads',
      call: call({ grouped: true }),
      code: 'AXPY_SHAPE',
      message: /heads of queries to be a multiple/,
    },
    {
      name: 'grouped',
      call: () => {
        const [q, k] = [3, 2].map((heads) => tensor(new Float32Array(heads * 4), { shape: [heads, 2, 2] }));
        return scaledDotProductAttention(q, k, k, { grouped: true });
      },
      code: 'AXPY_SHAPE',
      message: /heads of queries to be a multiple of those of keys, got q \[3, 2, 2\]/,
    },
  ],
  bench: [
    {
      name: 'causal, 16 x 4 heads, 64 of size 32',
      inputs: [uniform([16, 4, 64, 32]), uniform([16, 4, 64, 32]), uniform([16, 4, 64, 32])],
      run: (q, k, v) => scaledDotProductAttention(q, k, v, { causal: true }),
    },
    {
      name: 'causal, 2 heads, 1024 of size 64',
      inputs: [uniform([2, 1024, 64]), uniform([2, 1024, 64]), uniform([2, 1024, 64])],
      run: (q, k, v) => scaledDotProductAttention(q, k, v, { causal: true }),
      large: true,
    },
  ],
});

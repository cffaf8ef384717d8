/** lib/ops/binary.ts: elementwise functions of two tensors, comparisons and where. */
import * as ops from '../../lib/ops/binary.ts';
import { type Tensor, tensor, type Values } from '../../lib/tensor.ts';
import { type Case, constant, defineCases, given, type Input, integers, uniform } from './case.ts';

type Operation = (a: Tensor, b: Tensor) => Tensor;

interface Pair {
  name: string;
  a: readonly number[];
  b: readonly number[];
}

/** Every way in which two shapes meet; the layouts of the kernel merge and split dimensions differently for each. */
const pairs: readonly Pair[] = [
  { name: 'same shape', a: [3, 7], b: [3, 7] },
  { name: 'row', a: [4, 5], b: [5] },
  { name: 'column', a: [4, 5], b: [4, 1] },
  { name: 'row and column', a: [1, 5], b: [4, 1] },
  { name: 'scalar right', a: [2, 3], b: [] },
  { name: 'scalar left', a: [], b: [2, 3] },
  { name: 'one element of rank 2', a: [1, 1], b: [3] },
  { name: 'two scalars', a: [], b: [] },
  { name: 'middle axis', a: [2, 3, 4], b: [2, 1, 4] },
  { name: 'outer axes', a: [2, 3, 4], b: [3, 1] },
  { name: 'alternating axes', a: [2, 1, 3, 1, 2], b: [1, 4, 1, 5, 1] },
  { name: 'alternating against whole', a: [2, 3, 2, 3], b: [2, 1, 2, 1] },
  { name: 'empty', a: [0, 3], b: [3] },
  { name: 'empty by broadcasting', a: [2, 0], b: [1, 1] },
];

interface Function {
  name: string;
  run: Operation;
  torch: string;
  left?: readonly [number, number];
  right?: readonly [number, number];
}

const functions: readonly Function[] = [
  { name: 'add', run: ops.add, torch: 'a + b' },
  { name: 'sub', run: ops.sub, torch: 'a - b' },
  { name: 'mul', run: ops.mul, torch: 'a * b' },
  { name: 'div', run: ops.div, torch: 'a / b', right: [0.5, 2] },
  { name: 'pow', run: ops.pow, torch: 'a ** b', left: [0.5, 3], right: [-2, 2] },
  // Ranges that do not touch, in both orders below, keep the difference quotient away from ties.
  { name: 'maximum', run: ops.maximum, torch: 'torch.maximum(a, b)', left: [-2, 0], right: [0.25, 2] },
  { name: 'minimum', run: ops.minimum, torch: 'torch.minimum(a, b)', left: [-2, 0], right: [0.25, 2] },
];

const comparisons: readonly (readonly [string, Operation, string])[] = [
  ['equal', ops.equal, '=='],
  ['notEqual', ops.notEqual, '!='],
  ['greater', ops.greater, '>'],
  ['greaterEqual', ops.greaterEqual, '>='],
  ['less', ops.less, '<'],
  ['lessEqual', ops.lessEqual, '<='],
];

const ranged = (shape: readonly number[], range: readonly [number, number] = [-2, 2]): Input =>
  uniform(shape, range[0], range[1]);

function casesOf({ name, run, torch, left, right }: Function): Case[] {
  return pairs.map((pair) => ({
    name: `${name}, ${pair.name}`,
    inputs: [ranged(pair.a, left), ranged(pair.b, right)],
    run,
    torch,
  }));
}

const left = [1, 1, 2, 0, Number.NaN, 1, Number.NaN, Infinity, Infinity, -Infinity, Infinity, -1, 0];
const right = [1, 2, 1, 0, 1, Number.NaN, Number.NaN, Infinity, -Infinity, -Infinity, 1, 0, -1];
const hard = [given([13], left), given([13], right)];

/** Ties, winners and zeros, with each gradient that a product with 0, or a mask, tells from an ordinary one. */
const pairsOfNumbers = [1, 2, 0, -1, 0, 2].flatMap((a) => [0, 1, 2].map((b) => [a, b] as const));
const gradients = [Infinity, -Infinity, Number.NaN];

function specialGradientsOf({ name, run, torch }: Pick<Function, 'name' | 'run' | 'torch'>): Case {
  const numbers = gradients.flatMap(() => pairsOfNumbers);
  return {
    name: `${name}, gradients that are not finite`,
    inputs: [0, 1].map((side) =>
      given(
        [numbers.length],
        numbers.map((pair) => pair[side]),
      ),
    ),
    run,
    torch,
    gradient: 'kinked',
    cotangent: gradients.flatMap((gradient) => pairsOfNumbers.map(() => gradient)),
  };
}

const layouts: readonly (readonly [string, readonly number[], readonly number[], readonly number[]])[] = [
  ['same shape', [3, 5], [3, 5], [3, 5]],
  ['condition row', [5], [3, 5], [3, 5]],
  ['condition column', [3, 1], [3, 5], [3, 5]],
  ['a row, b column', [3, 5], [5], [3, 1]],
  ['all different', [2, 1, 1], [3, 1], [4]],
  ['scalars', [], [], []],
  ['scalar sides', [3, 4], [], [1]],
  ['scalar condition', [], [3, 4], [3, 4]],
  ['empty', [0, 2], [2], []],
];

const two = () => tensor([1, 2]);
const three = () => tensor([1, 2, 3]);
const wide = () => tensor(new Float64Array(2) as Values);
const whole = () => tensor([1, 2], { dtype: 'int32' });

export default defineCases({
  op: 'binary',
  cases: [
    ...functions.flatMap(casesOf),
    ...functions.map(
      ({ name, run, torch }): Case => ({
        name: `${name}, special values`,
        inputs: hard,
        run,
        // At a NaN the gradient of maximum and minimum is a number in PyTorch and NaN here; their values are compared.
        torch: torch.startsWith('torch.m') ? torch.replaceAll(/\b([ab])\b/g, '$1.detach()') : torch,
        gradient: 'kinked',
      }),
    ),
    ...functions.map(specialGradientsOf),
    ...comparisons.flatMap(([name, run, symbol]): Case[] => [
      {
        name: `${name}, special values`,
        inputs: hard,
        run,
        torch: `(a ${symbol} b).to(a.dtype)`,
        gradient: 'kinked',
      },
      {
        name: `${name}, ties`,
        inputs: [integers([4, 3], -1, 1), integers([3], -1, 1)],
        run,
        torch: `(a ${symbol} b).to(a.dtype)`,
        // Zero everywhere but at the steps, where there is none.
        gradient: 'kinked',
      },
    ]),
    {
      name: 'maximum, ties',
      inputs: [integers([6, 3], -1, 1), integers([3], -1, 1)],
      run: ops.maximum,
      torch: 'torch.maximum(a, b)',
      gradient: 'kinked',
    },
    {
      name: 'minimum, ties',
      inputs: [integers([6, 3], -1, 1), integers([3], -1, 1)],
      run: ops.minimum,
      torch: 'torch.minimum(a, b)',
      gradient: 'kinked',
    },
    {
      name: 'maximum, either side',
      inputs: [uniform([9], 1, 2), uniform([9], -1, 0.5)],
      run: ops.maximum,
      torch: 'torch.maximum(a, b)',
    },
    {
      name: 'minimum, either side',
      inputs: [uniform([9], 1, 2), uniform([9], -1, 0.5)],
      run: ops.minimum,
      torch: 'torch.minimum(a, b)',
    },
    {
      name: 'pow, zero base',
      inputs: [given([4], [0, 0, 0, 2]), given([4], [0, 1, 2, 0])],
      run: ops.pow,
      torch: 'a ** b',
      gradient: 'kinked',
    },
    {
      name: 'numbers',
      inputs: [uniform([5], -2, 2, [0.25, 0.5])],
      run: (a) => ops.maximum(ops.minimum(ops.div(a, 4), 0.125), -0.125),
      torch: 'torch.clamp(torch.clamp(a / 4, max=0.125), min=-0.125)',
      gradient: 'kinked',
    },
    { name: 'the same tensor twice', inputs: [uniform([2, 3])], run: (a) => ops.mul(a, a), torch: 'a * a' },
    { name: 'minus itself', inputs: [uniform([2, 3])], run: (a) => ops.sub(a, a), torch: 'a - a' },
    {
      name: 'several uses',
      inputs: [uniform([4, 3]), uniform([3])],
      run: (a, b) => ops.add(ops.mul(a, b), ops.mul(ops.add(a, b), b)),
      torch: 'a * b + (a + b) * b',
    },
    {
      name: 'one side constant',
      inputs: [constant(uniform([4, 3])), uniform([3])],
      run: ops.mul,
      torch: 'a * b',
    },
    ...layouts.map(
      ([name, condition, a, b]): Case => ({
        name: `where, ${name}`,
        inputs: [constant(integers(condition, 0, 1)), uniform(a), uniform(b)],
        run: ops.where,
        torch: 'torch.where(a != 0, b, c)',
      }),
    ),
    {
      name: 'where, special values',
      // NaN is not 0, so it takes a; the side not taken must not leak through a product with 0.
      inputs: [
        constant(given([5], [1, 0, Number.NaN, -1, 0])),
        given([5], [1, Number.NaN, 3, Infinity, Infinity]),
        given([5], [Number.NaN, 2, Number.NaN, 4, 5]),
      ],
      run: ops.where,
      torch: 'torch.where(a != 0, b, c)',
      gradient: 'kinked',
    },
    {
      name: 'where, numbers',
      inputs: [constant(integers([6], 0, 1)), uniform([6])],
      run: (condition, a) => ops.where(condition, a, -1),
      torch: 'torch.where(a != 0, b, -torch.ones_like(b))',
    },
    {
      name: 'where, gradient not of the condition',
      inputs: [constant(integers([6], 0, 1))],
      run: (condition) => ops.where(condition, 1, -1),
      torch: 'torch.where(a != 0, torch.ones_like(a), -torch.ones_like(a))',
      gradient: 'none',
    },
  ],
  bad: [
    {
      name: 'shapes',
      call: () => ops.add(two(), three()),
      code: 'AXPY_SHAPE',
      message: /shapes that broadcast, got \[2\] and \[3\]/,
    },
    {
      name: 'inner shapes',
      call: () => ops.mul(tensor([[1, 2]]), tensor([[1], [2]]).add(three())),
      code: 'AXPY_SHAPE',
      message: /broadcast/,
    },
    {
      name: 'two dtypes',
      call: () => ops.add(two(), wide()),
      code: 'AXPY_DTYPE',
      message: /one dtype, got float32 and float64/,
    },
    { name: 'int32', call: () => ops.div(whole(), whole()), code: 'AXPY_DTYPE', message: /got int32/ },
    {
      name: 'no operand',
      call: () => ops.sub(two(), undefined as never),
      code: 'AXPY_ARGUMENT',
      message: /operand/,
    },
    { name: 'a string', call: () => ops.div(two(), '2' as never), code: 'AXPY_ARGUMENT', message: /operand/ },
    {
      name: 'not a tensor',
      call: () => ops.pow(2 as never, two()),
      code: 'AXPY_ARGUMENT',
      message: /a tensor, got 2/,
    },
    {
      name: 'where, shapes',
      call: () => ops.where(two(), three(), 1),
      code: 'AXPY_SHAPE',
      message: /broadcast/,
    },
    {
      name: 'where, dtypes',
      call: () => ops.where(two(), wide(), wide()),
      code: 'AXPY_DTYPE',
      message: /one dtype/,
    },
    {
      name: 'where, condition',
      call: () => ops.where(true as never, 1, 2),
      code: 'AXPY_ARGUMENT',
      message: /condition to be a tensor/,
    },
  ],
  bench: [
    { name: 'add, 256 thousand', inputs: [uniform([1 << 18]), uniform([1 << 18])], run: ops.add },
    { name: 'mul by row, 512 x 512', inputs: [uniform([512, 512]), uniform([512])], run: ops.mul },
    { name: 'mul by column, 512 x 512', inputs: [uniform([512, 512]), uniform([512, 1])], run: ops.mul },
  ],
});

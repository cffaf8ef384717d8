/** lib/ops/unary.ts: elementwise functions of one tensor. */
import type { UnaryOp } from '../../lib/kernels/index.ts';
import * as ops from '../../lib/ops/unary.ts';
import { type Tensor, tensor } from '../../lib/tensor.ts';
import { type Case, constant, defineCases, given, type Input, uniform } from './case.ts';

const any = [-3, 3] as const;
const positive = [0.25, 4] as const;

interface Function {
  op: UnaryOp;
  run: (x: Tensor) => Tensor;
  torch: string;
  /** Where the inputs of the smooth case lie. */
  range: readonly [number, number];
  kinks?: readonly number[];
  /** Explicit values at kinks and far out, for the kinked case. */
  special: readonly number[];
}

const finite = [0, -0, 1, -1, 0.5, -0.5, 1e-4, -1e-4];
const far = [20, -20, 80, -80, 1000, -1000];
const none = [Infinity, -Infinity];

const functions: readonly Function[] = [
  { op: 'neg', run: ops.neg, torch: '-a', range: any, special: [...finite, ...none] },
  { op: 'exp', run: ops.exp, torch: 'torch.exp(a)', range: any, special: [...finite, ...far, ...none] },
  {
    op: 'log',
    run: ops.log,
    torch: 'torch.log(a)',
    range: positive,
    special: [0, 1, 2, 1e-4, 1e30, -1, ...none],
  },
  {
    op: 'sqrt',
    run: ops.sqrt,
    torch: 'torch.sqrt(a)',
    range: positive,
    special: [0, 1, 2, 1e-4, 1e30, -1, ...none],
  },
  { op: 'abs', run: ops.abs, torch: 'torch.abs(a)', range: any, kinks: [0], special: [...finite, ...none] },
  {
    op: 'square',
    run: ops.square,
    torch: 'torch.square(a)',
    range: any,
    special: [...finite, ...far, ...none],
  },
  {
    op: 'reciprocal',
    run: ops.reciprocal,
    torch: 'torch.reciprocal(a)',
    range: positive,
    special: [-4, 1e-4, 1e30, 0, ...none],
  },
  { op: 'sign', run: ops.sign, torch: 'torch.sign(a)', range: any, kinks: [0], special: [...finite, ...far] },
  {
    op: 'clip',
    run: (x) => ops.clip(x, -0.5, 1),
    torch: 'torch.clamp(a, -0.5, 1)',
    range: any,
    kinks: [-0.5, 1],
    special: [...finite, ...far, ...none],
  },
  {
    op: 'relu',
    run: ops.relu,
    torch: 'torch.relu(a)',
    range: any,
    kinks: [0],
    special: [...finite, ...far, ...none],
  },
  {
    op: 'leakyRelu',
    run: (x) => ops.leakyRelu(x, 0.125),
    torch: 'F.leaky_relu(a, 0.125)',
    range: any,
    kinks: [0],
    special: [...finite, ...far, ...none],
  },
  {
    op: 'elu',
    run: (x) => ops.elu(x, 0.75),
    torch: 'F.elu(a, 0.75)',
    range: any,
    kinks: [0],
    special: [1, -1, 0.5, -0.5, 1e-4, -1e-4, ...far, ...none],
  },
  {
    op: 'gelu',
    run: ops.gelu,
    torch: 'F.gelu(a)',
    range: any,
    // Its derivative at Infinity is NaN in PyTorch; here it is the limit.
    special: [...finite, 3, -3, 5, -5, 20],
  },
  {
    op: 'silu',
    run: ops.silu,
    torch: 'F.silu(a)',
    range: any,
    special: [...finite, 20, -20, 80, -80, 1000],
  },
  {
    op: 'softplus',
    run: ops.softplus,
    // F.softplus is linear beyond a threshold; logaddexp is not.
    torch: 'torch.logaddexp(a, torch.zeros_like(a))',
    range: any,
    special: [...finite, ...far],
  },
  {
    op: 'sigmoid',
    run: ops.sigmoid,
    torch: 'torch.sigmoid(a)',
    range: any,
    special: [...finite, 8, -8, 1000, ...none],
  },
  {
    op: 'tanh',
    run: ops.tanh,
    torch: 'torch.tanh(a)',
    range: any,
    special: [...finite, 4, -4, 1000, ...none],
  },
  {
    op: 'log1p',
    run: ops.log1p,
    torch: 'torch.log1p(a)',
    range: [-0.75, 4],
    special: [...finite, 1e30, -2, ...none],
  },
  {
    op: 'expm1',
    run: ops.expm1,
    torch: 'torch.expm1(a)',
    range: any,
    special: [...finite, ...far, ...none],
  },
  {
    op: 'logSigmoid',
    run: ops.logSigmoid,
    torch: 'F.logsigmoid(a)',
    range: any,
    special: [...finite, ...far, ...none],
  },
  ...(['sin', 'cos'] as const).map(
    (op): Function => ({
      op,
      run: ops[op],
      torch: `torch.${op}(a)`,
      range: any,
      // Numbers of float32 near multiples of π/2, 355/113·2¹⁵ among them, and beyond what vectors take.
      special: [...finite, 355, -710, 11 * 2 ** 15, 1048576, 1048577, -6381956, 2 ** 60, 2 ** 120, ...none],
    }),
  ),
  ...(['floor', 'ceil', 'round'] as const).map(
    (op): Function => ({
      op,
      run: ops[op],
      torch: `torch.${op}(a)`,
      range: any,
      kinks: [-3, -2.5, -2, -1.5, -1, -0.5, 0, 0.5, 1, 1.5, 2, 2.5, 3],
      special: [...finite, 1.5, -1.5, 2.5, 8388607.5, -8388608, 2 ** 31, 2 ** 60, -(2 ** 100), ...none],
    }),
  ),
];

function casesOf({ op, run, torch, range, kinks = [], special }: Function): Case[] {
  const smooth = (shape: readonly number[]): Input => uniform(shape, range[0], range[1], kinks);
  return [
    // 37 elements: several vectors of every width, and a remainder.
    { name: `${op}, odd size`, inputs: [smooth([37])], run, torch },
    { name: `${op}, two axes`, inputs: [smooth([3, 5])], run, torch },
    { name: `${op}, scalar`, inputs: [smooth([])], run, torch },
    { name: `${op}, empty`, inputs: [smooth([0, 3])], run, torch },
    {
      name: `${op}, NaN`,
      inputs: [given([3], [1, Number.NaN, -1])],
      run,
      // PyTorch's gradients at a NaN are numbers where f has a kink; here they are NaN. Values alone are compared.
      // Its sign of NaN is 0, which the term with 0 undoes.
      torch: `${torch.replaceAll(/\ba\b/g, 'a.detach()')} + 0 * a.detach()`,
      gradient: 'kinked',
    },
    {
      name: `${op}, special values`,
      inputs: [given([special.length], special)],
      run,
      torch,
      gradient: 'kinked',
      // Functions that saturate lose the relative accuracy of their derivative: 1 − y² near y = 1.
      tolerance: { float32: 2e-5, float64: 1e-12 },
    },
  ];
}

/** Numbers with each gradient that a product with 0, or a mask, tells from an ordinary one. */
const places = [-2, -1, -0.5, 0, 0.5, 1, 2];
const gradients = [Infinity, -Infinity, Number.NaN];

function specialGradientsOf({ op, run, torch }: Function): Case {
  const values = gradients.flatMap(() => places);
  return {
    name: `${op}, gradients that are not finite`,
    inputs: [given([values.length], values)],
    run,
    torch,
    gradient: 'kinked',
    cotangent: gradients.flatMap((gradient) => places.map(() => gradient)),
  };
}

const x = () => tensor([1, 2]);

export default defineCases({
  op: 'unary',
  cases: [
    ...functions.flatMap(casesOf),
    ...functions.map(specialGradientsOf),
    {
      name: 'pow, exponent 0, gradients that are not finite',
      inputs: [given([3], [0, 2, -1])],
      run: (a) => a.pow(0),
      torch: 'a ** 0',
      gradient: 'kinked',
      cotangent: gradients,
    },
    { name: 'pow, cube', inputs: [uniform([11])], run: (a) => a.pow(3), torch: 'a ** 3' },
    { name: 'pow, fraction', inputs: [uniform([11], 0.25, 4)], run: (a) => a.pow(1.7), torch: 'a ** 1.7' },
    { name: 'pow, negative', inputs: [uniform([11], 0.25, 4)], run: (a) => a.pow(-2), torch: 'a ** -2' },
    {
      name: 'pow, special values',
      inputs: [given([8], [0, 1, -1, -2, 4, Number.NaN, Infinity, -Infinity])],
      run: (a) => a.pow(2),
      torch: 'a ** 2',
      gradient: 'kinked',
    },
    {
      name: 'pow, negative base and fraction',
      inputs: [given([3], [-1, 0, 4])],
      run: (a) => a.pow(1.5),
      torch: 'a ** 1.5',
      gradient: 'kinked',
    },
    {
      name: 'pow, exponent 0',
      inputs: [given([4], [0, 1, -3, Number.NaN])],
      run: (a) => a.pow(0),
      torch: 'a ** 0',
      gradient: 'kinked',
    },
    { name: 'add number', inputs: [uniform([9])], run: (a) => a.add(1.5), torch: 'a + 1.5' },
    { name: 'sub number', inputs: [uniform([9])], run: (a) => a.sub(1.5), torch: 'a - 1.5' },
    { name: 'mul number', inputs: [uniform([9])], run: (a) => a.mul(-2.5), torch: 'a * -2.5' },
    {
      name: 'scale, not finite',
      inputs: [given([3], [Number.NaN, ...none])],
      run: (a) => a.mul(2).add(1),
      torch: 'a * 2 + 1',
      gradient: 'kinked',
    },
    {
      name: 'a tensor used twice',
      inputs: [uniform([7])],
      run: (a) => a.sigmoid().mul(a).add(a.tanh()),
      torch: 'torch.sigmoid(a) * a + torch.tanh(a)',
    },
    {
      name: 'default slopes',
      inputs: [uniform([7], -3, 3, [0])],
      run: (a) => ops.leakyRelu(a).add(ops.elu(a)),
      torch: 'F.leaky_relu(a) + F.elu(a)',
    },
    {
      name: 'a constant',
      inputs: [constant(uniform([4]))],
      run: ops.exp,
      torch: 'torch.exp(a)',
      gradient: 'none',
    },
  ],
  bad: [
    {
      name: 'no tensor',
      call: () => ops.exp([1] as never),
      code: 'AXPY_ARGUMENT',
      message: /expected a tensor, got an array/,
    },
    {
      name: 'null',
      call: () => ops.relu(null as never),
      code: 'AXPY_ARGUMENT',
      message: /expected a tensor, got null/,
    },
    {
      name: 'int32',
      call: () => ops.exp(tensor([1], { dtype: 'int32' })),
      code: 'AXPY_DTYPE',
      message: /expected float32 or float64, got int32/,
    },
    {
      name: 'clip, bounds swapped',
      call: () => ops.clip(x(), 1, 0),
      code: 'AXPY_ARGUMENT',
      message: /low to be at most high/,
    },
    {
      name: 'clip, NaN',
      call: () => ops.clip(x(), Number.NaN, 0),
      code: 'AXPY_ARGUMENT',
      message: /low to be at most high/,
    },
    {
      name: 'leakyRelu, negative slope',
      call: () => ops.leakyRelu(x(), -1),
      code: 'AXPY_ARGUMENT',
      message: /slope/,
    },
    {
      name: 'leakyRelu, infinite slope',
      call: () => ops.leakyRelu(x(), Infinity),
      code: 'AXPY_ARGUMENT',
      message: /slope/,
    },
    { name: 'elu, negative alpha', call: () => ops.elu(x(), -0.1), code: 'AXPY_ARGUMENT', message: /alpha/ },
    { name: 'elu, NaN alpha', call: () => ops.elu(x(), Number.NaN), code: 'AXPY_ARGUMENT', message: /alpha/ },
  ],
  bench: [
    ...Object.entries({ exp: ops.exp, relu: ops.relu, gelu: ops.gelu, tanh: ops.tanh }).map(([op, run]) => ({
      name: `${op}, 256 thousand`,
      inputs: [uniform([1 << 18])],
      run,
    })),
    { name: 'relu, a small layer', inputs: [uniform([32, 128])], run: ops.relu },
  ],
});

/** lib/ops/linear.ts: the fully connected layer, activation included. */
import { type UnaryOp, unaryOps } from '../../lib/kernels/index.ts';
import { canFuse } from '../../lib/ops/epilogue.ts';
import { linear } from '../../lib/ops/linear.ts';
import { tensor, type Values } from '../../lib/tensor.ts';
import { type Case, constant, defineCases, given, uniform } from './case.ts';

const torchNames: Partial<Record<UnaryOp, string>> = {
  exp: 'torch.exp',
  relu: 'torch.relu',
  leakyRelu: '(lambda z: F.leaky_relu(z, 0.125))',
  elu: '(lambda z: F.elu(z, 0.125))',
  softplus: '(lambda z: torch.logaddexp(z, torch.zeros_like(z)))',
  logSigmoid: 'F.logsigmoid',
  sigmoid: 'torch.sigmoid',
  tanh: 'torch.tanh',
  sqrt: 'torch.sqrt',
  reciprocal: 'torch.reciprocal',
};

const fused = unaryOps.filter((op) => canFuse({ op, parameter: 0 }));
// These want a positive sum; all inputs are positive for them.
const wantsPositive: ReadonlySet<UnaryOp> = new Set(['sqrt', 'reciprocal']);

const x = () => tensor([[1, 2]]);
const w = () => tensor([[3, 4]]);

export default defineCases({
  op: 'linear',
  cases: [
    {
      name: 'no bias, no activation',
      inputs: [uniform([3, 5]), uniform([4, 5])],
      run: (a, b) => linear(a, b),
      torch: 'F.linear(a, b)',
    },
    {
      name: 'bias',
      inputs: [uniform([3, 5]), uniform([4, 5]), uniform([4])],
      run: (a, b, c) => linear(a, b, c),
      torch: 'F.linear(a, b, c)',
    },
    ...fused.map((op): Case => {
      const low = wantsPositive.has(op) ? 0.25 : -1;
      return {
        name: `bias and ${op}`,
        inputs: [uniform([5, 3], low, 1), uniform([7, 3], low, 1), uniform([7], low, 1)],
        run: (a, b, c) => linear(a, b, c, { op, parameter: 0.125 }),
        torch: `${torchNames[op]}(F.linear(a, b, c))`,
      };
    }),
    {
      name: 'activation without bias',
      inputs: [uniform([5, 3], -1, 1), uniform([7, 3], -1, 1)],
      run: (a, b) => linear(a, b, null, { op: 'tanh', parameter: 0 }),
      torch: 'torch.tanh(F.linear(a, b))',
    },
    {
      name: 'one neuron',
      inputs: [uniform([1, 1]), uniform([1, 1]), uniform([1])],
      run: (a, b, c) => linear(a, b, c, { op: 'sigmoid', parameter: 0 }),
      torch: 'torch.sigmoid(F.linear(a, b, c))',
    },
    {
      name: 'past a block',
      inputs: [uniform([17, 33]), uniform([19, 33]), uniform([19])],
      run: (a, b, c) => linear(a, b, c, { op: 'softplus', parameter: 0 }),
      torch: 'torch.logaddexp(F.linear(a, b, c), torch.zeros(17, 19, dtype=a.dtype))',
    },
    {
      name: 'no examples',
      inputs: [uniform([0, 3]), uniform([2, 3]), uniform([2])],
      run: (a, b, c) => linear(a, b, c, { op: 'relu', parameter: 0 }),
      torch: 'torch.relu(F.linear(a, b, c))',
    },
    {
      name: 'no features',
      // The sum of nothing is 0, so every row is g(b).
      inputs: [uniform([3, 0]), uniform([2, 0]), uniform([2])],
      run: (a, b, c) => linear(a, b, c, { op: 'tanh', parameter: 0 }),
      torch: 'torch.tanh(a @ b.T + c)',
    },
    {
      name: 'no neurons',
      inputs: [uniform([3, 2]), uniform([0, 2]), uniform([0])],
      run: (a, b, c) => linear(a, b, c),
      torch: 'a @ b.T + c',
    },
    {
      name: 'relu at its kink',
      inputs: [given([2, 2], [1, -1, 2, 1]), given([2, 2], [1, 1, -1, 2]), given([2], [0, 0])],
      run: (a, b, c) => linear(a, b, c, { op: 'relu', parameter: 0 }),
      torch: 'torch.relu(F.linear(a, b, c))',
      gradient: 'kinked',
    },
    {
      name: 'not finite',
      inputs: [given([2, 2], [0, Number.NaN, 1, 2]), given([2, 2], [Infinity, 0, 1, 1]), uniform([2])],
      run: (a, b, c) => linear(a, b, c, { op: 'relu', parameter: 0 }),
      // As for relu alone, PyTorch's gradient at a NaN is a number.
      torch: 'torch.relu(F.linear(a.detach(), b.detach(), c.detach()))',
      gradient: 'kinked',
    },
    {
      name: 'one weight in two layers',
      // The second use accumulates into the gradient of the first (gemmAccumulate).
      inputs: [uniform([4, 3], -1, 1), uniform([3, 3], -1, 1), uniform([3], -1, 1)],
      run: (a, b, c) =>
        linear(linear(a, b, c, { op: 'tanh', parameter: 0 }), b, c, { op: 'sigmoid', parameter: 0 }),
      torch: 'torch.sigmoid(F.linear(torch.tanh(F.linear(a, b, c)), b, c))',
    },
    {
      name: 'constant input',
      inputs: [constant(uniform([4, 3])), uniform([2, 3]), uniform([2])],
      run: (a, b, c) => linear(a, b, c),
      torch: 'F.linear(a, b, c)',
    },
  ],
  bad: [
    {
      name: 'rank of x',
      call: () => linear(tensor([1, 2]), w()),
      code: 'AXPY_SHAPE',
      message: /x \[batch, in\] and weight \[out, in\], got \[2\] and \[1, 2\]/,
    },
    {
      name: 'inner size',
      call: () => linear(x(), tensor([[1, 2, 3]])),
      code: 'AXPY_SHAPE',
      message: /got \[1, 2\] and \[1, 3\]/,
    },
    {
      name: 'bias length',
      call: () => linear(x(), w(), tensor([1, 2])),
      code: 'AXPY_SHAPE',
      message: /expected bias \[1\], got \[2\]/,
    },
    {
      name: 'bias rank',
      call: () => linear(x(), w(), tensor([[1]])),
      code: 'AXPY_SHAPE',
      message: /expected bias/,
    },
    {
      name: 'dtypes',
      call: () => linear(x(), tensor(new Float64Array(2) as Values, { shape: [1, 2] })),
      code: 'AXPY_DTYPE',
      message: /one dtype/,
    },
    {
      name: 'bias dtype',
      call: () => linear(x(), w(), tensor(new Float64Array(1) as Values)),
      code: 'AXPY_DTYPE',
      message: /one dtype/,
    },
    {
      name: 'no weight',
      call: () => linear(x(), null as never),
      code: 'AXPY_ARGUMENT',
      message: /weight to be a tensor/,
    },
  ],
  bench: [
    {
      name: '128 x 784 to 128, relu',
      inputs: [uniform([128, 784], -1, 1), uniform([128, 784], -0.1, 0.1), uniform([128])],
      run: (a, b, c) => linear(a, b, c, { op: 'relu', parameter: 0 }),
    },
    {
      name: '32 x 4 to 3, sigmoid',
      inputs: [uniform([32, 4]), uniform([3, 4]), uniform([3])],
      run: (a, b, c) => linear(a, b, c, { op: 'sigmoid', parameter: 0 }),
    },
  ],
});

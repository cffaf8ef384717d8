/** lib/ops/loss.ts: losses as single ops. */
import type { LossOp } from '../../lib/kernels/index.ts';
import { elementwiseLoss, type Reduction, softmaxCrossEntropyWithLabels } from '../../lib/ops/loss.ts';
import { tensor, type Values } from '../../lib/tensor.ts';
import { type Case, constant, defineCases, given, type Input, indices, uniform } from './case.ts';

const reductions: readonly Reduction[] = ['mean', 'sum', 'none'];
const nan = Number.NaN;

interface Loss {
  op: LossOp;
  parameter?: number;
  torch: (reduction: string) => string;
  prediction: (shape: readonly number[]) => Input;
  target: (shape: readonly number[]) => Input;
  /** Predictions and targets on kinks, at borders and not finite. */
  special: readonly (readonly [number, number])[];
}

// Predictions below all targets or above them: no difference is 0, nor 0.75 where huber changes its form.
const losses: readonly Loss[] = [
  {
    op: 'squaredError',
    torch: (r) => `F.mse_loss(a, b, reduction='${r}')`,
    prediction: (shape) => uniform(shape),
    target: (shape) => uniform(shape),
    special: [
      [1, 1],
      [0, -3],
      [nan, 1],
      [1, nan],
      [Infinity, 1],
      [Infinity, Infinity],
      [-1e20, 1e20],
    ],
  },
  {
    op: 'absoluteError',
    torch: (r) => `F.l1_loss(a, b, reduction='${r}')`,
    prediction: (shape) => uniform(shape, 0.25, 2),
    target: (shape) => uniform(shape, -2, 0),
    special: [
      [1, 1],
      [0, -3],
      [-3, 0],
      [Infinity, 1],
      [1, Infinity],
    ],
  },
  {
    op: 'huber',
    parameter: 0.75,
    torch: (r) => `F.huber_loss(a, b, reduction='${r}', delta=0.75)`,
    prediction: (shape) => uniform(shape, -1, 3, [0.75, -0.75]),
    target: (shape) => given(shape, new Array(shape.reduce((a, b) => a * b, 1)).fill(0)),
    special: [
      [1, 1],
      [1.75, 1],
      [0.25, 1],
      [9, 1],
      [-9, 1],
      [nan, 1],
      [1, nan],
      [Infinity, 1],
    ],
  },
  {
    op: 'binaryCrossEntropy',
    torch: (r) => `F.binary_cross_entropy(a, b, reduction='${r}')`,
    prediction: (shape) => uniform(shape, 0.125, 0.875),
    target: (shape) => constant(uniform(shape, 0, 1)),
    special: [
      [0, 0],
      [0, 1],
      [1, 0],
      [1, 1],
      [0.5, 0.25],
      [1e-20, 1],
    ],
  },
  {
    op: 'binaryCrossEntropyWithLogits',
    torch: (r) => `F.binary_cross_entropy_with_logits(a, b, reduction='${r}')`,
    prediction: (shape) => uniform(shape, -3, 3),
    target: (shape) => uniform(shape, 0, 1),
    special: [
      [0, 0],
      [0, 1],
      [1000, 0],
      [1000, 1],
      [-1000, 0],
      [-1000, 1],
      [50, 0.5],
      [nan, 0],
    ],
  },
  {
    op: 'crossEntropy',
    torch: (r) => {
      const each = '-torch.where((b == 0) & torch.isinf(a), torch.zeros_like(a), a * b)';
      return r === 'none' ? each : `(${each}).${r}()`;
    },
    prediction: (shape) => uniform(shape, -3, 0),
    target: (shape) => uniform(shape, 0.125, 1),
    special: [
      [0, 0],
      [-3, 0],
      [-Infinity, 0],
      [-1000, 0.5],
      [nan, 0.5],
    ],
  },
];

function casesOf({ op, parameter = 0, torch, prediction, target, special }: Loss): Case[] {
  const shapes: readonly (readonly [string, readonly number[]])[] = [
    ['matrix', [4, 3]],
    ['odd size', [37]],
    ['one element', [1, 1]],
    ['scalar', []],
    ['long', [1031]],
  ];
  return reductions.flatMap((reduction): Case[] => [
    ...shapes
      // The long one is there for the sum's blocks.
      .filter(([title]) => title !== 'long' || reduction === 'sum')
      .map(
        ([title, shape]): Case => ({
          name: `${op}, ${title}, ${reduction}`,
          inputs: [prediction(shape), target(shape)],
          run: (p, t) => elementwiseLoss(op, p, t, reduction, parameter),
          torch: torch(reduction),
        }),
      ),
    ...(reduction === 'mean'
      ? []
      : [
          {
            name: `${op}, nothing, ${reduction}`,
            inputs: [prediction([0, 2]), target([0, 2])],
            run: (p, t) => elementwiseLoss(op, p, t, reduction, parameter),
            torch: torch(reduction),
          } satisfies Case,
        ]),
    {
      name: `${op}, special values, ${reduction}`,
      inputs: [
        given(
          [special.length],
          special.map(([p]) => p),
        ),
        constant(
          given(
            [special.length],
            special.map(([, t]) => t),
          ),
        ),
      ],
      run: (p, t) => elementwiseLoss(op, p, t, reduction, parameter),
      torch: torch(reduction),
      // PyTorch has the 1e-12 of binaryCrossEntropy's derivative as a float32.
      ...(op === 'binaryCrossEntropy' ? { tolerance: { float64: 1e-8 } } : {}),
      gradient: 'kinked',
    },
  ]);
}

const two = () => tensor([0.5, 0.5]);
const logits = () => tensor([[1, 2]]);
const label = (value: number) => tensor([value], { dtype: 'int32' });

export default defineCases({
  op: 'loss',
  cases: [
    ...losses.flatMap(casesOf),
    {
      name: 'squaredError of itself',
      inputs: [uniform([3])],
      run: (a) => elementwiseLoss('squaredError', a, a, 'sum'),
      torch: "F.mse_loss(a, a, reduction='sum')",
    },
    {
      name: 'binaryCrossEntropy, gradient of the target',
      inputs: [constant(uniform([5], 0.125, 0.875)), uniform([5], 0, 1)],
      run: (p, t) => elementwiseLoss('binaryCrossEntropy', p, t, 'sum'),
      torch: '-(b * torch.log(a) + (1 - b) * torch.log(1 - a)).sum()',
    },
    ...reductions.flatMap((reduction): Case[] => [
      {
        name: `softmaxCrossEntropy, ${reduction}`,
        inputs: [uniform([5, 4]), indices([5], 3)],
        run: (x, y) => softmaxCrossEntropyWithLabels(x, y, reduction),
        torch: `F.cross_entropy(a, b, reduction='${reduction}')`,
      },
      {
        name: `softmaxCrossEntropy, one row, ${reduction}`,
        inputs: [uniform([1, 7]), indices([1], 6)],
        run: (x, y) => softmaxCrossEntropyWithLabels(x, y, reduction),
        torch: `F.cross_entropy(a, b, reduction='${reduction}')`,
      },
      {
        name: `softmaxCrossEntropy, many classes, ${reduction}`,
        inputs: [uniform([3, 131]), indices([3], 130)],
        run: (x, y) => softmaxCrossEntropyWithLabels(x, y, reduction),
        torch: `F.cross_entropy(a, b, reduction='${reduction}')`,
      },
      {
        name: `softmaxCrossEntropy, one class, ${reduction}`,
        inputs: [uniform([3, 1]), indices([3], 0)],
        run: (x, y) => softmaxCrossEntropyWithLabels(x, y, reduction),
        torch: `F.cross_entropy(a, b, reduction='${reduction}')`,
      },
      {
        name: `softmaxCrossEntropy, large logits, ${reduction}`,
        inputs: [
          given([4, 3], [1000, 0, -1000, -1000, 0, 1000, 1e30, 1e30, 0, -Infinity, 0, 1]),
          given([4], [0, 0, 1, 1], 'int32'),
        ],
        run: (x, y) => softmaxCrossEntropyWithLabels(x, y, reduction),
        torch: `F.cross_entropy(a, b, reduction='${reduction}')`,
        gradient: 'kinked',
      },
      {
        name: `softmaxCrossEntropy, NaN, ${reduction}`,
        inputs: [given([2, 2], [nan, 0, 1, 2]), given([2], [1, 0], 'int32')],
        run: (x, y) => softmaxCrossEntropyWithLabels(x, y, reduction),
        torch: `F.cross_entropy(a, b, reduction='${reduction}')`,
        gradient: 'kinked',
      },
    ]),
    {
      name: 'softmaxCrossEntropy, no rows',
      inputs: [uniform([0, 3]), indices([0], 2)],
      run: (x, y) => softmaxCrossEntropyWithLabels(x, y, 'sum'),
      torch: "F.cross_entropy(a, b, reduction='sum')",
    },
    {
      name: 'two losses of the same logits',
      inputs: [uniform([3, 4]), indices([3], 3)],
      run: (x, y) =>
        softmaxCrossEntropyWithLabels(x, y, 'mean').add(softmaxCrossEntropyWithLabels(x, y, 'sum')),
      torch: "F.cross_entropy(a, b) + F.cross_entropy(a, b, reduction='sum')",
    },
  ],
  bad: [
    {
      name: 'shapes',
      call: () => elementwiseLoss('squaredError', two(), tensor([[1, 2]]), 'mean'),
      code: 'AXPY_SHAPE',
      message: /one shape, got \[2\] and \[1, 2\]/,
    },
    {
      name: 'broadcasting is refused',
      call: () => elementwiseLoss('huber', two(), tensor(1), 'mean', 1),
      code: 'AXPY_SHAPE',
      message: /one shape/,
    },
    {
      name: 'dtypes',
      call: () => elementwiseLoss('squaredError', two(), tensor(new Float64Array(2) as Values), 'mean'),
      code: 'AXPY_DTYPE',
      message: /one dtype/,
    },
    {
      name: 'reduction',
      call: () => elementwiseLoss('squaredError', two(), two(), 'average' as never),
      code: 'AXPY_ARGUMENT',
      message: /mean, sum or none, got "average"/,
    },
    {
      name: 'mean of nothing',
      call: () => elementwiseLoss('squaredError', tensor([]), tensor([]), 'mean'),
      code: 'AXPY_SHAPE',
      message: /at least one example/,
    },
    {
      name: 'no prediction',
      call: () => elementwiseLoss('squaredError', null as never, two(), 'mean'),
      code: 'AXPY_ARGUMENT',
      message: /prediction/,
    },
    {
      name: 'no target',
      call: () => elementwiseLoss('squaredError', two(), 1 as never, 'mean'),
      code: 'AXPY_ARGUMENT',
      message: /target/,
    },
    {
      name: 'label too large',
      call: () => softmaxCrossEntropyWithLabels(logits(), label(2), 'mean'),
      code: 'AXPY_INDEX',
      message: /labels\[0\] to be from 0 to 1, got 2/,
    },
    {
      name: 'label negative',
      call: () => softmaxCrossEntropyWithLabels(logits(), label(-1), 'mean'),
      code: 'AXPY_INDEX',
      message: /got -1/,
    },
    {
      name: 'float labels',
      call: () => softmaxCrossEntropyWithLabels(logits(), tensor([0]), 'mean'),
      code: 'AXPY_DTYPE',
      message: /int32 labels/,
    },
    {
      name: 'label count',
      call: () => softmaxCrossEntropyWithLabels(logits(), tensor([0, 1], { dtype: 'int32' }), 'mean'),
      code: 'AXPY_SHAPE',
      message: /\[batch, \.\.\., classes\]/,
    },
    {
      name: 'logits rank',
      call: () => softmaxCrossEntropyWithLabels(two(), label(0), 'mean'),
      code: 'AXPY_SHAPE',
      message: /\[batch, \.\.\., classes\]/,
    },
    {
      name: 'softmax reduction',
      call: () => softmaxCrossEntropyWithLabels(logits(), label(0), '' as never),
      code: 'AXPY_ARGUMENT',
      message: /reduction/,
    },
    {
      name: 'softmax mean of nothing',
      call: () =>
        softmaxCrossEntropyWithLabels(tensor([], { shape: [0, 2] }), tensor([], { dtype: 'int32' }), 'mean'),
      code: 'AXPY_SHAPE',
      message: /at least one example/,
    },
  ],
  bench: [
    {
      name: 'softmaxCrossEntropy, 256 x 1000',
      inputs: [uniform([256, 1000]), indices([256], 999)],
      run: (x, y) => softmaxCrossEntropyWithLabels(x, y, 'mean'),
    },
    {
      name: 'squaredError, 256 thousand',
      inputs: [uniform([1 << 18]), constant(uniform([1 << 18]))],
      run: (p, t) => elementwiseLoss('squaredError', p, t, 'mean'),
    },
    {
      name: 'binaryCrossEntropyWithLogits, 128',
      inputs: [uniform([128, 1]), constant(uniform([128, 1], 0, 1))],
      run: (p, t) => elementwiseLoss('binaryCrossEntropyWithLogits', p, t, 'mean'),
    },
  ],
});

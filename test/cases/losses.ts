/** lib/losses: what is more than an op of lib/ops/loss.ts, which has its cases in loss.ts. */
import * as losses from '../../lib/losses.ts';
import type { Reduction } from '../../lib/ops/loss.ts';
import { type Tensor, tensor } from '../../lib/tensor.ts';
import {
  type BadCall,
  type Case,
  constant,
  defineCases,
  given,
  type Input,
  indices,
  uniform,
} from './case.ts';

const reductions: readonly Reduction[] = ['mean', 'sum', 'none'];
const three = '[1.5, 0.25, 2]';
const weights = [1.5, 0.25, 2];

interface Loss {
  readonly name: string;
  readonly inputs: readonly Input[];
  run(reduction: Reduction, ...inputs: Tensor[]): Tensor;
  torch(reduction: Reduction): string;
  readonly gradient?: Case['gradient'];
}

const list: Loss[] = [];

/** Softmax cross-entropy with every option, of two and four axes; PyTorch has the classes in the second place. */
for (const [axes, shape] of [
  ['rows', [5, 3]],
  ['sequences', [2, 4, 3]],
  ['images', [2, 2, 2, 3]],
  ['one example', [3]],
] as const) {
  const logits = uniform(shape);
  const labels = shape.length === 1 ? given([], [2], 'int32') : indices(shape.slice(0, -1), 2);
  const soft = constant(uniform(shape, 0, 1));
  const first = shape.length > 2 ? 'first(a)' : 'a';
  for (const [options, python] of [
    [{}, ''],
    [{ weight: weights }, `, weight=torch.tensor(${three}, dtype=a.dtype)`],
    [{ ignoreIndex: 1 }, ', ignore_index=1'],
    [{ labelSmoothing: 0.25 }, ', label_smoothing=0.25'],
    [
      { weight: weights, ignoreIndex: 1, labelSmoothing: 0.25 },
      `, weight=torch.tensor(${three}, dtype=a.dtype), ignore_index=1, label_smoothing=0.25`,
    ],
  ] as const) {
    const names = Object.keys(options).join(' ');
    list.push({
      name: `softmaxCrossEntropy, ${axes}, labels, ${names}`,
      inputs: [logits, labels],
      run: (reduction, a, b) => losses.softmaxCrossEntropy(a, b as never, { ...options, reduction }),
      torch: (reduction) => `F.cross_entropy(${first}, b, reduction='${reduction}'${python})`,
    });
    if ('ignoreIndex' in options) continue;
    list.push({
      name: `softmaxCrossEntropy, ${axes}, probabilities, ${names}`,
      inputs: [logits, soft],
      run: (reduction, a, b) => losses.softmaxCrossEntropy(a, b, { ...options, reduction }),
      torch: (reduction) =>
        `F.cross_entropy(${first}, ${first.replace('a', 'b')}, reduction='${reduction}'${python})`,
    });
  }
}

const [z, t] = [uniform([4, 3], -3, 3), uniform([4, 3], 0, 1)];
const signs = given([4, 3], [1, -1, 1, -1, -1, 1, 1, 1, -1, 1, -1, -1]);
const sigmoidFocal = (alpha: string, gamma: number, reduction: string) => {
  const p = 'torch.sigmoid(a)';
  const each =
    `F.binary_cross_entropy_with_logits(a, b, reduction='none') * (1 - (${p} * b + (1 - ${p}) * (1 - b))) ** ${gamma}` +
    ` * ${alpha}`;
  return reduction === 'none' ? each : `(${each}).${reduction}()`;
};
const reduce = (each: string, reduction: string) =>
  reduction === 'none' ? each : `(${each}).${reduction}()`;

list.push(
  {
    name: 'binaryCrossEntropy, weight',
    inputs: [uniform([4, 3], 0.125, 0.875), constant(t), constant(uniform([3], 0, 2))],
    run: (reduction, a, b, weight) => losses.binaryCrossEntropy(a, b, { weight, reduction }),
    torch: (reduction) => `F.binary_cross_entropy(a, b, c.expand(4, 3), reduction='${reduction}')`,
  },
  {
    name: 'binaryCrossEntropyWithLogits, weight',
    inputs: [z, t, constant(uniform([4, 1], 0, 2))],
    run: (reduction, a, b, weight) => losses.binaryCrossEntropyWithLogits(a, b, { weight, reduction }),
    torch: (reduction) =>
      `F.binary_cross_entropy_with_logits(a, b, c.expand(4, 3), reduction='${reduction}')`,
  },
  {
    name: 'binaryCrossEntropyWithLogits, positiveWeight',
    inputs: [z, t, constant(uniform([3], 0, 4)), constant(uniform([4, 3], 0, 2))],
    run: (reduction, a, b, positiveWeight, weight) =>
      losses.binaryCrossEntropyWithLogits(a, b, { positiveWeight, weight, reduction }),
    torch: (reduction) =>
      `F.binary_cross_entropy_with_logits(a, b, d, pos_weight=c, reduction='${reduction}')`,
  },
  {
    name: 'binaryCrossEntropyWithLogits, a number as positiveWeight',
    inputs: [z, t],
    run: (reduction, a, b) => losses.binaryCrossEntropyWithLogits(a, b, { positiveWeight: 3, reduction }),
    torch: (reduction) =>
      `F.binary_cross_entropy_with_logits(a, b, pos_weight=torch.tensor(3, dtype=a.dtype), reduction='${reduction}')`,
  },
  {
    name: 'binaryCrossEntropyWithLogits, positiveWeight, far out',
    inputs: [given([6], [1000, -1000, 50, -50, 0, 1000]), given([6], [0, 1, 0.5, 0.25, 1, 1])],
    run: (reduction, a, b) => losses.binaryCrossEntropyWithLogits(a, b, { positiveWeight: 3, reduction }),
    torch: (reduction) =>
      `F.binary_cross_entropy_with_logits(a, b, pos_weight=torch.tensor(3, dtype=a.dtype), reduction='${reduction}')`,
    gradient: 'kinked',
  },
  {
    name: 'focal',
    inputs: [z, t],
    run: (reduction, a, b) => losses.focal(a, b, { reduction }),
    torch: (reduction) => sigmoidFocal('(0.25 * b + 0.75 * (1 - b))', 2, reduction),
  },
  {
    name: 'focal, options',
    inputs: [z, t],
    run: (reduction, a, b) => losses.focal(a, b, { gamma: 1.5, alpha: null, reduction }),
    torch: (reduction) => sigmoidFocal('1', 1.5, reduction),
  },
  {
    name: 'hinge',
    inputs: [uniform([4, 3], -2, 2, [-1, 1]), constant(signs)],
    run: (reduction, a, b) => losses.hinge(a, b, { reduction }),
    torch: (reduction) => reduce('F.relu(1 - a * b)', reduction),
  },
  {
    name: 'squaredHinge',
    inputs: [uniform([4, 3], -2, 2, [-1, 1]), constant(signs)],
    run: (reduction, a, b) => losses.squaredHinge(a, b, { reduction }),
    torch: (reduction) => reduce('F.relu(1 - a * b) ** 2', reduction),
  },
  ...([1, 2] as const).map(
    (power): Loss => ({
      name: `multiMargin, power ${power}`,
      // Scores that no margin of 1 meets.
      inputs: [given([4, 3], [0.3, 1.9, -0.45, 1, 0.55, -2, 0.2, 0.9, 1.7, -1, 0.35, 0.1]), indices([4], 2)],
      run: (reduction, a, b) => losses.multiMargin(a, b as Tensor<'int32'>, { power, reduction }),
      torch: (reduction) => `F.multi_margin_loss(a, b, p=${power}, reduction='${reduction}')`,
    }),
  ),
  {
    name: 'multiMargin, options',
    inputs: [given([4, 3], [0.3, 1.9, -0.45, 1, 0.55, -2, 0.2, 0.9, 1.7, -1, 0.35, 0.1]), indices([4], 2)],
    run: (reduction, a, b) =>
      losses.multiMargin(a, b as Tensor<'int32'>, { margin: 0.5, weight: weights, reduction }),
    torch: (reduction) =>
      `F.multi_margin_loss(a, b, margin=0.5, weight=torch.tensor(${three}, dtype=a.dtype), reduction='${reduction}')`,
  },
  ...[0.5, 0.9].map(
    (q): Loss => ({
      name: `quantile, ${q}`,
      inputs: [uniform([5], 0.25, 2), uniform([5], -2, 0)],
      run: (reduction, a, b) => losses.quantile(a, b, { quantile: q, reduction }),
      torch: (reduction) => reduce(`torch.maximum(${q} * (b - a), (${q} - 1) * (b - a))`, reduction),
    }),
  ),
  {
    name: 'quantile, below',
    inputs: [uniform([5], -2, 0), uniform([5], 0.25, 2)],
    run: (reduction, a, b) => losses.quantile(a, b, { quantile: 0.9, reduction }),
    torch: (reduction) => reduce('torch.maximum(0.9 * (b - a), -0.1 * (b - a))', reduction),
  },
);

/** Of the last axis: PyTorch's are of elements, or of the second axis. */
for (const shape of [[4, 3], [2, 3, 2], [3]] as const) {
  const axes = `[${shape}]`;
  const pairs = shape.slice(0, -1).reduce((count: number, size) => count * size, 1);
  list.push(
    {
      name: `klDivergence, ${axes}`,
      inputs: [uniform(shape, -3, 0), uniform(shape, 0.125, 1)],
      run: (reduction, a, b) => losses.klDivergence(a, b, { reduction }),
      torch: (reduction) => reduce("F.kl_div(a, b, reduction='none').sum(-1)", reduction),
    },
    {
      name: `klDivergence, logarithms, ${axes}`,
      inputs: [uniform(shape, -3, 0), uniform(shape, -3, 0)],
      run: (reduction, a, b) => losses.klDivergence(a, b, { logTarget: true, reduction }),
      torch: (reduction) => reduce("F.kl_div(a, b, reduction='none', log_target=True).sum(-1)", reduction),
    },
    {
      name: `cosineSimilarity, ${axes}`,
      inputs: [uniform(shape), uniform(shape)],
      run: (reduction, a, b) => losses.cosineSimilarity(a, b, { reduction }),
      torch: (reduction) => reduce('-F.cosine_similarity(a, b, dim=-1)', reduction),
    },
    {
      name: `cosineEmbedding, ${axes}`,
      inputs: [
        uniform(shape),
        uniform(shape),
        constant(
          given(
            shape.slice(0, -1),
            Array.from({ length: pairs }, (_, i) => 1 - 2 * (i % 2)),
          ),
        ),
      ],
      run: (reduction, a, b, y) => losses.cosineEmbedding([a, b], y, { margin: -0.9, reduction }),
      torch: (reduction) => {
        const flat = 'a.reshape(-1, a.shape[-1]), b.reshape(-1, b.shape[-1]), c.reshape(-1)';
        const loss = `F.cosine_embedding_loss(${flat}, margin=-0.9, reduction='${reduction}')`;
        return reduction === 'none' ? `${loss}.reshape(c.shape)` : loss;
      },
    },
  );
}

const row = () => tensor([[1, 2, 3]]);
const label = (...values: number[]) => tensor(Int32Array.from(values));
const bad = (name: string, call: () => unknown, code: string, message: RegExp): BadCall => ({
  name,
  call,
  code,
  message,
});

export default defineCases({
  op: 'losses',
  cases: [
    ...list.flatMap(({ name, inputs, run, torch, gradient }) =>
      reductions.map(
        (reduction): Case => ({
          name: `${name}, ${reduction}`,
          inputs,
          run: (...xs) => run(reduction, ...xs),
          torch: torch(reduction),
          tolerance: { float32: 1e-5, float64: 1e-12 },
          ...(gradient ? { gradient } : {}),
        }),
      ),
    ),
    {
      name: 'softmaxCrossEntropy, all ignored',
      inputs: [uniform([2, 3]), given([2], [7, 7], 'int32')],
      run: (a, b) => losses.softmaxCrossEntropy(a, b as never, { ignoreIndex: 7 }),
      torch: 'F.cross_entropy(a.detach(), b, ignore_index=7)',
      gradient: 'kinked',
    },
    {
      name: 'softmaxCrossEntropy, an ignored row of −Infinity and a label far off',
      inputs: [given([2, 3], [1, 2, 3, -Infinity, 0, 1]), given([2], [0, -100], 'int32')],
      run: (a, b) => losses.softmaxCrossEntropy(a, b as never, { ignoreIndex: -100 }),
      torch: 'F.cross_entropy(a, b)',
      gradient: 'kinked',
    },
    {
      name: 'hinge, on the kink',
      inputs: [given([4], [1, -1, 0, 3]), constant(given([4], [1, -1, 1, 1]))],
      run: (a, b) => losses.hinge(a, b),
      torch: 'F.relu(1 - a * b).mean()',
      gradient: 'kinked',
    },
    {
      name: 'klDivergence, zeros',
      inputs: [given([2, 2], [0, -Infinity, -1, -0.5]), constant(given([2, 2], [1, 0, 0.5, 0]))],
      run: (a, b) => losses.klDivergence(a, b),
      // 0 times the logarithm of 0 is 0.
      torch:
        'torch.where(b == 0, torch.zeros_like(a), F.kl_div(a, b, reduction="none")).sum(-1).mean().detach()',
      gradient: 'kinked',
    },
    {
      name: 'quantile, equals',
      inputs: [given([2], [1, 2]), given([2], [1, 2])],
      run: (a, b) => losses.quantile(a, b, { quantile: 0.9 }),
      torch: '(0.9 * F.relu(b - a) + 0.1 * F.relu(a - b)).mean()',
      gradient: 'kinked',
    },
  ],
  bad: [
    bad(
      'labels of another shape',
      () => losses.softmaxCrossEntropy(row(), label(0, 1), { labelSmoothing: 0.1 }),
      'AXPY_SHAPE',
      /got \[1, 3\] and \[2\]/,
    ),
    bad(
      'a label out of range',
      () => losses.softmaxCrossEntropy(row(), label(3), { ignoreIndex: 4 }),
      'AXPY_INDEX',
      /got 3/,
    ),
    bad(
      'weights of another number',
      () => losses.softmaxCrossEntropy(row(), label(0), { weight: [1, 2] }),
      'AXPY_SHAPE',
      /each of 3 classes, got shape \[2\]/,
    ),
    bad(
      'smoothing',
      () => losses.softmaxCrossEntropy(row(), label(0), { labelSmoothing: 2 }),
      'AXPY_ARGUMENT',
      /from 0 to 1, got 2/,
    ),
    bad(
      'ignoreIndex, a fraction',
      () => losses.softmaxCrossEntropy(row(), label(0), { ignoreIndex: 0.5 }),
      'AXPY_ARGUMENT',
      /integer, got 0\.5/,
    ),
    bad(
      'ignoreIndex beside probabilities',
      () => losses.softmaxCrossEntropy(row(), row(), { ignoreIndex: 0 }),
      'AXPY_ARGUMENT',
      /no ignoreIndex/,
    ),
    bad(
      'an unknown option',
      () => losses.mse(row(), row(), { weight: row() } as never),
      'AXPY_ARGUMENT',
      /options among reduction, got weight/,
    ),
    bad(
      'a weight that does not broadcast',
      () => losses.binaryCrossEntropy(row(), row(), { weight: tensor([1, 2]) }),
      'AXPY_SHAPE',
      /weight to broadcast to \[1, 3\]/,
    ),
    bad(
      'positiveWeight, no number',
      () => losses.binaryCrossEntropyWithLogits(row(), row(), { positiveWeight: Number.NaN }),
      'AXPY_ARGUMENT',
      /positiveWeight/,
    ),
    bad(
      'gamma',
      () => losses.focal(row(), row(), { gamma: -1 }),
      'AXPY_ARGUMENT',
      /gamma to be a number of at least 0, got -1/,
    ),
    bad('alpha', () => losses.focal(row(), row(), { alpha: 2 }), 'AXPY_ARGUMENT', /alpha/),
    bad(
      'quantile',
      () => losses.quantile(row(), row(), { quantile: 1 }),
      'AXPY_ARGUMENT',
      /between 0 and 1, got 1/,
    ),
    bad(
      'power',
      () => losses.multiMargin(row(), label(0), { power: 3 as 2 }),
      'AXPY_ARGUMENT',
      /1 or 2, got 3/,
    ),
    bad(
      'hinge, shapes',
      () => losses.hinge(row(), tensor([1])),
      'AXPY_SHAPE',
      /one shape, got \[1, 3\] and \[1\]/,
    ),
    bad(
      'hinge, reduction',
      () => losses.hinge(row(), row(), { reduction: 'all' as never }),
      'AXPY_ARGUMENT',
      /mean, sum or none/,
    ),
    bad('hinge, nothing', () => losses.hinge(tensor([]), tensor([])), 'AXPY_SHAPE', /at least one example/),
    bad(
      'cosineSimilarity, scalar',
      () => losses.cosineSimilarity(tensor(1), tensor(1)),
      'AXPY_SHAPE',
      /at least one axis/,
    ),
    bad(
      'cosineEmbedding, no pair',
      () => losses.cosineEmbedding(row() as never, tensor([1])),
      'AXPY_ARGUMENT',
      /two tensors/,
    ),
    bad(
      'cosineEmbedding, targets',
      () => losses.cosineEmbedding([row(), row()], row()),
      'AXPY_SHAPE',
      /a target for each pair/,
    ),
    bad(
      'klDivergence, option',
      () => losses.klDivergence(row(), row(), { logTarget: 1 as never }),
      'AXPY_ARGUMENT',
      /true or false/,
    ),
  ],
  bench: [
    {
      name: 'softmaxCrossEntropy, weights and smoothing, 64 x 32 x 100',
      inputs: [uniform([64, 32, 100]), indices([64, 32], 99)],
      run: (a, b) =>
        losses.softmaxCrossEntropy(a, b as never, {
          weight: new Array(100).fill(0.5),
          labelSmoothing: 0.1,
          ignoreIndex: 0,
        }),
    },
  ],
});

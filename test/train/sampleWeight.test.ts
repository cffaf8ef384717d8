/** Weights of examples: what they change of a training, and what they leave. */
import { describe, expect, it } from 'vitest';
import {
  Adam,
  ArgumentError,
  type Checkpoint,
  checkpoint,
  type Data,
  DataError,
  Dense,
  evaluate,
  fit,
  type History,
  Layer,
  type LossName,
  losses,
  NonFiniteError,
  randn,
  SGD,
  ShapeError,
  seed,
  stream,
  type Tensor,
  tensor,
  trainTestSplit,
} from '../../lib/index.ts';
import { Linear, line, linearModel, numbers, refuses, rejection } from './support.ts';

const n = 23;

const expectClose = (actual: ArrayLike<number>, expected: readonly number[], digits: number) => {
  expect(actual.length).toBe(expected.length);
  for (let i = 0; i < expected.length; i++) expect(actual[i]).toBeCloseTo(expected[i], digits);
};

const lossesOf = ({ epochs }: History) => epochs.map(({ loss }) => loss);

/** What each loss learns from, by the name of it: [examples, ...] of what its model returns, and its targets. */
const targets: Record<LossName, () => { shape: number[]; y: Tensor; rank: number }> = (() => {
  const each = (shape: number[], value: (i: number) => number, dtype: 'float32' | 'int32' = 'float32') =>
    tensor(
      Array.from({ length: shape.reduce((a, b) => a * b) }, (_, i) => value(i)),
      { dtype },
    ).reshape(shape);
  const binary = () => ({ shape: [2], y: each([n, 2], (i) => i % 2), rank: 2 });
  const signs = () => ({ shape: [2], y: each([n, 2], (i) => (i % 3 ? 1 : -1)), rank: 2 });
  const real = () => ({ shape: [3, 2], y: each([n, 3, 2], (i) => Math.sin(i)), rank: 3 });
  const labels = () => ({ shape: [3, 4], y: each([n, 3], (i) => (i * i) % 4, 'int32'), rank: 2 });
  return {
    mse: real,
    meanAbsoluteError: real,
    huber: real,
    quantile: real,
    binaryCrossEntropy: binary,
    binaryCrossEntropyWithLogits: binary,
    focal: binary,
    hinge: signs,
    squaredHinge: signs,
    softmaxCrossEntropy: labels,
    multiMargin: labels,
    klDivergence: () => ({ shape: [4], y: each([n, 4], () => 0.25), rank: 1 }),
    cosineSimilarity: () => ({ shape: [2, 3], y: each([n, 2, 3], (i) => Math.cos(i)), rank: 2 }),
    cosineEmbedding: () => ({ shape: [4], y: each([n], (i) => (i % 2 ? 1 : -1)), rank: 1 }),
  };
})();

/** Two outputs, which are 1 for an input of 1. */
class Fork extends Layer {
  readonly a = linearModel(1);
  readonly b = linearModel(1);
  forward(x: Tensor) {
    return { a: this.a.forward(x), b: this.b.forward(x) };
  }
}

/** Returns what a loss takes, of as many numbers as it has in all. */
class Shaped extends Layer {
  readonly dense: Dense;
  constructor(
    readonly loss: LossName,
    readonly shape: number[],
  ) {
    super();
    this.dense = new Dense(
      3,
      shape.reduce((a, b) => a * b),
    );
  }
  forward(x: Tensor) {
    const y = this.dense.forward(x);
    if (this.loss === 'cosineEmbedding') {
      const [a, b] = y.split(2, 1);
      return [a, b] as unknown as Tensor;
    }
    const shaped = y.reshape([-1, ...this.shape]);
    if (this.loss === 'binaryCrossEntropy') return shaped.sigmoid();
    return this.loss === 'klDivergence' ? shaped.logSoftmax() : shaped;
  }
}

const weights = Float32Array.from({ length: n }, (_, i) => (i * 7) % 5);
const inputs = () => {
  seed(5);
  return randn([n, 3]);
};

/** A loss that has the weights of examples among its targets: what they are to mean, written out. */
const byHand = (loss: LossName, rank: number) => (prediction: Tensor, y: { t: Tensor; w: Tensor }) => {
  const each = (losses[loss] as typeof losses.mse)(prediction, y.t, { reduction: 'none' });
  expect(each.rank).toBe(rank);
  return each.mul(y.w.reshape([-1, ...Array.from({ length: rank - 1 }, () => 1)])).mean();
};

describe.each(Object.keys(losses) as LossName[])('weights of examples beside %s', (name) => {
  const { shape, y, rank } = targets[name]();
  const x = inputs();
  const make = () => {
    seed(9);
    const model = new Shaped(name, shape);
    return { model, optimizer: new SGD(model.parameters(), { learningRate: 0.1 }) };
  };
  const batches = <Y>(whole: (range: readonly [number, number]) => Y) =>
    [[0, 8] as const, [8, 16] as const, [16, n] as const].map((range) => ({
      x: x.slice([range]),
      ...whole(range),
    }));
  const given = { x, y, sampleWeight: weights };
  const carried = { x, y: { t: y, w: tensor(weights) } };
  const common = { epochs: 2, batchSize: 8, seed: 4 };

  it.each<[string, Data<never, never>, Data<never, never>, object]>([
    ['in memory', given, carried, {}],
    ['eager', given, carried, { compiled: false }],
    ['without the rest', given, carried, { dropLast: true }],
    ['with updates by two batches', given, carried, { accumulate: 2 }],
    [
      'in batches',
      batches((range) => ({ y: y.slice([range]), sampleWeight: Array.from(weights.slice(...range)) })),
      batches((range) => ({ y: { t: y.slice([range]), w: tensor(weights.slice(...range)) } })),
      {},
    ],
  ] as never)('learn what a loss of them learns, %s', async (_, own, other, options) => {
    const [a, b] = [make(), make()];
    const seen = await fit(a.model, own, {
      ...common,
      ...options,
      loss: name,
      optimizer: a.optimizer,
      validation: given,
    } as never);
    const expected = await fit(b.model, other, {
      ...common,
      ...options,
      loss: byHand(name, rank),
      optimizer: b.optimizer,
      validation: carried,
    } as never);
    expectClose(numbers(a.model).flat(), numbers(b.model).flat(), 5);
    expectClose(lossesOf(seen), lossesOf(expected), 5);
    const scores = (history: History) => history.epochs.map(({ validation }) => validation!.loss!);
    expectClose(scores(seen), scores(expected), 5);
  });

  it('of 1 change nothing, and of 0 leave no gradient', async () => {
    const [a, b] = [make(), make()];
    const plain = await fit(a.model, { x, y } as never, { ...common, loss: name, optimizer: a.optimizer });
    const ones = { x, y, sampleWeight: new Uint8Array(n).fill(1) };
    const seen = await fit(b.model, ones as never, { ...common, loss: name, optimizer: b.optimizer });
    expectClose(lossesOf(seen), lossesOf(plain), 5);
    const before = numbers(a.model);
    const none = { x, y, sampleWeight: new Uint8Array(n) };
    const { epochs } = await fit(a.model, none as never, { ...common, loss: name, optimizer: a.optimizer });
    expect(numbers(a.model)).toEqual(before);
    expect(epochs.map((epoch) => epoch.loss)).toEqual([0, 0]);
  });
});

/**
 * Four steps of SGD(lr=0.5) on the whole batch by PyTorch 1.13 in float64, the losses before them and the weights after:
 *
 *     X = torch.tensor([[1., 2], [-1, 1], [0.5, -2], [2, 0.5]]); w = torch.tensor([1., 0.5, 3, 0])
 *     classes:   (F.cross_entropy(X @ W.T, torch.tensor([0, 1, 1, 2]), reduction='none') * w).mean()
 *     binary:    (F.binary_cross_entropy_with_logits(X @ W.T, [[0., 1], [1, 1], [0, 0], [1, 0]], reduction='none').mean(1) * w).mean()
 *     numbers:   (F.mse_loss(X @ W.T, [[-1., 1], [2, 0], [.5, .5], [3, -1]], reduction='none').mean(1) * w).mean()
 *     positions: (F.cross_entropy((X @ W.T).reshape(4, 2, 2).transpose(1, 2), [[0, 1], [1, 1], [0, 0], [1, 0]], reduction='none')
 *                 * [[1., 0], [.5, 2], [3, 1], [0, 0]]).mean()
 */
const x = [
  [1, 2],
  [-1, 1],
  [0.5, -2],
  [2, 0.5],
];
const start = [
  [0.1, -0.2],
  [0.3, 0.4],
  [-0.5, 0.6],
  [0.2, -0.1],
];
const w = [1, 0.5, 3, 0];
const trained: [string, { loss: LossName; y: unknown; w: unknown; losses: number[]; weight: number[][] }][] =
  [
    [
      'classes',
      {
        loss: 'softmaxCrossEntropy',
        y: [0, 1, 1, 2],
        w,
        losses: [1.8178227638440787, 0.6347483534732733, 0.5223648426445913, 0.47946772977658836],
        weight: [
          [0.2293960570779871, 0.9102598356270656],
          [0.2283167802373846, -0.5699728541071889],
          [-0.5577128373153718, 0.4597130184801236],
        ],
      },
    ],
    [
      'binary',
      {
        loss: 'binaryCrossEntropyWithLogits',
        y: [
          [0, 1],
          [1, 1],
          [0, 0],
          [1, 0],
        ],
        w: tensor(w, { dtype: 'float64' }),
        losses: [0.7101224208694397, 0.5688863524340421, 0.48154045298807036, 0.4242160826102838],
        weight: [
          [-0.2649670939721601, 0.31565204267394265],
          [0.20120818028165113, 0.9181457536596893],
        ],
      },
    ],
    [
      'numbers',
      {
        loss: 'mse',
        y: [
          [-1, 1],
          [2, 0],
          [0.5, 0.5],
          [3, -1],
        ],
        // A column, as tables have it.
        w: w.map((value) => [value]),
        losses: [0.8906249999999998, 0.8453399658203123, 0.8633232623338694, 0.9230769424029854],
        weight: [
          [-0.5093579292297363, -0.25531978607177735],
          [0.5922493934631348, 0.5934461593627927],
        ],
      },
    ],
    [
      'positions',
      {
        loss: 'softmaxCrossEntropy',
        y: tensor(
          [
            [0, 1],
            [1, 1],
            [0, 0],
            [1, 0],
          ],
          { dtype: 'int32' },
        ),
        w: [[1, 0], new Float64Array([0.5, 2]), [3, 1], [0, 0]],
        losses: [0.9862487477174636, 0.740801181705693, 0.5715964854929915, 0.46331310391794256],
        weight: [
          [0.41742519742156947, -0.19968049557950202],
          [-0.01742519742156949, 0.39968049557950214],
          [-0.11754270184419943, -0.007225570697974887],
          [-0.18245729815580053, 0.5072255706979749],
        ],
      },
    ],
  ];

describe('weights of examples', () => {
  it.each(trained)('train as in PyTorch: %s', async (name, { loss, y, w, losses: expected, weight }) => {
    for (const compiled of [true, false]) {
      const model = new Linear(start.slice(0, weight.length), name === 'positions' ? 2 : undefined);
      const optimizer = new SGD(model.parameters(), { learningRate: 0.5 });
      const data = { x: tensor(x, { dtype: 'float64' }), y, sampleWeight: w } as never;
      const seen = await fit(model, data, { loss, optimizer, epochs: 4, shuffle: false, compiled });
      expectClose(lossesOf(seen), expected, 12);
      expectClose(model.weight.data, weight.flat(), 12);
    }
  });

  it('go with their examples into what is divided, drawn and batched', async () => {
    // Whichever example comes when: the weighted loss tells them apart.
    const y = Array.from({ length: 40 }, (_, i) => [i]);
    const sampleWeight = Array.from({ length: 40 }, (_, i) => 100 - i);
    const { train, test } = trainTestSplit({ x: y, y, sampleWeight }, { seed: 2 });
    const expected = (rows: number[][]) =>
      rows.reduce((sum, [i]) => sum + i * i * (100 - i), 0) / rows.length;
    const zero = linearModel();
    for (const part of [train, test]) {
      const { loss } = await evaluate(zero, part, { loss: 'mse', batchSize: 7 });
      expect(loss! / expected(part.y)).toBeCloseTo(1, 6);
    }
    const items = stream(y.map((own, i) => ({ x: own, y: own, sampleWeight: sampleWeight[i] })));
    const { loss } = await evaluate(zero, items.shuffle(10, { seed: 1 }).batch(9), { loss: 'mse' });
    expect(loss! / expected(y)).toBeCloseTo(1, 6);
  });

  it('may come with some batches and not with others', async () => {
    const data = [
      { x: [[1], [2]], y: [[1], [2]], sampleWeight: [3, 0] },
      { x: [[1], [2]], y: [[1], [2]] },
      { x: [[1], [2]], y: [[1], [2]], sampleWeight: undefined },
      { x: [[1], [2]], y: [[1], [2]], sampleWeight: Int32Array.of(0, 1) },
    ];
    const zero = linearModel();
    for (let i = 0; i < 3; i++) {
      const { loss } = await evaluate(zero, data, { loss: 'mse' });
      expect(loss).toBeCloseTo((3 + 5 + 5 + 4) / 8, 6);
    }
  });

  it('leave metrics as they are, which count each example once', async () => {
    const model = linearModel(2, -1);
    const data = { x: [[0], [1], [2]], y: [[1], [1], [2]] };
    const options = { loss: 'mse', metrics: ['meanAbsoluteError'], batchSize: 2 } as const;
    const plain = await evaluate(model, data, options);
    const weighted = await evaluate(model, { ...data, sampleWeight: [0, 1, 4] }, options);
    expect(weighted.meanAbsoluteError).toBe(plain.meanAbsoluteError);
    expect(weighted.loss).toBeCloseTo(4 / 3, 6);
  });

  it('are of outputs, all of them or by name, where each has a loss', async () => {
    const y = { a: [[1], [2], [3]], b: [[2], [0], [1]] };
    const model = new Fork();
    const loss = { a: 'mse', b: { loss: 'meanAbsoluteError', weight: 2 } } as const;
    const score = async (sampleWeight: unknown) =>
      (await evaluate(model, { x: [[1], [1], [1]], y, sampleWeight } as never, { loss })).loss;
    // Both outputs are 1.
    expect(await score([1, 2, 3])).toBeCloseTo((0 + 2 + 12) / 3 + (2 * (1 + 2 + 0)) / 3, 6);
    expect(await score({ b: [1, 2, 3] })).toBeCloseTo((0 + 1 + 4) / 3 + (2 * (1 + 2 + 0)) / 3, 6);
    expect(await score({ a: [0, 0, 1], b: Uint8Array.of(0, 0, 7) })).toBeCloseTo(4 / 3, 6);
    const optimizer = new SGD(model.parameters(), { learningRate: 0.1 });
    const data = { x: [[1], [1], [1]], y, sampleWeight: { a: [0, 0, 0], b: [2, 1, 1] } };
    const before = numbers(model.a);
    await fit(model, data, { loss, optimizer, epochs: 3 });
    expect(numbers(model.a)).toEqual(before);
    expect(numbers(model.b)).not.toEqual(before);
    await refuses(
      model,
      () => fit(model, { ...data, sampleWeight: { c: [1, 1, 1] } }, { loss, optimizer }),
      DataError,
      /a, b, .* "c"/,
    );
    await refuses(
      model,
      () => fit(model, { ...data, sampleWeight: { a: [1, 1] } }, { loss, optimizer }),
      ShapeError,
      /sampleWeight\.a/,
    );
  });

  it('want the loss of each example from a function', async () => {
    const data = { ...line(5), sampleWeight: [1, 2, 3, 4, 5] };
    const model = linearModel();
    const optimizer = new Adam(model.parameters());
    const mean = (p: Tensor, t: Tensor) => losses.mse(p, t);
    await refuses(
      model,
      () => fit(model, data, { loss: mean, optimizer }),
      ArgumentError,
      /reduction: 'none'/,
    );
    await refuses(
      model,
      () => evaluate(model, data, { loss: mean, compiled: false }),
      ArgumentError,
      /reduction: 'none'/,
    );
    const turned = (p: Tensor, t: Tensor) => p.sub(t).square().transpose();
    await refuses(model, () => fit(model, data, { loss: turned, optimizer }), ShapeError, /losses \[1, 5\]/);
    const each = (p: Tensor, t: Tensor) => p.sub(t).square().sum([1]);
    const a = await evaluate(model, data, { loss: each });
    expect(a.loss).toBeCloseTo((await evaluate(model, data, { loss: 'mse' })).loss!, 6);
    const wide = { ...data, sampleWeight: line(5).x.map(() => [1, 2]) };
    await refuses(model, () => fit(model, wide, { loss: 'mse', optimizer }), ShapeError, /losses \[5, 1\]/);
  });

  it('tell a loss that is not finite as it is', async () => {
    const model = linearModel(1e30);
    const optimizer = new SGD(model.parameters(), { learningRate: 1 });
    const data = { x: [[1]], y: [[1]], sampleWeight: [2] };
    const error = (await rejection(fit(model, data, { loss: 'mse', optimizer }))) as Error;
    expect(error).toBeInstanceOf(NonFiniteError);
    expect(error.message).toMatch(/loss is Infinity at epoch 1, batch 1/);
  });

  it('are there again where a training goes on', async () => {
    const data = { ...line(20), sampleWeight: Array.from({ length: 20 }, (_, i) => i % 4) };
    const make = () => {
      const model = linearModel(0.5);
      return { model, optimizer: new Adam(model.parameters(), { learningRate: 0.05 }) };
    };
    const options = { loss: 'mse', epochs: 3, batchSize: 6, seed: 3 } as const;
    const whole = make();
    const { epochs } = await fit(whole.model, data, { ...options, optimizer: whole.optimizer });
    const first = make();
    let last: Checkpoint | undefined;
    const save = (taken: Checkpoint) => {
      last = taken;
    };
    await fit(first.model, data, {
      ...options,
      epochs: 2,
      optimizer: first.optimizer,
      callbacks: [checkpoint({ save, every: 5 })],
    });
    const second = make();
    const rest = await fit(second.model, data, { ...options, optimizer: second.optimizer, resume: last });
    expect(numbers(second.model)).toEqual(numbers(whole.model));
    expect(rest.epochs.map(({ loss }) => loss)).toEqual(epochs.map(({ loss }) => loss));
  });

  it.each<[string, unknown, typeof DataError | typeof ShapeError, RegExp]>([
    ['a negative one', [1, -0.5, 1], DataError, /finite weights of at least 0, got -0.5 at row 1/],
    ['NaN', [1, 1, Number.NaN], DataError, /sampleWeight .* got NaN at row 2/],
    ['one beyond float32', [1e39, 1, 1], DataError, /got Infinity at row 0/],
    ['too few', [1, 1], ShapeError, /sampleWeight.* to hold as many examples, got 3 and 2/],
    ['a single one', tensor(1), ShapeError, /sampleWeight.* to be \[examples, \.\.\.\]/],
    ['text', 'heavy', DataError, /sampleWeight/],
    ['null', null, DataError, /sampleWeight/],
    ['a record where there is one loss', { a: [1, 1, 1] }, DataError, /one loss .* record with "a"/],
    ['an empty record', {}, DataError, /an empty record/],
  ])('refuse %s, wherever they are given', async (_, sampleWeight, kind, message) => {
    const model = linearModel(0.5);
    const optimizer = new SGD(model.parameters(), { learningRate: 0.1 });
    const good = { x: [[1], [2], [3]], y: [[1], [2], [3]] };
    const bad = { ...good, sampleWeight } as never;
    const options = { loss: 'mse', optimizer } as const;
    await refuses(model, () => fit(model, bad, options), kind, message);
    await refuses(model, () => fit(model, [bad], { ...options, compiled: false }), kind, message);
    await refuses(model, () => fit(model, good, { ...options, validation: bad }), kind, message);
    await refuses(model, () => evaluate(model, [bad], { loss: 'mse' }), kind, message);
  });
});

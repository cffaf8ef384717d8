/** Weights of classes: beside each loss of classes what weights of examples by their classes are. */
import { describe, expect, it } from 'vitest';
import {
  ArgumentError,
  AxpyError,
  type ClassWeight,
  DataError,
  Dense,
  fit,
  type History,
  Layer,
  losses,
  randn,
  SGD,
  seed,
  stream,
  type Tensor,
  tensor,
} from '../../lib/index.ts';
import type { LossChoice } from '../../lib/train/loss.ts';
import { Linear, numbers, refuses, rejection } from './support.ts';

const n = 12;
const lossesOf = ({ epochs }: History) => epochs.map(({ loss }) => loss);
const int32 = (values: number[], shape = [values.length]) =>
  tensor(values, { dtype: 'int32' }).reshape(shape);
const range = <Item>(size: number, item: (i: number) => Item) =>
  Array.from({ length: size }, (_, i) => item(i));

class Pair extends Layer {
  readonly dense = new Dense(2, 4);
  forward(x: Tensor) {
    return this.dense.forward(x).split(2, 1) as unknown as Tensor;
  }
}

class Positions extends Layer {
  readonly dense = new Dense(2, 6);
  forward(x: Tensor): Tensor {
    return this.dense.forward(x).reshape([-1, 2, 3]);
  }
}

const dense = (outputs: number) => () => new Dense(2, outputs);
const each = (p: Tensor, t: Tensor) =>
  losses.softmaxCrossEntropy(p, t as Tensor<'int32'>, { reduction: 'none', labelSmoothing: 0.1 });

/** Each with targets, the classes of these, and how they are weighed. */
const cases: [string, LossChoice, () => Layer, unknown, number[] | number[][], ClassWeight][] = [
  ['labels', 'softmaxCrossEntropy', dense(3), range(n, (i) => i % 3), range(n, (i) => i % 3), [1, 0.5, 3]],
  [
    'labels of a typed array',
    losses.multiMargin,
    dense(3),
    Int32Array.from(range(n, (i) => (i * i) % 3)),
    range(n, (i) => (i * i) % 3),
    new Float32Array([1, 0, 4]),
  ],
  [
    'rows',
    'softmaxCrossEntropy',
    dense(3),
    range(n, (i) => range(3, (j) => Number(i % 3 === j))),
    range(n, (i) => i % 3),
    { 1: 5 },
  ],
  [
    'positions',
    'softmaxCrossEntropy',
    () => new Positions(),
    int32(
      range(2 * n, (i) => i % 3),
      [n, 2],
    ),
    range(n, (i) => [(2 * i) % 3, (2 * i + 1) % 3]),
    tensor([2, 1, 0]),
  ],
  [
    'one score',
    'binaryCrossEntropyWithLogits',
    dense(1),
    range(n, (i) => [i % 2]),
    range(n, (i) => i % 2),
    { 1: 7 },
  ],
  [
    'labels beside each other',
    'focal',
    dense(2),
    range(n, (i) => [i % 2, Number(i < 3)]),
    range(n, (i) => [i % 2, Number(i < 3)]),
    [0.5, 2],
  ],
  [
    'signs',
    'hinge',
    dense(1),
    range(n, (i) => [i % 3 ? 1 : -1]),
    range(n, (i) => Number(i % 3 > 0)),
    { 0: 3 },
  ],
  [
    'signs of pairs',
    'cosineEmbedding',
    () => new Pair(),
    range(n, (i) => (i % 3 ? 1 : -1)),
    range(n, (i) => Number(i % 3 > 0)),
    [4, 1],
  ],
  ['a function', each, dense(3), int32(range(n, (i) => i % 3)), range(n, (i) => i % 3), [1, 2, 3]],
];

const weightOf = (weights: ClassWeight, label: number) => {
  const own = (weights as { readonly data?: unknown }).data ?? weights;
  return (own as Record<number, number>)[label] ?? 1;
};

/** scikit-learn's, of classes that there are. */
function balanced(labels: number[]): Record<number, number> {
  const present = [...new Set(labels)];
  return Object.fromEntries(
    present.map((label) => [
      label,
      labels.length / (present.length * labels.filter((own) => own === label).length),
    ]),
  );
}

describe.each(cases)('weights of classes beside %s', (_, loss, make, y, labels, classWeight) => {
  const trained = async (data: unknown, options: object) => {
    seed(3);
    const model = make();
    const optimizer = new SGD(model.parameters(), { learningRate: 0.2 });
    const history = await fit(
      model,
      data as never,
      { loss, optimizer, epochs: 2, batchSize: 5, seed: 1, ...options } as never,
    );
    return { numbers: numbers(model), losses: lossesOf(history) };
  };
  seed(7);
  const x = randn([n, 2]);
  const byHand = (weights: ClassWeight) =>
    (labels as (number | number[])[]).map((own) =>
      Array.isArray(own) ? own.map((label) => weightOf(weights, label)) : weightOf(weights, own),
    );

  it.each([{}, { compiled: false }, { accumulate: 2 }, { dropLast: true }])(
    'are those of examples, %o',
    async (options) => {
      expect(await trained({ x, y }, { ...options, classWeight })).toEqual(
        await trained({ x, y, sampleWeight: byHand(classWeight) }, options),
      );
    },
  );

  it('are those of examples in batches, and balanced in memory', async () => {
    const batch = [{ x, y }];
    expect(await trained(batch, { classWeight })).toEqual(
      await trained([{ x, y, sampleWeight: byHand(classWeight) }], {}),
    );
    const sampleWeight = byHand(balanced(labels.flat()));
    const own = await trained({ x, y }, { classWeight: 'balanced' });
    expect(own).toEqual(await trained({ x, y, sampleWeight }, {}));
    for (const data of [batch, () => batch, stream([{ x: [1, 2], y: 0 }]).batch(1)]) {
      expect(String(await rejection(trained(data, { classWeight: 'balanced' })))).toMatch(
        /in memory .* n \/ \(k · count\)/,
      );
    }
  });

  it('count beside weights that examples have, and not in validation', async () => {
    const own = range(n, (i) => i % 4);
    const both = byHand(classWeight).map((weight, i) =>
      Array.isArray(weight) ? weight.map((one) => one * own[i]) : weight * own[i],
    );
    expect(await trained({ x, y, sampleWeight: own }, { classWeight })).toEqual(
      await trained({ x, y, sampleWeight: both }, {}),
    );
    const seen: unknown[] = [];
    const validation = { x, y };
    const callbacks = [
      { onEpochEnd: (_: unknown, record: { validation: unknown }) => void seen.push(record.validation) },
    ];
    await trained({ x, y }, { classWeight, validation, callbacks });
    await trained({ x, y, sampleWeight: byHand(classWeight) }, { validation, callbacks });
    expect(seen.slice(0, 2)).toEqual(seen.slice(2));
  });
});

/**
 * Four steps of SGD(lr=0.5) on the whole batch by PyTorch 1.13 in float64, the losses before them and the weights after:
 *
 *     X = torch.tensor([[1., 2], [-1, 1], [0.5, -2], [2, 0.5]]); y = torch.tensor([0, 1, 1, 2]); w = torch.tensor([1., 0.5, 3])
 *     labels:    F.cross_entropy(X @ W.T, y, weight=w, reduction='sum') / 4
 *     margins:   F.multi_margin_loss(X @ W.T, y, weight=w)
 *     binary:    F.binary_cross_entropy_with_logits(X @ W.T, [[0., 1], [1, 1], [0, 0], [1, 0]], pos_weight=torch.tensor(3.))
 *     positions: F.cross_entropy((X @ W.T).reshape(4, 2, 2).transpose(1, 2), [[0, 1], [1, 1], [0, 0], [1, 0]],
 *                                weight=torch.tensor([1., 3]), reduction='sum') / 8
 */
const labels = [0, 1, 1, 2];
const pairs = [
  [0, 1],
  [1, 1],
  [0, 0],
  [1, 0],
];
const torch: [string, LossChoice, unknown, ClassWeight, number[], number[][]][] = [
  [
    'labels',
    'softmaxCrossEntropy',
    labels,
    [1, 0.5, 3],
    [2.4158861641828113, 1.1838230088102932, 0.8781892952359265, 0.7310131156993913],
    [
      [-0.17928695953712237, 0.5653472537467834],
      [-0.6005484042045703, -0.12821952053968505],
      [0.6798353637416926, 0.3628722667929017],
    ],
  ],
  [
    'margins',
    'multiMargin',
    labels,
    { 1: 0.5, 2: 3 },
    [1.6458333333333333, 0.8528645833333335, 0.43880208333333337, 0.30585937500000004],
    [
      [-0.025, 0.425],
      [-0.4604166666666667, -0.1833333333333333],
      [0.3854166666666667, 0.5583333333333333],
    ],
  ],
  [
    'binary',
    'binaryCrossEntropyWithLogits',
    pairs,
    { 1: 3 },
    [1.2975264826637216, 1.1299519544282408, 1.017076212993815, 0.9380727922444521],
    [
      [0.15606408935444754, 0.33141941114519835],
      [-0.1733312900355428, 1.0015625041883927],
    ],
  ],
  [
    'positions',
    'softmaxCrossEntropy',
    int32(pairs.flat(), [4, 2]),
    [1, 3],
    [2.0109312056696966, 1.2152642135467722, 0.9599975522440486, 0.8481245110973772],
    [
      [0.11911366397419135, -0.29940118990555853],
      [0.28088633602580854, 0.4994011899055585],
      [0.009641369401960892, -0.34403954696124894],
      [-0.30964136940196085, 0.8440395469612492],
    ],
  ],
];

describe('weights of classes', () => {
  it.each(torch)('train as in PyTorch: %s', async (name, loss, y, classWeight, expected, weight) => {
    const start = [
      [0.1, -0.2],
      [0.3, 0.4],
      [-0.5, 0.6],
      [0.2, -0.1],
    ];
    const x = tensor(
      [
        [1, 2],
        [-1, 1],
        [0.5, -2],
        [2, 0.5],
      ],
      { dtype: 'float64' },
    );
    for (const compiled of [true, false]) {
      const model = new Linear(start.slice(0, weight.length), name === 'positions' ? 2 : undefined);
      const optimizer = new SGD(model.parameters(), { learningRate: 0.5 });
      const data = { x, y } as never;
      const options = { loss, classWeight, optimizer, epochs: 4, shuffle: false, compiled } as never;
      const seen = await fit(model, data, options);
      lossesOf(seen).forEach((own, i) => void expect(own).toBeCloseTo(expected[i], 12));
      model.weight.data.forEach((own, i) => void expect(own).toBeCloseTo(weight.flat()[i], 12));
    }
  });

  it('balanced are those of scikit-learn, with a mean of 1', async () => {
    // compute_class_weight('balanced', classes=[0, 1], y=[1, 1, 1, 1, 0, 0]) → [1.5, 0.75]
    expect(balanced([1, 1, 1, 1, 0, 0])).toEqual({ 0: 1.5, 1: 0.75 });
    const model = new Linear([
      [0, 0],
      [0, 1],
    ]);
    const optimizer = new SGD(model.parameters(), { learningRate: 0 });
    const data = { x: range(6, () => [0, 1]), y: [1, 1, 1, 1, 0, 0] };
    const { epochs } = await fit(
      model,
      { ...data, x: tensor(data.x, { dtype: 'float64' }) },
      { loss: 'softmaxCrossEntropy', classWeight: 'balanced', optimizer },
    );
    const logistic = (z: number) => Math.log(1 + Math.exp(z));
    expect(epochs[0].loss).toBeCloseTo((4 * 0.75 * logistic(-1) + 2 * 1.5 * logistic(1)) / 6, 12);
  });

  it('are by output where losses are', async () => {
    class Fork extends Layer {
      readonly kind = new Dense(2, 3);
      readonly sold = new Dense(2, 1);
      readonly price = new Dense(2, 1);
      forward(x: Tensor) {
        return { kind: this.kind.forward(x), sold: this.sold.forward(x), price: this.price.forward(x) };
      }
    }
    seed(4);
    const x = randn([n, 2]);
    const y = {
      kind: range(n, (i) => i % 3),
      sold: range(n, (i) => [Number(i < 3)]),
      price: range(n, (i) => [i]),
    };
    const loss = {
      kind: 'softmaxCrossEntropy',
      sold: { loss: 'binaryCrossEntropyWithLogits', weight: 2 },
      price: 'mse',
    } as const;
    const trained = async (sampleWeight: unknown, options: object) => {
      seed(5);
      const model = new Fork();
      const optimizer = new SGD(model.parameters(), { learningRate: 0.01 });
      await fit(model, { x, y, sampleWeight } as never, {
        loss,
        optimizer,
        batchSize: 5,
        seed: 1,
        ...options,
      });
      return numbers(model);
    };
    const classWeight = { kind: [1, 2, 3], sold: 'balanced' } as const;
    const [kind, sold] = [y.kind.map((label) => label + 1), y.sold.map(([label]) => (label ? 2 : 12 / 18))];
    expect(await trained(undefined, { classWeight })).toEqual(await trained({ kind, sold }, {}));
    const own = range(n, (i) => i % 2);
    const times = (weights: number[]) => weights.map((weight, i) => weight * own[i]);
    expect(await trained(own, { classWeight })).toEqual(
      await trained({ kind: times(kind), sold: times(sold), price: own }, {}),
    );
    expect(await trained({ sold: own }, { classWeight })).toEqual(
      await trained({ kind, sold: times(sold) }, {}),
    );
    for (const [wrong, message] of [
      [[1, 2, 3], /by the names of outputs, kind, sold, price/],
      ['balanced', /by the names of outputs/],
      [{ colour: [1, 2] }, /names of outputs, kind, sold, price, got "colour"/],
      [{ price: [1, 2] }, /classWeight\.price beside a loss of classes/],
      [
        { kind: [1, 2] },
        /y\.kind to hold classes that classWeight\.kind has a weight for, 0 to 1, got 2 at row 2/,
      ],
      [{ sold: [1, 2, 3] }, /classWeight\.sold .* 2 classes, got 3/],
    ] as const) {
      const error = await rejection(trained(undefined, { classWeight: wrong }));
      expect(error).toBeInstanceOf(AxpyError);
      expect((error as Error).message).toMatch(message);
    }
  });

  it('leave labels below 0 alone, which a function may mean none by', async () => {
    const y = int32([0, 1, -1, 1]);
    const own = (p: Tensor, t: Tensor) =>
      losses.softmaxCrossEntropy(p, t as Tensor<'int32'>, { reduction: 'none', ignoreIndex: -1 });
    const x = [
      [1, 2],
      [3, 4],
      [5, 6],
      [7, 8],
    ];
    const trained = async (sampleWeight: number[] | undefined, classWeight: ClassWeight | undefined) => {
      seed(5);
      const model = new Dense(2, 2);
      const optimizer = new SGD(model.parameters(), { learningRate: 0.01 });
      await fit(model, { x, y, sampleWeight }, { loss: own, classWeight, optimizer });
      return numbers(model);
    };
    expect(await trained(undefined, [2, 3])).toEqual(await trained([2, 3, 1, 3], undefined));
    expect(await trained(undefined, 'balanced')).toEqual(await trained([1.5, 0.75, 1, 0.75], undefined));
  });

  it.each<[string, unknown, LossChoice, unknown, RegExp, typeof DataError?]>([
    ['too few', [1, 2], 'softmaxCrossEntropy', [0, 1, 2], /a weight for each of 3 classes, got 2/],
    [
      'too many',
      new Float32Array(4),
      'softmaxCrossEntropy',
      [0, 1, 2],
      /a weight for each of 3 classes, got 4/,
    ],
    ['a class that there is not', { 3: 1 }, 'softmaxCrossEntropy', [0, 1, 2], /classes from 0 to 2, got 3/],
    ['names', { cat: 1 }, 'softmaxCrossEntropy', [0, 1, 2], /by their numbers from 0, got "cat"/],
    ['a negative one', [1, -1, 1], 'softmaxCrossEntropy', [0, 1, 2], /at least 0, got -1 for class 1/],
    ['NaN', { 2: Number.NaN }, 'softmaxCrossEntropy', [0, 1, 2], /got NaN for class 2/],
    ['none', {}, 'softmaxCrossEntropy', [0, 1, 2], /got none/],
    ['another word', 'balance', 'softmaxCrossEntropy', [0, 1, 2], /or 'balanced', got "balance"/],
    ['a table', tensor([[1, 2, 3]]), 'softmaxCrossEntropy', [0, 1, 2], /got a tensor \[1, 3\]/],
    ['null', null, 'softmaxCrossEntropy', [0, 1, 2], /got null/],
    [
      'a loss of numbers',
      [1, 2],
      'mse',
      [
        [0, 0, 0],
        [1, 1, 1],
        [0, 1, 0],
      ],
      /beside a loss of classes, .* sampleWeight/,
    ],
    [
      'three for two',
      { 2: 1 },
      'focal',
      [
        [0, 0, 0],
        [1, 1, 1],
        [0, 1, 0],
      ],
      /classes from 0 to 1, got 2/,
    ],
    [
      'probabilities',
      [1, 2],
      'binaryCrossEntropyWithLogits',
      [
        [0, 0, 0],
        [1, 0.5, 1],
        [0, 1, 0],
      ],
      /targets 0 and 1 .* got 0.5 at row 1, position 1/,
      DataError,
    ],
    [
      'rows of probabilities',
      [1, 2, 3],
      'softmaxCrossEntropy',
      [
        [0, 0, 1],
        [0.5, 0.5, 0],
        [0, 1, 0],
      ],
      /one-hot .* row 1/,
      DataError,
    ],
    [
      'numbers beside a function',
      [1, 2, 3],
      each,
      [0, 1, 2],
      /int32 labels .* beside a function, got float32 \[3\]/,
      DataError,
    ],
  ])('refuse %s', async (_, classWeight, loss, y, message, kind = ArgumentError) => {
    const model = new Dense(2, 3);
    const optimizer = new SGD(model.parameters(), { learningRate: 0.1 });
    const data = {
      x: [
        [1, 2],
        [3, 4],
        [5, 6],
      ],
      y,
    } as never;
    const act = () => fit(model, data, { loss, optimizer, classWeight } as never);
    await refuses(model, act, kind, message);
  });
});

/** Targets out of the domain of a loss of `losses`: refused before anything has changed, wherever they come from. */
import { describe, expect, it } from 'vitest';
import {
  Adam,
  type AxpyError,
  DataError,
  Dense,
  evaluate,
  fit,
  IndexError,
  Layer,
  type LossFunction,
  type LossName,
  losses,
  NonFiniteError,
  Sequential,
  type Tensor,
  tensor,
} from '../../lib/index.ts';
import { labels, numbers, refuses, rejection } from './support.ts';

const x = Array.from({ length: 40 }, (_, i) => [Math.sin(i), Math.cos(3 * i)]);
const model = (outputs: number) => new Sequential([new Dense(2, outputs, { activation: 'sigmoid' })]);

/** Every way in which targets get to a loss, for both its name and itself. */
function ways(loss: LossName, outputs: number, bad: unknown, good: unknown) {
  const net = model(outputs);
  const optimizer = () => new Adam(net.parameters());
  const y = bad as number[][];
  const data = { x, y: good as number[][] };
  async function* stream() {
    yield data;
    yield { x, y };
  }
  return {
    net,
    before: [
      () => fit(net, { x, y }, { loss, optimizer: optimizer() }),
      () =>
        fit(net, { x, y }, { loss: losses[loss] as LossFunction, optimizer: optimizer(), compiled: false }),
      () => fit(net, [{ x, y }], { loss, optimizer: optimizer() }),
      () => fit(net, data, { loss, optimizer: optimizer(), validation: { x, y } }),
      () => evaluate(net, { x, y }, { loss }),
      () => evaluate(net, [data, { x, y }], { loss: losses[loss] as LossFunction }),
    ],
    later: [() => fit(net, stream, { loss, optimizer: optimizer() })],
  };
}

const column = (change: (i: number) => number | undefined) => x.map((_, i) => [change(i) ?? i % 2]);
const hot = (change: (i: number) => number[] | undefined) =>
  x.map((_, i) => change(i) ?? [0, 1, 2].map((c) => Number(c === i % 3)));
const whole = (change: (i: number) => number | undefined) => x.map((_, i) => change(i) ?? i % 3);
const none = () => undefined;

type Case = [
  loss: LossName,
  what: string,
  bad: unknown,
  kind: new (message: string) => AxpyError,
  message: RegExp,
];

const cases: Case[] = (['binaryCrossEntropy', 'binaryCrossEntropyWithLogits'] as const).flatMap(
  (loss): Case[] => [
    [
      loss,
      'bytes',
      column((i) => (i % 2) * 255),
      DataError,
      new RegExp(`between 0 and 1 for ${loss}, got 255 at row 1, position 0 .*divide by 255`),
    ],
    [
      loss,
      '−1 and 1',
      column((i) => 1 - 2 * (i % 2)),
      DataError,
      /got -1 at row 1, position 0 .*\(y \+ 1\) \/ 2/,
    ],
    [loss, 'one value', column((i) => (i === 17 ? 1.01 : undefined)), DataError, /got 1\.00999\d* at row 17/],
    [loss, 'labels from 1', column((i) => 1 + (i % 2)), DataError, /got 2 at row 1/],
  ],
);
cases.push(
  [
    'softmaxCrossEntropy',
    'a label too large',
    whole((i) => (i === 39 ? 3 : undefined)),
    IndexError,
    /y.* labels from 0 to 2 .*got 3 at row 39.*count from 0/,
  ],
  [
    'softmaxCrossEntropy',
    'a label below 0',
    labels(whole((i) => (i === 5 ? -1 : undefined))),
    IndexError,
    /labels from 0 to 2 .*got -1 at row 5/,
  ],
  [
    'softmaxCrossEntropy',
    'several labels',
    hot((i) => (i === 7 ? [1, 1, 0] : undefined)),
    DataError,
    /each row of .*y.* sum of 2 in row 7 .*binaryCrossEntropyWithLogits/,
  ],
  [
    'softmaxCrossEntropy',
    'no label',
    hot((i) => (i === 7 ? [0, 0, 0] : undefined)),
    DataError,
    /sum of 0 in row 7/,
  ],
  [
    'softmaxCrossEntropy',
    'one below 0',
    hot((i) => (i === 7 ? [1.5, -0.5, 0] : undefined)),
    DataError,
    /between 0 and 1 .*got 1.5 at row 7, position 0/,
  ],
  [
    'softmaxCrossEntropy',
    'labels in a column',
    column((i) => i % 3),
    DataError,
    /labels \[batch\] or probabilities \[batch, classes\] .*got \[\d+, 1\]: reshape labels to \[\d+\]/,
  ],
  [
    'softmaxCrossEntropy',
    'percentages',
    hot((i) => [100 * (i % 2), 0, 100 - 100 * (i % 2)]),
    DataError,
    /got 100 at row 0, position 2/,
  ],
  [
    'focal',
    'labels from 1',
    column((i) => 1 + (i % 2)),
    DataError,
    /between 0 and 1 for focal, got 2 at row 1/,
  ],
  ...(['hinge', 'squaredHinge'] as const).map(
    (loss): Case => [
      loss,
      '0 and 1',
      column(none),
      DataError,
      new RegExp(`targets -1 and 1 for ${loss}, got 0 at row 0, .*2 · y − 1`),
    ],
  ),
  [
    'multiMargin',
    'a label too large',
    whole((i) => (i === 39 ? 3 : undefined)),
    IndexError,
    /y.* labels from 0 to 2 for multiMargin, got 3 at row 39/,
  ],
  [
    'multiMargin',
    'fractions',
    whole((i) => i / 2),
    DataError,
    /integer labels for multiMargin, got 0\.5 at row 1/,
  ],
  [
    'klDivergence',
    'several labels',
    hot((i) => (i === 7 ? [1, 1, 0] : undefined)),
    DataError,
    /sum to 1 for klDivergence, got a sum of 2 in row 7/,
  ],
);

/** What each loss takes. */
function goodFor(loss: LossName): { outputs: number; good: unknown } {
  if (loss === 'softmaxCrossEntropy' || loss === 'klDivergence') return { outputs: 3, good: hot(none) };
  if (loss === 'multiMargin') return { outputs: 3, good: whole(none) };
  const isSigned = loss === 'hinge' || loss === 'squaredHinge';
  return { outputs: 1, good: column((i) => (isSigned ? 1 - 2 * (i % 2) : i % 2)) };
}

describe('targets out of the domain of a loss', () => {
  for (const [loss, what, bad, kind, message] of cases) {
    const { outputs, good } = goodFor(loss);
    it(`are refused before the first step: ${what} for ${loss}`, async () => {
      const { net, before, later } = ways(loss, outputs, bad, good);
      for (const way of before) await refuses(net, way, kind, message);
      for (const way of later) {
        const error = await rejection(way());
        expect(error).toBeInstanceOf(kind);
        expect((error as Error).message).toMatch(/batch 2/);
      }
    });
  }

  it('are found where the model does not tell its classes, by the step', async () => {
    class Own extends Layer {
      readonly dense = new Dense(2, 3);
      forward(input: Tensor) {
        return this.dense.forward(input);
      }
    }
    for (const compiled of [true, false]) {
      const net = new Own();
      const act = () =>
        fit(
          net,
          { x, y: whole(() => 3) },
          { loss: 'softmaxCrossEntropy', optimizer: new Adam(net.parameters()), compiled },
        );
      await refuses(net, act, IndexError, /3/);
      const negative = () =>
        fit(
          net,
          { x, y: whole((i) => -i) },
          { loss: 'softmaxCrossEntropy', optimizer: new Adam(net.parameters()), compiled },
        );
      await refuses(net, negative, IndexError, /labels of at least 0 .*got -1 at row 1/);
    }
  });
});

describe('targets that are none too many', () => {
  it('are those of soft labels, rounded or smoothed, and of several labels', async () => {
    const accepted: [LossName, number, unknown][] = [
      ['binaryCrossEntropy', 1, column((i) => i / 39)],
      ['binaryCrossEntropyWithLogits', 1, tensor(column((i) => (i % 2) * (1 + 1e-7)))],
      ['binaryCrossEntropyWithLogits', 3, hot((i) => [1, i % 2, 0])],
      ['softmaxCrossEntropy', 3, hot((i) => (i % 2 ? [0.33, 0.33, 0.33] : [0.9, 0.05, 0.05]))],
      ['softmaxCrossEntropy', 3, whole(none)],
      ['focal', 1, column((i) => i / 39)],
      ['hinge', 1, column((i) => 1 - 2 * (i % 2))],
      ['multiMargin', 3, whole(none)],
      ['klDivergence', 3, hot((i) => (i % 2 ? [0.33, 0.33, 0.33] : undefined))],
    ];
    for (const [loss, outputs, y] of accepted) {
      const net = model(outputs);
      await fit(net, { x, y: y as number[][] }, { loss, optimizer: new Adam(net.parameters()) });
    }
  });

  it('are any for a loss of the user, and for the others', async () => {
    const y = column((i) => 255 * (i % 2));
    for (const loss of [
      'mse',
      (p: Tensor, t: Tensor) => losses.binaryCrossEntropyWithLogits(p, t),
    ] as const) {
      const net = model(1);
      const before = numbers(net);
      await fit(net, { x, y }, { loss, optimizer: new Adam(net.parameters()) });
      expect(numbers(net)).not.toEqual(before);
    }
  });
});

describe('predictions that are no probabilities', () => {
  it('are named where binaryCrossEntropy is NaN of them', async () => {
    const net = new Sequential([new Dense(2, 1)]);
    (net.layers[0] as Dense).bias!.assign([7]);
    const act = () =>
      fit(net, { x, y: column(none) }, { loss: 'binaryCrossEntropy', optimizer: new Adam(net.parameters()) });
    await refuses(net, act, NonFiniteError, /takes probabilities, and one is \d.*sigmoid/);
    // PyTorch throws; here they are NaN, as a look at every number would cost every step.
    for (const p of [1.5, -0.5]) {
      for (const t of [0, 0.5, 1])
        expect(losses.binaryCrossEntropy(tensor([p]), tensor([t])).item()).toBeNaN();
    }
  });
});

it('takes rows of Int32Array as labels of sequences, and says so of plain ones that are none', async () => {
  const rows = Array.from({ length: 4 }, (_, i) => Int32Array.from({ length: 5 }, (_, j) => (i + j) % 2));
  const x = Array.from({ length: 4 }, (_, i) => Array.from({ length: 5 }, (_, j) => [i, j, (i + j) % 2]));
  const one = new Sequential([new Dense(3, 2)]);
  const state = one.stateDict();
  const train = async (y: unknown) => {
    one.loadStateDict(state);
    const optimizer = new Adam(one.parameters());
    const { epochs } = await fit(one, { x, y } as never, {
      loss: 'softmaxCrossEntropy',
      optimizer,
      epochs: 2,
      shuffle: false,
    });
    return epochs.map(({ loss }) => loss);
  };
  expect(await train(rows)).toEqual(await train(tensor(rows)));
  const error = await rejection(train(rows.map((row) => Array.from(row, (label) => 2 * label))));
  expect(error).toBeInstanceOf(DataError);
  expect((error as Error).message).toContain('rows of Int32Array');
});

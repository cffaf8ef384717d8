/** Schedules and plateaus in `fit`: what records and progress say, and trainings that are resumed. */
import { describe, expect, test } from 'vitest';
import {
  AdamW,
  AxpyError,
  type Checkpoint,
  checkpoint,
  Dense,
  type EpochRecord,
  fit,
  Parameter,
  progress,
  type ReduceOnPlateauOptions,
  reduceOnPlateau,
  SGD,
  schedules,
  seed,
} from '../../lib/index.ts';
import { read } from '../reference/read.ts';
import { line, linearModel } from './support.ts';

const { plateaus } = read<{
  plateaus: { options: ReduceOnPlateauOptions; values: number[]; rates: number[][] }[];
}>('schedules');

describe("reduceOnPlateau does what PyTorch's ReduceLROnPlateau does", () => {
  test.each(plateaus)('$options', ({ options, values, rates }) => {
    const groups = [0, 1].map(() => ({ parameters: [new Parameter([1])] }));
    const optimizer = new SGD([groups[0], { ...groups[1], learningRate: 1 }], { learningRate: 0.1 });
    const callback = reduceOnPlateau({ monitor: 'loss', mode: 'min', ...options });
    const context = { optimizer, monitors: ['loss'] } as never;
    callback.onTrainBegin!(context);
    values.forEach((loss, i) => {
      callback.onEpochEnd!(context, { loss } as EpochRecord);
      optimizer.groups.forEach(({ learningRate }, at) => {
        expect(learningRate, `epoch ${i}, group ${at}`).toBeCloseTo(rates[i][at], 14);
      });
    });
  });

  test.each<[string, unknown, RegExp]>([
    ['a factor of 1', { factor: 1 }, /factor to be at least 0 and less than 1, got 1/],
    ['half an epoch', { patience: 0.5 }, /patience to be an integer of at least 0, got 0.5/],
    ['an unknown option', { minLr: 1 }, /options among .*minLearningRate.*, got minLr/],
    ['another way to compare', { thresholdMode: 'relative' }, /thresholdMode to be rel or abs/],
    ['a number of its own', { monitor: 3 }, /monitor to be a string, got 3/],
  ])('%s is refused', (_, options, message) => {
    expect(() => reduceOnPlateau(options as never)).toThrow(AxpyError);
    expect(() => reduceOnPlateau(options as never)).toThrow(message);
  });
});

test('an optimizer that follows a schedule, and a number that no record has, are refused before training', async () => {
  const model = linearModel(1);
  const before = [...model.parameters()[0].data];
  const scheduled = new SGD(model.parameters(), { learningRate: schedules.cosine({ from: 0.1, steps: 4 }) });
  const run = (optimizer: SGD, monitor: string) =>
    fit(model, line(8), { loss: 'mse', optimizer, callbacks: [reduceOnPlateau({ monitor })] });
  await expect(run(scheduled, 'loss')).rejects.toThrow(/got some that follow a schedule/);
  await expect(run(new SGD(model.parameters(), { learningRate: 0.1 }), 'validation.loss')).rejects.toThrow(
    /wants validation data/,
  );
  expect([...model.parameters()[0].data]).toEqual(before);
});

test('records and progress tell the rate', async () => {
  const model = linearModel(1);
  const lines: string[] = [];
  const learningRate = schedules.exponential({ from: 0.1, factor: 0.5, every: 4 });
  const { epochs } = await fit(model, line(8), {
    loss: 'mse',
    optimizer: new SGD(model.parameters(), { learningRate }),
    batchSize: 2,
    epochs: 2,
    callbacks: [progress({ stream: { write: (text) => lines.push(text) } })],
  });
  expect(epochs.map((record) => record.learningRate)).toEqual([0.05, 0.025]);
  expect(lines[0]).toMatch(/ {2}learning rate 0.05 {2}/);
  const { epochs: constant } = await fit(model, line(8), {
    loss: 'mse',
    optimizer: new SGD(model.parameters(), { learningRate: 0.25 }),
  });
  expect(constant[0].learningRate).toBe(0.25);
});

test.each([true, false])('goes on from a checkpoint to the bit, compiled: %s', async (compiled) => {
  const make = () => {
    seed(5);
    const model = new Dense(1, 1);
    const optimizer = new AdamW(
      [
        { parameters: [model.weight], learningRate: schedules.oneCycle({ max: 0.3, steps: 24 }) },
        {
          parameters: [model.bias!],
          learningRate: schedules.warmup(5, schedules.stepDecay({ from: 0.1, every: 6 })),
        },
      ],
      { weightDecay: 0.1 },
    );
    return { model, optimizer };
  };
  const saved: Checkpoint[] = [];
  const train = async (resume?: Checkpoint) => {
    const { model, optimizer } = make();
    const { epochs } = await fit(model, line(8), {
      loss: 'mse',
      optimizer,
      batchSize: 2,
      epochs: 6,
      compiled,
      resume,
      callbacks: resume ? [] : [checkpoint({ save: (one) => void saved.push(one), every: 3 })],
    });
    const rates = epochs.map(({ learningRate, loss }) => ({ learningRate, loss }));
    return { parameters: model.parameters().map((p) => [...p.data]), rates };
  };
  const whole = await train();
  expect(saved.length).toBeGreaterThan(6);
  for (const one of saved.slice(0, -1)) expect(await train(one)).toEqual(whole);
});

test('a plateau goes on from a checkpoint', async () => {
  const saved: Checkpoint[] = [];
  const train = async (resume?: Checkpoint) => {
    seed(6);
    const model = linearModel(1);
    const optimizer = new SGD(model.parameters(), { learningRate: 0.05 });
    const { epochs } = await fit(model, line(8), {
      loss: 'mse',
      optimizer,
      epochs: 12,
      resume,
      callbacks: [
        reduceOnPlateau({ monitor: 'loss', factor: 0.5, patience: 1, threshold: 0.5, cooldown: 1 }),
        ...(resume ? [] : [checkpoint({ save: (one) => void saved.push(one) })]),
      ],
    });
    return epochs.map(({ learningRate }) => learningRate);
  };
  const whole = await train();
  expect(new Set(whole).size).toBeGreaterThan(2);
  for (const one of saved.slice(0, -1)) expect(await train(one)).toEqual(whole);
});

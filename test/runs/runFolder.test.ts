/** Folders of runs: what is in them is what happened, whatever happens. */
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished, test } from 'vitest';
import {
  ArgumentError,
  type Callback,
  checkpoint,
  confusionMatrix,
  FileError,
  FormatError,
  fit,
  Lambda,
  Sequential,
  SGD,
  tensor,
} from '../../lib/index.ts';
import { type RunEvent, readRun, readRuns, runFolder } from '../../lib/runs/index.ts';
import { temporaryFolder } from '../files/temporary.ts';
import { numbers, rejection } from '../train/support.ts';
import { batchesOfEpoch, network, readPng, train, watching } from './support.ts';

type Of<Type extends RunEvent['type']> = Extract<RunEvent, { type: Type }>;
const of = <Type extends RunEvent['type']>(events: readonly RunEvent[], type: Type) =>
  events.filter((event): event is Of<Type> => event.type === type);

/** Everything, after each batch. */
const all = { every: 0, norms: 0, histograms: 0 } as const;
const norm = (values: number[]) => Math.hypot(...values);
const mean = (values: number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;

describe.each([true, false])('what is written, compiled: %s', (compiled) => {
  it('is what happened: losses, norms and histograms after each batch, the history', async () => {
    const folder = temporaryFolder();
    const seen: { weights: number[][]; gradients: number[][]; step: number }[] = [];
    const losses: number[] = [];
    const { model, data } = network();
    const begun = Date.now();
    const history = await train(
      [
        runFolder({ folder, name: 'a', config: { hidden: 7, rate: Number.POSITIVE_INFINITY }, ...all }),
        watching((values) => void seen.push(values)),
        { onBatchEnd: (_, { loss }) => void losses.push(loss) },
      ],
      { compiled, metrics: ['r2'], validation: data },
      { model, data },
    );
    const run = await readRun(join(folder, 'a'));
    expect(run.history).toEqual(history);
    expect(run.info).toMatchObject({
      format: 1,
      name: 'a',
      model: { label: 'Sequential', parameters: 58, summary: model.summary() },
      optimizer: { type: 'SGD', learningRate: 0.05 },
      epochs: 3,
      batchCount: batchesOfEpoch,
      monitors: ['loss', 'r2', 'validation.loss', 'validation.r2'],
      config: { hidden: 7, rate: 'Infinity' },
    });
    expect(run.end).toMatchObject({ outcome: 'finished', step: 12, epoch: 3 });
    const batches = of(run.events, 'batch');
    expect(batches.map(({ loss }) => loss)).toEqual(losses);
    expect(batches.map(({ step, epoch, batch }) => [step, epoch, batch])).toEqual(
      losses.map((_, i) => [i + 1, 1 + Math.floor(i / batchesOfEpoch), 1 + (i % batchesOfEpoch)]),
    );
    for (const { learningRate, memory, examplesPerSecond, time } of batches) {
      expect(learningRate).toBe(0.05);
      expect(memory).toBeGreaterThan(2 ** 20);
      expect(examplesPerSecond).toBeGreaterThan(0);
      expect(time).toBeGreaterThanOrEqual(begun);
    }

    const names = model.namedParameters().map(([name]) => name);
    const norms = of(run.events, 'norms');
    expect(norms.length).toBe(seen.length);
    const histograms = of(run.events, 'histograms');
    for (const [i, { weights, gradients, step }] of seen.entries()) {
      for (const [kind, values] of Object.entries({ weights, gradients }) as ['weights', number[][]][]) {
        expect(Object.keys(norms[i][kind])).toEqual(names);
        for (const [at, name] of names.entries()) {
          const [x, { min, max, mean: m, std, counts }] = [values[at], histograms[i][kind][name]];
          expect(norms[i][kind][name] / norm(x)).toBeCloseTo(1, 5);
          expect([min, max]).toEqual([Math.min(...x), Math.max(...x)]);
          expect(m).toBeCloseTo(mean(x), 12);
          expect(std).toBeCloseTo(Math.sqrt(mean(x.map((one) => (one - mean(x)) ** 2))), 12);
          expect(counts.reduce((a, b) => a + b)).toBe(x.length);
        }
      }
      expect([norms[i].step, histograms[i].step]).toEqual([step, step]);
    }
    expect(of(run.events, 'epoch').map(({ step }) => step)).toEqual([4, 8, 12]);
  });
});

it('of gradients of several batches only those that an update was made with', async () => {
  const folder = temporaryFolder();
  const seen: number[][][] = [];
  const updates: boolean[] = [];
  const callbacks: Callback[] = [
    runFolder({ folder, name: 'a', ...all }),
    watching(({ gradients }) => void seen.push(gradients)),
    { onBatchEnd: (_, { updated }) => void updates.push(updated) },
  ];
  await train(callbacks, { accumulate: 3, epochs: 2 });
  // The fourth batch of an epoch waits until it is over, as the last one is of fewer examples.
  expect(updates).toEqual([false, false, true, false, false, false, true, false]);
  const norms = of((await readRun(join(folder, 'a'))).events, 'norms');
  expect(norms.map(({ step }) => step)).toEqual([3, 7]);
  for (const { step, gradients } of norms) {
    const expected = seen[step - 1].map(norm);
    Object.values(gradients).forEach((one, i) => {
      expect(one / expected[i]).toBeCloseTo(1, 5);
    });
  }
});

it('is of as many batches as come between two records, weighed by their examples', async () => {
  const folder = temporaryFolder();
  const losses: number[] = [];
  const callbacks = [
    runFolder({ folder, name: 'a', every: 1000, norms: false }),
    {
      onBatchEnd: (_: unknown, { loss, size }: { loss: number; size: number }) =>
        void losses.push(...Array(size).fill(loss)),
    },
  ];
  await train(callbacks);
  const { events } = await readRun(join(folder, 'a'));
  const batches = of(events, 'batch');
  expect(batches.map(({ step }) => step)).toEqual([1, 12]);
  expect(batches[1].loss).toBeCloseTo(mean(losses.slice(4)), 12);
  expect(events.map(({ type }) => type)).toEqual([
    'begin',
    'batch',
    'epoch',
    'epoch',
    'epoch',
    'batch',
    'end',
  ]);
});

it('costs no steps that are written down anew', async () => {
  const passes = async (callbacks: Callback[]) => {
    let calls = 0;
    const { data } = network();
    const inner = network().model;
    const counting = new Lambda((x) => {
      calls++;
      return x;
    });
    await train(callbacks, { epochs: 10 }, { model: new Sequential([counting, inner]), data });
    return calls;
  };
  const folder = temporaryFolder();
  const alone = await passes([]);
  expect(await passes([runFolder({ folder, ...all })])).toBe(alone);
  expect(await passes([{ onBatchEnd() {} }])).toBeGreaterThan(2 * alone);
});

describe('how it ends', () => {
  const ended = async (callbacks: Callback[], options = {}) => {
    const folder = temporaryFolder();
    const error = await train([runFolder({ folder, name: 'a' }), ...callbacks], options).then(
      () => undefined,
      (thrown: unknown) => thrown,
    );
    return { error, run: await readRun(join(folder, 'a')) };
  };

  it('by stop', async () => {
    const { run } = await ended([{ onEpochEnd: ({ stop }) => stop('enough') }]);
    expect(run.end).toMatchObject({ outcome: 'stopped', reason: 'enough', step: 4 });
    expect(run.history.stopped).toBe('enough');
    expect(run.history.epochs.length).toBe(1);
  });

  it('by its signal', async () => {
    const controller = new AbortController();
    const abort = {
      onBatchEnd: (_: unknown, { batch }: { batch: number }) => void (batch === 2 && controller.abort()),
    };
    const { run, error } = await ended([abort], { signal: controller.signal });
    expect(error).toMatchObject({ code: 'AXPY_ABORT' });
    expect(run.end).toMatchObject({
      outcome: 'aborted',
      step: 2,
      error: { name: 'AbortError', code: 'AXPY_ABORT' },
    });
  });

  it('by an error', async () => {
    const failing = { onEpochEnd: () => Promise.reject(new TypeError('no')) };
    const { run } = await ended([failing]);
    expect(run.end).toMatchObject({
      outcome: 'failed',
      step: 4,
      error: { name: 'TypeError', message: 'no' },
    });
    const { run: other } = await ended([{ onEpochEnd: () => Promise.reject('no') }]);
    expect(other.end).toMatchObject({ outcome: 'failed', error: { name: 'Error', message: '"no"' } });
  });
});

describe('a training that goes on from a checkpoint', () => {
  /** Trains to a step that is not kept, and on from the checkpoint before; `between` is what happens to the file meanwhile. */
  const twice = async (between: (file: string) => void, from = 'checkpoint-000000006') => {
    const folder = temporaryFolder();
    const keep = join(folder, 'checkpoints');
    const file = join(folder, 'runs', 'a', 'events.jsonl');
    const own = () => runFolder({ folder: join(folder, 'runs'), name: 'a', ...all });
    const abort = new AbortController();
    const options = { epochs: 5, seed: 4, metrics: ['r2'] as const };
    const first = train(
      [
        own(),
        checkpoint({ folder: keep, every: 3, keep: Infinity }),
        { onBatchEnd: ({ step }) => void (step === 14 && abort.abort()) },
      ],
      { ...options, signal: abort.signal } as object,
    );
    expect(await rejection(first)).toMatchObject({ code: 'AXPY_ABORT' });
    between(file);
    const resume = join(keep, `${from}.safetensors`);
    const history = await train([own()], { ...options, resume } as object);
    return { run: await readRun(join(folder, 'runs', 'a')), history, file };
  };

  it('shows one history, as if nothing had been between', async () => {
    const whole = temporaryFolder();
    await train([runFolder({ folder: whole, name: 'a', ...all })], {
      epochs: 5,
      seed: 4,
      metrics: ['r2'],
    } as object);
    const expected = await readRun(join(whole, 'a'));
    const { run, history } = await twice(() => {});
    expect(run.history).toEqual(history);
    const told = (events: readonly RunEvent[]) =>
      events.flatMap((event) => {
        if (event.type === 'batch') return [[event.step, event.epoch, event.batch, event.loss]];
        return event.type === 'norms' ? [[event.step, event.weights, event.gradients]] : [];
      });
    expect(told(run.events)).toEqual(told(expected.events));
    const scores = ({ epochs }: typeof history) => epochs.map(({ epoch, loss, r2 }) => [epoch, loss, r2]);
    expect(scores(run.history)).toEqual(scores(expected.history));
    expect(of(run.events, 'begin').map(({ step }) => step)).toEqual([0, 6]);
    expect(of(run.events, 'end').length).toBe(1);
    expect(run.info.created).toBeLessThan(run.info.began);
  });

  it.each([
    ['half a line', (file: string) => appendFileSync(file, '{"type":"batch","st')],
    [
      'half a letter',
      (file: string) => appendFileSync(file, Buffer.from('{"type":"é', 'utf8').subarray(0, 10)),
    ],
  ])('after a process that was killed as it wrote %s', async (_, between) => {
    const { run, history, file } = await twice(between);
    expect(run.history).toEqual(history);
    for (const line of readFileSync(file, 'utf8').trim().split('\n')) JSON.parse(line);
  });

  it('after one whose last lines were not written, or that was not looked at', async () => {
    const lose = (file: string) => {
      const lines = readFileSync(file, 'utf8').split('\n');
      writeFileSync(
        file,
        lines
          .slice(0, 5)
          .map((line) => `${line}\n`)
          .join(''),
      );
    };
    for (const between of [lose, (file: string) => rmSync(join(file, '..'), { recursive: true })]) {
      const { run, history } = await twice(between, 'checkpoint-000000012');
      expect(run.history).toEqual(history);
    }
  });

  it('from the end of an epoch that it had not told of', async () => {
    const { run, history } = await twice(() => {}, 'checkpoint-000000012');
    expect(history.epochs.length).toBe(5);
    expect(run.history).toEqual(history);
  });
});

test('a run is read while it goes on', async () => {
  const folder = temporaryFolder();
  const own = runFolder({ folder, name: 'a', ...all });
  const read: number[] = [];
  await train([
    own,
    {
      async onEpochEnd() {
        await own.scalars({ now: 1 });
        const run = await readRun(own.path!);
        expect(run.end).toBeUndefined();
        read.push(run.history.epochs.length);
      },
    },
  ]);
  expect(read).toEqual([1, 2, 3]);
  appendFileSync(join(folder, 'a', 'events.jsonl'), '{"type":"of a later version"}\n{"half');
  expect((await readRun(own.path!)).history.epochs.length).toBe(3);
});

test('what a program adds', async () => {
  const folder = temporaryFolder();
  const own = runFolder({ folder, name: 'a' });
  await expect(own.scalars({ a: 1 })).rejects.toThrow(/\[scalars\] expected a training that has begun/);
  await train([own]);
  await own.scalars({ 'test.loss': 0.25, none: Number.NaN, least: -Infinity });
  await own.histogram('scores', [1, 2, 3, Number.NaN, 4]);
  await own.histogram('ones', tensor([1, 1, 1]));
  await own.histogram('none', []);
  await own.confusion(
    confusionMatrix(
      tensor([
        [1, 0],
        [0, 1],
        [1, 0],
      ]),
      [0, 1, 1],
    ),
    { labels: ['cat', 'dog'] },
  );
  await own.confusion(
    [
      [1, 0],
      [0, 2],
    ],
    { name: 'other' },
  );
  await own.image(
    'grey',
    tensor([
      [0, 0.5],
      [1, 7],
      [-1, Number.NaN],
    ]),
  );
  await own.image('a / ../name', tensor([0, 255, 300, 10, 20, 30], { shape: [1, 2, 3], dtype: 'int32' }));
  const { events } = await readRun(own.path!);
  expect(of(events, 'scalars')[0].values).toEqual({ 'test.loss': 0.25, none: Number.NaN, least: -Infinity });
  const [scores, ones, none] = of(events, 'histogram').map(({ histogram }) => histogram);
  expect(scores).toMatchObject({ min: 1, max: 4, mean: 2.5, std: Math.sqrt(1.25), notFinite: 1 });
  expect(scores.counts).toEqual(Array.from({ length: 30 }, (_, i) => ([0, 10, 20, 29].includes(i) ? 1 : 0)));
  expect(ones).toMatchObject({ min: 1, max: 1, mean: 1, std: 0, counts: [3, ...Array(29).fill(0)] });
  expect(none.counts.every((count) => count === 0)).toBe(true);
  expect(of(events, 'confusion').map(({ name, labels, counts }) => [name, labels, counts])).toEqual([
    [
      'confusion',
      ['cat', 'dog'],
      [
        [1, 0],
        [1, 1],
      ],
    ],
    [
      'other',
      ['0', '1'],
      [
        [1, 0],
        [0, 2],
      ],
    ],
  ]);
  const images = of(events, 'image');
  const [grey, colour] = images.map(({ file }) => readPng(readFileSync(join(own.path!, file))));
  expect(grey).toEqual({
    width: 2,
    height: 3,
    type: 0,
    pixels: [
      [0, 128],
      [255, 255],
      [0, 0],
    ],
  });
  expect(colour).toEqual({ width: 2, height: 1, type: 2, pixels: [[0, 255, 255, 10, 20, 30]] });
  expect(images.map(({ name, width, height }) => [name, width, height])).toEqual([
    ['grey', 2, 3],
    ['a / ../name', 2, 1],
  ]);
  for (const event of events.slice(-8)) expect([event.step, event.epoch]).toEqual([12, 3]);
  expect(readdirSync(join(folder, 'a')).sort()).toEqual(['events.jsonl', 'images', 'run.json']);

  const refused: [() => Promise<void>, RegExp][] = [
    [() => own.scalars([1] as never), /expected numbers by name, got an array/],
    [() => own.scalars({ a: '1' as never }), /expected a to be a number, got "1"/],
    [() => own.histogram('', [1]), /expected name to be a string/],
    [() => own.histogram('a', ['x' as never]), /got "x" at 0/],
    [() => own.histogram('a', 3 as never), /expected values to be a tensor or numbers, got 3/],
    [() => own.image('a', [[1]] as never), /expected pixels to be a tensor, got an array/],
    [() => own.image('a', tensor([1, 2])), /\[height, width\].* got \[2\]/],
    [() => own.image('a', tensor([[[1, 2]]])), /1, 3 or 4 channels/],
    [() => own.confusion([[1, 2]]), /as many rows as columns/],
    [() => own.confusion([[-1]]), /as many rows as columns/],
    [() => own.confusion([[1]], { labels: [] }), /expected 1 labels/],
  ];
  for (const [act, message] of refused) {
    await expect(act()).rejects.toThrow(message);
    await expect(act()).rejects.toMatchObject({ code: expect.stringMatching(/^AXPY_(ARGUMENT|SHAPE)$/) });
  }
  expect((await readRun(own.path!)).events.length).toBe(events.length);
});

test('several images lie side by side', async () => {
  const own = runFolder({ folder: temporaryFolder() });
  await train([own], { epochs: 1 });
  const x = tensor([1, 2, 3, 4, 5, 6], { shape: [3, 1, 2, 1], dtype: 'int32' });
  await own.image('three', x);
  const [{ file }] = of((await readRun(own.path!)).events, 'image');
  expect(readPng(readFileSync(join(own.path!, file))).pixels).toEqual([
    [1, 2, 3, 4],
    [5, 6, 0, 0],
  ]);
});

test('runs of a folder, the latest first; what is none is passed over', async () => {
  const folder = temporaryFolder();
  expect(await readRuns(join(folder, 'nowhere'))).toEqual([]);
  for (let i = 0; i < 2; i++) {
    await train([runFolder({ folder })], { epochs: 1 });
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
  mkdirSync(join(folder, 'empty'));
  writeFileSync(join(folder, 'file'), '');
  const runs = await readRuns(folder);
  expect(runs.length).toBe(2);
  expect(runs[0].info.created).toBeGreaterThan(runs[1].info.created);
  for (const { info } of runs) expect(info.name).toMatch(/^\d{4}-\d\d-\d\d-\d{6}-[0-9a-f]{4}$/);

  await expect(readRun(join(folder, 'empty'))).rejects.toThrow(FileError);
  writeFileSync(join(folder, 'empty', 'run.json'), '{"format":2}');
  await expect(readRuns(folder)).rejects.toThrow(/expected a run of format 1, got 2/);
  writeFileSync(join(folder, 'empty', 'run.json'), '{');
  await expect(readRun(join(folder, 'empty'))).rejects.toThrow(FormatError);
  writeFileSync(join(folder, 'empty', 'run.json'), '{"format":1}');
  for (const line of ['x', '[]', '{"type":"end"}', '{"type":"end","step":0,"time":"0","epoch":0}']) {
    writeFileSync(join(folder, 'empty', 'events.jsonl'), `${line}\n`);
    await expect(readRun(join(folder, 'empty'))).rejects.toThrow(/events\.jsonl, line 1/);
  }
});

test('options out of their domains', () => {
  const refused: [object, RegExp][] = [
    [{ folder: 3 }, /expected a path/],
    [{ name: '../a' }, /expected name to be one of a folder, got "\.\.\/a"/],
    [{ name: '..' }, /one of a folder/],
    [{ name: '' }, /expected name to be a string/],
    [{ name: 'a\n' }, /one of a folder/],
    [{ every: -1 }, /expected every to be a number of seconds, got -1/],
    [{ every: false }, /expected every to be a number of seconds, got false/],
    [{ norms: true }, /expected norms to be a number of seconds, or false, got true/],
    [{ histograms: Number.NaN }, /or false, got NaN/],
    [{ config: [1] }, /expected config to be an object/],
    [{ config: { a: 1n } }, /plain data/],
    [{ nmae: 'a' }, /among folder, name/],
  ];
  for (const [options, message] of refused) {
    expect(() => runFolder(options)).toThrow(message);
    expect(() => runFolder(options)).toThrow(ArgumentError);
  }
});

describe('what goes wrong', () => {
  it('before training leaves all as it was', async () => {
    const folder = temporaryFolder();
    writeFileSync(join(folder, 'file'), '');
    const { model, data } = network();
    const before = numbers(model);
    const error = await rejection(train([runFolder({ folder: join(folder, 'file') })], {}, { model, data }));
    expect(error).toBeInstanceOf(FileError);
    expect(numbers(model)).toEqual(before);
  });

  it('later is said once, and training goes on', async () => {
    const folder = temporaryFolder();
    const warnings: Error[] = [];
    const listener = (warning: Error) => warnings.push(warning);
    process.on('warning', listener);
    onTestFinished(() => void process.off('warning', listener));
    const own = runFolder({ folder, name: 'a', ...all });
    const history = await train([
      own,
      {
        async onEpochEnd({ epoch }) {
          if (epoch !== 1) return;
          await own.scalars({ settled: 1 });
          rmSync(own.path!, { recursive: true });
        },
      },
    ]);
    expect(history.epochs.length).toBe(3);
    await new Promise((resolve) => setImmediate(resolve));
    expect(warnings.map(({ message }) => message)).toEqual([
      expect.stringMatching(/^\[runFolder\] nothing more of this training is written to .*events\.jsonl$/),
    ]);
    expect(existsSync(own.path!)).toBe(false);
  });

  it('is a second training at the same time', async () => {
    const own = runFolder({ folder: temporaryFolder() });
    const first = train([own]);
    const other = network();
    const optimizer = new SGD(other.model.parameters(), { learningRate: 0.1 });
    const second = fit(other.model, other.data, { loss: 'mse', optimizer, callbacks: [own] });
    await expect(second).rejects.toThrow(/expected one training at a time/);
    await first;
    await train([own], { epochs: 1 });
    expect((await readRun(own.path!)).end).toMatchObject({ outcome: 'finished', epoch: 1 });
  });
});

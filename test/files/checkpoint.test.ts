/** Checkpoints as files: what is in a folder, what damage does, what is refused, loops of one's own. */
import fs, { mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { Digest, digest, digestOfText } from '../../lib/files/digest.ts';
import { flatten, unflatten } from '../../lib/files/savedState.ts';
import {
  AbortError,
  Adam,
  ArgumentError,
  AxpyError,
  BatchNorm,
  type Callback,
  type Checkpoint,
  checkpoint,
  Dense,
  Dropout,
  earlyStopping,
  encodeCheckpoint,
  FileError,
  type FitOptions,
  FormatError,
  fit,
  Layer,
  loadCheckpoint,
  loadModel,
  loadSafetensors,
  losses,
  type Metric,
  metrics,
  NonFiniteError,
  OneHot,
  Parameter,
  randn,
  type SavedState,
  Sequential,
  SGD,
  StringLookup,
  saveCheckpoint,
  saveSafetensors,
  seed,
  type Tensor,
  tensor,
} from '../../lib/index.ts';
import { defaultState } from '../../lib/random.ts';
import { numbers, rejection } from '../train/support.ts';
import { temporaryFolder } from './temporary.ts';

const make = (hidden = 4) =>
  new Sequential([
    new Dense(3, hidden, { activation: 'tanh' }),
    new BatchNorm(hidden),
    new Dropout(0.2),
    new Dense(hidden, 1),
  ]);
const xy = (n = 10) => ({ x: randn([n, 3]), y: randn([n, 1]) });

/** A training of 3 steps an epoch, and what it needs; the same for the same seed. */
function training(own: Partial<FitOptions> = {}, hidden = 4) {
  seed(1);
  const model = make(hidden);
  const data = xy();
  const optimizer = new Adam(model.parameters(), { learningRate: 0.01 });
  const run = (more: Partial<FitOptions> = {}) =>
    fit(model, data, { loss: 'mse', optimizer, batchSize: 4, epochs: 4, ...own, ...more } as never);
  return { model, data, optimizer, run };
}

const state = ({ model, optimizer }: { model: Layer; optimizer: Adam }) => ({
  model: Object.entries(model.stateDict()).map(([name, x]) => [name, [...x.data]]),
  hidden: model.namedHidden().map(([name, x]) => [name, [...x.data]]),
  optimizer: Object.entries(optimizer.stateDict()).map(([name, x]) => [name, [...x.data]]),
  random: [...defaultState],
});

const warnings = vi.spyOn(process, 'emitWarning').mockImplementation(() => {});
afterEach(() => warnings.mockClear());

describe('a folder of checkpoints', () => {
  it('has files that say how far they are: the newest ones, and the best', async () => {
    const folder = join(temporaryFolder(), 'deep', 'run1');
    mkdirSync(folder, { recursive: true });
    // What is not ours stays, whatever it is called.
    const others = ['checkpoint-1.safetensors', 'checkpoint-000000001.safetensors.bak', 'notes.txt'];
    for (const name of others) writeFileSync(join(folder, name), 'mine');
    const seen: string[][] = [];
    const watch: Callback = {
      onEpochBegin: () => void seen.push(readdirSync(folder).filter((name) => name.endsWith('s'))),
    };
    await training().run({ callbacks: [checkpoint({ folder, every: 2, keep: 2, best: 'loss' }), watch] });
    const names = readdirSync(folder).filter((name) => !others.includes(name));
    expect(names).toEqual([
      'best.safetensors',
      'checkpoint-000000010.safetensors',
      'checkpoint-000000012.safetensors',
    ]);
    expect(seen.flat()).toContain('checkpoint-000000002.safetensors');
  });

  it.each([
    ['loss', undefined],
    ['own', 'max' as const],
  ])('keeps the best epoch by %s', async (best, mode) => {
    const folder = temporaryFolder();
    // By what it is called for the nth time.
    const values = [3, 5, 1, 4];
    let results = 0;
    const own: Metric = { name: 'own', start: () => ({ add() {}, result: () => values[results++] }) };
    const all: Record<string, unknown>[] = [];
    const watch: Callback = { onEpochEnd: ({ model }) => void all.push(model.stateDict()) };
    const first = training({ metrics: [own] as never });
    const history = await first.run({
      callbacks: [checkpoint({ folder, best, ...(mode ? { mode } : {}) }), watch],
    });
    const records = history.epochs as Record<string, unknown>[];
    const scores = records.map((record) => (mode ? -1 : 1) * (record[best] as number));
    const bestEpoch = scores.indexOf(Math.min(...scores));
    const c = await loadCheckpoint(join(folder, 'best.safetensors'));
    expect(c.step).toBe(3 * (bestEpoch + 1));
    for (const [name, x] of Object.entries(all[bestEpoch] as Record<string, Tensor>)) {
      expect([...c.weights[name].data]).toEqual([...x.data]);
    }
  });

  it('goes on with the best so far, and from the best alone', async () => {
    const [whole, parted] = [temporaryFolder(), temporaryFolder()];
    const reference = training();
    await reference.run({ callbacks: [checkpoint({ folder: whole, best: 'loss' })] });
    const keeping = () => [checkpoint({ folder: parted, best: 'loss' })];
    await training().run({ callbacks: keeping(), epochs: 2 });
    const last = training();
    await last.run({ callbacks: keeping(), resume: parted });
    expect(state(last)).toEqual(state(reference));
    const [a, b] = await Promise.all(
      [whole, parted].map((folder) => loadCheckpoint(join(folder, 'best.safetensors'))),
    );
    expect(a.step).toBe(b.step);
    for (const name of readdirSync(parted)) if (name.startsWith('checkpoint')) rmSync(join(parted, name));
    const again = training();
    await again.run({ resume: parted });
    expect(state(again)).toEqual(state(reference));
  });

  it('is begun anew where there is nothing, also with the option for it', async () => {
    const folder = join(temporaryFolder(), 'none');
    const first = training();
    const history = await first.run({ callbacks: [checkpoint({ folder })], resume: folder });
    expect(history.epochs).toHaveLength(4);
    expect(readdirSync(folder)).toHaveLength(3);
    const missing = await rejection(
      training().run({ resume: join(folder, 'checkpoint-000000001.safetensors') }),
    );
    expect(missing).toBeInstanceOf(FileError);
  });

  it('of another training is refused before anything has changed, whatever goes on', async () => {
    const folder = temporaryFolder();
    await training().run({ callbacks: [checkpoint({ folder, keep: Infinity })] });
    const names = readdirSync(folder);
    for (const resume of [undefined, join(folder, names[0])]) {
      const other = training();
      const before = state(other);
      const begun = vi.fn();
      const error = await rejection(
        other.run({ callbacks: [{ onTrainBegin: begun }, checkpoint({ folder })], resume }),
      );
      expect(error).toBeInstanceOf(ArgumentError);
      expect((error as Error).message).toMatch(
        /expected a folder without checkpoints of another training, got .*000000012/,
      );
      expect(state(other)).toEqual(before);
      expect(begun).not.toHaveBeenCalled();
      expect(readdirSync(folder)).toEqual(names);
    }
    // Nor may one that comes from elsewhere mix with it, or remove what is there.
    const elsewhere = temporaryFolder();
    await training().run({ callbacks: [checkpoint({ folder: elsewhere, keep: Infinity })] });
    for (const resume of [elsewhere, readFileSync(join(elsewhere, names[3])) as Uint8Array]) {
      const mixed = await rejection(
        training().run({ callbacks: [checkpoint({ folder, keep: 1 })], resume, epochs: 9 }),
      );
      expect(mixed).toBeInstanceOf(ArgumentError);
      expect(readdirSync(folder)).toEqual(names);
    }
    // By another name it is the same.
    const link = join(elsewhere, 'link');
    symlinkSync(folder, link);
    await training().run({ callbacks: [checkpoint({ folder: link, keep: Infinity })], resume: folder });
    // Elsewhere it may.
    const other = training();
    await other.run({
      callbacks: [checkpoint({ folder: temporaryFolder() })],
      resume: join(folder, names[0]),
    });
    const after = state(other);
    const reference = training();
    await reference.run();
    expect(after).toEqual(state(reference));
  });
});

describe('damage', () => {
  /** A folder of two checkpoints, and the newest. */
  async function damaged() {
    const folder = temporaryFolder();
    await training().run({ callbacks: [checkpoint({ folder })], epochs: 3 });
    const names = readdirSync(folder);
    return { folder, names, newest: join(folder, names[2]), bytes: readFileSync(join(folder, names[2])) };
  }

  it('is found wherever the file ends, and whichever byte is another', async () => {
    const { bytes, folder, names, newest } = await damaged();
    const [same] = [await loadCheckpoint(newest)];
    for (let length = 0; length < bytes.length; length += length < 40 ? 1 : 397) {
      await expect(loadCheckpoint(bytes.subarray(0, length))).rejects.toBeInstanceOf(FormatError);
    }
    for (let at = 0; at < bytes.length; at += 61) {
      const other = Uint8Array.from(bytes);
      other[at] ^= 1 << (at % 8);
      const loaded = await loadCheckpoint(other).catch((error: unknown) => error);
      if (loaded instanceof FormatError) continue;
      // Nothing but what a space stands for, or who wrote it, may differ.
      expect(loaded).toMatchObject({ json: same.json });
      for (const [name, x] of same.tensors)
        expect([...(loaded as typeof same).tensors.get(name)!.data]).toEqual([...x.data]);
    }
    // Of its length, but without what came last.
    bytes.fill(0, bytes.length - 100);
    writeFileSync(newest, bytes);
    const reference = training();
    await reference.run();
    const after = state(reference);
    const [other, keeping] = [training(), checkpoint({ folder })];
    await other.run({ resume: folder, callbacks: [keeping] });
    expect(state(other)).toEqual(after);
    expect(warnings).toHaveBeenCalledTimes(1);
    const [text, { code, detail }] = warnings.mock.calls[0] as unknown as [
      string,
      { code: string; detail: string },
    ];
    expect(`${code}: ${text}: ${detail}`).toMatch(
      /AXPY_CHECKPOINT: .*000000006.*: .*checkpoint-000000009\.safetensors/,
    );
    expect(names).toHaveLength(3);
    // Written again, whole.
    expect((await loadCheckpoint(newest)).step).toBe(9);
  });

  it('is found where a header says something else of the same bytes', async () => {
    const { bytes } = await damaged();
    const text = bytes.toString('latin1');
    const changes = [
      ['"0.weight":{"dtype":"F32"', '"0.weight":{"dtype":"U32"'],
      ['"0.weight":{"dtype":"F32"', '"0.weight":{"dtype":"I32"'],
      ['"shape":[4,3]', '"shape":[3,4]'],
    ];
    for (const [from, to] of changes) {
      expect(text).toContain(from);
      const other = Uint8Array.from(Buffer.from(text.replace(from, to), 'latin1'));
      await expect(loadCheckpoint(other)).rejects.toBeInstanceOf(FormatError);
    }
  });

  it('of all of them is an error', async () => {
    const { folder, names } = await damaged();
    for (const name of names) writeFileSync(join(folder, name), '');
    const other = training();
    const before = state(other);
    const error = await rejection(other.run({ resume: folder }));
    expect(error).toBeInstanceOf(FormatError);
    for (const name of names) expect((error as Error).message).toContain(name);
    expect(state(other)).toEqual(before);
  });

  it('is not what a newer version writes', async () => {
    const { folder, newest } = await damaged();
    const c = await loadCheckpoint(newest);
    (c.json as Record<string, unknown>).format = 2;
    writeFileSync(newest, c.encode());
    const error = await rejection(training().run({ resume: folder }));
    expect(error).toBeInstanceOf(FormatError);
    expect((error as Error).message).toMatch(/expected format 1, got 2.*update/);
  });

  it('that has its sums is found before anything has changed', async () => {
    const kept: Checkpoint[] = [];
    const options = { metrics: ['f1', 'rocAuc'] as never, loss: 'binaryCrossEntropyWithLogits' as const };
    const start = () => {
      seed(1);
      const model = make();
      const optimizer = new Adam(model.parameters());
      const data = { x: randn([10, 3]), y: randn([10, 1]).greater(0).cast('float32') };
      const callbacks = [earlyStopping({ monitor: 'loss' })];
      const run = (more: Partial<FitOptions>, others: Callback[] = []) =>
        fit(model, data, {
          ...options,
          optimizer,
          batchSize: 4,
          epochs: 3,
          ...more,
          callbacks: [...callbacks, ...others],
        } as never);
      return { model, optimizer, data, run };
    };
    await start().run({}, [checkpoint({ save: (c) => void kept.push(c), every: 1 })]);
    const places = (json: unknown): (string | number)[][] =>
      typeof json === 'object' && json !== null
        ? Object.entries(json).flatMap(([key, item]) => [
            [key],
            ...places(item).map((path) => [key, ...path]),
          ])
        : [];
    const odd = fc.constantFrom(
      null,
      -1,
      1.5,
      2 ** 40,
      'x',
      '',
      true,
      [],
      {},
      { $: 'NaN' },
      { $: 'Tensor', name: '0.weight' },
    );
    const outcomes = { refused: 0, trained: 0 };
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...kept),
        fc.nat(),
        odd,
        fc.boolean(),
        async (original, at, other, isGone) => {
          // biome-ignore lint/suspicious/noExplicitAny: any JSON
          const json: any = structuredClone(original.json);
          const all = places(json);
          const path = all[at % all.length];
          const holder = path.slice(0, -1).reduce((value, key) => value[key], json);
          const last = path[path.length - 1];
          if (isGone) delete holder[last];
          else holder[last] = other;
          const own = start();
          const before = JSON.stringify(state(own));
          const error = await Promise.resolve()
            .then(() => own.run({ resume: Object.assign(Object.create(original), { json }).encode() }))
            .catch((reason: unknown) => reason);
          // Moments of the optimizer that are another tensor's numbers may be of no training.
          if (!(error instanceof Error) || error instanceof NonFiniteError) {
            outcomes.trained++;
            return;
          }
          outcomes.refused++;
          expect(error).toBeInstanceOf(AxpyError);
          expect(JSON.stringify(state(own))).toBe(before);
        },
      ),
      { numRuns: 300 },
    );
    expect(outcomes.refused).toBeGreaterThan(50);
    expect(outcomes.trained).toBeGreaterThan(5);
  });

  it('nor safetensors of something else', async () => {
    const path = join(temporaryFolder(), 'x.safetensors');
    await saveSafetensors(path, { a: tensor([1]) });
    const error = await rejection(loadCheckpoint(path));
    expect(error).toBeInstanceOf(FormatError);
    expect((error as Error).message).toContain(
      'expected a checkpoint, got safetensors without checkpoint in the metadata',
    );
  });

  it('shows by sums as the reference implementation of xxHash32 has them', () => {
    expect(digestOfText('')).toBe(0x02cc5d05);
    expect(digestOfText('abcd')).toBe(0xa3643705);
    expect(digestOfText('Nobody inspects the spammish repetition!')).toBe(
      digest(new TextEncoder().encode('Nobody inspects the spammish repetition!')),
    );
    expect(digest(new Int32Array(8))).not.toBe(digest(new Int32Array(9)));
    // Whichever blocks it comes in.
    const words = Int32Array.from({ length: 50 }, (_, i) => i ** 5);
    for (let at = 0; at <= words.length; at += 4) {
      for (const end of [at, words.length]) {
        const parts = [words.subarray(0, at), words.subarray(at, end)];
        const sum = parts.reduce((all, part) => all.add(part), new Digest()).sum;
        expect(sum).toBe(digest(words.subarray(0, end)));
      }
    }
  });
});

describe('what a training does not go on from', () => {
  /** A training with something else than that of the checkpoint. */
  type Other = (
    own: ReturnType<typeof training>,
  ) => [model: Layer, data: unknown, options: Partial<FitOptions>];
  const relu = () =>
    new Sequential([
      new Dense(3, 4, { activation: 'relu' }),
      new BatchNorm(4),
      new Dropout(0.2),
      new Dense(4, 1),
    ]);

  it.each<[string, Other, RegExp]>([
    ['batchSize', ({ model, data }) => [model, data, { batchSize: 5 }], /expected batchSize 4, .*got 5/],
    ['order', ({ model, data }) => [model, data, { shuffle: false }], /expected shuffle true, .*got false/],
    ['seed', ({ model, data }) => [model, data, { seed: 3 }], /expected seed none, .*got 3/],
    [
      'dropLast',
      ({ model, data }) => [model, data, { dropLast: true }],
      /expected dropLast false, .*got true/,
    ],
    ['number of examples', ({ model }) => [model, xy(11), {}], /expected examples 10, .*got 11/],
    ['kind of data', ({ model }) => [model, [xy(4)], {}], /expected examples 10, .*got none/],
    [
      'model',
      ({ data }) => [make(5), data, {}],
      /expected 0\.weight to be float32 \[5, 3\], got float32 \[4, 3\]/,
    ],
    ['layer', ({ data }) => [relu(), data, {}], /expected layer 0 to be .*tanh.*, got .*relu/],
    [
      'metrics in the middle of an epoch',
      ({ model, data }) => [model, data, { metrics: ['r2'] as never }],
      /expected metrics none, .*got r2/,
    ],
    [
      'callbacks with a state',
      ({ model, data }) => [model, data, { callbacks: [earlyStopping({ monitor: 'loss' })] }],
      /expected 0 callbacks with a state, .*got 1/,
    ],
    [
      'optimizer',
      ({ model, data }) => [model, data, { optimizer: new SGD(model.parameters(), { learningRate: 0.1 }) }],
      /expected optimizer to be Adam, .*got SGD/,
    ],
    [
      'choice of parameters',
      ({ model, data }) => [model, data, { optimizer: new Adam(model.parameters().slice(1)) }],
      /expected optimizer to have the parameters .*: 6, of which number 0 is 0\.weight, got 5, of which number 0 is 0\.bias/,
    ],
  ])('another %s is refused, with both, before anything has changed', async (_, other, message) => {
    const folder = temporaryFolder();
    const controller = new AbortController();
    const stop: Callback = {
      onBatchEnd: ({ epoch }, { batch }) => void (epoch === 2 && batch === 2 && controller.abort()),
    };
    await rejection(training().run({ callbacks: [checkpoint({ folder }), stop], signal: controller.signal }));
    const names = readdirSync(folder);
    expect(names).toHaveLength(2);

    const own = training();
    const [model, data, options] = other(own);
    const optimizer = model === own.model ? own.optimizer : new Adam(model.parameters());
    const before = JSON.stringify([model.stateDict(), optimizer.stateDict(), [...defaultState]]);
    const begun = vi.fn();
    const callbacks = [{ onTrainBegin: begun, onTrainEnd: begun }, ...(options.callbacks ?? [])];
    const all = { loss: 'mse', optimizer, batchSize: 4, resume: folder, ...options, callbacks };
    const error = await rejection(fit(model, data as never, all as never));
    expect(error).toBeInstanceOf(AxpyError);
    expect((error as Error).message).toMatch(message);
    expect((error as Error).message).toMatch(/^\[fit\]/);
    expect(JSON.stringify([model.stateDict(), optimizer.stateDict(), [...defaultState]])).toBe(before);
    expect(begun).not.toHaveBeenCalled();
    expect(readdirSync(folder)).toEqual(names);
  });

  it('what is none: a loop of one’s own, and no source', async () => {
    const { model, optimizer, run } = training();
    const own = encodeCheckpoint({ model, optimizer });
    const message = /expected a checkpoint of a training by fit, got .* of a loop of one's own/;
    expect(((await rejection(run({ resume: own }))) as Error).message).toMatch(message);
    for (const resume of [null, 3, {}, [], ''] as never[]) {
      await expect(run({ resume })).rejects.toBeInstanceOf(ArgumentError);
    }
  });

  it.each<[string, Callback, RegExp]>([
    [
      'another monitor',
      earlyStopping({ monitor: 'r2', mode: 'max' }),
      /expected monitor and mode loss, min, .*got r2, max/,
    ],
    [
      'a callback that refuses its state',
      {
        stateDict: () => null,
        loadStateDict() {
          throw new ArgumentError('expected another one');
        },
      },
      /expected another one/,
    ],
    [
      'half a callback',
      { stateDict: () => null },
      /expected each callback to have both stateDict and loadStateDict/,
    ],
    [
      'a state that is none',
      { stateDict: () => new Date() as never, loadStateDict() {} },
      /expected training\.callbacks\.0 to be plain data/,
    ],
  ])('nor with %s, before the model has changed', async (_, callback, message) => {
    const folder = temporaryFolder();
    const options = {
      metrics: ['r2'] as never,
      callbacks: [earlyStopping({ monitor: 'loss' }), checkpoint({ folder })],
    };
    await training(options).run({ epochs: 1 });
    const { model, run } = training(options);
    const before = JSON.stringify([model.stateDict(), [...defaultState]]);
    const resume = message.source.includes('plain') ? {} : { resume: folder };
    const callbacks = [callback, ...(resume.resume ? [] : [checkpoint({ save() {} })])];
    const error = await rejection(run({ ...resume, callbacks }));
    expect(error).toBeInstanceOf(ArgumentError);
    expect((error as Error).message).toMatch(message);
    if (resume.resume) expect(JSON.stringify([model.stateDict(), [...defaultState]])).toBe(before);
  });

  it('but hyperparameters of the optimizer and its rate are those of the checkpoint', async () => {
    const folder = temporaryFolder();
    const first = training();
    await first.run({ callbacks: [checkpoint({ folder })], epochs: 1 });
    const { model, data } = training();
    const optimizer = new Adam(model.parameters(), { learningRate: 0.5, beta1: 0.1 });
    await fit(model, data, { loss: 'mse', optimizer, batchSize: 4, resume: folder });
    expect(JSON.stringify(optimizer)).toBe(JSON.stringify(first.optimizer));
  });
});

it('a callback that refuses its state leaves the model as it was, also where earlyStopping has its own', async () => {
  const folder = temporaryFolder();
  const refused = new Error('no');
  const own = (load: () => void): Callback[] => [
    earlyStopping({ monitor: 'loss' }),
    { stateDict: () => null, loadStateDict: load },
    checkpoint({ folder }),
  ];
  await training().run({ callbacks: own(() => {}) });
  const { model, run } = training();
  seed(2);
  const before = JSON.stringify(numbers(model));
  const refuse = () => {
    throw refused;
  };
  expect(await rejection(run({ callbacks: own(refuse), resume: folder, epochs: 6 }))).toBe(refused);
  expect(JSON.stringify(numbers(model))).toBe(before);
});

it('takes little of a generator that draws unevenly', async () => {
  const model = new Dense(1, 1);
  const steps = 300;
  function* batches() {
    for (let i = 0; i < steps; i++) {
      randn([1 + ((7 * i) % 11)]);
      yield { x: [[1]], y: [[1]] };
    }
  }
  const sizes: number[] = [];
  await fit(model, batches, {
    loss: 'mse',
    optimizer: new SGD(model.parameters(), { learningRate: 0.01 }),
    callbacks: [checkpoint({ save: (c) => void sizes.push(c.encode().length), every: steps / 2 })],
  });
  expect(sizes[1] - sizes[0]).toBeLessThan(60 * (steps / 2));
});

it('a vocabulary is in it once, and told from another one', async () => {
  const vocabulary = Array.from({ length: 1000 }, (_, i) => `word ${i}`);
  const made = (words: readonly string[]) => {
    const model = new Sequential([
      new Sequential([new Sequential([new StringLookup(words), new OneHot(1001)])]),
      new Dense(1001, 1),
    ]);
    const optimizer = new SGD(model.parameters(), { learningRate: 0.01 });
    const data = { x: ['word 1', 'word 2'], y: [[0], [1]] };
    return (more: Partial<FitOptions>) => fit(model, data, { loss: 'mse', optimizer, ...more } as never);
  };
  const kept: Checkpoint[] = [];
  await made(vocabulary)({ callbacks: [checkpoint({ save: (c) => void kept.push(c) })] });
  const file = kept[0].encode();
  expect(Buffer.from(file).toString('latin1').split('word 999')).toHaveLength(2);
  await made(vocabulary)({ resume: file, epochs: 2 });
  const others = vocabulary.with(999, 'another');
  await expect(made(others)({ resume: file, epochs: 2 })).rejects.toThrow(
    /layer 0\.0\.0 to be .*StringLookup.*\(sum \d+\).* got .*StringLookup.*\(sum \d+\)/,
  );
});

describe('the model of a checkpoint', () => {
  it('is read by loadModel where its layers are known, and by others as safetensors', async () => {
    const folder = temporaryFolder();
    const { model, run, data } = training();
    await run({ callbacks: [checkpoint({ folder, keep: 1 })] });
    const path = join(folder, readdirSync(folder)[0]);
    const loaded = await loadModel<Sequential>(path);
    expect([...loaded.eval().forward(data.x).data]).toEqual([...model.eval().forward(data.x).data]);
    const tensors = await loadSafetensors(path);
    expect(Object.keys(tensors)).toEqual(expect.arrayContaining(Object.keys(model.stateDict())));
    const others = Object.keys(tensors).filter((name) => !(name in model.stateDict()));
    expect(others.length).toBeGreaterThan(10);
    for (const name of others) expect(name).toMatch(/^checkpoint:/);
  });
});

it('a model may be deep', async () => {
  let model: Layer = new Dense(3, 1);
  for (let i = 0; i < 150; i++) model = new Sequential([model]);
  const kept: Uint8Array[] = [];
  const save = (c: Checkpoint) => void kept.push(c.encode());
  const run = (options: Partial<FitOptions>) =>
    fit(model, xy(4), { loss: 'mse', optimizer: new Adam(model.parameters()), ...options } as never);
  await run({ callbacks: [checkpoint({ save })] });
  expect((await run({ resume: kept[0], epochs: 2 })).epochs).toHaveLength(2);
});

describe('errors', () => {
  it('of the system end training, with its history, and leave the model as it is', async () => {
    for (const every of ['epoch', 2] as const) {
      const folder = join(temporaryFolder(), 'run');
      const { model, run } = training();
      const losses: number[] = [];
      // A file in the folder's place: nobody can write there.
      const break_: Callback = {
        onBatchEnd: ({ epoch }, { batch, loss }) => {
          losses.push(loss);
          if (epoch !== 2 || batch !== 2) return;
          rmSync(folder, { recursive: true });
          writeFileSync(folder, '');
        },
      };
      const error = await rejection(run({ callbacks: [checkpoint({ folder, every }), break_] }));
      expect(error).toBeInstanceOf(FileError);
      expect((error as FileError).message).toMatch(/^\[checkpoint\] expected to (write|read) .*run/);
      expect((error as FileError).history!.epochs.length).toBeGreaterThanOrEqual(1);
      expect(losses.length).toBeLessThanOrEqual(every === 2 ? 7 : 9);
      expect(model.training).toBe(true);
    }
    const { run } = training();
    const file = join(temporaryFolder(), 'file');
    writeFileSync(file, '');
    const error = await rejection(run({ callbacks: [checkpoint({ folder: file })] }));
    expect(error).toBeInstanceOf(FileError);
  });

  it('of the system do not, where a folder cannot be looked through: files are written all the same', async () => {
    const folder = temporaryFolder();
    const refuse: Callback = {
      onTrainBegin: () =>
        void vi
          .spyOn(fs.promises, 'readdir')
          .mockRejectedValue(Object.assign(new Error('no'), { code: 'EIO' })),
    };
    await training()
      .run({ callbacks: [refuse, checkpoint({ folder, keep: 1 })] })
      .finally(() => vi.mocked(fs.promises.readdir).mockRestore());
    expect(readdirSync(folder)).toHaveLength(4);
    await training().run({ callbacks: [checkpoint({ folder, keep: 1 })], resume: folder, epochs: 5 });
    expect(readdirSync(folder)).toHaveLength(1);
  });

  it('of save end it as well', async () => {
    const refused = new Error('no');
    const save = async () => {
      throw refused;
    };
    expect(await rejection(training().run({ callbacks: [checkpoint({ save, every: 2 })] }))).toBe(refused);
  });

  it('of the last one after an abort are a warning beside the AbortError', async () => {
    const controller = new AbortController();
    const abort: Callback = { onEpochEnd: () => controller.abort() };
    const save = () => {
      throw new Error('disk full');
    };
    const { signal } = controller;
    const error = await rejection(
      training().run({ callbacks: [abort, checkpoint({ save, every: 99 })], signal }),
    );
    expect(error).toBeInstanceOf(AbortError);
    expect(warnings).toHaveBeenCalledExactlyOnceWith(
      'no checkpoint was kept of step 3, at which training was aborted',
      { type: 'AxpyWarning', code: 'AXPY_CHECKPOINT', detail: 'disk full' },
    );
  });

  it('of numbers leave what was kept before', async () => {
    const folder = temporaryFolder();
    const { model, run } = training();
    const destroy: Callback = {
      onBatchEnd: ({ epoch }, { batch }) =>
        void (epoch === 2 && batch === 3 && model.parameters()[0].data.fill(Number.NaN)),
    };
    const error = await rejection(run({ callbacks: [checkpoint({ folder, every: 1, keep: 9 }), destroy] }));
    expect(error).toBeInstanceOf(NonFiniteError);
    expect((error as Error).message).toContain('at epoch 2, batch 3');
    const names = readdirSync(folder);
    expect(names).toHaveLength(5);
    const other = training();
    await other.run({ resume: folder });
    const after = state(other);
    const reference = training();
    await reference.run();
    expect(after).toEqual(state(reference));
  });

  const stateless: Metric = { name: 'own', start: () => ({ add() {}, result: () => 1 }) };

  it('of metrics that have no state come before training, where they matter', async () => {
    const folder = temporaryFolder();
    const { model, run } = training({ metrics: [stateless] as never });
    const before = JSON.stringify([model.stateDict(), [...defaultState]]);
    const error = await rejection(run({ callbacks: [checkpoint({ folder, every: 2 })] }));
    expect(error).toBeInstanceOf(ArgumentError);
    expect((error as Error).message).toMatch(/got own without stateDict and loadStateDict.*every: 'epoch'/);
    expect(JSON.stringify([model.stateDict(), [...defaultState]])).toBe(before);

    // At the end of epochs it does without, and tells what it has not kept.
    const controller = new AbortController();
    const stop: Callback = {
      onBatchEnd: ({ epoch }, { batch }) => void (epoch === 3 && batch === 1 && controller.abort()),
    };
    const first = training({ metrics: [stateless] as never });
    await rejection(first.run({ callbacks: [checkpoint({ folder }), stop], signal: controller.signal }));
    expect(warnings).toHaveBeenCalledTimes(1);
    expect(readdirSync(folder)).toHaveLength(2);
    const second = training({ metrics: [stateless] as never });
    await second.run({ resume: folder });
    const after = state(second);
    const reference = training({ metrics: [stateless] as never });
    await reference.run();
    expect(after).toEqual(state(reference));
  });

  it('of options', () => {
    for (const options of [
      {},
      { folder: 'a', save() {} },
      { folder: 'a', every: 0 },
      { folder: 'a', every: 'step' },
      { folder: 'a', keep: 0 },
      { folder: 'a', best: 3 },
      { folder: 'a', best: 'own' },
      { folder: 'a', mode: 'up', best: 'loss' },
      { save: 3 },
      { folder: 'a', other: 1 },
      null,
    ]) {
      expect(() => checkpoint(options as never)).toThrow(ArgumentError);
    }
  });

  it('of a number that will not be in the records', async () => {
    const error = await rejection(
      training().run({ callbacks: [checkpoint({ save() {}, best: 'validation.loss' })] }),
    );
    expect((error as Error).message).toMatch(/expected best to be one of loss, got validation.loss/);
  });
});

describe('a loop of one’s own', () => {
  it('goes on with two models, two optimizers and what else it knows', async () => {
    const path = join(temporaryFolder(), 'gan.safetensors');
    class Pair extends Layer {
      readonly g = new Dense(2, 2);
      readonly d = new Sequential([
        new Dense(2, 4, { activation: 'relu' }),
        new Dropout(0.3),
        new Dense(4, 1),
      ]);
      forward(x: Tensor): Tensor {
        return this.d.forward(this.g.forward(x));
      }
    }
    const begin = (n: number) => {
      seed(n);
      const model = new Pair();
      // A parameter that no layer has.
      const weight = new Parameter([1]);
      const optimizer = {
        g: new Adam(model.g.parameters()),
        d: new SGD([...model.d.parameters(), weight], { learningRate: 0.1, momentum: 0.5 }),
      };
      const step = (): number => {
        const loss = losses.mse(model.forward(randn([8, 2])), randn([8, 1])).add(weight.square().sum());
        for (const one of Object.values(optimizer)) one.zeroGrad();
        loss.backward();
        for (const one of Object.values(optimizer)) one.step();
        return loss.item();
      };
      return { model, optimizer, step, weight };
    };
    const first = begin(1);
    first.weight.assign([0.7]);
    first.model.g.setRequiresGrad(false);
    for (let i = 0; i < 5; i++) first.step();
    const extra = {
      seen: [1, Number.NaN, -0],
      best: { x: tensor([1, 2]) },
      state: new Uint32Array([2 ** 32 - 1, 7]),
    };
    await saveCheckpoint(path, { ...first, step: 5, extra } as never).then(
      () => expect.unreachable(),
      (error) => expect(error).toBeInstanceOf(ArgumentError),
    );
    const { model, optimizer } = first;
    const saved = saveCheckpoint(path, { model, optimizer, step: 5, extra });
    const after = Array.from({ length: 5 }, first.step);
    await saved;

    const second = begin(2);
    const c = await loadCheckpoint(path);
    c.restore({ model: second.model, optimizer: second.optimizer });
    expect(Array.from({ length: 5 }, second.step)).toEqual(after);
    expect([...second.weight.data]).toEqual([...first.weight.data]);
    expect(second.model.g.weight.requiresGrad).toBe(false);
    expect([c.step, c.name]).toEqual([5, path]);
    expect(c.extra).toEqual({ ...extra, best: { x: expect.anything() } });
    expect([...((c.extra as typeof extra).best.x.data as Float32Array)]).toEqual([1, 2]);
  });

  it('of which nothing is restored unless all can be', async () => {
    seed(1);
    const model = make();
    const c = await loadCheckpoint(encodeCheckpoint({ model, optimizer: new Adam(model.parameters()) }));
    const all = (m: Layer, o: Adam | SGD) =>
      JSON.stringify([m.stateDict(), o.stateDict(), m.namedHidden(), [...defaultState]]);
    const refused = (other: Layer, optimizer: unknown, kind: unknown = ArgumentError) => {
      const own = optimizer as Adam;
      const before = all(
        other,
        own instanceof Object && 'stateDict' in own ? own : new Adam(other.parameters()),
      );
      expect(() => c.restore({ model: other, optimizer: own })).toThrow(kind as never);
      expect(
        all(other, own instanceof Object && 'stateDict' in own ? own : new Adam(other.parameters())),
      ).toBe(before);
    };
    const other = make();
    other.parameters()[0].data.fill(2);
    refused(other, new SGD(other.parameters(), { learningRate: 1 }));
    refused(other, { a: new Adam(other.parameters()) });
    refused(other, 3);
    refused(make(5), new Adam(make(5).parameters()), AxpyError);
    // The hyperparameters are found to be none as the last thing of all.
    class Picky extends Adam {
      static override readonly name = 'Adam';
      protected override check(): void {
        if (armed) throw new ArgumentError('no');
      }
    }
    let armed = false;
    const picky = new Picky(other.parameters());
    armed = true;
    refused(other, picky);
    expect(() => c.restore({ model: other, random: 1 as never })).toThrow(ArgumentError);
    expect(() => c.restore({ model: 3 as never })).toThrow(ArgumentError);
    expect(() => c.restore({ model, others: 1 } as never)).toThrow(ArgumentError);
  });

  it('with many optimizers has the state of each copied once', async () => {
    const model = new Sequential(Array.from({ length: 9 }, () => new Dense(2, 2)));
    const optimizer = Object.fromEntries(
      model.layers.map((layer, i) => [`o${i}`, new Adam(layer.parameters())]),
    );
    const c = await loadCheckpoint(encodeCheckpoint({ model, optimizer }));
    const get = vi.spyOn(c.tensors, 'get');
    c.restore({ model, optimizer });
    expect(get.mock.calls.length).toBeLessThanOrEqual(c.tensors.size);
  });

  it('leaves the random state alone when asked to', async () => {
    const model = make();
    const c = await loadCheckpoint(encodeCheckpoint({ model }));
    seed(9);
    const before = [...defaultState];
    c.restore({ model, random: false });
    expect([...defaultState]).toEqual(before);
    c.restore({ model });
    expect([...defaultState]).not.toEqual(before);
  });
});

describe('state', () => {
  const leaf = fc.oneof(
    fc.constantFrom(null, true, false, Number.NaN, Infinity, -Infinity, -0),
    fc.double(),
    fc.string({ unit: 'binary' }),
    fc.constantFrom('\ud800', '$', '__proto__'),
    fc.float32Array({ maxLength: 5 }),
    fc.float64Array({ maxLength: 5 }),
    fc.int32Array({ maxLength: 5 }),
    fc.uint32Array({ maxLength: 5 }),
    fc.uint8Array({ maxLength: 9 }),
    fc.float32Array({ maxLength: 5 }).map((values) => tensor(values, { shape: [1, values.length] })),
  );
  const key = fc.oneof(fc.constantFrom('$', 'a.b', 'a', '__proto__', '\udc00', 'name'), fc.string());
  const tree = fc.letrec((tie) => ({
    tree: fc.oneof(
      { depthSize: 'small' },
      leaf,
      fc.array(tie('tree'), { maxLength: 4 }),
      fc.dictionary(key, tie('tree'), { maxKeys: 4 }),
    ),
  })).tree as fc.Arbitrary<SavedState>;

  it('comes back from a file as it was, whatever it is', async () => {
    const model = new Dense(1, 1);
    await fc.assert(
      fc.asyncProperty(tree, async (extra) => {
        const c = await loadCheckpoint(encodeCheckpoint({ model, extra }));
        const plain = (value: SavedState): unknown => flatten('test', value, '').json;
        expect(plain(c.extra)).toEqual(plain(extra));
        const arrays = (value: SavedState) =>
          [...flatten('test', value, '').tensors].map(([name, x]) => [name, x.dtype, x.shape, [...x.data]]);
        expect(arrays(c.extra)).toEqual(arrays(extra));
      }),
      { numRuns: 150 },
    );
  });

  it('is refused where it is no data', () => {
    const circle: Record<string, unknown> = {};
    circle.self = circle;
    const model = new Dense(1, 1);
    for (const extra of [
      () => {},
      Symbol('x'),
      3n,
      new Date(),
      circle,
      new Set(),
      new Float32Array(0).buffer,
      [undefined],
      new Map(),
    ]) {
      expect(() => encodeCheckpoint({ model, extra: extra as never })).toThrow(ArgumentError);
    }
  });

  it('is refused where arrays hold each other many times', () => {
    let shared: SavedState = [];
    for (let i = 0; i < 40; i++) shared = [shared, shared];
    expect(() => flatten('test', shared, '')).toThrow('hold each other many times');
  });

  it('that nobody wrote is refused', () => {
    const none = () => undefined;
    for (const json of [
      { $: 'Tensor', name: 'x' },
      { $: 'Date' },
      { $: 3 },
      { $: 'record', entries: [[1, 2]] },
      { $: 'toString' },
    ]) {
      expect(() => unflatten('the checkpoint', json, none)).toThrow(FormatError);
    }
    const words = () => tensor(new Int32Array(2));
    for (const length of [9, -1, 1.5, 'x', null, 4]) {
      expect(() => unflatten('the checkpoint', { $: 'Uint8Array', name: 'x', length }, words)).toThrow(
        FormatError,
      );
    }
    const twice = { $: 'Int32Array', name: 'x', length: 2 };
    expect(() => unflatten('the checkpoint', [twice, twice], words)).toThrow('in one place');
    let deep: unknown = 1;
    for (let i = 0; i < 1000; i++) deep = [deep];
    expect(() => unflatten('the checkpoint', deep as never, none)).toThrow(FormatError);
  });
});

describe('a metric goes on from its state:', () => {
  const batches = Array.from({ length: 4 }, (_, i) => ({ size: 3 + i }));
  it.each(Object.keys(metrics) as (keyof typeof metrics)[])('%s', (name) => {
    seed(4);
    const isClass = !['r2', 'meanAbsoluteError', 'meanSquaredError', 'rootMeanSquaredError'].includes(name);
    const given = batches.map(({ size }) => {
      const prediction = isClass ? randn([size, 7]).softmax() : randn([size, 7]);
      const target = isClass
        ? tensor(Int32Array.from({ length: size }, (_, i) => (i * 5 + size) % 7))
        : randn([size, 7]);
      return [prediction, target] as const;
    });
    const whole = metrics[name]().start();
    for (const [p, t] of given) whole.add(p, t);
    for (let at = 0; at <= given.length; at++) {
      const [first, second] = [metrics[name]().start(), metrics[name]().start()];
      for (const [p, t] of given.slice(0, at)) first.add(p, t);
      const { json, tensors } = flatten('test', first.stateDict!(), '');
      // What it was before is forgotten.
      second.add(...given[3]);
      second.loadStateDict!(unflatten('test', json, (key) => tensors.get(key)));
      for (const [p, t] of given.slice(at)) second.add(p, t);
      expect(second.result()).toBe(whole.result());
    }
    const other = metrics[name]().start();
    for (const [p, t] of given) other.add(p, t);
    for (const bad of [
      3,
      'x',
      [],
      {},
      { total: 'x' },
      { kind: 'other' },
      { isPositive: 3 },
      { count: 1 },
    ] as SavedState[]) {
      expect(() => other.loadStateDict!(bad)).toThrow(AxpyError);
    }
    expect(other.result()).toBe(whole.result());
  });
});

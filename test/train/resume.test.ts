/** Trainings that are interrupted go on as if they had not been: to the bit, wherever it was, whatever is trained. */
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  AbortError,
  Adam,
  BatchNorm,
  type Callback,
  type Checkpoint,
  Conv2D,
  checkpoint,
  Dense,
  Dropout,
  dropout,
  earlyStopping,
  type FitOptions,
  Flatten,
  type FloatDtype,
  fit,
  type History,
  tensor as int32,
  Layer,
  metrics,
  Optimizer,
  permutation,
  RandomBrightness,
  RandomContrast,
  RandomCrop,
  RandomFlip,
  RandomRotation,
  RandomTranslation,
  RandomZoom,
  rand,
  randn,
  randomState,
  Sequential,
  SGD,
  SharedTensor,
  seed,
  setThreads,
  stream,
  type Tensor,
  WeightAverage,
} from '../../lib/index.ts';
import { defaultState } from '../../lib/random.ts';

type Values = Readonly<Record<string, Tensor>>;

/** An optimizer of a user's, with a state for each element and a number for each parameter. */
class Lion extends Optimizer {
  constructor(parameters: Iterable<Tensor>, { learningRate = 1e-3 } = {}) {
    super(parameters, {
      learningRate,
      hyper: { beta: { value: 0.9, low: 0, under: 1 } },
      state: ['mean'],
      scalars: { steps: { low: 0, integer: true } },
    });
  }

  protected rule({ p, g, mean, steps }: Values, { learningRate, beta }: Values): Record<string, Tensor> {
    const m = mean.mul(beta).add(g.mul(beta.neg().add(1)));
    return { p: p.sub(m.sign().mul(learningRate)), mean: m, steps: steps.add(1) };
  }
}

/** A layer of a user's, with inner layers, without a config, and with state that nobody sees. */
class Gate extends Layer {
  readonly parts: { readonly [name: string]: Layer };
  readonly #seen: SharedTensor<FloatDtype>;
  /** Random numbers of its own. */
  readonly noise = { state: randomState(4) };

  constructor(size: number, dtype: FloatDtype) {
    super();
    this.parts = {
      a: new Dense(size, size, { dtype }),
      b: new Dense(size, size, { dtype, activation: 'sigmoid' }),
    };
    this.#seen = new SharedTensor<FloatDtype>([1], dtype);
  }

  override [Layer.hidden](): Record<string, SharedTensor<FloatDtype>> {
    return { seen: this.#seen };
  }

  forward(x: Tensor): Tensor {
    if (this.training) this.#seen.lerp_(x.detach().mean().reshape([1]), 0.3);
    const y = this.parts.a.forward(x).mul(this.parts.b.forward(x)).add(this.#seen);
    return this.training ? dropout(y, 0.2, this.noise.state) : y;
  }
}

/** Of two inputs by name. */
class Two extends Layer {
  readonly left = new Dense(3, 4);
  readonly right = new Dense(2, 4);
  readonly head = new Sequential([new BatchNorm(4), new Dropout(0.4), new Dense(4, 2)]);

  forward({ a, b }: { a: Tensor; b: Tensor }): Tensor {
    return this.head.forward(this.left.forward(a).add(this.right.forward(b)));
  }
}

const models = {
  dense: (dtype: FloatDtype) =>
    new Sequential([
      new Dense(3, 5, { dtype }),
      new BatchNorm(5, { dtype, activation: 'relu' }),
      new Dropout(0.3),
      new Gate(5, dtype),
      new Dense(5, 2, { dtype }),
    ]),
  image: (dtype: FloatDtype) =>
    new Sequential([
      new Conv2D(1, 2, 3, { dtype, padding: 'same' }),
      new BatchNorm(2, { dtype, activation: 'relu' }),
      new Flatten(),
      new Dropout(0.2),
      new Dense(2 * 16, 2, { dtype }),
    ]),
  // Changed at random within the step.
  pictures: (dtype: FloatDtype) =>
    new Sequential([
      new RandomFlip('both'),
      new RandomCrop(4, 4, { padding: 1 }),
      new RandomRotation(0.1),
      new RandomZoom(0.3, { fillMode: 'nearest' }),
      new RandomTranslation(0.2, [0, 0.5], { fillMode: 'constant', interpolation: 'nearest' }),
      new RandomContrast(0.2),
      new RandomBrightness(0.1),
      new Conv2D(1, 2, 3, { dtype, padding: 'same', activation: 'relu' }),
      new Flatten(),
      new Dense(2 * 16, 2, { dtype }),
    ]),
  two: () => new Two(),
};

const optimizers = {
  sgd: (p: Tensor[]) => new SGD(p, { learningRate: 0.05 }),
  momentum: (p: Tensor[]) => new SGD(p, { learningRate: 0.005, momentum: 0.9, nesterov: true, l2: 0.01 }),
  adam: (p: Tensor[]) => new Adam(p, { learningRate: 0.02 }),
  lion: (p: Tensor[]) => new Lion(p, { learningRate: 0.01 }),
};

const metricSets = {
  none: [],
  classes: ['accuracy', 'f1', metrics.rocAuc({ average: 'micro' }), 'logLoss', metrics.topK(1)],
  quantities: ['r2', 'meanAbsoluteError', (p: Tensor, y: Tensor) => p.sub(y).abs().max()],
} as const;

/** How data is given. */
const sources = [
  'memory',
  'seeded',
  'ordered',
  'dropLast',
  'array',
  'generator',
  'blocks',
  'stream',
  'prefetched',
  'sharded',
] as const;

interface Case {
  model: keyof typeof models;
  dtype: FloatDtype;
  optimizer: keyof typeof optimizers;
  metrics: keyof typeof metricSets;
  source: (typeof sources)[number];
  examples: number;
  batchSize: number;
  validated: boolean;
  stopping: boolean;
  freezing: boolean;
  schedule: boolean;
  accumulate: number;
  averaged: boolean;
  compiled: boolean;
}

const epochs = 3;
/** Of each property; more by AXPY_RESUMES. */
const runs = Number(process.env.AXPY_RESUMES ?? 40);

/** A schedule of a user's, that counts steps by itself, and changes rate and modes while it trains. */
function schedule(): Callback & { count: number } {
  return {
    count: 0,
    onBatchEnd({ optimizer }) {
      this.count++;
      optimizer.learningRate *= 0.97;
    },
    async onEpochBegin({ optimizer, epoch }) {
      // Not twice for one epoch.
      optimizer.learningRate *= 1 - 0.1 * epoch;
    },
    async onEpochEnd({ model, epoch }) {
      // What draws random numbers between steps.
      rand([epoch]);
      const last = model.namedLayers().find(([, layer]) => layer instanceof Dense)![1];
      if (epoch === 2) last.setRequiresGrad(false);
    },
    stateDict() {
      return { count: this.count };
    },
    loadStateDict(state) {
      this.count = (state as { count: number }).count;
    },
  };
}

/** Where a training may wait in vain, or end for now. */
const places = ['end', 'data', 'validation', 'onEpochBegin', 'onBatchEnd', 'onEpochEnd', 'step'] as const;
type Place = (typeof places)[number];

/** Lets something wait for ever at the nth time at a place, and aborts the training. */
class Waits {
  readonly controller = new AbortController();
  private times = 0;

  constructor(
    private readonly place: Place | null = null,
    private readonly after = 0,
  ) {}

  at(place: Place): Promise<never> | undefined {
    if (place !== this.place || this.times++ !== this.after) return undefined;
    if (place === 'step') {
      this.controller.abort();
      return undefined;
    }
    setTimeout(() => this.controller.abort(), 1);
    return new Promise<never>(() => {});
  }

  get callback(): Callback {
    return {
      onEpochBegin: () => this.at('onEpochBegin'),
      onBatchEnd: () => this.at('step') ?? this.at('onBatchEnd'),
      onEpochEnd: () => this.at('onEpochEnd'),
    };
  }
}

/** All that a training is given, made anew. */
function setUp(own: Case, waits = new Waits()) {
  seed(5);
  const { dtype, source, batchSize } = own;
  const isImage = own.model === 'image' || own.model === 'pictures';
  // One example is enough for each channel of an image, not for a feature.
  const n = !isImage && own.examples % batchSize === 1 ? own.examples + 1 : own.examples;
  const model: Layer = models[own.model](own.model === 'two' ? 'float32' : dtype);
  const kind = own.model === 'two' ? 'float32' : dtype;
  const make = (count: number) => {
    const classes = own.metrics === 'classes';
    const shape = isImage ? [count, 4, 4, 1] : [count, 3];
    const a = randn(shape, { dtype: kind });
    const x = own.model === 'two' ? { a, b: randn([count, 2]) } : a;
    const y = classes
      ? Array.from(rand([count]).data as Float32Array, (value) => Math.floor(2 * value))
      : randn([count, 2], { dtype: kind });
    return { x, y };
  };
  const whole = make(n);
  const part = (rows: Int32Array) => {
    const at = Array.from(rows);
    const index = int32(at, { dtype: 'int32' });
    const take = (tensor: Tensor) => tensor.gather(index);
    const x =
      own.model === 'two'
        ? { a: take((whole.x as { a: Tensor }).a), b: take((whole.x as { b: Tensor }).b) }
        : take(whole.x as Tensor);
    const y = Array.isArray(whole.y) ? at.map((i) => (whole.y as number[])[i]) : take(whole.y as Tensor);
    return { x, y };
  };
  const batches = (order: Int32Array) =>
    Array.from({ length: Math.ceil(n / batchSize) }, (_, i) =>
      part(order.slice(i * batchSize, (i + 1) * batchSize)),
    );
  const noisy = (batch: ReturnType<typeof part>) =>
    own.model === 'two' ? batch : { ...batch, x: (batch.x as Tensor).add(rand([1], { dtype: kind })) };
  const data = {
    memory: whole,
    seeded: whole,
    ordered: whole,
    dropLast: whole,
    array: batches(permutation(n)),
    // Random by the state that dropout reads.
    *generator() {
      for (const batch of batches(permutation(n))) {
        // Drawn before it is known whether the batch is waited for in vain.
        const own = noisy(batch);
        yield (waits.at('data') ?? own) as typeof own;
      }
    },
    // Which draws further as it goes.
    async *blocks() {
      for (let block = 0; block < 2; block++) {
        for (const batch of batches(permutation(n)).slice(0, 2)) {
          yield noisy(batch);
          await waits.at('data');
        }
      }
    },
    stream: stream(batches(Int32Array.from({ length: n }, (_, i) => i)))
      .shuffle(3)
      .map(async (batch) => {
        const own = noisy(batch);
        await waits.at('data');
        return own;
      }),
    // Ahead of the steps, so without draws from the state that they read.
    prefetched: stream(batches(Int32Array.from({ length: n }, (_, i) => i)))
      .shuffle(3, { seed: 5 })
      .map(async (batch) => {
        await waits.at('data');
        return batch;
      })
      .prefetch(2),
    // The part of one process of two.
    sharded: stream(whole)
      .shuffle(4)
      .shard(1, 2)
      .map(async (example) => {
        await waits.at('data');
        return example;
      })
      .batch(2, { dropLast: true }),
  }[source];
  // Draws, so that an interrupted one leaves another random state behind.
  const validation = (batch: ReturnType<typeof make>) =>
    async function* () {
      rand([3]);
      await waits.at('validation');
      yield batch;
    };
  const optimizer = optimizers[own.optimizer](model.parameters());
  if (own.freezing) {
    const [first] = model.namedLayers().filter(([, layer]) => layer instanceof BatchNorm);
    first?.[1].eval();
    model.parameters()[0].setRequiresGrad(false);
  }
  const average = own.averaged ? new WeightAverage(model, { decay: 0.9 }) : null;
  const callbacks: Callback[] = [waits.callback];
  if (own.schedule) callbacks.push(schedule());
  if (own.stopping) {
    callbacks.push(
      earlyStopping({ monitor: own.validated ? 'validation.loss' : 'loss', patience: 1, minDelta: 0.05 }),
    );
  }
  const losses: number[] = [];
  callbacks.push({ onBatchEnd: (_, { loss }) => void losses.push(loss) });
  const options = {
    loss: own.metrics === 'classes' ? 'softmaxCrossEntropy' : 'mse',
    optimizer,
    epochs,
    metrics: metricSets[own.metrics] as never,
    compiled: own.compiled,
    accumulate: own.accumulate,
    ...(average ? { averageWeights: average } : {}),
    callbacks,
    ...(own.validated ? { validation: validation(make(5)) as never } : {}),
    signal: waits.controller.signal,
    ...(['memory', 'seeded', 'ordered', 'dropLast'].includes(source) ? { batchSize } : {}),
    ...(source === 'seeded' ? { seed: 3 } : {}),
    ...(source === 'ordered' ? { shuffle: false } : {}),
    ...(source === 'dropLast' ? { dropLast: true } : {}),
  } as FitOptions;
  const run = (more: Partial<FitOptions> = {}): Promise<History> =>
    fit(
      model,
      data as never,
      {
        ...options,
        ...more,
        callbacks: [...(more.callbacks ?? []), ...callbacks],
      } as never,
    );
  return { model, optimizer, average, losses, run };
}

const bits = (x: Tensor) => [x.dtype, [...x.shape], Buffer.from(x.data.slice().buffer).toString('base64')];

/** All that must be alike, but for times. */
function outcome({ model, optimizer, average }: ReturnType<typeof setUp>, history: History) {
  const named = (entries: [string, Tensor][]) =>
    Object.fromEntries(entries.map(([name, x]) => [name, bits(x)]));
  return {
    model: named(Object.entries(model.stateDict())),
    hidden: named(model.namedHidden()),
    states: model.namedRandomStates().map(([name, words]) => [name, [...words]]),
    frozen: model.parameters().map((p) => p.requiresGrad),
    modes: model.namedLayers().map(([, layer]) => layer.training),
    optimizer: named(Object.entries(optimizer.stateDict())),
    average: named(Object.entries(average?.stateDict() ?? {})),
    random: [...defaultState],
    history: {
      ...history,
      epochs: history.epochs.map(({ seconds, examplesPerSecond, ...record }) => record),
    },
  };
}

const cases: fc.Arbitrary<Case> = fc.record({
  model: fc.constantFrom('dense', 'dense', 'image', 'pictures', 'two'),
  dtype: fc.constantFrom('float32', 'float32', 'float64'),
  optimizer: fc.constantFrom('sgd', 'momentum', 'adam', 'lion'),
  metrics: fc.constantFrom('none', 'classes', 'quantities'),
  source: fc.constantFrom(...sources),
  examples: fc.integer({ min: 9, max: 14 }),
  batchSize: fc.constant(4),
  validated: fc.boolean(),
  stopping: fc.boolean(),
  freezing: fc.boolean(),
  schedule: fc.boolean(),
  accumulate: fc.constantFrom(1, 1, 2, 3),
  averaged: fc.boolean(),
  compiled: fc.boolean(),
});

describe('a training that goes on from any of its checkpoints', () => {
  it('ends as the one that was not interrupted', async () => {
    await fc.assert(
      fc.asyncProperty(cases, fc.nat(), fc.boolean(), async (own, at, byEpochs) => {
        const first = setUp(own);
        const whole = outcome(first, await first.run());

        const kept: Checkpoint[] = [];
        const second = setUp(own);
        setThreads(2);
        const keeping = checkpoint({ every: byEpochs ? 'epoch' : 1, save: (c) => void kept.push(c) });
        // To keep them changes nothing.
        expect(outcome(second, await second.run({ callbacks: [keeping] }))).toEqual(whole);

        const third = setUp(own);
        seed(77);
        third.model.parameters()[0].data.fill(0.5);
        setThreads(1);
        const chosen = kept[at % kept.length];
        const resume = at % 2 === 0 ? chosen : chosen.encode();
        expect(outcome(third, await third.run({ resume }))).toEqual(whole);
        expect(third.losses).toEqual(first.losses.slice(first.losses.length - third.losses.length));
        expect(first.losses.length - third.losses.length).toBe(chosen.step);
      }),
      { numRuns: runs },
    );
  });

  it('ends as that one when it was aborted, wherever it waited, with files between', async () => {
    await fc.assert(
      fc.asyncProperty(cases, fc.constantFrom(...places), fc.nat(6), async (own, place, after) => {
        const first = setUp(own);
        const whole = outcome(first, await first.run());

        const folder = mkdtempSync(join(tmpdir(), 'axpy-resume-'));
        try {
          const keeping = () => checkpoint({ folder, every: 5, keep: 1 });
          const second = setUp(own, new Waits(place, after));
          const isShort = place === 'end';
          const until = isShort ? { epochs: 1 + (after % epochs) } : {};
          const ended = await second
            .run({ callbacks: [keeping()], ...until })
            .catch((error: unknown) => error);
          const isInterrupted = isShort || ended instanceof Error;
          if (ended instanceof Error) expect(ended).toBeInstanceOf(AbortError);
          expect(readdirSync(folder)).toEqual([expect.stringMatching(/^checkpoint-\d{9}\.safetensors$/)]);

          const third = setUp(own);
          seed(78);
          expect(outcome(third, await third.run({ callbacks: [keeping()], resume: folder }))).toEqual(whole);
          // No step is taken twice or left out.
          const steps = isInterrupted ? [...second.losses, ...third.losses] : second.losses;
          expect(steps).toEqual(first.losses);

          // What is complete comes to its history at once.
          const last = setUp(own);
          expect(outcome(last, await last.run({ resume: folder }))).toEqual(whole);
          expect(last.losses).toEqual([]);
        } finally {
          rmSync(folder, { recursive: true });
        }
      }),
      { numRuns: runs },
    );
  });
});

/**
 * Trainings as users have them, by the ranks of a job: `course.child.ts <scene> <folder>`. Rank 0 prints, as JSON, what each has seen; what is compared with one process is of float64.
 */
import {
  BatchNorm,
  type Callback,
  checkpoint,
  Dense,
  Dropout,
  earlyStopping,
  evaluate,
  type FitOptions,
  fit,
  type Layer,
  metrics,
  Sequential,
  SGD,
  seed,
  stream,
  Tanh,
  tensor,
} from '../../lib/index.ts';
import { distribute } from '../../lib/mpi/index.ts';

const [scene, folder = ''] = process.argv.slice(2);
const world = await distribute({ timeout: 20 });
const { rank, size } = world;
// Nobody is to begin like another.
seed(100 + rank);

const dtype = 'float64';
const count = 50;
const x = Array.from({ length: count }, (_, i) => [0, 1, 2, 3].map((j) => Math.sin(1.7 * i + 2.3 * j)));
const y = Array.from({ length: count }, (_, i) => (i * i) % 3);
const sampleWeight = Array.from({ length: count }, (_, i) => 0.5 + (i % 4) / 4);
const data = { x: tensor(x, { dtype }), y };

const make = (...between: Layer[]): Sequential => {
  const model = new Sequential([
    new Dense(4, 8, { dtype }),
    ...between,
    new Tanh(),
    new Dense(8, 3, { dtype }),
  ]);
  model.parameters().forEach((parameter, k) => {
    parameter.data.forEach((_, i, all) => {
      all[i] = rank === 0 ? 0.5 * Math.cos(1.3 * i + k) : Number.NaN;
    });
  });
  return model;
};

const numbersOf = (model: Layer) => model.parameters().flatMap((parameter) => Array.from(parameter.data));
const options = (model: Layer, more: Partial<FitOptions> = {}): FitOptions =>
  ({
    loss: 'softmaxCrossEntropy',
    optimizer: new SGD(model.parameters(), { learningRate: 0.2, momentum: 0.9 }),
    batchSize: 8,
    epochs: 3,
    seed: 7,
    world,
    ...more,
  }) as FitOptions;
/** What this rank has to say; rank 0 prints it for all, as a launcher may mix the lines of several. */
const lines: object[] = [];
const say = (line: object) => void lines.push(line);
/** Of a training: its numbers, and its records but for times. */
const saw = (model: Layer, history: { epochs: readonly object[]; stopped?: string }) =>
  say({
    numbers: numbersOf(model),
    epochs: history.epochs.map((record) => ({ ...record, seconds: 0, examplesPerSecond: 0 })),
    stopped: history.stopped ?? null,
  });

const scenes: Record<string, () => Promise<void>> = {
  /** Shuffled, with metrics, weights and validation. */
  async scores() {
    const model = make();
    const history = await fit(
      model,
      { ...data, sampleWeight },
      options(model, {
        metrics: ['accuracy', metrics.f1({ average: 'macro' }), metrics.rocAuc({ fromLogits: true })],
        validation: { x: data.x.slice([[0, 21]]), y: y.slice(0, 21) },
      } as Partial<FitOptions>),
    );
    saw(model, history);
    say(
      await evaluate(model, data, {
        loss: 'softmaxCrossEntropy',
        metrics: ['accuracy'],
        batchSize: 7,
        world,
      }),
    );
  },
  async accumulate() {
    const model = make();
    saw(model, await fit(model, data, options(model, { accumulate: 3, clipGradNorm: 0.5 })));
  },
  /** Ranks have streams of different lengths: the last steps are of some alone. */
  async streams() {
    const model = make();
    const examples = x.map((row, i) => ({ x: row, y: y[i] }));
    const own = stream(examples)
      .shuffle(50, { seed: 3 })
      .shard(rank, size)
      .batch(rank === 0 ? 3 : 4);
    saw(
      model,
      await fit(model, own as never, options(model, { metrics: ['accuracy'] } as Partial<FitOptions>)),
    );
  },
  /** A metric that stops getting better ends all of them after the same epoch. */
  async early() {
    const model = make();
    const callbacks = [earlyStopping({ monitor: 'validation.loss', patience: 1, minDelta: 10 })];
    saw(model, await fit(model, data, options(model, { callbacks, epochs: 20, validation: data })));
  },
  /** A callback on one rank stops all of them. */
  async stop() {
    const model = make();
    const callback: Callback = {
      onBatchEnd: ({ stop, step }) => {
        if (rank === size - 1 && step === 5) stop('seen enough');
      },
    };
    saw(model, await fit(model, data, options(model, { callbacks: [callback] })));
  },
  /** A signal that one rank gets ends all of them, with a checkpoint; what follows goes on from there. */
  async abort() {
    const model = make(new Dropout(0.2));
    const controller = new AbortController();
    const callbacks: Callback[] = [
      checkpoint({ folder, every: 4 }),
      {
        onBatchEnd: ({ step }) => {
          if (rank === size - 1 && step === 9) controller.abort(new Error('told to end'));
        },
      },
    ];
    try {
      await fit(
        model,
        data,
        options(model, { callbacks, signal: controller.signal, metrics: ['accuracy'] } as never),
      );
    } catch (error) {
      const { code, cause } = error as { code: string; cause: Error };
      say({ code, cause: cause.message, numbers: numbersOf(model) });
    }
  },
  /** The same training, or the rest of it. */
  async resume() {
    const model = make();
    const callbacks = [checkpoint({ folder, every: 4 })];
    saw(
      model,
      await fit(model, data, options(model, { callbacks, resume: folder, metrics: ['accuracy'] } as never)),
    );
  },
  /** The first seven steps of it. */
  async begin() {
    const model = make();
    const controller = new AbortController();
    const callbacks: Callback[] = [
      checkpoint({ folder, every: 4 }),
      { onBatchEnd: ({ step }) => void (step === 9 && controller.abort()) },
    ];
    await fit(
      model,
      data,
      options(model, { callbacks, signal: controller.signal, metrics: ['accuracy'] } as never),
    ).catch(() => {});
    say({});
  },
  /** SIGTERM, as Slurm sends it. */
  async sigterm() {
    const model = make();
    const controller = new AbortController();
    process.once('SIGTERM', () => controller.abort(new Error('SIGTERM')));
    const callbacks: Callback[] = [
      checkpoint({ folder, every: 1000 }),
      {
        onBatchEnd: ({ step }) =>
          void (step === 3 && console.log(JSON.stringify({ rank, pid: process.pid }))),
      },
      { onBatchEnd: () => new Promise((resolve) => setTimeout(resolve, 20)) },
    ];
    await fit(model, data, options(model, { callbacks, signal: controller.signal, epochs: 1000 })).catch(
      (error) => {
        say({ code: error.code, cause: error.cause.message });
      },
    );
  },
  /** One rank's example breaks the loss: all of them end, with the numbers of before. */
  async broken() {
    const model = make();
    const targets = y.map((label, i) => [label, 0, i === 13 ? 1e200 : 0]);
    const own = options(model, {
      loss: 'mse',
      shuffle: false,
      metrics: [],
      optimizer: new SGD(model.parameters(), { learningRate: 0 }),
    } as Partial<FitOptions>);
    try {
      await fit(model, { x: data.x, y: tensor(targets, { dtype }) }, own);
    } catch (error) {
      const { code, message } = error as { code: string; message: string };
      say({ code, message, numbers: numbersOf(model) });
    }
  },
  /** Each rank drops other elements, and the same again at the next run. */
  async dropout() {
    const model = make(new Dropout(0.5));
    const history = await fit(model, data, options(model));
    saw(model, history);
  },
  /** Running statistics that ranks keep of their own parts are those of rank 0 at the end. */
  async buffers() {
    const model = make(new BatchNorm(8, { dtype }));
    const even = { x: data.x.slice([[0, 48]]), y: y.slice(0, 48) };
    const history = await fit(model, even, options(model, { validation: data }));
    say({
      buffers: model.namedBuffers().flatMap(([, { data }]) => Array.from(data)),
      validation: history.epochs.at(-1)!.validation,
    });
  },
  /** Parameters that a callback changes on one rank alone. */
  async apart() {
    const model = make();
    const callback: Callback = {
      onEpochEnd: () => {
        if (rank === size - 1) model.parameters()[0].data[0] += 1e-12;
      },
    };
    await fit(model, data, options(model, { callbacks: [callback] }));
  },
  /** Options that differ. */
  async options() {
    const model = make();
    await fit(model, data, options(model, { epochs: rank === size - 1 ? 4 : 3 }));
  },
  /** Data of another length. */
  async lengths() {
    const model = make();
    const own = rank === size - 1 ? { x: data.x.slice([[0, 49]]), y: y.slice(0, 49) } : data;
    await fit(model, own, options(model));
  },
};
await scenes[scene]();
const all = await world.gatherValues(lines);
if (rank === 0) console.log(JSON.stringify(all));

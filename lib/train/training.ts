/** What `fit` is asked for, checked. */

import {
  checkBoolean,
  checkFunction,
  checkOptions,
  checkPositive,
  describe,
  isInstance,
  isRecord,
  readList,
} from '../arguments.ts';
import type { World } from '../distributed/world.ts';
import { ArgumentError } from '../errors.ts';
import type { Source } from '../files/disk.ts';
import type { Checkpoint } from '../files/snapshot.ts';
import { refuseRecording } from '../kernels/recorder.ts';
import { checkLayer, type Layer } from '../layers/layer.ts';
import { Optimizer } from '../optimizers/optimizer.ts';
import { defaultState, permutation, type RandomState, randomState } from '../random.ts';
import type { Tensor } from '../tensor.ts';
import type { Signal } from './abort.ts';
import type { Callback } from './callbacks/callback.ts';
import { progress as progressCallback } from './callbacks/progress.ts';
import { announcer } from './channels.ts';
import { type ClassWeight, classWeighing } from './classWeight.ts';
import { conversionFor } from './conversion.ts';
import { type Conditions, knowing } from './course.ts';
import { type Data, type Dataset, openData } from './data.ts';
import type { Inputs } from './examples.ts';
import { type BatchLoss, resolveLoss } from './loss.ts';
import { type ChosenMetric, resolveMetrics } from './metrics.ts';
import { checkSignal, type LossChoices, type MetricChoices, transformOf } from './options.ts';
import { checkMerges, checkWorld, Ranks } from './ranks.ts';
import type { GradientTransform, InputsOf } from './step.ts';
import { Tally } from './tally.ts';
import { checkAverage, type WeightAverage } from './weightAverage.ts';

/** Options of `fit`. */
export interface FitOptions<
  Model extends Layer = Layer,
  Y = Inputs,
  Metrics extends MetricChoices<Model, Y> = MetricChoices<Model, Y>,
  Loss extends LossChoices<Model, Y> = LossChoices<Model, Y>,
> {
  /**
   * A name of `losses`, or a function of what the model returns and of y that returns a scalar or the loss of each example; or,
   * where the model returns several by name, a record of such: see `LossesByOutput`.
   * With 'softmaxCrossEntropy' a flat y of plain numbers is read as int32 labels. For a name, or a function of `losses`
   * itself, targets that the loss has no meaning for are refused: outside [0, 1] for a binary cross-entropy, labels that are
   * no class and rows that are no probabilities for softmaxCrossEntropy.
   */
  loss: Loss;
  /**
   * What the losses of examples of each class count, made into weights of examples, times those that they have. For losses of
   * classes: labels, one-hot rows or targets 0 and 1 (−1 and 1 for the hinges); and for a function that returns the loss of each
   * example, int32 labels. Of training alone: validation counts each example as its `sampleWeight` says.
   */
  classWeight?: ClassWeight | undefined;
  /** Over the model's parameters, or some of them: the others stay as they are. */
  optimizer: Optimizer;
  /** Passes over the data; default 1. */
  epochs?: number;
  /** Examples a step, for examples in memory; the last batch of an epoch may be smaller. Default 32. */
  batchSize?: number;
  /**
   * Whether to leave out the last batch of an epoch of examples in memory where it is smaller, as PyTorch's `drop_last`
   * does; default false. With `shuffle` each epoch leaves out others.
   */
  dropLast?: boolean;
  /** Data to score after each epoch, in evaluation mode. */
  validation?: Data<Inputs, InputsOf<Model>> | undefined;
  /**
   * Of the predictions of each step before its update, and of the validation data. Those of `metrics` know from the loss, as
   * far as it is one of `losses`, whether predictions are logits, and whether labels exclude each other. Where the model returns
   * several by name, lists by these names are of single outputs, and of the loss for each: `{ kind: ['accuracy'] }` is
   * 'kind.accuracy' in records. They count each example once, whatever it weighs.
   */
  metrics?: Metrics;
  callbacks?: readonly Callback[];
  /**
   * Ends training with an AbortError, after whole steps. What `fit` waits for otherwise, data or a callback, it waits for no
   * longer: an iterator is told to return, and neither that nor the callback's promise is awaited. `onTrainEnd` is.
   */
  signal?: Signal | undefined;
  /** Whether each epoch takes examples in memory in a new random order; default true. */
  shuffle?: boolean;
  /** Of the shuffling alone; without it the default random state is used, which `seed()` sets and dropout reads. */
  seed?: number | undefined;
  /**
   * Whether the step is compiled: recorded once for each shape of a batch and then run off the main thread, which keeps
   * the event loop free. Default true; false for models that branch on values.
   */
  compiled?: boolean;
  /** Changes gradients in place, between backward and the update. */
  transformGradients?: GradientTransform | undefined;
  /** What the common norm of all gradients is limited to, after that: see the function `clipGradNorm`. */
  clipGradNorm?: number | undefined;
  /** What each element of gradients is limited to, instead: see the function `clipGradValue`. */
  clipGradValue?: number | undefined;
  /**
   * Of how many batches gradients make an update together, for batches that do not fit in memory: the mean over all of their
   * examples, as of one large batch. What is left at the end of an epoch makes one as well. Default 1. Steps, callbacks and
   * records are by the batch; schedules and `averageWeights` by the update; BatchNorm knows one batch at a time.
   */
  accumulate?: number;
  /** An average of the model's weights, which takes them in after each update, and which validation is made with. */
  averageWeights?: WeightAverage | undefined;
  /** Whether to write how far training is to standard error; default false. See `progress` for another stream. */
  progress?: boolean;
  /**
   * Where an earlier training was interrupted, to go on from there: a folder of `checkpoint({ folder })`, of which the latest
   * checkpoint that is whole counts, and training begins anew where there is none; a file of it, or its bytes; or what
   * `loadCheckpoint` returned. What follows is then what would have followed, to the bit: the model, the optimizer with its
   * hyperparameters and learning rate, random numbers, the history. Options that batches depend on must be as they were;
   * `epochs` may be more.
   */
  resume?: Source | Checkpoint | undefined;
  /**
   * The processes that train together, as `distribute` of `axpy/mpi` returned it. All of them call `fit`, with the same model,
   * options and data, and what follows is the training of one process with the same `batchSize`, to rounding: of each batch of
   * examples in memory each rank takes its part, and gradients are those of the whole batch. An iterable gives each rank batches
   * of its own, which make one together, and where some have none left the others go on; see `Stream.shard`. Metrics, stops and
   * aborts are of all ranks. Rank 0 alone prints, and writes checkpoints, runs and the like; callbacks of yours are told on all.
   * Default: that of an optimizer that `world.wrap` was given.
   */
  world?: World | undefined;
  /**
   * Whether BatchNorm layers normalise by the batches of all ranks as by one, which costs three small exchanges a layer and step;
   * by default each rank by its part, and running statistics are those of rank 0.
   */
  syncBatchNorm?: boolean;
}

const optionNames: readonly (keyof FitOptions)[] = [
  'loss',
  'classWeight',
  'optimizer',
  'epochs',
  'batchSize',
  'dropLast',
  'validation',
  'metrics',
  'callbacks',
  'signal',
  'shuffle',
  'seed',
  'compiled',
  'transformGradients',
  'clipGradNorm',
  'clipGradValue',
  'accumulate',
  'averageWeights',
  'progress',
  'resume',
  'world',
  'syncBatchNorm',
];

/** A training, checked and ready to begin. */
export interface Training {
  readonly model: Layer;
  readonly optimizer: Optimizer;
  readonly loss: BatchLoss;
  readonly data: Dataset;
  readonly validation: Dataset | undefined;
  readonly metrics: readonly ChosenMetric[];
  readonly callbacks: readonly Callback[];
  /** Whether there are callbacks that may change something. */
  readonly isWatched: boolean;
  readonly signal: Signal | undefined;
  readonly epochs: number;
  readonly compiled: boolean;
  readonly transform: GradientTransform | undefined;
  readonly accumulate: number;
  readonly averageWeights: WeightAverage | undefined;
  readonly resume: Source | Checkpoint | undefined;
  /** The processes that train together. */
  readonly ranks: Ranks | undefined;
  /** What the batches depend on. */
  readonly conditions: Conditions;
  /** The state of the shuffling. */
  readonly random: RandomState;
  readonly isStreamed: boolean;
}

/** Checks everything that can be checked without a step. */
export function prepare(model: Layer, data: Data, options: FitOptions): Training {
  const op = 'fit';
  refuseRecording(op);
  checkLayer(op, model);
  checkOptions(op, options, optionNames);
  const {
    loss,
    classWeight,
    optimizer,
    epochs = 1,
    batchSize = 32,
    metrics = [],
    callbacks = [],
    signal,
    seed,
  } = options;
  const {
    validation,
    dropLast = false,
    shuffle = true,
    progress = false,
    compiled = true,
    transformGradients,
    accumulate = 1,
    averageWeights,
    resume,
    world = isInstance(optimizer, Optimizer) ? optimizer.reducer?.world : undefined,
    syncBatchNorm = false,
  } = options;
  checkOptimizer(op, model, optimizer);
  checkPositive(op, 'epochs', epochs);
  checkPositive(op, 'batchSize', batchSize);
  checkBoolean(op, 'dropLast', dropLast);
  checkBoolean(op, 'shuffle', shuffle);
  checkBoolean(op, 'progress', progress);
  checkBoolean(op, 'compiled', compiled);
  checkSignal(op, signal);
  const transform = transformOf(op, transformGradients, options);
  checkPositive(op, 'accumulate', accumulate);
  if (averageWeights !== undefined) checkAverage(op, model, averageWeights);
  checkWorld(op, world);
  checkBoolean(op, 'syncBatchNorm', syncBatchNorm);
  const isFirst = world === undefined || world.rank === 0;
  const listeners = readCallbacks(op, callbacks).map((callback) => (isFirst ? callback : silenced(callback)));
  checkFree(op, model, listeners);
  // Ranks take parts of one order, and draw different numbers for all else.
  const own = world === undefined ? defaultState : randomState(Math.floor(Math.random() * 2 ** 53));
  const random: RandomState = seed === undefined ? own : randomState(seed);
  const share = world && { index: world.rank, count: world.size };
  const shared = { batchSize, share, ...conversionFor(model, loss) };
  const order = shuffle ? { order: (n: number) => permutation(n, random) } : {};
  const classWeights = classWeight === undefined ? undefined : classWeighing(op, model, classWeight, loss);
  const examples = openData(data, { name: 'data', dropLast, ...shared, ...order, classWeights });
  const batchLoss = resolveLoss(loss);
  const chosen = resolveMetrics(op, metrics, loss);
  checkMerges(op, world, new Tally(chosen, batchLoss.outputs));
  const ranks = world && new Ranks(world, optimizer, signal, syncBatchNorm);
  return {
    model,
    optimizer,
    ranks,
    loss: batchLoss,
    metrics: chosen,
    data: examples,
    validation:
      validation === undefined ? undefined : openData(validation, { name: 'validation', ...shared }),
    callbacks: [announcer(), ...listeners, ...(progress && isFirst ? [progressCallback()] : [])],
    isWatched: listeners.some(mayChange),
    signal: ranks?.signal ?? signal,
    epochs,
    compiled,
    transform,
    accumulate,
    averageWeights,
    resume,
    conditions: conditionsOf(examples, { batchSize, dropLast, shuffle, seed }, accumulate),
    random,
    isStreamed: examples.examples === undefined,
  };
}

/** What is in training, models and callbacks that know one, as two trainings of one would undo each other. */
const inTraining = new WeakSet<object>();

/** @throws ArgumentError for what is in another training */
function checkFree(op: string, model: Layer, callbacks: readonly Callback[]): void {
  if (inTraining.has(model)) {
    throw new ArgumentError(`[${op}] expected a model that is not in training already: await the first fit`);
  }
  if (callbacks.some((callback) => inTraining.has(knowing(callback)!))) {
    throw new ArgumentError(
      `[${op}] expected callbacks with a state that are not in another training already: make others for this one`,
    );
  }
}

/** Keeps other trainings from what this one is of, until the function that is returned is called. */
export function occupy({ model, callbacks }: Training): () => void {
  const own = [model, ...callbacks.map(knowing)].filter((part) => part !== undefined);
  for (const part of own) inTraining.add(part);
  return () => {
    for (const part of own) inTraining.delete(part);
  };
}

/** Who gives batches has divided and shuffled the examples. */
function conditionsOf(
  { examples, batchCount }: Dataset,
  own: Readonly<Record<string, number | boolean | undefined>>,
  accumulate: number,
): Conditions {
  const given = examples === undefined ? { batches: batchCount } : own;
  // What was kept before there was such an option was by the batch.
  const together = accumulate === 1 ? undefined : accumulate;
  const entries = Object.entries({ examples, ...given, accumulate: together });
  return Object.fromEntries(entries.map(([name, value]) => [name, value ?? null]));
}

function checkOptimizer(op: string, model: Layer, optimizer: unknown): void {
  if (!isInstance(optimizer, Optimizer)) {
    throw new ArgumentError(`[${op}] expected optimizer to be an Optimizer, got ${describe(optimizer)}`);
  }
  const own = new Set<Tensor>(model.parameters());
  if (!optimizer.parameters.some((parameter) => own.has(parameter))) {
    throw new ArgumentError(
      `[${op}] expected an optimizer of parameters of the model, got one that has none of them: pass ` +
        'model.parameters() of this model to it',
    );
  }
}

const hooks = [
  'onTrainBegin',
  'onEpochBegin',
  'onBatchEnd',
  'onEpochEnd',
  'onTrainEnd',
  'stateDict',
  'loadStateDict',
] as const;

/** What is left of a callback on ranks that are not the first, where it wants to be told on that one alone. */
function silenced(callback: Callback): Callback {
  if (callback.rankZeroOnly !== true) return callback;
  const { stateDict, loadStateDict } = callback;
  return { passive: true, ...(stateDict && { stateDict }), ...(loadStateDict && { loadStateDict }) };
}

/** Whether a callback is not trusted to look only. */
export const mayChange = ({ passive }: Callback): boolean => passive !== true;

function readCallbacks(op: string, callbacks: readonly Callback[]): Callback[] {
  const own = readList(op, 'callbacks', callbacks);
  for (const callback of own) {
    if (!isRecord(callback)) {
      throw new ArgumentError(`[${op}] expected each callback to be an object, got ${describe(callback)}`);
    }
    const { passive } = callback;
    if (passive !== undefined) checkBoolean(op, 'passive', passive);
    if (callback.rankZeroOnly !== undefined) checkBoolean(op, 'rankZeroOnly', callback.rankZeroOnly);
    for (const hook of hooks) {
      const listener = callback[hook];
      if (listener !== undefined) checkFunction(op, hook, listener);
    }
    if ((callback.stateDict === undefined) !== (callback.loadStateDict === undefined)) {
      throw new ArgumentError(
        `[${op}] expected each callback to have both stateDict and loadStateDict, or neither`,
      );
    }
  }
  return own;
}

/** Training. */

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
import { ArgumentError, AxpyError } from '../errors.ts';
import { openResume } from '../files/checkpoint.ts';
import type { Source } from '../files/disk.ts';
import type { Checkpoint } from '../files/snapshot.ts';
import { refuseRecording } from '../kernels/recorder.ts';
import { checkLayer, type Layer } from '../layers/layer.ts';
import { Optimizer } from '../optimizers/optimizer.ts';
import { turn } from '../platform.ts';
import { defaultState, permutation, type RandomState, randomState } from '../random.ts';
import type { Tensor } from '../tensor.ts';
import { type Interruption, interruptible, type Signal } from './abort.ts';
import type { Callback, Outcome } from './callbacks/callback.ts';
import { progress as progressCallback } from './callbacks/progress.ts';
import { type Conditions, Course, knowing, type Progress } from './course.ts';
import { type Data, type Dataset, openData } from './data.ts';
import { score, scorer } from './evaluate.ts';
import { conversionFor, type Inputs, rowsOf, type TensorsOf } from './examples.ts';
import { checkState } from './explain.ts';
import type { EpochRecord, History, NamesOf } from './history.ts';
import { type AnyLoss, type LossesByOutput, type LossFunction, type LossName, resolveLoss } from './loss.ts';
import { type AnyMetric, resolveMetrics } from './metrics.ts';
import { checkSignal, type MetricChoices, transformOf } from './options.ts';
import type { GradientTransform, InputsOf, OutputOf } from './step.ts';
import { type Steps, stepsOf } from './steps.ts';
import { checkAverage, type WeightAverage } from './weightAverage.ts';

export interface FitOptions<
  Model extends Layer = Layer,
  Y = Inputs,
  Metrics extends MetricChoices<Model, Y> = MetricChoices<Model, Y>,
> {
  /**
   * A name of `losses`, or a function of what the model returns and of y that returns a scalar or the loss of each example; or,
   * where the model returns several by name, a record of such: see `LossesByOutput`.
   * With 'softmaxCrossEntropy' a flat y of plain numbers is read as int32 labels. For a name, or a function of `losses`
   * itself, targets that the loss has no meaning for are refused: outside [0, 1] for a binary cross-entropy, labels that are
   * no class and rows that are no probabilities for softmaxCrossEntropy.
   */
  loss: LossName | LossFunction<OutputOf<Model>, TensorsOf<Y>> | LossesByOutput;
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
   * far as it is one of `losses`, whether predictions are logits, and whether labels exclude each other.
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
}

const optionNames: readonly (keyof FitOptions)[] = [
  'loss',
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
];

/** A training, checked and ready to begin. */
interface Training {
  readonly model: Layer;
  readonly optimizer: Optimizer;
  readonly loss: AnyLoss;
  readonly data: Dataset;
  readonly validation: Dataset | undefined;
  readonly metrics: readonly AnyMetric[];
  readonly callbacks: readonly Callback[];
  /** Whether there are callbacks of the user's. */
  readonly isWatched: boolean;
  readonly signal: Signal | undefined;
  readonly epochs: number;
  readonly compiled: boolean;
  readonly transform: GradientTransform | undefined;
  readonly accumulate: number;
  readonly averageWeights: WeightAverage | undefined;
  readonly resume: Source | Checkpoint | undefined;
  /** What the batches depend on. */
  readonly conditions: Conditions;
  /** The state of the shuffling. */
  readonly random: RandomState;
  readonly isStreamed: boolean;
}

/** What is in training, models and callbacks that know one, as two trainings of one would undo each other. */
const inTraining = new WeakSet<object>();

/**
 * Trains a model: for each batch forward, loss, backward, update. Plain values of `x` and `y` take the model's dtype. The
 * event loop gets a turn after each step, and the model is in training mode only within steps: in between it has the mode
 * it had, so that a server may predict with it, and sees whole steps.
 *
 * A loss that is NaN or Infinity ends training before that step's backward pass, with parameters and optimizer as they
 * were before the step. A gradient that is not finite in spite of a finite loss is not looked for, as that would cost
 * another pass over all of them: the loss of the next step shows it, or else the check at the end of each epoch. Training
 * never ends silently with parameters, buffers of layers or state of the optimizer that are not finite.
 * @param data `{ x, y }`, each [examples, ...], several tensors as `Inputs` says, x also text or a table where the model's first
 *   layer takes such; or an iterable of such batches, or a function that returns one
 * @returns the history, one record an epoch
 * @throws ArgumentError for a bad option, DataError for data that is empty or not finite and for targets that the loss has no
 *   meaning for, ShapeError for x and y of different lengths: all before anything has changed, but for batches of an iterable,
 *   which are checked as they come. ArgumentError for a checkpoint of another training, FormatError for a damaged one.
 *   FileError where the system refuses to read or write one. NonFiniteError when training diverges. AbortError for the signal.
 *   What a callback throws. An AxpyError that ended the training has the records up to then as its `history`; `onTrainEnd` finds them in its context
 *   whatever was thrown.
 */
export function fit<Model extends Layer, Y extends Inputs>(
  model: Model,
  data: Data<Y, InputsOf<Model>>,
  options: FitOptions<Model, NoInfer<Y>, []> & { metrics?: readonly [] },
): Promise<History<'loss'>>;
/** The same with metrics, by whose names records then have their values. */
export function fit<
  Model extends Layer,
  Y extends Inputs,
  const Metrics extends MetricChoices<Model, NoInfer<Y>> = MetricChoices<Model, NoInfer<Y>>,
>(
  model: Model,
  data: Data<Y, InputsOf<Model>>,
  options: FitOptions<Model, NoInfer<Y>, Metrics>,
): Promise<History<NamesOf<Metrics>>>;
export async function fit<
  Model extends Layer,
  Y extends Inputs,
  const Metrics extends MetricChoices<Model, NoInfer<Y>> = MetricChoices<Model, NoInfer<Y>>,
>(
  model: Model,
  data: Data<Y, InputsOf<Model>>,
  options: FitOptions<Model, NoInfer<Y>, Metrics>,
): Promise<History<NamesOf<Metrics>>> {
  const training = prepare(model, data, options);
  const own = [model, ...training.callbacks.map(knowing)].filter((part) => part !== undefined);
  for (const part of own) inTraining.add(part);
  try {
    return (await train(training)) as History<NamesOf<Metrics>>;
  } finally {
    for (const part of own) inTraining.delete(part);
  }
}

async function train(training: Training): Promise<History> {
  const { callbacks, data, signal } = training;
  const context = begin(training);
  const course = new Course(training, context);
  let hasBegun = false;
  let outcome: Outcome = {};
  try {
    await interruptible('fit', signal, async (interruption) => {
      await course.open(await interruption.wait(openResume('fit', training.resume)));
      const steps = stepsOf(training);
      // Who trains on 33 examples by 32 learns now, not at the end of an epoch, that a layer wants more than one.
      if (data.single) steps.rehearse(data.single.x, data.single.why);
      hasBegun = true;
      await course.begin(interruption);
      await run(training, context, course, steps, interruption);
    });
  } catch (error) {
    AxpyError.ended(error, context.history);
    if (!hasBegun) throw error;
    outcome = { error };
  }
  const ends = callbacks.map((callback) => () => callback.onTrainEnd?.(context, outcome));
  // What is to be kept is as it was before callbacks changed it for the end.
  for (const end of [...course.ends(outcome, signal), ...ends]) {
    try {
      await end();
    } catch (error) {
      AxpyError.ended(error, context.history);
      // The first error is the one that tells what went wrong.
      if (!('error' in outcome)) outcome = { error };
    }
  }
  if ('error' in outcome) throw outcome.error;
  return context.history;
}

/** Checks everything that can be checked without a step. */
function prepare(model: Layer, data: Data, options: FitOptions): Training {
  const op = 'fit';
  refuseRecording(op);
  checkLayer(op, model);
  checkOptions(op, options, optionNames);
  const { loss, optimizer, epochs = 1, batchSize = 32, metrics = [], callbacks = [], signal, seed } = options;
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
  const listeners = readCallbacks(op, callbacks);
  if (inTraining.has(model)) {
    throw new ArgumentError(`[${op}] expected a model that is not in training already: await the first fit`);
  }
  if (listeners.some((callback) => inTraining.has(knowing(callback)!))) {
    throw new ArgumentError(
      `[${op}] expected callbacks with a state that are not in another training already: make others for this one`,
    );
  }
  const random: RandomState = seed === undefined ? defaultState : randomState(seed);
  const shared = { batchSize, ...conversionFor(model, loss) };
  const order = shuffle ? { order: (n: number) => permutation(n, random) } : {};
  const examples = openData(data, { name: 'data', dropLast, ...shared, ...order });
  return {
    model,
    optimizer,
    loss: resolveLoss(loss),
    metrics: resolveMetrics(op, metrics, loss),
    data: examples,
    validation:
      validation === undefined ? undefined : openData(validation, { name: 'validation', ...shared }),
    callbacks: progress ? [...listeners, progressCallback()] : listeners,
    isWatched: listeners.length > 0,
    signal,
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

function readCallbacks(op: string, callbacks: readonly Callback[]): Callback[] {
  const own = readList(op, 'callbacks', callbacks);
  for (const callback of own) {
    if (!isRecord(callback)) {
      throw new ArgumentError(`[${op}] expected each callback to be an object, got ${describe(callback)}`);
    }
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

function begin(training: Training): Progress {
  const { model, optimizer, averageWeights, data, validation, metrics, epochs } = training;
  const history: History = { epochs: [] };
  const scores = ['loss', ...metrics.map(({ name }) => name)];
  return {
    model,
    optimizer,
    averageWeights,
    history,
    epoch: 0,
    epochs,
    batchCount: data.batchCount,
    monitors: validation ? [...scores, ...scores.map((name) => `validation.${name}`)] : scores,
    stop(reason) {
      if (typeof reason !== 'string') {
        throw new ArgumentError(`[stop] expected reason to be a string, got ${describe(reason)}`);
      }
      history.stopped ??= reason;
    },
  };
}

async function run(
  training: Training,
  context: Progress,
  course: Course,
  steps: Steps,
  interruption: Interruption,
): Promise<void> {
  const { model, optimizer, callbacks, validation, loss, metrics } = training;
  while (course.goesOn) {
    interruption.check();
    await course.beginEpoch(interruption);
    if (!course.goesOn) return;
    // Between epochs callbacks have run, which may have changed what a loss or a model looks at.
    if (training.isWatched) steps.doubt('epochs');
    const record = await trainEpoch(training, context, course, steps, interruption);
    checkState(model, optimizer, `at the end of epoch ${record.epoch}`);
    const penalty = optimizer.penalty();
    if (penalty > 0) record.penalty = penalty;
    record.learningRate = optimizer.learningRate;
    if (validation) {
      const scores = await withAverage(training, () =>
        score(scorer(model, loss, training.compiled), validation, metrics, interruption),
      );
      (record as { validation?: typeof scores }).validation = scores;
    }
    course.endEpoch(record);
    await course.tell(interruption, callbacks, (callback) => callback.onEpochEnd?.(context, record));
    await course.rest(record);
  }
}

/** Runs `fn` while the model has the average of its weights, where there is one. */
async function withAverage<Result>({ averageWeights }: Training, fn: () => Promise<Result>): Promise<Result> {
  averageWeights?.swap();
  try {
    return await fn();
  } finally {
    averageWeights?.swap();
  }
}

async function trainEpoch(
  training: Training,
  context: Progress,
  course: Course,
  steps: Steps,
  interruption: Interruption,
): Promise<EpochRecord> {
  const { callbacks, data } = training;
  const { epoch, history } = context;
  const { tally } = course;
  const listeners = callbacks.filter(({ onBatchEnd }) => onBatchEnd !== undefined);
  const skip = course.skip();
  // One that was stopped before it was interrupted takes no more.
  const batches = history.stopped === undefined ? data.batches(interruption, skip, epoch - 1) : [];
  for await (const { x, y } of batches) {
    interruption.check();
    const { loss, prediction } = await steps.take(x, y, epoch, course.batch + 1, course.window);
    const value = loss.item();
    tally.add(prediction, y, value);
    course.took();
    const report = { batch: course.batch, size: rowsOf(y), loss: value };
    await course.tell(interruption, listeners, (callback) => callback.onBatchEnd?.(context, report));
    if (training.isWatched && listeners.length > 0) steps.doubt('steps');
    await course.rest();
    await turn();
    interruption.check();
    if (history.stopped !== undefined) break;
  }
  if (course.window.isOpen) await steps.finish(course.window);
  const { seconds } = course;
  const examplesPerSecond = tally.examples / seconds;
  return { epoch, loss: tally.loss, ...tally.metrics(), seconds, examplesPerSecond } as EpochRecord;
}

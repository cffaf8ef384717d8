/** Training. */

import { describe } from '../arguments.ts';
import { ArgumentError, AxpyError } from '../errors.ts';
import { openResume } from '../files/checkpoint.ts';
import type { Layer } from '../layers/layer.ts';
import { turn } from '../platform.ts';
import { type Interruption, interruptible } from './abort.ts';
import type { Outcome } from './callbacks/callback.ts';
import { Course, type Progress } from './course.ts';
import type { Data } from './data.ts';
import { score, scorer } from './evaluate.ts';
import type { Inputs } from './examples.ts';
import { checkState } from './explain.ts';
import type { EpochRecord, History, LossNamesOf, NamesOf } from './history.ts';
import type { LossChoices, MetricChoices } from './options.ts';
import type { InputsOf, StepResult } from './step.ts';
import { type Steps, stepsOf } from './steps.ts';
import { Tally } from './tally.ts';
import { type FitOptions, mayChange, occupy, prepare, type Training } from './training.ts';

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
 *   layer takes such, with `sampleWeight` where examples have weights: the loss of a batch is then the mean of weight × loss; or
 *   an iterable of such batches, or a function that returns one
 * @returns the history, one record an epoch
 * @throws ArgumentError for a bad option, DataError for data that is empty or not finite and for targets that the loss has no
 *   meaning for, ShapeError for x and y of different lengths: all before anything has changed, but for batches of an iterable,
 *   which are checked as they come. ArgumentError for a checkpoint of another training, FormatError for a damaged one.
 *   FileError where the system refuses to read or write one. NonFiniteError when training diverges. AbortError for the signal.
 *   What a callback throws. An AxpyError that ended the training has the records up to then as its `history`; `onTrainEnd` finds them in its context
 *   whatever was thrown.
 */
export function fit<
  Model extends Layer,
  Y extends Inputs,
  const Loss extends LossChoices<Model, NoInfer<Y>> = LossChoices<Model, NoInfer<Y>>,
>(
  model: Model,
  data: Data<Y, InputsOf<Model>>,
  options: FitOptions<Model, NoInfer<Y>, [], Loss> & { metrics?: readonly [] },
): Promise<History<'loss' | LossNamesOf<Loss>>>;
/** The same with metrics, by whose names records then have their values. */
export function fit<
  Model extends Layer,
  Y extends Inputs,
  const Metrics extends MetricChoices<Model, NoInfer<Y>> = MetricChoices<Model, NoInfer<Y>>,
  const Loss extends LossChoices<Model, NoInfer<Y>> = LossChoices<Model, NoInfer<Y>>,
>(
  model: Model,
  data: Data<Y, InputsOf<Model>>,
  options: FitOptions<Model, NoInfer<Y>, Metrics, Loss>,
): Promise<History<NamesOf<Metrics> | LossNamesOf<Loss>>>;
export async function fit<
  Model extends Layer,
  Y extends Inputs,
  const Metrics extends MetricChoices<Model, NoInfer<Y>> = MetricChoices<Model, NoInfer<Y>>,
  const Loss extends LossChoices<Model, NoInfer<Y>> = LossChoices<Model, NoInfer<Y>>,
>(
  model: Model,
  data: Data<Y, InputsOf<Model>>,
  options: FitOptions<Model, NoInfer<Y>, Metrics, Loss>,
): Promise<History<NamesOf<Metrics> | LossNamesOf<Loss>>> {
  const training = prepare(model, data, options as unknown as FitOptions);
  const release = occupy(training);
  const isWrapped = training.optimizer.reducer !== null;
  try {
    return (await train(training)) as History<NamesOf<Metrics> | LossNamesOf<Loss>>;
  } catch (error) {
    training.ranks?.leave(error);
    throw error;
  } finally {
    training.ranks?.release(isWrapped);
    release();
  }
}

async function train(training: Training): Promise<History> {
  const { callbacks, data, model, ranks, signal } = training;
  const context = begin(training);
  const course = new Course(training, context);
  let hasBegun = false;
  let outcome: Outcome = {};
  try {
    await interruptible('fit', signal, async (interruption) => {
      const resumed = ranks ? ranks.openResume('fit', training.resume) : openResume('fit', training.resume);
      await course.open(await interruption.wait(resumed));
      const steps = stepsOf(training);
      // Who trains on 33 examples by 32 learns now, not at the end of an epoch, that a layer wants more than one.
      if (data.single) steps.rehearse(data.single.x, data.single.why);
      hasBegun = true;
      await course.begin(interruption);
      await ranks?.begin(training, context.monitors, context.history);
      course.spread(ranks);
      interruption.check();
      await run(training, context, course, steps, interruption);
      await ranks?.end(model);
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

function begin(training: Training): Progress {
  const { model, optimizer, averageWeights, data, validation, metrics, loss, epochs } = training;
  const history: History = { epochs: [] };
  const scores = ['loss', ...new Tally(metrics, loss.outputs).names];
  return {
    model,
    optimizer,
    averageWeights,
    history,
    epoch: 0,
    step: 0,
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
  const { model, optimizer, callbacks, ranks, validation, loss, metrics } = training;
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
      await ranks?.sameBuffers(model);
      const scores = await withAverage(training, () =>
        score(scorer(model, loss, training.compiled), validation, metrics, interruption, ranks?.world),
      );
      (record as { validation?: typeof scores }).validation = scores;
    }
    course.endEpoch(record);
    await course.tell(interruption, callbacks, (callback) => callback.onEpochEnd?.(context, record));
    await ranks?.meet();
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
  const { callbacks, data, ranks } = training;
  const { epoch, history } = context;
  const { tally } = course;
  const listeners = callbacks.filter(({ onBatchEnd }) => onBatchEnd !== undefined);
  const isDoubtful = listeners.some(mayChange);
  const skip = course.skip();
  // One that was stopped before it was interrupted takes no more.
  const own = history.stopped === undefined ? data.batches(interruption, skip, epoch - 1) : [];
  const batches = ranks && !data.isDivided ? ranks.together(own) : own;
  for await (const examples of batches) {
    interruption.check();
    const taken = await steps.take(examples, epoch, course.batch + 1, course.window);
    if ('loss' in taken) tally.add(examples.y, taken);
    course.took();
    const updated = !course.window.isOpen;
    const loss = ranks ? ranks.hear(taken.said!) : (taken as StepResult).loss.item();
    const report = { batch: course.batch, size: examples.total, loss, updated };
    await course.tell(interruption, listeners, (callback) => callback.onBatchEnd?.(context, report));
    if (isDoubtful) steps.doubt('steps');
    await ranks?.settle();
    await course.rest();
    await turn();
    interruption.check();
    if (ranks ? ranks.isStopped : history.stopped !== undefined) break;
  }
  if (course.window.isOpen) await steps.finish(course.window);
  const { seconds } = course;
  const whole = await course.wholeTally();
  const examplesPerSecond = whole.examples / seconds;
  return { epoch, loss: whole.loss, ...whole.scores(), seconds, examplesPerSecond } as EpochRecord;
}

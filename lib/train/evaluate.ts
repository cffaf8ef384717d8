/** A trained model at work: its scores on examples, and its predictions. */

import { checkBoolean, checkOptions, checkPositive } from '../arguments.ts';
import { noGrad } from '../autograd.ts';
import type { World } from '../distributed/world.ts';
import { AbortError, ArgumentError, DataError, DistributedError, ShapeError } from '../errors.ts';
import { refuseRecording } from '../kernels/recorder.ts';
import { checkLayer, type ExampleShape, type Layer } from '../layers/layer.ts';
import { inMode } from '../layers/mode.ts';
import { clone } from '../ops/cast.ts';
import { concat } from '../ops/concat.ts';
import { turn } from '../platform.ts';
import { readShape } from '../shape.ts';
import { empty, isTensor } from '../tensor.ts';
import { leavesOf } from '../tree.ts';
import { type Interruption, interruptible, type Signal } from './abort.ts';
import { compileSteps, type Steps } from './compile.ts';
import { conversionFor } from './conversion.ts';
import { type Data, type Dataset, openData } from './data.ts';
import { type Batch, type Inputs, mapTensors, rowsOf, type Tensors, toInputs } from './examples.ts';
import type { LossNamesOf, NamesOf, Scores } from './history.ts';
import { type BatchLoss, resolveLoss } from './loss.ts';
import { type ChosenMetric, resolveMetrics } from './metrics.ts';
import { checkSignal, type LossChoices, type MetricChoices } from './options.ts';
import { checkMerges, checkWorld, messageOf, sumOf } from './ranks.ts';
import { checkOutputRows, forwardOf, type InputsOf, type OutputOf } from './step.ts';
import { type Scored, Tally } from './tally.ts';

/** Options of `evaluate`. */
export interface EvaluateOptions<
  Model extends Layer = Layer,
  Y = Inputs,
  Metrics extends MetricChoices<Model, Y> = MetricChoices<Model, Y>,
  Loss extends LossChoices<Model, Y> = LossChoices<Model, Y>,
> {
  /** A loss to report as `loss`. Also says how plain labels are read: see `fit`. */
  loss?: Loss;
  metrics?: Metrics;
  /** Examples a forward pass, for examples in memory; default 256. The scores do not depend on it. */
  batchSize?: number;
  /** Ends the pass before its next batch, also while it waits for that: see `fit`. */
  signal?: Signal | undefined;
  /** As in `fit`. Default true. */
  compiled?: boolean;
  /**
   * The processes that all call `evaluate` with the same data, of which each takes a part of examples in memory, or with batches
   * of their own: the scores are those of all.
   */
  world?: World | undefined;
}

/**
 * The mean loss over examples, and each metric over all of them, by name. The model works in evaluation mode and keeps
 * the mode it had; the event loop gets a turn after each batch.
 * @param data as for `fit`
 * @returns `{ loss?, ...metrics }`
 * @throws DataError, ShapeError for data that cannot be used, ArgumentError for options, AbortError
 *   for the signal.
 */
export function evaluate<
  Model extends Layer,
  Y extends Inputs,
  const Loss extends LossChoices<Model, NoInfer<Y>> = LossChoices<Model, NoInfer<Y>>,
>(
  model: Model,
  data: Data<Y, InputsOf<Model>>,
  options: EvaluateOptions<Model, NoInfer<Y>, [], Loss> & { metrics?: readonly [] },
): Promise<Scores<'loss' | LossNamesOf<Loss>>>;
/** The same with metrics, by whose names the scores then have their values. */
export function evaluate<
  Model extends Layer,
  Y extends Inputs,
  const Metrics extends MetricChoices<Model, NoInfer<Y>> = MetricChoices<Model, NoInfer<Y>>,
  const Loss extends LossChoices<Model, NoInfer<Y>> = LossChoices<Model, NoInfer<Y>>,
>(
  model: Model,
  data: Data<Y, InputsOf<Model>>,
  options: EvaluateOptions<Model, NoInfer<Y>, Metrics, Loss>,
): Promise<Scores<NamesOf<Metrics> | LossNamesOf<Loss>>>;
export async function evaluate<
  Model extends Layer,
  Y extends Inputs,
  const Metrics extends MetricChoices<Model, NoInfer<Y>> = MetricChoices<Model, NoInfer<Y>>,
  const Loss extends LossChoices<Model, NoInfer<Y>> = LossChoices<Model, NoInfer<Y>>,
>(
  model: Model,
  data: Data<Y, InputsOf<Model>>,
  options: EvaluateOptions<Model, NoInfer<Y>, Metrics, Loss>,
): Promise<Scores<NamesOf<Metrics> | LossNamesOf<Loss>>> {
  const op = 'evaluate';
  refuseRecording(op);
  checkLayer(op, model);
  checkOptions(op, options, ['loss', 'metrics', 'batchSize', 'signal', 'compiled', 'world']);
  const { loss, metrics = [], batchSize = 256, signal, compiled = true, world } = options;
  checkBoolean(op, 'compiled', compiled);
  checkPositive(op, 'batchSize', batchSize);
  checkSignal(op, signal);
  const lossFunction = loss === undefined ? undefined : resolveLoss(loss);
  const chosen = resolveMetrics(op, metrics, loss);
  if (lossFunction === undefined && chosen.length === 0) {
    throw new ArgumentError(`[${op}] expected a loss or metrics, got neither`);
  }
  checkWorld(op, world);
  checkMerges(op, world, new Tally(chosen, lossFunction?.outputs ?? []));
  const share = world && { index: world.rank, count: world.size };
  const dataset = openData(data, { name: 'data', batchSize, share, ...conversionFor(model, loss) });
  const scores = await interruptible(op, signal, (interruption) =>
    score(scorer(model, lossFunction, compiled), dataset, chosen, interruption, world),
  ).catch((error) => {
    // The others would wait for what this rank has counted.
    if (!(error instanceof DistributedError)) world?.leave(messageOf(error));
    throw error;
  });
  return scores as Scores<NamesOf<Metrics> | LossNamesOf<Loss>>;
}

/** @internal The forward pass of a batch, with its mean loss where there is one, in evaluation mode. */
export interface Scorer {
  readonly loss: BatchLoss | undefined;
  forward(batch: Batch): Promise<Scored>;
}

/** What was compiled for a model, as long as it is there: for predictions, and for scores with a loss. */
const programs = new WeakMap<Layer, WeakMap<object, Steps<never[], unknown>>>();

/** What a function of the model compiles to, kept under a key, with doubt whether it still does the same. */
function kept<Args extends unknown[], Returned>(
  model: Layer,
  key: object,
  fn: (...args: Args) => Returned,
): Steps<Args, Returned> {
  let own = programs.get(model);
  if (own === undefined) {
    own = new WeakMap();
    programs.set(model, own);
    // Layers learn their places, for messages.
    model.namedLayers();
  }
  let steps = own.get(key) as Steps<Args, Returned> | undefined;
  if (steps === undefined) {
    steps = compileSteps(fn, true);
    own.set(key, steps as unknown as Steps<never[], unknown>);
  }
  steps.doubt();
  return steps;
}

/** @internal Made once and used for every batch: compiled, it is recorded once. */
export function scorer(model: Layer, loss: BatchLoss | undefined, compiled: boolean): Scorer {
  const eager = (x: Tensors, y: Tensors, weights: Tensors | null) =>
    noGrad(() => {
      const prediction = forwardOf(model, x);
      return { prediction, ...loss?.of(prediction, y, weights) };
    });
  if (!compiled) {
    return { loss, forward: async ({ x, y, weights }) => inMode(false, () => eager(x, y, weights)) };
  }
  const steps = kept(model, loss?.own ?? loss ?? scorer, eager);
  return {
    loss,
    forward: async ({ x, y, weights }) => await inMode(false, () => steps.soon(x, y, weights)),
  };
}

/** @internal The scores of a model on a dataset. */
export async function score(
  { forward, loss }: Scorer,
  dataset: Dataset,
  metrics: readonly ChosenMetric[],
  interruption: Interruption,
  world?: World,
): Promise<Scores> {
  const outputs = loss?.outputs ?? [];
  const own = new Tally(metrics, outputs);
  for await (const batch of dataset.batches(interruption)) {
    interruption.check();
    if (batch.share === 0) continue;
    const scored = await forward(batch);
    own.add(batch.y, scored);
    await turn();
  }
  const tally = world ? await sumOf(world, own, new Tally(metrics, outputs)) : own;
  return loss !== undefined ? ({ loss: tally.loss, ...tally.scores() } as Scores) : tally.scores();
}

/** Options of `predict`. */
export interface PredictOptions {
  /** Examples a forward pass; default 256. */
  batchSize?: number;
  /** Checked before each batch. */
  signal?: Signal | undefined;
  /** As in `fit`. Default true: a prediction then sees whole steps of a training that runs at the same time. */
  compiled?: boolean;
}

/**
 * The model's output for every example, in evaluation mode and without gradients; the model keeps the mode it had. The
 * event loop gets a turn after each batch, so that predictions beyond one batch may see more than one step of a training
 * that runs at the same time.
 * @param x [examples, ...], a tensor or values, which take the model's dtype; several as `Inputs` says; text or a table where the
 *   model's first layer takes such
 * @returns [examples, ...output], where the model returns several tensors as many in the same structure
 * @throws DataError for NaN or Infinity, or for no examples where the shape of the output cannot be known; ShapeError
 *   where the model does not keep the examples apart; ArgumentError; AbortError for the signal.
 */
export async function predict<Model extends Layer>(
  model: Model,
  x: InputsOf<Model>,
  options: PredictOptions = {},
): Promise<OutputOf<Model>> {
  const op = 'predict';
  refuseRecording(op);
  checkLayer(op, model);
  checkOptions(op, options, ['batchSize', 'signal', 'compiled']);
  const { batchSize = 256, signal, compiled = true } = options;
  checkBoolean(op, 'compiled', compiled);
  checkPositive(op, 'batchSize', batchSize);
  checkSignal(op, signal);
  const conversion = conversionFor(model);
  const inputs = toInputs(x, conversion);
  const n = rowsOf(inputs);
  if (n === 0) return empty([0, ...outputShape(model, inputs)], conversion.dtype) as OutputOf<Model>;
  const outputs: Tensors[] = [];
  const eager = (batch: Tensors) => noGrad(() => forwardOf(model, batch));
  const forward = compiled ? kept(model, predict, eager).soon : eager;
  for (let start = 0; start < n; start += batchSize) {
    if (signal?.aborted) throw new AbortError(op, signal.reason);
    const rows = Math.min(batchSize, n - start);
    const batch = rows === n ? inputs : mapTensors(inputs, (input) => input.slice([[start, start + rows]]));
    const y = await inMode(false, () => forward(batch));
    checkOutputRows(op, y, rows);
    outputs.push(y);
    await turn();
  }
  return joined(outputs) as OutputOf<Model>;
}

/** The outputs for some examples after those for others, tensor by tensor. */
export function joined(outputs: readonly Tensors[]): Tensors {
  // A model may have handed on what it was given, or what it keeps.
  if (outputs.length === 1) return mapTensors(outputs[0], (y) => noGrad(() => clone(y)));
  const parts = outputs.map((y) => leavesOf(y, isTensor));
  const other = parts.find(({ length }) => length !== parts[0].length);
  if (other !== undefined) {
    throw new ShapeError(
      `[predict] expected as many tensors in the output for each batch, got ${parts[0].length} and ${other.length}`,
    );
  }
  let at = 0;
  return mapTensors(outputs[0], () => {
    const place = at++;
    return noGrad(() => concat(parts.map((tensors) => tensors[place])));
  });
}

/** The shape of an example's output, when there are no examples to ask. */
function outputShape(model: Layer, x: Tensors): NonNullable<ExampleShape> {
  // An empty array does not tell the shape of its elements; a tensor [0, 3] does, where it is the only one.
  const shape = model.outputShape(isTensor(x) && x.rank > 1 ? x.shape.slice(1) : undefined);
  if (shape === undefined) {
    throw new DataError(
      '[predict] expected at least one example: the shape of the output for none is not known',
    );
  }
  return readShape('predict', shape);
}

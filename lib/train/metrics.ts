/** Metrics by name, and what `fit` and `evaluate` take for one. */

import { describe, isFunction, isRecord, readList } from '../arguments.ts';
import { ArgumentError } from '../errors.ts';
import { isTensor, type Tensor } from '../tensor.ts';
import { rowsOf } from './examples.ts';
import { checkOutputs, reservedNames } from './history.ts';
import { type LossChoice, lossesOf } from './loss.ts';
import * as metrics from './metrics/index.ts';
import { type Metric, meanMetric } from './metrics/metric.ts';
import { taskOf } from './metrics/task.ts';

export type { AccuracyOptions } from './metrics/accuracy.ts';
export { type ConfusionMatrix, confusionMatrix } from './metrics/confusionMatrix.ts';
export type { CountOptions } from './metrics/counts.ts';
export * as metrics from './metrics/index.ts';
export type { Accumulator, Metric, Named as NamedMetric } from './metrics/metric.ts';
export type { RankingOptions } from './metrics/ranking.ts';
export type { ScoreOptions } from './metrics/scores.ts';
export type { ClassificationKind, MetricTask } from './metrics/task.ts';

/** A metric of `metrics`, with its default options. */
export type MetricName = keyof typeof metrics;

/**
 * A number for a batch, or a tensor of one element; the mean over examples is recorded, each batch weighted with its
 * size. Called without recording gradients. The function's name becomes the metric's.
 */
export type MetricFunction<Prediction = Tensor, Target = Tensor> = (
  prediction: Prediction,
  target: Target,
) => number | Tensor;

/** A name, `metrics.accuracy({ threshold: 0.7 })`, or a function of your own. */
export type MetricChoice<Prediction = Tensor, Target = Tensor> =
  | MetricName
  | Metric<Prediction, Target>
  | MetricFunction<Prediction, Target>;

/** Whatever the model returns and the targets are. */
// biome-ignore lint/suspicious/noExplicitAny: the model and the data say what they are
export type AnyMetric = Metric<any, any>;

/** One that was chosen, of an output or of all that the model returns. */
export interface ChosenMetric extends AnyMetric {
  readonly output?: string | undefined;
}

/** Of the metrics here, those of which more is better, and those of which less is; undefined for any other name. */
export function higherIsBetter(path: string): boolean | undefined {
  // Of an output as of all: 'kind.accuracy'.
  const name = path.slice(path.lastIndexOf('.') + 1);
  if (/^(accuracy|r2|top\d+)$/.test(name)) return true;
  if (/^(precision|recall|f1|rocAuc|averagePrecision)(Macro|Micro|Weighted)?$/.test(name)) return true;
  if (/^(loss|logLoss|meanAbsoluteError|meanSquaredError|rootMeanSquaredError)$/.test(name)) return false;
  return undefined;
}

/**
 * The metrics of a list, or of lists by output, which are told what the loss says of predictions: beside one on logits the threshold
 * is 0, say.
 * @throws ArgumentError for an unknown name, a name twice, or one that a record uses otherwise.
 */
export function resolveMetrics(
  op: string,
  choices: AnyChoices | { readonly [output: string]: AnyChoices },
  loss?: LossChoice,
): ChosenMetric[] {
  const chosen = isRecord(choices)
    ? byOutput(op, choices as Readonly<Record<string, AnyChoices>>, loss)
    : listed(op, 'metrics', choices as AnyChoices, loss);
  const names = chosen.map(({ name }) => name);
  const twice = names.find((name, i) => names.indexOf(name) !== i);
  if (twice === undefined) return chosen;
  throw new ArgumentError(`[${op}] expected each metric once, got ${twice} twice`);
}

// biome-ignore lint/suspicious/noExplicitAny: the model and the data say what they are
type AnyChoices = readonly MetricChoice<any, any>[];

function byOutput(
  op: string,
  choices: { readonly [output: string]: AnyChoices },
  loss: LossChoice | undefined,
): ChosenMetric[] {
  const losses = lossesOf(loss);
  checkOutputs('metrics', Object.keys(choices));
  return Object.entries(choices).flatMap(([output, own]) =>
    listed(op, `metrics.${output}`, own, losses?.get(output)?.loss).map(
      (metric): ChosenMetric => ({ ...metric, name: `${output}.${metric.name}`, output }),
    ),
  );
}

function listed(
  op: string,
  title: string,
  choices: AnyChoices,
  loss: LossChoice | undefined,
): ChosenMetric[] {
  const given = readList(op, title, choices);
  const task = Object.freeze({ ...taskOf(loss) });
  return given.map((choice, i): ChosenMetric => {
    const metric = metricOf(op, title, choice, i);
    const { name } = metric;
    if (reservedNames.includes(name)) {
      throw new ArgumentError(`[${op}] expected another name for a metric than ${name}: records use it`);
    }
    return { name, start: () => metric.start(task) };
  });
}

function metricOf(op: string, title: string, choice: AnyChoices[number], position: number): AnyMetric {
  if (typeof choice === 'string' && Object.hasOwn(metrics, choice)) return metrics[choice]();
  if (isFunction(choice)) return ownMetric(op, nameOf(choice) || `metric ${position + 1}`, choice);
  if (isRecord(choice) && isFunction(choice.start) && nameOf(choice)) return choice;
  const known = Object.keys(metrics).join(', ');
  throw new ArgumentError(
    `[${op}] expected each of ${title} to be one of ${known}, a metric or a function, got ${describe(choice)}`,
  );
}

/** The name of a metric or a function; undefined where it is no string. */
function nameOf({ name }: { readonly name: unknown }): string | undefined {
  return typeof name === 'string' ? name : undefined;
}

function ownMetric(op: string, name: string, measure: MetricFunction<unknown, unknown>): AnyMetric {
  return meanMetric(name, (prediction: unknown, target: unknown) => {
    const value = measure(prediction, target);
    const number = isTensor(value) ? value.item() : value;
    if (typeof number !== 'number') {
      throw new ArgumentError(
        `[${op}] expected the metric ${name} to return a number, got ${describe(number)}`,
      );
    }
    const count = rowsOf(target);
    return { sum: number * count, count };
  });
}

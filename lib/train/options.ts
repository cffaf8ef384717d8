/** Types and checks of arguments that fit, evaluate and predict share. */
import { checkFunction, describe, isInstance } from '../arguments.ts';
import { ArgumentError } from '../errors.ts';
import type { Layer } from '../layers/layer.ts';
import { clipGradNorm, clipGradValue } from '../optimizers/clip.ts';
import type { Signal } from './abort.ts';
import type { TensorsOf } from './examples.ts';
import type { LossesByOutput, LossFunction, LossName } from './loss.ts';
import type { MetricChoice } from './metrics.ts';
import type { GradientTransform, OutputOf } from './step.ts';

/** Metrics of what a model returns and of y, or lists of them for its outputs by name. */
export type MetricChoices<Model extends Layer, Y> =
  | readonly MetricChoice<OutputOf<Model>, TensorsOf<Y>>[]
  | MetricsByOutput;

/** Metrics of the outputs of a model, by their names in what it returns and in y: `{ kind: ['accuracy'], price: ['r2'] }`. */
export interface MetricsByOutput {
  // biome-ignore lint/suspicious/noExplicitAny: the model and the data say what they are
  readonly [output: string]: readonly MetricChoice<any, any>[];
}

/** A loss of what a model returns and of y, or one for each of its outputs. */
export type LossChoices<Model extends Layer, Y> =
  | LossName
  | LossFunction<OutputOf<Model>, TensorsOf<Y>>
  | LossesByOutput;

/** @throws ArgumentError unless value is an AbortSignal or left out. */
export function checkSignal(op: string, value: Signal | undefined): void {
  if (value !== undefined && !isInstance(value, AbortSignal)) {
    throw new ArgumentError(`[${op}] expected signal to be an AbortSignal, got ${describe(value)}`);
  }
}

/** How gradients are limited. */
interface Clipping {
  readonly clipGradNorm?: number | undefined;
  readonly clipGradValue?: number | undefined;
}

/** What is done with gradients before an update. @throws ArgumentError for what is none, or both ways to clip */
export function transformOf(
  op: string,
  own: GradientTransform | undefined,
  { clipGradNorm: norm, clipGradValue: value }: Clipping,
): GradientTransform | undefined {
  if (own !== undefined) checkFunction(op, 'transformGradients', own);
  for (const [name, limit] of Object.entries({ clipGradNorm: norm, clipGradValue: value })) {
    if (limit !== undefined && !(typeof limit === 'number' && limit > 0)) {
      throw new ArgumentError(`[${op}] expected ${name} to be a limit above 0, got ${describe(limit)}`);
    }
  }
  if (norm !== undefined && value !== undefined) {
    throw new ArgumentError(`[${op}] expected clipGradNorm or clipGradValue, got both`);
  }
  if (norm === undefined && value === undefined) return own;
  return (parameters) => {
    own?.(parameters);
    if (norm !== undefined) clipGradNorm(parameters, norm);
    if (value !== undefined) clipGradValue(parameters, value);
  };
}

/** Types and checks of arguments that fit, evaluate and predict share. */
import { checkFunction, describe, isInstance } from '../arguments.ts';
import { ArgumentError } from '../errors.ts';
import type { Layer } from '../layers/layer.ts';
import { clipGradNorm, clipGradValue } from '../optimizers/clip.ts';
import type { Signal } from './abort.ts';
import type { TensorsOf } from './examples.ts';
import type { MetricChoice } from './metrics.ts';
import type { GradientTransform, OutputOf } from './step.ts';

/** Metrics of what a model returns and of y. */
export type MetricChoices<Model extends Layer, Y> = readonly MetricChoice<OutputOf<Model>, TensorsOf<Y>>[];

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

/** Types and checks of arguments that fit, evaluate and predict share. */
import { describe, isInstance } from '../arguments.ts';
import { ArgumentError } from '../errors.ts';
import type { Layer } from '../layers/layer.ts';
import type { Signal } from './abort.ts';
import type { TensorsOf } from './examples.ts';
import type { MetricChoice } from './metrics.ts';
import type { OutputOf } from './step.ts';

/** Metrics of what a model returns and of y. */
export type MetricChoices<Model extends Layer, Y> = readonly MetricChoice<OutputOf<Model>, TensorsOf<Y>>[];

/** @throws ArgumentError unless value is an AbortSignal or left out. */
export function checkSignal(op: string, value: Signal | undefined): void {
  if (value !== undefined && !isInstance(value, AbortSignal)) {
    throw new ArgumentError(`[${op}] expected signal to be an AbortSignal, got ${describe(value)}`);
  }
}

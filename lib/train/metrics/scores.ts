/** Scores that are taken as they are, rather than decided by. */
import { ArgumentError } from '../../errors.ts';
import { allocate } from '../../memory.ts';
import type { Tensor } from '../../tensor.ts';
import { firstNoDistribution, isProbability } from '../targets.ts';
import type { KindOptions } from './task.ts';

/** Options of metrics that take scores as they are. */
export interface ScoreOptions extends KindOptions {
  /**
   * Whether predictions are logits rather than probabilities. Default: what the loss beside the metric takes, where it is
   * one of `losses` and given itself or by name; otherwise false.
   */
  fromLogits?: boolean;
}

/** log softmax of each row of logits, in float64. */
export function logSoftmaxRows({ data }: Tensor, width: number): Float64Array {
  const out = allocate(data.length, 'float64');
  for (let start = 0; start < data.length; start += width) {
    let largest = -Infinity;
    for (let i = start; i < start + width; i++) largest = Math.max(largest, data[i]);
    let sum = 0;
    for (let i = start; i < start + width; i++) sum += Math.exp(data[i] - largest);
    const shift = largest + Math.log(sum);
    for (let i = start; i < start + width; i++) out[i] = data[i] - shift;
  }
  return out;
}

/** @throws ArgumentError for rows of scores that are no probabilities; those with NaN are let through. */
export function checkRows(op: string, { data }: Tensor, width: number): void {
  const row = firstNoDistribution(data, width, true);
  if (row < 0) return;
  throw new ArgumentError(
    `[${op}] expected each row of the prediction to be probabilities that sum to 1, which row ${row} (counted from 0) is ` +
      'not: set fromLogits for logits',
  );
}

/**
 * @param advice what to do about others than probabilities
 * @throws ArgumentError for a score that is no probability; NaN is none, and let through.
 */
export function checkScore(op: string, score: number, advice: string): void {
  if (isProbability(score) || Number.isNaN(score)) return;
  throw new ArgumentError(`[${op}] expected the prediction to be probabilities, got ${score}: ${advice}`);
}

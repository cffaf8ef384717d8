/** Targets that a loss of `losses` has no meaning for. */
import { isRecord } from '../arguments.ts';
import { DataError, IndexError } from '../errors.ts';
import { place } from '../finite.ts';
import type { Layer } from '../layers/layer.ts';
import { show } from '../shape.ts';
import { isTensor, type Tensor } from '../tensor.ts';
import type { Tensors } from './examples.ts';
import {
  binaryLosses,
  classLosses,
  isLoss,
  type LossChoice,
  type LossName,
  lossAmong,
  lossesOf,
  signedLosses,
} from './loss.ts';

/** How far rounding may take a probability out of [0, 1]: interpolation and scaling in float32 do. */
const rounding = 1e-6;

/** How far from 1 probabilities of a row may sum: they may be rounded to two decimals, but two labels make 2. */
const slack = 0.05;

/** False outside [0, 1], and for NaN. */
export function isProbability(value: number): boolean {
  return value >= -rounding && value <= 1 + rounding;
}

/** The first row of `width` values that are no probabilities or do not sum to 1, or −1. One with NaN may be let through. */
export function firstNoDistribution(values: ArrayLike<number>, width: number, allowsNaN = false): number {
  for (let start = 0; start < values.length; start += width) {
    const sum = rowSum(values, start, width);
    if (allowsNaN && Number.isNaN(sum)) continue;
    if (!(Math.abs(sum - 1) <= slack)) return start / width;
    for (let i = start; i < start + width; i++) if (!isProbability(values[i])) return start / width;
  }
  return -1;
}

function rowSum(values: ArrayLike<number>, start: number, width: number): number {
  let sum = 0;
  for (let i = start; i < start + width; i++) sum += values[i];
  return sum;
}

/** @throws DataError, IndexError for targets out of the domain of a loss; `name` is what messages call them. */
export type TargetCheck = (name: string, target: Tensors, x: Tensors) => void;

/** The check for a loss of `losses`, by name or itself; undefined for any other, which may mean anything by its targets. */
export function targetCheck(model: Layer | null, loss: LossChoice | undefined): TargetCheck | undefined {
  const byOutput = lossesOf(loss);
  if (byOutput !== null) {
    const checks = Array.from(byOutput, ([name, own]) => [name, targetCheck(null, own.loss)] as const);
    return (part, target, x) => {
      for (const [name, check] of checks) {
        const own = isRecord(target) ? (target as Readonly<Record<string, Tensors>>)[name] : undefined;
        if (own !== undefined) check?.(`${part}.${name}`, own, x);
      }
    };
  }
  const binary = lossAmong(loss, binaryLosses);
  if (binary !== undefined) return forFloats((part, target) => checkProbabilities(part, target, binary));
  const signed = lossAmong(loss, signedLosses);
  if (signed !== undefined) return forFloats((part, target) => checkSigns(part, target, signed));
  if (isLoss(loss, 'klDivergence')) {
    return forFloats((part, target) => checkDistributions(part, target, 'klDivergence'));
  }
  const name = lossAmong(loss, classLosses);
  if (name === undefined) return undefined;
  return (part, target, x) => {
    if (!isTensor(target)) return;
    if (target.dtype === 'int32') checkLabels(part, target, name, classesFor(model, x, target.rank));
    else if (name === 'softmaxCrossEntropy' && target.rank >= 2) checkDistributions(part, target, name);
  };
}

/** A check of targets that are numbers; what else there is, the loss refuses. */
function forFloats(check: (part: string, target: Tensor) => void): TargetCheck {
  return (part, target) => {
    if (isTensor(target) && target.dtype !== 'int32') check(part, target);
  };
}

/** @throws DataError unless all are −1 or 1 */
function checkSigns(part: string, target: Tensor, loss: LossName): void {
  const { data } = target;
  const at = data.findIndex((value: number) => value !== 1 && value !== -1);
  if (at < 0) return;
  throw new DataError(
    `expected ${part} to hold targets -1 and 1 for ${loss}, got ${data[at]} at ${place(target, at)}` +
      (data[at] === 0 ? ': map 0 to −1, by 2 · y − 1' : ''),
  );
}

function checkProbabilities(part: string, target: Tensor, loss: LossName): void {
  const { data } = target;
  let at = 0;
  while (at < data.length && isProbability(data[at])) at++;
  if (at === data.length) return;
  throw new DataError(
    `expected ${part} to hold targets between 0 and 1 for ${loss}, got ${data[at]} at ${place(target, at)}` +
      advice(data, loss),
  );
}

/** What values look like that are no probabilities. */
function advice(values: ArrayLike<number>, loss: LossName): string {
  let least = Infinity;
  let largest = -Infinity;
  for (let i = 0; i < values.length; i++) {
    least = Math.min(least, values[i]);
    largest = Math.max(largest, values[i]);
  }
  if (loss === 'softmaxCrossEntropy' && least >= 0 && Array.prototype.every.call(values, Number.isInteger)) {
    return ': labels are int32, a tensor of that dtype or rows of Int32Array';
  }
  if (least >= 0 && largest > 2 && largest <= 255) return ': divide by 255 if they are pixels';
  if (least === -1 && largest <= 1) return ': map −1 to 0, by (y + 1) / 2';
  return '';
}

function checkDistributions(part: string, target: Tensor, loss: LossName): void {
  if (target.rank === 0) return;
  const width = target.shape[target.rank - 1];
  const row = firstNoDistribution(target.data, width);
  if (row < 0) return;
  if (width === 1 && loss === 'softmaxCrossEntropy') {
    throw new DataError(
      `expected ${part} to hold labels [batch] or probabilities [batch, classes] for ${loss}, got ` +
        `${show(target.shape)}: reshape labels to [${target.shape[0]}]`,
    );
  }
  checkProbabilities(part, target, loss);
  const sum = rowSum(target.data, row * width, width);
  throw new DataError(
    `expected each row of ${part} to be one-hot or of probabilities that sum to 1 for ${loss}, got a sum of ` +
      `${sum} in row ${row} (counted from 0)` +
      (sum > 1 ? ': several labels at once are for binaryCrossEntropyWithLogits' : ''),
  );
}

function checkLabels(part: string, target: Tensor, loss: LossName, classes: number | undefined): void {
  const { data } = target;
  for (let i = 0; i < data.length; i++) {
    if (data[i] >= 0 && !(data[i] >= (classes ?? Infinity))) continue;
    const wanted = classes === undefined ? 'labels of at least 0' : `labels from 0 to ${classes - 1}`;
    throw new IndexError(
      `expected ${part} to hold ${wanted} for ${loss}, got ${data[i]} at ${place(target, i)}` +
        (data[i] === classes ? ': classes count from 0' : ''),
    );
  }
}

/** How many classes the model tells apart, where that is known without a step; what does not fit the step tells. */
export function classesFor(model: Layer | null, x: Tensors, rank: number): number | undefined {
  try {
    const shape = model?.outputShape(isTensor(x) && x.rank > 1 ? x.shape.slice(1) : undefined);
    return shape?.length === rank ? shape[rank - 1] : undefined;
  } catch {
    return undefined;
  }
}

/** Normalisation: of each channel over a batch, and of each example over its features. */

import { isAgain } from '../again.ts';
import { checkBoolean, checkOptions, describe, isRecord } from '../arguments.ts';
import { contribute, isAsked, releaseSaved, type Share, track, wantsGradient } from '../autograd.ts';
import { zeros } from '../create.ts';
import { ArgumentError, ShapeError } from '../errors.ts';
import { type Float, kernels, unaryCode } from '../kernels/index.ts';
import { changing } from '../kernels/recorder.ts';
import { type FloatDtype, release, take } from '../memory.ts';
import { readShape, type Shape, sameShape, show, sizeOf } from '../shape.ts';
import { checkElements, checkFloat, checkSameFloat, checkTensor, empty, floats, Tensor } from '../tensor.ts';
import { tracing } from '../trace.ts';
import { sumToShape, trackInOps } from './derivative.ts';
import {
  type Activation,
  activationCode,
  checkVector,
  epilogueDerivative,
  readActivation,
} from './epilogue.ts';
import { aboutMean } from './norm.ts';

/** The mean and variance of each channel that batch normalisation has seen so far, both [channels]. */
export interface RunningStatistics {
  mean: Tensor;
  /** Unbiased. */
  variance: Tensor;
  /**
   * How many values of a channel there were in recent batches, [1], zeros at first; updated like the others. Without it, as
   * in PyTorch, each batch moves the statistics as far as any other; with it, one of fewer values less far: see `batchNorm`.
   */
  count?: Tensor | null;
}

/** Options of `batchNorm`. */
export interface BatchNormOptions {
  /**
   * True (default): normalises by the mean and variance of x, and moves the running statistics, where there are any,
   * towards them. False: normalises by the running statistics, and leaves them.
   */
  training?: boolean;
  /** How far the running statistics move at each batch, r ← (1 − momentum)·r + momentum·(that of x); default 0.1. */
  momentum?: number;
  /** Added to the variance; default 1e-5. */
  epsilon?: number;
  /** Applied to the result, in the same kernel call; default null, none. */
  activation?: Activation | null;
}

/** @throws ArgumentError unless epsilon is a finite number above 0. */
export function checkEpsilon(op: string, epsilon: number): void {
  if (Number.isFinite(epsilon) && epsilon > 0) return;
  throw new ArgumentError(`[${op}] expected epsilon to be a finite number above 0, got ${describe(epsilon)}`);
}

/** @throws ArgumentError unless 0 ≤ momentum ≤ 1. */
export function checkMomentum(op: string, momentum: number): void {
  if (typeof momentum === 'number' && momentum >= 0 && momentum <= 1) return;
  throw new ArgumentError(`[${op}] expected momentum to be from 0 to 1, got ${describe(momentum)}`);
}

/** Both, read once. @throws as `checkVector` unless they are vectors of this length, of x's dtype. */
function readRunning(
  op: string,
  x: Tensor,
  running: RunningStatistics | null,
  channels: number,
): RunningStatistics | null {
  if (running === null) return null;
  if (!isRecord(running)) {
    throw new ArgumentError(`[${op}] expected running to be { mean, variance }, got ${describe(running)}`);
  }
  const { mean, variance, count = null } = running;
  for (const [name, vector] of [
    ['running mean', mean],
    ['running variance', variance],
  ] as const) {
    checkTensor(op, vector, name);
    checkVector(op, x, vector, name, channels);
  }
  checkVector(op, x, count, 'running count', 1);
  return { mean, variance, count };
}

/**
 * Batch normalisation (Ioffe & Szegedy, 2015): g((x − μ) / √(σ² + ε) · scale + shift), channel by channel, with μ and σ²
 * over everything but the channels. The variance of the batch is divided by the count, the running one by the count − 1.
 * In training a channel has two values or more, as there is no variance of one; of none there is nothing to normalise.
 *
 * The running statistics of equally large batches are PyTorch's, r ← (1 − momentum)·r + momentum·(that of x). PyTorch gives
 * every batch that weight, and the variance of the two examples that end an epoch would count like that of a full batch.
 * With `statistics.count` a batch weighs as much less as its estimate is worse: the variance of a variance goes with 1/(n −
 * 1) for n values, and the momentum is multiplied by (n − 1)/(N − 1), with N the count of the largest batch of late. Each
 * batch halves what is remembered of N if it is smaller itself, so that smaller batches weigh fully soon if they go on.
 *
 * Deviations are from the mean in all its digits. The running mean has those of x's dtype alone, as in PyTorch: in
 * evaluation, numbers whose deviations are as small as the rounding of their mean are off by as much.
 * @param x [..., channels], of rank 2 at least: rows of features, or images [batch, height, width, channels]
 * @param scale [channels], or null for 1
 * @param shift [channels], or null for 0
 * @param statistics null for none, which wants `training`; the tensors are updated in place
 * @returns the shape of x
 * @throws ShapeError, DtypeError when tensors do not fit each other, and for one value per channel in training;
 *   ArgumentError for options out of their domains.
 */
export function batchNorm<D extends FloatDtype>(
  x: Tensor<D>,
  scale: Tensor | null = null,
  shift: Tensor | null = null,
  statistics: RunningStatistics | null = null,
  options: BatchNormOptions = {},
): Tensor<D> {
  const op = 'batchNorm';
  checkTensor(op, x);
  const dtype = checkFloat(op, x);
  checkOptions(op, options, ['training', 'momentum', 'epsilon', 'activation']);
  const { training = true, momentum = 0.1, epsilon = 1e-5, activation: given = null } = options;
  checkBoolean(op, 'training', training);
  checkMomentum(op, momentum);
  checkEpsilon(op, epsilon);
  const activation = readActivation(op, given);
  if (x.rank < 2) throw new ShapeError(`[${op}] expected x [..., channels], got ${show(x.shape)}`);
  const channels = x.shape[x.rank - 1];
  const rows = sizeOf(x.shape.slice(0, -1));
  if (training && rows === 1) {
    throw new ShapeError(
      `[${op}] expected more than one value per channel in training, got x ${show(x.shape)}: there is no variance of one ` +
        'value. Take a larger batch, or normalise by running statistics (training: false)',
    );
  }
  checkVector(op, x, scale, 'scale', channels);
  checkVector(op, x, shift, 'shift', channels);
  const running = readRunning(op, x, statistics, channels);
  checkElements(op, x);
  if (!training && running === null) {
    throw new ArgumentError(`[${op}] expected running statistics to normalise by, got null`);
  }

  // Made before the running statistics change, as there may be no memory for it.
  const y = empty(x.shape, dtype);
  const used = training ? null : running;
  tracing?.note(op, [x, scale, shift, used?.mean ?? null, used?.variance ?? null], y, {
    epsilon,
    activation,
    moves: training && running !== null,
  });
  if (x.size === 0) return trackNothing(y, [x, scale, shift]);
  const mean = take(channels, dtype);
  const inverse = take(channels, dtype);
  // Running statistics are what they are.
  const remainder = training ? take(channels, dtype) : null;
  if (remainder) {
    kernels.batchMoments(
      mean,
      remainder,
      inverse,
      moving(running?.mean),
      moving(running?.variance),
      moving(running?.count),
      floats(x),
      rows,
      channels,
      epsilon,
      momentum,
    );
  } else if (running) {
    // A copy: training may update the running mean before backward reads it.
    kernels.cast(mean, floats(running.mean));
    inverseDeviation(inverse, floats(running.variance), epsilon);
  }
  const [a, b] = [scale && floats(scale), shift && floats(shift)];
  const code = activationCode(activation);
  const parameter = activation?.parameter ?? 0;
  kernels.batchNorm(floats(y), floats(x), mean, remainder, inverse, a, b, rows, channels, code, parameter);
  const finish = () => {
    releaseSaved(mean);
    if (remainder) releaseSaved(remainder);
    releaseSaved(inverse);
  };
  if (!wantsGradient([x, scale, shift])) {
    finish();
    return y;
  }
  return track(
    y,
    [x, scale, shift],
    (dy) => {
      gradients(dy, x, scale, shift, channels, dtype, (dx, dScale, dShift) =>
        kernels.batchNormGradient(
          dx,
          dScale,
          dShift,
          dy,
          floats(x),
          mean,
          remainder,
          inverse,
          a,
          b,
          rows,
          channels,
          code,
          parameter,
          training ? 1 : 0,
        ),
      );
      finish();
    },
    [x, scale, activation && shift],
    (dy) => {
      const by = training
        ? standardize(x, Array.from(x.shape.keys()).slice(0, -1), epsilon)
        : standardizeBy(
            x,
            new Tensor(mean as never, [channels], dtype),
            new Tensor(inverse as never, [channels], dtype),
          );
      return standardizedShares(epilogueDerivative(dy, y, activation), by, scale, shift);
    },
  );
}

/** The elements of a statistic that is about to be updated. */
export function moving(statistic: Tensor | null | undefined): Float | null {
  if (!statistic || isAgain()) return null;
  changing('batchNorm', statistic.storage);
  return floats(statistic);
}

/** out = 1 / √(variance + ε), each step correctly rounded. */
function inverseDeviation(out: Float, variance: Float, epsilon: number): void {
  kernels.unary(out, variance, unaryCode.scale, 1, epsilon);
  kernels.unary(out, out, unaryCode.sqrt, 0, 0);
  kernels.unary(out, out, unaryCode.reciprocal, 0, 0);
}

/** The history of what was computed of no elements, in however many rows or channels. */
function trackNothing(y: Tensor, inputs: readonly (Tensor | null)[]): Tensor {
  return trackInOps(y, inputs, [], () =>
    inputs.map((input) => input && (() => zeros(input.shape, { dtype: input.dtype }))),
  );
}

/** What the gradients of a normalisation, h = (x − μ)·r, are made of. */
export interface Standardized {
  h: Tensor;
  r: Tensor;
  /** The mean over what μ and r are of; null where they do not depend on x. */
  mean: ((values: Tensor) => Tensor) | null;
  /** Whether there is a μ. */
  isCentered: boolean;
}

/** h and r in ops. */
export function standardize(
  x: Tensor,
  axes: readonly number[],
  epsilon: number,
  isCentered = true,
): Standardized {
  const mean = (values: Tensor) => values.mean(axes, { keepDims: true });
  const centered = isCentered ? aboutMean(x, axes) : x;
  const r = mean(centered.square()).add(epsilon).sqrt().reciprocal();
  return { h: centered.mul(r), r, mean, isCentered };
}

function standardizeBy(x: Tensor, mean: Tensor, r: Tensor): Standardized {
  return { h: x.sub(mean).mul(r), r, mean: null, isCentered: true };
}

/** The gradients of h · scale + shift in ops. */
export function standardizedShares(
  dz: Tensor,
  { h, r, mean, isCentered }: Standardized,
  scale: Tensor | null,
  shift: Tensor | null,
): Share[] {
  return [
    () => {
      const dh = scale ? dz.mul(scale) : dz;
      if (mean === null) return dh.mul(r);
      const left = isCentered ? dh.sub(mean(dh)) : dh;
      return left.sub(h.mul(mean(dh.mul(h)))).mul(r);
    },
    () => scale && sumToShape(dz.mul(h), scale.shape),
    () => shift && sumToShape(dz, shift.shape),
  ];
}

/** Contributes what one kernel computes at once: the gradients of x, scale and shift. */
export function gradients(
  dy: Float,
  x: Tensor,
  scale: Tensor | null,
  shift: Tensor | null,
  length: number,
  dtype: FloatDtype,
  write: (dx: Float, dScale: Float, dShift: Float) => void,
): void {
  const [dScale, dShift] = [take(length, dtype), take(length, dtype)];
  // Where x wants no gradient, the one of y makes room for it.
  if (isAsked(x)) contribute(x, (dx) => write(dx, dScale, dShift));
  else write(dy, dScale, dShift);
  if (scale) contribute(scale, (out) => kernels.cast(out, dScale));
  if (shift) contribute(shift, (out) => kernels.cast(out, dShift));
  release(dScale);
  release(dShift);
}

/** Options of `layerNorm`. */
export interface LayerNormOptions {
  /** Added to the variance; default 1e-5. */
  epsilon?: number;
}

/**
 * Layer normalisation (Ba, Kiros & Hinton, 2016): (x − μ) / √(σ² + ε) · scale + shift, with μ and σ² of each example over
 * the last axes.
 * @param x [..., ...shape]
 * @param shape of what is normalised together; a number for the last axis alone
 * @param scale of that shape, or null for 1
 * @param shift of that shape, or null for 0
 * @returns the shape of x
 * @throws ShapeError, DtypeError when tensors do not fit each other, ArgumentError for options out of their domains.
 */
export function layerNorm<D extends FloatDtype>(
  x: Tensor<D>,
  shape: number | Shape,
  scale: Tensor | null = null,
  shift: Tensor | null = null,
  options: LayerNormOptions = {},
): Tensor<D> {
  const op = 'layerNorm';
  const { dtype, own } = readNormalized(op, x, shape, { scale, shift });
  checkOptions(op, options, ['epsilon']);
  const { epsilon = 1e-5 } = options;
  checkEpsilon(op, epsilon);
  const y = empty(x.shape, dtype);
  tracing?.note(op, [x, scale, shift], y, { axes: own.length, epsilon });
  return normalizeRows(y, x, own, scale, shift, epsilon, true);
}

/** The last axes of x, as many as those of a shape. */
export const lastAxes = (x: Tensor, own: Shape) => own.map((_, i) => x.rank - own.length + i);

/** y = (x − μ)·r · scale + shift over the last axes, with r of deviations from μ or, uncentered, without a μ. */
export function normalizeRows<D extends FloatDtype>(
  y: Tensor<D>,
  x: Tensor,
  own: Shape,
  scale: Tensor | null,
  shift: Tensor | null,
  epsilon: number,
  isCentered: boolean,
): Tensor<D> {
  if (x.size === 0) return trackNothing(y, [x, scale, shift]) as Tensor<D>;
  const { dtype } = y;
  const size = sizeOf(own);
  const rows = x.size / size;
  const mean = isCentered ? take(rows, dtype) : null;
  const remainder = isCentered ? take(rows, dtype) : null;
  const inverse = take(rows, dtype);
  const [a, b] = [scale && floats(scale), shift && floats(shift)];
  kernels.layerNorm(floats(y), mean, remainder, inverse, floats(x), a, b, rows, size, epsilon);
  const finish = () => {
    if (mean) releaseSaved(mean);
    if (remainder) releaseSaved(remainder);
    releaseSaved(inverse);
  };
  if (!wantsGradient([x, scale, shift])) {
    finish();
    return y;
  }
  return track(
    y,
    [x, scale, shift],
    (dy) => {
      gradients(dy, x, scale, shift, size, dtype, (dx, dScale, dShift) =>
        kernels.layerNormGradient(dx, dScale, dShift, dy, floats(x), mean, remainder, inverse, a, rows, size),
      );
      finish();
    },
    [x, scale],
    (dy) => standardizedShares(dy, standardize(x, lastAxes(x, own), epsilon, isCentered), scale, shift),
  );
}

/**
 * The dtype of x and the shape of its last axes, which are normalised together.
 * @throws ArgumentError, DtypeError or ShapeError unless x ends in it, and what else is given has it and x's dtype, or is null.
 */
export function readNormalized(
  op: string,
  x: Tensor,
  shape: number | Shape,
  others: Readonly<Record<string, Tensor | null>>,
): { dtype: FloatDtype; own: Shape } {
  checkTensor(op, x);
  const dtype = checkFloat(op, x);
  const own = readShape(op, typeof shape === 'number' ? [shape] : shape);
  const lead = x.rank - own.length;
  if (own.length === 0 || lead < 0 || !sameShape(x.shape.slice(lead), own)) {
    throw new ShapeError(
      `[${op}] expected x of shape ${show(['...', ...own])}, got ${show(x.shape)} for shape ${show(own)}`,
    );
  }
  for (const [name, given] of Object.entries(others)) {
    if (given === null) continue;
    checkTensor(op, given, name);
    checkSameFloat(op, x, given);
    if (sameShape(given.shape, own)) continue;
    throw new ShapeError(`[${op}] expected ${name} ${show(own)}, got ${show(given.shape)}`);
  }
  return { dtype, own };
}

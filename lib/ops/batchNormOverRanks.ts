/** Batch normalisation by the batches of several processes as by one. */
import { isAsked, noGrad, track, wantsGradient } from '../autograd.ts';
import { full } from '../create.ts';
import { type Ranks, sumOverRanks } from '../distributed/synchronization.ts';
import { binaryCode, type Float, kernels } from '../kernels/index.ts';
import { type FloatDtype, release, take } from '../memory.ts';
import { sizeOf } from '../shape.ts';
import { checkElements, empty, floats, Tensor } from '../tensor.ts';
import { tracing } from '../trace.ts';
import { maximum } from './binary.ts';
import { concat } from './concat.ts';
import { type Activation, activationCode, epilogueDerivative } from './epilogue.ts';
import {
  gradients,
  moving,
  type RunningStatistics,
  type Standardized,
  standardizedShares,
} from './normalize.ts';

/** What `batchNorm` has as options, and whose batches there are. */
interface Settings {
  readonly momentum: number;
  readonly epsilon: number;
  readonly activation: Activation | null;
  readonly ranks: Ranks;
}

/** The mean and variance of all ranks' batches, in float64, all but the count [channels]. */
interface Moments {
  /** How many values of a channel there are, [1]. */
  readonly count: Tensor;
  /** About the mean. */
  readonly center: Tensor;
  /** What it lacks to the mean. */
  readonly lack: Tensor;
  /** Divided by the count. */
  readonly variance: Tensor;
}

/**
 * `batchNorm` in training, where the batch is that of all ranks: x has as many rows as it likes, also none, and what is returned,
 * and its gradients, are the rows of those of the whole. The gradient of x is that of the sum over the ranks of what they call
 * backward on; those of scale and shift are this rank's part of them, as of any parameter. Where all ranks together have one
 * value of a channel, its variance is taken for 0, and the running statistics stay as they are.
 * @param x [..., channels], checked as `batchNorm` does
 */
export function batchNormOverRanks<D extends FloatDtype>(
  x: Tensor<D>,
  scale: Tensor | null,
  shift: Tensor | null,
  running: Required<RunningStatistics>,
  settings: Settings,
): Tensor<D> {
  const op = 'batchNorm';
  checkElements(op, x);
  const { epsilon, activation, ranks } = settings;
  const { dtype } = x;
  const channels = x.shape[x.rank - 1];
  const rows = sizeOf(x.shape.slice(0, -1));
  // Made before the running statistics change, as there may be no memory for it.
  const y = empty(x.shape, dtype);
  tracing?.note(op, [x, scale, shift, null, null], y, { epsilon, activation, moves: true });
  const { count, mean, remainder, inverse } = noGrad(() => {
    const moments = momentsOverRanks(x, rows, channels, ranks);
    const { count, center, lack, variance } = moments;
    move(running, moments, settings.momentum);
    const mean = center.cast(dtype);
    return {
      count,
      mean,
      // The mean in all its digits: what its type does not hold, and what the center is off.
      remainder: center.sub(mean.cast('float64')).add(lack).cast(dtype),
      inverse: variance.add(epsilon).sqrt().reciprocal().cast(dtype),
    };
  });
  const [a, b] = [scale && floats(scale), shift && floats(shift)];
  const [m, r, i] = [mean, remainder, inverse].map(floats);
  const code = activationCode(activation);
  const parameter = activation?.parameter ?? 0;
  kernels.batchNorm(floats(y), floats(x), m, r, i, a, b, rows, channels, code, parameter);
  if (!wantsGradient([x, scale, shift])) return y;
  return track(
    y,
    [x, scale, shift],
    (dy) =>
      gradients(dy, x, scale, shift, channels, dtype, (dx, dScale, dShift) => {
        // As if the moments were constants, and then what moves with them.
        kernels.batchNormGradient(
          dx,
          dScale,
          dShift,
          dy,
          floats(x),
          m,
          r,
          i,
          a,
          b,
          rows,
          channels,
          code,
          parameter,
          0,
        );
        if (!isAsked(x)) return;
        const [slope, offset] = noGrad(() => {
          const own = [dShift, dScale].map((sums) => new Tensor(sums as never, [channels], dtype));
          const all = sumOverRanks(concat(own.map((sums) => sums.cast('float64'))), ranks).div(count);
          const factor = inverse.cast('float64').neg();
          const scaled = scale ? factor.mul(scale.cast('float64')) : factor;
          const shareOf = (from: number) => scaled.mul(all.slice([[from, from + channels]])).cast(dtype);
          return [shareOf(channels), shareOf(0)];
        });
        const share = take(x.size, dtype);
        kernels.batchNorm(share, floats(x), m, r, i, floats(slope), floats(offset), rows, channels, -1, 0);
        kernels.binary(dx, dx, share, null, binaryCode.add);
        release(share);
      }),
    [x, scale, activation && shift],
    (dy) =>
      standardizedShares(
        epilogueDerivative(dy, y, activation),
        standardizeOverRanks(x, count, epsilon, ranks),
        scale,
        shift,
      ),
  ) as Tensor<D>;
}

/**
 * Two exchanges, of which the second is about the mean that comes of the first: so no digits are lost, wherever the mean is and
 * however the ranks' own lie apart.
 */
function momentsOverRanks(x: Tensor, rows: number, channels: number, ranks: Ranks): Moments {
  const own = Array.from({ length: 3 }, () => empty([channels], x.dtype));
  const [m, r, i] = own.map(floats) as Float[];
  // Without an epsilon, 1/√variance has all digits of the variance, also where that is small; Infinity is that of none.
  kernels.batchMoments(m, r, i, null, null, null, floats(x), rows, channels, 0, 0);
  const [mean, remainder, inverse] = own.map((values) => values.cast('float64'));
  const ownCount = full([1], rows, { dtype: 'float64' });
  const sums = sumOverRanks(concat([ownCount, mean.mul(rows)]), ranks);
  const count = sums.slice([[0, 1]]);
  const divisor = maximum(count, 1);
  const center = sums.slice([[1, 1 + channels]]).div(divisor);
  const off = mean.sub(center).add(remainder);
  const squares = inverse.square().reciprocal().add(off.square());
  const means = sumOverRanks(concat([off, squares]).mul(rows), ranks).div(divisor);
  const lack = means.slice([[0, channels]]);
  // ReLU, as rounding may leave a variance of 0 below it; it lets NaN through.
  const variance = means
    .slice([[channels, 2 * channels]])
    .sub(lack.square())
    .relu();
  return { count, center, lack, variance };
}

/** Moves running statistics as the kernel `batchMoments` does; by nothing for fewer than two values. */
function move(running: Required<RunningStatistics>, moments: Moments, momentum: number): void {
  const { count, center, lack, variance } = moments;
  const statistics = [running.mean, running.variance, running.count!];
  const [mean, spread, recent] = statistics.map((statistic) => statistic.cast('float64'));
  const most = maximum(count, recent);
  const beyondFirst = count.sub(1).relu();
  const share = beyondFirst.mul(momentum).div(maximum(most.sub(1), 1));
  const mix = (before: Tensor, fresh: Tensor) => before.mul(share.neg().add(1)).add(fresh.mul(share));
  const unbiased = variance.mul(count).div(maximum(beyondFirst, 1));
  const moves = beyondFirst.clip(0, 1);
  const fresh = [
    mix(mean, center.add(lack)),
    mix(spread, unbiased),
    recent.add(maximum(count, most.mul(0.5)).sub(recent).mul(moves)),
  ];
  statistics.forEach((statistic, i) => {
    const elements = moving(statistic);
    if (elements !== null) kernels.cast(elements, floats(fresh[i].cast(statistic.dtype)));
  });
}

/** x normalised by the batches of all ranks, in ops. */
function standardizeOverRanks(x: Tensor, count: Tensor, epsilon: number, ranks: Ranks): Standardized {
  const axes = Array.from(x.shape.keys()).slice(0, -1);
  const divisor = count.cast(x.dtype);
  const mean = (values: Tensor) => sumOverRanks(values.sum(axes, { keepDims: true }), ranks).div(divisor);
  const first = x.sub(mean(x));
  // The mean of float32 is rounded: the second takes the rest, and adds nothing to the gradient.
  const centered = first.sub(noGrad(() => mean(first)));
  const r = mean(centered.square()).add(epsilon).sqrt().reciprocal();
  return { h: centered.mul(r), r, mean, isCentered: true };
}

/** Norms over axes, variances and standard deviations. */
import { checkOptions, describe } from '../arguments.ts';
import { contribute, noGrad, track } from '../autograd.ts';
import { ArgumentError, inNameOf } from '../errors.ts';
import { binaryCode, kernels, unaryCode } from '../kernels/index.ts';
import { release, take } from '../memory.ts';
import { packLayout, sizeOf, stridesOf } from '../shape.ts';
import { checkFloat, floats, type Tensor } from '../tensor.ts';
import { tracing } from '../trace.ts';
import { div, equal, mul, pow, sub, where } from './binary.ts';
import { max, mean, sum } from './reduce.ts';
import {
  type Axes,
  axesOf,
  kept,
  type ReduceOptions,
  reduction,
  spreadLayout,
  spreadStrides,
} from './reduction.ts';
import { abs } from './unary.ts';

/** What is reduced, as a function of what has the history; its transpose leaves it as it is. */
interface Source {
  readonly input: Tensor;
  /** The same again with the history. */
  value(): Tensor;
}

/** scale · the sum of squares over axes, which float32 need not hold; dx = 2·scale·dy·x. */
function scaledSquares(
  name: string,
  x: Tensor,
  over: readonly number[],
  options: ReduceOptions,
  scale: number,
  of: Source,
): Tensor {
  const { y, count, dtype, keepDims, finish } = reduction(name, 'sumOfSquares', x, over, options);
  finish(scale);
  const isMean = scale === 1 / count;
  const op = isMean ? 'meanOfSquares' : 'sumOfSquares';
  tracing?.note('reduce', [x], y, { op, axes: over, keepDims, scale: isMean ? 1 : scale });
  return track(
    y,
    [of.input],
    (dy) =>
      contribute(of.input, (dx) => {
        const share = take(y.size, dtype);
        kernels.unary(share, dy, unaryCode.scale, 2 * scale, 0);
        const layout =
          y.size === 1 || y.size === x.size ? null : spreadLayout(x.shape, over, stridesOf(x.shape));
        kernels.binary(dx, share, floats(x), layout, binaryCode.mul);
        release(share);
      }),
    [x],
    (dy) => [mul(of.value(), mul(kept(dy, x, over), 2 * scale))],
  );
}

/** scale · √Σx² over axes; dx = scale² · dy · x / y, and 0 where y is 0. */
function scaledNorm(
  name: string,
  x: Tensor,
  over: readonly number[],
  options: ReduceOptions,
  scale: number,
  of: Source,
): Tensor {
  const { y, dtype, keepDims, finish } = reduction(name, 'norm', x, over, options);
  finish(scale);
  tracing?.note('reduce', [x], y, { op: 'norm', axes: over, keepDims, scale });
  return track(
    y,
    [of.input],
    (dy) =>
      contribute(of.input, (dx) => {
        const isSpread = y.size !== 1 && y.size !== x.size;
        const [own, spread] = [stridesOf(x.shape), spreadStrides(x.shape, over)];
        const layout = (...strides: number[][]) => (isSpread ? packLayout(x.shape, strides) : null);
        const [end, divisor, share] = [1, y.size, y.size].map((size) => take(size, dtype));
        kernels.fill(end, 1);
        kernels.where(divisor, floats(y), floats(y), end, null);
        kernels.fill(end, 0);
        kernels.where(share, floats(y), dy, end, null);
        kernels.unary(divisor, divisor, unaryCode.scale, 1 / scale ** 2, 0);
        // A quotient first, which is no larger than 1, whatever the size of both.
        kernels.binary(dx, floats(x), divisor, layout(own, spread), binaryCode.div);
        kernels.binary(dx, share, dx, layout(spread, own), binaryCode.mul);
        for (const buffer of [end, divisor, share]) release(buffer);
      }),
    [x, y],
    (dy) => {
      const [share, divisor] = [where(y, dy, 0), where(y, y, 1)].map((t) => kept(t, x, over));
      return [mul(mul(div(of.value(), divisor), share), scale ** 2)];
    },
  );
}

/** Options of `norm` of a `Tensor`. */
export interface NormOptions extends ReduceOptions {
  /** The p of the norm, at least 1; Infinity for the largest magnitude. Default 2, Euclid's. */
  ord?: number;
}

/**
 * (Σ |x|ᵖ)^(1/p) over axes (all of them by default), p being `ord`, as PyTorch's vector_norm. Squares do not leave the range where
 * the result does not. Where it is 0, so is the gradient; largest magnitudes that tie share theirs.
 * @throws ArgumentError unless ord ≥ 1, ShapeError for the largest of nothing
 */
export function norm(x: Tensor, axes?: Axes, options: NormOptions = {}): Tensor {
  const over = axesOf('norm', x, axes);
  checkFloat('norm', x);
  checkOptions('norm', options, ['keepDims', 'ord']);
  const { ord = 2, ...rest } = options;
  if (typeof ord !== 'number' || !(ord >= 1)) {
    throw new ArgumentError(`[norm] expected ord to be a number of at least 1, got ${describe(ord)}`);
  }
  if (ord === 2) return scaledNorm('norm', x, over, rest, 1, { input: x, value: () => x });
  if (ord === 1) return inNameOf('norm', 'sum', () => sum(abs(x), over, rest));
  if (ord === Infinity) return inNameOf('norm', 'max', () => max(abs(x), over, rest));
  const total = inNameOf('norm', 'sum', () => sum(pow(abs(x), ord), over, rest));
  const isZero = equal(total, 0);
  return where(isZero, 0, pow(where(isZero, 1, total), 1 / ord));
}

/** Options of variances, and of their roots. */
export interface VarianceOptions extends ReduceOptions {
  /** What of the count is left out: 0 (default) for the values themselves, 1 for the unbiased estimate of a variance. */
  correction?: number;
}

/** x less its mean over axes, what the sum of squares is divided by, and what options say beside. */
function deviations(
  name: string,
  x: Tensor,
  axes: Axes | undefined,
  options: VarianceOptions,
): { centered: Tensor; of: Source; over: number[]; count: number; rest: ReduceOptions } {
  const over = axesOf(name, x, axes);
  checkFloat(name, x);
  checkOptions(name, options, ['keepDims', 'correction']);
  const { correction = 0, ...rest } = options;
  if (!(Number.isFinite(correction) && correction >= 0)) {
    throw new ArgumentError(
      `[${name}] expected correction to be a finite number of at least 0, got ${describe(correction)}`,
    );
  }
  const count = sizeOf(over.map((axis) => x.shape[axis])) - correction;
  // Deviations add up to 0, so that the mean passes no gradient on.
  const centered = noGrad(() => aboutMean(x, over));
  return { centered, of: { input: x, value: () => aboutMean(x, over) }, over, count, rest };
}

/** x less its mean over axes. The mean of float32 is rounded: the second takes the rest, and adds nothing to the gradient. */
export function aboutMean(x: Tensor, over: readonly number[]): Tensor {
  const first = sub(x, mean(x, over, { keepDims: true }));
  return sub(
    first,
    noGrad(() => mean(first, over, { keepDims: true })),
  );
}

/** The mean squared deviation from the mean over axes, divided by count − correction. */
export function variance(x: Tensor, axes?: Axes, options: VarianceOptions = {}): Tensor {
  const { centered, of, over, count, rest } = deviations('variance', x, axes, options);
  return count <= 0
    ? div(scaledSquares('variance', centered, over, rest, 1, of), 0)
    : scaledSquares('variance', centered, over, rest, 1 / count, of);
}

/** The standard deviation, which is the root of `variance`; where it is 0, so is the gradient. */
export function std(x: Tensor, axes?: Axes, options: VarianceOptions = {}): Tensor {
  const { centered, of, over, count, rest } = deviations('std', x, axes, options);
  return count <= 0
    ? div(scaledNorm('std', centered, over, rest, 1, of), 0)
    : scaledNorm('std', centered, over, rest, 1 / Math.sqrt(count), of);
}

/** Dropout (Srivastava et al., 2014), in its inverted form. */
import { describe } from '../arguments.ts';
import { contribute, releaseSaved, track, wantsGradient } from '../autograd.ts';
import { ArgumentError } from '../errors.ts';
import { binaryCode, type Float, kernels } from '../kernels/index.ts';
import { type FloatDtype, release, take } from '../memory.ts';
import { checkState, defaultState, type RandomState } from '../random.ts';
import { checkElements, checkFloat, checkTensor, empty, floats, Tensor } from '../tensor.ts';
import { tracing } from '../trace.ts';
import { mul } from './binary.ts';

/** @throws ArgumentError unless 0 ≤ rate < 1. */
export function checkRate(op: string, rate: number, name = 'rate'): void {
  if (typeof rate === 'number' && rate >= 0 && rate < 1) return;
  throw new ArgumentError(`[${op}] expected ${name} to be at least 0 and less than 1, got ${describe(rate)}`);
}

/**
 * Sets each element to 0 with probability `rate` and scales the others by 1 / (1 − rate), so that the expectation stays.
 * @throws ArgumentError unless 0 ≤ rate < 1.
 */
export function dropout<D extends FloatDtype>(
  x: Tensor<D>,
  rate: number,
  state: RandomState = defaultState,
): Tensor<D> {
  checkTensor('dropout', x);
  const dtype = checkFloat('dropout', x);
  checkRate('dropout', rate);
  checkState('dropout', state);
  // The random state moves on only where the rest will not fail.
  checkElements('dropout', x);
  const y = empty(x.shape, dtype);
  const mask = take(x.size, dtype);
  kernels.dropoutMask(mask, state, rate);
  kernels.binary(floats(y), floats(x), mask, null, binaryCode.mul);
  tracing?.note('dropout', [x], y, null);
  if (!wantsGradient([x])) {
    release(mask);
    return y;
  }
  const backward = (dy: Float) => {
    contribute(x, (dx) => kernels.binary(dx, dy, mask, null, binaryCode.mul));
    releaseSaved(mask);
  };
  return track(y, [x], backward, [], (dy) => [mul(dy, new Tensor(mask as never, x.shape, dtype))]);
}

import type { Float } from '../../../binding.d.ts';
import { NonFiniteError } from '../../errors.ts';
import { checkFloat } from './check.ts';

export function checkFinite(x: Float): void {
  checkFloat('checkFinite', 'x', x);
  for (let i = 0; i < x.length; i++) {
    // The difference is 0 for finite numbers and NaN for all else; cheaper than Number.isFinite.
    if (x[i] - x[i] !== 0) {
      throw new NonFiniteError(`[checkFinite] expected x to be finite, got ${x[i]} at ${i}`);
    }
  }
}

import type { Kernels } from '../../../binding.d.ts';
import { NonFiniteError } from '../../errors.ts';

export const checkFinite: Kernels['checkFinite'] = (x) => {
  for (let i = 0; i < x.length; i++) {
    // The difference is 0 for finite numbers and NaN for all else; cheaper than Number.isFinite.
    if (x[i] - x[i] !== 0) {
      throw new NonFiniteError(`[checkFinite] expected x to be finite, got ${x[i]} at ${i}`);
    }
  }
};

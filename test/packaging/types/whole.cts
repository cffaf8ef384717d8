/** The whole library at once, in both ways that `esModuleInterop` has for it; to be run. */

/** The whole library at once, in both ways that `esModuleInterop` has for it; to be run. */
import axpy, * as all from 'axpy';

if (axpy.tensor([1, 2]).sum().item() + all.tensor([1]).item() !== 4) throw new Error('the sum is wrong');

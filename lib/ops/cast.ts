/** Conversion and copying. */
import { contribute, track } from '../autograd.ts';
import { kernels } from '../kernels/index.ts';
import type { Dtype } from '../memory.ts';
import { checkDtype, checkTensor, elements, empty, type Tensor } from '../tensor.ts';
import { tracing } from '../trace.ts';

/**
 * A copy in another dtype. To int32 values are truncated towards zero and saturate, NaN becomes 0, and the history ends;
 * between floats the gradient passes.
 */
export function cast(x: Tensor, dtype: Dtype): Tensor {
  checkTensor('cast', x);
  checkDtype('cast', dtype);
  const y = empty(x.shape, dtype);
  kernels.cast(elements(y), elements(x));
  tracing?.note('cast', [x], y, null);
  if (dtype === 'int32') return y;
  return track(
    y,
    [x],
    (dy) => contribute(x, (dx) => kernels.cast(dx, dy)),
    [],
    (dy) => [cast(dy, x.dtype)],
  );
}

/** A copy with memory of its own; the gradient passes. */
export function clone(x: Tensor): Tensor {
  checkTensor('clone', x);
  return cast(x, x.dtype);
}

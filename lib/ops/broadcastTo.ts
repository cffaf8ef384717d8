/** Repetition along axes of size 1. */
import { contribute, track } from '../autograd.ts';
import { ShapeError } from '../errors.ts';
import { type Float, kernels } from '../kernels/index.ts';
import type { FloatDtype } from '../memory.ts';
import { broadcastShapes, packLayout, readShape, type Shape, sameShape, show, stridesOf } from '../shape.ts';
import { checkTensor, elements, empty, type Tensor } from '../tensor.ts';
import { tracing } from '../trace.ts';
import { sumToShape } from './derivative.ts';
import { sumTo } from './reduceInto.ts';

/** x repeated to a larger shape by the broadcasting rule; a copy. The gradient is summed over the repetitions. */
export function broadcastTo(x: Tensor, shape: Shape): Tensor {
  checkTensor('broadcastTo', x);
  const wide = readShape('broadcastTo', shape);
  if (!sameShape(broadcastShapes('broadcastTo', x.shape, wide), wide)) {
    throw new ShapeError(
      `[broadcastTo] expected a shape that ${show(x.shape)} broadcasts to, got ${show(wide)}`,
    );
  }
  const y = empty(wide, x.dtype);
  const own = stridesOf(x.shape);
  const lead = wide.length - x.rank;
  const strides = wide.map((_, i) => (i < lead || x.shape[i - lead] === 1 ? 0 : own[i - lead]));
  kernels.copy(elements(y), elements(x), packLayout(wide, [stridesOf(wide), strides], [0, 0]));
  tracing?.note('broadcastTo', [x], y, null);
  return track(
    y,
    [x],
    (dy: Float) => contribute(x, (dx) => sumTo(dx, dy, x.shape, y.shape, x.dtype as FloatDtype, 1)),
    [],
    (dy) => [sumToShape(dy, x.shape)],
  );
}

/** Axes in another order. */
import { contribute, track } from '../autograd.ts';
import { ArgumentError } from '../errors.ts';
import { kernels } from '../kernels/index.ts';
import { packLayout, readAxes, show, stridesOf } from '../shape.ts';
import { checkTensor, elements, empty, type Tensor } from '../tensor.ts';
import { tracing } from '../trace.ts';

/**
 * A copy with its axes reordered: axis i of the result is axis axes[i] of x. Default: all axes reversed.
 * @throws ArgumentError unless axes names each axis once.
 */
export function transpose(x: Tensor, axes?: readonly number[]): Tensor {
  checkTensor('transpose', x);
  const order =
    axes === undefined ? x.shape.map((_, i) => x.rank - 1 - i) : readAxes('transpose', axes, x.rank);
  if (order.length !== x.rank) {
    throw new ArgumentError(`[transpose] expected each of ${x.rank} axes once, got ${show(order)}`);
  }
  const shape = order.map((axis) => x.shape[axis]);
  const y = empty(shape, x.dtype);
  const strides = stridesOf(x.shape);
  const source = order.map((axis) => strides[axis]);
  const target = stridesOf(shape);
  kernels.copy(elements(y), elements(x), packLayout(shape, [target, source], [0, 0]));
  tracing?.note('transpose', [x], y, { order });
  return track(
    y,
    [x],
    (dy) => contribute(x, (dx) => kernels.copy(dx, dy, packLayout(shape, [source, target], [0, 0]))),
    [],
    (dy) => [
      transpose(
        dy,
        order.map((_, axis) => order.indexOf(axis)),
      ),
    ],
  );
}

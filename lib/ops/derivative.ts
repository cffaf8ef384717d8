/** What ops are made of whose derivative is computed by ops, and so has a derivative itself. */
import { contribute, contributeSame, isAsked, noGrad, type Share, track } from '../autograd.ts';
import { derivativeOf } from '../backward.ts';
import type { Float } from '../kernels/index.ts';
import { type Shape, sameShape, sizeOf } from '../shape.ts';
import { empty, floats, Tensor } from '../tensor.ts';

/**
 * `track` for what has no backward but one in ops: that of a gradient, of which nobody takes many derivatives.
 * @param derivative as of `track`; what it gives may be `dy` itself, or share memory with it
 */
export function trackInOps(
  output: Tensor,
  inputs: readonly (Tensor | null)[],
  saved: readonly (Tensor | null)[],
  derivative: (dy: Tensor) => readonly Share[],
): Tensor {
  const backward = (dy: Float) =>
    noGrad(() => {
      const gradient = new Tensor(dy as never, output.shape, output.dtype);
      derivative(gradient).forEach((share, i) => {
        const input = inputs[i];
        if (!isAsked(input) || share === null) return;
        const own = typeof share === 'function' ? share() : share;
        if (own !== null) contributeSame(input, floats(own));
      });
    });
  return track(output, inputs, backward, saved, derivative);
}

/**
 * dx that a kernel call computes of dy and x, with a history: that of `fn`, the op of x in other ops. Its value alone is the kernel's.
 * @param saved what `write` reads
 */
export function derivativeByKernel(
  dy: Tensor,
  x: Tensor,
  saved: readonly Tensor[],
  write: (dx: Float, dy: Float) => void,
  fn: (x: Tensor) => Tensor,
): Tensor {
  const dx = empty(x.shape, x.dtype);
  write(floats(dx), floats(dy));
  const first = ([by, of]: readonly (Tensor | null)[]) => derivativeOf([of], ([own]) => fn(own!))(by!)[0];
  return trackInOps(
    dx,
    [dy, x],
    [dy, ...saved],
    derivativeOf([dy, x], (own) => first(own) as Tensor),
  );
}

type Map = (out: Float, x: Float) => void;

/** y = A·x for a linear map that kernels compute, as they do Aᵀ; a gradient of it is the same the other way round. */
export function linearMap(x: Tensor, shape: Shape, map: Map, transposed: Map): Tensor {
  const y = empty(shape, x.dtype);
  map(floats(y), floats(x));
  return track(
    y,
    [x],
    (dy) => contribute(x, (dx) => transposed(dx, dy)),
    [],
    (dy) => [linearMap(dy, x.shape, transposed, map)],
  );
}

/** x summed over what broadcasting repeated of a tensor of this shape. */
export function sumToShape(x: Tensor, shape: Shape): Tensor {
  if (sameShape(x.shape, shape)) return x;
  if (x.size === sizeOf(shape)) return x.reshape(shape);
  const lead = x.rank - shape.length;
  const axes = [...x.shape.keys()].filter((axis) => axis < lead || shape[axis - lead] !== x.shape[axis]);
  return x.sum(axes).reshape(shape);
}

/** Softmax and its logarithm, along one axis. */
import { contribute, track } from '../autograd.ts';
import { ShapeError } from '../errors.ts';
import { type Flag, kernels } from '../kernels/index.ts';
import { normalizeAxis, sizeOf } from '../shape.ts';
import { checkFloat, checkTensor, empty, floats, type Tensor } from '../tensor.ts';
import { tracing } from '../trace.ts';

function softmaxAlong(name: string, x: Tensor, axis: number, log: Flag): Tensor {
  checkTensor(name, x);
  const dtype = checkFloat(name, x);
  if (x.rank === 0) throw new ShapeError(`[${name}] expected at least one axis, got a scalar`);
  const along = normalizeAxis(name, axis, x.rank);
  const y = empty(x.shape, dtype);
  const [outer, inner] = [x.shape.slice(0, along), x.shape.slice(along + 1)].map(sizeOf);
  kernels.softmax(floats(y), floats(x), outer, x.shape[along], inner, log);
  tracing?.note('softmax', [x], y, { axis: along, log: log === 1 });
  return trackSoftmax(y, x, along, log);
}

/** Gives y, which is softmax(x) or its logarithm, its history. */
export function trackSoftmax(y: Tensor, x: Tensor, axis: number, log: Flag): Tensor {
  const outer = sizeOf(x.shape.slice(0, axis));
  const inner = sizeOf(x.shape.slice(axis + 1));
  const size = x.shape[axis];
  const total = (t: Tensor) => t.sum(axis, { keepDims: true });
  return track(
    y,
    [x],
    (dy) => contribute(x, (dx) => kernels.softmaxGradient(dx, dy, floats(y), outer, size, inner, log)),
    [y],
    (dy) => [log ? dy.sub(y.exp().mul(total(dy))) : dy.sub(total(dy.mul(y))).mul(y)],
  );
}

/** e^xᵢ / Σ e^xⱼ along an axis (default: the last), shifted by the maximum so that it does not overflow. */
export function softmax(x: Tensor, axis = -1): Tensor {
  return softmaxAlong('softmax', x, axis, 0);
}

/** log softmax(x) along an axis (default: the last), computed without the intermediate probabilities. */
export function logSoftmax(x: Tensor, axis = -1): Tensor {
  return softmaxAlong('logSoftmax', x, axis, 1);
}

/** Elements in order along an axis. */
import { checkBoolean, checkOptions, describe } from '../arguments.ts';
import { ArgumentError } from '../errors.ts';
import { kernels } from '../kernels/index.ts';
import { normalizeAxis, sizeOf } from '../shape.ts';
import { checkTensor, elements, empty, type Tensor } from '../tensor.ts';
import { tracing } from '../trace.ts';
import { takeAlongAxis } from './along.ts';

/** Options of `sort` and `argsort` of a `Tensor`. */
export interface SortOptions {
  /** The largest first. Default false. */
  descending?: boolean;
}

/** Options of `topK` of a `Tensor`. */
export interface TopKOptions {
  /** The largest, which is the default, or the smallest with false. */
  largest?: boolean;
}

/** Elements and where they were along the axis. */
export interface Sorted {
  /** With the gradient of what was taken. */
  values: Tensor;
  indices: Tensor<'int32'>;
}

/** The places of the first `count` elements, of all by default. */
function places(name: string, x: Tensor, axis: number, descending: boolean, count?: number): Tensor<'int32'> {
  checkTensor(name, x);
  const along = normalizeAxis(name, axis, x.rank);
  const size = x.shape[along];
  const some = count === undefined ? size : count;
  if (!Number.isInteger(some) || some < 0 || some > size) {
    throw new ArgumentError(`[${name}] expected k to be an integer from 0 to ${size}, got ${describe(some)}`);
  }
  const y = empty(
    x.shape.map((own, i) => (i === along ? some : own)),
    'int32',
  );
  const [outer, inner] = [sizeOf(x.shape.slice(0, along)), sizeOf(x.shape.slice(along + 1))];
  kernels.argsort(elements<'int32'>(y), elements(x), outer, size, some, inner, descending ? 1 : 0);
  tracing?.note('argsort', [x], y, { axis: along, count: some, descending });
  return y;
}

function isDescending(name: string, options: SortOptions): boolean {
  checkOptions(name, options, ['descending']);
  const { descending = false } = options;
  checkBoolean(name, 'descending', descending);
  return descending;
}

/**
 * The places along an axis (default: the last) of its elements in ascending order; equals stay as they follow each other, and NaN
 * counts as largest, as in PyTorch. int32, without gradient.
 */
export function argsort(x: Tensor, axis = -1, options: SortOptions = {}): Tensor<'int32'> {
  return places('argsort', x, axis, isDescending('argsort', options));
}

/** The elements along an axis (default: the last) in that order, and their places. */
export function sort(x: Tensor, axis = -1, options: SortOptions = {}): Sorted {
  const indices = places('sort', x, axis, isDescending('sort', options));
  return { values: takeAlongAxis(x, indices, axis), indices };
}

/**
 * The k largest elements along an axis (default: the last) in descending order, or the k smallest in ascending order, and their
 * places; of equals the first ones, and NaN counts as largest, as in PyTorch.
 * @throws ArgumentError unless k is an integer from 0 to the size of the axis
 */
export function topK(x: Tensor, k: number, axis = -1, options: TopKOptions = {}): Sorted {
  checkOptions('topK', options, ['largest']);
  const { largest = true } = options;
  checkBoolean('topK', 'largest', largest);
  checkTensor('topK', x);
  if (k === undefined) throw new ArgumentError('[topK] expected k to be an integer, got undefined');
  const indices = places('topK', x, axis, largest, k);
  return { values: takeAlongAxis(x, indices, axis), indices };
}

/** Sums, means and extremes over axes. */

import { reshape } from '../../ops/reshape.ts';
import type { Tensor } from '../../tensor.ts';
import { type Element, type Known, reduceKnown, reshapeKnown } from '../known.ts';
import type { OnnxNode, Operator } from '../node.ts';
import { Held, isKnown, toHeld, type Value } from '../value.ts';

type OnTensor = (x: Tensor, axes: number[], options: { keepDims: boolean }) => Tensor;
type OnNumbers = (values: number[]) => number;

const add = (a: number, b: number) => a + b;

/** From which opset on the axes are an input. */
const inputFrom = (op: string) => (op === 'ReduceSum' ? 13 : 18);

/** The axes that are named; all where none are, or none at all where the file says so. */
function axesOf(node: OnnxNode, input: Value | undefined, rank: number): number[] {
  const isInput = node.opset >= inputFrom(node.op);
  const given = isInput ? (input === undefined ? [] : node.ints1d(input, 'axes')) : node.ints('axes', []);
  if (given.length > 0) return node.axes(given, rank);
  return isInput && node.flag('noop_with_empty_axes', false) ? [] : Array.from({ length: rank }, (_, i) => i);
}

const without = (shape: readonly number[], axes: readonly number[]) =>
  shape.filter((_, axis) => !axes.includes(axis));

/** Over axes of ONNX, in the layout in which x is, if what is left has one. */
function overAxes(x: Held, axes: readonly number[], keepDims: boolean, f: OnTensor): Held {
  const isWhole = keepDims || axes.length === 0;
  // Batch and channels stay as they are, or channels and all behind are gone: else axes would change their meaning.
  const keepsLayout = x.isLast && (isWhole || (!axes.includes(0) && !axes.includes(1)));
  if (x.isLast && !keepsLayout && !axes.includes(1)) return Held.first(f(x.first, [...axes], { keepDims }));
  const y = f(
    x.own,
    axes.map((axis) => x.axis(axis)),
    { keepDims },
  );
  // Without channels, what is left of the layout is in the order of ONNX.
  return keepsLayout ? Held.last(y) : Held.first(y);
}

/** Of integers by way of float64. */
const product: OnTensor = (x, axes, options) =>
  x.dtype === 'int32' ? x.cast('float64').prod(axes, options).cast('int32') : x.prod(axes, options);

const reduction =
  (f: OnTensor, g: OnNumbers, elementOf: (dtype: Element) => Element = (dtype) => dtype): Operator =>
  (node) => {
    node.checkInputs(1, node.opset >= inputFrom(node.op) ? 2 : 1);
    const keepDims = node.flag('keepdims', true);
    return ([x, input]) => {
      const axes = axesOf(node, input, x!.shape.length);
      if (isKnown(x)) return ofKnown(x, axes, keepDims, elementOf(x.dtype), g);
      const own = toHeld(x!);
      return overAxes(own, axes, keepDims, f);
    };
  };

function ofKnown(x: Known, axes: number[], keepDims: boolean, dtype: Element, f: OnNumbers): Known {
  const y = reduceKnown(x, axes, dtype, f);
  return keepDims ? y : reshapeKnown(y, without(y.shape, axes));
}

const sumOf = (values: number[]) => values.reduce(add, 0);

/** The place of the largest or the smallest. */
const position =
  (f: (x: Tensor, axis: number) => Tensor, isBetter: (a: number, b: number) => boolean): Operator =>
  (node) => {
    node.checkInputs(1);
    const given = node.int('axis', 0);
    const keepDims = node.flag('keepdims', true);
    const isLast = node.flag('select_last_index', false);
    return ([x]) => {
      const axis = node.axis(given, x!.shape.length);
      if (isKnown(x)) {
        return ofKnown(x, [axis], keepDims, 'int', (values) =>
          values.reduce(
            (best, value, i) =>
              isBetter(value, values[best]) || (isLast && value === values[best]) ? i : best,
            0,
          ),
        );
      }
      const own = toHeld(x!);
      return overAxes(own, [axis], keepDims, (tensor, [along]) => {
        const size = tensor.shape[along];
        const place = isLast
          ? f(tensor.slice([...new Array<null>(along).fill(null), [-1, undefined, -1]]), along)
              .neg()
              .add(size - 1)
          : f(tensor, along);
        const kept = tensor.shape.map((each, i) => (i === along ? 1 : each));
        return keepDims ? reshape(place, kept) : place;
      });
    };
  };

export const reductions: Readonly<Record<string, Operator>> = {
  ReduceSum: reduction((x, axes, options) => x.sum(axes, options), sumOf),
  ReduceMean: reduction(
    (x, axes, options) => x.mean(axes, options),
    (values) => sumOf(values) / values.length,
  ),
  ReduceMax: reduction(
    (x, axes, options) => x.max(axes, options),
    (values) => Math.max(...values),
  ),
  ReduceMin: reduction(
    (x, axes, options) => x.min(axes, options),
    (values) => Math.min(...values),
  ),
  ReduceProd: reduction(product, (values) => values.reduce((a, b) => a * b, 1)),
  ReduceL1: reduction(
    (x, axes, options) => x.abs().sum(axes, options),
    (values) => sumOf(values.map(Math.abs)),
  ),
  ReduceL2: reduction(
    (x, axes, options) => x.norm(axes, options),
    (values) => Math.hypot(...values),
  ),
  ReduceSumSquare: reduction(
    (x, axes, options) => x.square().sum(axes, options),
    (values) => sumOf(values.map((x) => x * x)),
  ),
  ReduceLogSum: reduction(
    (x, axes, options) => x.sum(axes, options).log(),
    (values) => Math.log(sumOf(values)),
  ),
  ReduceLogSumExp: reduction(
    (x, axes, options) => x.logSumExp(axes, options),
    (values) => Math.log(sumOf(values.map(Math.exp))),
  ),
  ArgMax: position(
    (x, axis) => x.argmax(axis),
    (a, b) => a > b,
  ),
  ArgMin: position(
    (x, axis) => x.argmin(axis),
    (a, b) => a < b,
  ),
};

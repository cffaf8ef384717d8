/** What moves elements, and what reduces along axes. */
import { asIs, type Value } from '../graph.ts';
import type { Order } from '../messages.ts';
import { productOf, type Size, sameSize } from '../sizes.ts';
import type { Rules } from './rule.ts';

/** Beyond the last element, and before the first, of every axis. */
const [behind, before] = [2 ** 31 - 1, -(2 ** 31)];

/** What is left of an order of axes without some of them. */
function without(order: Order, axes: readonly number[]): Order {
  const kept = asIs(order.length).filter((axis) => !axes.includes(axis));
  return order.filter((axis) => !axes.includes(axis)).map((axis) => kept.indexOf(axis));
}

const reductions = {
  sum: 'ReduceSum',
  mean: 'ReduceMean',
  sumOfSquares: 'ReduceSumSquare',
  meanOfSquares: 'ReduceMean',
  product: 'ReduceProd',
  norm: 'ReduceL2',
  max: 'ReduceMax',
  min: 'ReduceMin',
  logSumExp: 'ReduceLogSumExp',
};

/** A place as Slice has it, where it may be counted from the end; null where it can be neither. */
function place(at: Size, size: Size, otherwise: number): number | null {
  if (sameSize(at, size)) return otherwise;
  if (typeof at === 'number') return at < 0 ? before : at;
  if (typeof size === 'number' || at.times !== size.times) return null;
  // One before the first, which a step backwards ends at, is not counted from the end.
  return at.plus < size.plus ? at.plus - size.plus : null;
}

const plus = (size: Size, more: Size, factor: number): Size => {
  const [a, b] = [size, more].map((each) => (typeof each === 'number' ? { times: 0, plus: each } : each));
  const sum = { times: a.times + factor * b.times, plus: a.plus + factor * b.plus };
  return sum.times === 0 ? sum.plus : sum;
};

export const structure: Rules<
  | 'argmax'
  | 'argsort'
  | 'broadcastTo'
  | 'cast'
  | 'concat'
  | 'cumprod'
  | 'cumsum'
  | 'dropout'
  | 'full'
  | 'gather'
  | 'oneHot'
  | 'pad'
  | 'reduce'
  | 'scatterAdd'
  | 'slice'
  | 'softmax'
  | 'takeAlongAxis'
  | 'transpose'
> = {
  transpose: (_graph, [x], { order }) => x.transposed(order),

  full: (graph, _inputs, { value }, { shape, type }) => graph.filled(shape, value, type),

  cast(graph, [x], _, { shape, type }) {
    if (x.type === type) return x;
    const order = graph.order([x], x.rank);
    return graph.value(graph.cast(graph.name(x, order), type), shape, type, order);
  },

  dropout(graph) {
    throw graph.refuse('dropout, which drops in evaluation as well where nobody asks for this.training,');
  },

  broadcastTo(graph, [x], _, { shape, type }) {
    // Expand takes a size of 0 for 1.
    if (shape.includes(0)) return graph.filled(shape, 0, type);
    const order = graph.order([x], shape.length);
    const lead = shape.length - x.rank;
    // What has its size already may be given as 1.
    const to = shape.map((size, axis) => (axis >= lead && sameSize(x.shape[axis - lead], size) ? 1 : size));
    const name = graph.node('Expand', [graph.operand(x, order), graph.sizes(order.map((axis) => to[axis]))]);
    return graph.value(name, shape, type, order);
  },

  concat(graph, inputs, { axis }, { shape, type }) {
    const order = graph.order(inputs, shape.length);
    const names = inputs.map((x) => graph.name(x, order));
    return graph.value(graph.node('Concat', names, { axis: order.indexOf(axis) }), shape, type, order);
  },

  pad(graph, [x], { ends, value }, { shape, type }) {
    if (ends.every(([first, last]) => first + last === 0)) return x;
    const order = graph.order([x], x.rank);
    const own = order.map((axis) => ends[axis]);
    const pads = [...own.map(([first]) => first), ...own.map(([, last]) => last)];
    const names = [graph.name(x, order), graph.integers(pads), graph.number(value, type)];
    return graph.value(graph.node('Pad', names, { mode: 'constant' }), shape, type, order);
  },

  slice(graph, [x], { ranges }, { shape, type }) {
    const order = graph.order([x], x.rank);
    const taken = ranges.flatMap(({ start, count, step }, axis) => {
      const size = x.shape[axis];
      if (step === 1 && sameSize(count, size)) return [];
      const from = place(start, size, behind);
      const to = place(plus(start, count, step), size, behind);
      if (from === null || to === null)
        throw graph.refuse(`a part that depends on the batch, of ${graph.describe(x)},`);
      return [{ from, to, step, axis: order.indexOf(axis) }];
    });
    if (taken.length === 0) return x;
    const lists = [
      taken.map(({ from }) => from),
      taken.map(({ to }) => to),
      taken.map(({ axis }) => axis),
      taken.map(({ step }) => step),
    ];
    const names = [graph.name(x, order), ...lists.map((list) => graph.integers(list))];
    return graph.value(graph.node('Slice', names), shape, type, order);
  },

  gather: (graph, [x, indices], _, { shape, type }) =>
    graph.value(graph.node('Gather', [graph.name(x), graph.name(indices)], { axis: 0 }), shape, type),

  takeAlongAxis(graph, [x, indices], { axis }, { shape, type }) {
    const names = [graph.name(x), graph.name(indices)];
    return graph.value(graph.node('GatherElements', names, { axis }), shape, type);
  },

  scatterAdd(graph, [x, indices, updates], { axis }, { shape, type }) {
    const names = [graph.name(x), graph.name(indices), graph.name(updates)];
    return graph.value(graph.node('ScatterElements', names, { axis, reduction: 'add' }), shape, type);
  },

  argsort(graph, [x], { axis, count, descending }, { shape, type }) {
    // Of nothing onnxruntime's TopK divides by 0, and ends the process.
    if (x.shape.includes(0)) return graph.filled(shape, 0, type);
    const attributes = { axis, largest: descending ? 1 : 0, sorted: 1 };
    const [, name] = graph.several('TopK', [graph.name(x), graph.integers([count])], attributes, 2);
    return graph.value(graph.cast(name, type), shape, type);
  },

  cumprod(graph) {
    throw graph.refuse('products of all up to an element (cumprod)');
  },

  cumsum: (graph, [x], { axis }, { shape, type }) =>
    graph.value(graph.node('CumSum', [graph.name(x), graph.number(axis, 'int32')]), shape, type),

  oneHot(graph, [labels], { classes }, { shape, type }) {
    const depth = graph.number(classes, 'int32');
    const values = graph.name(graph.constant(Float32Array.of(0, 1), [2], 'float32'));
    const name = graph.node('OneHot', [graph.name(labels), depth, values], { axis: -1 });
    return graph.value(type === 'float32' ? name : graph.cast(name, type), shape, type);
  },

  softmax(graph, [x], { axis, log }, { shape, type }) {
    const order = graph.order([x], x.rank);
    const attributes = { axis: order.indexOf(axis) };
    const name = graph.node(log ? 'LogSoftmax' : 'Softmax', [graph.name(x, order)], attributes);
    return graph.value(name, shape, type, order);
  },

  argmax(graph, [x], { axis, least }, { shape, type }) {
    const opType = least ? 'ArgMin' : 'ArgMax';
    const of = (value: Value, along: number, order: Order) => {
      const attributes = { axis: order.indexOf(along), keepdims: 0 };
      const name = graph.cast(graph.node(opType, [graph.name(value, order)], attributes), type);
      return graph.value(name, shape, type, without(order, [along]));
    };
    if (axis !== null) return of(x, axis, graph.order([x], x.rank));
    const size = productOf(x.shape);
    if (size === null) throw graph.refuse(`a position in ${graph.describe(x)}`);
    return of(graph.reshaped(x, [size]), 0, [0]);
  },

  reduce(graph, [x], { op, axes, keepDims, scale }, { shape, type }) {
    const order = graph.order([x], x.rank);
    const own = axes.map((axis) => order.indexOf(axis)).sort((a, b) => a - b);
    // Over no axes, which ONNX takes for all, there are squares at most.
    const isNone = axes.length === 0;
    const isSquared = op === 'meanOfSquares' || (isNone && op === 'sumOfSquares');
    if (isNone && op !== 'norm' && !isSquared) return x;
    let name = graph.name(x, order);
    if (isSquared) name = graph.node('Mul', [name, name]);
    if (isNone && op === 'norm') name = graph.node('Abs', [name]);
    const keepdims = keepDims ? 1 : 0;
    if (!isNone) {
      name =
        op === 'sum'
          ? graph.node(reductions[op], [name, graph.integers(own)], { keepdims })
          : graph.node(reductions[op], [name], { axes: own, keepdims });
    }
    if (scale !== 1) name = graph.node('Mul', [name, graph.number(scale, type)]);
    return graph.value(name, shape, type, keepDims ? order : without(order, axes));
  },
};

/** What moves elements and sizes about: shapes, parts, joins, indices, and values that come of nothing else. */
import { arange } from '../../create.ts';
import type { Dtype } from '../../memory.ts';
import { where } from '../../ops/binary.ts';
import { broadcastTo } from '../../ops/broadcastTo.ts';
import { concat } from '../../ops/concat.ts';
import { gather, oneHot } from '../../ops/gather.ts';
import { pad } from '../../ops/pad.ts';
import { reshape } from '../../ops/reshape.ts';
import { type Range, slice } from '../../ops/slice.ts';
import { broadcastShapes, checkSize, type Shape, sameShape, show, sizeOf, stridesOf } from '../../shape.ts';
import { type Tensor, tensor } from '../../tensor.ts';
import { elementOf } from '../elements.ts';
import {
  broadcastKnown,
  concatKnown,
  type Element,
  isFloat,
  type Known,
  known,
  knownInts,
  mostKnown,
  permuteKnown,
  reshapeKnown,
  rounded,
  sliceKnown,
} from '../known.ts';
import type { OnnxNode, Operator } from '../node.ts';
import {
  filled,
  Held,
  isHeld,
  isKnown,
  notWhileFolding,
  permute,
  resolveSizes,
  toHeld,
  type Value,
} from '../value.ts';
import { truth } from './elementwise.ts';

const countTo = (count: number): number[] => Array.from({ length: count }, (_, i) => i);
const reshaped = (x: Value, shape: Shape): Value =>
  isKnown(x) ? reshapeKnown(x, shape) : Held.first(reshape(x.first, shape));

// ── shapes ──────────────────────────────────────────────────────────────────────────────────────────────────────────

const reshapeOperator: Operator = (node) => {
  node.checkInputs(2);
  const keepsZero = node.flag('allowzero', false);
  return ([x, shape]) => {
    const own = x!.shape;
    const given = node.ints1d(shape, 'the shape').map((size, axis) => {
      if (size !== 0 || keepsZero) return size;
      if (axis < own.length) return own[axis];
      throw node.error(`a shape whose zeros stand for axes of ${show(own)}`, `one at ${axis}`);
    });
    const sizes = resolveSizes(given, sizeOf(own), own);
    if (sizes.some((size) => size < 0) || sizeOf(sizes) !== sizeOf(own)) {
      throw node.error(`a shape of ${sizeOf(own)} elements for ${show(own)}`, show(given));
    }
    return reshaped(x!, sizes);
  };
};

const flatten: Operator = (node) => {
  node.checkInputs(1);
  const given = node.int('axis', 1);
  return ([x]) => {
    const { shape } = x!;
    const axis = given === shape.length ? given : node.axis(given, shape.length);
    return reshaped(x!, [sizeOf(shape.slice(0, axis)), sizeOf(shape.slice(axis))]);
  };
};

/** The axes, an attribute before opset 13 and an input from then on; undefined where none are named. */
function namedAxes(node: OnnxNode, input: Value | undefined): readonly number[] | undefined {
  if (node.opset < 13) return node.has('axes') ? node.ints('axes') : undefined;
  return input === undefined ? undefined : node.ints1d(input, 'axes');
}

const squeeze: Operator = (node) => {
  node.checkInputs(1, node.opset < 13 ? 1 : 2);
  return ([x, input]) => {
    const { shape } = x!;
    const given = namedAxes(node, input);
    const axes = given === undefined ? null : node.axes(given, shape.length);
    const isGone = (size: number, axis: number) => (axes === null ? size === 1 : axes.includes(axis));
    const wrong = shape.findIndex((size, axis) => isGone(size, axis) && size !== 1);
    if (wrong >= 0) throw node.error(`size 1 in axis ${wrong}`, show(shape));
    return reshaped(
      x!,
      shape.filter((size, axis) => !isGone(size, axis)),
    );
  };
};

const unsqueeze: Operator = (node) => {
  node.checkInputs(node.opset < 13 ? 1 : 2);
  return ([x, input]) => {
    const given = namedAxes(node, input) ?? [];
    const { shape } = x!;
    const axes = node.axes(given, shape.length + given.length);
    const rest = [...shape];
    return reshaped(
      x!,
      countTo(shape.length + axes.length).map((axis) => (axes.includes(axis) ? 1 : rest.shift()!)),
    );
  };
};

const isCountTo = (axes: readonly number[]) => axes.every((axis, i) => axis === i);

const transposeOperator: Operator = (node) => {
  node.checkInputs(1);
  const given = node.has('perm') ? node.ints('perm') : undefined;
  return ([x]) => {
    const rank = x!.shape.length;
    const order = given ?? countTo(rank).reverse();
    if (
      order.length !== rank ||
      new Set(order).size !== rank ||
      !order.every((axis) => axis >= 0 && axis < rank)
    ) {
      throw node.error(`attribute perm to have each of ${rank} axes once`, show(order));
    }
    if (isKnown(x)) return permuteKnown(x, order);
    const held = x as Held;
    // What lies in the new order already is taken as it is.
    const own = order.map((axis) => held.axis(axis));
    if (isCountTo(own)) return Held.first(held.own);
    if (rank >= 3 && isCountTo([own[0], ...own.slice(2), own[1]])) return Held.last(held.own);
    const isTurn = rank >= 2 && isCountTo([...order.slice(0, -2), order[rank - 1], order[rank - 2]]);
    if (isTurn) return held.isTurned && rank === 2 ? Held.first(held.turned) : Held.turned(held.first);
    return Held.first(permute(held.own, own));
  };
};

const shapeOperator: Operator = (node) => {
  node.checkInputs(1);
  const [start, end] = [node.int('start', 0), node.has('end') ? node.int('end') : undefined];
  return ([x]) => knownInts(x!.shape.slice(start, end));
};

const expand: Operator = (node) => {
  node.checkInputs(2);
  return ([x, shape]) => {
    const given = node.ints1d(shape, 'the shape');
    if (given.some((size) => size < 0)) throw node.error('sizes of at least 0', show(given));
    const sizes = broadcastShapes('expand', x!.shape, given);
    return spread(x!, sizes);
  };
};

/** A value repeated to a larger shape. */
function spread(x: Value, sizes: Shape): Value {
  if (sameShape(x.shape, sizes)) return x;
  checkSize('expand', sizes);
  if (isKnown(x) && sizeOf(sizes) <= mostKnown) return broadcastKnown(x, sizes);
  return Held.first(broadcastTo(toHeld(x).first, sizes));
}

const tile: Operator = (node) => {
  node.checkInputs(2);
  return ([x, given]) => {
    const { shape } = x!;
    const repeats = node.ints1d(given, 'repeats');
    if (repeats.length !== shape.length || repeats.some((count) => count < 0)) {
      throw node.error(`${shape.length} repeats of at least 0`, show(repeats));
    }
    // Each axis with one before it, along which it is repeated.
    const wide = shape.flatMap((size, i) => (repeats[i] === 1 ? [size] : [1, size]));
    const target = shape.flatMap((size, i) => (repeats[i] === 1 ? [size] : [repeats[i], size]));
    return reshaped(
      spread(reshaped(x!, wide), target),
      shape.map((size, i) => size * repeats[i]),
    );
  };
};

// ── parts and joins ─────────────────────────────────────────────────────────────────────────────────────────────────

/** From `start` on, `count` elements along an axis of ONNX, `step` apart. */
function part(x: Value, axis: number, start: number, count: number, step = 1): Value {
  if (step === 1 && start === 0 && count === x.shape[axis]) return x;
  if (isKnown(x)) return sliceKnown(x, axis, start, count, step);
  const along = x.axis(axis);
  const end = start + count * step;
  // A walk backwards to the first element has no end that could be written.
  const range: Range = count === 0 ? [0, 0] : [start, end < 0 ? undefined : end, step];
  return Held.of(slice(x.own, [...new Array<null>(along).fill(null), range]), x.isLast);
}

const sliceOperator: Operator = (node) => {
  const isOld = node.opset < 10;
  node.checkInputs(isOld ? 1 : 3, isOld ? 1 : 5);
  return ([x, starts0, ends0, axes0, steps0]) => {
    const rank = x!.shape.length;
    const read = (name: string, input: Value | undefined) =>
      isOld ? node.ints(name) : node.ints1d(input, name);
    const [starts, ends] = [read('starts', starts0), read('ends', ends0)];
    const hasAxes = isOld ? node.has('axes') : axes0 !== undefined;
    const axes = node.axes(hasAxes ? read('axes', axes0) : countTo(Math.min(starts.length, rank)), rank);
    const steps = steps0 === undefined ? starts.map(() => 1) : node.ints1d(steps0, 'steps');
    for (const list of [ends, axes, steps]) {
      if (list.length !== starts.length)
        throw node.error('as many starts, ends, axes and steps', `${list.length} and ${starts.length}`);
    }
    return axes.reduce((own: Value, axis, i) => {
      const size = own.shape[axis];
      const step = steps[i];
      if (step === 0) throw node.error('steps other than 0', '0');
      const [low, high] = step > 0 ? [0, size] : [-1, size - 1];
      const clamp = (at: number) => Math.min(Math.max(at < 0 ? at + size : at, low), high);
      const start = clamp(starts[i]);
      // What is far below 0 walks to the first element, and must not be counted from the end.
      const end = clamp(ends[i]);
      return part(own, axis, start, Math.max(Math.ceil((end - start) / step), 0), step);
    }, x!);
  };
};

const split: Operator = (node) => {
  node.checkInputs(1, node.opset < 13 ? 1 : 2);
  const given = node.int('axis', 0);
  const parts = node.outputs.length;
  if (node.opset >= 18 && node.has('num_outputs') && node.int('num_outputs') !== parts) {
    throw node.error(`attribute num_outputs to be ${parts}`, String(node.int('num_outputs')));
  }
  return ([x, input]) => {
    const axis = node.axis(given, x!.shape.length);
    const size = x!.shape[axis];
    const even = Math.ceil(size / parts);
    const named =
      node.opset < 13 ? node.has('split') && node.ints('split') : input && node.ints1d(input, 'split');
    const sizes = named || countTo(parts).map((i) => Math.max(Math.min(even, size - i * even), 0));
    if (
      sizes.length !== parts ||
      sizes.some((each) => each < 0) ||
      sizes.reduce((a, b) => a + b, 0) !== size
    ) {
      throw node.error(`${parts} parts of ${size} in all`, show(sizes));
    }
    let start = 0;
    return sizes.map((count) => {
      const own = part(x!, axis, start, count);
      start += count;
      return own;
    });
  };
};

const concatOperator: Operator = (node) => {
  node.checkInputs(1, Infinity);
  const given = node.int('axis');
  return (inputs) => {
    const values = inputs as Value[];
    const axis = node.axis(given, values[0].shape.length);
    const total = values.reduce((sum, x) => sum + sizeOf(x.shape), 0);
    if (values.every(isKnown) && total <= mostKnown) return concatKnown(values, axis);
    const like = values.find(isHeld);
    const held = values.map((x) => toHeld(x, like?.dtype));
    // Once one of them has channels last, the others follow: what comes of images meets images.
    const isLast = held.some((x) => x.isLast);
    const along = isLast ? Held.last(held[0].last).axis(axis) : axis;
    return Held.of(
      concat(
        held.map((x) => (isLast ? x.last : x.first)),
        along,
      ),
      isLast,
    );
  };
};

const modes = ['constant', 'reflect', 'edge', 'wrap'] as const;

const padOperator: Operator = (node) => {
  const isOld = node.opset < 11;
  node.checkInputs(isOld ? 1 : 2, isOld ? 1 : node.opset < 18 ? 3 : 4);
  const mode = node.choice('mode', modes, 'constant');
  return ([x, pads0, value0, axes0]) => {
    const held = toHeld(x!);
    const { rank } = held;
    const pads = isOld ? node.ints('pads') : node.ints1d(pads0, 'pads');
    const axes = axes0 === undefined ? countTo(rank) : node.axes(node.ints1d(axes0, 'axes'), rank);
    if (pads.length !== 2 * axes.length) throw node.error(`${2 * axes.length} pads`, show(pads));
    const value = isOld
      ? node.float('value', 0)
      : value0 === undefined
        ? 0
        : node.scalar(value0, 'the value');
    const ends = axes.map((axis, i) => ({ axis, before: pads[i], after: pads[axes.length + i] }));
    // Less than nothing cuts off.
    const cut = ends.reduce((own: Value, { axis, before, after }) => {
      const [from, to] = [Math.max(-before, 0), Math.max(-after, 0)];
      return from + to === 0 ? own : part(own, axis, from, Math.max(own.shape[axis] - from - to, 0));
    }, held) as Held;
    const grown = ends.map((end) => ({
      ...end,
      before: Math.max(end.before, 0),
      after: Math.max(end.after, 0),
    }));
    if (mode === 'constant') {
      const pairs = countTo(rank).map((): [number, number] => [0, 0]);
      for (const { axis, before, after } of grown) pairs[cut.axis(axis)] = [before, after];
      return pairs.every(([before, after]) => before + after === 0)
        ? cut
        : Held.of(pad(cut.own, pairs, value), cut.isLast);
    }
    return grown.reduce((own: Value, { axis, before, after }) => {
      const size = own.shape[axis];
      const least = mode === 'reflect' ? size - 1 : mode === 'wrap' ? size : size > 0 ? Infinity : 0;
      if (before > least || after > least) {
        throw node.error(`pads of at most ${least} for mode ${mode}`, `${before} and ${after}`);
      }
      const edge = (at: number, count: number) => {
        const one = part(own, axis, at, 1);
        return spread(
          one,
          one.shape.map((each, i) => (i === axis ? count : each)),
        );
      };
      const [left, right] = {
        reflect: () => [part(own, axis, before, before, -1), part(own, axis, size - 2, after, -1)],
        wrap: () => [part(own, axis, size - before, before), part(own, axis, 0, after)],
        edge: () => [edge(0, before), edge(size - 1, after)],
      }[mode]();
      const parts = [before > 0 ? left : null, own, after > 0 ? right : null].filter(
        (each) => each !== null,
      ) as Held[];
      const { isLast } = own as Held;
      return Held.of(
        concat(
          parts.map((each) => (isLast ? each.last : each.first)),
          (own as Held).axis(axis),
        ),
        isLast,
      );
    }, cut);
  };
};

// ── indices ─────────────────────────────────────────────────────────────────────────────────────────────────────────

/** Indices counted from the front. */
const fromFront = (indices: Tensor, size: number): Tensor =>
  where(indices.less(0), indices.add(size), indices);

const gatherOperator: Operator = (node) => {
  node.checkInputs(2);
  const given = node.int('axis', 0);
  return ([x, indices]) => {
    const axis = node.axis(given, x!.shape.length);
    const size = x!.shape[axis];
    if (isKnown(indices)) {
      const places = indices.values.map((at) => (at < 0 ? at + size : at));
      const wrong = places.findIndex((at) => !(at >= 0 && at < size));
      if (wrong >= 0) throw node.error(`indices from ${-size} to ${size - 1}`, `${indices.values[wrong]}`);
      const target = [...x!.shape.slice(0, axis), ...indices.shape, ...x!.shape.slice(axis + 1)];
      const isEven = places.every((at, i) => i === 0 || at === places[i - 1] + 1);
      if (isEven && places.length > 0) return reshaped(part(x!, axis, places[0], places.length), target);
      if (isKnown(x) && sizeOf(target) <= mostKnown) {
        const parts = places.map((at) => part(x, axis, at, 1) as Known);
        return parts.length === 0
          ? known(x.dtype, target, [])
          : reshapeKnown(concatKnown(parts, axis), target);
      }
      return gatherAlong(toHeld(x!), axis, tensor(Int32Array.from(places), { shape: indices.shape }));
    }
    const own = toHeld(indices!).first;
    return gatherAlong(toHeld(x!), axis, fromFront(own, size));
  };
};

/** Rows of the axis, which goes to the front and back. */
function gatherAlong(x: Held, axis: number, indices: Tensor): Held {
  const { first } = x;
  if (axis === 0) return Held.first(gather(first, indices));
  const others = countTo(first.rank).filter((i) => i !== axis);
  const rows = gather(permute(first, [axis, ...others]), indices);
  const k = indices.rank;
  const lead = countTo(axis).map((i) => i + k);
  const tail = countTo(first.rank - 1 - axis).map((i) => i + k + axis);
  return Held.first(permute(rows, [...lead, ...countTo(k), ...tail]));
}

/** The places of what is not 0, which has to be known: how many there are is a shape. */
const nonZero: Operator = (node) => {
  node.checkInputs(1);
  return ([x]) => {
    const { shape, values } = node.known(x, 'the input');
    const places = values.flatMap((value, at) => (value === 0 ? [] : [at]));
    const coordinates = stridesOf(shape).flatMap((stride, axis) =>
      places.map((at) => Math.floor(at / stride) % shape[axis]),
    );
    return known('int', [shape.length, places.length], coordinates);
  };
};

/** For each index the element at that place of the axis, the other places being its own. */
const gatherElements: Operator = (node) => {
  node.checkInputs(2);
  const given = node.int('axis', 0);
  return ([x0, indices0]) => {
    const { first: x } = toHeld(x0!);
    const { first: indices } = toHeld(indices0!, 'int32');
    const axis = node.axis(given, x.rank);
    const fits =
      indices.rank === x.rank && indices.shape.every((size, i) => i === axis || size <= x.shape[i]);
    if (!fits)
      throw node.error(`indices of ${x.rank} axes, no longer than ${show(x.shape)}`, show(indices.shape));
    const some = x.slice(indices.shape.map((size, i) => (i === axis ? null : [0, size])));
    return Held.first(some.takeAlongAxis(fromFront(indices, x.shape[axis]), axis));
  };
};

/** Updates added at places of an axis. */
const scatterElements: Operator = (node) => {
  node.checkInputs(3);
  const given = node.int('axis', 0);
  const reduction = node.has('reduction') ? node.text('reduction') : 'none';
  if (reduction !== 'add') throw node.refusal("the reduction 'add'", `'${reduction}'`);
  return ([x0, indices0, updates]) => {
    const { first: x, dtype } = toHeld(x0!);
    const axis = node.axis(given, x.rank);
    const indices = fromFront(toHeld(indices0!, 'int32').first, x.shape[axis]);
    return Held.first(x.scatterAdd(indices, toHeld(updates!, dtype).first, axis));
  };
};

/** The k largest or smallest along an axis, and where they are. */
const topK: Operator = (node) => {
  node.checkInputs(1, 2);
  const given = node.int('axis', -1);
  const largest = node.flag('largest', true);
  const attribute = node.opset < 10 ? node.int('k') : null;
  return ([x, input]) => {
    const { first } = toHeld(x!);
    const axis = node.axis(given, first.rank);
    const k = attribute ?? node.ints1d(input, 'k')[0];
    const { values, indices } = first.topK(k, axis, { largest });
    return [Held.first(values), Held.first(indices)];
  };
};

/** Sums of all up to an element. */
const cumSum: Operator = (node) => {
  node.checkInputs(2);
  const [isExclusive, isReverse] = [node.flag('exclusive', false), node.flag('reverse', false)];
  return ([x0, axis0]) => {
    const { first: x } = toHeld(x0!);
    const axis = node.axis(node.scalar(axis0, 'the axis'), x.rank);
    const own = x.dtype === 'int32' ? x.cast('float64') : x;
    const sums = (isReverse ? own.flip(axis) : own).cumsum(axis);
    const before = isExclusive ? shifted(sums, axis) : sums;
    return Held.first((isReverse ? before.flip(axis) : before).cast(x.dtype));
  };
};

/** Each element at the next place of an axis, and 0 at the first. */
function shifted(x: Tensor, axis: number): Tensor {
  const ranges = x.shape.map((size, i): [number, number] => [0, i === axis ? Math.max(size - 1, 0) : size]);
  const ends = x.shape.map((size, i): [number, number] => [i === axis ? Math.min(size, 1) : 0, 0]);
  return pad(x.slice(ranges), ends);
}

/** On and off values by [depth], along a new axis. */
const oneHotOperator: Operator = (node) => {
  node.checkInputs(3);
  const given = node.int('axis', -1);
  return ([indices, depth0, values]) => {
    const depth = node.scalar(depth0, 'the depth');
    const [off, on] = node.known(values, 'the values').values;
    const own = toHeld(indices!, 'int32').first.cast('int32');
    const axis = node.axis(given, own.rank + 1);
    const places = fromFront(own, depth);
    // What is out of range is off everywhere.
    const isIn = places.greaterEqual(0).mul(places.less(depth));
    const { dtype } = values as Known;
    const type = isFloat(dtype) ? dtype : 'float32';
    const ones = oneHot(where(isIn, places, 0), depth, type).mul(
      reshape(isIn.cast(type), [...isIn.shape, 1]),
    );
    const order = countTo(own.rank);
    order.splice(axis, 0, own.rank);
    const y = permute(ones.mul(on - off).add(off), order);
    return Held.first(isFloat(dtype) ? y : y.cast('int32'));
  };
};

const trilu: Operator = (node) => {
  node.checkInputs(1, 2);
  const isUpper = node.flag('upper', true);
  return ([x, diagonal]) => {
    const k = diagonal === undefined ? 0 : node.scalar(diagonal, 'k');
    const held = toHeld(x!);
    const { rank, shape } = held;
    if (rank < 2) throw node.error('a matrix', show(shape));
    return Held.first(isUpper ? held.first.triu(k) : held.first.tril(k));
  };
};

// ── values that come of nothing else ────────────────────────────────────────────────────────────────────────────────

const dtypeOf = (dtype: Element): Dtype => (isFloat(dtype) ? dtype : 'int32');

const constantOfShape: Operator = (node) => {
  node.checkInputs(1);
  const { dtype, values } = node.has('value') ? node.tensor('value') : known('float32', [1], [0]);
  return ([given]) => {
    const shape = node.ints1d(given, 'the shape');
    if (shape.some((size) => size < 0)) throw node.error('sizes of at least 0', show(shape));
    checkSize('ConstantOfShape', shape);
    const size = sizeOf(shape);
    if (size <= mostKnown) return known(dtype, shape, new Array<number>(size).fill(values[0]));
    return Held.first(filled(shape, values[0], dtypeOf(dtype)));
  };
};

const rangeOperator: Operator = (node) => {
  node.checkInputs(3);
  return ([a, b, c]) => {
    const { dtype } = node.known(a, 'start');
    const [start, limit, delta] = [a, b, c].map((x, i) => node.scalar(x, ['start', 'limit', 'delta'][i]));
    if (delta === 0) throw node.error('a delta other than 0', '0');
    const count = Math.max(Math.ceil((limit - start) / delta), 0);
    if (count <= mostKnown) {
      return known(
        dtype,
        [count],
        countTo(count).map((i) => rounded(dtype, start + i * delta)),
      );
    }
    checkSize('Range', [count]);
    notWhileFolding();
    return Held.first(
      arange(0, count, 1, { dtype: dtypeOf(dtype) })
        .mul(delta)
        .add(start),
    );
  };
};

/** A value as another element. */
function castTo(x: Value, to: Element): Value {
  if (isKnown(x)) {
    return known(
      to,
      x.shape,
      x.values.map((value) => rounded(to, value)),
    );
  }
  const dtype = dtypeOf(to);
  const { own, isLast } = x;
  if (to === 'bool') return Held.of(truth(own.notEqual(0)), isLast);
  return own.dtype === dtype ? x : Held.of(own.cast(dtype), isLast);
}

const castOperator: Operator = (node) => {
  node.checkInputs(1);
  const to = elementOf(node.int('to'));
  if (to === null) throw node.refusal('attribute to to be a type of numbers', String(node.int('to')));
  return ([x]) => castTo(x!, to);
};

const castLike: Operator = (node) => {
  node.checkInputs(2);
  return ([x, like]) => {
    const to = isKnown(like) ? like.dtype : like!.dtype === 'int32' ? 'int' : (like as Held).dtype;
    return castTo(x!, to as Element);
  };
};

export const shapes: Readonly<Record<string, Operator>> = {
  Reshape: reshapeOperator,
  Flatten: flatten,
  Squeeze: squeeze,
  Unsqueeze: unsqueeze,
  Transpose: transposeOperator,
  Shape: shapeOperator,
  Size: (node) => {
    node.checkInputs(1);
    return ([x]) => known('int', [], [sizeOf(x!.shape)]);
  },
  Expand: expand,
  Tile: tile,
  Slice: sliceOperator,
  Split: split,
  Concat: concatOperator,
  Pad: padOperator,
  Gather: gatherOperator,
  GatherElements: gatherElements,
  ScatterElements: scatterElements,
  TopK: topK,
  CumSum: cumSum,
  NonZero: nonZero,
  OneHot: oneHotOperator,
  Trilu: trilu,
  ConstantOfShape: constantOfShape,
  Range: rangeOperator,
  Cast: castOperator,
  CastLike: castLike,
};

/** Convolutions, pools and other sizes, of images and of sequences. Axpy's kernels have channels last. */
import { conv1d, conv2d, convTranspose2d } from '../../ops/convolution.ts';
import { gridSample } from '../../ops/gridSample.ts';
import { interpolate } from '../../ops/interpolate.ts';
import { matmul } from '../../ops/matmul.ts';
import { pad } from '../../ops/pad.ts';
import { averagePool2d, maxPool2d } from '../../ops/pool.ts';
import { reshape } from '../../ops/reshape.ts';
import { transpose } from '../../ops/transpose.ts';
import { show, sizeOf } from '../../shape.ts';
import { type Tensor, tensor } from '../../tensor.ts';
import type { OnnxNode, Operator } from '../node.ts';
import { Held, toHeld, type Value } from '../value.ts';

/** Padding before and after along one axis. */
interface Ends {
  before: number;
  after: number;
}

/** A window of one or two axes, as attributes say it. */
interface Window {
  readonly strides: readonly number[];
  readonly dilations: readonly number[];
  /** The padding of axis i, for so many elements under a kernel of so many. */
  ends(axis: number, size: number, kernel: number): Ends;
}

/** An attribute for each axis; one alone stands for sequences. */
function perAxis(
  node: OnnxNode,
  name: string,
  axes: number,
  otherwise: number,
  least: number,
): readonly number[] {
  const given = node.ints(name, new Array<number>(axes).fill(otherwise));
  if (given.length === axes && given.every((each) => each >= least && each < 2 ** 31)) return given;
  throw node.error(`attribute ${name} to be ${axes} integers of at least ${least}`, show(given));
}

/** One or two axes. @throws Refusal for others */
function imageAxes(node: OnnxNode, rank: number): number {
  if (rank === 3 || rank === 4) return rank - 2;
  throw node.refusal('images or sequences, of 4 or 3 axes', `${rank} axes`);
}

function windowOf(node: OnnxNode, axes: number): Window {
  const strides = perAxis(node, 'strides', axes, 1, 1);
  const dilations = perAxis(node, 'dilations', axes, 1, 1);
  const auto = node.choice('auto_pad', ['NOTSET', 'VALID', 'SAME_UPPER', 'SAME_LOWER'], 'NOTSET');
  const pads = auto === 'NOTSET' ? perAxis(node, 'pads', 2 * axes, 0, 0) : null;
  return {
    strides,
    dilations,
    ends(axis, size, kernel) {
      if (pads !== null) return { before: pads[axis], after: pads[axes + axis] };
      if (auto === 'VALID') return { before: 0, after: 0 };
      const positions = Math.ceil(size / strides[axis]);
      const reach = dilations[axis] * (kernel - 1) + 1;
      const total = Math.max((positions - 1) * strides[axis] + reach - size, 0);
      const less = Math.floor(total / 2);
      return auto === 'SAME_UPPER'
        ? { before: less, after: total - less }
        : { before: total - less, after: less };
    },
  };
}

/** Sequences as images of one row. */
const asImages = (x: Tensor) => (x.rank === 3 ? reshape(x, [x.shape[0], 1, x.shape[1], x.shape[2]]) : x);
const asSequences = (x: Tensor) => reshape(x, [x.shape[0], x.shape[2], x.shape[3]]);
const both = <Item>(items: readonly Item[], otherwise: Item): [Item, Item] =>
  items.length === 1 ? [otherwise, items[0]] : [items[0], items[1]];
const none: Ends = { before: 0, after: 0 };
const sides = (ends: readonly Ends[]) => {
  const [vertical, horizontal] = both(ends, none);
  return { top: vertical.before, bottom: vertical.after, left: horizontal.before, right: horizontal.after };
};

/** The kernel's sizes that the weight has; what an attribute says has to agree. */
function checkKernel(node: OnnxNode, weight: readonly number[]): readonly number[] {
  const kernel = weight.slice(2);
  const given = node.ints('kernel_shape', kernel);
  if (given.length === kernel.length && given.every((size, i) => size === kernel[i])) return kernel;
  throw node.error(`attribute kernel_shape to be ${show(kernel)}, as the weight is`, show(given));
}

interface Operands {
  x: Held;
  weight: Held;
  bias: Tensor | null;
  axes: number;
}

function operands(node: OnnxNode, [given, w, b]: readonly (Value | undefined)[]): Operands {
  const x = toHeld(given!);
  const weight = toHeld(w!, x.dtype);
  const axes = imageAxes(node, x.rank);
  if (weight.rank !== x.rank) throw node.error(`a weight of ${x.rank} axes`, show(weight.shape));
  return { x, weight, bias: b === undefined ? null : toHeld(b, x.dtype).first, axes };
}

const conv: Operator = (node) => {
  node.checkInputs(2, 3);
  checkAxes(node);
  const groups = node.int('group', 1);
  return (inputs) => {
    const { x, weight, bias, axes } = operands(node, inputs);
    const { strides, dilations, ends } = windowOf(node, axes);
    const kernel = checkKernel(node, weight.shape);
    const padding = kernel.map((size, axis) => ends(axis, x.shape[2 + axis], size));
    const common = { groups, activation: node.activation };
    if (axes === 1) {
      const [{ before: left, after: right }] = padding;
      const own = { ...common, stride: strides[0], dilation: dilations[0], padding: { left, right } };
      return Held.last(conv1d(x.last, weight.last, bias, own));
    }
    const own = {
      ...common,
      stride: both(strides, 1),
      dilation: both(dilations, 1),
      padding: sides(padding),
    };
    return Held.last(conv2d(x.last, weight.last, bias, own));
  };
};

const convTranspose: Operator = (node) => {
  node.checkInputs(2, 3);
  checkAxes(node);
  const groups = node.int('group', 1);
  return (inputs) => {
    const { x, weight, bias, axes } = operands(node, inputs);
    const kernel = checkKernel(node, weight.shape);
    const strides = perAxis(node, 'strides', axes, 1, 1);
    const dilations = perAxis(node, 'dilations', axes, 1, 1);
    const extra = [...perAxis(node, 'output_padding', axes, 0, 0)];
    const wanted = transposedSizes(node, axes, x, strides);
    const pads = perAxis(node, 'pads', 2 * axes, 0, 0);
    const ends = kernel.map((size, axis) => {
      if (wanted === null) return { before: pads[axis], after: pads[axes + axis] };
      const whole = strides[axis] * (x.shape[2 + axis] - 1) + extra[axis] + (size - 1) * dilations[axis] + 1;
      const total = whole - wanted[axis];
      // What the window does not reach is what output padding adds.
      if (total < 0) {
        extra[axis] -= total;
        return none;
      }
      const less = Math.floor(total / 2);
      const isUpper = node.text('auto_pad', 'NOTSET') === 'SAME_UPPER';
      return isUpper ? { before: less, after: total - less } : { before: total - less, after: less };
    });
    const y = convTranspose2d(asImages(x.last), asImages(weight.last), bias, {
      stride: both(strides, 1),
      dilation: both(dilations, 1),
      padding: sides(ends),
      outputPadding: both(extra, 0),
      groups,
      activation: node.activation,
    });
    return Held.last(axes === 1 ? asSequences(y) : y);
  };
};

/** The sizes that the result is to have, where something says so other than padding. */
function transposedSizes(
  node: OnnxNode,
  axes: number,
  x: Held,
  strides: readonly number[],
): readonly number[] | null {
  if (node.has('output_shape')) return perAxis(node, 'output_shape', axes, 1, 1);
  const auto = node.choice('auto_pad', ['NOTSET', 'VALID', 'SAME_UPPER', 'SAME_LOWER'], 'NOTSET');
  return auto.startsWith('SAME') ? strides.map((stride, axis) => stride * x.shape[2 + axis]) : null;
}

// ── pools ───────────────────────────────────────────────────────────────────────────────────────────────────────────

/** @throws Refusal for windows over more axes, as far as the file says how many */
function checkAxes(node: OnnxNode): void {
  if (node.has('kernel_shape')) imageAxes(node, node.ints('kernel_shape').length + 2);
}

function checkPool(node: OnnxNode): void {
  node.checkInputs(1);
  checkAxes(node);
  const dilations = node.ints('dilations', []);
  if (dilations.some((dilation) => dilation !== 1)) throw node.refusal('dilations of 1', show(dilations));
}

/** What a pool reads: the padding of the file, and what rounding the number of windows up adds to its end. */
function pooling(node: OnnxNode, x: Held) {
  const axes = imageAxes(node, x.rank);
  const kernel = perAxis(node, 'kernel_shape', axes, 0, 1);
  const { strides, ends } = windowOf(node, axes);
  const isUp = node.flag('ceil_mode', false);
  const pads = kernel.map((size, axis) => ends(axis, x.shape[2 + axis], size));
  const more = kernel.map((size, axis) => {
    const { before, after } = pads[axis];
    const room = x.shape[2 + axis] + before + after - size;
    if (!isUp) return 0;
    let windows = Math.ceil(room / strides[axis]) + 1;
    // A window that begins in the padding of the end sees nothing.
    if ((windows - 1) * strides[axis] >= x.shape[2 + axis] + before) windows--;
    return Math.max((windows - 1) * strides[axis] - room, 0);
  });
  return { axes, kernel: both(kernel, 1), stride: both(strides, 1), pads, more };
}

const withMore = (pads: readonly Ends[], more: readonly number[]): Ends[] =>
  pads.map(({ before, after }, axis) => ({ before, after: after + more[axis] }));

const maxPool: Operator = (node) => {
  checkPool(node);
  return ([given]) => {
    const x = toHeld(given!);
    const { axes, kernel, stride, pads, more } = pooling(node, x);
    const y = maxPool2d(asImages(x.last), kernel, { stride, padding: sides(withMore(pads, more)) });
    return Held.last(axes === 1 ? asSequences(y) : y);
  };
};

const averagePool: Operator = (node) => {
  checkPool(node);
  const countPadding = node.flag('count_include_pad', false);
  return ([given]) => {
    const x = toHeld(given!);
    const { axes, kernel, stride, pads, more } = pooling(node, x);
    const images = asImages(x.last);
    const isMore = more.some((count) => count > 0);
    let y: Tensor;
    if (countPadding && isMore) {
      // What rounding up adds counts in no case: the rest becomes zeros of the image.
      const [vertical, horizontal] = both(pads, none);
      const whole = pad(images, [
        [0, 0],
        [vertical.before, vertical.after],
        [horizontal.before, horizontal.after],
      ]);
      y = averagePool2d(whole, kernel, {
        stride,
        padding: sides(
          withMore(
            pads.map(() => none),
            more,
          ),
        ),
      });
    } else {
      y = averagePool2d(images, kernel, { stride, padding: sides(withMore(pads, more)), countPadding });
    }
    return Held.last(axes === 1 ? asSequences(y) : y);
  };
};

/** f over all axes behind the channels, which stay with size 1. */
const global =
  (f: (x: Tensor, axes: number[]) => Tensor): Operator =>
  (node) => {
    node.checkInputs(1);
    return ([given]) => {
      const x = toHeld(given!);
      const axes = Array.from({ length: Math.max(x.rank - 2, 0) }, (_, i) => x.axis(i + 2));
      return Held.of(axes.length === 0 ? x.own : f(x.own, axes), x.isLast);
    };
  };

// ── other sizes ─────────────────────────────────────────────────────────────────────────────────────────────────────

const transforms = [
  'half_pixel',
  'half_pixel_symmetric',
  'pytorch_half_pixel',
  'align_corners',
  'asymmetric',
] as const;
const roundings = ['round_prefer_floor', 'round_prefer_ceil', 'floor', 'ceil'] as const;

/** Where the pixels of a resized axis come from. */
interface Resizing {
  readonly mode: 'nearest' | 'linear' | 'cubic';
  readonly transform: (typeof transforms)[number];
  readonly rounding: (typeof roundings)[number];
  readonly cubic: number;
  readonly excludesOutside: boolean;
}

function positionOf({ transform }: Resizing, i: number, size: number, count: number, scale: number): number {
  if (transform === 'align_corners') return count === 1 ? 0 : (i * (size - 1)) / (count - 1);
  if (transform === 'asymmetric') return i / scale;
  if (transform === 'pytorch_half_pixel' && count === 1) return 0;
  const shift = transform === 'half_pixel_symmetric' ? (size / 2) * (1 - count / (scale * size)) : 0;
  return shift + (i + 0.5) / scale - 0.5;
}

const nearestOf: Readonly<Record<Resizing['rounding'], (x: number) => number>> = {
  round_prefer_floor: (x) => Math.ceil(x - 0.5),
  round_prefer_ceil: (x) => Math.floor(x + 0.5),
  floor: Math.floor,
  ceil: Math.ceil,
};

/** For each new pixel the place that it comes from, between two pixels for 'linear', within the axis. */
function placesOf(how: Resizing, size: number, count: number, scale: number): Float64Array {
  return new Float64Array(count).map((_, i) => {
    const at = positionOf(how, i, size, count, scale);
    const place = how.mode === 'nearest' ? nearestOf[how.rounding](at) : at;
    return how.mode === 'cubic' ? place : Math.min(Math.max(place, 0), size - 1);
  });
}

/** The shares that the pixels of an axis have in each of the new ones, [count, size]. */
function sharesOf(how: Resizing, size: number, count: number, scale: number): Float64Array {
  const shares = new Float64Array(count * size);
  const clamp = (at: number) => Math.min(Math.max(at, 0), size - 1);
  placesOf(how, size, count, scale).forEach((place, i) => {
    const row = i * size;
    const first = Math.floor(place);
    if (how.mode !== 'cubic') {
      shares[row + first] += 1 - (place - first);
      shares[row + clamp(first + 1)] += place - first;
      return;
    }
    const weights = cubicWeights(place - first, how.cubic);
    const isInside = (k: number) => first - 1 + k >= 0 && first - 1 + k < size;
    const counted = weights.map((weight, k) => (how.excludesOutside && !isInside(k) ? 0 : weight));
    const total = how.excludesOutside ? counted.reduce((sum, weight) => sum + weight, 0) : 1;
    counted.forEach((weight, k) => {
      shares[row + clamp(first - 1 + k)] += weight / total;
    });
  });
  return shares;
}

/** Keys' kernel at the distances of four neighbours (1981). */
function cubicWeights(t: number, a: number): number[] {
  const near = (x: number) => ((a + 2) * x - (a + 3)) * x * x + 1;
  const far = (x: number) => ((a * x - 5 * a) * x + 8 * a) * x - 4 * a;
  return [far(1 + t), near(t), near(1 - t), far(2 - t)];
}

/** What `interpolate` does. */
const ownModes: readonly { mode: 'nearest' | 'bilinear'; alignCorners?: boolean; how: Partial<Resizing> }[] =
  [
    { mode: 'nearest', how: { mode: 'nearest', transform: 'asymmetric', rounding: 'floor' } },
    { mode: 'bilinear', how: { mode: 'linear', transform: 'half_pixel' } },
    { mode: 'bilinear', alignCorners: true, how: { mode: 'linear', transform: 'align_corners' } },
  ];

/** The axes of an image at other sizes, each by its scale. */
function resize(how: Resizing, x: Held, sizes: readonly number[], scales: readonly number[]): Held {
  const axes = Array.from({ length: x.rank }, (_, i) => i).filter(
    (i) => sizes[i] !== x.shape[i] || scales[i] !== 1,
  );
  if (axes.length === 0) return x;
  if (x.rank === 4 && axes.every((axis) => axis >= 2)) {
    const places = (own: Resizing, scale: (axis: number) => number) =>
      [2, 3].flatMap((axis) => [...placesOf(own, x.shape[axis], sizes[axis], scale(axis))]);
    const wanted = places(how, (axis) => scales[axis]);
    for (const { how: own, ...options } of ownModes) {
      if (own.mode !== how.mode) continue;
      // Of sizes alone it works out the scale, which has to be the one that is meant.
      const theirs = places({ ...how, ...own }, (axis) => sizes[axis] / x.shape[axis]);
      if (theirs.every((place, i) => Math.abs(place - wanted[i]) < 1e-9)) {
        return Held.last(interpolate(x.last, { size: [sizes[2], sizes[3]], ...options }));
      }
    }
  }
  let y = x.first;
  for (const axis of axes) {
    const shares = sharesOf(how, y.shape[axis], sizes[axis], scales[axis]);
    const matrix = tensor(shares, { shape: [sizes[axis], y.shape[axis]], dtype: y.dtype });
    const outer = y.shape.slice(0, axis);
    const inner = y.shape.slice(axis + 1);
    const rows = reshape(y, [sizeOf(outer), y.shape[axis], sizeOf(inner)]);
    y = reshape(matmul(matrix, rows), [...outer, sizes[axis], ...inner]);
  }
  return Held.first(y);
}

const resizeOperator: Operator = (node) => {
  const isUpsample = node.op === 'Upsample';
  const hasRoi = !isUpsample && node.opset >= 11;
  node.checkInputs(1, isUpsample ? 2 : hasRoi ? 4 : 2);
  const mode = node.choice('mode', ['nearest', 'linear', 'cubic'], 'nearest');
  // Before opset 11 there was one rule.
  const how: Resizing = hasRoi
    ? {
        mode,
        transform: node.choice('coordinate_transformation_mode', transforms, 'half_pixel'),
        rounding: node.choice('nearest_mode', roundings, 'round_prefer_floor'),
        cubic: node.float('cubic_coeff_a', -0.75),
        excludesOutside: node.flag('exclude_outside', false),
      }
    : { mode, transform: 'asymmetric', rounding: 'floor', cubic: -0.75, excludesOutside: false };
  if (node.flag('antialias', false)) throw node.refusal('attribute antialias to be 0', '1');
  if (node.has('keep_aspect_ratio_policy')) {
    node.choice('keep_aspect_ratio_policy', ['stretch'], 'stretch');
  }
  const own = node.has('axes') ? node.ints('axes') : null;
  const attribute = isUpsample && node.has('scales') ? node.floats('scales') : null;
  return (inputs) => {
    const x = toHeld(inputs[0]!);
    const [given, wanted] = hasRoi ? [inputs[2], inputs[3]] : [inputs[1], undefined];
    const axes = own === null ? Array.from(x.shape.keys()) : node.axes(own, x.rank);
    const spread = (values: readonly number[], what: string, rest: (axis: number) => number) => {
      if (values.length !== axes.length) throw node.error(`${axes.length} ${what}`, `${values.length}`);
      return x.shape.map((_, axis) => (axes.includes(axis) ? values[axes.indexOf(axis)] : rest(axis)));
    };
    const factors = attribute ?? (given === undefined ? [] : node.known(given, 'scales').values);
    if (factors.length > 0) {
      const scales = spread(factors, 'scales', () => 1);
      if (!scales.every((scale) => scale > 0 && Number.isFinite(scale))) {
        throw node.error('scales above 0', show(scales));
      }
      return resize(
        how,
        x,
        // As a file has scales, in float32: 5 · 1.4 are 7 there, and less in more digits.
        x.shape.map((size, axis) => Math.floor(Math.fround(size * scales[axis]))),
        scales,
      );
    }
    const sizes = spread(node.ints1d(wanted, 'sizes'), 'sizes', (axis) => x.shape[axis]);
    if (!sizes.every((size, axis) => size > 0 === x.shape[axis] > 0 && size >= 0)) {
      throw node.error('sizes of at least 1', show(sizes));
    }
    return resize(
      how,
      x,
      sizes,
      sizes.map((size, axis) => (size === 0 ? 1 : size / x.shape[axis])),
    );
  };
};

const gridSampleOperator: Operator = (node) => {
  node.checkInputs(2);
  // As opset 20 calls it.
  const mode = node.choice(
    'mode',
    ['bilinear', 'linear', 'nearest'],
    node.opset < 20 ? 'bilinear' : 'linear',
  );
  const options = {
    mode: mode === 'nearest' ? mode : 'bilinear',
    paddingMode: node.choice('padding_mode', ['zeros', 'border', 'reflection'], 'zeros'),
    alignCorners: node.flag('align_corners', false),
  } as const;
  return ([image, places]) => {
    const [x, grid] = [toHeld(image!).last, toHeld(places!).first];
    return Held.last(gridSample(x, grid.cast(x.dtype), options));
  };
};

const depthToSpace: Operator = (node) => {
  node.checkInputs(1);
  const block = node.int('blocksize');
  const isFirst = node.choice('mode', ['DCR', 'CRD'], 'DCR') === 'DCR';
  return ([given]) => {
    const { last: x } = toHeld(given!);
    const [batch, height, width, channels] = x.shape;
    if (x.rank !== 4 || block < 1 || channels % (block * block) !== 0) {
      throw node.error(
        `images whose channels are a multiple of ${block * block}`,
        show(toHeld(given!).shape),
      );
    }
    const depth = channels / (block * block);
    const parts = isFirst ? [block, block, depth] : [depth, block, block];
    const order = isFirst ? [0, 1, 3, 2, 4, 5] : [0, 1, 4, 2, 5, 3];
    const y = transpose(reshape(x, [batch, height, width, ...parts]), order);
    return Held.last(reshape(y, [batch, height * block, width * block, depth]));
  };
};

const spaceToDepth: Operator = (node) => {
  node.checkInputs(1);
  const block = node.int('blocksize');
  return ([given]) => {
    const { last: x } = toHeld(given!);
    const [batch, height, width, channels] = x.shape;
    if (x.rank !== 4 || block < 1 || height % block !== 0 || width % block !== 0) {
      throw node.error(`images of a multiple of ${block} pixels`, show(toHeld(given!).shape));
    }
    const parts = reshape(x, [batch, height / block, block, width / block, block, channels]);
    const y = transpose(parts, [0, 1, 3, 2, 4, 5]);
    return Held.last(reshape(y, [batch, height / block, width / block, block * block * channels]));
  };
};

export const images: Readonly<Record<string, Operator>> = {
  Conv: conv,
  ConvTranspose: convTranspose,
  MaxPool: maxPool,
  AveragePool: averagePool,
  GlobalAveragePool: global((x, axes) => x.mean(axes, { keepDims: true })),
  GlobalMaxPool: global((x, axes) => x.max(axes, { keepDims: true })),
  GridSample: gridSampleOperator,
  Resize: resizeOperator,
  Upsample: resizeOperator,
  DepthToSpace: depthToSpace,
  SpaceToDepth: spaceToDepth,
};

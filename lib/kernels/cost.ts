/**
 * What a kernel call costs at least: its floating-point operations and the bytes it has to move, from its name and
 * arguments alone. Held against the limits of the machine, they say how much faster the call could be.
 *
 * A multiply-add counts as two operations. An elementary function (exp, log, tanh, erf) counts as so many as the
 * polynomial that computes it has, about 16. Convolutions count as if computed directly, whatever the algorithm:
 * Winograd's does fewer, and may seem to exceed the peak. Integer work (Philox, indices, comparisons of layouts) counts
 * as nothing. Bytes are those of each array once, twice for one that is updated, as if each call began anew.
 */
import type { Argument, Call, Kernels, Limits } from '../../binding.d.ts';
import type { Elements } from '../memory.ts';
import {
  binaryOps,
  type GeometryField,
  geometryFields,
  lossOps,
  reduceOps,
  type UnaryOp,
  unaryOps,
} from './codes.ts';
import { arraysOf, effects } from './recorder.ts';

export interface Cost {
  /** Floating-point operations. */
  readonly operations: number;
  /** Bytes read and written. */
  readonly bytes: number;
  /** Whether the operations are of float64. */
  readonly wide: boolean;
  /** The sizes, for a reader: `128×512×784`. */
  readonly size: string;
}

/** What a kernel's rule says; without `bytes` each array counts once, or twice if it is updated. */
interface Estimate {
  operations: number;
  size: string;
  bytes?: number;
}

type Rule = (...args: never[]) => Estimate;

const elementary = 16;
const elementaryUnary: ReadonlySet<UnaryOp> = new Set<UnaryOp>([
  'exp',
  'log',
  'powScalar',
  'elu',
  'gelu',
  'silu',
  'softplus',
  'sigmoid',
  'tanh',
]);

const unaryWork = (op: number) => (elementaryUnary.has(unaryOps[op]) ? elementary : 1);
const binaryWork = (op: number) => (binaryOps[op] === 'pow' ? 2 * elementary : 1);
const epilogueWork = (activation: number) => (activation < 0 ? 0 : unaryWork(activation));
const times = (...sizes: number[]) => sizes.join('×');
const product = (...sizes: number[]) => sizes.reduce((total, size) => total * size, 1);

/** An elementwise kernel: so many operations for each element of out. */
const elementwise = (out: Elements, each: number, op = ''): Estimate => ({
  operations: each * out.length,
  size: op === '' ? String(out.length) : `${op} ${out.length}`,
});

function matrixProduct(batch: number, m: number, n: number, k: number, ta: number, tb: number): Estimate {
  const many = batch === 1 ? '' : `${batch} of `;
  // BLAS's notation: N as it is, T transposed.
  const form = `${ta === 1 ? 'T' : 'N'}${tb === 1 ? 'T' : 'N'}`;
  return { operations: 2 * batch * m * n * k, size: `${many}${times(m, n, k)} ${form}` };
}

function geometryOf(geometry: Int32Array): Record<GeometryField, number> {
  return Object.fromEntries(geometryFields.map((name, i) => [name, geometry[i]])) as never;
}

function convolution(geometry: Int32Array, to: 'outChannels' | 'channels', epilogue = 0): Estimate {
  const g = geometryOf(geometry);
  const window = g.kernelHeight * g.kernelWidth;
  const outputs = g.batch * g.outHeight * g.outWidth * g.outChannels;
  const results = to === 'channels' ? g.batch * g.height * g.width * g.channels : outputs;
  const image =
    to === 'channels'
      ? times(g.batch, g.outHeight, g.outWidth, g.outChannels)
      : times(g.batch, g.height, g.width, g.channels);
  const strides = g.strideY * g.strideX === 1 ? '' : `, stride ${times(g.strideY, g.strideX)}`;
  const groups = g.groups === 1 ? '' : `, ${g.groups} groups`;
  return {
    operations: (2 * outputs * window * g.channels) / g.groups + epilogue * results,
    size: `${image} → ${g[to]}, ${times(g.kernelHeight, g.kernelWidth)}${strides}${groups}`,
  };
}

function pooling(geometry: Int32Array): Estimate {
  const g = geometryOf(geometry);
  return {
    operations: product(g.batch, g.outHeight, g.outWidth, g.channels, g.kernelHeight, g.kernelWidth),
    size: `${times(g.batch, g.height, g.width, g.channels)}, ${times(g.kernelHeight, g.kernelWidth)}`,
  };
}

/** A scatter of gradients to the pixels of windows: one addition each. */
function poolingGradient(gradient: Elements, geometry: Int32Array, each: number): Estimate {
  return { ...pooling(geometry), operations: each * gradient.length };
}

/** Reads and writes of as many elements as there are in both arrays together. */
const moves = (elements: number, array: Elements) => 2 * elements * array.BYTES_PER_ELEMENT;

const updated = (lists: readonly Elements[], each: number): Estimate => {
  const total = lists.reduce((sum, { length }) => sum + length, 0);
  return { operations: each * total, size: `${total} in ${lists.length}` };
};

const rules: { readonly [K in keyof Kernels]: (...args: Parameters<Kernels[K]>) => Estimate } = {
  gemm: (_c, _a, _b, bias, batch, m, n, k, ta, tb, _sa, _sb, activation) => {
    const estimate = matrixProduct(batch, m, n, k, ta, tb);
    const epilogue = (bias === null ? 0 : 1) + epilogueWork(activation);
    return { ...estimate, operations: estimate.operations + epilogue * batch * m * n };
  },
  gemmAccumulate: (_c, _a, _b, batch, m, n, k, ta, tb) => matrixProduct(batch, m, n, k, ta, tb),
  epilogueGradient: (_out, bias, _gradient, _y, rows, columns, activation) => ({
    operations: ((bias === null ? 0 : 1) + (activation < 0 ? 0 : 2)) * rows * columns,
    size: times(rows, columns),
  }),
  unary: (out, _x, op) => elementwise(out, unaryWork(op), unaryOps[op]),
  unaryGradient: (out, _gradient, _x, y, op) =>
    elementwise(out, y === null && unaryWork(op) > 1 ? elementary + 2 : 2, unaryOps[op]),
  binary: (out, _a, _b, _layout, op) => elementwise(out, binaryWork(op), binaryOps[op]),
  binaryGradient: (out, _gradient, _a, _b, _layout, op) =>
    elementwise(out, binaryOps[op] === 'pow' ? 2 * elementary : 2, binaryOps[op]),
  where: (out) => elementwise(out, 0),
  elementwise: (outs, ins, _scalars, _rows, shared, constants, code) =>
    listWork(outs, ins, shared.length + constants.length, code),
  fill: (out) => elementwise(out, 0),
  cast: (out) => elementwise(out, 0),
  copy: (out, _x, layout) => {
    const rank = (layout.length - 2) / 3;
    const elements = product(...layout.subarray(0, rank));
    return { operations: 0, bytes: moves(elements, out), size: String(elements) };
  },
  gather: (out, _x, indices, count, rows, width) => ({
    operations: 0,
    bytes: moves(count * width, out) + indices.byteLength,
    size: `${count} of ${times(rows, width)}`,
  }),
  scatterAdd: (out, _x, indices, count, rows, width) => ({
    operations: count * width,
    bytes: 1.5 * moves(count * width, out) + indices.byteLength,
    size: `${count} to ${times(rows, width)}`,
  }),
  oneHot: (_out, _labels, count, classes) => ({ operations: 0, size: times(count, classes) }),
  reduce: (_out, x, k0, r0, k1, r1, op) => ({
    operations: (reduceOps[op] === 'sumOfSquares' ? 2 : 1) * x.length,
    size: `${reduceOps[op]} ${times(k0, r0, k1, r1)}`,
  }),
  argmax: (_out, x, outer, size, inner) => ({ operations: x.length, size: times(outer, size, inner) }),
  softmax: (out, _x, outer, size, inner) => ({
    operations: (elementary + 4) * out.length,
    size: times(outer, size, inner),
  }),
  softmaxGradient: (out, _gradient, _y, outer, size, inner, log) => ({
    operations: (log === 1 ? elementary + 3 : 4) * out.length,
    size: times(outer, size, inner),
  }),
  softmaxCrossEntropy: (_out, probabilities, _logits, _labels, rows, classes) => ({
    operations: (elementary + 4) * probabilities.length,
    size: times(rows, classes),
  }),
  softmaxCrossEntropyGradient: (out, _gradient, _probabilities, _labels, rows, classes) => ({
    operations: out.length,
    size: times(rows, classes),
  }),
  loss: (_out, prediction, _target, op) => elementwise(prediction, lossWork(op), lossOps[op]),
  lossGradient: (out, _gradient, _prediction, _target, op) => elementwise(out, lossWork(op), lossOps[op]),
  checkFinite: (x) => elementwise(x, 0),
  convolve: (_out, _x, _weight, bias, geometry, activation) =>
    convolution(geometry, 'outChannels', (bias === null ? 0 : 1) + epilogueWork(activation)),
  convolveTransposed: (_out, _x, _weight, bias, geometry, activation) =>
    convolution(geometry, 'channels', (bias === null ? 0 : 1) + epilogueWork(activation)),
  convolveWeightGradient: (_out, _x, _gradient, geometry) => convolution(geometry, 'outChannels'),
  maxPool: (_out, _indices, _x, geometry) => pooling(geometry),
  maxPoolGradient: (_out, gradient, _indices, geometry) => poolingGradient(gradient, geometry, 1),
  averagePool: (_out, _x, geometry) => pooling(geometry),
  averagePoolGradient: (_out, gradient, geometry) =>
    poolingGradient(gradient, geometry, geometryOf(geometry).kernelHeight * geometryOf(geometry).kernelWidth),
  batchMoments: (_mean, _inverse, _runningMean, _runningVariance, x, rows, channels) => ({
    operations: 4 * x.length,
    size: times(rows, channels),
  }),
  batchNorm: (out, _x, _mean, _inverse, _scale, _shift, rows, channels, activation) => ({
    operations: (2 + epilogueWork(activation)) * out.length,
    size: times(rows, channels),
  }),
  batchNormGradient: (
    out,
    _scaleGradient,
    _shiftGradient,
    gradient,
    x,
    _mean,
    _inverse,
    _scale,
    _shift,
    rows,
    channels,
    activation,
  ) => ({
    operations: (9 + (activation < 0 ? 0 : 3)) * out.length,
    // Two passes over gradient and x: the sums come first.
    bytes: out.byteLength + 2 * (gradient.byteLength + x.byteLength),
    size: times(rows, channels),
  }),
  layerNorm: (out, _mean, _inverse, _x, _scale, _shift, rows, size) => ({
    operations: 8 * out.length,
    size: times(rows, size),
  }),
  layerNormGradient: (
    out,
    _scaleGradient,
    _shiftGradient,
    _gradient,
    _x,
    _mean,
    _inverse,
    _scale,
    rows,
    size,
  ) => ({ operations: 13 * out.length, size: times(rows, size) }),
  randomBits: (out) => elementwise(out, 0),
  randomUniform: (out) => elementwise(out, 4),
  // Mostly the central branch: two polynomials of degree 7 and a division.
  randomNormal: (out) => elementwise(out, 32),
  dropoutMask: (out) => elementwise(out, 0),
  sgd: (outs, gradients) => updated(gradients, outs.length > gradients.length ? 7 : 4),
  adam: (_outs, gradients) => updated(gradients, 15),
};

/** Each instruction whose operands are elements; those of a side that is not chosen as well. */
function listWork(
  outs: readonly Elements[],
  ins: readonly Elements[],
  others: number,
  code: Int32Array,
): Estimate {
  const [k, m, s] = code;
  const total = [...outs, ...ins].reduce((sum, { length }) => sum + length, 0) / (k + m);
  const isElements = Array.from({ length: k + m + s + others }, (_, value) => value < k + m);
  let each = 0;
  for (let at = 3 + k + s; at < code.length; at += 4) {
    const [op, ...operands] = code.subarray(at, at + 4);
    const met = operands.some((value) => isElements[value]);
    isElements.push(met);
    if (!met) continue;
    if (op < unaryOps.length) each += unaryWork(op);
    else if (op < unaryOps.length + binaryOps.length) each += binaryWork(op - unaryOps.length);
  }
  return { operations: each * total, size: `${total} in ${outs.length / k}` };
}

function lossWork(op: number): number {
  const name = lossOps[op];
  return name === 'binaryCrossEntropy' || name === 'binaryCrossEntropyWithLogits' ? 2 * elementary : 4;
}

/** What the call costs; every kernel has its rule. */
export function costOf(call: Call): Cost {
  const [kernel, ...args] = call;
  const estimate = (rules[kernel] as Rule as (...args: readonly Argument[]) => Estimate)(...args);
  let bytes = 0;
  let wide = false;
  for (const [array, position] of arraysOf(call)) {
    bytes += array.byteLength * (effects[kernel][position] === 'u' ? 2 : 1);
    // The hyperparameters of an optimizer are float64 whatever the parameters are.
    if (position === 0 && array instanceof Float64Array) wide = true;
  }
  return {
    operations: estimate.operations,
    bytes: estimate.bytes ?? bytes,
    wide,
    size: estimate.size,
  };
}

/** Seconds that it takes at the limits: to compute, or to move the bytes if that takes longer, from a cache they fit in. */
export function leastTime({ operations, bytes, wide }: Cost, limits: Limits): number {
  const { bandwidths } = limits;
  const { rate } = bandwidths.find((b) => b.bytes >= bytes) ?? bandwidths[bandwidths.length - 1];
  return Math.max(operations / (wide ? limits.float64 : limits.float32), bytes / rate);
}

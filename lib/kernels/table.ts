/**
 * What is to be known about each kernel of binding.d.ts: its arguments in order, what each of them is and how long, what
 * the call writes, and what it costs. From it follow the checks that the fallback makes of a call, what a recorded
 * program may do with the arrays, and the cost model; tests hold binding.d.ts, the C++ signatures and the messages of both
 * implementations against it.
 *
 * What is no product of sizes, as the lengths that a geometry or a layout asks for, the kernel checks itself, after all
 * that is said here.
 */
import type { Kernels } from '../../binding.d.ts';
import { binaryOps, exchangeKinds, lossOps, reduceOps, unaryOps } from './codes.ts';
import {
  binaryWork,
  chainWork,
  convolution,
  type Estimate,
  elementary,
  epilogueWork,
  instructionWork,
  interpolation,
  lossWork,
  matrixProduct,
  moves,
  pooling,
  product,
  unaryWork,
  updates,
  windowOf,
} from './estimate.ts';
import {
  activation,
  activationOfOutput,
  anyData,
  anyNumber,
  code,
  data,
  type Effect,
  type Fact,
  finite,
  flag,
  float64,
  indices,
  input,
  int32,
  isArrayFact,
  list,
  mixed,
  orNull,
  orOne,
  out,
  partly,
  positiveSize,
  rate,
  size,
  ticket,
  uint32,
  updated,
} from './facts.ts';

export interface KernelFacts<Kernel extends (...args: never[]) => void> {
  /** By the names that errors use, in order. */
  readonly arguments: Readonly<Record<string, Fact>>;
  /** Its operations at least, or what else there is to say about its cost. */
  readonly cost: (...args: Parameters<Kernel>) => number | Estimate;
  /** Which of its inputs its first argument may be the very array of, of kernels that are no elementwise calls. */
  readonly over?: string;
  /** Whether a call may wait for something else than its own work. */
  readonly waits?: (args: readonly unknown[]) => boolean;
  /** Whether a call may throw for what its arrays hold, beside indices. */
  readonly fails?: (args: readonly unknown[]) => boolean;
}

const factors = { a: input(), b: input() };
const product3 = { batch: size, m: size, n: size, k: size, transposeA: flag, transposeB: flag };
const strides = { strideA: size, strideB: size };
const epilogue = { activation, parameter: anyNumber };
const layout = orNull(int32(input()));
const geometry = int32(input());
const convolved = { weight: input(), bias: orNull(input()), geometry, ...epilogue, fast: flag };
const rowsOf = { count: size, rows: size, width: size };
const alongSizes = {
  indices: indices('size', input('outer', 'count', 'inner')),
  outer: size,
  size,
  count: size,
  inner: size,
};
const line = { outer: size, size, inner: size, log: flag };
const columns = {
  mean: input('channels'),
  remainder: orNull(input('channels')),
  inverse: input('channels'),
};
const affine = { scale: orNull(input('channels')), shift: orNull(input('channels')) };
const state = uint32(updated(6));
/** What there is to know of the ranks of a job, and what is counted of their exchanges. */
const world = float64(updated(5));
const areSeveral = (ranks: unknown) => (ranks as Float64Array)[0] > 1;
const resampling = {
  rows: indices('height', input()),
  rowShares: float64(input('rows')),
  columns: indices('width', input()),
  columnShares: float64(input('columns')),
  batch: size,
  height: size,
  width: size,
  channels: size,
};

export const table: { readonly [Name in keyof Kernels]: KernelFacts<Kernels[Name]> } = {
  gemm: {
    arguments: {
      c: partly(),
      ...factors,
      bias: orNull(input('n')),
      ...product3,
      ...strides,
      ...epilogue,
      layout,
    },
    cost: (c, a, b, bias, batch, m, n, k, ta, tb, _sa, _sb, activation, _parameter, layout) => {
      const estimate = matrixProduct(c, a, b, [batch, m, n, k, ta, tb], layout, 1);
      const each = (bias === null ? 0 : 1) + epilogueWork(activation);
      return {
        ...estimate,
        operations: estimate.operations + each * batch * m * n,
        bytes: estimate.bytes + (bias?.byteLength ?? 0),
      };
    },
  },
  gemmAccumulate: {
    arguments: { c: updated(), ...factors, ...product3, ...strides, strideC: size, layout },
    cost: (c, a, b, batch, m, n, k, ta, tb, _sa, _sb, _sc, layout) =>
      matrixProduct(c, a, b, [batch, m, n, k, ta, tb], layout, 2),
  },
  epilogueGradient: {
    arguments: {
      out: out('rows', 'columns'),
      biasGradient: orNull(out('columns')),
      gradient: input('rows', 'columns'),
      y: input('rows', 'columns'),
      rows: size,
      columns: size,
      activation: activationOfOutput,
      parameter: anyNumber,
    },
    over: 'gradient',
    cost: (out, bias, _gradient, _y, _rows, _columns, activation) =>
      ((bias === null ? 0 : 1) + (activation < 0 ? 0 : 2)) * out.length,
  },

  // ── elementwise ───────────────────────────────────────────────────────────────────────────────────────────────────

  unary: {
    arguments: { out: out(), x: input('out'), op: code(unaryOps), p: anyNumber, q: anyNumber },
    cost: (out, _x, op) => unaryWork(op) * out.length,
  },
  unaryGradient: {
    arguments: {
      out: out(),
      gradient: input('out'),
      x: orNull(input('out')),
      y: orNull(input('out')),
      op: code(unaryOps),
      p: anyNumber,
      q: anyNumber,
    },
    cost: (out, _gradient, _x, y, op) => (y === null && unaryWork(op) > 1 ? elementary + 2 : 2) * out.length,
  },
  binary: {
    arguments: { out: data(out()), a: data(input()), b: data(input()), layout, op: code(binaryOps) },
    cost: (out, _a, _b, _layout, op) => binaryWork(op) * out.length,
  },
  binaryGradient: {
    arguments: {
      out: out(),
      gradient: input('out'),
      a: input(),
      b: input(),
      layout,
      op: code(binaryOps),
      operand: flag,
    },
    cost: (out, _gradient, _a, _b, _layout, op) =>
      (binaryOps[op] === 'pow' ? 2 * elementary : 2) * out.length,
  },
  where: {
    arguments: {
      out: data(out()),
      condition: data(input()),
      a: data(input()),
      b: data(input()),
      layout,
    },
    cost: () => 0,
  },
  elementwise: {
    arguments: {
      outs: list(updated()),
      ins: list(input()),
      scalars: float64(updated()),
      rows: int32(input()),
      shared: float64(input()),
      constants: float64(input()),
      code: int32(input()),
      wide: flag,
    },
    cost: (outs, ins, _scalars, _rows, shared, constants, code) =>
      instructionWork(outs, ins, shared.length + constants.length, code),
  },
  fused: {
    arguments: {
      outs: list(partly()),
      ins: list(mixed(input())),
      layout: int32(input()),
      code: int32(input()),
      constants: float64(input()),
    },
    cost: (outs, ins, layout, code) => chainWork(outs, ins, layout, code),
  },
  fill: { arguments: { out: data(out()), value: anyNumber }, cost: () => 0 },
  cast: { arguments: { out: anyData(out()), x: anyData(input('out')) }, cost: () => 0 },

  // ── copying ───────────────────────────────────────────────────────────────────────────────────────────────────────

  copy: {
    arguments: { out: data(partly()), x: data(input()), layout: int32(input()) },
    cost: (out, _x, layout) => {
      const elements = product(...layout.subarray(0, (layout.length - 2) / 3));
      return { operations: 0, bytes: moves(elements, out), size: String(elements) };
    },
  },
  gather: {
    arguments: {
      out: data(out('count', 'width')),
      x: data(input('rows', 'width')),
      indices: indices('rows', input('count')),
      ...rowsOf,
    },
    cost: (out, _x, indices, count, rows, width) => ({
      operations: 0,
      bytes: moves(count * width, out) + indices.byteLength,
      size: `${count} of ${rows}×${width}`,
    }),
  },
  scatterAdd: {
    arguments: {
      out: updated('rows', 'width'),
      x: input('count', 'width'),
      indices: indices('rows', input('count')),
      ...rowsOf,
    },
    cost: (out, _x, indices, count, rows, width) => ({
      operations: count * width,
      bytes: 1.5 * moves(count * width, out) + indices.byteLength,
      size: `${count} to ${rows}×${width}`,
    }),
  },
  gatherAlong: {
    arguments: {
      out: data(out('outer', 'count', 'inner')),
      x: data(input('outer', 'size', 'inner')),
      ...alongSizes,
    },
    cost: (out, _x, indices) => ({ operations: 0, bytes: moves(out.length, out) + indices.byteLength }),
  },
  scatterAddAlong: {
    arguments: {
      out: updated('outer', 'size', 'inner'),
      x: input('outer', 'count', 'inner'),
      ...alongSizes,
    },
    cost: (out, x, indices) => ({
      operations: x.length,
      bytes: 1.5 * moves(x.length, out) + indices.byteLength,
    }),
  },
  oneHot: {
    arguments: {
      out: out('count', 'classes'),
      labels: indices('classes', input('count')),
      count: size,
      classes: size,
    },
    cost: () => 0,
  },

  // ── reductions ────────────────────────────────────────────────────────────────────────────────────────────────────

  reduce: {
    arguments: {
      out: data(out('k0', 'k1')),
      x: data(input('k0', 'r0', 'k1', 'r1')),
      k0: size,
      r0: size,
      k1: size,
      r1: size,
      op: code(reduceOps),
      scale: finite,
    },
    cost: (_out, x, _k0, _r0, _k1, _r1, op) =>
      (reduceOps[op] === 'sumOfSquares' || reduceOps[op] === 'norm' ? 2 : 1) * x.length,
    // A sum that int32 does not hold.
    fails: ([out]) => out instanceof Int32Array || (out as { dtype?: string }).dtype === 'int32',
  },
  argmax: {
    arguments: {
      out: int32(out('outer', 'inner')),
      x: data(input('outer', 'size', 'inner')),
      outer: size,
      size: positiveSize,
      inner: size,
      least: flag,
    },
    cost: (_out, x) => x.length,
  },

  argsort: {
    arguments: {
      out: int32(out('outer', 'count', 'inner')),
      x: data(input('outer', 'size', 'inner')),
      outer: size,
      size,
      count: size,
      inner: size,
      descending: flag,
    },
    cost: (_out, x, _outer, size) => x.length * Math.log2(Math.max(size, 2)),
  },
  cumulate: {
    arguments: {
      out: out('outer', 'size', 'inner'),
      x: input('outer', 'size', 'inner'),
      outer: size,
      size,
      inner: size,
      product: flag,
      reverse: flag,
    },
    cost: (out) => out.length,
  },

  // ── softmax and losses ────────────────────────────────────────────────────────────────────────────────────────────

  softmax: {
    arguments: { out: out('outer', 'size', 'inner'), x: input('outer', 'size', 'inner'), ...line },
    cost: (out) => (elementary + 4) * out.length,
  },
  softmaxGradient: {
    arguments: {
      out: out('outer', 'size', 'inner'),
      gradient: input('outer', 'size', 'inner'),
      y: input('outer', 'size', 'inner'),
      ...line,
    },
    cost: (out, _gradient, _y, _outer, _size, _inner, log) => (log === 1 ? elementary + 3 : 4) * out.length,
  },
  logSumExp: {
    arguments: {
      out: out('outer', 'inner'),
      x: input('outer', 'size', 'inner'),
      outer: size,
      size,
      inner: size,
    },
    cost: (_out, x) => (elementary + 2) * x.length,
  },
  softmaxCrossEntropy: {
    arguments: {
      out: orOne(out('rows')),
      probabilities: out('rows', 'classes'),
      logits: input('rows', 'classes'),
      labels: indices('classes', input('rows')),
      rows: size,
      classes: size,
      scale: finite,
    },
    cost: (_out, probabilities) => (elementary + 4) * probabilities.length,
  },
  softmaxCrossEntropyGradient: {
    arguments: {
      out: out('rows', 'classes'),
      gradient: orOne(input('rows')),
      probabilities: input('rows', 'classes'),
      labels: indices('classes', input('rows')),
      rows: size,
      classes: size,
      scale: finite,
    },
    cost: (out) => out.length,
  },
  loss: {
    arguments: {
      out: orOne(out('prediction')),
      prediction: input(),
      target: input('prediction'),
      op: code(lossOps),
      parameter: finite,
      scale: finite,
    },
    cost: (_out, prediction, _target, op) => ({
      operations: lossWork(op) * prediction.length,
      size: `${lossOps[op]} ${prediction.length}`,
    }),
  },
  lossGradient: {
    arguments: {
      out: out('prediction'),
      gradient: orOne(input('prediction')),
      prediction: input(),
      target: input('prediction'),
      op: code(lossOps),
      parameter: finite,
      scale: finite,
      operand: flag,
    },
    cost: (out, _gradient, _prediction, _target, op) => lossWork(op) * out.length,
  },
  checkFinite: { arguments: { x: input() }, cost: () => 0, fails: () => true },

  // ── convolution and pooling ───────────────────────────────────────────────────────────────────────────────────────

  convolve: {
    arguments: { out: out(), x: input(), ...convolved },
    cost: (_out, _x, _weight, bias, geometry, activation) =>
      convolution(geometry, 'outChannels', (bias === null ? 0 : 1) + epilogueWork(activation)),
  },
  convolveTransposed: {
    arguments: { out: out(), x: input(), ...convolved },
    cost: (_out, _x, _weight, bias, geometry, activation) =>
      convolution(geometry, 'channels', (bias === null ? 0 : 1) + epilogueWork(activation)),
  },
  convolveWeightGradient: {
    arguments: { out: out(), x: input(), gradient: input(), geometry, fast: flag },
    cost: (_out, _x, _gradient, geometry) => convolution(geometry, 'outChannels'),
  },
  maxPool: {
    arguments: { out: out(), indices: int32(out()), x: input(), geometry },
    cost: (_out, _indices, _x, geometry) => pooling(geometry),
  },
  maxPoolGradient: {
    arguments: { out: out(), gradient: input(), indices: int32(input()), geometry },
    cost: (_out, gradient, _indices, geometry) => pooling(geometry, gradient.length),
  },
  averagePool: {
    arguments: { out: out(), x: input(), geometry, countPadding: flag },
    cost: (_out, _x, geometry) => pooling(geometry),
  },
  averagePoolGradient: {
    arguments: { out: out(), gradient: input(), geometry, countPadding: flag },
    cost: (_out, gradient, geometry) => pooling(geometry, windowOf(geometry) * gradient.length),
  },

  interpolate: {
    arguments: {
      out: out('batch', 'rows', 'columns', 'channels'),
      x: input('batch', 'height', 'width', 'channels'),
      ...resampling,
    },
    cost: (_out, _x, ...sizes) => interpolation(...sizes),
  },
  interpolateGradient: {
    arguments: {
      out: out('batch', 'height', 'width', 'channels'),
      gradient: input('batch', 'rows', 'columns', 'channels'),
      ...resampling,
    },
    cost: (_out, _gradient, ...sizes) => interpolation(...sizes),
  },

  // ── normalisation ─────────────────────────────────────────────────────────────────────────────────────────────────

  batchMoments: {
    arguments: {
      mean: out('channels'),
      remainder: out('channels'),
      inverse: out('channels'),
      runningMean: orNull(updated('channels')),
      runningVariance: orNull(updated('channels')),
      recentRows: orNull(updated(1)),
      x: input('rows', 'channels'),
      rows: size,
      channels: size,
      epsilon: finite,
      momentum: finite,
    },
    cost: (_mean, _remainder, _inverse, _runningMean, _runningVariance, _recentRows, x) => 4 * x.length,
  },
  batchNorm: {
    arguments: {
      out: out('rows', 'channels'),
      x: input('rows', 'channels'),
      ...columns,
      ...affine,
      rows: size,
      channels: size,
      ...epilogue,
    },
    over: 'x',
    cost: (out, _x, _mean, _remainder, _inverse, _scale, _shift, _rows, _channels, activation) =>
      (2 + epilogueWork(activation)) * out.length,
  },
  batchNormGradient: {
    arguments: {
      out: out('rows', 'channels'),
      scaleGradient: out('channels'),
      shiftGradient: out('channels'),
      gradient: input('rows', 'channels'),
      x: input('rows', 'channels'),
      ...columns,
      ...affine,
      rows: size,
      channels: size,
      activation: activationOfOutput,
      parameter: anyNumber,
      moments: flag,
    },
    over: 'gradient',
    cost: (
      out,
      _scale,
      _shift,
      gradient,
      x,
      _mean,
      _remainder,
      _inverse,
      _s,
      _t,
      _rows,
      _channels,
      activation,
    ) => ({
      operations: (9 + (activation < 0 ? 0 : 3)) * out.length,
      // Two passes over gradient and x: the sums come first.
      bytes: out.byteLength + 2 * (gradient.byteLength + x.byteLength),
    }),
  },
  layerNorm: {
    arguments: {
      out: out('rows', 'size'),
      mean: orNull(out('rows')),
      remainder: orNull(out('rows')),
      inverse: out('rows'),
      x: input('rows', 'size'),
      scale: orNull(input('size')),
      shift: orNull(input('size')),
      rows: size,
      size,
      epsilon: finite,
    },
    cost: (out) => 8 * out.length,
  },
  layerNormGradient: {
    arguments: {
      out: out('rows', 'size'),
      scaleGradient: out('size'),
      shiftGradient: out('size'),
      gradient: input('rows', 'size'),
      x: input('rows', 'size'),
      mean: orNull(input('rows')),
      remainder: orNull(input('rows')),
      inverse: input('rows'),
      scale: orNull(input('size')),
      rows: size,
      size,
    },
    over: 'gradient',
    cost: (out) => 13 * out.length,
  },

  // ── random numbers ────────────────────────────────────────────────────────────────────────────────────────────────

  randomBits: { arguments: { out: uint32(out()), state }, cost: () => 0 },
  randomUniform: {
    arguments: { out: out(), state, low: finite, high: finite },
    cost: (out) => 4 * out.length,
  },
  randomNormal: {
    arguments: { out: out(), state, mean: finite, deviation: finite },
    // Mostly the central branch: two polynomials of degree 7 and a division.
    cost: (out) => 32 * out.length,
  },
  dropoutMask: { arguments: { out: out(), state, rate }, cost: () => 0 },

  // ── optimizer updates ─────────────────────────────────────────────────────────────────────────────────────────────

  sgd: {
    arguments: {
      outs: list(updated()),
      gradients: list(input()),
      scalars: float64(input()),
      rows: int32(input('gradients')),
      hyper: float64(input(5)),
    },
    cost: (outs, gradients) => updates(gradients, outs.length > gradients.length ? 7 : 4),
  },
  adam: {
    arguments: {
      outs: list(updated()),
      gradients: list(input()),
      scalars: float64(updated()),
      rows: int32(input('gradients')),
      hyper: float64(input(5)),
      decoupled: flag,
    },
    cost: (_outs, gradients) => updates(gradients, 15),
  },

  // ── exchanges ─────────────────────────────────────────────────────────────────────────────────────────────────────

  allGatherBegin: {
    arguments: { all: float64(out()), own: float64(input()), world, kind: code(exchangeKinds), key: size },
    cost: () => 0,
    fails: () => true,
  },
  allGatherEnd: {
    arguments: { all: float64(updated()), world },
    cost: () => 0,
    waits: ([, ranks]) => areSeveral(ranks),
    fails: () => true,
  },
  allReduceBegin: {
    arguments: { parts: list(updated()), world, ticket },
    cost: () => 0,
    fails: () => true,
  },
  allReduceEnd: {
    arguments: { parts: list(updated()), world, ticket, scale: finite },
    waits: ([, ranks]) => areSeveral(ranks),
    cost: (parts, _world, _ticket, scale) =>
      scale === 1 ? 0 : parts.reduce((sum, { length }) => sum + length, 0),
    fails: () => true,
  },
  broadcast: {
    arguments: { parts: data(list(updated())), world, root: size },
    waits: ([, ranks]) => areSeveral(ranks),
    cost: () => 0,
    fails: () => true,
  },
  scatter: {
    arguments: { part: data(out()), all: data(input()), counts: int32(input()), world, root: size },
    waits: ([, , , ranks]) => areSeveral(ranks),
    cost: () => 0,
    fails: () => true,
  },
};

export const kernelNames = Object.keys(table) as (keyof Kernels)[];

const letters: Readonly<Record<Effect, string>> = { read: '-', overwritten: 'w', partly: 'w', updated: 'u' };

/**
 * Which arguments of each kernel it writes: `w` for one that is overwritten, `u` for one that is updated, `-` for all
 * others. The letter of a list holds for all its arrays.
 */
export const effects = Object.fromEntries(
  kernelNames.map((name) => {
    const facts = Object.values(table[name].arguments);
    return [name, facts.map((fact) => (isArrayFact(fact) ? letters[fact.effect] : '-')).join('')];
  }),
) as Readonly<Record<keyof Kernels, string>>;

/** Random calls of each kernel, for fast-check: sizes of 0, 1, odd ones and large ones, every flag and op code. */
import fc from 'fast-check';
import {
  binaryCode,
  binaryOps,
  exchangeKinds,
  gradientFromOutput,
  lossOps,
  reduceCode,
  reduceOps,
  unaryOps,
} from '../../lib/kernels/codes.ts';
import { type ArrayFact, isArrayFact, positiveSize, size } from '../../lib/kernels/facts.ts';
import { ops } from '../../lib/kernels/instructions.ts';
import { table } from '../../lib/kernels/table.ts';
import { allocate, type FloatDtype } from '../../lib/memory.ts';
import { generator } from '../cases/values.ts';
import type { Call, TypedArray } from './call.ts';
import { randomChain } from './chains.ts';
import { layerMakers } from './generate-layers.ts';
import { type Geometry, geometries } from './geometries.ts';
import { exactOps, isExactOp, randomList } from './lists.ts';
import type { KernelName } from './signature.ts';

/** What a generator draws from: fast-check chooses and shrinks the numbers, the seed fills the arrays. */
export interface Draw {
  readonly dtype: FloatDtype;
  /** Sizes, from 0 on. */
  readonly sizes: readonly number[];
  readonly flags: readonly (0 | 1)[];
  readonly code: number;
  readonly geometry: Geometry;
  /** Values; each call goes on in the sequence. */
  floats(length: number, low?: number, high?: number): TypedArray;
  int32(length: number, size: number): Int32Array;
  state(): Uint32Array;
}

const draws = (code: fc.Arbitrary<number>): fc.Arbitrary<Draw> =>
  fc
    .record({
      dtype: fc.constantFrom<FloatDtype>('float32', 'float64'),
      sizes: fc.array(fc.oneof(fc.constantFrom(0, 1, 2, 3, 8, 16), fc.integer({ min: 0, max: 40 })), {
        minLength: 4,
        maxLength: 4,
      }),
      // One long dimension now and then, past every block and the share of a thread.
      long: fc.option(fc.record({ at: fc.nat(3), size: fc.constantFrom(255, 1023, 4099) }), { freq: 5 }),
      flags: fc.array(fc.constantFrom<0 | 1>(0, 1), { minLength: 5, maxLength: 5 }),
      code,
      geometry: geometries,
      seed: fc.integer(),
    })
    .map(({ dtype, sizes, long, flags, code, geometry, seed }) => {
      const next = generator(seed);
      // Beside a long dimension the others stay small.
      const all = long ? sizes.map((size, i) => (i === long.at ? long.size : size % 6)) : sizes;
      return {
        dtype,
        sizes: all,
        flags,
        code,
        geometry,
        floats: (length, low = -2, high = 2) =>
          allocate(length, dtype).map(() => low + (high - low) * next()),
        int32: (length, size) => new Int32Array(length).map(() => Math.floor(next() * size)),
        state: () => new Uint32Array(6).map(() => next() * 2 ** 32),
      };
    });

const fromOutput: ReadonlySet<string> = new Set(gradientFromOutput);

/** dims, and for each operand strides that walk over a contiguous array broadcast along some dims. */
function broadcasting(draw: Draw, operands: number): { layout: Int32Array; size: number; lengths: number[] } {
  const dims = draw.sizes.slice(0, 1 + (draw.code % 3)).map((size) => size % 12);
  const lengths: number[] = [];
  const strides: number[] = [];
  for (let operand = 0; operand < operands; operand++) {
    let length = 1;
    const own = dims.map(() => 0);
    for (let axis = dims.length - 1; axis >= 0; axis--) {
      const repeats = ((draw.code >> (2 + operand * 3 + axis)) & 1) === 1;
      if (repeats) continue;
      own[axis] = length;
      length *= dims[axis];
    }
    lengths.push(length);
    strides.push(...own);
  }
  return { layout: Int32Array.of(...dims, ...strides), size: dims.reduce((a, b) => a * b, 1), lengths };
}

export type Make = (draw: Draw) => unknown[];

/** Of all sizes, so that they wrap around, or few, so that they tie. */
const integers = (draw: Draw, length: number): Int32Array =>
  draw.int32(length, draw.flags[3] ? 4 : 2 ** 32).map((value) => value - 2);

/** Of int32 there are not all ops. */
const opsOfIntegers = binaryOps.filter((op) => op !== 'div' && op !== 'pow').map((op) => binaryCode[op]);

const binaryLike = (draw: Draw, gradient: boolean): unknown[] => {
  const isInteger = !gradient && draw.flags[4] === 1;
  const op = isInteger ? opsOfIntegers[draw.code % opsOfIntegers.length] : draw.code % binaryOps.length;
  const plain = draw.flags[0] === 1;
  const n = draw.sizes[0];
  const { layout, size, lengths } = plain
    ? { layout: null, size: n, lengths: [draw.flags[1] ? 1 : n, draw.flags[2] ? 1 : n] }
    : broadcasting(draw, 2);
  const [a, b] = lengths.map((length) => (isInteger ? integers(draw, length) : draw.floats(length, 0.25, 2)));
  const out = isInteger ? new Int32Array(size) : draw.floats(size);
  return gradient ? [out, draw.floats(size), a, b, layout, op, draw.flags[3]] : [out, a, b, layout, op];
};

/**
 * Matrices in any order of axes, with gaps, within arrays that are longer; those of a and b may be one or overlap, those of
 * a c that is added to may be one.
 */
function productLayout(
  draw: Draw,
  [batch, m, n, k, transposeA, transposeB]: readonly number[],
  sums: boolean,
): { layout: Int32Array; lengths: number[] } {
  const random = (below: number) => draw.int32(1, below)[0];
  const outer = [1, 2, 3].filter((count) => batch % count === 0)[random(2)] ?? batch;
  const inner = outer === 0 ? 0 : batch / outer;
  const lengths: number[] = [];
  const layout = [outer, inner];
  const matrices = [[m, n], transposeA === 1 ? [k, m] : [m, k], transposeB === 1 ? [n, k] : [k, n]];
  for (const [index, [rows, columns]] of matrices.entries()) {
    const counts = [outer, inner, rows];
    const strides = [0, 0, columns + random(3)];
    const offset = random(4);
    let span = columns;
    let last = columns - 1;
    for (const axis of [
      [0, 1, 2],
      [1, 0, 2],
      [1, 2, 0],
      [2, 1, 0],
    ][random(4)].toReversed()) {
      const overlaps = axis < 2 && (index > 0 || sums) && random(4) === 0;
      strides[axis] = overlaps ? random(index === 0 ? 1 : 6) : span + random(3);
      const reach = Math.max(0, counts[axis] - 1) * strides[axis];
      last += reach;
      span = overlaps ? Math.max(span, span + reach) : span + reach;
    }
    layout.push(offset, ...strides);
    lengths.push(offset + (counts.includes(0) || columns === 0 ? 0 : last + 1) + random(3));
  }
  return { layout: Int32Array.from(layout), lengths };
}

const product = (draw: Draw, accumulate: boolean): unknown[] => {
  const [m, n, k] = draw.sizes;
  const batch = draw.sizes[3] % 4;
  const [transposeA, transposeB, shareA, shareB, shareC] = draw.flags;
  const strideA = shareA ? 0 : m * k;
  const strideB = shareB ? 0 : k * n;
  const sizes = [batch, m, n, k, transposeA, transposeB];
  const placed = draw.code % 8 < 4;
  const { layout, lengths } = productLayout(draw, sizes, accumulate);
  const [c, a, b] = (
    placed
      ? lengths
      : [
          shareC && accumulate ? m * n : batch * m * n,
          shareA ? m * k : batch * m * k,
          shareB ? k * n : batch * k * n,
        ]
  ).map((length) => draw.floats(length));
  const strides = placed ? [0, 0, 0] : [strideA, strideB, shareC ? 0 : m * n];
  if (accumulate) return [c, a, b, ...sizes, ...strides, placed ? layout : null];
  const bias = draw.code % 2 === 0 ? null : draw.floats(n);
  // relu, sigmoid, tanh, leakyRelu or none: the others have cases of their own, with inputs in their domain.
  const activation = [unaryOps.indexOf('relu'), unaryOps.indexOf('sigmoid'), unaryOps.indexOf('tanh'), -1][
    draw.code % 4
  ];
  return [c, a, b, bias, ...sizes, ...strides.slice(0, 2), activation, 0.25, placed ? layout : null];
};

/** An array of each size. */
const lists = ({ sizes, floats }: Draw): TypedArray[] => sizes.map((size) => floats(size));

/** A row for each of them, the last one first. */
const rowsOf = ({ sizes }: Draw): Int32Array => Int32Array.from(sizes, (_, i) => sizes.length - 1 - i);

/** Ops without jumps and poles, and not steep, so that a chain of them stays near what both implementations compute. */
const smoothOps = ops.filter(
  ({ form, code }) =>
    (form === 'unary' && ['neg', 'scale', 'silu', 'softplus', 'sigmoid', 'tanh'].includes(unaryOps[code])) ||
    (form === 'binary' && ['add', 'sub', 'mul'].includes(binaryOps[code])) ||
    (form === 'binaryGradient' && ['add', 'sub', 'mul'].includes(binaryOps[code])) ||
    (form === 'unaryGradient' && ['sigmoid', 'tanh', 'softplus', 'silu', 'gelu'].includes(unaryOps[code])) ||
    (form.startsWith('loss') && ['squaredError', 'binaryCrossEntropyWithLogits'].includes(lossOps[code])),
);

/** What is known and counted of the ranks of a job: of this process alone. */
const alone = ({ int32 }: Draw): Float64Array => Float64Array.of(1, ...int32(4, 2 ** 31));

/** Of the kernels that ask for more than the table says: layouts, geometries, numbers of a domain, a world. */
const makers: Partial<Readonly<Record<KernelName, Make>>> = {
  ...layerMakers,
  gemm: (draw) => product(draw, false),
  gemmAccumulate: (draw) => product(draw, true),
  unary: (draw) => {
    const n = draw.sizes[0] * draw.sizes[1];
    return [draw.floats(n), draw.floats(n, 0.25, 3), draw.code % unaryOps.length, 0.5, 1.5];
  },
  unaryGradient: (draw) => {
    const n = draw.sizes[0] * draw.sizes[1];
    const op = draw.code % unaryOps.length;
    const name = unaryOps[op];
    const kept = draw.floats(n, 0.25, 0.75);
    const free = name === 'neg' || name === 'scale';
    const output = fromOutput.has(name);
    return [
      draw.floats(n),
      draw.floats(n),
      output || free ? null : kept,
      output ? kept : null,
      op,
      0.5,
      0.625,
    ];
  },
  binary: (draw) => binaryLike(draw, false),
  binaryGradient: (draw) => binaryLike(draw, true),
  where: (draw) => {
    const { layout, size, lengths } = broadcasting(draw, 3);
    const isInteger = draw.flags[4] === 1;
    const [condition, a, b] = lengths.map((length) =>
      isInteger ? integers(draw, length) : draw.floats(length),
    );
    return [
      isInteger ? new Int32Array(size) : draw.floats(size),
      condition.map((x) => (x > 0 ? 1 : 0)),
      a,
      b,
      layout,
    ];
  },
  fill: (draw) => [draw.floats(draw.sizes[0] * draw.sizes[1]), draw.code / 7],
  cast: (draw) => {
    const n = draw.sizes[0] * draw.sizes[1];
    const targets = [new Float32Array(n), new Float64Array(n), new Int32Array(n)];
    return [targets[draw.code % 3], draw.flags[0] ? draw.int32(n, 1000) : draw.floats(n, -1e5, 1e5)];
  },
  copy: (draw) => {
    const [a, b, c] = draw.sizes;
    const x = draw.flags[0] ? draw.int32(a * b * c, 100) : draw.floats(a * b * c);
    const out = x.slice().fill(7);
    const [first, second] = [draw.flags[1] ? -1 : 1, draw.flags[2] ? -1 : 1];
    const size = a * b * c;
    // Axes 0 and 2 exchanged, each of them backwards or not.
    const strides = [b * c * first, c, second];
    const offset = (first < 0 ? (a - 1) * b * c : 0) + (second < 0 ? c - 1 : 0);
    return [out, x, Int32Array.of(a, b, c, 1, a, a * b, ...strides, 0, size === 0 ? 0 : offset)];
  },
  reduce: (draw) => {
    const [k0, r0, k1, r1] = draw.sizes;
    if (draw.flags[4] === 1) {
      const op = [reduceCode.sum, reduceCode.max, reduceCode.min][draw.code % 3];
      // Sums have to fit, and of nothing there is no largest.
      const isSum = op === reduceCode.sum || r0 * r1 === 0;
      const n = k0 * r0 * k1 * r1;
      const x = isSum ? draw.int32(n, 2 ** 16).map((value) => value - 2 ** 15) : integers(draw, n);
      return [new Int32Array(k0 * k1), x, k0, r0, k1, r1, isSum ? reduceCode.sum : op, 1];
    }
    const op = draw.code % reduceOps.length;
    // Near 1, so that a product of many stays in range.
    const near =
      op === reduceCode.product ? draw.floats(k0 * r0 * k1 * r1, 0.9, 1.1) : draw.floats(k0 * r0 * k1 * r1);
    const scale = op === reduceCode.max || op === reduceCode.min ? 1 : 0.3;
    return [draw.floats(k0 * k1), near, k0, r0, k1, r1, op, scale];
  },
  argmax: (draw) => {
    const [outer, size, inner] = [draw.sizes[0], draw.sizes[1] + 1, draw.sizes[2]];
    // Integers tie often.
    return [
      new Int32Array(outer * inner),
      draw.flags[4]
        ? integers(draw, outer * size * inner)
        : draw.floats(outer * size * inner, 0, 9).map(Math.floor),
      outer,
      size,
      inner,
      draw.flags[0],
    ];
  },
  softmax: (draw) => {
    const [outer, size, inner] = draw.sizes;
    const n = outer * size * inner;
    return [draw.floats(n), draw.floats(n, -9, 9), outer, size, inner, draw.flags[0]];
  },
  softmaxGradient: (draw) => {
    const [outer, size, inner] = draw.sizes;
    const n = outer * size * inner;
    const y = draw.flags[0] ? draw.floats(n, -4, -0.1) : draw.floats(n, 0, 1);
    return [draw.floats(n), draw.floats(n), y, outer, size, inner, draw.flags[0]];
  },
  logSumExp: (draw) => {
    const [outer, size, inner] = draw.sizes;
    return [draw.floats(outer * inner), draw.floats(outer * size * inner, -9, 9), outer, size, inner];
  },
  softmaxCrossEntropy: (draw) => {
    const [rows, classes] = [draw.sizes[0], draw.sizes[1] + 1];
    const n = rows * classes;
    const out = draw.floats(draw.flags[0] ? 1 : rows);
    return [out, draw.floats(n), draw.floats(n, -9, 9), draw.int32(rows, classes), rows, classes, 0.3];
  },
  loss: (draw) => {
    const n = draw.sizes[0] * draw.sizes[1];
    const out = draw.floats(draw.flags[0] ? 1 : n);
    return [
      out,
      draw.floats(n, 0.05, 0.95),
      draw.floats(n, 0.05, 0.95),
      draw.code % lossOps.length,
      0.25,
      0.3,
    ];
  },
  lossGradient: (draw) => {
    const n = draw.sizes[0] * draw.sizes[1];
    const gradient = draw.floats(draw.flags[0] ? 1 : n);
    const [p, t] = [draw.floats(n, 0.05, 0.95), draw.floats(n, 0.05, 0.95)];
    return [draw.floats(n), gradient, p, t, draw.code % lossOps.length, 0.25, 0.3, draw.flags[1]];
  },
  randomUniform: (draw) => [draw.floats(draw.sizes[0] * draw.sizes[1]), draw.state(), -1, 2],
  elementwise: (draw) => {
    const [scalars, shared, constants] = draw.sizes.slice(1).map((size) => size % 4);
    const counts = { outs: 1 + draw.flags[0], ins: 1 + draw.flags[1], scalars, shared, constants };
    const code = randomList(generator(draw.code), counts, draw.code % 20, exactOps);
    const groups = draw.sizes.length;
    return [
      draw.sizes.flatMap((size) => Array.from({ length: counts.outs }, () => draw.floats(size))),
      draw.sizes.flatMap((size) => Array.from({ length: counts.ins }, () => draw.floats(size))),
      Float64Array.from(draw.floats(groups * scalars)),
      scalars === 0 ? new Int32Array(0) : Int32Array.from({ length: groups }, (_, i) => groups - 1 - i),
      Float64Array.from(draw.floats(shared)),
      Float64Array.from(draw.floats(constants)),
      code,
      0,
    ];
  },
  fused: (draw) => {
    const next = generator(draw.code);
    const exact = draw.flags[0] === 1;
    const { outs, ins, layout, code, constants } = randomChain({
      dtype: draw.dtype,
      sizes: draw.sizes.map((size) => size % 24),
      instructions: draw.code % 8,
      ops: exact ? ops.filter(isExactOp) : smoothOps,
      reductions: exact ? [reduceCode.max, reduceCode.min] : [reduceCode.sum, reduceCode.sumOfSquares],
      next,
      value: () => draw.floats(1, 0.25, 0.75)[0],
    });
    return [outs, ins, layout, code, constants];
  },
  sgd: (draw) => {
    const each = 1 + draw.flags[0];
    const hyper = Float64Array.of(0.1, each === 1 ? 0 : 0.9, 0.25, draw.flags[1], 0.01);
    const outs = draw.sizes.flatMap((size) => Array.from({ length: each }, () => draw.floats(size)));
    return [outs, lists(draw), Float64Array.from(draw.int32(draw.sizes.length, 2)), rowsOf(draw), hyper];
  },
  adam: (draw) => {
    const outs = draw.sizes.flatMap((size) => [-2, -2, 0].map((low) => draw.floats(size, low)));
    const scalars = draw.sizes.flatMap((_, i) => [(draw.code >> i) & 1, i + (draw.code % 3)]);
    const hyper = Float64Array.of(0.01, 0.9, 0.999, 1e-8, 0.1);
    return [outs, lists(draw), Float64Array.from(scalars), rowsOf(draw), hyper, draw.flags[0]];
  },
  allGatherBegin: (draw) => {
    const own = Float64Array.from(draw.floats(draw.sizes[0] % 17));
    const kind = draw.code % exchangeKinds.length;
    return [new Float64Array(own.length), own, alone(draw), kind, draw.sizes[1]];
  },
  allGatherEnd: (draw) => [Float64Array.from(draw.floats(draw.sizes[0] % 17)), alone(draw)],
  allReduceBegin: (draw) => [lists(draw), alone(draw), draw.code % 256],
  allReduceEnd: (draw) => [lists(draw), alone(draw), draw.code % 256, draw.flags[0] ? 1 : draw.code / 7],
  broadcast: (draw) => {
    const parts = draw.flags[0] ? draw.sizes.map((size) => integers(draw, size)) : lists(draw);
    return [parts, alone(draw), 0];
  },
  scatter: (draw) => {
    const make = (length: number) => (draw.flags[0] ? integers(draw, length) : draw.floats(length));
    const length = draw.sizes[0] * draw.sizes[1];
    return [make(length), make(length), Int32Array.of(length), alone(draw), 0];
  },
};

/** Arguments as the table describes them: numbers first, then arrays of the lengths that follow. */
function fromTable(kernel: KernelName, draw: Draw): unknown[] {
  const facts = Object.entries(table[kernel].arguments);
  const bounds = facts.map(([, fact]) => isArrayFact(fact) && fact.contents?.below);
  const numbers = new Map<string, number>();
  for (const [name, fact] of facts) {
    if (isArrayFact(fact)) {
      if (fact.isList) numbers.set(name, draw.sizes.length);
      continue;
    }
    const { range = null } = fact;
    const drawn = draw.sizes[numbers.size % draw.sizes.length];
    if (fact === size || fact === positiveSize) {
      numbers.set(name, drawn + Number(fact === positiveSize || bounds.includes(name)));
    } else if (range !== null) {
      numbers.set(name, range[0] + (draw.code % (range[1] - range[0] + 1)));
    } else {
      numbers.set(name, (draw.code % 100) / 100);
    }
  }
  // What has no length of its own is as long as what refers to it.
  const plain = draw.sizes[0] * draw.sizes[1];
  const arrayOf = ({ elements, length, contents }: ArrayFact, isOne: boolean): TypedArray => {
    const counts = length?.map((count) =>
      typeof count === 'number' ? count : (numbers.get(count) ?? plain),
    );
    const count = isOne ? 1 : (counts?.reduce((product, factor) => product * factor, 1) ?? plain);
    const below = contents === null ? 2 : numbers.get(contents.below)!;
    if (elements === 'Int32') return draw.int32(count, below);
    if (elements === 'Uint32') return Uint32Array.from(draw.int32(count, 2 ** 31));
    return elements === 'Float64' ? Float64Array.from(draw.floats(count)) : draw.floats(count);
  };
  return facts.map(([name, fact], at) => {
    if (!isArrayFact(fact)) return numbers.get(name);
    const choice = draw.flags[at % draw.flags.length] === 1;
    if (fact.orNull && choice) return null;
    return fact.isList ? lists(draw) : arrayOf(fact, fact.orOne && choice);
  });
}

/** Arguments of a right call. */
export function argumentsOf(kernel: KernelName, draw: Draw): unknown[] {
  return makers[kernel]?.(draw) ?? fromTable(kernel, draw);
}

/** @param code what ops are chosen by */
export function randomCall(kernel: KernelName, code = fc.nat(10000)): fc.Arbitrary<Call> {
  return draws(code).map((draw) => ({ kernel, args: argumentsOf(kernel, draw), from: 'a random call' }));
}

/** What the contract of a kernel allows and no op uses yet: every code, epilogue, stride and aliasing. */
import {
  binaryCode,
  binaryOps,
  type Float,
  gradientFromOutput,
  kernels,
  lossOps,
  reduceCode,
  reduceOps,
  unaryCode,
  unaryOps,
} from '../../lib/kernels/index.ts';
import { ops } from '../../lib/kernels/instructions.ts';
import { allocate, type FloatDtype } from '../../lib/memory.ts';
import { type DirectCase, defineCases } from './case.ts';
import { generator, hash } from './values.ts';

/** Uniform values; the name is the seed. */
function random(name: string, dtype: FloatDtype, length: number, low = -2, high = 2): Float {
  const next = generator(hash(name));
  return allocate(length, dtype).map(() => low + (high - low) * next()) as Float;
}

/** From −bound on and below it. */
function integers(name: string, length: number, bound: number): Int32Array {
  return Int32Array.from(random(name, 'float64', length, -bound, bound), Math.floor);
}

const activations: DirectCase[] = unaryOps.map((op) => ({
  name: `gemm with ${op}`,
  run: (dtype) => {
    // Positive sums, for log and sqrt.
    const [a, b, bias] = [
      random('a', dtype, 15, 0.5, 1),
      random('b', dtype, 20, 0.5, 1),
      random('bias', dtype, 4, 0, 1),
    ];
    kernels.gemm(allocate(12, dtype), a, b, bias, 1, 3, 4, 5, 0, 0, 0, 0, unaryCode[op], 0.5, null);
  },
}));

const products: DirectCase[] = ([0, 1] as const).flatMap((transposeA) =>
  ([0, 1] as const).flatMap((transposeB) =>
    [
      { strideA: 6, strideB: 12 },
      { strideA: 0, strideB: 12 },
      { strideA: 6, strideB: 0 },
      { strideA: 0, strideB: 0 },
    ].map(({ strideA, strideB }) => ({
      name: `batched gemm ${transposeA}${transposeB}, strides ${strideA} and ${strideB}`,
      run: (dtype: FloatDtype) => {
        const [batch, m, n, k] = [3, 2, 4, 3];
        const a = random('a', dtype, strideA === 0 ? 6 : 18);
        const b = random('b', dtype, strideB === 0 ? 12 : 36);
        const bias = random('bias', dtype, n);
        kernels.gemm(
          random('c', dtype, 24),
          a,
          b,
          bias,
          batch,
          m,
          n,
          k,
          transposeA,
          transposeB,
          strideA,
          strideB,
          -1,
          0,
          null,
        );
        for (const strideC of [0, m * n]) {
          const c = random('c', dtype, strideC === 0 ? 8 : 24);
          kernels.gemmAccumulate(
            c,
            a,
            b,
            batch,
            m,
            n,
            k,
            transposeA,
            transposeB,
            strideA,
            strideB,
            strideC,
            null,
          );
        }
      },
    })),
  ),
);

const fromOutput: ReadonlySet<string> = new Set(gradientFromOutput);

export default defineCases({
  op: 'kernels',
  cases: [],
  direct: [
    ...activations,
    ...products,
    {
      name: 'gemm of nothing, with bias and activation',
      run: (dtype) => {
        const none = allocate(0, dtype);
        kernels.gemm(
          allocate(6, dtype),
          none,
          none,
          random('bias', dtype, 3),
          1,
          2,
          3,
          0,
          0,
          0,
          0,
          0,
          unaryCode.exp,
          0,
          null,
        );
        kernels.gemm(allocate(6, dtype), none, none, null, 1, 2, 3, 0, 1, 1, 0, 0, -1, 0, null);
        kernels.gemmAccumulate(random('c', dtype, 6), none, none, 1, 2, 3, 0, 0, 0, 0, 0, 0, null);
        kernels.gemm(none, none, random('b', dtype, 6), null, 0, 2, 3, 2, 0, 0, 4, 0, -1, 0, null);
      },
    },
    {
      name: 'products within longer arrays',
      run: (dtype) => {
        // outer and inner, then offset, outer, inner and row stride of c, a and b.
        const layout = Int32Array.of(2, 2, 1, 20, 4, 9, 0, 12, 2, 5, 2, 0, 6, 3);
        const [c, a, b] = [random('c', dtype, 60), random('a', dtype, 34), random('b', dtype, 20)];
        kernels.gemm(c, a, b, random('bias', dtype, 3), 4, 2, 3, 4, 0, 0, 0, 0, unaryCode.tanh, 0, layout);
        kernels.gemmAccumulate(c, a, b, 4, 2, 3, 4, 0, 0, 0, 0, 0, layout);
        kernels.gemmAccumulate(c, a, b, 4, 2, 3, 4, 0, 0, 0, 0, 0, layout.with(3, 0).with(12, 5));
      },
    },
    {
      name: 'elementwise in place',
      run: (dtype) => {
        for (let op = 0; op < unaryOps.length; op++) {
          const x = random(unaryOps[op], dtype, 21, 0.5, 2);
          kernels.unary(x, x, op, 0.5, 1.5);
          const gradient = random('gradient', dtype, 21);
          const kept = random('kept', dtype, 21, 0.25, 0.75);
          const output = fromOutput.has(unaryOps[op]);
          const free = unaryOps[op] === 'neg' || unaryOps[op] === 'scale';
          const input = output || free ? null : kept;
          kernels.unaryGradient(gradient, gradient, input, output ? kept : null, op, 0.5, 1.5);
        }
        for (let op = 0; op < binaryOps.length; op++) {
          const [a, b] = [random('a', dtype, 21, 0.5, 2), random('b', dtype, 21, 0.5, 2)];
          kernels.binary(a, a, b, null, op);
          kernels.binary(b, a, b, null, op);
          const gradient = random('gradient', dtype, 21);
          kernels.binaryGradient(
            gradient,
            gradient,
            a.map(Math.abs) as Float,
            b.map(Math.abs) as Float,
            null,
            op,
            1,
          );
        }
        for (let op = 0; op < lossOps.length; op++) {
          const gradient = random('gradient', dtype, 21);
          const [p, t] = [random('p', dtype, 21, 0.25, 0.75), random('t', dtype, 21, 0.25, 0.75)];
          kernels.lossGradient(gradient, gradient, p, t, op, 0.125, 0.5, 0);
          kernels.lossGradient(p, random('one', dtype, 1), p, t, op, 0.125, 0.5, 1);
        }
        const [a, b] = [random('a', dtype, 21), random('b', dtype, 21)];
        kernels.where(a, b, a, b, null);
      },
    },
    {
      name: 'int32',
      run: () => {
        const few = integers('few', 24, 2);
        for (const a of [few, integers('all', 24, 2 ** 31)]) {
          const b = a.toReversed();
          for (const [op, name] of binaryOps.entries()) {
            if (name === 'div' || name === 'pow') continue;
            kernels.binary(new Int32Array(24), a, b, null, op);
            kernels.binary(a.slice(), a, b.subarray(0, 1), null, op);
            kernels.binary(new Int32Array(24), a, b.subarray(0, 4), Int32Array.of(6, 4, 4, 1, 0, 1), op);
          }
          kernels.where(new Int32Array(24), few, a, b, null);
          for (const op of [reduceCode.max, reduceCode.min]) {
            kernels.reduce(new Int32Array(4), a, 2, 3, 2, 2, op, 1);
          }
          for (const least of [0, 1] as const) kernels.argmax(new Int32Array(8), a, 2, 3, 4, least);
        }
        kernels.reduce(new Int32Array(4), few, 2, 3, 2, 2, reduceCode.sum, 1);
        kernels.reduce(new Int32Array(2), new Int32Array(0), 2, 0, 1, 1, reduceCode.sum, 1);
      },
    },
    {
      name: 'both operands the same array',
      run: (dtype) => {
        const a = random('a', dtype, 9, 0.5, 2);
        for (let op = 0; op < binaryOps.length; op++) {
          kernels.binary(allocate(9, dtype), a, a, null, op);
          for (const operand of [0, 1] as const) {
            kernels.binaryGradient(allocate(9, dtype), random('dy', dtype, 9), a, a, null, op, operand);
          }
        }
      },
    },
    {
      name: 'operands of one element without layout',
      run: (dtype) => {
        const [one, many, dy] = [
          random('one', dtype, 1, 0.5, 1),
          random('many', dtype, 19, 0.5, 1),
          random('dy', dtype, 19),
        ];
        for (let op = 0; op < binaryOps.length; op++) {
          for (const [a, b] of [
            [one, many],
            [many, one],
            [one, one],
          ]) {
            kernels.binary(allocate(19, dtype), a, b, null, op);
            for (const operand of [0, 1] as const) {
              kernels.binaryGradient(allocate(19, dtype), dy, a, b, null, op, operand);
            }
          }
        }
      },
    },
    {
      name: 'layouts of rank 16, and of steps that skip elements',
      run: (dtype) => {
        const dims = [2, 1, 1, 2, 1, 1, 1, 3, 1, 1, 1, 1, 1, 1, 1, 2];
        const deep = Int32Array.from([
          ...dims,
          ...[12, 0, 0, 6, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 1],
          ...[0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1],
        ]);
        kernels.binary(allocate(24, dtype), random('a', dtype, 24), random('b', dtype, 6), deep, 2);
        // a is stepped through by 2 and b by 3, within longer arrays.
        const sparse = Int32Array.from([5, 2, 3]);
        kernels.binary(allocate(5, dtype), random('a', dtype, 9), random('b', dtype, 13), sparse, 0);
        kernels.binaryGradient(
          allocate(5, dtype),
          random('dy', dtype, 5),
          random('a', dtype, 9),
          random('b', dtype, 13),
          sparse,
          2,
          0,
        );
        kernels.where(
          allocate(5, dtype),
          random('c', dtype, 5),
          random('a', dtype, 9),
          random('b', dtype, 13),
          Int32Array.from([5, 1, 2, 3]),
        );
      },
    },
    {
      name: 'every reduction',
      run: (dtype) => {
        for (let op = 0; op < reduceOps.length; op++) {
          const scale = op === reduceCode.max || op === reduceCode.min ? 1 : 0.5;
          for (const [k0, r0, k1, r1] of [
            [2, 3, 4, 5],
            [1, 37, 1, 1],
            [3, 1, 1, 131],
            [1, 65, 9, 1],
            [2, 0, 3, 1],
            [0, 3, 1, 1],
          ]) {
            const x = random(reduceOps[op], dtype, k0 * r0 * k1 * r1, 0.5, 1.5);
            kernels.reduce(allocate(k0 * k1, dtype), x, k0, r0, k1, r1, op, scale);
            // Of nothing, a result of 0 that is taken again.
            const none = allocate(0, dtype);
            if (scale !== 1) kernels.reduce(allocate(k0 * k1, dtype), none, k0, r0, k1, 0, op, 0);
          }
        }
      },
    },
    {
      name: 'chains of every op, ended by every reduction',
      run: (dtype) => {
        const layout = Int32Array.of(
          2,
          3,
          5,
          1,
          3,
          2,
          3,
          5,
          0,
          15,
          5,
          1,
          0,
          0,
          0,
          1,
          0,
          5,
          1,
          10,
          0,
          0,
          0,
          0,
        );
        const ins = [
          random('a', dtype, 30, 0.25, 0.75),
          random('b', dtype, 5, 0.25, 0.75),
          Int32Array.from({ length: 48 }, (_, i) => i % 3),
          random('one', dtype, 1, 0.25, 0.75),
        ];
        for (const [number, op] of ops.entries()) {
          const operands = [0, 1, 2].slice(0, op.arrays);
          const parameters = [4, 5].slice(0, op.parameters);
          const reduce = number % reduceOps.length;
          const scale = reduce === reduceCode.max || reduce === reduceCode.min ? -1 : 4;
          const code = Int32Array.of(2, 6, -1, -1, 6, reduce, scale, number, ...operands, ...parameters);
          const outs = [random('out', dtype, 30), random('sum', dtype, 10)];
          kernels.fused(outs, ins, layout, code, Float64Array.of(0.5, 0.75));
        }
      },
    },
    {
      name: 'chains of nothing, of no axes, and in place',
      run: (dtype) => {
        const code = Int32Array.of(1, 2, -1, -1, unaryOps.length + binaryCode.add, 0, 1);
        const x = random('x', dtype, 70);
        kernels.fused([x], [x, x], Int32Array.of(70, 1, 1, 1, 1, 70, 0, 1, 0, 1), code, new Float64Array(0));
        const one = [random('y', dtype, 1), Int32Array.of(3)];
        kernels.fused(
          [x.subarray(0, 1) as Float],
          one,
          Int32Array.of(1, 1, 1, 1, 0, 0, 0),
          code,
          new Float64Array(0),
        );
        const none = allocate(0, dtype);
        const layout = Int32Array.of(0, 1, 3, 1, 2, 0, 3, 0, 3, 1, 9, 0, 0);
        kernels.fused([none], [none, none], layout, code, new Float64Array(0));
        const sum = Int32Array.of(1, 0, reduceCode.sum, -1);
        kernels.fused(
          [allocate(4, dtype)],
          [none],
          Int32Array.of(2, 0, 2, 1, 1, 0, 0, 1),
          sum,
          new Float64Array(0),
        );
        kernels.fused([], [], Int32Array.of(1, 1, 1, 1, 0), Int32Array.of(0), new Float64Array(0));
      },
    },
    {
      name: 'copy backwards, over gaps and repeated',
      run: (dtype) => {
        for (const type of [dtype, 'int32'] as const) {
          const x = allocate(24, type);
          for (let i = 0; i < x.length; i++) x[i] = i;
          // dims, strides of out, strides of x, offsets of out and x
          kernels.copy(allocate(24, type).fill(-7), x, Int32Array.of(4, 3, 6, 2, -6, -1, 0, 23));
          kernels.copy(allocate(24, type).fill(-7), x, Int32Array.of(4, 3, -6, -2, 0, 1, 23, 2));
          kernels.copy(allocate(24, type).fill(-7), x, Int32Array.of(2, 3, 4, 12, 4, 1, 4, 8, 1, 0, 0));
          kernels.copy(allocate(24, type).fill(-7), x, Int32Array.of(0, 3, 6, 2, 1, 1, 5, 5));
        }
      },
    },
    {
      name: 'checkFinite of nothing and of much',
      run: (dtype) => {
        for (const length of [0, 1, 67]) kernels.checkFinite(random('x', dtype, length));
      },
    },
    {
      name: 'gather and scatter with every index the same',
      run: (dtype) => {
        const same = new Int32Array(9).fill(2);
        kernels.gather(allocate(27, dtype), random('x', dtype, 12), same, 9, 4, 3);
        kernels.scatterAdd(random('out', dtype, 12), random('x', dtype, 27), same, 9, 4, 3);
      },
    },
  ],
  bad: [],
  bench: [],
});

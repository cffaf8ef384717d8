/** Chains against the calls that they stand for, one by one, bit for bit. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { unaryCode } from '../lib/kernels/codes.ts';
import {
  binaryCode,
  createProgram,
  type Float,
  kernels,
  lossCode,
  reduceCode,
} from '../lib/kernels/index.ts';
import { assemble, instructionsFrom, opNumber, ops } from '../lib/kernels/instructions.ts';
import { allocate, type FloatDtype } from '../lib/memory.ts';
import { generator } from './cases/generator.ts';
import { type Chain, everyReduction, oneByOne, randomChain } from './contract/chains.ts';

function expectSame(got: ArrayLike<number>, wanted: ArrayLike<number>, what: string): void {
  expect(got.length).toBe(wanted.length);
  for (let i = 0; i < wanted.length; i++) {
    if (!Object.is(got[i], wanted[i])) expect(got[i], `${what}[${i}]`).toBe(wanted[i]);
  }
}

function run({ outs, ins, layout, code, constants }: Chain): void {
  kernels.fused(outs, ins, layout, code, constants);
}

function expectOneByOne(chain: Chain): void {
  const wanted = oneByOne(kernels, chain);
  run(chain);
  chain.outs.forEach((out, i) => {
    expectSame(out, wanted[i], `outs[${i}]`);
  });
}

/** Numbers near and far; those whose squares and products leave the range of their type. */
const ends: Record<FloatDtype, readonly number[]> = {
  float32: [Number.NaN, Infinity, -Infinity, 0, -0, 1e38, -3e38, 2e19, -3e19, 1e-40, 1, 2 ** 24 + 1],
  float64: [Number.NaN, Infinity, -Infinity, 0, -0, 1.5e308, -1.7e308, 2e154, -1e160, 5e-324, 1],
};

const sizes = fc.oneof(fc.constantFrom(0, 1, 1, 2, 3), fc.integer({ min: 1, max: 40 }));
const drawnSizes = fc.oneof(
  fc.tuple(sizes, sizes, sizes, sizes),
  // Past every block: rows, columns, and runs of a general reduction.
  fc.constantFrom(
    ...[
      [1, 1, 1, 40_001],
      [3, 1, 1, 33_000],
      [2, 1, 300, 65],
      [1, 9001, 3, 1],
      [1, 70, 517, 1],
      [2, 300, 513, 1],
      [1, 2, 1025, 1],
      [1, 3, 2, 4100],
      [2, 2, 1500, 3],
      [1, 1, 9000, 1],
    ],
  ),
);

const chains = fc
  .record({
    dtype: fc.constantFrom<FloatDtype>('float32', 'float64'),
    sizes: drawnSizes,
    instructions: fc.nat(12),
    /** How many of the numbers are ends of the range, and of which kind alone. */
    share: fc.constantFrom(0, 0.02, 0.5),
    only: fc.option(fc.nat(11)),
    seed: fc.integer(),
  })
  .map((drawn) => {
    const next = generator(drawn.seed);
    const palette = ends[drawn.dtype];
    const value = () => {
      if (next() >= drawn.share) return 4 * next() - 2;
      return palette[(drawn.only ?? Math.floor(next() * palette.length)) % palette.length];
    };
    return randomChain({ ...drawn, ops, reductions: everyReduction, next, value });
  });

test('a chain gives what its calls give one by one', () => {
  fc.assert(fc.property(chains, expectOneByOne), { numRuns: Number(process.env.AXPY_LIST_RUNS ?? 300) });
}, 120_000);

const all = (dtype: FloatDtype, length: number, value: (i: number) => number) =>
  allocate(length, dtype).map((_, i) => value(i)) as Float;

test.each(ops.map((op, number) => [`${op.form} ${op.code} by ${op.operand}`, op, number] as const))(
  '%s: elements, numbers and large ones',
  (_, op, number) => {
    for (const dtype of ['float32', 'float64'] as const) {
      const large = ends[dtype];
      const n = 2085;
      // Ends of the range here and there, so that some of a vector leave it.
      const ins = [0, 1, 2].map((k) =>
        all(dtype, n, (i) =>
          i % 37 === 5 * k ? large[(i + k) % large.length] : ((i * (k + 3)) % 17) / 8 - 0.9,
        ),
      );
      ins.push(all(dtype, 1, () => 0.75));
      const walks = [0, 1, 2].map(() => [0, 1]);
      const layout = Int32Array.from([1, 1, 1, n, 1, n, ...walks.flat(), 0, 0]);
      for (const constants of [
        [0.5, 1.25],
        [2, 0],
        [3e38, -1e-3],
        [1e300, 2000],
      ]) {
        for (const operands of [
          [0, 1, 2],
          [3, 1, 2],
          [0, 3, 2],
          [4, 0, 3],
          [2, 5, 4],
        ]) {
          const own = operands.slice(0, op.arrays);
          const parameters = [4, 5].slice(0, op.parameters);
          const code = Int32Array.from([2, 6, -1, -1, 6, reduceCode.sum, 4, number, ...own, ...parameters]);
          expectOneByOne({
            outs: [allocate(n, dtype) as Float, allocate(1, dtype) as Float],
            ins,
            layout,
            code,
            constants: Float64Array.from(constants),
          });
        }
      }
    }
  },
);

test.each(ops.map((op, number) => [`${op.form} ${op.code} by ${op.operand}`, op, number] as const))(
  '%s among others, by what the one before makes and by what lies in memory',
  (_, op, number) => {
    const neg = opNumber('unary', unaryCode.neg);
    const sub = opNumber('binary', binaryCode.sub);
    const first = op.form === 'lossSlope' ? 1 : 0;
    const made = 5;
    const choices = [0, 1, 2].slice(first, op.arrays).map((k) => [0, 1, 2].map((x) => (x === k ? made : x)));
    for (const dtype of ['float32', 'float64'] as const) {
      const n = 1337;
      const ins = [0, 1, 2].map((k) =>
        all(dtype, n, (i) =>
          i % 41 === 7 * k ? ends[dtype][(i + k) % ends[dtype].length] : ((i * (k + 5)) % 19) / 8 - 1.1,
        ),
      );
      const layout = Int32Array.from([1, 1, 1, n, 1, n, 0, 1, 0, 1, 0, 1]);
      for (const operands of [...choices, [first === 0 ? made : 0, made, made], [0, 1, 2]]) {
        for (const constants of [
          [0.5, 1.25],
          [2, 0.75],
          [-1, 2000],
        ]) {
          const own = [...operands.slice(0, op.arrays), ...[3, 4].slice(0, op.parameters)];
          const code = [
            3,
            6,
            -1,
            -1,
            7,
            -1,
            -1,
            7,
            reduceCode.sum,
            3,
            neg,
            0,
            -1,
            -1,
            number,
            ...own,
            sub,
            made,
            6,
          ];
          expectOneByOne({
            outs: [n, n, 1].map((length) => allocate(length, dtype) as Float),
            ins,
            layout,
            code: Int32Array.from(code),
            constants: Float64Array.from(constants),
          });
        }
      }
    }
  },
);

const op = { unary: unaryCode, binary: binaryCode };
const at = (kind: 'in' | 'result', index: number) => ({ kind, at: index }) as const;

test('an out may be the array of an in that is read where it is', () => {
  const n = 5000;
  for (const dtype of ['float32', 'float64'] as const) {
    const x = all(dtype, n, (i) => Math.sin(i));
    const y = all(dtype, n, (i) => Math.cos(i));
    // neg(x) is stored over x, which is read afterwards; the ins themselves change places; a sum of what is overwritten.
    const steps = [
      { op: opNumber('unary', op.unary.neg), operands: [at('in', 0), null, null] },
      { op: opNumber('binary', op.binary.add), operands: [at('in', 0), at('in', 1)] },
    ];
    const stored = { reduce: null } as const;
    const { code, constants } = assemble(2, steps, [
      { value: at('result', 0), ...stored },
      { value: at('in', 0), ...stored },
      { value: at('result', 1), ...stored },
      { value: at('in', 1), reduce: reduceCode.sumOfSquares, scale: 0.5 },
    ]);
    const layout = Int32Array.of(10, 1, 500, 1, 1, n, 0, 1, 0, 1);
    const ends = () => [
      allocate(n, dtype) as Float,
      allocate(n, dtype) as Float,
      allocate(n, dtype) as Float,
    ];
    const apart = [...ends(), allocate(n, dtype) as Float];
    kernels.fused(apart, [x.slice() as Float, y.slice() as Float], layout, code, constants);
    const [a, b] = [x.slice() as Float, y.slice() as Float];
    const together = [a, b, allocate(n, dtype) as Float, allocate(n, dtype) as Float];
    kernels.fused(together, [a, b], layout, code, constants);
    together.forEach((out, i) => {
      expectSame(out, apart[i], `outs[${i}]`);
    });
    expectSame(apart[1], x, 'x');
    expect(apart[0][7]).toBe(-x[7]);
  }
});

test('a sum of float64 whose parts leave the range is found from what was there before the call', () => {
  const x = Float64Array.of(1.5e308, 1.5e308, -1.5e308, -1.5e308, 3, 4);
  const expected = x.slice();
  const { code, constants } = assemble(
    1,
    [{ op: opNumber('unary', op.unary.neg), operands: [at('in', 0), null, null] }],
    [
      { value: at('result', 0), reduce: null },
      { value: at('in', 0), reduce: reduceCode.sum },
      { value: at('result', 0), reduce: reduceCode.sum },
    ],
  );
  const [sum, opposite] = [new Float64Array(1), new Float64Array(1)];
  kernels.fused([x, sum, opposite], [x], Int32Array.of(1, 6, 1, 1, 1, 6, 0, 1), code, constants);
  expectSame(
    x,
    expected.map((value) => -value),
    'x',
  );
  // As `reduce` gives it, whose terms are added a power of two smaller.
  const wanted = new Float64Array(1);
  kernels.reduce(wanted, expected, 1, 6, 1, 1, reduceCode.sum, 1);
  expect(Number.isFinite(wanted[0])).toBe(true);
  expect(sum[0]).toBe(wanted[0]);
  expect(opposite[0]).toBe(-wanted[0]);
});

const onShared = <Kind extends Chain['ins'][number]>(array: Kind): Kind => {
  const type = array.constructor as new (buffer: SharedArrayBuffer) => Kind;
  const copy = new type(new SharedArrayBuffer(array.byteLength));
  copy.set(array);
  return copy;
};

/** Copies on shared memory; what is one array stays one. */
const allOnShared = () => {
  const copies = new Map<unknown, unknown>();
  return <Kind extends Chain['ins'][number]>(array: Kind): Kind => {
    if (!copies.has(array)) copies.set(array, onShared(array));
    return copies.get(array) as Kind;
  };
};

/** A chain as a program of one call, and its arrays, which are on shared memory. */
function recorded(chain: Chain) {
  const own = allOnShared();
  const shared: Chain = {
    outs: chain.outs.map(own),
    ins: chain.ins.map(own),
    layout: onShared(chain.layout as Int32Array) as Int32Array<ArrayBuffer>,
    code: onShared(chain.code as Int32Array) as Int32Array<ArrayBuffer>,
    constants: onShared(chain.constants as Float64Array) as Float64Array<ArrayBuffer>,
  };
  const { outs, ins, layout, code, constants } = shared;
  return { shared, program: createProgram([['fused', outs, ins, layout, code, constants]]) };
}

test('a recorded chain reads its ins at each run', () => {
  fc.assert(
    fc.property(chains, fc.integer(), (chain, seed) => {
      const { shared, program } = recorded(chain);
      const { outs, ins } = shared;
      const next = generator(seed);
      for (let i = 0; i < 3; i++) {
        const wanted = oneByOne(kernels, shared);
        program.run();
        outs.forEach((out, at) => {
          expectSame(out, wanted[at], `outs[${at}]`);
        });
        for (const array of ins) for (let j = 0; j < array.length; j++) array[j] = 8 * next() - 4;
      }
    }),
    { numRuns: 60 },
  );
});

test('the mean of a squared error, written by hand', () => {
  const [p, t] = [Float32Array.of(1, 2, 4), Float32Array.of(0, 4, 1)];
  const { code, constants } = assemble(
    2,
    [{ op: opNumber('loss', lossCode.squaredError), operands: [at('in', 0), at('in', 1), null, null] }],
    [
      { value: at('result', 0), reduce: null },
      { value: at('result', 0), reduce: reduceCode.sum, scale: 1 / 7 },
    ],
  );
  const [each, mean] = [new Float32Array(3), new Float32Array(1)];
  kernels.fused([each, mean], [p, t], Int32Array.of(1, 3, 1, 1, 1, 3, 0, 1, 0, 1), code, constants);
  expect([...each]).toEqual([1, 4, 9]);
  expect(mean[0]).toBe(2);
});

test('columns, rows and a transposed matrix, by hand', () => {
  const matrix = Float32Array.of(1, 2, 3, 4, 5, 6);
  const add = [{ op: opNumber('binary', op.binary.add), operands: [at('in', 0), at('in', 1)] }];
  const { code, constants } = assemble(2, add, [{ value: at('result', 0), reduce: null }]);
  const out = new Float32Array(6);
  const give = (layout: number[], other: Float32Array | Int32Array) => {
    kernels.fused(
      [out],
      [matrix, other],
      Int32Array.from([2, 1, 3, 1, 2, 2, 3, 0, 3, 1, ...layout]),
      code,
      constants,
    );
    return [...out];
  };
  expect(give([0, 0, 1], Int32Array.of(10, 20, 30))).toEqual([11, 22, 33, 14, 25, 36]);
  expect(give([1, 1, 0], Float32Array.of(0, 10, 20))).toEqual([11, 12, 13, 24, 25, 26]);
  expect(give([5, -1, -2], Float32Array.of(0, 1, 2, 3, 4, 5))).toEqual([6, 5, 4, 8, 7, 6]);
});

/** Changes what a call says, to something else that it may say: its layout, its code and its constants, where they are. */
function changeInPlace({ outs, ins, layout, code, constants }: Chain, next: () => number): void {
  const below = (end: number) => Math.floor(next() * end);
  const given = ins.length + constants.length;
  const firstStep = 1 + 3 * outs.length;
  let at = firstStep;
  const instructions = instructionsFrom(code, firstStep);
  instructions.forEach(({ op }, i) => {
    const alike = ops.flatMap((other, number) =>
      other.form === op.form && other.operand === op.operand ? [number] : [],
    );
    if (next() < 0.5) code[at] = alike[below(alike.length)];
    for (let k = 0; k < op.arrays; k++) {
      const end = op.form === 'lossSlope' && k === 0 ? given : given + i;
      if (next() < 0.3) code[at + 1 + k] = below(end);
    }
    at += 1 + op.arrays + op.parameters;
  });
  for (let i = 0; i < outs.length; i++) {
    if (next() < 0.3) code[1 + 3 * i] = below(given + instructions.length);
  }
  const rank = layout[4];
  ins.forEach((array, i) => {
    if (next() < 0.6 || array.length === 0) return;
    // One element for all positions, of an array that no out is stored in.
    if (!outs.includes(array as Float)) {
      const first = 5 + rank + i * (rank + 1);
      layout.fill(0, first, first + rank + 1)[first] = below(array.length);
    }
  });
  for (let i = 0; i < constants.length; i++) if (next() < 0.5) constants[i] = 4 * next() - 2;
}

test('a recorded chain does what its layout, its code and its constants say at each run', () => {
  fc.assert(
    fc.property(chains, fc.integer(), (chain, seed) => {
      const { shared, program } = recorded(chain);
      const { outs } = shared;
      const next = generator(seed);
      for (let i = 0; i < 4; i++) {
        const wanted = oneByOne(kernels, shared);
        program.run();
        outs.forEach((out, at) => {
          expectSame(out, wanted[at], `outs[${at}]`);
        });
        changeInPlace(shared, next);
      }
    }),
    { numRuns: 100 },
  );
});

test('outs beside one another in one array, and what is between them', () => {
  // Two halves of rows of 5: the columns 0, 1 are x + y, the columns 3, 4 are −x, the one between stays.
  const [x, y] = [Float32Array.of(1, 2, 3, 4), Float32Array.of(10, 20, 30, 40)];
  const { code, constants } = assemble(
    2,
    [
      { op: opNumber('binary', op.binary.add), operands: [at('in', 0), at('in', 1)] },
      { op: opNumber('unary', op.unary.neg), operands: [at('in', 0), null, null] },
    ],
    [
      { value: at('result', 0), reduce: null },
      { value: at('result', 0), reduce: reduceCode.sum },
      { value: at('result', 1), reduce: null },
    ],
  );
  const out = new Float32Array(10).fill(9);
  const sum = new Float32Array(1);
  const layout = Int32Array.from([
    1,
    4,
    1,
    1,
    2,
    2,
    2,
    ...[0, 2, 1],
    ...[0, 2, 1],
    ...[0, 5, 1],
    ...[3, 5, 1],
  ]);
  kernels.fused([out, sum, out], [x, y], layout, code, constants);
  expect([...out]).toEqual([11, 22, 9, -1, -2, 33, 44, 9, -3, -4]);
  expect(sum[0]).toBe(110);
});

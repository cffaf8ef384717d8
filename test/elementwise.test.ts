/** Lists of instructions against the calls that they stand for, one by one, bit for bit. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { binaryOps, type Float, kernels, unaryOps } from '../lib/kernels/index.ts';
import { instructionsFrom, ops } from '../lib/kernels/instructions.ts';
import { allocate, type FloatDtype } from '../lib/memory.ts';
import { generator } from './cases/generator.ts';
import { type Counts, everyOp, randomList } from './contract/lists.ts';

const whereOp = unaryOps.length + binaryOps.length;

interface Call {
  outs: Float[];
  ins: Float[];
  scalars: Float64Array;
  rows: Int32Array;
  shared: Float64Array;
  constants: Float64Array;
  code: Int32Array;
}

/** What the outs and the scalars become, by a call of another kernel for each instruction. */
function oneByOne({ outs, ins, scalars, rows, shared, constants, code }: Call): {
  outs: Float[];
  scalars: Float64Array;
} {
  const [k, m, s] = code;
  const after = outs.map((out) => out.slice() as Float);
  const own = scalars.slice();
  for (let group = 0; group < outs.length / k; group++) {
    const arrays = [...outs.slice(group * k, group * k + k), ...ins.slice(group * m, group * m + m)];
    const [{ length }] = arrays;
    const like = (size: number) => new (arrays[0].constructor as Float32ArrayConstructor)(size);
    const row = own.subarray(rows[group] * s, rows[group] * s + s);
    const numbers = [...row, ...shared, ...constants].map((value) => Float64Array.of(value));
    const values: { array: Float; isScalar: boolean }[] = [
      ...arrays.map((array) => ({ array, isScalar: false })),
      ...numbers.map((array) => ({ array, isScalar: true })),
    ];
    for (const { op: what, operands } of instructionsFrom(code, 3 + k + s)) {
      const op = ops.indexOf(what);
      const given = operands.map((value) => (value < 0 ? null : values[value]));
      const isScalar = given.every((value) => value === null || value.isScalar);
      const out = isScalar ? new Float64Array(1) : like(length);
      // Beside elements a scalar is of their type.
      const [a, b, c] = given.map((value) =>
        value === null ? null : !value.isScalar || isScalar ? value.array : like(1).fill(value.array[0]),
      );
      const parameter = (i: number) => given[i]?.array[0] ?? 0;
      if (op < unaryOps.length) {
        kernels.unary(
          out,
          a!.length === out.length ? a! : like(length).fill(a![0]),
          op,
          parameter(1),
          parameter(2),
        );
      } else if (op < whereOp) kernels.binary(out, a!, b!, null, op - unaryOps.length);
      else kernels.where(out, a!, b!, c!, null);
      values.push({ array: out, isScalar });
    }
    for (let i = 0; i < k; i++) {
      const { array, isScalar } = values[code[3 + i]];
      if (isScalar) after[group * k + i].fill(array[0]);
      else after[group * k + i].set(array);
    }
    for (let i = 0; i < s; i++) row[i] = values[code[3 + k + i]].array[0];
  }
  return { outs: after, scalars: own };
}

function expectSame(got: ArrayLike<number>, wanted: ArrayLike<number>, what: string): void {
  expect(got.length).toBe(wanted.length);
  for (let i = 0; i < wanted.length; i++) {
    if (!Object.is(got[i], wanted[i])) expect(got[i], `${what}[${i}]`).toBe(wanted[i]);
  }
}

/** Numbers near and far, and now and then one of the ends. */
const ends = [Number.NaN, Infinity, -Infinity, 0, -0, 1e38, -1e-40, 1, 2 ** 24 + 1];

const calls = fc
  .record({
    dtype: fc.constantFrom<FloatDtype>('float32', 'float64'),
    counts: fc.record<Counts>({
      outs: fc.integer({ min: 1, max: 4 }),
      ins: fc.nat(3),
      scalars: fc.nat(3),
      shared: fc.nat(3),
      constants: fc.nat(2),
    }),
    lengths: fc.array(fc.oneof(fc.nat(40), fc.constantFrom(0, 1, 1023, 1024, 1025, 9001)), { maxLength: 5 }),
    instructions: fc.nat(24),
    ends: fc.boolean(),
    seed: fc.integer(),
  })
  .map((drawn): Call => {
    const { counts, lengths } = drawn;
    const next = generator(drawn.seed);
    const value = () =>
      drawn.ends && next() < 0.05 ? ends[Math.floor(next() * ends.length)] : 4 * next() - 2;
    const arrays = (each: number) =>
      lengths.flatMap((n) =>
        Array.from({ length: each }, () => allocate(n, drawn.dtype).map(value) as Float),
      );
    const numbers = (n: number) =>
      Float64Array.from({ length: n }, () => (next() < 0.3 ? Math.round(value()) : value()));
    return {
      outs: arrays(counts.outs),
      ins: arrays(counts.ins),
      // One row more than groups, and the groups in another order.
      scalars: numbers((lengths.length + 1) * counts.scalars),
      rows: Int32Array.from(counts.scalars === 0 ? [] : lengths.map((_, i) => lengths.length - i)),
      shared: numbers(counts.shared),
      constants: numbers(counts.constants),
      code: randomList(next, counts, drawn.instructions, everyOp),
    };
  });

test('a list gives what its calls give one by one', () => {
  fc.assert(
    fc.property(calls, (call) => {
      const wanted = oneByOne(call);
      const { outs, ins, scalars, rows, shared, constants, code } = call;
      kernels.elementwise(outs, ins, scalars, rows, shared, constants, code, 0);
      outs.forEach((out, i) => {
        expectSame(out, wanted.outs[i], `outs[${i}]`);
      });
      expectSame(scalars, wanted.scalars, 'scalars');
    }),
    { numRuns: Number(process.env.AXPY_LIST_RUNS ?? 300) },
  );
});

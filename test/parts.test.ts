/** Gradients of many parts of one tensor: each adds to its own place, and nowhere else. */
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { concat, Parameter, type Tensor, tensor } from '../lib/index.ts';
import { type Kernels, kernels, withKernels } from '../lib/kernels/index.ts';
import type { Range } from '../lib/ops/slice.ts';

/** [start, end, step], either way, within an axis of such a size or beyond it. */
const range = (size: number): fc.Arbitrary<Range> =>
  fc.oneof(
    fc.constant(null),
    fc.tuple(
      fc.integer({ min: -size, max: size }),
      fc.option(fc.integer({ min: -size, max: size + 1 }), { nil: undefined }),
      fc.constantFrom(1, 1, 2, 3, -1, -2),
    ),
  );

const parts = fc.array(fc.integer({ min: 1, max: 5 }), { minLength: 1, maxLength: 4 }).chain((shape) =>
  fc.record({
    shape: fc.constant(shape),
    ranges: fc.array(fc.tuple(...shape.map(range)), { maxLength: 5 }),
  }),
);

test('sum to what each gives alone', () => {
  fc.assert(
    fc.property(parts, fc.boolean(), ({ shape, ranges }, last) => {
      const size = shape.reduce((product, n) => product * n, 1);
      const values = Float64Array.from({ length: size }, (_, i) => i + 1);
      const x = () => tensor(values, { shape, requiresGrad: true });
      const loss = (part: Tensor, i: number) => part.mul(i + 2).sum();
      const together = x();
      const whole = () => together.mul(1).sum().reshape([1]);
      // The gradient of the whole is there before or after those of parts: what is made last goes first.
      const before = last ? [] : [whole()];
      const all = ranges.map((own, i) => loss(together.slice(own), i).reshape([1]));
      concat([...before, ...all, ...(last ? [whole()] : [])])
        .sum()
        .backward();
      const expected = new Float64Array(size).fill(1);
      ranges.forEach((own, i) => {
        const alone = x();
        loss(alone.slice(own), i).backward();
        alone.grad!.data.forEach((value, at) => {
          expected[at] += value;
        });
      });
      expect([...together.grad!.data]).toEqual([...expected]);
    }),
    { numRuns: 300 },
  );
});

test('parts that cover a tensor are written in their places, and what is left of another is 0', () => {
  const x = new Parameter([2, 3]);
  x.grad?.data.fill(7);
  x.slice([null, [0, 2]])
    .sum()
    .backward();
  expect(x.grad!.toArray()).toEqual([
    [1, 1, 0],
    [1, 1, 0],
  ]);
  x.zeroGrad();
  // The memory is the same, and holds what it held.
  x.slice([[1, 2]])
    .sum()
    .add(x.slice([[0, 1]]).sum())
    .backward();
  expect(x.grad!.toArray()).toEqual([
    [1, 1, 1],
    [1, 1, 1],
  ]);
});

test.each([
  ['rows', (x: Tensor, t: number) => x.slice([[t, t + 1]])],
  ['columns', (x: Tensor, t: number) => x.slice([null, [t, t + 1]])],
  ['rows by index', (x: Tensor, t: number) => x.gather(tensor([t], { dtype: 'int32' }))],
])('%s of a sequence: the work grows with the sequence, not with its square', (_, part) => {
  const work = (length: number) => {
    let elements = 0;
    const counting = Object.fromEntries(
      Object.entries(kernels).map(([name, kernel]) => [
        name,
        (...args: unknown[]) => {
          for (const arg of args) if (ArrayBuffer.isView(arg)) elements += (arg as Float32Array).length;
          (kernel as (...args: unknown[]) => void)(...args);
        },
      ]),
    ) as unknown as Kernels;
    const x = tensor(new Float32Array(length * length), { shape: [length, length], requiresGrad: true });
    const pieces = Array.from({ length }, (_, t) => part(x, t).square().sum().reshape([1]));
    // These are handed the whole array and touch a part of it: count calls of others on the whole.
    const { scatterAdd, copy } = kernels;
    withKernels({ ...counting, scatterAdd, copy }, () => concat(pieces).sum().backward());
    return elements / (length * length);
  };
  expect(work(64) / work(16)).toBeLessThan(1.5);
});

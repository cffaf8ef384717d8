/** The cost model: an estimate for every call there is, and the right one where it can be counted. */
import { describe, expect, test } from 'vitest';
import type { Call, Limits } from '../binding.d.ts';
import { reduceCode, unaryCode } from '../lib/kernels/codes.ts';
import { costOf, leastTime } from '../lib/kernels/cost.ts';
import { kernels } from '../lib/kernels/index.ts';
import { declarations } from './cases/index.ts';
import { arraysOf, recordDeclaration } from './contract/call.ts';

const f32 = (length: number) => new Float32Array(length);

describe('every call that a case makes', () => {
  const recorded = declarations.flatMap((declaration) => recordDeclaration(kernels, declaration));

  test.each([...new Set(recorded.map(({ kernel }) => kernel))])('%s', (kernel) => {
    for (const call of recorded.filter((other) => other.kernel === kernel)) {
      const { operations, bytes } = costOf([kernel, ...call.args] as Call);
      const held = arraysOf(call.args).reduce((sum, { array }) => sum + array.byteLength, 0);
      expect(operations).toBeGreaterThanOrEqual(0);
      expect(Number.isFinite(operations)).toBe(true);
      expect(bytes).toBeGreaterThanOrEqual(0);
      // Nothing is moved more often than twice, but by kernels that repeat their input.
      if (!['copy', 'gather', 'scatterAdd', 'gatherAlong', 'scatterAddAlong'].includes(kernel))
        expect(bytes).toBeLessThanOrEqual(2 * held);
    }
  });
});

describe('counted by hand', () => {
  const geometry = Int32Array.of(32, 28, 28, 16, 26, 26, 64, 3, 3, 1, 1, 1, 1, 0, 0, 2);
  const image = 32 * 28 * 28 * 16;
  const output = 32 * 26 * 26 * 64;
  const weight = 64 * 3 * 3 * 8;
  const direct = 2 * output * 9 * 8;

  test.each<[string, Call, number, number, string]>([
    [
      'gemm',
      ['gemm', f32(6), f32(8), f32(12), f32(3), 1, 2, 3, 4, 0, 1, 0, 0, unaryCode.relu, 0, null],
      48 + 2 * 6,
      4 * (6 + 8 + 12 + 3),
      '2×3×4 NT',
    ],
    [
      'a batch of products',
      ['gemmAccumulate', f32(6), f32(40), f32(12), 5, 2, 3, 4, 1, 0, 8, 0, 0, null],
      5 * 48,
      4 * (2 * 6 + 40 + 12),
      '5 of 2×3×4 TN',
    ],
    [
      'products within longer arrays, where matrices of b are one by pairs',
      [
        'gemm',
        ...[f32(1000), f32(1000), f32(1000), null, 6, 2, 3, 4, 0, 0, 0, 0, -1, 0],
        Int32Array.of(3, 2, 0, 100, 50, 5, 0, 100, 50, 5, 0, 100, 0, 5),
      ],
      6 * 48,
      4 * (6 * 6 + 6 * 8 + 3 * 12),
      '6 of 2×3×4 NN',
    ],
    [
      'convolve',
      ['convolve', f32(output), f32(image), f32(weight), null, geometry, -1, 0, 1],
      direct,
      4 * (output + image + weight) + geometry.byteLength,
      '32×28×28×16 → 64, 3×3, 2 groups',
    ],
    [
      'convolveTransposed',
      ['convolveTransposed', f32(image), f32(output), f32(weight), null, geometry, -1, 0, 1],
      direct,
      4 * (output + image + weight) + geometry.byteLength,
      '32×26×26×64 → 16, 3×3, 2 groups',
    ],
    [
      'convolveWeightGradient',
      ['convolveWeightGradient', f32(weight), f32(image), f32(output), geometry, 1],
      direct,
      4 * (output + image + weight) + geometry.byteLength,
      '32×28×28×16 → 64, 3×3, 2 groups',
    ],
    ['unary', ['unary', f32(7), f32(7), unaryCode.relu, 0, 0], 7, 56, 'relu 7'],
    ['reduce', ['reduce', f32(2), f32(6), 2, 3, 1, 1, reduceCode.sum, 1], 6, 32, 'sum 2×3×1×1'],
    ['gather', ['gather', f32(6), f32(300), Int32Array.of(1, 2), 2, 100, 3], 0, 2 * 24 + 8, '2 of 100×3'],
    [
      'sgd',
      [
        'sgd',
        [f32(3), f32(4)],
        [f32(3), f32(4)],
        new Float64Array(2),
        new Int32Array(2),
        new Float64Array(5),
      ],
      28,
      4 * (14 + 7) + 16 + 8 + 40,
      '7 in 2',
    ],
  ])('%s', (_, call, operations, bytes, size) => {
    expect(costOf(call)).toEqual({ operations, bytes, size, wide: false });
  });

  test('float64 has its own peak, and each size its own bandwidth', () => {
    const limits: Limits = {
      float32: 100,
      float64: 50,
      bandwidths: [
        { bytes: 100, rate: 10 },
        { bytes: 1000, rate: 1 },
      ],
    };
    const [narrow, wide] = [Float32Array, Float64Array].map((type) =>
      costOf([
        'gemm',
        new type(1),
        new type(1000),
        new type(1000),
        null,
        1,
        1,
        1,
        1e3,
        0,
        0,
        0,
        0,
        -1,
        0,
        null,
      ]),
    );
    expect([narrow.wide, wide.wide]).toEqual([false, true]);
    expect(leastTime({ ...narrow, bytes: 0 }, limits)).toBe(20);
    expect(leastTime({ ...wide, bytes: 0 }, limits)).toBe(40);
    const moved = (bytes: number) => leastTime({ operations: 0, bytes, wide: false, size: '' }, limits);
    expect([moved(100), moved(101), moved(5000)]).toEqual([10, 101, 5000]);
  });
});

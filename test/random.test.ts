/** Random numbers: the published answers of Philox, the same bits on both backends, moments and seeds. */
import { describe, expect, test } from 'vitest';
import { dropout, permutation, rand, randn, randomState, seed, tensor } from '../lib/index.ts';
import { fallback } from '../lib/kernels/fallback/index.ts';
import { kernels } from '../lib/kernels/index.ts';
import { loadNative } from '../lib/kernels/native.ts';

describe('Philox 4x32-10', () => {
  // Random123 1.09, tests/kat_vectors: counter, key, result.
  test.each([
    {
      counter: [0, 0, 0, 0],
      key: [0, 0],
      want: [0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8],
    },
    {
      counter: [0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff],
      key: [0xffffffff, 0xffffffff],
      want: [0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd],
    },
    {
      counter: [0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344],
      key: [0xa4093822, 0x299f31d0],
      want: [0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1],
    },
  ])('known answer for counter $counter', ({ counter, key, want }) => {
    for (const implementation of [kernels, fallback, loadNative()]) {
      const out = new Uint32Array(4);
      implementation.randomBits(out, Uint32Array.from([...key, ...counter]));
      expect([...out]).toEqual(want);
    }
  });

  test('advances the counter by whole blocks, with carries', () => {
    const state = Uint32Array.of(1, 2, 0xffffffff, 0xffffffff, 0, 0);
    kernels.randomBits(new Uint32Array(5), state);
    expect([...state]).toEqual([1, 2, 1, 0, 1, 0]);
    kernels.randomBits(new Uint32Array(0), state);
    expect([...state]).toEqual([1, 2, 1, 0, 1, 0]);
  });

  test('a long draw is the short ones one after the other', () => {
    const [once, twice] = [randomState(3), randomState(3)];
    const whole = new Uint32Array(4096);
    kernels.randomBits(whole, once);
    const parts = new Uint32Array(4096);
    kernels.randomBits(parts.subarray(0, 1000), twice);
    kernels.randomBits(parts.subarray(1000), twice);
    expect(parts).toEqual(whole);
    expect(twice).toEqual(once);
  });

  test.each([
    { name: 'over 2³²', counter: [0xfffffffd, 7, 5, 6] },
    { name: 'over 2⁶⁴', counter: [0xfffffffa, 0xffffffff, 5, 6] },
    { name: 'over 2⁹⁶', counter: [0xfffffff0, 0xffffffff, 0xffffffff, 6] },
    { name: 'over 2¹²⁸', counter: [0xfffffff6, 0xffffffff, 0xffffffff, 0xffffffff] },
  ])('a counter that carries $name within a draw, of any length', ({ counter }) => {
    for (let length = 0; length <= 131; length++) {
      const states = [1, 2].map(() => Uint32Array.from([3, 4, ...counter]));
      const draws = [1, 2].map(() => new Uint32Array(length));
      fallback.randomBits(draws[0], states[0]);
      loadNative().randomBits(draws[1], states[1]);
      expect(draws[1]).toEqual(draws[0]);
      expect(states[1]).toEqual(states[0]);
    }
  });

  test.each([0, 2 ** -33, 2 ** -32, 0.3, 0.5, 1 - 2 ** -32, 1 - 2 ** -53])(
    'a mask of rate %d is the same on both backends',
    (rate) => {
      for (const Floats of [Float32Array, Float64Array]) {
        const masks = [fallback, loadNative()].map((implementation) => {
          const out = new Floats(5000).fill(Number.NaN);
          implementation.dropoutMask(out, randomState(9), rate);
          return out;
        });
        expect(masks[1]).toEqual(masks[0]);
      }
    },
  );

  test('numbers are the same on both backends, so this run may state them', () => {
    seed(42);
    expect([...randn([3], { dtype: 'float64' }).data]).toEqual(
      drawn((state, out) => fallback.randomNormal(out, state, 0, 1)),
    );
    seed(42);
    expect([...rand([3], { dtype: 'float64' }).data]).toEqual(
      drawn((state, out) => fallback.randomUniform(out, state, 0, 1)),
    );
  });

  function drawn(draw: (state: Uint32Array, out: Float64Array) => void): number[] {
    const out = new Float64Array(3);
    draw(randomState(42), out);
    return [...out];
  }
});

describe('distributions', () => {
  const n = 200_000;

  function moments(values: ArrayLike<number>): {
    mean: number;
    deviation: number;
    skew: number;
    kurtosis: number;
  } {
    const list = Array.from(values);
    const mean = list.reduce((sum, value) => sum + value, 0) / list.length;
    const central = (power: number) =>
      list.reduce((sum, value) => sum + (value - mean) ** power, 0) / list.length;
    const deviation = Math.sqrt(central(2));
    return { mean, deviation, skew: central(3) / deviation ** 3, kurtosis: central(4) / deviation ** 4 };
  }

  // Bounds of five standard errors of each moment at this n.
  test.each(['float32', 'float64'] as const)('rand is uniform on [0, 1), %s', (dtype) => {
    seed(1);
    const { data } = rand([n], { dtype });
    const { mean, deviation } = moments(data);
    expect(Math.abs(mean - 0.5)).toBeLessThan((5 * Math.sqrt(1 / 12)) / Math.sqrt(n));
    expect(Math.abs(deviation - Math.sqrt(1 / 12))).toBeLessThan(0.001);
    const tenths = new Array<number>(10).fill(0);
    for (const value of data) {
      expect(value >= 0 && value < 1).toBe(true);
      tenths[Math.floor(value * 10)]++;
    }
    for (const count of tenths) expect(Math.abs(count - n / 10)).toBeLessThan(5 * Math.sqrt(n * 0.09));
  });

  test.each(['float32', 'float64'] as const)('randn is standard normal, %s', (dtype) => {
    seed(2);
    const { data } = randn([n], { dtype });
    const { mean, deviation, skew, kurtosis } = moments(data);
    expect(Math.abs(mean)).toBeLessThan(5 / Math.sqrt(n));
    expect(Math.abs(deviation - 1)).toBeLessThan(5 / Math.sqrt(2 * n));
    expect(Math.abs(skew)).toBeLessThan(5 * Math.sqrt(6 / n));
    expect(Math.abs(kurtosis - 3)).toBeLessThan(5 * Math.sqrt(24 / n));
    // Φ(1) − Φ(−1) and the tail beyond 3.
    const within = Array.from(data).filter((value) => Math.abs(value) < 1).length / n;
    expect(Math.abs(within - 0.682689)).toBeLessThan(5 * Math.sqrt((0.6827 * 0.3173) / n));
    const tail = Array.from(data).filter((value) => Math.abs(value) > 3).length / n;
    expect(Math.abs(tail - 0.0027)).toBeLessThan(5 * Math.sqrt(0.0027 / n));
  });

  test('a float32 never rounds up to the bound', () => {
    const out = new Float32Array(10_000);
    const high = 1 + 2 ** -23;
    kernels.randomUniform(out, randomState(1), 1, high);
    expect(out.every((value) => value === 1)).toBe(true);
  });

  test('dropout keeps the share and the expectation', () => {
    const x = tensor(new Float64Array(n).fill(1));
    const { data } = dropout(x, 0.25, randomState(5));
    const kept = Array.from(data).filter((value) => value !== 0);
    expect(Math.abs(kept.length / n - 0.75)).toBeLessThan(5 * Math.sqrt((0.75 * 0.25) / n));
    expect(kept.every((value) => value === 1 / 0.75)).toBe(true);
  });
});

describe('seeds', () => {
  test('the same seed gives the same numbers, another gives others', () => {
    const draw = (n: number) => {
      seed(n);
      return [...rand([5]).data, ...randn([5]).data, ...permutation(5)];
    };
    expect(draw(7)).toEqual(draw(7));
    expect(draw(7)).not.toEqual(draw(8));
    // A seed beyond 32 bits differs from its lower half.
    expect(draw(2 ** 32 + 7)).not.toEqual(draw(7));
  });

  test.each([-1, 1.5, Number.NaN, 2 ** 53, '1', null])('%s is refused', (value) => {
    expect(() => seed(value as number)).toThrow(expect.objectContaining({ code: 'AXPY_ARGUMENT' }));
  });

  test('a state of its own does not touch the default one', () => {
    seed(9);
    const want = rand([2]).toArray();
    seed(9);
    permutation(100, randomState(1));
    expect(rand([2]).toArray()).toEqual(want);
  });
});

describe('permutation', () => {
  test('holds every number once', () => {
    const order = permutation(1000, randomState(1));
    expect([...order].sort((a, b) => a - b)).toEqual(Array.from({ length: 1000 }, (_, i) => i));
    expect([...order]).not.toEqual(Array.from({ length: 1000 }, (_, i) => i));
    expect(permutation(0).length).toBe(0);
    expect([...permutation(1)]).toEqual([0]);
  });

  test('every order of three comes up equally often', () => {
    const state = randomState(1);
    const counts = new Map<string, number>();
    for (let i = 0; i < 6000; i++) {
      const key = permutation(3, state).join();
      counts.set(key, (counts.get(key) ?? 0) + 1);
    }
    expect(counts.size).toBe(6);
    for (const count of counts.values()) expect(Math.abs(count - 1000)).toBeLessThan(5 * Math.sqrt(1000));
  });
});

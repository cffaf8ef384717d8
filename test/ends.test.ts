/** What comes at the ends of float32 and float64, where it is known in closed form, or from the same numbers made smaller. */
import { describe, expect, test } from 'vitest';
import { batchNorm, type FloatDtype, layerNorm, losses, type Tensor, tensor } from '../lib/index.ts';
import { geometryFields } from '../lib/kernels/codes.ts';
import { kernels, type UnaryOp, unaryCode } from '../lib/kernels/index.ts';
import { allocate } from '../lib/memory.ts';
import { generator } from './cases/generator.ts';

const dtypes: readonly FloatDtype[] = ['float32', 'float64'];
const most = { float32: (2 - 2 ** -23) * 2 ** 127, float64: Number.MAX_VALUE };
/** Rounding of a few operations. */
const tolerance = { float32: 1e-6, float64: 1e-14 };

function expectNear(got: ArrayLike<number>, wanted: readonly number[], dtype: FloatDtype): void {
  expect(got.length).toBe(wanted.length);
  for (let i = 0; i < wanted.length; i++) {
    if (Object.is(got[i], wanted[i])) continue;
    const off = Math.abs(got[i] - wanted[i]);
    expect(off, `[${i}] is ${got[i]}, wanted ${wanted[i]}`).toBeLessThanOrEqual(
      tolerance[dtype] * Math.abs(wanted[i]),
    );
  }
}

describe.each(dtypes)('%s', (dtype) => {
  const large = most[dtype];
  const make = (values: readonly number[], shape = [values.length]) =>
    tensor(values, { shape, dtype }).setRequiresGrad();

  test('sums and means have a place where their parts have none', () => {
    expect(make([large, large, -large]).sum().item()).toBe(large);
    expectNear(make([large, large, large, large]).mean().data, [large], dtype);
    expectNear(make(new Array(8).fill(large), [2, 2, 2]).mean([0, 2]).data, [large, large], dtype);
    // Three groups of reduced axes go in two passes.
    const six = make(new Array(64).fill(large / 2), [2, 2, 2, 2, 2, 2]);
    expectNear(six.mean([1, 3, 5]).data, new Array(8).fill(large / 2), dtype);
    const root = Math.sqrt(large);
    // Of ±r the variance is r², and 8·r² is no number.
    const x = make([root, -root, root, -root, root, -root, root, -root].map((v) => v * 0.9));
    const variance = x.variance();
    expectNear(variance.data, [0.81 * large], dtype);
    variance.backward(tensor([1 / root], { shape: [], dtype }));
    expectNear(
      x.grad!.data,
      [1, -1, 1, -1, 1, -1, 1, -1].map((v) => (v * 0.9 * 2) / 8),
      dtype,
    );
  });

  test('products have a place where their parts have none', () => {
    const values = [large, large, large, 1 / large, 1 / large, 1 / large, 3, -0.5];
    for (const turn of values.keys()) {
      const turned = [...values.slice(turn), ...values.slice(0, turn)];
      const many = Array.from({ length: 40 }, () => turned).flat();
      const [small, long] = [turned, many].map((list) => {
        const out = allocate(1, dtype);
        kernels.reduce(out, tensor(list, { dtype }).data as Float32Array, 1, list.length, 1, 1, 1, 1);
        return out[0];
      });
      expect(Math.abs(small / -1.5 - 1)).toBeLessThan(1e-5);
      expect(Math.abs(long / 1.5 ** 40 - 1)).toBeLessThan(1e-3);
    }
  });

  test('normalisation of the largest numbers is that of smaller ones', () => {
    const next = generator(3);
    const rows = 70;
    const small = Array.from({ length: rows * 5 }, () => 2 * next() - 1);
    const dy = Array.from({ length: rows * 5 }, () => 2 * next() - 1);
    const factor = 2 ** (dtype === 'float32' ? 127 : 1023);
    const forms: ((x: Tensor) => Tensor)[] = [
      (x) => batchNorm(x, null, null, null, { epsilon: 1e-30 }),
      (x) => layerNorm(x, 5, null, null, { epsilon: 1e-30 }),
    ];
    for (const form of forms) {
      const [want, got] = [1, factor].map((by) => {
        const x = make(
          small.map((v) => Math.fround(v) * by),
          [rows, 5],
        );
        const y = form(x);
        y.backward(tensor(dy.map(Math.fround), { shape: [rows, 5], dtype }));
        return { y: y.data, gradient: x.grad!.data };
      });
      // x̂ of a row may cancel, and so may its gradient: relative to the largest, 1 or so. inverse is as small as a
      // subnormal number, which has 22 bits.
      const allowed = dtype === 'float32' ? 3e-6 : 1e-13;
      for (let i = 0; i < small.length; i++) {
        expect(Math.abs(got.y[i] - want.y[i])).toBeLessThan(allowed);
        // Of size 1/factor: subnormal, off by its last bits.
        expect(Math.abs(got.gradient[i] * factor - want.gradient[i])).toBeLessThan(100 * allowed);
      }
    }
  });

  test('a column or row of one value is normal at any size', () => {
    for (const value of [large, -large, large / 3]) {
      const x = make(new Array(6).fill(value), [3, 2]);
      expect([...batchNorm(x).data]).toEqual(new Array(6).fill(0));
      expect([...layerNorm(x, 2).data]).toEqual(new Array(6).fill(0));
    }
  });

  test('losses are scaled before they overflow', () => {
    const n = 1000;
    const far = Math.sqrt(large) * 10;
    const p = make([far, ...new Array(n - 1).fill(0)]);
    const t = tensor(new Array(n).fill(0), { dtype });
    if (dtype === 'float32') {
      // far² / 1000 = large / 10, but far² is no number.
      const mse = losses.mse(p, t);
      expectNear(mse.data, [large / 10], dtype);
      mse.backward();
      expectNear(p.grad!.data.slice(0, 2), [(2 * far) / n, 0], dtype);
      expectNear(losses.huber(p, t, { delta: 2 * far }).data, [large / 20], dtype);
    }
    expectNear(losses.huber(p, t, { delta: 1 }).data, [far / n], dtype);
  });

  test('activations at the ends of the range', () => {
    const least = dtype === 'float32' ? 2 ** -149 : 2 ** -1074;
    // Where e^x is a number with few digits still.
    const low = dtype === 'float32' ? -100 : -740;
    const e = Math.exp(low);
    const apply = (op: UnaryOp, value: number, p = 0): number => {
      const out = allocate(1, dtype);
      kernels.unary(out, tensor([value], { dtype }).data as Float32Array, unaryCode[op], p, 0);
      return out[0];
    };
    for (const [op, wanted] of [
      ['sigmoid', e],
      ['softplus', e],
      ['silu', low * e],
      ['exp', e],
    ] as const) {
      expect(Math.abs(apply(op, low) - wanted), op).toBeLessThanOrEqual(least * (op === 'silu' ? 1024 : 2));
      expect(apply(op, low), op).not.toBe(0);
    }
    for (const op of ['softplus', 'silu', 'gelu', 'elu', 'relu', 'leakyRelu'] as const) {
      expect(apply(op, large, 0.5), op).toBe(large);
    }
    for (const op of ['sigmoid', 'tanh'] as const) expect(apply(op, large), op).toBe(1);
    expect(apply('tanh', -large)).toBe(-1);
    expect(apply('elu', -large, 0.5)).toBe(-0.5);
    for (const op of ['silu', 'gelu', 'sigmoid', 'softplus', 'relu'] as const) {
      expect(Math.abs(apply(op, -large)), op).toBe(0);
    }
    // Numbers of no full precision are numbers.
    for (const op of ['neg', 'abs', 'relu', 'tanh', 'leakyRelu', 'scale'] as const) {
      expect(Math.abs(apply(op, least, 1)), op).toBe(least);
    }
  });
});

describe.each(dtypes)('products of %s', (dtype) => {
  const next = generator(5);
  const random = (length: number) => allocate(length, dtype).map(() => next() - 0.5) as Float32Array;

  test.each([
    [7, 9, 5],
    [33, 65, 40],
    [130, 70, 300],
  ])('a number that is not finite stays in its row or column, %i × %i × %i', (m, n, k) => {
    for (const bad of [Number.NaN, Infinity]) {
      const [a, b] = [random(m * k), random(k * n)];
      b[3 * n + 2] = 0;
      a[2 * k + 3] = bad;
      // Also where c held NaN before: it is overwritten.
      const c = random(m * n).fill(Number.NaN);
      kernels.gemm(c, a, b, null, 1, m, n, k, 0, 0, 0, 0, -1, 0, null);
      const isBad = Array.from(c, (value) => !Number.isFinite(value));
      expect(isBad).toEqual(Array.from(c, (_, i) => Math.floor(i / n) === 2));
      // 0 · ∞
      expect(c[2 * n + 2]).toBeNaN();
    }
  });

  test.each([
    ['exact', 3, 3, 32, 32, 0, 1],
    ['exact, few channels', 3, 3, 3, 4, 0, 1],
    ['exact, a kernel for each channel', 3, 3, 8, 8, 0, 8],
    ['exact, 5 × 4', 5, 4, 6, 7, 0, 1],
    ['fast', 3, 3, 32, 32, 1, 1],
  ] as const)(
    'a pixel that is not finite, %s',
    (_, kernelHeight, kernelWidth, channels, outChannels, fast, groups) => {
      const size = 40;
      const [y, x] = [17, 22];
      const fields: Record<string, number> = {
        batch: 2,
        height: size,
        width: size,
        channels,
        outHeight: size,
        outWidth: size,
        outChannels,
        kernelHeight,
        kernelWidth,
        padTop: 1,
        padLeft: 1,
        groups,
      };
      const geometry = Int32Array.from(geometryFields, (field) => fields[field] ?? 1);
      const image = random(2 * size * size * channels);
      const weight = random((outChannels * kernelHeight * kernelWidth * channels) / groups);
      const clean = random(2 * size * size * outChannels);
      kernels.convolve(clean, image, weight, null, geometry, -1, 0, fast);
      expect(clean.every(Number.isFinite)).toBe(true);
      image[(y * size + x) * channels] = Number.NaN;
      const out = clean.slice().fill(Number.NaN);
      kernels.convolve(out, image, weight, null, geometry, -1, 0, fast);
      // A tile of Winograd's is 4 × 4 outputs, wherever it begins.
      const around = fast ? 6 : 0;
      let seen = 0;
      for (let i = 0; i < out.length; i++) {
        const pixel = Math.floor(i / outChannels);
        const [row, column] = [Math.floor(pixel / size) - y, (pixel % size) - x];
        const isOwn = groups === 1 || i % outChannels === 0;
        const within = (distance: number, kernel: number, by: number) =>
          distance >= 1 - (kernel - 1) - by && distance <= 1 + by;
        if (isOwn && within(row, kernelHeight, 0) && within(column, kernelWidth, 0)) {
          expect(out[i]).toBeNaN();
          seen++;
        } else if (!within(row, kernelHeight, around) || !within(column, kernelWidth, around) || !isOwn) {
          expect(out[i]).toBe(clean[i]);
        }
      }
      expect(seen).toBe((kernelHeight * kernelWidth * outChannels) / groups);
    },
  );
});

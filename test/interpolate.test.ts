/** How far a pixel reaches, where pixels come from, and sizes at the ends. */
import { describe, expect, test } from 'vitest';
import {
  compile,
  full,
  type InterpolateOptions,
  interpolate,
  layerFrom,
  ones,
  randn,
  tensor,
  Upsample,
  upsample,
  zeros,
} from '../lib/index.ts';
import { kernels } from '../lib/kernels/index.ts';

const bilinear = { mode: 'bilinear' } as const;
const corners = { ...bilinear, alignCorners: true } as const;

/** How many elements are NaN. */
const reached = (values: ArrayLike<number>) => Array.from(values).filter(Number.isNaN).length;

describe('one NaN', () => {
  // Outputs whose centre is less than a pixel away along both axes. In PyTorch 1.13 those at a distance of 1, which have
  // weight 0, become NaN as well: 16, 9, 25, 9, 36, 16, 16, 9, 1, 1, 1, 9.
  test.each<[size: number, at: number, to: InterpolateOptions, outputs: number]>([
    [32, 16, { ...bilinear, scaleFactor: 2 }, 16],
    [32, 0, { ...bilinear, scaleFactor: 2 }, 9],
    [32, 1, { ...bilinear, scaleFactor: 2 }, 16],
    [32, 31, { ...bilinear, scaleFactor: 2 }, 9],
    [32, 16, { ...bilinear, scaleFactor: 3 }, 25],
    [5, 2, { ...corners, size: 9 }, 9],
    [5, 1, { ...corners, size: 9 }, 9],
    [5, 4, { ...corners, size: 9 }, 4],
    [32, 16, { ...bilinear, size: 32 }, 1],
    [32, 16, { ...bilinear, size: 16 }, 1],
    [5, 1, { ...corners, size: 1 }, 0],
    [32, 16, { scaleFactor: 3 }, 9],
  ])('in %i² at %i, %j, is in %i pixels', (size, at, to, outputs) => {
    for (const [bad, channels] of [
      [Number.NaN, 1],
      [Infinity, 3],
      [Number.NaN, 17],
    ]) {
      const values = new Float32Array(size * size * channels);
      values[(at * size + at) * channels] = bad;
      const y = interpolate(tensor(values, { shape: [1, size, size, channels] }), to);
      expect(y.data.filter((value) => !Number.isFinite(value))).toHaveLength(outputs);
    }
  });

  test.each<[to: InterpolateOptions, at: number, inputs: number]>([
    [{ ...bilinear, scaleFactor: 2 }, 9, 4],
    [{ ...bilinear, scaleFactor: 2 }, 0, 1],
    [{ ...bilinear, scaleFactor: 3 }, 4, 1],
    [{ ...corners, size: 15 }, 4, 1],
    [{ ...corners, size: 15 }, 5, 4],
    [{ scaleFactor: 2 }, 9, 1],
  ])('among the gradients, %j at %i, is in those of %i pixels', (to, at, inputs) => {
    const x = zeros([1, 8, 8, 5], { requiresGrad: true });
    const y = interpolate(x, to);
    const [, height, width] = y.shape;
    const gradient = zeros([...y.shape]);
    gradient.data[(at * width + at) * 5 + 2] = Number.NaN;
    expect(height).toBe(width);
    y.backward(gradient);
    expect(reached(x.grad!.data)).toBe(inputs);
  });
});

describe('nearest', () => {
  test('takes ⌊i / scale⌋, for scales whose quotients are not exact', () => {
    for (let tenths = 1; tenths < 60; tenths++) {
      const x = tensor(
        Float64Array.from({ length: 70 }, (_, i) => i),
        { shape: [1, 70, 1, 1] },
      );
      const y = interpolate(x, { scaleFactor: [tenths / 10, 1] });
      expect(y.shape).toEqual([1, 7 * tenths, 1, 1]);
      expect(Array.from(y.data)).toEqual(Array.from(y.data, (_, i) => Math.floor((10 * i) / tenths)));
    }
  });

  test('goes by the scale where the size stays', () => {
    // PyTorch: F.interpolate(torch.arange(4.).expand(1, 2, 3, 4).contiguous(), scale_factor=(1, 1.2))
    const x = tensor([0, 1, 2, 3], { shape: [1, 1, 4, 1], requiresGrad: true });
    const y = upsample(x, [1, 1.2]);
    expect(Array.from(y.data)).toEqual([0, 0, 1, 2]);
    y.sum().backward();
    expect(Array.from(x.grad!.data)).toEqual([2, 1, 1, 0]);
  });

  test('copies every bit', () => {
    const values = [-0, Number.NaN, -Infinity, 1.4e-45, 3.4028234663852886e38];
    const y = upsample(tensor(values, { shape: [1, 1, 5, 1] }), [3, 2]);
    const row = Float32Array.from(values.flatMap((value) => [value, value]));
    expect(y.data).toEqual(Float32Array.of(...row, ...row, ...row));
  });
});

describe('ends of the range', () => {
  // In float64, whose terms nothing wider holds, sums of the largest number itself may round up to Infinity.
  test.each([
    ['float32', 3.4028234663852886e38],
    ['float64', Number.MAX_VALUE / 2],
  ] as const)('the largest %s stays finite', (dtype, largest) => {
    for (const channels of [1, 3, 8, 19]) {
      const y = interpolate(full([1, 3, 3, channels], largest, { dtype }), { size: [7, 8], ...bilinear });
      for (const value of y.data) expect(value / largest).toBeCloseTo(1, 6);
    }
  });

  test('a pixel becomes a thousand times a thousand, and its gradient their sum as in float64', () => {
    for (const options of [{}, bilinear, corners]) {
      const x = full([1, 1, 1, 2], 3, { requiresGrad: true });
      const y = upsample(x, 1000, options);
      expect(y.data.every((value) => value === 3)).toBe(true);
      y.backward(full([1, 1000, 1000, 2], 0.1));
      expect(Array.from(x.grad!.data)).toEqual([Math.fround(1e6 * Math.fround(0.1)), x.grad!.data[0]]);
    }
  });

  test('no images, or images of no channels', () => {
    for (const shape of [
      [0, 2, 2, 3],
      [2, 2, 2, 0],
      [1, 0, 2, 3],
    ]) {
      const x = zeros(shape, { requiresGrad: true });
      const y = upsample(x, [2, 3], bilinear);
      expect(y.shape).toEqual([shape[0], 2 * shape[1], 6, shape[3]]);
      y.sum().backward();
      expect(x.grad!.shape).toEqual(shape);
    }
  });
});

test('a compiled step gives what an eager one does, for images of other sizes too', () => {
  for (const options of [
    { scaleFactor: [1.5, 2] as const },
    { size: 5, ...bilinear },
    { size: [4, 9] as const, ...corners },
  ]) {
    const step = (x: ReturnType<typeof randn>) => {
      const own = x.detach().setRequiresGrad();
      const y = interpolate(own, options);
      y.square().sum().backward();
      return [y, own.grad!];
    };
    const compiled = compile(step);
    for (const shape of [
      [2, 4, 3, 2],
      [1, 7, 6, 3],
      [2, 4, 3, 2],
    ]) {
      const x = randn(shape);
      const [y, gradient] = compiled.sync(x);
      const [expected, expectedGradient] = step(x);
      expect(y.data).toEqual(expected.data);
      expect(gradient.data).toEqual(expectedGradient.data);
    }
  }
});

describe('Upsample', () => {
  test('is made of a config that knows of a scale alone', () => {
    const layer = layerFrom({ type: 'Upsample', scale: [2, 3], mode: 'nearest' });
    expect(layer.config).toEqual({
      type: 'Upsample',
      scale: [2, 3],
      size: null,
      mode: 'nearest',
      alignCorners: false,
    });
  });

  test('gives what interpolate does', () => {
    const x = randn([2, 5, 4, 3]);
    const layer = new Upsample(null, { size: [7, 3], ...corners });
    expect(layer.forward(x).data).toEqual(interpolate(x, { size: [7, 3], ...corners }).data);
  });

  test.each<[name: string, call: () => unknown, message: RegExp]>([
    ['neither', () => new Upsample(null), /^\[Upsample\] expected either size or scale, got neither/],
    ['both', () => new Upsample(2, { size: 3 }), /^\[Upsample\] expected either size or scale, got both/],
    ['corners of nearest', () => new Upsample(2, { alignCorners: true }), /with mode bilinear alone/],
    ['no pixel', () => new Upsample(0.2).outputShape([4, 9, 1]), /leaves a pixel, got 4 x 9 to 0 x 1/],
    ['no pixel of x', () => new Upsample(0.2).forward(ones([1, 4, 9, 1])), /got 4 x 9 to 0 x 1/],
  ])('%s is refused', (_, call, message) => {
    expect(call).toThrow(message);
  });
});

test('shares below 0 or above 1 are refused by the kernels, before anything is written', () => {
  for (const share of [-0.25, 1.5, Number.NaN, Infinity]) {
    const [out, x] = [Float32Array.of(7, 7), Float32Array.of(1, 2)];
    const axes = [
      Int32Array.of(0),
      Float64Array.of(0),
      Int32Array.of(0, 1),
      Float64Array.of(0.5, share),
    ] as const;
    for (const name of ['interpolate', 'interpolateGradient'] as const) {
      expect(() => kernels[name](out, x, ...axes, 1, 1, 2, 1)).toThrow(
        expect.objectContaining({
          code: 'AXPY_KERNEL',
          message: `[${name}] expected columnShares[1] to be from 0 to 1, got ${share}`,
        }),
      );
      expect(out).toEqual(Float32Array.of(7, 7));
    }
  }
});

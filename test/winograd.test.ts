/**
 * Winograd's algorithm within the bounds that docs/convolution.md states, and the switches that turn it off, on both
 * backends.
 */
import { spawnSync } from 'node:child_process';
import { describe, expect, test } from 'vitest';
import { conv2d, losses, randn, seed, type Tensor, tensor } from '../lib/index.ts';
import { kernels } from '../lib/kernels/index.ts';
import { bundle } from './bundle.ts';
import { generator } from './cases/values.ts';

type Values = Float32Array | Float64Array;

/** Errors relative to the root mean square of the exact values: of the root mean square, and of the largest. */
const bounds = { rms: 3e-6, largest: 5e-5 };

/** batch, height, width, channels, out channels, padding at top and left, out height, out width */
const sizes = [
  [2, 16, 16, 16, 24, 1, 1, 16, 16],
  [4, 13, 18, 33, 37, 0, 0, 11, 16],
  [3, 12, 12, 64, 32, 2, 2, 14, 14],
  [3, 21, 12, 36, 40, 0, 2, 19, 13],
  [5, 12, 13, 50, 45, 2, 0, 9, 16],
] as const;

function normals(length: number, seedOf: number): Float64Array {
  const next = generator(seedOf);
  return new Float64Array(length).map(
    () => Math.sqrt(-2 * Math.log(1 - next())) * Math.cos(2 * Math.PI * next()),
  );
}

function deviation(got: Values, exact: Values): { rms: number; largest: number } {
  let [largest, squares, size] = [0, 0, 0];
  for (let i = 0; i < exact.length; i++) {
    largest = Math.max(largest, Math.abs(got[i] - exact[i]));
    squares += (got[i] - exact[i]) ** 2;
    size += exact[i] ** 2;
  }
  const scale = Math.sqrt(size / exact.length);
  return { rms: Math.sqrt(squares / exact.length) / scale, largest: largest / scale };
}

describe.each(sizes)('%i×%i×%i×%i → %i, padding %i %i', (...size) => {
  const [batch, height, width, channels, outChannels, top, left, outHeight, outWidth] = size;
  const geometry = Int32Array.of(
    ...[batch, height, width, channels, outHeight, outWidth, outChannels],
    ...[3, 3, 1, 1, 1, 1, top, left, 1],
  );
  const x = normals(batch * height * width * channels, 1);
  const weight = normals(outChannels * 9 * channels, 2).map((w) => w / Math.sqrt(9 * channels));
  const dy = normals(batch * outHeight * outWidth * outChannels, 3);
  const passes = {
    output: [
      dy.length,
      (out: Values, [a, w]: Values[], fast: 0 | 1) =>
        kernels.convolve(out, a, w, null, geometry, -1, 0, fast),
    ],
    'gradient of x': [
      x.length,
      (out: Values, [, w, g]: Values[], fast: 0 | 1) =>
        kernels.convolveTransposed(out, g, w, null, geometry, -1, 0, fast),
    ],
    'gradient of weight': [
      weight.length,
      (out: Values, [a, , g]: Values[], fast: 0 | 1) =>
        kernels.convolveWeightGradient(out, a, g, geometry, fast),
    ],
  } as const;

  test.each(Object.keys(passes) as (keyof typeof passes)[])(
    '%s: within the stated error of float64',
    (pass) => {
      const [length, run] = passes[pass];
      // The float32 values, exactly, in float64.
      const single = [x, weight, dy].map((values) => Float32Array.from(values));
      const exact = new Float64Array(length);
      run(
        exact,
        single.map((values) => Float64Array.from(values)),
        0,
      );
      const fast = new Float32Array(length);
      run(fast, single, 1);
      const { rms, largest } = deviation(fast, exact);
      expect(rms).toBeLessThan(bounds.rms);
      expect(largest).toBeLessThan(bounds.largest);
      if (process.env.AXPY_WINOGRAD !== '0') {
        // It is another algorithm that runs, or this test would hold nothing.
        const plain = new Float32Array(length);
        run(plain, single, 0);
        expect(fast).not.toEqual(plain);
      }
    },
  );
});

test('the gradient check passes in float32, by differences of the loss along random directions', () => {
  seed(5);
  const shapes = { x: [2, 14, 14, 24], weight: [32, 3, 3, 24], bias: [32] };
  const values = Object.values(shapes).map((shape, i) => randn(shape).mul(i === 1 ? 0.1 : 1));
  const target = randn([2, 14, 14, 32]);
  const loss = (inputs: Tensor[], winograd: boolean) =>
    losses.mse(
      conv2d(inputs[0], inputs[1], inputs[2], {
        padding: 'same',
        activation: { op: 'tanh', parameter: 0 },
        winograd,
      }),
      target.cast(inputs[0].dtype),
    );
  const leaves = values.map((value) =>
    tensor(value.data as Float32Array, { shape: value.shape, requiresGrad: true }),
  );
  loss(leaves, true).backward();
  const wide = values.map((value) => value.cast('float64'));
  const epsilon = 1e-5;
  wide.forEach((_, at) => {
    const direction = randn(wide[at].shape, { dtype: 'float64' });
    const along = (step: number) =>
      loss(
        wide.map((value, i) => (i === at ? value.add(direction.mul(step)) : value)),
        false,
      ).item();
    const expected = (along(epsilon) - along(-epsilon)) / (2 * epsilon);
    const gradient = leaves[at].grad!.cast('float64');
    const got = gradient.mul(direction).sum().item();
    const scale = Math.sqrt(gradient.square().sum().item() * direction.square().mean().item());
    expect(Math.abs(got - expected)).toBeLessThan(2e-5 * scale);
  });
});

test('winograd: false gives what the direct sum gives, and AXPY_WINOGRAD=0 the same', () => {
  seed(6);
  const [x, weight] = [randn([2, 16, 16, 32]), randn([32, 3, 3, 32])];
  const plain = new Float32Array(2 * 14 * 14 * 32);
  const geometry = Int32Array.of(2, 16, 16, 32, 14, 14, 32, 3, 3, 1, 1, 1, 1, 0, 0, 1);
  kernels.convolve(plain, x.data as Float32Array, weight.data as Float32Array, null, geometry, -1, 0, 0);
  expect(conv2d(x, weight, null, { winograd: false }).data).toEqual(plain);

  const script = `
    import { conv2d, randn, seed } from ${JSON.stringify(bundle('lib/index.ts'))};
    seed(6);
    const y = conv2d(randn([2, 16, 16, 32]), randn([32, 3, 3, 32]));
    process.stdout.write(Buffer.from(y.data.buffer).toString('base64'));`;
  const { stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '--eval', script], {
    encoding: 'utf8',
    env: { ...process.env, AXPY_WINOGRAD: '0' },
  });
  expect(stderr).toBe('');
  expect(Buffer.from(stdout, 'base64').equals(Buffer.from(plain.buffer))).toBe(true);
});

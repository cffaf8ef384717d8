/** Vectors and plain loops of the fallback: the same numbers, whether there is WebAssembly or not and however long arrays are. */
import { spawnSync } from 'node:child_process';
import { expect, test } from 'vitest';
import { unaryOps } from '../lib/kernels/codes.ts';
import { type Float, kernels } from '../lib/kernels/index.ts';
import { bundle } from './bundle.ts';
import { generator } from './cases/values.ts';

const next = generator(7);
const values = Float32Array.from({ length: 2051 }, () => 12 * next() - 6);

test.each(unaryOps.map((name, op) => [name, op] as const))(
  '%s of a number does not depend on how many others there are',
  (_, op) => {
    const run = (x: Float32Array) => {
      const out = new Float32Array(x.length);
      kernels.unary(out, x, op, 0.5, 1.5);
      return out;
    };
    const whole = run(values);
    for (const [first, end] of [
      [0, 1],
      [1, 4],
      [2, 700],
      [511, 2051],
    ]) {
      expect(run(values.slice(first, end))).toEqual(whole.slice(first, end));
    }
  },
);

const noise = (length: number) => Float32Array.from({ length }, () => 12 * next() - 6);

const like = (x: Float, length: number): Float =>
  x instanceof Float32Array ? new Float32Array(length) : new Float64Array(length);

const weights = noise(9001);
const weightsOf = (x: Float, size: number) => like(x, size).map((_, i) => weights[i]) as Float;

/** What the kernels write that go along rows. */
const rowCalls: Record<string, (x: Float, gradient: Float, rows: number, size: number) => Float[]> = {
  softmax(x, _, rows, size) {
    const y = like(x, x.length);
    kernels.softmax(y, x, rows, size, 1, 0);
    return [y];
  },
  'its logarithm'(x, _, rows, size) {
    const y = like(x, x.length);
    kernels.softmax(y, x, rows, size, 1, 1);
    return [y];
  },
  'the gradient of softmax'(x, gradient, rows, size) {
    const [y, dx] = [like(x, x.length), like(x, x.length)];
    kernels.softmax(y, x, rows, size, 1, 0);
    kernels.softmaxGradient(dx, gradient, y, rows, size, 1, 0);
    return [dx];
  },
  'the gradient of its logarithm'(x, gradient, rows, size) {
    const [y, dx] = [like(x, x.length), like(x, x.length)];
    kernels.softmax(y, x, rows, size, 1, 1);
    kernels.softmaxGradient(dx, gradient, y, rows, size, 1, 1);
    return [dx];
  },
  'cross-entropy'(x, _, rows, size) {
    const [losses, y] = [like(x, rows), like(x, x.length)];
    const labels = Int32Array.from({ length: rows }, (_, row) => (7 * row) % size);
    kernels.softmaxCrossEntropy(losses, y, x, labels, rows, size, 1);
    return [losses, y];
  },
  layerNorm(x, _, rows, size) {
    const [y, mean, remainder, inverse] = [x.length, rows, rows, rows].map((n) => like(x, n));
    const [scale, shift] = [weightsOf(x, size), weightsOf(x, size).reverse() as Float];
    kernels.layerNorm(y, mean, remainder, inverse, x, scale, shift, rows, size, 1e-5);
    return [y, inverse];
  },
  'the gradient of layerNorm'(x, gradient, rows, size) {
    const [y, mean, remainder, inverse] = [x.length, rows, rows, rows].map((n) => like(x, n));
    kernels.layerNorm(y, mean, remainder, inverse, x, null, null, rows, size, 1e-5);
    const [byScale, byShift] = [like(x, size), like(x, size)];
    const scale = weightsOf(x, size);
    kernels.layerNormGradient(y, byScale, byShift, gradient, x, mean, remainder, inverse, scale, rows, size);
    return [y, byScale, byShift];
  },
  'layerNorm about 0'(x, _, rows, size) {
    const [y, inverse] = [x.length, rows].map((n) => like(x, n));
    kernels.layerNorm(y, null, null, inverse, x, weightsOf(x, size), null, rows, size, 1e-5);
    return [y, inverse];
  },
  'the gradient of layerNorm about 0'(x, gradient, rows, size) {
    const [y, inverse] = [x.length, rows].map((n) => like(x, n));
    kernels.layerNorm(y, null, null, inverse, x, null, null, rows, size, 1e-5);
    const [byScale, byShift] = [like(x, size), like(x, size)];
    const scale = weightsOf(x, size);
    kernels.layerNormGradient(y, byScale, byShift, gradient, x, null, null, inverse, scale, rows, size);
    return [y, byScale, byShift];
  },
};

/** Whole vectors and not, rows of more than one block, more rows than a block has. */
const matrices = [
  [3, 64],
  [300, 70],
  [140, 128],
  [2, 4104],
  [2, 9001],
] as const;

test.each(Object.entries(rowCalls))('%s of rows: as in float64, whichever rows there are', (_, run) => {
  for (const [rows, size] of matrices) {
    const [x, gradient] = [noise(rows * size), noise(rows * size)];
    const found = run(x, gradient, rows, size);
    const exact = run(Float64Array.from(x), Float64Array.from(gradient), rows, size);
    for (const [i, values] of found.entries()) {
      const largest = Math.max(...Array.from(exact[i], Math.abs));
      const wrong = values.findIndex((value, at) => !(Math.abs(value - exact[i][at]) <= 1e-6 * largest));
      expect(wrong, `${rows} × ${size}, output ${i}`).toBe(-1);
    }
    const last = (rows - 1) * size;
    const alone = run(x.slice(last), gradient.slice(last), 1, size);
    for (const [i, values] of found.entries()) {
      if (values.length === rows * size) expect(alone[i]).toEqual(values.slice(last));
    }
  }
});

/** Losses of three steps, and a weight behind them, of a net that meets products, convolutions, pools and norms. */
const script = `
  const axpy = await import(${JSON.stringify(bundle('lib/index.ts'))});
  const { BatchNorm, Conv2D, Dense, Flatten, LayerNorm, MaxPool2D, Sequential } = axpy;
  axpy.seed(3);
  const model = new Sequential([
    new Conv2D(3, 16, 3, { padding: 1 }), new BatchNorm(16, { activation: 'relu' }),
    new Conv2D(16, 32, 3, { padding: 1, activation: 'tanh' }), new MaxPool2D(2), new Flatten(),
    new Dense(2048, 40, { activation: 'gelu' }), new LayerNorm(40), new Dense(40, 10),
  ]);
  const optimizer = new axpy.Adam(model.parameters(), { learningRate: 1e-3 });
  const x = axpy.randn([4, 16, 16, 3]);
  const y = axpy.tensor(Int32Array.of(1, 7, 3, 0));
  const step = axpy.compile((x, y) => {
    const loss = axpy.losses.softmaxCrossEntropy(model.forward(x), y);
    optimizer.zeroGrad();
    loss.backward();
    optimizer.step();
    return loss;
  });
  const numbers = [0, 1, 2].map(() => step.sync(x, y).item());
  console.log(JSON.stringify([...numbers, model.parameters()[0].data[5]]));`;

function numbers(before = ''): number[] {
  const { stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '--eval', before + script], {
    encoding: 'utf8',
    env: { ...process.env, AXPY_BACKEND: 'fallback' },
  });
  expect(stderr).toBe('');
  return JSON.parse(stdout) as number[];
}

test('a net learns the same without WebAssembly', () => {
  const [by, without] = [numbers(), numbers('delete globalThis.WebAssembly;')];
  for (const [i, value] of by.entries()) {
    expect(Math.abs(value - without[i])).toBeLessThan(2e-4 * Math.abs(without[i]));
  }
  // It is another way that runs, or this test would hold nothing.
  expect(by).not.toEqual(without);
  expect(without.every(Number.isFinite)).toBe(true);
});

/** Vectors and plain loops of the fallback: the same numbers, whether there is WebAssembly or not and however long arrays are. */
import { spawnSync } from 'node:child_process';
import { expect, test } from 'vitest';
import { unaryOps } from '../lib/kernels/codes.ts';
import { kernels } from '../lib/kernels/index.ts';
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

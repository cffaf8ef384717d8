/**
 * Every instruction set that this CPU has, and kernels of OpenBLAS for others: a convolutional network is trained on each
 * in a process of its own, as they are chosen at load. What the CPU lacks must not end the process.
 */
import { spawnSync } from 'node:child_process';
import { expect, test } from 'vitest';
import { bundle } from './bundle.ts';

const library = bundle('lib/index.ts');

/** Prints the loss after some steps, on ways that Winograd, direct, depthwise and products take. */
const script = `
  import { backendInfo, BatchNorm, Conv2D, Dense, Flatten, losses, MaxPool2D, randn, Sequential, SGD, seed, tensor } from ${JSON.stringify(library)};
  seed(3);
  const model = new Sequential([
    new Conv2D(3, 16, 3, { padding: 1 }), new BatchNorm(16, { activation: 'relu' }), new MaxPool2D(2),
    new Conv2D(16, 32, 3, { padding: 1, activation: 'relu' }), new Conv2D(32, 32, 3, { groups: 32, stride: 2 }),
    new Flatten(), new Dense(288, 10),
  ]);
  const optimizer = new SGD(model.parameters(), { learningRate: 0.05, momentum: 0.9 });
  const x = randn([16, 16, 16, 3]);
  const y = tensor(Int32Array.from({ length: 16 }, (_, i) => i % 10));
  let loss;
  for (let i = 0; i < 6; i++) {
    loss = losses.softmaxCrossEntropy(model.forward(x), y);
    optimizer.zeroGrad();
    loss.backward();
    optimizer.step();
  }
  const { blas, simd } = backendInfo();
  console.log(JSON.stringify({ loss: loss.item(), blas, simd }));`;

function train(env: NodeJS.ProcessEnv): { loss: number; blas: string; simd: string } {
  const { status, signal, stdout, stderr } = spawnSync(
    process.execPath,
    ['--input-type=module', '--eval', script],
    { encoding: 'utf8', env: { ...process.env, AXPY_BACKEND: 'native', ...env } },
  );
  expect({ status, signal, stderr }).toEqual({ status: 0, signal: null, stderr: '' });
  return JSON.parse(stdout);
}

const { loss: expected } = train({ AXPY_BACKEND: 'fallback' });

test.each(['SSE2', 'SSE4', 'AVX2', 'AVX-512'])('vectors of %s, or the best below', (simd) => {
  expect(Math.abs(train({ AXPY_SIMD: simd }).loss - expected)).toBeLessThan(1e-4 * expected);
});

const cores = ['Prescott', 'Core2', 'Nehalem', 'Sandybridge', 'Haswell', 'Zen', 'skylakex'];
// Of instructions that hardly any CPU has, and of none.
const others = ['Opteron', 'Barcelona', 'Bulldozer', 'Steamroller', 'nonsense', ''];
test.each([...cores, ...others])("OpenBLAS's kernels for %s, or ones that this CPU can run", (core) => {
  expect(Math.abs(train({ OPENBLAS_CORETYPE: core }).loss - expected)).toBeLessThan(1e-4 * expected);
});

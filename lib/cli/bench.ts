/** `axpy bench`: what this machine does, in a few seconds. */
import {
  Adam,
  backendInfo,
  compile,
  Dense,
  losses,
  profile,
  randn,
  Sequential,
  seed,
  type Tensor,
  tensor,
} from '../index.ts';
import type { Command, Given } from './command.ts';
import { figure, note, say, table } from './terminal.ts';

/** Seconds of a call: the median of as many as fit into half a second, three at least. */
async function secondsOf(call: () => unknown): Promise<number> {
  const times: number[] = [];
  await call();
  const end = performance.now() + 500;
  while (times.length < 3 || performance.now() < end) {
    const start = performance.now();
    await call();
    times.push((performance.now() - start) / 1000);
  }
  return times.sort((a, b) => a - b)[times.length >> 1];
}

const sizes = [256, 1024];
const batch = 128;

/** A step of training of 784-512-256-10 by Adam. */
function mlp(): { step: (x: Tensor, y: Tensor) => Tensor; x: Tensor; y: Tensor } {
  seed(1);
  const model = new Sequential([
    new Dense(784, 512, { activation: 'relu' }),
    new Dense(512, 256, { activation: 'relu' }),
    new Dense(256, 10),
  ]);
  const optimizer = new Adam(model.parameters());
  const x = randn([batch, 784]);
  const y = tensor(Int32Array.from({ length: batch }, (_, i) => i % 10));
  const step = (inputs: Tensor, targets: Tensor): Tensor => {
    const loss = losses.softmaxCrossEntropy(model.forward(inputs), targets);
    optimizer.zeroGrad();
    loss.backward();
    optimizer.step();
    return loss;
  };
  return { step, x, y };
}

async function run(given: Given): Promise<number> {
  const info = backendInfo();
  note('measuring, for some seconds');
  const { step, x, y } = mlp();
  const compiled = compile(step);
  await compiled(x, y);
  const { limits } = profile(compiled, [x, y], { print: false });
  const products: { size: number; seconds: number; gflops: number }[] = [];
  for (const size of sizes) {
    const [a, b] = [randn([size, size]), randn([size, size])];
    const seconds = await secondsOf(() => a.matmul(b));
    products.push({ size, seconds, gflops: (2 * size ** 3) / seconds / 1e9 });
  }
  const result = {
    backend: info,
    limits,
    products,
    mlp: { eager: await secondsOf(() => step(x, y)), compiled: await secondsOf(() => compiled(x, y)) },
  };
  if (given.values.json === true) {
    await say(`${JSON.stringify(result, null, 2)}\n`);
    return 0;
  }
  for (const [name, value] of Object.entries(info)) {
    if (typeof value === 'string' || typeof value === 'number') await say(`${name}: ${value}\n`);
  }
  const peak = limits.float32 / 1e9;
  const { mlp: steps } = result;
  await say(
    `\n${table([
      ['measured', 'time', 'GFLOP/s', 'of peak'],
      ['peak, float32', '', figure(peak), ''],
      ['peak, float64', '', figure(limits.float64 / 1e9), ''],
      ...products.map(({ size, seconds, gflops }) => [
        `product ${size} x ${size}, float32`,
        `${figure(seconds * 1e3)} ms`,
        figure(gflops),
        `${Math.round((100 * gflops) / peak)} %`,
      ]),
      ['step of 784-512-256-10, batch 128, compiled', `${figure(steps.compiled * 1e3)} ms`, '', ''],
      ['the same, not compiled', `${figure(steps.eager * 1e3)} ms`, '', ''],
    ])}`,
  );
  const bandwidths = limits.bandwidths.map(
    ({ bytes, rate }) => `${figure(rate / 1e9)} GB/s over ${bytes / 2 ** 20} MiB`,
  );
  await say(`\nmemory: ${bandwidths.join(', ')}\n`);
  return 0;
}

export const command: Command = {
  name: 'bench',
  files: [],
  text: 'Measures what this machine can do at most, and how much of that products of matrices and a step of training reach.',
  options: { json: { type: 'boolean', text: 'as JSON' } },
  examples: [],
  run,
};

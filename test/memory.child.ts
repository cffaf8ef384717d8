/** Run by autograd.test.ts in a process of its own: 100,000 training steps, and the resident memory on the way. */
import { Dense, losses, Sequential, SGD, seed, tensor } from '../lib/index.ts';

seed(1);
const model = new Sequential([new Dense(4, 3, { activation: 'tanh' }), new Dense(3, 1)]);
const optimizer = new SGD(model.parameters(), { learningRate: 0.05, momentum: 0.5 });
const x = tensor([
  [1, 0, 0.5, -1],
  [0, 1, -0.5, 1],
  [1, 1, 1, 0],
]);
const t = tensor([[0.5], [-0.5], [0.25]]);
let last = 0;

function steps(count: number): void {
  for (let i = 0; i < count; i++) {
    optimizer.zeroGrad();
    const loss = losses.mse(model.forward(x), t);
    loss.backward();
    optimizer.step();
    last = loss.item();
  }
}

function resident(): number {
  for (let i = 0; i < 3; i++) globalThis.gc!();
  return process.memoryUsage().rss;
}

steps(20_000);
const early = resident();
steps(80_000);
const late = resident();
process.stdout.write(JSON.stringify({ early, late, loss: last }));

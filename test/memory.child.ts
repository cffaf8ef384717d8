/**
 * Run by autograd.test.ts in a process of its own: training steps, eager or compiled, and the resident memory on the way.
 *
 *     memory.child.ts eager|compiled STEPS
 */
import { compile, Dense, losses, Sequential, SGD, seed, type Tensor, tensor } from '../lib/index.ts';

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

const [way, total] = [process.argv[2], Number(process.argv[3])];

const eager = (input: Tensor, target: Tensor): Tensor => {
  optimizer.zeroGrad();
  const loss = losses.mse(model.forward(input), target);
  loss.backward();
  optimizer.step();
  return loss;
};
const step = way === 'compiled' ? compile(eager).sync : eager;

function steps(count: number): void {
  for (let i = 0; i < count; i++) last = step(x, t).item();
}

/** The least of several readings: threads of the garbage collector give pages back later, on a busy machine much later. */
function resident(): number {
  let least = Infinity;
  for (let i = 0; i < 5; i++) {
    globalThis.gc!();
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 100);
    least = Math.min(least, process.memoryUsage.rss());
  }
  return least;
}

steps(total / 5);
const early = resident();
steps((total / 5) * 4);
const late = resident();
process.stdout.write(JSON.stringify({ early, late, loss: last }));

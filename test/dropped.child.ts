/**
 * Run by dropped.test.ts in a process of its own: makes and drops things in a loop that never lets the event loop turn, and
 * tells how large the process was at most.
 *
 *     dropped.child.ts models|optimizers|programs|lengths|sequence
 */
import { Adam, compile, Dense, Layer, losses, ones, randn, SGD, type Tensor, zeros } from '../lib/index.ts';
import { peakMemory } from './peak.ts';

const square = (model: Dense, x: Tensor): Tensor => model.forward(x).square().mean();

/** A recurrent network of so many steps, written with ops. */
class Recurrent extends Layer {
  readonly first = new Dense(16, 16);
  readonly cell = new Dense(48, 128);

  forward(input: Tensor): Tensor {
    const x = this.first.forward(input);
    const [batch, length] = x.shape;
    let h = zeros([batch, 32]);
    let c = h;
    for (let t = 0; t < length; t++) {
      const row = x.slice([null, [t, t + 1]]).reshape([batch, 16]);
      const z = this.cell.forward(joined(row, h));
      const gate = (k: number) => z.slice([null, [32 * k, 32 * k + 32]]);
      c = gate(0)
        .sigmoid()
        .mul(c)
        .add(gate(1).sigmoid().mul(gate(2).tanh()));
      h = gate(3).sigmoid().mul(c.tanh());
    }
    return h;
  }
}

const joined = (a: Tensor, b: Tensor): Tensor =>
  a
    .pad([
      [0, 0],
      [0, 32],
    ])
    .add(
      b.pad([
        [0, 0],
        [16, 0],
      ]),
    );

const ways: Record<string, () => void> = {
  /** 4 MB each, 4 GB together. */
  models() {
    for (let i = 0; i < 1000; i++) new Dense(1024, 1024, { init: 'ones' });
  },
  /** Parameters, gradients and two moments: 4 MB, 1.2 GB together. */
  optimizers() {
    const x = randn([4, 512]);
    for (let i = 0; i < 300; i++) {
      const model = new Dense(512, 512, { init: 'ones' });
      square(model, x).backward();
      new Adam(model.parameters()).step();
    }
  },
  programs() {
    const x = randn([4, 512]);
    for (let i = 0; i < 300; i++) {
      const model = new Dense(512, 512, { init: 'ones' });
      const optimizer = new Adam(model.parameters());
      compile((input: Tensor) => {
        optimizer.zeroGrad();
        square(model, input).backward();
        optimizer.step();
      }).sync(x);
    }
  },
  /** Gradients of many sizes: those of the pool, 1.3 MB on the average. */
  lengths() {
    const model = new Dense(1, 64);
    for (let n = 1; n <= 260; n++) for (let k = 0; k < 3; k++) square(model, ones([40 * n, 1])).backward();
  },
  /** The first call of a compiled step: 800 parts of one tensor, and the intermediates of as many steps. */
  sequence() {
    const model = new Recurrent();
    const optimizer = new SGD(model.parameters(), { learningRate: 0.1 });
    const step = compile((x: Tensor, y: Tensor) => {
      const loss = losses.mse(model.forward(x), y);
      optimizer.zeroGrad();
      loss.backward();
      optimizer.step();
      return loss;
    });
    step.sync(randn([32, 800, 16]), randn([32, 32]));
  },
};

const before = process.memoryUsage.rss();
ways[process.argv[2]]();
process.stdout.write(JSON.stringify({ before, peak: peakMemory() }));

/** The networks that `bench:train` times: what one step and one inference of each do. */
import { Adam, Dense, losses, noGrad, randn, Sequential, SGD, seed, tensor } from 'axpy';

export interface Workload {
  (): { step: () => void; inference: () => void };
  title: string;
}

function workload(title: string, make: () => ReturnType<Workload>): Workload {
  return Object.assign(make, { title });
}

/** 4-3-1 with ReLU, batch 32, mean squared error, momentum: the notes' house prices. */
const house = workload('4-3-1, ReLU, batch 32, mse, SGD with momentum', () => {
  seed(0);
  const model = new Sequential([new Dense(4, 3, { activation: 'relu' }), new Dense(3, 1)]);
  const optimizer = new SGD(model.parameters(), { learningRate: 0.01, momentum: 0.9 });
  const [x, y, one] = [randn([32, 4]), randn([32, 1]), randn([1, 4])];
  return {
    step() {
      const loss = losses.mse(model.forward(x), y);
      optimizer.zeroGrad();
      loss.backward();
      optimizer.step();
    },
    inference: () => noGrad(() => void model.forward(one)),
  };
});

/** 784-512-256-10 with ReLU, batch 128, cross-entropy, Adam: small images. */
const mlp = workload('784-512-256-10, ReLU, batch 128, cross-entropy, Adam', () => {
  seed(0);
  const model = new Sequential([
    new Dense(784, 512, { activation: 'relu' }),
    new Dense(512, 256, { activation: 'relu' }),
    new Dense(256, 10),
  ]);
  const optimizer = new Adam(model.parameters(), { learningRate: 1e-3 });
  const [x, one] = [randn([128, 784]), randn([1, 784])];
  const y = tensor(Int32Array.from({ length: 128 }, (_, i) => (i * 7) % 10));
  return {
    step() {
      const loss = losses.softmaxCrossEntropy(model.forward(x), y);
      optimizer.zeroGrad();
      loss.backward();
      optimizer.step();
    },
    inference: () => noGrad(() => void model.forward(one)),
  };
});

export const workloads = { house, mlp };

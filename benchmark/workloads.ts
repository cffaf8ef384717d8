/** The networks that `bench:train` times: what one step and one inference of each do, eagerly and compiled. */
import {
  Adam,
  compile,
  Dense,
  type Layer,
  type LossFunction,
  losses,
  noGrad,
  type Optimizer,
  randn,
  Sequential,
  SGD,
  seed,
  type Tensor,
  tensor,
} from 'axpy';

export interface Workload {
  (): Record<'eager' | 'compiled', { step: () => void; inference: () => void }>;
  title: string;
}

/** A training step on one batch, and the inference of one example, both ways. */
function bothWays(
  model: Layer,
  optimizer: Optimizer,
  loss: LossFunction,
  [x, y, one]: [x: Tensor, y: Tensor, one: Tensor],
): ReturnType<Workload> {
  const step = (input: Tensor, target: Tensor) => {
    const value = loss(model.forward(input), target);
    optimizer.zeroGrad();
    value.backward();
    optimizer.step();
    return value;
  };
  const inference = (input: Tensor) => noGrad(() => model.forward(input));
  const [compiledStep, compiledInference] = [compile(step), compile(inference)];
  return {
    eager: { step: () => void step(x, y), inference: () => void inference(one) },
    compiled: { step: () => void compiledStep.sync(x, y), inference: () => void compiledInference.sync(one) },
  };
}

function workload(title: string, make: () => ReturnType<Workload>): Workload {
  return Object.assign(make, { title });
}

/** 4-3-1 with ReLU, batch 32, mean squared error, momentum: the notes' house prices. */
const house = workload('4-3-1, ReLU, batch 32, mse, SGD with momentum', () => {
  seed(0);
  const model = new Sequential([new Dense(4, 3, { activation: 'relu' }), new Dense(3, 1)]);
  const optimizer = new SGD(model.parameters(), { learningRate: 0.01, momentum: 0.9 });
  return bothWays(model, optimizer, losses.mse, [randn([32, 4]), randn([32, 1]), randn([1, 4])]);
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
  const y = tensor(Int32Array.from({ length: 128 }, (_, i) => (i * 7) % 10));
  return bothWays(model, optimizer, losses.softmaxCrossEntropy, [randn([128, 784]), y, randn([1, 784])]);
});

export const workloads = { house, mlp };

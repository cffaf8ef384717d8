/** The networks that `bench:train` times: what one step and one inference of each do, eagerly and compiled. */
import {
  Adam,
  AdamW,
  BatchNorm,
  type Compiled,
  Conv2D,
  compile,
  Dense,
  Embedding,
  Flatten,
  GRU,
  type KeyValueCache,
  Layer,
  LayerNorm,
  type LossFunction,
  LSTM,
  losses,
  MaxPool2D,
  noGrad,
  type Optimizer,
  PositionEmbedding,
  type Profile,
  profile,
  randn,
  Sequential,
  SGD,
  seed,
  type Tensor,
  TransformerBlock,
  tensor,
} from 'axpy';

interface Ways extends Record<'eager' | 'compiled', { step: () => void; inference: () => void }> {
  /** A compiled step; its loss. */
  loss: () => Tensor;
  /** Where the time of a compiled step goes. */
  profile: () => Profile;
  /** The compiled step, and what it is of. */
  trained: { step: Compiled<[Tensor, Tensor], Tensor>; optimizer: Optimizer; x: Tensor; y: Tensor };
  /** A model in evaluation mode, an example, and a batch of them. */
  served: { model: Layer; one: Tensor; batch: Tensor };
}

export interface Workload {
  (): Ways;
  title: string;
}

/** A training step on one batch, and the inference of one example by a model in evaluation mode, both ways. */
function bothWays(
  make: () => Layer,
  optimizerFor: (model: Layer) => Optimizer,
  loss: LossFunction,
  [x, y, one]: [x: Tensor, y: Tensor, one: Tensor],
): ReturnType<Workload> {
  const [model, served] = [make(), make().eval()];
  const optimizer = optimizerFor(model);
  const step = (input: Tensor, target: Tensor) => {
    const value = loss(model.forward(input), target);
    optimizer.zeroGrad();
    value.backward();
    optimizer.step();
    return value;
  };
  const inference = (input: Tensor) => noGrad(() => served.forward(input));
  const [compiledStep, compiledInference] = [compile(step), compile(inference)];
  return {
    eager: { step: () => void step(x, y), inference: () => void inference(one) },
    compiled: { step: () => void compiledStep.sync(x, y), inference: () => void compiledInference.sync(one) },
    loss: () => compiledStep.sync(x, y),
    profile: () => {
      compiledStep.sync(x, y);
      return profile(compiledStep, [x, y], { print: false, passes: true });
    },
    trained: { step: compiledStep, optimizer, x, y },
    served: { model: served, one, batch: x },
  };
}

function workload(title: string, make: () => ReturnType<Workload>): Workload {
  return Object.assign(make, { title });
}

/** 4-3-1 with ReLU, batch 32, mean squared error, momentum: the notes' house prices. */
const house = workload('4-3-1, ReLU, batch 32, mse, SGD with momentum', () => {
  seed(0);
  const make = () => new Sequential([new Dense(4, 3, { activation: 'relu' }), new Dense(3, 1)]);
  const optimizer = (model: Layer) => new SGD(model.parameters(), { learningRate: 0.01, momentum: 0.9 });
  return bothWays(make, optimizer, losses.mse, [randn([32, 4]), randn([32, 1]), randn([1, 4])]);
});

const labels = (count: number) => tensor(Int32Array.from({ length: count }, (_, i) => (i * 7) % 10));

/** 784-512-256-10 with ReLU, batch 128, cross-entropy, Adam: small images. */
const mlp = workload('784-512-256-10, ReLU, batch 128, cross-entropy, Adam', () => {
  seed(0);
  const make = () =>
    new Sequential([
      new Dense(784, 512, { activation: 'relu' }),
      new Dense(512, 256, { activation: 'relu' }),
      new Dense(256, 10),
    ]);
  const optimizer = (model: Layer) => new Adam(model.parameters(), { learningRate: 1e-3 });
  const data: [Tensor, Tensor, Tensor] = [randn([128, 784]), labels(128), randn([1, 784])];
  return bothWays(make, optimizer, losses.softmaxCrossEntropy, data);
});

/** Two convolutions, one pool and two dense layers on 28×28 grey images, batch 64, momentum: a first convolutional net. */
const cnn = workload('conv32-conv64-pool-128-10 on 28×28, batch 64, cross-entropy, SGD with momentum', () => {
  seed(0);
  const make = () =>
    new Sequential([
      new Conv2D(1, 32, 3, { activation: 'relu' }),
      new Conv2D(32, 64, 3, { activation: 'relu' }),
      new MaxPool2D(2),
      new Flatten(),
      new Dense(64 * 12 * 12, 128, { activation: 'relu' }),
      new Dense(128, 10),
    ]);
  const optimizer = (model: Layer) => new SGD(model.parameters(), { learningRate: 0.01, momentum: 0.9 });
  const data: [Tensor, Tensor, Tensor] = [randn([64, 28, 28, 1]), labels(64), randn([1, 28, 28, 1])];
  return bothWays(make, optimizer, losses.softmaxCrossEntropy, data);
});

/** Four convolutions with batch normalisation on 32×32 colour images, batch 32, momentum and L2: the style of VGG. */
const vgg = workload(
  '64-64-pool-128-128-pool with batch norm on 32×32×3, batch 32, SGD with momentum, L2',
  () => {
    seed(0);
    const block = (from: number, to: number): Layer[] => [
      new Conv2D(from, to, 3, { padding: 1, bias: false }),
      new BatchNorm(to, { activation: 'relu' }),
    ];
    const make = () =>
      new Sequential([
        ...block(3, 64),
        ...block(64, 64),
        new MaxPool2D(2),
        ...block(64, 128),
        ...block(128, 128),
        new MaxPool2D(2),
        new Flatten(),
        new Dense(128 * 64, 10),
      ]);
    const optimizer = (model: Layer) =>
      new SGD(model.parameters(), { learningRate: 0.01, momentum: 0.9, l2: 5e-4 });
    const data: [Tensor, Tensor, Tensor] = [randn([32, 32, 32, 3]), labels(32), randn([1, 32, 32, 3])];
    return bothWays(make, optimizer, losses.softmaxCrossEntropy, data);
  },
);

/** Characters to the logits of those that follow. */
export class Gpt extends Layer {
  override readonly inputDtype = 'int32';
  readonly embedding: Embedding;
  readonly positions: PositionEmbedding;
  readonly blocks: TransformerBlock[];
  readonly norm: LayerNorm;
  readonly out: Dense;

  constructor(vocabulary: number, length: number, width: number, layers: number, heads: number) {
    super();
    this.embedding = new Embedding(vocabulary, width);
    this.positions = new PositionEmbedding(length, width);
    this.blocks = Array.from({ length: layers }, () => new TransformerBlock(width, heads));
    this.norm = new LayerNorm(width);
    this.out = new Dense(width, vocabulary);
  }

  /** @param options.cache for characters that follow those it has seen */
  forward(tokens: Tensor, options: { cache?: KeyValueCache } = {}): Tensor {
    let x: Tensor = this.positions.forward(this.embedding.forward(tokens), options);
    for (const block of this.blocks) x = block.forward(x, options);
    return this.out.forward(this.norm.forward(x));
  }
}

/** A small GPT: 4 layers, 128 wide, 4 heads, 64 characters of 65, batch 16, AdamW. */
const gpt = workload('gpt: 4 layers, 128 wide, 4 heads, 64 tokens, batch 16, cross-entropy, AdamW', () => {
  seed(0);
  const tokens = (count: number) =>
    tensor(
      Int32Array.from({ length: count * 64 }, (_, i) => (i * 31) % 65),
      { shape: [count, 64] },
    );
  return bothWays(
    () => new Gpt(65, 64, 128, 4, 4),
    (model) => new AdamW(model.parameters(), { learningRate: 1e-3 }),
    (logits, target) => losses.softmaxCrossEntropy(logits.reshape([logits.size / 65, 65]), target.flatten(0)),
    [tokens(16), tokens(16), tokens(1)],
  );
});

/** A recurrent layer over 50 steps of 32 numbers, and a dense one on what it ends with; batch 64, squared error, Adam. */
const overTime = (name: string, make: () => Layer, width = 128) =>
  workload(`${name}, 50 steps, batch 64, mse, Adam`, () => {
    seed(0);
    return bothWays(
      () => new Sequential([make(), new Dense(width, 1)]),
      (model) => new Adam(model.parameters(), { learningRate: 1e-3 }),
      losses.mse,
      [randn([64, 50, 32]), randn([64, 1]), randn([1, 50, 32])],
    );
  });

const lstm = overTime('lstm: 32-128-1', () => new LSTM(32, 128, { returns: 'last' }));
const gru = overTime('gru: 32-128-1', () => new GRU(32, 128, { returns: 'last' }));
const both = { returns: 'last', bidirectional: true } as const;
const bilstm = overTime('bidirectional lstm: 32-128-1', () => new LSTM(32, 128, both), 256);

export const workloads = { house, mlp, cnn, vgg, gpt, lstm, gru, bilstm };

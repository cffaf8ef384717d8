/** Whole networks of the kinds that people write, after some steps of training. */
import {
  Adam,
  BatchNorm,
  Conv2D,
  ConvTranspose2D,
  concat,
  Dense,
  Dropout,
  Flatten,
  GlobalAvgPool2D,
  Layer,
  LayerNorm,
  MaxPool2D,
  Parameter,
  randn,
  Sequential,
  SGD,
  type Tensor,
  tensor,
  Upsample,
} from '../../lib/index.ts';

/** A residual block, with a convolution in the way around where sizes change, and weights for channels. */
class Residual extends Layer {
  readonly body: Sequential;
  readonly around: Layer | null;
  readonly squeeze: Dense;
  readonly excite: Dense;

  constructor(from: number, to: number, stride = 1) {
    super();
    this.body = new Sequential([
      new Conv2D(from, to, 3, { stride, padding: 'same', bias: false }),
      new BatchNorm(to, { activation: 'relu' }),
      new Conv2D(to, to, 3, { padding: 1, bias: false }),
      new BatchNorm(to),
    ]);
    const isSame = from === to && stride === 1;
    this.around = isSame ? null : new Sequential([new Conv2D(from, to, 1, { stride }), new BatchNorm(to)]);
    this.squeeze = new Dense(to, 2, { activation: 'relu' });
    this.excite = new Dense(2, to, { activation: 'sigmoid' });
  }

  forward(x: Tensor): Tensor {
    const y = this.body.forward(x);
    const weights = this.excite.forward(this.squeeze.forward(y.mean([1, 2])));
    const scaled = y.mul(weights.reshape([x.shape[0], 1, 1, y.shape[3]]));
    return scaled.add(this.around ? this.around.forward(x) : x).relu();
  }
}

const double = (from: number, to: number) =>
  new Sequential([
    new Conv2D(from, to, 3, { padding: 'same' }),
    new BatchNorm(to, { activation: 'leakyRelu' }),
    new Conv2D(to, to, 3, { padding: 'same', activation: 'relu' }),
  ]);

/** Down and up again, by each of the ways up, with what was there before at its side. */
class UNet extends Layer {
  readonly down = [double(3, 4), double(4, 6), double(6, 8)];
  readonly pool = new MaxPool2D(2);
  readonly up = [new ConvTranspose2D(8, 6, 2, { stride: 2 }), new Upsample(2, { mode: 'bilinear' })];
  readonly merge = [double(12, 6), double(10, 4)];
  readonly head = new Conv2D(4, 2, 1);

  forward(x: Tensor): Tensor {
    const first = this.down[0].forward(x);
    const second = this.down[1].forward(this.pool.forward(first));
    let y = this.down[2].forward(this.pool.forward(second));
    y = this.merge[0].forward(concat([this.up[0].forward(y), second], 3));
    y = this.merge[1].forward(concat([this.up[1].forward(y), first], -1));
    return this.head.forward(y);
  }
}

/** Two heads of attention over words, with a table that ends it as well. */
class Words extends Layer {
  override readonly inputDtype = 'int32';
  readonly table = new Parameter([11, 8]);
  readonly places = new Parameter([6, 8]);
  readonly before = new LayerNorm(8);
  readonly threes = new Dense(8, 24, { bias: false });
  readonly after = new Dense(8, 8);
  readonly norm = new LayerNorm(8);
  readonly wide = new Sequential([
    new Dense(8, 16, { activation: 'gelu' }),
    new Dropout(0.2),
    new Dense(16, 8),
  ]);

  constructor() {
    super();
    this.table.assign(randn([11, 8]));
    this.places.assign(randn([6, 8]));
  }

  forward(words: Tensor): Tensor {
    const [batch, length] = words.shape;
    let x = this.table.gather(words as Tensor<'int32'>).add(this.places);
    const all = this.threes.forward(this.before.forward(x)).reshape([batch, length, 3, 2, 4]);
    const [q, k, v] = [0, 1, 2].map((i) =>
      all
        .slice([null, null, [i, i + 1]])
        .reshape([batch, length, 2, 4])
        .transpose([0, 2, 1, 3]),
    );
    const weights = q.matmul(k, { transposeB: true }).mul(0.5).softmax();
    const mixed = weights.matmul(v).transpose([0, 2, 1, 3]).reshape([batch, length, 8]);
    x = x.add(this.after.forward(mixed));
    x = x.add(this.wide.forward(this.norm.forward(x)));
    return x.mean(1).matmul(this.table, { transposeB: true });
  }
}

const house = () =>
  new Sequential([new Dense(4, 3, { activation: 'sigmoid' }), new Dense(3, 1)], { inputShape: [4] });

const mlp = () =>
  new Sequential(
    [
      new Dense(20, 32, { activation: 'relu' }),
      new Dropout(0.3),
      new Dense(32, 16, { activation: 'tanh' }),
      new Dense(16, 5),
    ],
    { inputShape: [20] },
  );

const cnn = () =>
  new Sequential(
    [
      new Conv2D(1, 4, 3),
      new BatchNorm(4, { activation: 'relu' }),
      new MaxPool2D(2),
      new Conv2D(4, 6, 3, { activation: 'elu' }),
      new Flatten(),
      new Dense(6 * 9, 10, { activation: 'softmax' }),
    ],
    { inputShape: [12, 12, 1] },
  );

const block = (from: number, to: number): Layer[] => [
  new Conv2D(from, to, 3, { padding: 1, bias: false }),
  new BatchNorm(to, { activation: 'relu' }),
];

/** That of the benchmark. */
export const vgg = (width = 64, size = 32): Sequential =>
  new Sequential(
    [
      ...block(3, width),
      ...block(width, width),
      new MaxPool2D(2),
      ...block(width, 2 * width),
      ...block(2 * width, 2 * width),
      new MaxPool2D(2),
      new Flatten(),
      new Dense((2 * width * size ** 2) / 16, 10),
    ],
    { inputShape: [size, size, 3] },
  );

const resnet = () =>
  new Sequential(
    [
      new Conv2D(3, 4, 3, { padding: 'same', activation: 'relu' }),
      new Residual(4, 4),
      new Residual(4, 6, 2),
      new Residual(6, 6),
      new GlobalAvgPool2D(),
      new Dense(6, 5),
    ],
    { inputShape: [9, 9, 3] },
  );

export interface Network {
  readonly make: () => Layer;
  readonly inputShape: readonly number[];
  /** How many Transposes there are for each layout. */
  readonly transposes: Readonly<Record<'NHWC' | 'NCHW', number>>;
}

const none = { NHWC: 0, NCHW: 0 };

export const networks: Readonly<Record<string, Network>> = {
  house: { make: house, inputShape: [4], transposes: none },
  mlp: { make: mlp, inputShape: [20], transposes: none },
  cnn: { make: cnn, inputShape: [12, 12, 1], transposes: { NHWC: 2, NCHW: 1 } },
  vgg: { make: () => vgg(8, 16), inputShape: [16, 16, 3], transposes: { NHWC: 2, NCHW: 1 } },
  // Into the first, and the weights of channels in each block.
  resnet: { make: resnet, inputShape: [9, 9, 3], transposes: { NHWC: 4, NCHW: 3 } },
  'U-Net': { make: () => new UNet(), inputShape: [12, 16, 3], transposes: { NHWC: 2, NCHW: 0 } },
  // Of heads and words, and back.
  words: { make: () => new Words(), inputShape: [6], transposes: { NHWC: 4, NCHW: 4 } },
};

/** Inputs of as many examples. */
export const inputsFor = ({ inputShape }: Network, batch: number): Tensor =>
  inputShape.length === 1 && inputShape[0] === 6
    ? tensor(
        Int32Array.from({ length: 6 * batch }, (_, i) => (i * 7) % 11),
        { shape: [batch, 6] },
      )
    : randn([batch, ...inputShape]);

/** Some steps towards anything, so that no state is as it began. */
export function trained(network: Network, steps = 4): Layer {
  const model = network.make();
  const optimizer =
    network.inputShape.length === 1
      ? new Adam(model.parameters(), { learningRate: 0.01 })
      : new SGD(model.parameters(), { learningRate: 0.01, momentum: 0.9 });
  for (let i = 0; i < steps; i++) {
    optimizer.zeroGrad();
    (model.forward(inputsFor(network, 8)) as Tensor).square().mean().backward();
    optimizer.step();
  }
  return model;
}

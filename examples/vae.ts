/**
 * A variational autoencoder (Kingma & Welling, 2014, Auto-Encoding Variational Bayes) of pictures of clothes, and what it draws.
 *
 *     npm run example:vae -- [--epochs 15] [--seed 1] [--embedded]
 */
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import {
  Adam,
  Conv2D,
  ConvTranspose2D,
  concat,
  Dense,
  evaluate,
  Flatten,
  fit,
  Layer,
  losses,
  predict,
  Reshape,
  randn,
  Sequential,
  seed,
  type Tensor,
} from 'axpy';
import { loadFashion } from './support/fashion-mnist.ts';
import { drawImages } from './support/png.ts';

/** What the model returns: logits of pixels [batch, 28, 28, 1], and the normal distribution of z by its mean and log variance. */
export interface Outputs {
  readonly logits: Tensor;
  readonly mean: Tensor;
  readonly logVariance: Tensor;
}

/** Pictures [batch, 784] to a distribution of `size` numbers each, and from a draw of it back. */
export class Vae extends Layer {
  readonly encoder: Sequential;
  readonly decoder: Sequential;

  constructor(readonly size = 16) {
    super();
    const halving = { stride: 2, padding: 1, activation: 'relu' } as const;
    this.encoder = new Sequential([
      new Reshape([28, 28, 1]),
      new Conv2D(1, 32, 4, halving),
      new Conv2D(32, 64, 4, halving),
      new Flatten(),
      new Dense(7 * 7 * 64, 2 * size),
    ]);
    this.decoder = new Sequential([
      new Dense(size, 7 * 7 * 64, { activation: 'relu' }),
      new Reshape([7, 7, 64]),
      new ConvTranspose2D(64, 32, 4, halving),
      new ConvTranspose2D(32, 1, 4, { stride: 2, padding: 1 }),
      new Flatten(),
    ]);
  }

  forward(x: Tensor): Outputs {
    const [mean, logVariance] = this.encoder.forward(x).split(this.size, -1);
    const z = randn(mean.shape).mul(logVariance.mul(0.5).exp()).add(mean);
    return { logits: this.decoder.forward(z), mean, logVariance };
  }
}

/** KL(N(mean, variance) ‖ N(0, 1)), the sum over all of a batch. */
const divergence = ({ mean, logVariance }: Outputs) =>
  mean.square().add(logVariance.exp()).sub(logVariance).sub(1).sum().mul(0.5);

/** −ELBO in nats a picture: what its pixels cost, given z, and what z does. */
export function negativeElbo(outputs: Outputs, x: Tensor): Tensor {
  const pixels = losses.binaryCrossEntropyWithLogits(outputs.logits, x, { reduction: 'sum' });
  return pixels.add(divergence(outputs)).div(x.shape[0]);
}

export interface VaeReport {
  model: Vae;
  /** Nats a picture on those held out: −ELBO, and its part that is the divergence of z. */
  loss: number;
  divergence: number;
  secondsPerEpoch: number;
  /** Held out, [count, 784]. */
  test: Tensor;
}

export async function trainVae({
  epochs = 15,
  embedded = false,
  limit = Infinity,
  batchSize = 64,
  seed: start = 1,
} = {}): Promise<VaeReport> {
  seed(start);
  const { name, train, test } = loadFashion({ embedded });
  const [x, held] = [train, test].map((part) => part.x.slice([[0, Math.min(limit, part.x.shape[0])]]));
  const model = new Vae();
  console.log(
    `${name}: ${x.shape[0]} pictures to learn from, ${held.shape[0]} held out; ` +
      `${model.parameterCount().toLocaleString('en-US')} parameters`,
  );
  const { epochs: records } = await fit(
    model,
    { x, y: x },
    {
      loss: negativeElbo,
      optimizer: new Adam(model.parameters(), { learningRate: 1e-3 }),
      epochs,
      batchSize,
      progress: process.stderr.isTTY,
    },
  );
  const score = async (loss: (outputs: Outputs, x: Tensor) => Tensor) =>
    (await evaluate(model, { x: held, y: held }, { loss })).loss;
  return {
    model,
    loss: await score(negativeElbo),
    divergence: await score((outputs) => divergence(outputs).div(outputs.mean.shape[0])),
    secondsPerEpoch: records.reduce((sum, { seconds }) => sum + seconds, 0) / epochs,
    test: held,
  };
}

/** Pictures, and below each what comes back of it, [2 · rows · across, 784]. */
export async function reconstructions(
  { model, test }: VaeReport,
  rows: number,
  across: number,
): Promise<Tensor> {
  const given = test.slice([[0, rows * across]]);
  const { logits } = await predict(model, given);
  return concat(
    [given, logits.sigmoid()].map((part) => part.reshape([rows, 1, across * 784])),
    1,
  ).reshape([-1, 784]);
}

/** What the decoder makes of draws from N(0, 1), [count, 784]. */
export async function samples(model: Vae, count: number): Promise<Tensor> {
  return (await predict(model.decoder, randn([count, model.size]))).sigmoid();
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { values } = parseArgs({
    options: {
      epochs: { type: 'string', default: '15' },
      seed: { type: 'string', default: '1' },
      embedded: { type: 'boolean', default: false },
    },
  });
  const report = await trainVae({
    epochs: Number(values.epochs),
    seed: Number(values.seed),
    embedded: values.embedded,
  });
  console.log(
    `ELBO on held-out pictures −${report.loss.toFixed(2)} nats, of which the divergence ${report.divergence.toFixed(2)}; ` +
      `${report.secondsPerEpoch.toFixed(2)} s an epoch`,
  );
  const file = (name: string) => fileURLToPath(new URL(`pictures/vae-${name}.png`, import.meta.url));
  drawImages(file('reconstructions'), await reconstructions(report, 3, 12), 12);
  drawImages(file('samples'), await samples(report.model, 96), 12);
}

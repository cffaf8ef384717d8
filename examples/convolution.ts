/**
 * Fashion-MNIST with a small convolutional network: parameters shared over the image, as the last section of the notes
 * has them. Draws the filters of its first layer, and what it takes for what.
 *
 *     npm run example:convolution -- [--epochs 10] [--embedded]
 */
import { mkdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import {
  Adam,
  BatchNorm,
  backendInfo,
  type ConfusionMatrix,
  Conv2D,
  confusionMatrix,
  Dense,
  Dropout,
  evaluate,
  Flatten,
  fit,
  MaxPool2D,
  Normalize,
  predict,
  Sequential,
  seed,
} from 'axpy';
import { classes, type Images, loadFashion } from './support/fashion-mnist.ts';
import { drawConfusion, drawFilters } from './support/pictures.ts';
import type { Report } from './support/report.ts';

export interface ConvolutionReport extends Report {
  confusion: ConfusionMatrix;
  /** The first layer. */
  first: Conv2D;
}

const asImages = ({ x, y }: Images['train']) => ({ x: x.reshape([-1, 28, 28, 1]), y });

/** @param limit how many of the training images to learn from */
export async function trainConvolution({
  epochs = 10,
  embedded = false,
  limit = Infinity,
} = {}): Promise<ConvolutionReport> {
  seed(1);
  const { name, train, test } = loadFashion({ embedded });
  const count = Math.min(limit, train.x.shape[0]);
  const training = asImages({ x: train.x.slice([[0, count]]), y: train.y.slice([[0, count]]) });
  const held = asImages(test);
  console.log(`${name}: ${training.x.shape[0]} images to learn from, ${held.x.shape[0]} held out`);
  const first = new Conv2D(1, 32, 3, { padding: 'same', bias: false });
  const model = new Sequential(
    [
      new Normalize([]).adapt(train.x),
      first,
      new BatchNorm(32, { activation: 'relu' }),
      new MaxPool2D(2),
      new Conv2D(32, 64, 3, { padding: 'same', bias: false }),
      new BatchNorm(64, { activation: 'relu' }),
      new MaxPool2D(2),
      new Flatten(),
      new Dropout(0.3),
      new Dense(7 * 7 * 64, 128, { activation: 'relu' }),
      new Dropout(0.3),
      new Dense(128, 10),
    ],
    { inputShape: [28, 28, 1] },
  );
  console.log(model.summary());

  const rate = 2e-3;
  const optimizer = new Adam(model.parameters(), { learningRate: rate });
  const history = await fit(model, training, {
    loss: 'softmaxCrossEntropy',
    optimizer,
    epochs,
    batchSize: 64,
    metrics: ['accuracy'],
    validation: held,
    progress: true,
    callbacks: [
      {
        onEpochBegin({ epoch }) {
          optimizer.learningRate = rate * (1 - (epoch - 1) / epochs);
        },
      },
    ],
  });
  const seconds = history.epochs.reduce((sum, epoch) => sum + epoch.seconds, 0);
  const confusion = confusionMatrix(await predict(model, held.x), held.y);
  return {
    dataset: `${name}, convolutional`,
    backend: backendInfo().name,
    figure: 'accuracy',
    train: (await evaluate(model, training, { metrics: ['accuracy'] })).accuracy,
    test: confusion.accuracy,
    seconds,
    examplesPerSecond: (epochs * training.x.shape[0]) / seconds,
    confusion,
    first,
  };
}

/** Writes the two pictures and returns their paths. */
export function drawPictures({ confusion, first }: ConvolutionReport): string[] {
  const folder = fileURLToPath(new URL('./pictures', import.meta.url));
  mkdirSync(folder, { recursive: true });
  const files = [`${folder}/fashion-filters.svg`, `${folder}/fashion-confusion.svg`];
  drawFilters(files[0], first.weight);
  drawConfusion(files[1], confusion, classes);
  return files;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { values } = parseArgs({
    options: { epochs: { type: 'string', default: '10' }, embedded: { type: 'boolean', default: false } },
  });
  const report = await trainConvolution({ epochs: Number(values.epochs), embedded: values.embedded });
  const { dataset, backend, train, test, seconds } = report;
  console.log(
    `${dataset}, ${backend}: accuracy ${train.toFixed(4)} in training, ${test.toFixed(4)} held out, ${seconds.toFixed(0)} s`,
  );
  for (const file of drawPictures(report)) console.log(`wrote ${file}`);
}

/**
 * Trained here, read in Python: a convolutional network for Fashion-MNIST, written as a model, as weights in PyTorch's
 * convention, and with images and predictions to compare. `read.py` then predicts with PyTorch.
 *
 *     npx tsx examples/interop/train.ts [folder] && python3 examples/interop/read.py [folder]
 */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import {
  Adam,
  BatchNorm,
  Conv2D,
  Dense,
  evaluate,
  Flatten,
  fit,
  MaxPool2D,
  predict,
  ReLU,
  Sequential,
  saveModel,
  saveNpz,
  saveWeights,
  seed,
  toChannelsFirst,
} from 'axpy';
import { loadFashion } from '../support/fashion-mnist.ts';

/** @returns the accuracy on images held out */
export async function trainForPython(folder: string, { limit = Infinity, epochs = 3 } = {}): Promise<number> {
  seed(1);
  const { train, test } = loadFashion({ embedded: true });
  const images = ({ x, y }: typeof train, count: number) => ({
    x: x.slice([[0, count]]).reshape([-1, 28, 28, 1]),
    y: y.slice([[0, count]]),
  });
  const training = images(train, Math.min(limit, train.y.size));
  const held = images(test, test.y.size);
  const model = new Sequential(
    [
      new Conv2D(1, 16, 3, { padding: 'same', bias: false }),
      // Each for itself, as PyTorch has them: so layers have the same numbers there.
      new BatchNorm(16),
      new ReLU(),
      new MaxPool2D(2),
      new Flatten(),
      new Dense(14 * 14 * 16, 10),
    ],
    { inputShape: [28, 28, 1] },
  );
  const optimizer = new Adam(model.parameters());
  await fit(model, training, { loss: 'softmaxCrossEntropy', optimizer, epochs, batchSize: 64 });
  const { accuracy } = await evaluate(model, held, { metrics: ['accuracy'] });

  mkdirSync(folder, { recursive: true });
  await saveModel(join(folder, 'model.safetensors'), model);
  await saveWeights(join(folder, 'weights.safetensors'), model, { convention: 'pytorch' });
  const logits = await predict(model, held.x);
  await saveNpz(join(folder, 'held-out.npz'), { images: toChannelsFirst(held.x), labels: held.y, logits });
  console.log(`accuracy ${accuracy}; files in ${folder}`);
  return accuracy;
}

if (process.argv[1] === fileURLToPath(import.meta.url))
  await trainForPython(process.argv[2] ?? 'build/interop');

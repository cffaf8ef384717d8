/**
 * A network that PyTorch trained on clothes (`pretrain.py`) learns here to tell shoes and bags apart, from a few images of each;
 * what comes of it goes out again, and onnxruntime serves it.
 *
 *     python3 examples/interop/pretrain.py [folder] && npx tsx examples/interop/finetune.ts [folder]
 */
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import {
  Adam,
  Dense,
  evaluate,
  exportOnnx,
  fit,
  importOnnx,
  predict,
  Sequential,
  seed,
  type Tensor,
  tensor,
} from 'axpy';
import { InferenceSession, Tensor as OrtTensor } from 'onnxruntime-node';
import { classes, loadFashion } from '../support/fashion-mnist.ts';

/** What PyTorch has not seen. */
const wanted = ['sandal', 'sneaker', 'bag', 'boot'] as const;

/** Images [count, 1, 28, 28] and labels from 0 on of these classes. */
function pick({ x, y }: { x: Tensor; y: Tensor }, most: number): { x: Tensor; y: Tensor } {
  const labels = [...y.data].map((label) => (wanted as readonly string[]).indexOf(classes[label]));
  const rows = labels.flatMap((label, row) => (label < 0 ? [] : [row])).slice(0, most);
  return {
    x: x.gather(tensor(Int32Array.from(rows))).reshape([-1, 1, 28, 28]),
    y: tensor(Int32Array.from(rows, (row) => labels[row])),
  };
}

/** @returns the accuracy on images held out, and how far onnxruntime is from what is computed here */
export async function finetune(
  folder: string,
  { epochs = 10, few = 200 } = {},
): Promise<{ accuracy: number; difference: number }> {
  seed(1);
  const { train, test } = loadFashion({ embedded: true });
  const [training, held] = [pick(train, few), pick(test, Infinity)];

  const features = await importOnnx(join(folder, 'pretrained.onnx'), { outputs: ['features'] });
  const model = new Sequential([features, new Dense(32 * 7 * 7, wanted.length)]);
  const loss = 'softmaxCrossEntropy';
  // First the new layer alone, then all of it with smaller steps.
  features.trainable = false;
  await fit(model, training, { loss, optimizer: new Adam(model.parameters()), epochs, batchSize: 32 });
  features.trainable = true;
  const optimizer = new Adam(model.parameters(), { learningRate: 1e-4 });
  await fit(model, training, { loss, optimizer, epochs, batchSize: 32 });
  const { accuracy } = await evaluate(model, held, { metrics: ['accuracy'] });

  const path = join(folder, 'finetuned.onnx');
  await exportOnnx(model, path, { inputShape: [1, 28, 28], inputNames: ['images'], outputNames: ['logits'] });
  const session = await InferenceSession.create(path);
  const { logits } = await session.run({ images: new OrtTensor('float32', held.x.data, [...held.x.shape]) });
  const own = await predict(model, held.x);
  const served = logits.data as Float32Array;
  const difference = own.data.reduce(
    (largest, value, i) => Math.max(largest, Math.abs(value - served[i])),
    0,
  );
  console.log(
    `accuracy ${accuracy} on ${held.y.size} images of ${wanted.join(', ')}; ${path} is off by ${difference}`,
  );
  return { accuracy, difference };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await finetune(process.argv[2] ?? 'build/interop');

/**
 * What a network has learned of seven kinds of clothes, which lie anywhere in the picture, helps it to learn three others from a
 * few images of each: all but its last layer is taken from the file and frozen, a new head learns on top of it, and then all of it
 * does, by smaller steps. Beside it the same network from the beginning.
 *
 *     npm run example:transfer -- [--seeds 5]
 */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import {
  Adam,
  BatchNorm,
  Conv2D,
  Dense,
  evaluate,
  Flatten,
  fit,
  loadModel,
  MaxPool2D,
  Sequential,
  saveModel,
  seed,
  type Tensor,
  tensor,
  trainTestSplit,
} from 'axpy';
import { classes, loadFashion } from './support/fashion-mnist.ts';

/** What is to be learned from few images. */
const fresh: readonly string[] = ['T-shirt', 'pullover', 'sandal'];
const known = classes.filter((name) => !fresh.includes(name));

interface Examples {
  x: Tensor;
  y: Tensor;
}

/** [examples, 40, 40, 1] to [examples, 64]. */
const body = () =>
  new Sequential([
    new Conv2D(1, 16, 3, { padding: 'same', bias: false }),
    new BatchNorm(16, { activation: 'relu' }),
    new MaxPool2D(2),
    new Conv2D(16, 32, 3, { padding: 'same', bias: false }),
    new BatchNorm(32, { activation: 'relu' }),
    new MaxPool2D(2),
    new Conv2D(32, 64, 3, { padding: 'same', bias: false }),
    new BatchNorm(64, { activation: 'relu' }),
    new MaxPool2D(2),
    new Flatten(),
    new Dense(5 * 5 * 64, 64, { activation: 'relu' }),
  ]);
type Front = ReturnType<typeof body>;

const classifier = (front: Front, of: readonly string[]) => new Sequential([front, new Dense(64, of.length)]);
type Classifier = ReturnType<typeof classifier>;

/** Each in a black picture of 40×40, at a place that is that of its row. */
function place(x: Tensor, rows: readonly number[]): Tensor {
  const pictures = new Float32Array(rows.length * 40 * 40);
  rows.forEach((row, i) => {
    const image = x.data.subarray(row * 28 * 28);
    const [top, left] = [(7 * row) % 13, (11 * row + (row >> 4)) % 13];
    for (let line = 0; line < 28; line++) {
      pictures.set(image.subarray(28 * line, 28 * (line + 1)), (40 * i + top + line) * 40 + left);
    }
  });
  return tensor(pictures, { shape: [rows.length, 40, 40, 1] });
}

/** The images of these classes, so many at most, with labels from 0 on. */
function pick({ x, y }: Examples, of: readonly string[], most = Infinity): Examples {
  const labels = Array.from(y.data, (label: number) => of.indexOf(classes[label]));
  const rows = labels.flatMap((label, row) => (label < 0 ? [] : [row])).slice(0, most);
  return {
    x: place(x, rows),
    y: tensor(Int32Array.from(rows, (row) => labels[row])),
  };
}

const loss = 'softmaxCrossEntropy';

async function accuracyOf(model: Classifier, data: Examples): Promise<number> {
  return (await evaluate(model, data, { metrics: ['accuracy'] })).accuracy;
}

/** Learns the first classes, and writes the network to a file. @returns its accuracy */
async function pretrain(file: string, images: number, epochs: number): Promise<number> {
  const { train, test } = loadFashion({ embedded: true });
  seed(1);
  const model = classifier(body(), known);
  const optimizer = new Adam(model.parameters(), { learningRate: 2e-3 });
  await fit(model, pick(train, known, images), { loss, optimizer, epochs, batchSize: 64 });
  await saveModel(file, model);
  return accuracyOf(model, pick(test, known));
}

/** Accuracies on all images of the new classes that were not learned from. */
export interface Accuracies {
  /** How many of each class were. */
  few: number;
  /** The same network from the beginning. */
  scratch: number;
  /** A new head on what is as the file has it. */
  frozen: number;
  /** After that all of it. */
  tuned: number;
}

export interface TransferReport {
  /** The accuracy on the classes that were learned first. */
  known: number;
  rows: Accuracies[];
}

/**
 * @param images how many to learn the first classes from
 * @param pool how many there are of the new ones, to learn from and to be tested on
 * @param watch is told of what was taken over when the head alone has learned on them
 */
export async function trainTransfer({
  seeds = 5,
  fews = [5, 20],
  images = Infinity,
  pool = Infinity,
  epochs = 5,
  steps = 120,
  folder = 'build/transfer',
  watch = (_front: Front): void => {},
} = {}): Promise<TransferReport> {
  mkdirSync(folder, { recursive: true });
  const file = join(folder, 'clothes.safetensors');
  const report: TransferReport = { known: await pretrain(file, images, epochs), rows: [] };
  const all = pick(loadFashion({ embedded: true }).train, fresh, pool);
  for (const few of fews) {
    const size = few * fresh.length;
    const options = { loss, batchSize: 20, epochs: Math.ceil(steps / Math.ceil(size / 20)) } as const;
    for (let i = 1; i <= seeds; i++) {
      const { train, test } = trainTestSplit(all, {
        testSize: all.y.size - size,
        stratify: all.y,
        seed: i,
      });
      const learn = (model: Classifier, learningRate: number) =>
        fit(model, train, { ...options, optimizer: new Adam(model.parameters(), { learningRate }) });
      seed(i);
      const scratch = classifier(body(), fresh);
      await learn(scratch, 1e-3);

      const [front] = (await loadModel<Classifier>(file)).layers;
      const model = classifier(front, fresh);
      front.trainable = false;
      await learn(model, 1e-2);
      watch(front);
      const frozen = await accuracyOf(model, test);

      front.trainable = true;
      // Statistics of a few images are worse than those of thousands.
      for (const layer of front.layers) if (layer instanceof BatchNorm) layer.trainable = false;
      await learn(model, 1e-4);
      report.rows.push({
        few,
        scratch: await accuracyOf(scratch, test),
        frozen,
        tuned: await accuracyOf(model, test),
      });
    }
  }
  return report;
}

const columns = ['scratch', 'frozen', 'tuned'] as const;

/** The means over seeds, for each number of images. */
export function means(rows: readonly Accuracies[]): Accuracies[] {
  return [...new Set(rows.map(({ few }) => few))].map((few) => {
    const own = rows.filter((row) => row.few === few);
    const mean = (column: (typeof columns)[number]) =>
      own.reduce((sum, row) => sum + row[column], 0) / own.length;
    return { few, scratch: mean('scratch'), frozen: mean('frozen'), tuned: mean('tuned') };
  });
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { values } = parseArgs({ options: { seeds: { type: 'string', default: '5' } } });
  const { known: accuracy, rows } = await trainTransfer({ seeds: Number(values.seeds) });
  const lines = [...rows, ...means(rows).map((row) => ({ ...row, mean: 'mean' }))];
  const cells = (row: Accuracies) => columns.map((column) => row[column].toFixed(3).padStart(9)).join('');
  console.log(`${accuracy.toFixed(3)} of ${known.join(', ')}; then of ${fresh.join(', ')}:
images   ${columns.map((column) => column.padStart(9)).join('')}`);
  for (const row of lines) {
    console.log(`${String(row.few).padStart(4)} ${('mean' in row ? 'mean' : '').padEnd(4)}${cells(row)}`);
  }
}

import { createReadStream, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parse } from 'csv-parse';
import { Adam, Dense, Embedding, fit, Layer, seed, stream, type Tensor, zip } from '../../lib/index.ts';

seed(1);
const file = join(mkdtempSync(join(tmpdir(), 'axpy-')), 'reviews.csv');
const words = ['bad', 'dull', 'slow', 'good', 'fine', 'great'];
const lines = Array.from({ length: 600 }, (_, i) => {
  const kind = i % 2;
  return `${kind},${Array.from({ length: 1 + (i % 13) }, (_, j) => words[3 * kind + ((i + j) % 3)]).join(' ')}`;
});
writeFileSync(file, `label,text\n${lines.join('\n')}\n`);

const reviews = stream(() => createReadStream(file).pipe(parse({ columns: true })))
  .map((row: { label: string; text: string }) => ({
    x: row.text.split(' ').map((word) => words.indexOf(word) + 1),
    y: Number(row.label),
  }))
  .shuffle(10_000, { seed: 1 });
// Texts of about one length together, padded by 0 to the end of their bucket.
const batches = reviews.bucket({ length: ({ x }) => x.length, boundaries: [4, 8, 16], size: 32, pad: { x: 0 } });

class MeanOfWords extends Layer {
  override readonly inputDtype = 'int32';
  readonly embedding = new Embedding(words.length + 1, 8, { paddingIndex: 0 });
  readonly output = new Dense(8, 2);

  forward(x: Tensor): Tensor {
    return this.output.forward(this.embedding.forward(x).mean([1]));
  }
}

const model = new MeanOfWords();
const { epochs } = await fit(model, batches.prefetch(2), {
  loss: 'softmaxCrossEntropy', optimizer: new Adam(model.parameters(), { learningRate: 0.02 }), metrics: ['accuracy'], epochs: 5,
});
console.log('accuracy', epochs[4].accuracy);

const pairs = zip(stream([[1, 2], [3, 4], [5, 6]]), ['a', 'b', 'c']).map(([x, name]) => ({ x, name }));
for await (const { x, name } of pairs.batch(2)) console.log(x, name); // [[1, 2], [3, 4]] ['a', 'b'], then the third

import { arange, Conv2D, Flatten, oneHot, RandomRotation, RandomTranslation, rand, Sequential, tensor } from '../../lib/index.ts';

const seen = new Sequential([
  new RandomRotation(0.05), //                                             up to 18° either way
  new RandomTranslation(0.1, [0, 0.1], { fillMode: 'constant' }), //       up and down; to the right alone, with zeros coming in
  new Conv2D(1, 8, 3, { activation: 'relu' }), new Flatten(), new Dense(8 * 6 * 6, 10),
]);

const pictures = Array.from({ length: 64 }, (_, i) => ({ x: rand([8, 8, 1]), y: i % 10 }));
// Mixup (Zhang et al., 2018): each with another, and their labels by as much.
const mixed = stream(pictures).shuffle(64, { seed: 1 }).batch(16).map(({ x, y }) => {
  const blend = (a: Tensor) => a.mul(0.7).add(a.flip(0).mul(0.3));
  return { x: blend(x), y: blend(oneHot(tensor(y, { dtype: 'int32' }), 10)) };
});

class Cutout extends Layer { // DeVries and Taylor, 2017: 0 in a square of each picture.
  constructor(readonly size: number) {
    super();
  }

  forward(x: Tensor): Tensor {
    if (!this.training) return x;
    const [n, height, width] = x.shape;
    const near = (count: number, shape: number[]) =>
      rand([n, 1, 1, 1]).mul(count).sub(arange(count).reshape(shape)).abs().less(this.size / 2);
    return x.mul(near(height, [1, height, 1, 1]).mul(near(width, [1, 1, width, 1])).mul(-1).add(1));
  }
}

await fit(new Sequential([new Cutout(3), ...seen.layers]), mixed, {
  loss: 'softmaxCrossEntropy', optimizer: new Adam(seen.parameters()), epochs: 2,
});

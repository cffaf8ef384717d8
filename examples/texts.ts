/**
 * Does a customer give five stars? Three models that read the review: which words it has, the mean of what words mean, and word
 * by word in both directions.
 *
 *     npm run example:texts -- [--seed 1]
 */
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import {
  AdamW,
  Dense,
  Dropout,
  Embedding,
  earlyStopping,
  evaluate,
  fit,
  GRU,
  Layer,
  Parameter,
  predict,
  type Stream,
  seed,
  stream,
  type Tensor,
} from 'axpy';
import { loadReviews, type Review, Vocabulary, wordsOf } from './support/reviews.ts';

/** Indices of words [batch, time], filled up by 0, and how many there are of each review [batch]. */
interface Words {
  words: Tensor;
  lengths: Tensor;
}

/** Words of reviews to a logit for each, [batch, 1]. */
abstract class Reader extends Layer {
  override readonly inputDtype = 'int32';
  abstract override forward(x: Words): Tensor;
}

/**
 * Logistic regression on which words a review has, however often: each has a number, and what they sum to, over the length of
 * the vector of ones and zeros that says which they are, is the logit.
 */
export class BagOfWords extends Reader {
  readonly weights: Embedding;
  readonly bias = new Parameter([1]);

  constructor(words: number) {
    super();
    this.weights = new Embedding(words, 1, { paddingIndex: 0, init: 'zeros' });
  }

  override forward({ words, lengths }: Words): Tensor {
    const length = lengths.cast('float32').sqrt().unsqueeze(1);
    return this.weights.forward(words).sum([1]).div(length).add(this.bias);
  }
}

/** A vector for each word, and a layer over their mean. */
export class MeanOfWords extends Reader {
  readonly embedding: Embedding;
  readonly dropout = new Dropout(0.5);
  readonly hidden: Dense;
  readonly out: Dense;

  constructor(words: number, size = 64) {
    super();
    this.embedding = new Embedding(words, size, {
      paddingIndex: 0,
      init: { name: 'normal', deviation: 0.1 },
    });
    this.hidden = new Dense(size, size, { activation: 'relu' });
    this.out = new Dense(size, 1);
  }

  override forward({ words, lengths }: Words): Tensor {
    // What fills up has the vector 0.
    const mean = this.embedding.forward(words).sum([1]).div(lengths.cast('float32').unsqueeze(1));
    return this.out.forward(this.dropout.forward(this.hidden.forward(this.dropout.forward(mean))));
  }
}

/** Word by word, from both ends: the largest that each number of the state has been on the way. */
export class BothDirections extends Reader {
  readonly embedding: Embedding;
  readonly dropout = new Dropout(0.5);
  readonly order: GRU;
  readonly out: Dense;

  constructor(words: number, size = 32) {
    super();
    this.embedding = new Embedding(words, size, {
      paddingIndex: 0,
      init: { name: 'normal', deviation: 0.1 },
    });
    this.order = new GRU(size, size, { bidirectional: true });
    this.out = new Dense(2 * size, 1);
  }

  override forward({ words, lengths }: Words): Tensor {
    const states = this.order.forward(this.dropout.forward(this.embedding.forward(words)), lengths);
    return this.out.forward(this.dropout.forward(states.max([1])));
  }
}

/** How a model is made and learns: of each word that a review has once, or of its words in order. */
interface Recipe {
  make: (words: number) => Reader;
  distinct?: boolean;
  learningRate: number;
}

const recipes = {
  'bag of words': { make: (words) => new BagOfWords(words), distinct: true, learningRate: 0.02 },
  'mean of words': { make: (words) => new MeanOfWords(words), learningRate: 2e-3 },
  'both directions': { make: (words) => new BothDirections(words), learningRate: 2e-3 },
} satisfies Record<string, Recipe>;

export type ReaderName = keyof typeof recipes;

/** A model that has learned, what it reads, and how well it does on reviews that were held out. */
export interface Outcome {
  model: Reader;
  vocabulary: Vocabulary;
  accuracy: number;
  rocAuc: number;
  epochs: number;
  /** The median over epochs. */
  seconds: number;
  /** The probability that who wrote it gives five stars. */
  read(text: string): Promise<number>;
}

export interface TextsOptions {
  seed?: number;
  epochs?: number;
  /** How many words of a review are read. */
  length?: number;
  /** Of the reviews to learn from, to stop by and to test on, how many at most. */
  limit?: number;
}

/** A model that learns until the validation reviews gain no more of it. */
export async function trainReader(
  name: ReaderName,
  { seed: number = 1, epochs = 20, length = 128, limit = Infinity }: TextsOptions = {},
): Promise<Outcome> {
  seed(number);
  const { make, distinct = false, learningRate }: Recipe = recipes[name];
  const { train, validation, test } = loadReviews(limit);
  const vocabulary = new Vocabulary(train, 3);
  const itemOf = ({ words, great }: Review) => {
    const read = vocabulary.encode(distinct ? [...new Set(words)] : words).subarray(0, length);
    return { x: { words: read, lengths: read.length }, y: [great] };
  };
  const boundaries = [32, 64, 96, 128].filter((limit) => limit <= length);
  /** By 32, those of about one length together. */
  const batches = (items: Stream<ReturnType<typeof itemOf>>) =>
    items.bucket({ length: ({ x }) => x.lengths, boundaries, size: 32, pad: { 'x.words': 0 } });
  const parts = { train, validation, test };
  const [learned, watched, held] = Object.values(parts).map((part) => stream(part.map(itemOf)));

  const model = make(vocabulary.words.length);
  const loss = 'binaryCrossEntropyWithLogits';
  const history = await fit(model, batches(learned.shuffle(train.length, { seed: number })), {
    loss,
    optimizer: new AdamW(model.parameters(), { learningRate }),
    epochs,
    validation: batches(watched),
    callbacks: [earlyStopping({ patience: 3 })],
    progress: process.stderr.isTTY,
  });
  const scores = await evaluate(model, batches(held), { loss, metrics: ['accuracy', 'rocAuc'] });
  const seconds = history.epochs.map((epoch) => epoch.seconds).sort((a, b) => a - b);
  return {
    model,
    vocabulary,
    accuracy: scores.accuracy,
    rocAuc: scores.rocAuc,
    epochs: history.epochs.length,
    seconds: seconds[seconds.length >> 1],
    async read(text) {
      const { words, lengths } = itemOf({ words: wordsOf(text), great: 0 }).x;
      return (await predict(model, { words: [words], lengths: [lengths] })).sigmoid().item();
    },
  };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { values } = parseArgs({
    options: { seed: { type: 'string', default: '1' }, epochs: { type: 'string', default: '20' } },
  });
  const options = { seed: Number(values.seed), epochs: Number(values.epochs) };
  const { test } = loadReviews();
  const most = test.filter(({ great }) => great === 1).length / test.length;
  console.log(`accuracy of saying five stars always: ${most.toFixed(3)}`);
  for (const name of Object.keys(recipes) as ReaderName[]) {
    const { model, vocabulary, accuracy, rocAuc, epochs, seconds, read } = await trainReader(name, options);
    console.log(
      `${name}: accuracy ${accuracy.toFixed(3)}, ROC AUC ${rocAuc.toFixed(3)}, ${epochs} epochs of ${seconds.toFixed(2)} s`,
    );
    if (model instanceof BagOfWords) {
      const { weight } = model.weights;
      const say = (list: Tensor) => Array.from(list.data, (i) => vocabulary.words[i]).join(', ');
      console.log(`  for five stars: ${say(weight.reshape([-1]).topK(12).indices)}`);
      console.log(`  against: ${say(weight.reshape([-1]).topK(12, 0, { largest: false }).indices)}`);
    }
    for (const text of ['I love these, best I have had!', 'It was not the best. I would not buy it again.']) {
      console.log(`  ${(await read(text)).toFixed(2)} ${text}`);
    }
  }
}

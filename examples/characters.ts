/**
 * A small GPT that learns to write as the documentation of this library does, character by character, and then writes.
 *
 *     npm run example:characters -- [--steps 1500] [--write 180] [--seed 1]
 */
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import {
  AdamW,
  compile,
  Dense,
  Embedding,
  evaluate,
  fit,
  KeyValueCache,
  Layer,
  LayerNorm,
  noGrad,
  PositionEmbedding,
  schedules,
  seed,
  stream,
  type Tensor,
  TransformerBlock,
  tensor,
} from 'axpy';

/** Every page of docs, one after the other. */
export function pages(): string {
  const folder = new URL('../docs/', import.meta.url);
  const names = readdirSync(folder)
    .filter((name) => name.endsWith('.md'))
    .sort();
  return names.map((name) => readFileSync(new URL(name, folder), 'utf8')).join('\n');
}

/** Characters as indices, the frequent ones of a text; all others are one. */
export class Characters {
  readonly known: readonly string[];
  private readonly places: ReadonlyMap<string, number>;

  constructor(text: string, least = 20) {
    const counts = new Map<string, number>();
    for (const character of text) counts.set(character, (counts.get(character) ?? 0) + 1);
    this.known = [
      '\ufffd',
      ...[...counts]
        .filter(([, count]) => count >= least)
        .map(([character]) => character)
        .sort(),
    ];
    this.places = new Map(this.known.map((character, i) => [character, i]));
  }

  encode(text: string): Int32Array {
    return Int32Array.from(text, (character) => this.places.get(character) ?? 0);
  }

  decode(indices: Iterable<number>): string {
    return Array.from(indices, (i) => this.known[i]).join('');
  }
}

/** Characters [batch, length] to logits of the next ones, [batch, length, characters]. */
export class Gpt extends Layer {
  override readonly inputDtype = 'int32';
  readonly embedding: Embedding;
  readonly positions: PositionEmbedding;
  readonly blocks: readonly TransformerBlock[];
  readonly norm: LayerNorm;
  readonly out: Dense;

  constructor(
    characters: number,
    readonly length: number,
    size = 128,
    heads = 4,
    depth = 3,
  ) {
    super();
    this.embedding = new Embedding(characters, size, { init: { name: 'normal', deviation: 0.02 } });
    this.positions = new PositionEmbedding(length, size, { init: { name: 'normal', deviation: 0.02 } });
    this.blocks = Array.from({ length: depth }, () => new TransformerBlock(size, heads, { dropout: 0.1 }));
    this.norm = new LayerNorm(size);
    this.out = new Dense(size, characters);
  }

  forward(x: Tensor, options: { cache?: KeyValueCache } = {}): Tensor {
    let y: Tensor = this.positions.forward(this.embedding.forward(x), options);
    for (const block of this.blocks) y = block.forward(y, options);
    return this.out.forward(this.norm.forward(y));
  }
}

/**
 * What follows a text, up to the length that the model knows: each character drawn by its probability, sharpened by a temperature
 * below 1; of 0 always the likeliest.
 */
export function write(
  model: Gpt,
  characters: Characters,
  beginning: string,
  count: number,
  temperature = 0.7,
): string {
  model.eval();
  const cache = new KeyValueCache(model, 1, model.length);
  const next = compile((x: Tensor) =>
    noGrad(() => {
      const logits = model
        .forward(x, { cache })
        .slice([null, [-1]])
        .flatten();
      return { odds: logits.div(temperature || 1).softmax(), likeliest: logits.argmax(-1) };
    }),
  );
  const text = [...characters.encode(beginning)];
  const end = Math.min(text.length + count, model.length);
  let { odds, likeliest } = next.sync(tensor([Int32Array.from(text)]));
  for (;;) {
    text.push(temperature === 0 ? likeliest.item() : drawn(odds.data));
    if (text.length >= end) return beginning + characters.decode(text.slice([...beginning].length));
    ({ odds, likeliest } = next.sync(tensor([Int32Array.of(text[text.length - 1])])));
  }
}

/** A place, by the probability of each. */
function drawn(odds: ArrayLike<number>): number {
  let left = Math.random();
  for (let i = 0; i < odds.length; i++) {
    left -= odds[i];
    if (left < 0) return i;
  }
  return odds.length - 1;
}

export interface CharactersReport {
  model: Gpt;
  characters: Characters;
  /** Of the text that was held out, nats a character; what guessing by frequency alone would give. */
  loss: number;
  frequencies: number;
}

export async function trainCharacters({
  steps = 1500,
  length = 64,
  batchSize = 16,
  seed: start = 1,
} = {}): Promise<CharactersReport> {
  seed(start);
  const text = pages();
  const characters = new Characters(text);
  const all = characters.encode(text);
  const cut = Math.floor(0.9 * all.length);
  const [learned, held] = [all.subarray(0, cut), all.subarray(cut)];
  /** A stretch, and the same one character later. */
  const window = (from: Int32Array) => (start: number) => ({
    x: from.subarray(start, start + length),
    y: from.subarray(start + 1, start + length + 1),
  });
  const starts = (n: number, step: number) =>
    Array.from({ length: Math.floor((n - 1) / step) }, (_, i) => i * step);
  const training = stream(starts(learned.length - length, 1))
    .shuffle(learned.length, { seed: start })
    .take(steps * batchSize)
    .map(window(learned))
    .batch(batchSize);
  const validation = stream(starts(held.length - length, length))
    .map(window(held))
    .batch(batchSize);
  const model = new Gpt(characters.known.length, Math.max(length, 256));
  const optimizer = new AdamW(model.parameters(), {
    learningRate: schedules.cosine({ from: 2e-3, to: 1e-4, steps, warmup: Math.min(50, steps >> 2) }),
  });
  console.log(
    `${all.length} characters of ${characters.known.length} kinds; ${model.parameterCount().toLocaleString('en-US')} parameters`,
  );
  const { epochs } = await fit(model, training, {
    loss: 'softmaxCrossEntropy',
    optimizer,
    clipGradNorm: 1,
    progress: process.stderr.isTTY,
  });
  const { loss } = await evaluate(model, validation, { loss: 'softmaxCrossEntropy' });
  console.log(
    `loss ${epochs[0].loss.toFixed(3)} on the way, ${loss.toFixed(3)} on text it has not seen, ${epochs[0].seconds.toFixed(1)} s`,
  );
  return { model, characters, loss, frequencies: entropy(all) };
}

/** −Σ p·log p of the frequencies. */
function entropy(values: Int32Array): number {
  const counts = new Map<number, number>();
  for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1);
  return [...counts.values()].reduce((sum, n) => sum - (n / values.length) * Math.log(n / values.length), 0);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { values } = parseArgs({
    options: {
      steps: { type: 'string', default: '1500' },
      write: { type: 'string', default: '180' },
      seed: { type: 'string', default: '1' },
    },
  });
  const { model, characters } = await trainCharacters({
    steps: Number(values.steps),
    seed: Number(values.seed),
  });
  console.log(`\n${write(model, characters, 'A tensor ', Number(values.write))}`);
}

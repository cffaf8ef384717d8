/**
 * A small encoder and decoder learn to write digits backwards: sequences of several lengths, filled up, taught by what comes
 * next, and then written digit by digit with a cache that holds what the encoder gave.
 */
import { expect, test } from 'vitest';
import {
  Adam,
  compile,
  type Decoding,
  Dense,
  Embedding,
  fit,
  KeyValueCache,
  Layer,
  LayerNorm,
  losses,
  noGrad,
  PositionEmbedding,
  schedules,
  seed,
  stream,
  type Tensor,
  TransformerBlock,
  TransformerDecoderBlock,
  tensor,
} from '../../lib/index.ts';

/** After the ten digits. */
const [begin, end, padding] = [10, 11, 12];
const longest = 6;
const size = 32;

const int32 = (rows: number[][]) => tensor(rows, { dtype: 'int32' });
const filled = (row: number[], length: number) => [...row, ...Array(length - row.length).fill(padding)];

class Reverser extends Layer {
  override readonly inputDtype = 'int32';
  readonly embedding = new Embedding(13, size);
  readonly positions = new PositionEmbedding(longest + 1, size);
  readonly encoder = new TransformerBlock(size, 4, { causal: false });
  readonly encoderNorm = new LayerNorm(size);
  readonly decoder = new TransformerDecoderBlock(size, 4);
  readonly decoderNorm = new LayerNorm(size);
  readonly out = new Dense(size, 12);

  encode(source: Tensor): { context: Tensor; contextKeyMask: Tensor } {
    const contextKeyMask = source.notEqual(tensor(padding, { dtype: 'int32' }));
    const x = this.positions.forward(this.embedding.forward(source));
    const context = this.encoderNorm.forward(this.encoder.forward(x, { keyMask: contextKeyMask }));
    return { context, contextKeyMask };
  }

  decode(words: Tensor, context: Tensor | 'kept', options: Decoding): Tensor {
    const x = this.positions.forward(this.embedding.forward(words), { cache: options.cache ?? null });
    return this.out.forward(this.decoderNorm.forward(this.decoder.forward(x, context, options)));
  }

  forward(source: Tensor, before: Tensor): Tensor {
    const { context, contextKeyMask } = this.encode(source);
    return this.decode(before, context, { contextKeyMask });
  }
}

/** Numbers below a bound, the same at every run. */
function drawing(state: number): (bound: number) => number {
  return (bound) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * bound);
  };
}

const draw = drawing(1);
const example = () => Array.from({ length: 1 + draw(longest) }, () => draw(10));
const reversed = (digits: number[]) => [...digits].reverse();

function batchOf(examples: number[][]) {
  return {
    source: int32(examples.map((digits) => filled(digits, longest))),
    before: int32(examples.map((digits) => filled([begin, ...reversed(digits)], longest + 1))),
    next: int32(examples.map((digits) => filled([...reversed(digits), end], longest + 1))),
  };
}

test('digits are written backwards by an encoder and a decoder', { timeout: 120_000 }, async () => {
  seed(1);
  const model = new Reverser();
  const steps = 700;
  const batches = Array.from({ length: steps }, () => batchOf(Array.from({ length: 32 }, example)));
  const training = stream(batches).map(({ source, before, next }) => ({ x: [source, before], y: next }));
  await fit(model, training, {
    loss: (logits: Tensor, next: Tensor) =>
      losses.softmaxCrossEntropy(logits, next, { ignoreIndex: padding }),
    optimizer: new Adam(model.parameters(), { learningRate: schedules.cosine({ from: 0.01, steps }) }),
    clipGradNorm: 1,
  });

  model.eval();
  const held = Array.from({ length: 200 }, example);
  const { source } = batchOf(held);
  const cache = new KeyValueCache(model, held.length, longest + 1);
  const begun = compile((words: Tensor, from: Tensor) =>
    noGrad(() => {
      const { context, contextKeyMask } = model.encode(from);
      return model.decode(words, context, { contextKeyMask, cache }).argmax(-1);
    }),
  );
  const continued = compile((words: Tensor) =>
    noGrad(() => model.decode(words, 'kept', { cache }).argmax(-1)),
  );
  const written = [begun.sync(int32(held.map(() => [begin])), source)];
  while (written.length <= longest) written.push(continued.sync(written[written.length - 1]));
  expect(cache.position).toBe(longest + 1);

  const rows = held.map((_, i) => written.map((words) => words.data[i]));
  const right = rows.filter((row, i) => [...reversed(held[i]), end].every((word, t) => row[t] === word));
  expect(right.length).toBeGreaterThanOrEqual(0.95 * held.length);
  // What it would say of what it has written, all at once.
  const before = int32(rows.map((row) => [begin, ...row.slice(0, -1)]));
  const again = noGrad(() => model.forward(source, before)).argmax(-1);
  expect(again.toArray()).toEqual(rows);
});

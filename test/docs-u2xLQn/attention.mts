import {
  compile, type Decoding, Dense, Embedding, KeyValueCache, Layer, LayerNorm, noGrad, PositionEmbedding, type Tensor, tensor,
  TransformerBlock, TransformerDecoderBlock,
} from '../../lib/index.ts';

class Gpt extends Layer {
  override readonly inputDtype = 'int32';
  readonly embedding = new Embedding(65, 128);
  readonly positions = new PositionEmbedding(256, 128);
  readonly blocks = Array.from({ length: 4 }, () => new TransformerBlock(128, 4));
  readonly norm = new LayerNorm(128);
  readonly out = new Dense(128, 65);

  forward(tokens: Tensor, options: { cache?: KeyValueCache } = {}): Tensor {
    let x: Tensor = this.positions.forward(this.embedding.forward(tokens), options);
    for (const block of this.blocks) x = block.forward(x, options);
    return this.out.forward(this.norm.forward(x));
  }
}

const model = new Gpt().eval();
const cache = new KeyValueCache(model, 1, 256);
const next = compile((tokens: Tensor) => noGrad(() => model.forward(tokens, { cache }).argmax(-1)));
const prompt = tensor([[3, 1, 4, 1, 5]], { dtype: 'int32' });
let token = next.sync(prompt).slice([null, [-1]]);     // [1, 5] → what follows the last of them, [1, 1]
token = next.sync(token);                              // one more
console.log(cache.position); // 6
cache.reset();

class Translator extends Layer {
  override readonly inputDtype = 'int32';
  readonly embedding = new Embedding(100, 64);
  readonly positions = new PositionEmbedding(32, 64);
  readonly encoder = [new TransformerBlock(64, 4, { causal: false }), new TransformerBlock(64, 4, { causal: false })];
  readonly decoder = [new TransformerDecoderBlock(64, 4), new TransformerDecoderBlock(64, 4)];
  readonly out = new Dense(64, 100);

  encode(source: Tensor): { context: Tensor; contextKeyMask: Tensor } {
    const keyMask = source.notEqual(tensor(0, { dtype: 'int32' }));    // 0 fills up
    let x: Tensor = this.positions.forward(this.embedding.forward(source));
    for (const block of this.encoder) x = block.forward(x, { keyMask });
    return { context: x, contextKeyMask: keyMask };
  }

  decode(words: Tensor, context: Tensor | 'kept', options: Decoding): Tensor {
    let x: Tensor = this.positions.forward(this.embedding.forward(words), { cache: options.cache ?? null });
    for (const block of this.decoder) x = block.forward(x, context, options);
    return this.out.forward(x);
  }

  /** For `fit`: what comes before each word is given, x: [source, before], y: next. */
  forward(source: Tensor, before: Tensor): Tensor {
    const { context, contextKeyMask } = this.encode(source);
    return this.decode(before, context, { contextKeyMask });
  }
}

const translator = new Translator().eval();
const memory = new KeyValueCache(translator, 1, 32);
const begin = compile((source: Tensor, first: Tensor) =>
  noGrad(() => {
    const { context, contextKeyMask } = translator.encode(source);
    return translator.decode(first, context, { contextKeyMask, cache: memory }).argmax(-1);
  }),
);
const proceed = compile((word: Tensor) =>
  noGrad(() => translator.decode(word, 'kept', { cache: memory }).argmax(-1)),
);
let word = begin.sync(tensor([[5, 9, 7, 0]], { dtype: 'int32' }), tensor([[1]], { dtype: 'int32' }));
for (let i = 0; i < 8; i++) word = proceed.sync(word);
memory.reset();

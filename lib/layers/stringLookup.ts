/** Strings as indices into a vocabulary. */
import { checkPositive, describe } from '../arguments.ts';
import { ArgumentError, DataError, IndexError } from '../errors.ts';
import { place } from '../finite.ts';
import { settleRuns } from '../kernels/queue.ts';
import { refuseRecording } from '../kernels/recorder.ts';
import { allocate } from '../memory.ts';
import { checkElements, checkTensor, isTensor, Tensor, type Values } from '../tensor.ts';
import { batchesOf, checkAny, learned } from './adapt.ts';
import { checkInputDtype, readExample } from './checks.ts';
import { configure } from './config.ts';
import { type Inputs, text, toTensor } from './inputs.ts';
import { type ExampleShape, Layer } from './layer.ts';
import { choice, layerForm, type OptionsOf, option } from './options.ts';
import { byCodePoint, readTexts, type Texts } from './texts.ts';

/** Options of `StringLookup`. */
export interface StringLookupOptions {
  /**
   * What becomes of a string that is not in the vocabulary: the index 0, so that the vocabulary has those from 1 on
   * (default), or a DataError, and the vocabulary begins at 0, as classes do.
   */
  unknown?: 'index' | 'error';
  /** How many strings `adapt` keeps at most, the most frequent ones; default null, all. */
  limit?: number | null;
}

/** The strings, in an array of their own. */
function readVocabulary(layer: string, given: unknown): readonly string[] {
  const { shape, texts } = readTexts(`the vocabulary of ${layer}`, given);
  if (shape.length !== 1 || texts.length === 0) {
    throw new ArgumentError(
      `${layer} expected vocabulary to be an array of at least one string, got ${describe(given)}`,
    );
  }
  const seen = new Set<string>();
  for (const word of texts) {
    if (seen.has(word)) {
      throw new ArgumentError(
        `${layer} expected each string of the vocabulary once, got ${describe(word)} twice`,
      );
    }
    seen.add(word);
  }
  return texts;
}

const vocabulary = option(
  (layer, _name, given: readonly string[] | null) => (given === null ? null : readVocabulary(layer, given)),
  () => null,
);

const limit = option(
  (layer, name, given: number | null) => {
    if (given !== null) checkPositive(layer, name, given);
    return given;
  },
  () => null,
);

const form = layerForm('StringLookup', { vocabulary }, {
  unknown: choice('index', 'error'),
  limit,
} satisfies OptionsOf<StringLookupOptions>);

/** What `decode` makes of the index of unknown strings, as Keras does. */
const unknownWord = '[UNK]';

/**
 * Strings as int32 indices into a vocabulary, which is part of the `config` and so travels with the model. As the first layer
 * of a model it lets `fit`, `evaluate` and `predict` take strings, and arrays of them: they become indices before batches are
 * taken, and `forward` hands on the indices.
 *
 *     const city = new Sequential([new StringLookup(), new OneHot()]).adapt(['Sacramento', 'Elk Grove', 'Sacramento']);
 *     await predict(city, ['Elk Grove', 'Atlantis']); // [[0, 0, 1], [1, 0, 0]]
 */
export class StringLookup extends Layer {
  override readonly inputDtype = 'int32';
  readonly unknown: 'index' | 'error';
  readonly limit: number | null;
  // Out of sight of the walks for layers and parameters, as they may be many.
  #vocabulary: readonly string[] | null = null;
  #indices = new Map<string, number>();

  /**
   * @param vocabulary the strings in the order of their indices, each once; left out, `adapt` learns them
   * @throws ArgumentError, DataError for what is out of its domain
   */
  constructor(vocabulary?: readonly string[] | null, options: StringLookupOptions = {}) {
    super();
    const own = form.read([vocabulary], options);
    this.unknown = own.unknown;
    this.limit = own.limit;
    this.use(own.vocabulary);
  }

  /** The strings that have an index of their own, in that order; empty before there are any. */
  get vocabulary(): readonly string[] {
    return this.#vocabulary === null ? [] : [...this.#vocabulary];
  }

  /** How many indices there are, with that of unknown strings. */
  get size(): number {
    return this.first + (this.#vocabulary?.length ?? 0);
  }

  /** The index of the first string of the vocabulary. */
  private get first(): 0 | 1 {
    return this.unknown === 'index' ? 1 : 0;
  }

  /**
   * Learns the vocabulary, and forgets the one it had: the most frequent string first, and of equally frequent ones the one
   * that is later in the order of code points, as Keras does.
   * @param data strings, or arrays of them, nested as one likes; or something else that can be iterated, of which each item is
   *   such a batch
   * @throws DataError, which names the row, for anything else, and for no strings. Nothing was then changed.
   */
  adapt(data: Texts | Iterable<Texts>): this {
    refuseRecording('adapt');
    const { label } = this;
    const counts = new Map<string, number>();
    for (const batch of batchesOf<Texts>(data)) {
      const { texts } = readTexts(`the data for ${label}`, batch);
      for (const word of texts) counts.set(word, (counts.get(word) ?? 0) + 1);
    }
    checkAny(label, counts.size);
    const words = [...counts].sort(([a, n], [b, m]) => m - n || byCodePoint(b, a)).map(([word]) => word);
    this.use(words.slice(0, this.limit ?? words.length));
    return this;
  }

  /**
   * The indices of strings, int32, of their shape: [n] for an array of n strings.
   * @param name what messages call the strings
   * @throws DataError, which names the row, for anything else than strings, and for unknown ones where they are errors;
   *   ArgumentError before there is a vocabulary
   */
  encode(texts: Texts, name = 'texts'): Tensor<'int32'> {
    const called = text(name);
    this.checkVocabulary();
    const { shape, texts: words } = readTexts(called, texts);
    const indices = allocate(words.length, 'int32');
    const width = words.length / (shape[0] ?? 1);
    for (let i = 0; i < words.length; i++) {
      const index = this.#indices.get(words[i]);
      if (index === undefined && this.unknown === 'error') {
        const at = `row ${Math.floor(i / width)}${width > 1 ? `, position ${i % width}` : ''} (counted from 0)`;
        throw new DataError(
          `expected ${called} to be strings of the vocabulary of ${this.label}, got ${describe(words[i])} at ${at}; with ` +
            "unknown: 'index' it would have the index 0",
        );
      }
      indices[i] = index ?? 0;
    }
    return new Tensor(indices, shape, 'int32');
  }

  /**
   * The strings of indices, in nested arrays of their shape: for [n] an array of n strings. The index of unknown ones is
   * '[UNK]', as in Keras.
   * @param indices an int32 tensor, as `argmax` gives it, or values
   * @throws IndexError, which names the position, for an index out of range
   */
  decode<Nested extends Texts = string[]>(indices: Tensor | Values): Nested {
    this.checkVocabulary();
    const x = toTensor('indices', indices, 'int32');
    checkInputDtype(this, x, 'int32');
    checkElements('decode', x);
    settleRuns();
    const { data, shape } = x;
    const words = this.#vocabulary!;
    const wordAt = (at: number): string => {
      const index = data[at];
      if (index === 0 && this.first === 1) return unknownWord;
      const word = words[index - this.first];
      if (word !== undefined) return word;
      const where = x.rank === 0 ? '' : ` at ${place(x, at)}`;
      throw new IndexError(`${this.label} expected indices from 0 to ${this.size - 1}, got ${index}${where}`);
    };
    let at = 0;
    const nest = (axis: number): Texts =>
      axis === shape.length ? wordAt(at++) : Array.from({ length: shape[axis] }, () => nest(axis + 1));
    return nest(0) as Nested;
  }

  /** Strings as indices, see `encode`; tensors as they are. */
  override inputFrom(values: Texts | Inputs, name = 'x'): Tensor {
    return isTensor(values) ? values : this.encode(values as Texts, name);
  }

  /** The indices that it is given, of int32: `encode` makes them. */
  forward(x: Tensor): Tensor<'int32'> {
    checkTensor(this.label, x);
    checkInputDtype(this, x, 'int32');
    return x;
  }

  override outputShape(input: ExampleShape): ExampleShape {
    return readExample(this, input);
  }

  /** @internal */
  [learned](): () => void {
    const words = this.#vocabulary;
    return () => this.use(words);
  }

  private checkVocabulary(): void {
    if (this.#vocabulary !== null) return;
    throw new ArgumentError(
      `${this.label} expected to have a vocabulary: give it to the constructor, or strings to adapt`,
    );
  }

  private use(words: readonly string[] | null): void {
    this.#vocabulary = words;
    this.#indices = new Map(words?.map((word, i) => [word, i + this.first]));
    configure(this, { vocabulary: words, unknown: this.unknown, limit: this.limit });
  }
}

form.register(StringLookup);

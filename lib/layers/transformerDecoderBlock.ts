/** A block of a transformer that looks at another sequence as well. */
import { checkOptions } from '../arguments.ts';
import type { FloatDtype } from '../memory.ts';
import { checkSize } from '../shape.ts';
import { checkTensor, type Tensor } from '../tensor.ts';
import {
  Block,
  blockArguments,
  blockOptions,
  type Norm,
  normOf,
  type TransformerBlockOptions,
} from './block.ts';
import { type Attending, MultiHeadAttention } from './multiHeadAttention.ts';
import { count, layerForm, type OptionsOf } from './options.ts';

/** Options of `TransformerDecoderBlock`. */
export interface TransformerDecoderBlockOptions<D extends FloatDtype = FloatDtype>
  extends TransformerBlockOptions<D> {
  /** Of the vectors of the context; default `size`. */
  kvSize?: number;
}

/** What a block of a decoder goes by beside x and the context. */
export interface Decoding extends Omit<Attending, 'context'> {
  /** Which positions of the context are seen, as `mask` has it: of a shape that broadcasts to [batch, heads, length, keys]. */
  contextMask?: Tensor | null;
  /** int32 [batch, keys]: 0 for a position of the context that nobody sees, as where a sequence is filled up. */
  contextKeyMask?: Tensor | null;
}

const form = layerForm('TransformerDecoderBlock', blockArguments, {
  ...blockOptions,
  kvSize: { ...count, otherwise: ({ size }) => size as number },
} satisfies OptionsOf<TransformerDecoderBlockOptions>);

/**
 * Attention of a sequence to itself, its attention to a context, as what an encoder made of another sequence, and a net of two
 * layers, each added to what it is given (Vaswani et al., 2017). With `{ preNorm: false, activation: 'relu', hidden: 2048 }` it is
 * what PyTorch's nn.TransformerDecoderLayer with `batch_first` and a causal `tgt_mask` is by default, but for dropout; weights of
 * such load.
 *
 *     const block = new TransformerDecoderBlock(128, 4);
 *     block.forward(x, encoded, { contextKeyMask });
 *     block.forward(token, 'kept', { cache });       // the context that the cache was given before
 */
export class TransformerDecoderBlock<D extends FloatDtype = 'float32'> extends Block<D> {
  readonly crossAttention: MultiHeadAttention<D>;
  readonly norm3: Norm<D>;

  /** @throws ArgumentError, DtypeError for what is out of its domain */
  constructor(size: number, heads: number, options: TransformerDecoderBlockOptions<D> = {}) {
    const own = form.read([size, heads], options);
    const { kvSize, kvHeads, bias, dropout } = own;
    checkSize('TransformerDecoderBlock', [size, kvSize]);
    super('TransformerDecoderBlock', own);
    const dtype = own.dtype as D;
    this.crossAttention = new MultiHeadAttention(size, heads, { kvSize, kvHeads, bias, dropout, dtype });
    this.norm3 = normOf(own);
  }

  /**
   * The three parts, each added to what it was given, [batch, length, size].
   * @param x [batch, length, size]
   * @param context [batch, keys, kvSize]; or 'kept', the one that was given with this cache before, whose keys, values and mask
   *   are there
   * @param options mask, keyMask and cache, as of MultiHeadAttention, for x; contextMask and contextKeyMask for the context
   */
  forward(x: Tensor, context: Tensor | 'kept', options: Decoding = {}): Tensor<D> {
    checkTensor(this.label, x);
    checkOptions(this.label, options, ['mask', 'keyMask', 'contextMask', 'contextKeyMask', 'cache']);
    const { contextMask = null, contextKeyMask = null, ...own } = options;
    const other = { context, mask: contextMask, keyMask: contextKeyMask, cache: options.cache ?? null };
    if (context !== 'kept') checkTensor(this.label, context, 'context');
    const attended = this.added(x, this.norm1, (y) => this.selfAttention.forward(y, own));
    const informed = this.added(attended, this.norm2, (y) => this.crossAttention.forward(y, other));
    return this.added(informed, this.norm3, (y) => this.thought(y));
  }
}

form.register(TransformerDecoderBlock);

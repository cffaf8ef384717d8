/** A block of a transformer. */
import { checkOptions } from '../arguments.ts';
import type { FloatDtype } from '../memory.ts';
import { checkTensor, type Tensor } from '../tensor.ts';
import { Block, blockArguments, blockOptions, type TransformerBlockOptions } from './block.ts';
import type { Attending } from './multiHeadAttention.ts';
import { layerForm } from './options.ts';

const form = layerForm('TransformerBlock', blockArguments, blockOptions);

/**
 * Attention and a net of two layers, each added to what it is given (Vaswani et al., 2017): by default a block of GPT-2, which
 * normalises before (Radford et al., 2019). With `{ causal: false, preNorm: false, activation: 'relu', hidden: 2048 }` it is what
 * PyTorch's nn.TransformerEncoderLayer with `batch_first` is by default, but for dropout; weights of such load.
 *
 *     const blocks = Array.from({ length: 4 }, () => new TransformerBlock(128, 4));
 */
export class TransformerBlock<D extends FloatDtype = 'float32'> extends Block<D> {
  /** @throws ArgumentError, DtypeError for what is out of its domain */
  constructor(size: number, heads: number, options: TransformerBlockOptions<D> = {}) {
    super('TransformerBlock', form.read([size, heads], options));
  }

  /**
   * Both parts, each added to what it was given, [batch, length, size].
   * @param x [batch, length, size]
   * @param options mask, keyMask and cache, as of MultiHeadAttention
   */
  forward(x: Tensor, options: Omit<Attending, 'context'> = {}): Tensor<D> {
    checkTensor(this.label, x);
    checkOptions(this.label, options, ['mask', 'keyMask', 'cache']);
    const attended = this.added(x, this.norm1, (y) => this.selfAttention.forward(y, options));
    return this.added(attended, this.norm2, (y) => this.thought(y));
  }
}

form.register(TransformerBlock);

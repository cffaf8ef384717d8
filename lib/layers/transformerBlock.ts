/** A block of a transformer. */
import type { ActivationFunction, ActivationName } from '../activations.ts';
import { checkOptions } from '../arguments.ts';
import type { FloatDtype } from '../memory.ts';
import { add } from '../ops/binary.ts';
import { dropout } from '../ops/dropout.ts';
import type { RotaryStyle } from '../ops/rotary.ts';
import { checkSize } from '../shape.ts';
import { checkTensor, type Tensor } from '../tensor.ts';
import { readExample } from './checks.ts';
import { configure } from './config.ts';
import { Dense } from './dense.ts';
import { rate } from './dropout.ts';
import { type ExampleShape, Layer } from './layer.ts';
import { LayerNorm } from './layerNorm.ts';
import { type Attending, checkHeads, MultiHeadAttention, rotaryStyle } from './multiHeadAttention.ts';
import { activation, choice, count, dtype, flag, layerForm, type OptionsOf } from './options.ts';
import { RMSNorm } from './rmsNorm.ts';

export interface TransformerBlockOptions<D extends FloatDtype = FloatDtype> {
  /** Between both layers of the net; default 4·size. */
  hidden?: number;
  /** Of the net; default 'gelu'. */
  activation?: ActivationName | ActivationFunction;
  /** Whether each position sees itself and those before alone; default true, as a GPT's. */
  causal?: boolean;
  /** Default 'layer'. */
  norm?: 'layer' | 'rms';
  /** Whether what goes into attention and net is normalised, as in GPT-2; else what comes out of the sums. Default true. */
  preNorm?: boolean;
  /** Of weights, of what attention and net add, and within the net, while training; default 0. */
  dropout?: number;
  /** As of MultiHeadAttention; default false. */
  rotary?: RotaryStyle | false;
  /** As of MultiHeadAttention; default `heads`. */
  kvHeads?: number;
  /** Of all products; default true. */
  bias?: boolean;
  /** Default float32. */
  dtype?: D;
}

const form = layerForm('TransformerBlock', { size: count, heads: count }, {
  hidden: { ...count, otherwise: ({ size }) => 4 * (size as number) },
  activation: { ...activation, otherwise: () => 'gelu' },
  causal: flag(true),
  norm: choice('layer', 'rms'),
  preNorm: flag(true),
  dropout: { ...rate, otherwise: () => 0 },
  rotary: rotaryStyle,
  kvHeads: { ...count, otherwise: ({ heads }) => heads as number },
  bias: flag(true),
  dtype,
} satisfies OptionsOf<TransformerBlockOptions>);

/**
 * Attention and a net of two layers, each added to what it is given (Vaswani et al., 2017): by default a block of GPT-2, which
 * normalises before (Radford et al., 2019). With `{ causal: false, preNorm: false, activation: 'relu', hidden: 2048 }` it is what
 * PyTorch's nn.TransformerEncoderLayer with `batch_first` is by default, but for dropout; weights of such load.
 *
 *     const blocks = Array.from({ length: 4 }, () => new TransformerBlock(128, 4));
 */
export class TransformerBlock<D extends FloatDtype = 'float32'> extends Layer {
  readonly selfAttention: MultiHeadAttention<D>;
  readonly linear1: Dense<D>;
  readonly linear2: Dense<D>;
  readonly norm1: LayerNorm<D> | RMSNorm<D>;
  readonly norm2: LayerNorm<D> | RMSNorm<D>;
  readonly preNorm: boolean;
  readonly dropout: number;

  /** @throws ArgumentError, DtypeError for what is out of its domain */
  constructor(size: number, heads: number, options: TransformerBlockOptions<D> = {}) {
    super();
    const own = form.read([size, heads], options);
    configure(this, own);
    const { hidden, causal, rotary, kvHeads, bias } = own;
    const dtype = own.dtype as D;
    checkHeads('TransformerBlock', size, heads, kvHeads, rotary);
    checkSize('TransformerBlock', [3 * size, size]);
    checkSize('TransformerBlock', [hidden, size]);
    const norm = () => (own.norm === 'layer' ? new LayerNorm(size, { dtype }) : new RMSNorm(size, { dtype }));
    this.preNorm = own.preNorm;
    this.dropout = own.dropout;
    this.selfAttention = new MultiHeadAttention(size, heads, {
      causal,
      rotary,
      kvHeads,
      bias,
      dropout: own.dropout,
      dtype,
    });
    this.linear1 = new Dense(size, hidden, { activation: own.activation, bias, dtype });
    this.linear2 = new Dense(hidden, size, { bias, dtype });
    this.norm1 = norm();
    this.norm2 = norm();
  }

  /**
   * @param x [batch, length, size]
   * @param options mask, keyMask and cache, as of MultiHeadAttention
   */
  forward(x: Tensor, options: Omit<Attending, 'context'> = {}): Tensor<D> {
    checkTensor(this.label, x);
    checkOptions(this.label, options, ['mask', 'keyMask', 'cache']);
    const attend = (y: Tensor) => this.dropped(this.selfAttention.forward(y, options));
    const think = (y: Tensor) => this.dropped(this.linear2.forward(this.dropped(this.linear1.forward(y))));
    if (this.preNorm) {
      const attended = add(x, attend(this.norm1.forward(x)));
      return add(attended, think(this.norm2.forward(attended))) as Tensor<D>;
    }
    const attended = this.norm1.forward(add(x, attend(x)));
    return this.norm2.forward(add(attended, think(attended))) as Tensor<D>;
  }

  override outputShape(input: ExampleShape): ExampleShape {
    return this.selfAttention.outputShape(readExample(this, input));
  }

  private dropped(x: Tensor): Tensor {
    return this.training && this.dropout > 0 ? dropout(x, this.dropout) : x;
  }
}

form.register(TransformerBlock);

/** What blocks of transformers share: attention of a sequence to itself, a net, and how what they give is added. */
import type { ActivationFunction, ActivationName } from '../activations.ts';
import type { FloatDtype } from '../memory.ts';
import { add } from '../ops/binary.ts';
import { dropout } from '../ops/dropout.ts';
import type { RotaryStyle } from '../ops/rotary.ts';
import { checkSize } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import { readExample } from './checks.ts';
import { configure } from './config.ts';
import { Dense } from './dense.ts';
import { rate } from './dropout.ts';
import { type ExampleShape, Layer } from './layer.ts';
import { LayerNorm } from './layerNorm.ts';
import { checkHeads, MultiHeadAttention, rotaryStyle } from './multiHeadAttention.ts';
import { activation, choice, count, dtype, flag, type OptionsOf } from './options.ts';
import { RMSNorm } from './rmsNorm.ts';

/** Options of `TransformerBlock`. */
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

/** What constructors of blocks take. */
export const blockArguments = { size: count, heads: count };
export const blockOptions = {
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
} satisfies OptionsOf<TransformerBlockOptions>;

/** What a form reads for one of the blocks. */
export type Own = Required<TransformerBlockOptions> & { readonly size: number; readonly heads: number };

export type Norm<D extends FloatDtype> = LayerNorm<D> | RMSNorm<D>;

export function normOf<D extends FloatDtype>({ norm, size, dtype }: Own): Norm<D> {
  const options = { dtype: dtype as D };
  return norm === 'layer' ? new LayerNorm(size, options) : new RMSNorm(size, options);
}

export abstract class Block<D extends FloatDtype> extends Layer {
  readonly selfAttention: MultiHeadAttention<D>;
  readonly linear1: Dense<D>;
  readonly linear2: Dense<D>;
  readonly norm1: Norm<D>;
  readonly norm2: Norm<D>;
  readonly preNorm: boolean;
  readonly dropout: number;

  protected constructor(name: string, own: Own) {
    super();
    configure(this, own);
    const { size, heads, hidden, causal, rotary, kvHeads, bias } = own;
    const dtype = own.dtype as D;
    checkHeads(name, size, heads, kvHeads, rotary);
    checkSize(name, [3 * size, size]);
    checkSize(name, [hidden, size]);
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
    this.norm1 = normOf(own);
    this.norm2 = normOf(own);
  }

  override outputShape(input: ExampleShape): ExampleShape {
    return this.selfAttention.outputShape(readExample(this, input));
  }

  /** x and what is made of it, of which one is normalised. */
  protected added(x: Tensor, norm: Norm<D>, make: (y: Tensor) => Tensor): Tensor<D> {
    const y = this.dropped(make(this.preNorm ? norm.forward(x) : x));
    return (this.preNorm ? add(x, y) : norm.forward(add(x, y))) as Tensor<D>;
  }

  /** What the net makes of each position. */
  protected thought(x: Tensor): Tensor {
    return this.linear2.forward(this.dropped(this.linear1.forward(x)));
  }

  private dropped(x: Tensor): Tensor {
    return this.training && this.dropout > 0 ? dropout(x, this.dropout) : x;
  }
}

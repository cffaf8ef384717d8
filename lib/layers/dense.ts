/** The fully connected layer. */

import {
  type ActivationFunction,
  type ActivationName,
  fusedActivation,
  resolveActivation,
} from '../activations.ts';
import { type Initializer, initializeBoth } from '../initializers.ts';
import type { FloatDtype } from '../memory.ts';
import { linear } from '../ops/linear.ts';
import { reshape } from '../ops/reshape.ts';
import { Parameter } from '../parameter.ts';
import { checkSize } from '../shape.ts';
import { checkTensor, type Tensor } from '../tensor.ts';
import { checkInputDtype, inputError, readExample } from './checks.ts';
import { configure } from './config.ts';
import { type ExampleShape, Layer } from './layer.ts';
import { activation, biasInit, count, dtype, flag, init, layerForm, type OptionsOf } from './options.ts';

/** Options of `Dense`. */
export interface DenseOptions<D extends FloatDtype = FloatDtype> {
  /** Applied to the sum; default 'linear', which is none. */
  activation?: ActivationName | ActivationFunction;
  /** Default true. */
  bias?: boolean;
  /** Of the weight; default 'heNormal' before a rectifier (relu, leakyRelu, elu, gelu, silu), else 'xavierNormal'. */
  init?: Initializer;
  /** Of the bias; default 'zeros'. */
  biasInit?: Initializer;
  /** Default float32. */
  dtype?: D;
}

const form = layerForm('Dense', { inFeatures: count, outFeatures: count }, {
  activation,
  bias: flag(true),
  init,
  biasInit,
  dtype,
} satisfies OptionsOf<DenseOptions>);

/**
 * g(x·Wᵀ + b), for every row of x: equation (1) of the notes. Input [..., in], output [..., out].
 */
export class Dense<D extends FloatDtype = 'float32'> extends Layer {
  readonly inFeatures: number;
  readonly outFeatures: number;
  /** [out, in] */
  readonly weight: Parameter<D>;
  /** [out], or null without bias. */
  readonly bias: Parameter<D> | null;
  /** The activation's name, or the function given. */
  readonly activation: ActivationName | ActivationFunction;

  constructor(inFeatures: number, outFeatures: number, options: DenseOptions<D> = {}) {
    super();
    const own = form.read([inFeatures, outFeatures], options);
    configure(this, own);
    this.inFeatures = own.inFeatures;
    this.outFeatures = own.outFeatures;
    this.activation = own.activation;
    checkSize('Dense', [outFeatures, inFeatures]);
    this.weight = new Parameter([outFeatures, inFeatures], own.dtype as D);
    this.bias = own.bias ? new Parameter([outFeatures], own.dtype as D) : null;
    initializeBoth(this.weight, own.init, this.bias, own.biasInit, undefined, 'Dense');
  }

  forward(x: Tensor): Tensor<D> {
    checkTensor(this.label, x);
    if (x.rank < 2 || x.shape[x.rank - 1] !== this.inFeatures) {
      throw inputError(this, `[batch, ${this.inFeatures}]`, x.shape);
    }
    checkInputDtype(this, x, this.weight.dtype);
    const rows = x.rank === 2 ? x : reshape(x, [x.size / this.inFeatures, this.inFeatures]);
    const fused = fusedActivation(this.activation);
    const z = linear(rows, this.weight, this.bias, fused);
    const y = fused ? z : resolveActivation(this.activation)(z);
    return x.rank === 2 ? y : reshape(y, [...x.shape.slice(0, -1), this.outFeatures]);
  }

  override outputShape(input: ExampleShape): ExampleShape {
    const example = readExample(this, input);
    if (example === undefined) return [this.outFeatures];
    if (example[example.length - 1] !== this.inFeatures) {
      throw inputError(this, `[batch, ${this.inFeatures}]`, ['batch', ...example]);
    }
    return [...example.slice(0, -1), this.outFeatures];
  }
}

form.register(Dense);

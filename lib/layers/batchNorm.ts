/** Batch normalisation as a layer. */
import {
  type ActivationFunction,
  type ActivationName,
  fusedActivation,
  resolveActivation,
} from '../activations.ts';
import { synchronization } from '../distributed/synchronization.ts';
import { ShapeError } from '../errors.ts';
import { initialize } from '../initializers.ts';
import type { FloatDtype } from '../memory.ts';
import { batchNormOverRanks } from '../ops/batchNormOverRanks.ts';
import { batchNorm, checkEpsilon, checkMomentum } from '../ops/normalize.ts';
import { Parameter, SharedTensor } from '../parameter.ts';
import { checkSize, show } from '../shape.ts';
import { checkTensor, type Tensor } from '../tensor.ts';
import { checkInputDtype, inputError, readExample } from './checks.ts';
import { configure } from './config.ts';
import { type ExampleShape, Layer } from './layer.ts';
import { activation, count, dtype, flag, layerForm, number, type OptionsOf } from './options.ts';

/** Options of `BatchNorm`. */
export interface BatchNormLayerOptions<D extends FloatDtype = FloatDtype> {
  /** How far the running statistics move at each batch; default 0.1. */
  momentum?: number;
  /** Added to the variance; default 1e-5. */
  epsilon?: number;
  /** Whether there are a scale and a shift to learn; default true. */
  affine?: boolean;
  /** Applied to the result; default 'linear', which is none. */
  activation?: ActivationName | ActivationFunction;
  /** Default float32. */
  dtype?: D;
}

const form = layerForm('BatchNorm', { channels: count }, {
  momentum: number(0.1, checkMomentum),
  epsilon: number(1e-5, checkEpsilon),
  affine: flag(true),
  activation,
  dtype,
} satisfies OptionsOf<BatchNormLayerOptions>);

/**
 * Batch normalisation (Ioffe & Szegedy, 2015): g((x − μ) / √(σ² + ε) · weight + bias), channel by channel, for input
 * [..., channels], which is rows of features, or images [batch, height, width, channels].
 *
 * While training, μ and σ² are those of the batch, and the running statistics move towards them; in evaluation they are
 * the running statistics. Those are state (`namedBuffers`), not parameters. The forward pass updates them, under `noGrad`
 * as well; so a training step that ends with NonFiniteError, which leaves parameters as they were, leaves its batch in
 * them.
 *
 * In training each channel wants at least two values: a ShapeError otherwise, as in PyTorch. The running statistics are
 * PyTorch's as long as batches have as many values per channel. A smaller one, as the last of an epoch, moves them less:
 * with n values per channel, where a batch had N of late, by momentum·(n − 1)/(N − 1), see `batchNorm`. N is not in
 * `stateDict`: the first batch after a load weighs fully. Checkpoints hold it.
 *
 * While a world of `axpy/mpi` synchronises it (`syncBatchNorm` of a World), the batch is that of all ranks, in the forward
 * pass and in backward, and the running statistics are alike on all. A rank may then have any number of values, also none.
 *
 * While the layer is frozen, by `trainable = false` or as weight and bias both are (`requiresGrad` false), it works as in
 * evaluation also while training: it normalises by the running statistics and leaves them, as Keras does. Where it is not
 * `trainable` and weight and bias are made to want gradients again, these alone learn.
 */
export class BatchNorm<D extends FloatDtype = 'float32'> extends Layer {
  readonly channels: number;
  readonly momentum: number;
  readonly epsilon: number;
  /** The scale, [channels], ones at first; null without `affine`. */
  readonly weight: Parameter<D> | null;
  /** The shift, [channels], zeros at first; null without `affine`. */
  readonly bias: Parameter<D> | null;
  /** [channels], zeros at first. */
  readonly runningMean: SharedTensor<D>;
  /** [channels], ones at first; the mean of unbiased variances. */
  readonly runningVariance: SharedTensor<D>;
  /** How many values per channel batches had of late: private, as a state of PyTorch's has no such number. */
  readonly #count: SharedTensor<D>;
  /** The activation's name, or the function given. */
  readonly activation: ActivationName | ActivationFunction;

  /** @throws ArgumentError, DtypeError for options out of their domains. */
  constructor(channels: number, options: BatchNormLayerOptions<D> = {}) {
    super();
    const own = form.read([channels], options);
    configure(this, own);
    checkSize('BatchNorm', [channels]);
    this.channels = own.channels;
    this.momentum = own.momentum;
    this.epsilon = own.epsilon;
    this.activation = own.activation;
    this.weight = own.affine ? new Parameter([channels], own.dtype as D) : null;
    this.bias = own.affine ? new Parameter([channels], own.dtype as D) : null;
    if (this.weight) initialize(this.weight, 'ones');
    this.runningMean = new SharedTensor([channels], own.dtype as D);
    this.runningVariance = new SharedTensor([channels], own.dtype as D);
    initialize(this.runningVariance, 'ones');
    this.#count = new SharedTensor([1], own.dtype as D);
  }

  forward(x: Tensor): Tensor<D> {
    checkTensor(this.label, x);
    if (x.rank < 2 || x.shape[x.rank - 1] !== this.channels) {
      throw inputError(this, `[batch, ..., ${this.channels}]`, x.shape);
    }
    checkInputDtype(this, x, this.runningMean.dtype);
    const { momentum, epsilon, weight, bias } = this;
    const isFrozen = weight !== null && bias !== null && !weight.requiresGrad && !bias.requiresGrad;
    const training = this.training && this.trainable && !isFrozen;
    const ranks = training ? synchronization() : null;
    if (training && ranks === null && x.size === this.channels) {
      throw new ShapeError(
        `${this.label} expected more than one value per channel in training, received ${show(x.shape)}: there is no ` +
          'variance of one value. Take a larger batch, or leave the running statistics as they are: by eval(), or by freezing ' +
          'this layer with trainable = false',
      );
    }
    const running = { mean: this.runningMean, variance: this.runningVariance, count: this.#count };
    const activation = fusedActivation(this.activation);
    const options = { momentum, epsilon, activation };
    const y =
      ranks === null
        ? batchNorm(x, weight, bias, running, { ...options, training })
        : batchNormOverRanks(x, weight, bias, running, { ...options, ranks });
    return activation ? y : resolveActivation(this.activation)(y);
  }

  override [Layer.hidden](): { count: SharedTensor<D> } {
    return { count: this.#count };
  }

  override outputShape(input: ExampleShape): ExampleShape {
    const example = readExample(this, input);
    if (example && example[example.length - 1] !== this.channels) {
      throw inputError(this, `[batch, ..., ${this.channels}]`, ['batch', ...example]);
    }
    return example;
  }
}

form.register(BatchNorm);

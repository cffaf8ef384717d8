/** Activation functions as layers. */
import { type ActivationFunction, type ActivationName, resolveActivation } from '../activations.ts';
import { softmax } from '../ops/softmax.ts';
import { elu, leakyRelu } from '../ops/unary.ts';
import { checkTensor, type Tensor } from '../tensor.ts';
import { readExample } from './checks.ts';
import { type ExampleShape, Layer } from './layer.ts';

/** An activation by name, or any function of a tensor that keeps its shape. */
export class Activation extends Layer {
  readonly activation: ActivationName | ActivationFunction;
  private readonly apply: ActivationFunction;

  /** @throws ArgumentError for an unknown name. */
  constructor(activation: ActivationName | ActivationFunction) {
    super();
    this.activation = activation;
    this.apply = resolveActivation(activation);
  }

  forward(x: Tensor): Tensor {
    checkTensor(this.label, x);
    return this.apply(x);
  }

  override outputShape(input: ExampleShape): ExampleShape {
    return readExample(this, input);
  }
}

/** max(x, 0) */
export class ReLU extends Activation {
  constructor() {
    super('relu');
  }
}

/** x > 0 ? x : slope·x */
export class LeakyReLU extends Activation {
  constructor(slope = 0.01) {
    super((x) => leakyRelu(x, slope));
  }
}

/** x > 0 ? x : alpha·(eˣ − 1) */
export class ELU extends Activation {
  constructor(alpha = 1) {
    super((x) => elu(x, alpha));
  }
}

/** x·Φ(x) */
export class GELU extends Activation {
  constructor() {
    super('gelu');
  }
}

/** x·σ(x) */
export class SiLU extends Activation {
  constructor() {
    super('silu');
  }
}

/** log(1 + eˣ) */
export class Softplus extends Activation {
  constructor() {
    super('softplus');
  }
}

/** 1 / (1 + e⁻ˣ) */
export class Sigmoid extends Activation {
  constructor() {
    super('sigmoid');
  }
}

/** The hyperbolic tangent. */
export class Tanh extends Activation {
  constructor() {
    super('tanh');
  }
}

/** Softmax along an axis, by default the last. For training, losses.softmaxCrossEntropy wants the logits instead. */
export class Softmax extends Activation {
  constructor(axis = -1) {
    super((x) => softmax(x, axis));
  }
}

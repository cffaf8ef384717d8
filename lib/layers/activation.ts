/** Activation functions as layers. */
import { type ActivationFunction, type ActivationName, resolveActivation } from '../activations.ts';
import { describe } from '../arguments.ts';
import { ArgumentError } from '../errors.ts';
import { softmax } from '../ops/softmax.ts';
import { elu, leakyRelu } from '../ops/unary.ts';
import { checkTensor, type Tensor } from '../tensor.ts';
import { readExample } from './checks.ts';
import { configure } from './config.ts';
import { type ExampleShape, Layer } from './layer.ts';
import { activation, layerForm, number, option } from './options.ts';

/** A number that `leakyRelu` and `elu` take. */
const slope = (otherwise: number) =>
  number(otherwise, (layer, given, name) => {
    if (Number.isFinite(given) && given >= 0) return;
    throw new ArgumentError(
      `[${layer}] expected ${name} to be a number of at least 0, got ${describe(given)}`,
    );
  });

const axis = option(
  (layer, name, given: number) => {
    if (Number.isInteger(given)) return given;
    throw new ArgumentError(`[${layer}] expected ${name} to be an integer, got ${describe(given)}`);
  },
  () => -1,
);

const forms = {
  leakyRelu: layerForm('LeakyReLU', { slope: slope(0.01) }, {}),
  elu: layerForm('ELU', { alpha: slope(1) }, {}),
  softmax: layerForm('Softmax', { axis }, {}),
  activation: layerForm('Activation', { activation: { ...activation, otherwise: undefined } }, {}),
};

/** An activation by name, or any function of a tensor that keeps its shape. */
export class Activation extends Layer {
  readonly activation: ActivationName | ActivationFunction;
  private readonly apply: ActivationFunction;

  /** @throws ArgumentError for an unknown name. */
  constructor(activation: ActivationName | ActivationFunction) {
    super();
    configure(this, { activation });
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
    configure(this, {});
  }
}

/** x > 0 ? x : slope·x */
export class LeakyReLU extends Activation {
  /** @param slope default 0.01 @throws ArgumentError unless slope ≥ 0. */
  constructor(slope?: number) {
    const own = forms.leakyRelu.read([slope]);
    super((x) => leakyRelu(x, own.slope));
    configure(this, own);
  }
}

/** x > 0 ? x : alpha·(eˣ − 1) */
export class ELU extends Activation {
  /** @param alpha default 1 @throws ArgumentError unless alpha ≥ 0. */
  constructor(alpha?: number) {
    const own = forms.elu.read([alpha]);
    super((x) => elu(x, own.alpha));
    configure(this, own);
  }
}

/** x·Φ(x) */
export class GELU extends Activation {
  constructor() {
    super('gelu');
    configure(this, {});
  }
}

/** x·σ(x) */
export class SiLU extends Activation {
  constructor() {
    super('silu');
    configure(this, {});
  }
}

/** log(1 + eˣ) */
export class Softplus extends Activation {
  constructor() {
    super('softplus');
    configure(this, {});
  }
}

/** 1 / (1 + e⁻ˣ) */
export class Sigmoid extends Activation {
  constructor() {
    super('sigmoid');
    configure(this, {});
  }
}

/** The hyperbolic tangent. */
export class Tanh extends Activation {
  constructor() {
    super('tanh');
    configure(this, {});
  }
}

/** Softmax along an axis, by default the last. For training, losses.softmaxCrossEntropy wants the logits instead. */
export class Softmax extends Activation {
  /** @throws ArgumentError unless axis is an integer. */
  constructor(axis?: number) {
    const own = forms.softmax.read([axis]);
    super((x) => softmax(x, own.axis));
    configure(this, own);
  }
}

forms.activation.register(Activation);
forms.leakyRelu.register(LeakyReLU);
forms.elu.register(ELU);
forms.softmax.register(Softmax);
for (const [name, kind] of Object.entries({ ReLU, GELU, SiLU, Softplus, Sigmoid, Tanh })) {
  layerForm(name, {}, {}).register(kind);
}

/** A function of one's own as a layer. */
import { checkFunction, isFunction } from '../arguments.ts';
import { ArgumentError } from '../errors.ts';
import type { Shape } from '../shape.ts';
import { checkTensor, type Tensor } from '../tensor.ts';
import { isContainer } from '../tree.ts';
import { readExample } from './checks.ts';
import { configure } from './config.ts';
import { type ExampleShape, Layer } from './layer.ts';
import { layerForm, type OptionsOf, option } from './options.ts';

/** Options of `Lambda`. */
export interface LambdaOptions {
  /** The shape of an example's output for that of its input, where somebody is to know it: `(shape) => shape`. */
  outputShape?: ((input: Shape) => Shape) | undefined;
}

const fn = option((layer, name, given: (...inputs: Tensor[]) => Tensor) => {
  if (isFunction(given)) return given;
  throw new ArgumentError(
    `${layer} expected ${name} to be a function, which the config of a layer does not hold: make the model by its code, ` +
      'and load the weights into it',
  );
});

const form = layerForm('Lambda', { fn }, {
  outputShape: {
    ...option<LambdaOptions['outputShape']>(
      (layer, name, given) => {
        if (given !== undefined) checkFunction(layer, name, given);
        return given;
      },
      () => undefined,
    ),
    isNullFunction: true,
  },
} satisfies OptionsOf<LambdaOptions>);

/** What a function makes of the input, of ops alone and without parameters of its own: `new Lambda((x) => x.square())`. */
export class Lambda extends Layer {
  private readonly fn: (...inputs: Tensor[]) => Tensor;
  private readonly shapeOf: LambdaOptions['outputShape'];

  /** @throws ArgumentError unless they are functions */
  constructor(fn: (...inputs: Tensor[]) => Tensor, options: LambdaOptions = {}) {
    super();
    const own = form.read([fn], options);
    configure(this, own);
    this.fn = own.fn;
    this.shapeOf = own.outputShape;
  }

  forward(...inputs: Tensor[]): Tensor {
    for (const x of inputs) if (!isContainer(x)) checkTensor(this.label, x);
    const y = this.fn(...inputs);
    checkTensor(this.label, y, 'the result of its function');
    return y;
  }

  override outputShape(input: ExampleShape): ExampleShape {
    const example = readExample(this, input);
    return example && this.shapeOf?.(example);
  }
}

form.register(Lambda);

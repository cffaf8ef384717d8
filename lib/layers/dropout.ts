/** Dropout as a layer. */
import { describe } from '../arguments.ts';
import { ArgumentError } from '../errors.ts';
import { dropout } from '../ops/dropout.ts';
import { checkTensor, type Tensor } from '../tensor.ts';
import { readExample } from './checks.ts';
import { configure } from './config.ts';
import { type ExampleShape, Layer } from './layer.ts';
import { layerForm, option } from './options.ts';

/** A probability of what is dropped. */
export const rate = option(
  (layer, name, given: number) => {
    if (typeof given === 'number' && given >= 0 && given < 1) return given;
    throw new ArgumentError(
      `${layer} expected ${name} to be at least 0 and less than 1, got ${describe(given)}`,
    );
  },
  () => 0.5,
);

const form = layerForm('Dropout', { rate }, {});

/** While training, sets each element to 0 with probability `rate` and scales the rest; the identity in evaluation. */
export class Dropout extends Layer {
  readonly rate: number;

  /** @param rate default 0.5 @throws ArgumentError unless 0 ≤ rate < 1. */
  constructor(rate?: number) {
    super();
    const own = form.read([rate]);
    configure(this, own);
    this.rate = own.rate;
  }

  forward(x: Tensor): Tensor {
    checkTensor(this.label, x);
    return this.training && this.rate > 0 ? dropout(x, this.rate) : x;
  }

  override outputShape(input: ExampleShape): ExampleShape {
    return readExample(this, input);
  }
}

form.register(Dropout);

/** Dropout as a layer. */
import { describe } from '../arguments.ts';
import { ArgumentError } from '../errors.ts';
import { dropout } from '../ops/dropout.ts';
import { checkTensor, type Tensor } from '../tensor.ts';
import { readExample } from './checks.ts';
import { type ExampleShape, Layer } from './layer.ts';

/** While training, sets each element to 0 with probability `rate` and scales the rest; the identity in evaluation. */
export class Dropout extends Layer {
  readonly rate: number;

  /** @throws ArgumentError unless 0 ≤ rate < 1. */
  constructor(rate = 0.5) {
    super();
    if (typeof rate !== 'number' || !(rate >= 0 && rate < 1)) {
      throw new ArgumentError(
        `Dropout expected rate to be at least 0 and less than 1, got ${describe(rate)}`,
      );
    }
    this.rate = rate;
  }

  forward(x: Tensor): Tensor {
    checkTensor(this.label, x);
    return this.training && this.rate > 0 ? dropout(x, this.rate) : x;
  }

  override outputShape(input: ExampleShape): ExampleShape {
    return readExample(this, input);
  }
}

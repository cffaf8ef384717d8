/** All axes of an example joined into one. */
import { flatten } from '../ops/reshape.ts';
import { sizeOf } from '../shape.ts';
import { checkTensor, type Tensor } from '../tensor.ts';
import { inputError, readExample } from './checks.ts';
import { type ExampleShape, Layer } from './layer.ts';
import { layerForm } from './options.ts';

/** [batch, ...example] → [batch, size of the example]: the notes' 64×64×3 image becomes 12,288 numbers. */
export class Flatten extends Layer {
  forward(x: Tensor): Tensor {
    checkTensor(this.label, x);
    if (x.rank === 0) throw inputError(this, '[batch, ...]', x.shape);
    return flatten(x);
  }

  override outputShape(input: ExampleShape): ExampleShape {
    const example = readExample(this, input);
    return example && [sizeOf(example)];
  }
}

layerForm('Flatten', {}, {}).register(Flatten);

/** Layers of several inputs: where the branches of a network meet. */
import { ArgumentError, ShapeError } from '../errors.ts';
import { add, mul } from '../ops/binary.ts';
import { concat } from '../ops/concat.ts';
import { type Shape, sameShape, show } from '../shape.ts';
import { checkTensor, type Tensor } from '../tensor.ts';
import { readExample } from './checks.ts';
import { configure } from './config.ts';
import { type ExampleShape, Layer } from './layer.ts';
import { layerForm, number } from './options.ts';

/** One that takes several tensors, as arguments or in an array. */
export abstract class Merge extends Layer {
  forward(...inputs: Tensor[] | [readonly Tensor[]]): Tensor {
    const list = (Array.isArray(inputs[0]) ? inputs[0] : inputs) as readonly Tensor[];
    for (const x of list) checkTensor(this.label, x);
    const rows = list[0]?.shape[0];
    if (rows === undefined || list.some(({ shape }) => shape[0] !== rows)) {
      throw this.refuse(
        list.map(({ shape }) => shape),
        'of as many examples, at least one',
      );
    }
    this.mergedShape(list.map(({ shape }) => shape.slice(1)));
    return this.merge(list);
  }

  /** The shape of an example's output for those of its inputs. @throws ShapeError when they do not go together */
  abstract mergedShape(examples: readonly Shape[]): Shape;

  protected abstract merge(inputs: readonly Tensor[]): Tensor;

  override outputShape(input: ExampleShape): ExampleShape {
    const example = readExample(this, input);
    return example && this.mergedShape([example]);
  }

  protected refuse(shapes: readonly Shape[], expected: string): ShapeError {
    const received = shapes.map(show).join(', ') || 'none';
    return new ShapeError(`${this.label} expected inputs ${expected}, received ${received}`);
  }
}

const axis = number(-1, (layer, given, name) => {
  if (Number.isInteger(given) && given !== 0) return;
  throw new ArgumentError(`${layer} expected ${name} to be an integer other than 0, the batch, got ${given}`);
});
const form = layerForm('Concatenate', { axis }, {});

/** The inputs one after the other along an axis, by default the last. */
export class Concatenate extends Merge {
  readonly axis: number;

  /** @param axis of the batch, from 1; from the end where negative @throws ArgumentError for 0 */
  constructor(axis?: number) {
    super();
    const own = form.read([axis]);
    configure(this, own);
    this.axis = own.axis;
  }

  mergedShape(examples: readonly Shape[]): Shape {
    const [first] = examples;
    const along = this.axis > 0 ? this.axis - 1 : first.length + this.axis;
    const fits = (shape: Shape) =>
      shape.length === first.length && shape.every((size, i) => i === along || size === first[i]);
    if (along < 0 || along >= first.length || !examples.every(fits)) {
      throw this.refuse(examples, `that differ in axis ${this.axis} alone`);
    }
    return first.map((size, i) => (i === along ? examples.reduce((sum, shape) => sum + shape[i], 0) : size));
  }

  protected merge(inputs: readonly Tensor[]): Tensor {
    return concat(inputs, this.axis);
  }
}

abstract class Elementwise extends Merge {
  mergedShape(examples: readonly Shape[]): Shape {
    if (examples.every((shape) => sameShape(shape, examples[0]))) return examples[0];
    throw this.refuse(examples, 'of one shape');
  }
}

/** The sum of the inputs. */
export class Add extends Elementwise {
  protected merge(inputs: readonly Tensor[]): Tensor {
    return inputs.reduce((sum, x) => add(sum, x));
  }
}

/** The product of the inputs, element by element. */
export class Multiply extends Elementwise {
  protected merge(inputs: readonly Tensor[]): Tensor {
    return inputs.reduce((product, x) => mul(product, x));
  }
}

form.register(Concatenate);
layerForm('Add', {}, {}).register(Add);
layerForm('Multiply', {}, {}).register(Multiply);

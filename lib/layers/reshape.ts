/** Another shape for each example. */
import { ShapeError } from '../errors.ts';
import { reshape } from '../ops/reshape.ts';
import { checkShape, readSizes, type Shape, show, sizeOf } from '../shape.ts';
import { checkTensor, type Tensor } from '../tensor.ts';
import { inputError, readExample } from './checks.ts';
import { configure } from './config.ts';
import { type ExampleShape, Layer } from './layer.ts';
import { layerForm, option } from './options.ts';

const shape = option((layer, _name, given: Shape): Shape => {
  const own = readSizes(layer, given);
  const open = own.indexOf(-1);
  checkShape(layer, open < 0 ? own : own.map((size, i) => (i === open ? 1 : size)), own);
  return own;
});

const form = layerForm('Reshape', { shape }, {});

/** [batch, ...example] → [batch, ...shape], of as many elements in the same order. */
export class Reshape extends Layer {
  readonly shape: Shape;

  /** @param shape of an example; −1 for one axis that follows from the others @throws ShapeError for what is none */
  constructor(shape: Shape) {
    super();
    const own = form.read([shape]);
    configure(this, own);
    this.shape = own.shape;
  }

  forward(x: Tensor): Tensor {
    checkTensor(this.label, x);
    if (x.rank === 0) throw inputError(this, '[batch, ...]', x.shape);
    return reshape(x, [x.shape[0], ...this.exampleFrom(x.shape.slice(1))]);
  }

  override outputShape(input: ExampleShape): ExampleShape {
    const example = readExample(this, input);
    return example && this.exampleFrom(example);
  }

  private exampleFrom(example: Shape): Shape {
    const size = sizeOf(example);
    const known = this.shape.reduce((product, n) => (n === -1 ? product : product * n), 1);
    const isOpen = this.shape.includes(-1);
    if (isOpen ? known > 0 && size % known === 0 : size === known) {
      return this.shape.map((n) => (n === -1 ? size / known : n));
    }
    throw new ShapeError(
      `${this.label} expected examples of as many elements as ${show(this.shape)}, received ${show(example)}`,
    );
  }
}

form.register(Reshape);

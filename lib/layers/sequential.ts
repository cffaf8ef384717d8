/** Layers one after the other. */
import { checkOptions, describe } from '../arguments.ts';
import { ArgumentError } from '../errors.ts';
import { checkShape, type Shape } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import { type ExampleShape, Layer } from './layer.ts';

export interface SequentialOptions {
  /** The shape of one example, without the batch: lets the constructor check every layer, and `summary` show sizes. */
  inputShape?: Shape;
}

/** Feeds each layer's output to the next. Sizes are checked at construction as far as they are known. */
export class Sequential extends Layer {
  readonly layers: readonly Layer[];
  readonly inputShape: ExampleShape;

  /**
   * @throws ArgumentError for something that is no layer, ShapeError when a layer's output does not fit the next:
   *   `Dense 2 expected input [batch, 5], received [batch, 4]`.
   */
  constructor(layers: readonly Layer[], options: SequentialOptions = {}) {
    super();
    if (!Array.isArray(layers) || layers.length === 0) {
      throw new ArgumentError('Sequential expected an array of at least one layer');
    }
    checkOptions('Sequential', options, ['inputShape']);
    const { inputShape } = options;
    if (inputShape !== undefined) checkShape('Sequential', inputShape);
    const counts = new Map<string, number>();
    layers.forEach((layer, i) => {
      if (!(layer instanceof Layer)) {
        throw new ArgumentError(`Sequential expected a layer at position ${i}, got ${describe(layer)}`);
      }
      const kind = layer.constructor.name;
      counts.set(kind, (counts.get(kind) ?? 0) + 1);
      if (layer.label === kind) layer.label = `${kind} ${counts.get(kind)}`;
    });
    this.layers = [...layers];
    this.inputShape = inputShape;
    this.outputShape(inputShape);
  }

  forward(x: Tensor): Tensor {
    let y = x;
    for (let i = 0; i < this.layers.length; i++) y = this.layers[i].forward(y);
    return y;
  }

  override children(): [name: string, layer: Layer][] {
    return this.layers.map((layer, i) => [String(i), layer]);
  }

  override outputShape(input: ExampleShape): ExampleShape {
    let shape = input ?? this.inputShape;
    for (const layer of this.layers) shape = layer.outputShape(shape);
    return shape;
  }

  override summary(inputShape?: Shape): string {
    return super.summary(inputShape === undefined ? this.inputShape : inputShape);
  }
}

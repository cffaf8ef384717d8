/** Layers one after the other. */
import { checkOptions, describe, isInstance, readArray } from '../arguments.ts';
import { ArgumentError } from '../errors.ts';
import { readShape, type Shape } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import { readExample } from './checks.ts';
import { type ExampleShape, kindOf, Layer, most } from './layer.ts';

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
    const refuse = (got: string) =>
      new ArgumentError(`Sequential expected an array of at least one layer, ${most} at most, got ${got}`);
    this.layers = readArray(layers, most, refuse);
    if (this.layers.length === 0) throw refuse('none');
    this.layers.forEach((layer, i) => {
      if (!isInstance(layer, Layer)) {
        throw new ArgumentError(`Sequential expected a layer at position ${i}, got ${describe(layer)}`);
      }
    });
    checkOptions('Sequential', options, ['inputShape']);
    const { inputShape } = options;
    this.inputShape = inputShape === undefined ? undefined : readShape('Sequential', inputShape);
    const before = this.layers.map(({ label }) => label);
    this.number();
    try {
      this.outputShape(this.inputShape);
    } catch (error) {
      this.layers.forEach((layer, i) => {
        layer.label = before[i];
      });
      throw error;
    }
  }

  /** Tells layers of one class apart by their labels. */
  private number(): void {
    const counts = new Map<string, number>();
    for (const layer of this.layers) {
      const kind = kindOf(layer);
      const count = (counts.get(kind) ?? 0) + 1;
      counts.set(kind, count);
      if (layer.label === kind) layer.label = `${kind} ${count}`;
    }
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
    let shape: ExampleShape = readExample(this, input === undefined ? this.inputShape : input);
    for (const layer of this.layers) shape = layer.outputShape(shape);
    return shape;
  }

  override summary(inputShape?: Shape): string {
    return super.summary(inputShape === undefined ? this.inputShape : inputShape);
  }
}

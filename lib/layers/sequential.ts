/** Layers one after the other. */
import { checkOptions, describe, isArray, isInstance, readArray } from '../arguments.ts';
import { noGrad } from '../autograd.ts';
import { ArgumentError } from '../errors.ts';
import { refuseRecording } from '../kernels/recorder.ts';
import type { Dtype, FloatDtype } from '../memory.ts';
import { nameClass } from '../names.ts';
import { readShape, type Shape } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import { most } from '../tree.ts';
import { Given, learns, nothingToLearn, orAsBefore, passesOn } from './adapt.ts';
import { readExample } from './checks.ts';
import { configure, type LayerConfig, layerFrom, registerLayer, typeOf } from './config.ts';
import type { Tensors } from './inputs.ts';
import { type ExampleShape, Layer, naming } from './layer.ts';
import { inMode } from './mode.ts';

/** Options of `Sequential`. */
export interface SequentialOptions {
  /** The shape of one example, without the batch: lets the constructor check every layer, and `summary` show sizes. */
  inputShape?: Shape;
}

/** How many Sequentials may begin with each other: one that begins with itself has no first layer. */
const deepest = 256;
let asked = 0;

/** What the last of them returns. */
type OutputOf<Layers extends readonly Layer[]> = Layers extends readonly [
  ...Layer[],
  infer Last extends Layer,
]
  ? ReturnType<Last['forward']>
  : Tensor;

/** Feeds each layer's output to the next. Sizes are checked at construction as far as they are known. */
export class Sequential<const Layers extends readonly Layer[] = readonly Layer[]> extends Layer {
  /** In order, each of its own class. */
  readonly layers: Layers;
  readonly inputShape: ExampleShape;

  /**
   * @throws ArgumentError for something that is no layer, ShapeError when a layer's output does not fit the next:
   *   `Dense 2 expected input [batch, 5], received [batch, 4]`.
   */
  constructor(layers: Layers, options: SequentialOptions = {}) {
    super();
    const refuse = (got: string) =>
      new ArgumentError(`Sequential expected an array of at least one layer, ${most} at most, got ${got}`);
    this.layers = readArray(layers, most, refuse) as readonly Layer[] as Layers;
    if (this.layers.length === 0) throw refuse('none');
    this.layers.forEach((layer, i) => {
      if (!isInstance(layer, Layer)) {
        throw new ArgumentError(`Sequential expected a layer at position ${i}, got ${describe(layer)}`);
      }
    });
    checkOptions('Sequential', options, ['inputShape']);
    const { inputShape } = options;
    this.inputShape = inputShape === undefined ? undefined : readShape('Sequential', inputShape);
    configure(this, { layers: this.layers, inputShape: this.inputShape });
    const numbered = this.number();
    try {
      this.outputShape(this.inputShape);
    } catch (error) {
      for (const layer of numbered) layer[naming].number = undefined;
      throw error;
    }
  }

  /** Tells layers of one class apart by their labels; which they are that had none. */
  private number(): Layer[] {
    const counts = new Map<string, number>();
    return this.layers.filter((layer) => {
      const kind = typeOf(layer);
      const count = (counts.get(kind) ?? 0) + 1;
      counts.set(kind, count);
      const names = layer[naming];
      if (names.own !== undefined || names.number !== undefined) return false;
      names.number = `${kind} ${count}`;
      return true;
    });
  }

  // biome-ignore lint/suspicious/noExplicitAny: the first layer says what it takes
  forward(x: any, ...others: any[]): OutputOf<Layers> {
    const { layers } = this;
    let y = others.length === 0 ? layers[0].forward(x) : layers[0].forward(x, ...others);
    for (let i = 1; i < layers.length; i++) y = layers[i].forward(y);
    return y;
  }

  /** The layers by number, and those that a subclass keeps beside them. */
  override children(): [name: string, layer: Layer][] {
    const own = this.layers.map((layer, i): [string, Layer] => [String(i), layer]);
    return own.concat(super.children().filter(([name]) => !name.startsWith('layers.')));
  }

  /** What the first layer makes of it, unless this one has an `inputDtype` of its own: see Layer. */
  // biome-ignore lint/suspicious/noExplicitAny: the first layer says what it takes, see PlainInputs
  override inputFrom(values: any, name = 'x', dtype: FloatDtype = this.parameterDtype()): Tensors {
    return this.ofFirst(
      (first) => first.inputFrom(values, name, dtype),
      () => super.inputFrom(values, name, dtype),
    );
  }

  override inputDtypeAt(path: string, otherwise: Dtype): Dtype {
    return this.ofFirst(
      (first) => first.inputDtypeAt(path, otherwise),
      () => super.inputDtypeAt(path, otherwise),
    );
  }

  /** What the first layer says, or else this one: where it has an `inputDtype` of its own, or no first layer. */
  private ofFirst<Result>(ask: (first: Layer) => Result, otherwise: () => Result): Result {
    if (this.inputDtype !== undefined || asked === deepest) return otherwise();
    asked++;
    try {
      return ask(this.layers[0]);
    } finally {
      asked--;
    }
  }

  /**
   * Lets each layer that learns from data by `adapt` (Normalize, StringLookup, …) do so, in order, of what the layers before it
   * make of the data, in evaluation mode.
   * @param data what `fit` would take as x, all of it; or something else that can be iterated, of which each item is such a
   *   batch, for a first layer that takes those
   * @throws ArgumentError where there is no such layer; what a layer throws: all that was learned before is then as it was
   */
  adapt(data: unknown): this {
    refuseRecording('adapt');
    const { layers } = this;
    const last = layers.findLastIndex((layer) => learns(layer));
    if (last < 0) throw nothingToLearn(this);
    orAsBefore(this, () => {
      const [only] = layers;
      if (last === 0 && learns(only)) {
        // Which goes through it once.
        only.adapt(data);
        return;
      }
      let given = Given.of(data);
      for (let i = 0; i <= last; i++) {
        const layer: Layer = layers[i];
        if (learns(layer)) layer.adapt(given.data);
        if (i === last) break;
        given = given.map((batch) => {
          const input = i === 0 ? this.inputFrom(batch) : batch;
          return inMode(false, () =>
            noGrad(() => (isArray(input) ? layer.forward(...input) : layer.forward(input))),
          );
        });
      }
    });
    return this;
  }

  /** What it is given is for layers in it. */
  get [passesOn](): true {
    return true;
  }

  override chain(): Pick<Sequential, 'layers' | 'inputShape'> {
    return this;
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

nameClass(Sequential, 'Sequential');
registerLayer('Sequential', Sequential, ({ layers, ...options }) => {
  if (!isArray(layers)) return new Sequential(layers, options);
  const refuse = (got: string) =>
    new ArgumentError(`Sequential expected an array of layers, ${most} at most, got ${got}`);
  const configs = readArray(layers, most, refuse);
  return new Sequential(
    configs.map((config) => layerFrom(config as LayerConfig)),
    options,
  );
});

/** The numbers of a model at one moment, apart from the model. */
import { Layer, tensorsOf } from '../layers/layer.ts';
import { assign } from '../ops/inPlace.ts';
import { type AnySharedTensor, SharedTensor } from '../parameter.ts';
import { readTensors } from '../state.ts';

/**
 * Memory for the parameters and buffers of a model, under its names. A layer, as all that reads and writes such by name works on
 * layers: `loadStateDict`, `loadWeights`, `share`, `attach`.
 */
export class Numbers extends Layer {
  private readonly own: readonly (readonly [name: string, tensor: AnySharedTensor])[];

  constructor(model: Layer) {
    super();
    this.own = model
      .namedTensors()
      .map(([name, { shape, dtype }]) => [name, new SharedTensor(shape, dtype as 'float32')]);
  }

  override [tensorsOf](): Iterable<readonly [name: string, tensor: AnySharedTensor]> {
    return this.own;
  }

  /** Nothing computes with numbers alone. */
  forward(): never {
    throw new Error('numbers without a model');
  }
}

/**
 * A function that copies the numbers of one to those of another, to be compiled.
 * @throws ArgumentError unless the names are the same, ShapeError for another shape or dtype
 */
export function copying(to: Numbers, from: Layer): () => void {
  const targets = to.namedTensors();
  const sources = readTensors('update', targets, Object.fromEntries(from.namedTensors()));
  return () => {
    targets.forEach(([, target], i) => {
      assign(target, sources[i]);
    });
  };
}

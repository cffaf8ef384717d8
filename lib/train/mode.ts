/** The mode of a model, training or evaluation, for as long as a function runs. */
import type { Layer } from '../layers/layer.ts';

/** Runs a synchronous function in training mode (true) or evaluation mode (false). */
export type InMode = <Result>(training: boolean, fn: () => Result) => Result;

/**
 * Makes the function that runs others with the model in a mode and then gives every layer back the mode it had. Nothing
 * else can run in between: a `predict` that a server answers while `fit` waits for its turn never meets a model in the
 * wrong mode, nor leaves one behind. The layers are those that the model has now, as to look for them costs more than a
 * small step may.
 */
export function modeSwitch(model: Layer): InMode {
  const layers = model.namedLayers().map(([, layer]) => layer);
  return (training, fn) => {
    if (layers.every((layer) => layer.training === training)) return fn();
    const before = layers.map((layer) => layer.training);
    model.train(training);
    try {
      return fn();
    } finally {
      layers.forEach((layer, i) => {
        layer.training = before[i];
      });
    }
  };
}

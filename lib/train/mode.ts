/** The mode of a model, training or evaluation, for as long as a function runs. */
import type { Layer } from '../layers/layer.ts';

function collectModes(layer: Layer, modes: Map<Layer, boolean>): Map<Layer, boolean> {
  modes.set(layer, layer.training);
  for (const [, child] of layer.children()) collectModes(child, modes);
  return modes;
}

/**
 * Runs a synchronous `fn` with the model in training mode (or evaluation mode) and gives every layer back the mode it
 * had. Nothing else can run in between: a `predict` that a server answers while `fit` waits for its turn never meets a
 * model in the wrong mode, nor leaves one behind.
 */
export function inMode<Result>(model: Layer, training: boolean, fn: () => Result): Result {
  const before = collectModes(model, new Map());
  model.train(training);
  try {
    return fn();
  } finally {
    for (const [layer, mode] of before) layer.training = mode;
  }
}

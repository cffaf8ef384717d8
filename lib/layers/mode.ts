/** Training or evaluation, of all layers at once, for as long as a function runs. */

/** The mode in force; null where each layer has its own. */
export let modeInForce: boolean | null = null;

/**
 * Runs a synchronous function with every layer in training (true) or evaluation (false), whatever mode it has. The layers
 * keep theirs, so that a `predict` that a server answers while `fit` waits for its turn never meets a model in the wrong
 * mode, nor leaves one behind.
 */
export function inMode<Result>(training: boolean | null, fn: () => Result): Result {
  const before = modeInForce;
  modeInForce = training;
  try {
    return fn();
  } finally {
    modeInForce = before;
  }
}

/** One step of training. */
import { kernels } from '../kernels/index.ts';
import type { Layer } from '../layers/layer.ts';
import type { LossFunction } from '../losses.ts';
import type { Optimizer } from '../optimizers/optimizer.ts';
import { checkFloat, checkTensor, floats, type Tensor } from '../tensor.ts';

export interface StepResult {
  /** The batch's mean loss, before the update. */
  loss: Tensor;
  /** What the model predicted, before the update. */
  prediction: Tensor;
}

/** The model's output. @throws ArgumentError unless it is a tensor. */
export function forwardOf(model: Layer, x: Tensor): Tensor {
  const y = model.forward(x);
  checkTensor(model.label, y, 'the output of forward');
  return y;
}

/** The mean over a batch of what a loss returns: a scalar already, or the loss of each example. */
export function batchLoss(loss: LossFunction, prediction: Tensor, target: Tensor): Tensor {
  const value = loss(prediction, target);
  checkTensor('loss', value, 'the result of the loss function');
  return value.size === 1 ? value : value.mean();
}

/**
 * Forward, loss, backward, update. A loss that is not finite ends the step with NonFiniteError before its backward pass,
 * compiled or not, and leaves parameters and optimizer as they are.
 */
export function trainingStep(
  model: Layer,
  loss: LossFunction,
  optimizer: Optimizer,
): (x: Tensor, y: Tensor) => StepResult {
  return (x, y) => {
    const prediction = forwardOf(model, x);
    const value = batchLoss(loss, prediction, y);
    checkFloat('loss', value);
    kernels.checkFinite(floats(value));
    optimizer.zeroGrad();
    value.backward();
    optimizer.step();
    return { loss: value, prediction };
  };
}

/** One step of training. */
import { describe } from '../arguments.ts';
import { runBackward } from '../backward.ts';
import { ArgumentError, ShapeError } from '../errors.ts';
import { kernels } from '../kernels/index.ts';
import { recording } from '../kernels/recorder.ts';
import type { Layer, PlainInputs } from '../layers/layer.ts';
import { cast } from '../ops/cast.ts';
import { mul_ } from '../ops/inPlace.ts';
import type { Optimizer } from '../optimizers/optimizer.ts';
import { Parameter } from '../parameter.ts';
import { show } from '../shape.ts';
import { checkFloat, floats, isTensor, type Tensor } from '../tensor.ts';
import { isContainer, leavesOf, walk } from '../tree.ts';
import type { Tensors } from './examples.ts';
import type { BatchLoss } from './loss.ts';
import type { WeightAverage } from './weightAverage.ts';
import type { Turn } from './window.ts';

export interface StepResult {
  /** The batch's mean loss, before the update. */
  loss: Tensor;
  /** That of each output that has its own. */
  byOutput: Readonly<Record<string, Tensor>>;
  /** What the model predicted, before the update. */
  prediction: Tensors;
}

/** The model's output for one input, or for those in an array. @throws ArgumentError unless there is a tensor in it. */
export function forwardOf(model: Layer, x: Tensors): Tensors {
  const y = Array.isArray(x) ? model.forward(...x) : model.forward(x);
  if (isTensor(y) || (isContainer(y) && !walk(y, isTensor).next().done)) return y as Tensors;
  throw new ArgumentError(
    `[${model.label}] expected the output of forward to be a tensor, or arrays, objects or Maps of tensors, got ${describe(y)}`,
  );
}

/** @throws ShapeError unless the output for so many examples has as many rows: the model keeps them apart. */
export function checkOutputRows(op: string, y: Tensors, rows: number): void {
  for (const { shape } of leavesOf(y, isTensor)) {
    if (shape[0] !== rows) {
      throw new ShapeError(
        `[${op}] expected an output of ${rows} rows for as many examples, got ${show(shape)}`,
      );
    }
  }
}

/** A batch whose update is its own. */
const alone: Turn = { isFirst: true, share: 1, isLast: true };

/** What a model returns for a batch, where its type tells. */
export type OutputOf<Model extends Layer> = ReturnType<Model['forward']>;

/** What a model may be given: what its `inputFrom` takes, and what its `forward` takes, where its type tells, which `any` does not. */
export type InputsOf<Model extends Layer> =
  | PlainInputs<Model>
  | (0 extends 1 & Parameters<Model['forward']>[0]
      ? never
      : Parameters<Model['forward']>[0] | Parameters<Model['forward']>);

/** What becomes of gradients in a step. */
export interface Updating {
  readonly optimizer: Optimizer;
  readonly transform: GradientTransform | undefined;
  readonly averageWeights: WeightAverage | undefined;
}

/** Changes gradients in place after backward and before the update: `clipGradNorm`, say. */
export type GradientTransform = (parameters: readonly Tensor[]) => void;

/** @throws ArgumentError for a Parameter that the loss depends on and that nobody would update or save. */
function checkLeaves(model: Layer, optimizer: Optimizer, leaves: readonly Tensor[]): void {
  const known = new Set<Tensor>([...model.parameters(), ...optimizer.parameters]);
  const lost = leaves.filter((leaf) => leaf instanceof Parameter && !known.has(leaf));
  if (lost.length === 0) return;
  throw new ArgumentError(
    `[fit] expected parameters that the model or the optimizer has, got a loss that depends on ${lost.length} more, of shape ` +
      `${lost.map(({ shape }) => show(shape)).join(', ')}: keep them in public fields of layers, in arrays, plain objects ` +
      'or Maps there (not in #private fields, Sets or objects of classes), or give them to the optimizer',
  );
}

/** For a loss that no step changes. */
function nothingToLearn(model: Layer): ArgumentError {
  const parameters = model.parameters();
  const frozen = parameters.filter(({ requiresGrad }) => !requiresGrad);
  return new ArgumentError(
    '[fit] expected a loss that depends on a parameter which is not frozen, got one that depends on none; of the ' +
      `${parameters.length} parameters of the model ${frozen.length} are frozen, which trainable = true undoes`,
  );
}

/**
 * Forward, loss, backward, and at the end of a turn the update. A loss that is not finite ends the step with NonFiniteError before its backward pass,
 * compiled or not, and leaves parameters and optimizer as they are.
 */
export function trainingStep(
  model: Layer,
  loss: BatchLoss,
  updating: Updating,
): (x: Tensors, y: Tensors, weights: Tensors | null, turn?: Turn) => StepResult {
  const { optimizer } = updating;
  const update = updateStep(updating);
  let isNew = true;
  return (x, y, weights, { isFirst, share, isLast } = alone) => {
    const prediction = forwardOf(model, x);
    const { loss: value, byOutput } = loss.of(prediction, y, weights);
    checkFloat('loss', value);
    if (!value.requiresGrad) throw nothingToLearn(model);
    kernels.checkFinite(floats(value));
    if (isFirst) optimizer.zeroGrad();
    const leaves = runBackward(share === 1 ? value : value.mul(share), null);
    if (isNew || recording !== null) checkLeaves(model, optimizer, leaves);
    isNew = false;
    if (isLast) update(null);
    return { loss: value, byOutput, prediction };
  };
}

/** What comes after backward, with gradients multiplied by a number where it is given. */
export function updateStep({
  optimizer,
  transform,
  averageWeights,
}: Updating): (scale: Tensor<'float64'> | null) => void {
  return (scale) => {
    if (scale !== null) {
      for (const { grad } of optimizer.parameters) if (grad !== null) mul_(grad, cast(scale, grad.dtype));
    }
    transform?.(optimizer.parameters);
    optimizer.step();
    averageWeights?.update();
  };
}

/** One step of training. */
import { describe } from '../arguments.ts';
import { noGrad } from '../autograd.ts';
import { runBackward, runNothing } from '../backward.ts';
import type { Reducer } from '../distributed/reducer.ts';
import { withSynchronization } from '../distributed/synchronization.ts';
import type { World } from '../distributed/world.ts';
import { ArgumentError, ShapeError } from '../errors.ts';
import { kernels } from '../kernels/index.ts';
import { recording } from '../kernels/recorder.ts';
import type { Layer, PlainInputs } from '../layers/layer.ts';
import { cast } from '../ops/cast.ts';
import { concat } from '../ops/concat.ts';
import { mul_ } from '../ops/inPlace.ts';
import { sum } from '../ops/reduce.ts';
import type { Optimizer } from '../optimizers/optimizer.ts';
import { Parameter } from '../parameter.ts';
import { show } from '../shape.ts';
import { checkFloat, floats, isTensor, type Tensor, tensor } from '../tensor.ts';
import { isContainer, leavesOf, walk } from '../tree.ts';
import { rowsOf, type Tensors } from './examples.ts';
import type { BatchLoss } from './loss.ts';
import type { Joint } from './ranks.ts';
import type { WeightAverage } from './weightAverage.ts';
import type { Turn } from './window.ts';

export interface StepResult {
  /** The batch's mean loss, before the update. */
  loss: Tensor;
  /** That of each output that has its own. */
  byOutput: Readonly<Record<string, Tensor>>;
  /** What the model predicted, before the update. */
  prediction: Tensors;
  /** Of several processes: the mean loss of the whole batch, and how many want to abort and to stop. [3] of float64. */
  said?: Tensor;
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
  /** What makes gradients those of several processes. */
  readonly reducer: Reducer | undefined;
  /** The processes whose batches layers normalise by as by one; null for each by its own. */
  readonly synchronized: World | null;
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
 * compiled or not, and leaves parameters and optimizer as they are. Of several processes the loss of the whole batch counts,
 * which they know at the end of backward.
 */
export function trainingStep(
  model: Layer,
  loss: BatchLoss,
  updating: Updating,
): (x: Tensors, y: Tensors, weights: Tensors | null, turn?: Turn, joint?: Joint) => StepResult {
  const { optimizer } = updating;
  const update = updateStep(updating);
  let isNew = true;
  return (x, y, weights, turn = alone, joint) => {
    const { isFirst, share, isLast } = turn;
    const prediction = withSynchronization(updating.synchronized, () => forwardOf(model, x));
    const { loss: value, byOutput } =
      rowsOf(y) === 0 ? nothingOf(prediction) : loss.of(prediction, y, weights);
    checkFloat('loss', value);
    if (!value.requiresGrad) throw nothingToLearn(model);
    if (joint === undefined) kernels.checkFinite(floats(value));
    const own =
      joint && noGrad(() => concat([cast(value, 'float64').mul(joint.share).reshape([1]), joint.wishes]));
    if (isFirst) optimizer.zeroGrad();
    const counted = share === 1 ? value : value.mul(share);
    const leaves = runBackward(joint ? counted.mul(cast(joint.share, value.dtype)) : counted, null);
    if (isNew || recording !== null) checkLeaves(model, optimizer, leaves);
    isNew = false;
    const said = own && exchange(updating.reducer!, own, isLast);
    if (isLast) update(null);
    return { loss: value, byOutput, prediction, ...(said && { said }) };
  };
}

/** The loss of no examples, which depends on all that the model has computed. */
function nothingOf(prediction: Tensors): Pick<StepResult, 'loss' | 'byOutput'> {
  const [first, ...others] = leavesOf(prediction, isTensor).map((one) => sum(one));
  return { loss: others.reduce((total, one) => total.add(one), first), byOutput: {} };
}

/** What a step without examples gives. */
export type IdleResult = Required<Pick<StepResult, 'said'>>;

/** The step of a process that has no examples of a batch: its gradients are 0. */
export function idleStep(updating: Updating): (turn: Turn | undefined, joint: Joint) => IdleResult {
  const { optimizer } = updating;
  const update = updateStep(updating);
  return ({ isFirst, isLast } = alone, joint) => {
    const own = noGrad(() => concat([tensor([0], { dtype: 'float64' }), joint.wishes]));
    if (isFirst) optimizer.zeroGrad();
    runNothing(updating.reducer!.expected);
    const said = exchange(updating.reducer!, own, isLast);
    if (isLast) update(null);
    return { said };
  };
}

/** What all processes say; where an update comes next, gradients become those of the whole batch. */
function exchange(reducer: Reducer, own: Tensor, isLast: boolean): Tensor {
  const said = noGrad(() => sum(isLast ? reducer.reduce(own) : reducer.gather(own), 0));
  kernels.checkFinite(floats(said));
  return said;
}

/** What comes after backward, with gradients multiplied by a number where it is given. */
export function updateStep({
  optimizer,
  reducer,
  transform,
  averageWeights,
}: Updating): (scale: Tensor<'float64'> | null) => void {
  return (scale) => {
    // In a step of its own, as the step that was the last before it did not know that it would be.
    if (reducer !== undefined && !reducer.areComplete) reducer.reduce();
    if (scale !== null) {
      for (const { grad } of optimizer.parameters) if (grad !== null) mul_(grad, cast(scale, grad.dtype));
    }
    transform?.(optimizer.parameters);
    optimizer.step();
    averageWeights?.update();
  };
}

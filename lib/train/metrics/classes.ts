/** How predictions and targets name classes. */
import { ShapeError } from '../../errors.ts';
import { allocate } from '../../memory.ts';
import { sameShape, show } from '../../shape.ts';
import { checkTensor, type Tensor } from '../../tensor.ts';

/** @throws ArgumentError unless both are tensors: of several outputs one has to be chosen. */
export function checkTensors(name: string, prediction: Tensor, target: Tensor): void {
  checkTensor(name, prediction, 'the prediction');
  checkTensor(name, target, 'the target');
}

/** The number of classes that scores [..., classes] tell apart; 0 for [batch] or [batch, 1], one score an example. */
export function classesOf(scores: Tensor): number {
  if (scores.rank < 2) return 0;
  const classes = scores.shape[scores.rank - 1];
  return classes === 1 ? 0 : classes;
}

/** The index of the largest of each row of `width` scores; the first one at a tie. NaN counts as largest. */
export function argmaxRows(scores: Tensor, width: number): Int32Array {
  const { data } = scores;
  const rows = data.length / width;
  const chosen = allocate(rows, 'int32');
  for (let row = 0; row < rows; row++) {
    const start = row * width;
    let best = 0;
    for (let i = 1; i < width; i++) {
      const value = data[start + i];
      const held = data[start + best];
      if (value > held || (Number.isNaN(value) && !Number.isNaN(held))) best = i;
    }
    chosen[row] = best;
  }
  return chosen;
}

/**
 * The true class of each row of scores [..., classes]: targets [...] are the labels, targets [..., classes] name it by
 * their largest element (one-hot, or probabilities).
 * @throws ShapeError for any other shape.
 */
export function trueClasses(name: string, scores: Tensor, target: Tensor): ArrayLike<number> {
  if (sameShape(target.shape, scores.shape)) return argmaxRows(target, classesOf(scores));
  if (sameShape(target.shape, scores.shape.slice(0, -1))) return target.data;
  throw new ShapeError(
    `[${name}] expected labels ${show(scores.shape.slice(0, -1))} or one-hot targets ${show(scores.shape)} for a ` +
      `prediction ${show(scores.shape)}, got ${show(target.shape)}`,
  );
}

/** @throws ShapeError unless prediction and target, [batch] or [batch, 1] each, hold as many. */
export function checkPaired(name: string, prediction: Tensor, target: Tensor): void {
  const single = (x: Tensor) => x.rank === 1 || (x.rank === 2 && x.shape[1] === 1);
  if (single(prediction) && single(target) && prediction.size === target.size) return;
  throw new ShapeError(
    `[${name}] expected a prediction and a target of [batch] or [batch, 1], got ${show(prediction.shape)} and ` +
      show(target.shape),
  );
}

/** Less memory for more time: what a function has made on its way is computed again when its gradient is. */
import { inRun } from './again.ts';
import { checkFunction } from './arguments.ts';
import { isGradEnabled, nextOrder, synchronous, track } from './autograd.ts';
import { beginsOf, deriveNew, differentiateNew } from './backward.ts';
import { keepingRandom, keepState, replayRandom } from './random.ts';
import { checkTensor, isTensor, type Tensor } from './tensor.ts';
import { leavesOf } from './tree.ts';

/**
 * A function that does what `fn` does and keeps nothing of what it made on the way for backward, which runs it again, as PyTorch's
 * `torch.utils.checkpoint` (Chen et al., "Training deep nets with sublinear memory cost", 2016). Gradients are the same, to the
 * bit, those of Parameters that it uses as well. Dropout drops the same elements, and running statistics move once.
 *
 *     const block = recompute((x: Tensor) => layers.forward(x));
 *
 * @param fn returns a tensor, and the same at both times; it draws from the default random state alone
 * @throws AutogradError, from the function that is returned, for updates in place and other random states in `fn`, or a promise
 */
export function recompute<Args extends readonly unknown[]>(
  fn: (...args: Args) => Tensor,
): (...args: Args) => Tensor {
  const op = 'recompute';
  checkFunction(op, 'fn', fn);
  return (...args) => {
    const run = () => {
      const result = synchronous(op, fn(...args));
      checkTensor(op, result, 'the result of fn');
      return result;
    };
    if (!isGradEnabled()) return run();
    const kept = keepState();
    const again = () => replayRandom(kept, () => inRun('again', run));
    const from = nextOrder();
    const first = inRun('first', () => keepingRandom(run));
    if (first.node === null || first.node.order < from) return first;
    return tracked(first, from, again, leavesOf(args, isTensor));
  };
}

/** In a function of its own, so that no closure keeps the history of the first run. */
function tracked(first: Tensor, from: number, again: () => Tensor, args: readonly Tensor[]): Tensor {
  const begins = beginsOf(first, from);
  return withoutHistory(first.detach(), begins, again, args);
}

function withoutHistory(
  y: Tensor,
  begins: readonly Tensor[],
  again: () => Tensor,
  args: readonly Tensor[],
): Tensor {
  return track(
    y,
    begins,
    (dy) => differentiateNew(again, dy),
    [...new Set([...begins, ...args])],
    (dy) => deriveNew(again, dy, begins),
  );
}

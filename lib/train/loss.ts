/** What `fit` and `evaluate` take for a loss. */
import { describe, isFunction } from '../arguments.ts';
import { ArgumentError } from '../errors.ts';
import * as losses from '../losses.ts';
import type { Tensor } from '../tensor.ts';

/**
 * What `fit` and `evaluate` take: a scalar, or the losses to take the mean of. It gets what the model returned, and `y` as
 * it was given, with tensors in the place of values.
 */
export type LossFunction<Prediction = Tensor, Target = Tensor> = (
  prediction: Prediction,
  target: Target,
) => Tensor;

/** One on whatever the model returns and y holds. */
// biome-ignore lint/suspicious/noExplicitAny: the model and the data say what they are
export type AnyLoss = LossFunction<any, any>;

export type LossName = keyof typeof losses;

/** Whether a choice is the loss of that name, by the name or the function itself. */
export function isLoss(choice: LossName | AnyLoss | undefined, name: LossName): boolean {
  return choice === name || choice === losses[name];
}

/** The name of a choice among these. */
export function lossAmong<Name extends LossName>(
  choice: LossName | AnyLoss | undefined,
  names: readonly Name[],
): Name | undefined {
  return names.find((name) => isLoss(choice, name));
}

/** Losses by classes, whose targets are labels, of some of them or probabilities. */
export const classLosses = ['softmaxCrossEntropy', 'multiMargin'] as const;

/** The loss of a name, or a function as it is. @throws ArgumentError for anything else. */
export function resolveLoss(loss: LossName | AnyLoss): AnyLoss {
  if (isFunction(loss)) return loss;
  if (typeof loss === 'string' && Object.hasOwn(losses, loss)) return losses[loss];
  const known = Object.keys(losses).join(', ');
  throw new ArgumentError(`expected loss to be one of ${known} or a function, got ${describe(loss)}`);
}

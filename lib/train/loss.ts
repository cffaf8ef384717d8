/** What `fit` and `evaluate` take for a loss. */
import { checkOptions, describe, isFunction, isRecord } from '../arguments.ts';
import { ArgumentError } from '../errors.ts';
import * as losses from '../losses.ts';
import { checkTensor, isTensor, type Tensor } from '../tensor.ts';

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

/** The loss of one output of several, and what it counts in their sum. */
export interface WeightedLoss {
  readonly loss: LossName | AnyLoss;
  /** Default 1. */
  readonly weight?: number;
}

/**
 * A loss for each output, by its name in what the model returns and in y; the sum is what is learned by:
 * `{ kind: 'softmaxCrossEntropy', price: { loss: 'mse', weight: 0.1 } }`.
 */
export interface LossesByOutput {
  readonly [output: string]: LossName | AnyLoss | WeightedLoss;
}

/** What `fit` and `evaluate` take. */
export type LossChoice = LossName | AnyLoss | LossesByOutput;

/** The losses of outputs by name; null where there is one loss for all that the model returns. */
export function lossesOf(choice: LossChoice | undefined): Map<string, Required<WeightedLoss>> | null {
  if (!isRecord(choice)) return null;
  const entries = Object.entries(choice as LossesByOutput).map(
    ([name, given]): [string, Required<WeightedLoss>] => {
      if (!isRecord(given)) return [name, { loss: given as LossName | AnyLoss, weight: 1 }];
      checkOptions(`loss.${name}`, given, ['loss', 'weight']);
      const { loss, weight = 1 } = given as WeightedLoss;
      if (typeof weight === 'number' && Number.isFinite(weight) && weight >= 0)
        return [name, { loss, weight }];
      throw new ArgumentError(
        `expected the weight of loss.${name} to be a number of at least 0, got ${describe(weight)}`,
      );
    },
  );
  return new Map(entries);
}

/** Whether a choice is the loss of that name, by the name or the function itself. */
export function isLoss(choice: LossChoice | undefined, name: LossName): boolean {
  return choice === name || choice === losses[name];
}

/** The name of a choice among these. */
export function lossAmong<Name extends LossName>(
  choice: LossChoice | undefined,
  names: readonly Name[],
): Name | undefined {
  return names.find((name) => isLoss(choice, name));
}

/** Losses by classes, whose targets are labels, of some of them or probabilities. */
export const classLosses = ['softmaxCrossEntropy', 'multiMargin'] as const;

/** A scalar, of a loss that may return one for each example. @throws ArgumentError unless it returned a tensor */
export function scalarOf(value: Tensor): Tensor {
  checkTensor('loss', value, 'the result of the loss function');
  return value.size === 1 ? value : value.mean();
}

/** The loss of a name, a function as it is, or the sum of those by output. @throws ArgumentError for anything else. */
export function resolveLoss(loss: LossChoice): AnyLoss {
  if (isFunction(loss)) return loss;
  if (typeof loss === 'string' && Object.hasOwn(losses, loss)) return losses[loss];
  const byOutput = lossesOf(loss);
  if (byOutput !== null && byOutput.size > 0) return sumOf(byOutput);
  const known = Object.keys(losses).join(', ');
  throw new ArgumentError(
    `expected loss to be one of ${known}, a function, or a record of them by output, got ${describe(loss)}`,
  );
}

function sumOf(byOutput: ReadonlyMap<string, Required<WeightedLoss>>): AnyLoss {
  const parts = Array.from(byOutput, ([name, { loss, weight }]) => {
    const own = resolveLoss(loss);
    return { name, weight, own };
  });
  /** An output, or a target, by name. */
  const part = (what: string, all: unknown, name: string): Tensor => {
    const found = isRecord(all) && !isTensor(all) ? (all as Record<string, Tensor>)[name] : undefined;
    if (found !== undefined) return found;
    throw new ArgumentError(
      `[loss] expected ${what} by the names ${parts.map(({ name }) => name).join(', ')}, got none for ${name}`,
    );
  };
  return (prediction: unknown, target: unknown) =>
    parts
      .map(({ name, weight, own }) => {
        const value = scalarOf(own(part('outputs', prediction, name), part('targets', target, name)));
        return weight === 1 ? value : value.mul(weight);
      })
      .reduce((sum, value) => sum.add(value));
}

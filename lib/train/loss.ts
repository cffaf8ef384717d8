/** What `fit` and `evaluate` take for a loss. */
import { checkOptions, describe, isFunction, isRecord } from '../arguments.ts';
import { ArgumentError } from '../errors.ts';
import type { Tensors } from '../layers/inputs.ts';
import * as losses from '../losses.ts';
import { checkTensor, isTensor, type Tensor } from '../tensor.ts';
import { checkOutputs } from './history.ts';
import { weightedMean, weightsOf } from './sampleWeight.ts';

/**
 * What `fit` and `evaluate` take: a scalar, or the losses to take the mean of. It gets what the model returned, and `y` as
 * it was given, with tensors in the place of values. Where examples have weights, it has to return the loss of each.
 */
export type LossFunction<Prediction = Tensor, Target = Tensor> = (
  prediction: Prediction,
  target: Target,
) => Tensor;

/** One on whatever the model returns and y holds. */
// biome-ignore lint/suspicious/noExplicitAny: the model and the data say what they are
export type AnyLoss = LossFunction<any, any>;

/** A loss of `losses`. */
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
  checkOutputs('loss', Object.keys(choice));
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

/** Losses whose targets are 0 or 1, or probabilities. */
export const binaryLosses = ['binaryCrossEntropy', 'binaryCrossEntropyWithLogits', 'focal'] as const;

/** Losses whose targets are −1 or 1. */
export const signedLosses = ['hinge', 'squaredHinge', 'cosineEmbedding'] as const;

/** The mean over a batch, of weight × loss where its examples have weights. */
export interface Mean {
  readonly loss: Tensor;
  /** That of each output, before the weight that it has in their sum, where each has a loss of its own. */
  readonly byOutput: Readonly<Record<string, Tensor>>;
}

/** A loss as steps and scores take it. */
export interface BatchLoss {
  /** The loss of all that the model returns; null for a sum of those of its outputs. */
  readonly own: AnyLoss | null;
  /** The outputs that have a loss each, by name. */
  readonly outputs: readonly string[];
  of(prediction: Tensors, target: Tensors, weights: Tensors | null): Mean;
}

/** The loss of a name, a function as it is, or the sum of those by output. @throws ArgumentError for anything else. */
export function resolveLoss(choice: LossChoice): BatchLoss {
  const byOutput = lossesOf(choice);
  if (byOutput !== null && byOutput.size > 0) return sumOf(byOutput);
  const own = functionOf(choice);
  return {
    own,
    outputs: [],
    of: (prediction, target, weights) => ({
      loss: meanOf(own, prediction, target, weights as Tensor | null),
      byOutput: {},
    }),
  };
}

function functionOf(loss: LossChoice): AnyLoss {
  if (isFunction(loss)) return loss;
  if (typeof loss === 'string' && Object.hasOwn(losses, loss)) return losses[loss];
  const known = Object.keys(losses).join(', ');
  throw new ArgumentError(
    `expected loss to be one of ${known}, a function, or a record of them by output, got ${describe(loss)}`,
  );
}

const known = new Set<unknown>(Object.values(losses));

/** Whether it is a function of `losses` itself, which gives the loss of each example when it is asked to. */
export function isKnown(loss: unknown): boolean {
  return known.has(loss);
}

/** The mean of a loss over a batch, which may be one already where there are no weights. */
function meanOf(loss: AnyLoss, prediction: unknown, target: unknown, weights: Tensor | null): Tensor {
  if (weights !== null) {
    const each = isKnown(loss)
      ? (loss as typeof losses.mse)(prediction as Tensor, target as Tensor, { reduction: 'none' })
      : loss(prediction, target);
    return weightedMean(each, weights);
  }
  const value = loss(prediction, target);
  checkTensor('loss', value, 'the result of the loss function');
  return value.size === 1 ? value : value.mean();
}

/** An output or its targets, by name. @throws ArgumentError where there is none of it */
export function partOf(
  op: string,
  what: 'outputs' | 'targets',
  all: unknown,
  name: string,
  names: readonly string[],
): Tensor {
  const found = isRecord(all) && !isTensor(all) ? (all as Record<string, Tensor>)[name] : undefined;
  if (found !== undefined) return found;
  throw new ArgumentError(`[${op}] expected ${what} by the names ${names.join(', ')}, got none for ${name}`);
}

function sumOf(byOutput: ReadonlyMap<string, Required<WeightedLoss>>): BatchLoss {
  const outputs = [...byOutput.keys()];
  const parts = Array.from(byOutput, ([name, { loss, weight }]) => ({ name, weight, own: functionOf(loss) }));
  return {
    own: null,
    outputs,
    of(prediction, target, weights) {
      const means = parts.map(({ name, weight, own }) => {
        const [p, y] = [
          partOf('loss', 'outputs', prediction, name, outputs),
          partOf('loss', 'targets', target, name, outputs),
        ];
        return { name, weight, value: meanOf(own, p, y, weightsOf(weights, name)) };
      });
      return {
        loss: means
          .map(({ weight, value }) => (weight === 1 ? value : value.mul(weight)))
          .reduce((sum, value) => sum.add(value)),
        byOutput: Object.fromEntries(means.map(({ name, value }) => [name, value])),
      };
    },
  };
}

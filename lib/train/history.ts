/** What `fit` returns: a record of every epoch. */
import { ArgumentError } from '../errors.ts';

/** What metrics are called in records, in a list or, with the name of the output before that, by output. */
export type NamesOf<Choices> = Choices extends readonly unknown[]
  ? ListedNames<Choices>
  : {
      [Output in keyof Choices & string]: Choices[Output] extends readonly unknown[]
        ? `${Output}.${ListedNames<Choices[Output]>}`
        : never;
    }[keyof Choices & string];

/** What the losses of outputs are called in records: 'kind.loss'; none for one loss of all. */
export type LossNamesOf<Loss> = Loss extends string | ((...args: never[]) => unknown)
  ? never
  : string extends keyof Loss
    ? never
    : `${keyof Loss & string}.loss`;

/** What a list of metrics, or one of it, is called; any `string` where the types do not tell, as for a function. */
type ListedNames<Choices extends readonly unknown[]> = Choices[number] extends infer Choice
  ? Choice extends string
    ? Choice extends 'topK'
      ? 'top5'
      : Choice
    : Choice extends { readonly name: infer Name extends string }
      ? Name
      : string
  : never;

/** The mean loss over examples, that of each output that has its own, and each metric, by their names. */
// biome-ignore lint/suspicious/noExplicitAny: whichever names
export type Scores<Names extends string = any> = { loss?: number } & { [Name in Names]: number };

/**
 * An epoch. Beside these, each metric over the examples trained on, by its name: 'accuracy', and of an output 'kind.accuracy'. Where
 * outputs have a loss each, its mean as well, before the weight that it has in their sum: 'kind.loss'.
 */
// biome-ignore lint/suspicious/noExplicitAny: whichever names
export type EpochRecord<Names extends string = any> = {
  /** Counted from 1. */
  epoch: number;
  /** The mean over the examples trained on, each as its batch found it. */
  loss: number;
  /** The L2 penalty λ/2·‖W‖² at the end of the epoch, which `loss` does not hold; only where there is one. */
  penalty?: number;
  /** The learning rate of the optimizer, of its first group, at the end of the epoch; by a schedule that of the next step. */
  learningRate?: number;
  /** Scores on the validation data at the end of the epoch. */
  validation?: Scores<Names>;
  /** The time of training in seconds, without validation. */
  seconds: number;
  examplesPerSecond: number;
} & { [Name in Names]: number };

/** @throws ArgumentError for an output whose scores records would take for others */
export function checkOutputs(option: string, names: readonly string[]): void {
  if (!names.includes('validation')) return;
  throw new ArgumentError(
    `expected another name for an output in ${option} than validation: records have validation.loss and the like already`,
  );
}

/** Names of a record that no metric may have. */
export const reservedNames: readonly string[] = [
  'epoch',
  'loss',
  'penalty',
  'learningRate',
  'validation',
  'seconds',
  'examplesPerSecond',
];

/** Of metrics of these names, of which the compiler knows what is in a record. */
// biome-ignore lint/suspicious/noExplicitAny: whichever names
export interface History<Names extends string = any> {
  epochs: EpochRecord<Names>[];
  /** Why training ended before its last epoch, where a callback stopped it. */
  stopped?: string;
  /** The epoch (from 1) that early stopping found best. */
  bestEpoch?: number;
}

/** The number at `path` in a record: 'loss', 'accuracy', 'validation.loss'; undefined where there is none. */
export function valueAt(record: EpochRecord, path: string): number | undefined {
  const prefix = 'validation.';
  if (path.startsWith(prefix)) return record.validation?.[path.slice(prefix.length)];
  return record[path];
}

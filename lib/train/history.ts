/** What `fit` returns: a record of every epoch. */

/** What a list of metrics, or one of it, is called; any `string` where the types do not tell, as for a function. */
export type NamesOf<Choices extends readonly unknown[]> = Choices[number] extends infer Choice
  ? Choice extends string
    ? Choice extends 'topK'
      ? 'top5'
      : Choice
    : Choice extends { readonly name: infer Name extends string }
      ? Name
      : string
  : never;

/** The mean loss over examples, and each metric by its name. */
// biome-ignore lint/suspicious/noExplicitAny: whichever names
export type Scores<Names extends string = any> = { loss?: number } & { [Name in Names]: number };

/** An epoch. Beside these, each metric over the examples trained on, by its name. */
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

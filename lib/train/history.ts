/** What `fit` returns: a record of every epoch. */

/** The mean loss over examples, and each metric by its name. */
export type Scores = { loss?: number } & { [metric: string]: number };

/** An epoch. Beside these, each metric over the examples trained on, by its name. */
export type EpochRecord = {
  /** Counted from 1. */
  epoch: number;
  /** The mean over the examples trained on, each as its batch found it. */
  loss: number;
  /** The L2 penalty λ/2·‖W‖² at the end of the epoch, which `loss` does not hold; only where there is one. */
  penalty?: number;
  /** Scores on the validation data at the end of the epoch. */
  validation?: Scores;
  /** The time of training in seconds, without validation. */
  seconds: number;
  examplesPerSecond: number;
} & { [metric: string]: number };

/** Names of a record that no metric may have. */
export const reservedNames: readonly string[] = [
  'epoch',
  'loss',
  'penalty',
  'validation',
  'seconds',
  'examplesPerSecond',
];

export interface History {
  epochs: EpochRecord[];
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

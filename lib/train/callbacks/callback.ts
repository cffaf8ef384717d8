/** What may run while `fit` trains. */
import type { SavedState } from '../../files/savedState.ts';
import type { Layer } from '../../layers/layer.ts';
import type { Optimizer } from '../../optimizers/optimizer.ts';
import type { EpochRecord, History } from '../history.ts';
import type { WeightAverage } from '../weightAverage.ts';

/** One training, the same object for all calls. */
export interface TrainingContext {
  readonly model: Layer;
  readonly optimizer: Optimizer;
  /** The average of the model's weights that is kept, where there is one; while callbacks run, the model has its own. */
  readonly averageWeights: WeightAverage | undefined;
  /** The records so far; that of the epoch that ended is the last one in `onEpochEnd`. */
  readonly history: History;
  /** The epoch under way, counted from 1; 0 before the first. */
  readonly epoch: number;
  /** How many steps were taken, in all epochs; a training that goes on from a checkpoint begins with those of before. */
  readonly step: number;
  /** How many epochs are planned. */
  readonly epochs: number;
  /** How many batches an epoch has, where that is known beforehand. */
  readonly batchCount: number | undefined;
  /** The numbers that every record will hold: 'loss', 'accuracy', 'validation.loss'. */
  readonly monitors: readonly string[];
  /**
   * Ends training after the step under way; an epoch with at least one step is still validated and recorded. The reason
   * becomes `history.stopped`; the first one stays.
   */
  stop(reason: string): void;
}

/** A step that was taken. */
export interface BatchReport {
  /** Counted from 1 within the epoch. */
  batch: number;
  /** The number of examples. */
  size: number;
  /** The batch's mean loss, before the update. */
  loss: number;
  /**
   * Whether it ended with an update, and not in gradients that wait for those of further batches (`accumulate`). The
   * gradients of parameters are then those that the update was made with, until the next step.
   */
  updated: boolean;
}

/** How training ended: with the error that `fit` will throw, or without. */
export interface Outcome {
  error?: unknown;
}

/**
 * All optional; called in the order of the list, and awaited. What one throws ends training and is thrown by `fit`.
 * `onTrainEnd` is called however training ends, and awaited even after an abort, which ends the wait for any other: those that
 * follow in the list are told all the same.
 */
export interface Callback {
  /**
   * Says that it only looks, and changes nothing that steps depend on. Compiled steps are then not compared with the code of
   * the model anew after each of its calls, which takes some of the time of a small step. Default false.
   */
  readonly passive?: boolean;
  /**
   * Says that, of several processes that train together, it is told on rank 0 alone: it prints, or writes files. Default false:
   * each process tells its own.
   */
  readonly rankZeroOnly?: boolean;
  /** Before the first step. */
  onTrainBegin?(context: TrainingContext): void | Promise<void>;
  /** Before the first step of each epoch. */
  onEpochBegin?(context: TrainingContext): void | Promise<void>;
  /** After each step. */
  onBatchEnd?(context: TrainingContext, report: BatchReport): void | Promise<void>;
  /** After each epoch and its validation. */
  onEpochEnd?(context: TrainingContext, record: EpochRecord): void | Promise<void>;
  /** When all is over, well or not. */
  onTrainEnd?(context: TrainingContext, outcome: Outcome): void | Promise<void>;
  /**
   * What checkpoints hold of it, copied at once: what it has to know to go on as if nothing had been between. `fit` asks for
   * it between steps, after all callbacks have been told of the one before. A callback with a state is in one training at a
   * time: `fit` refuses one that is in another.
   */
  stateDict?(): SavedState;
  /**
   * Goes on from what `stateDict` gave. Called after `onTrainBegin` and, in the middle of an epoch, `onEpochBegin`.
   * @throws for a state of another kind; nothing of the model and the optimizer has then changed
   */
  loadStateDict?(state: SavedState): void;
}

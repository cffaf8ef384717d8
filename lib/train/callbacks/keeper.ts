/** How a callback of the library keeps whole trainings, which takes more than users' callbacks are told. */
import type { Checkpoint } from '../../files/snapshot.ts';
import { warn } from '../../platform.ts';
import type { EpochRecord, History } from '../history.ts';
import type { Callback } from './callback.ts';

/** A training between two steps. */
export interface Resting {
  /** What no other training is called. */
  readonly run: string;
  /** How many steps were taken, in all epochs. */
  readonly step: number;
  readonly history: History;
  readonly monitors: readonly string[];
  /** The file that it goes on from, '' for a checkpoint that has none; undefined for one that begins anew. */
  readonly resumedFrom: string | undefined;
  /** The first metric without which nothing can be kept within an epoch; undefined where there is none. */
  readonly stateless: string | undefined;
  /** Whether the last epoch that began has steps but no record yet. */
  readonly isWithin: boolean;
  /** A copy of all of it. @throws NonFiniteError where training broke, ArgumentError where a callback's state is none */
  capture(): Promise<Checkpoint>;
  /** Whether this is the process that writes; all of them capture. */
  readonly isWriter: boolean;
}

export interface Keeper {
  /** Before anything else is told that training begins. */
  begin(training: Resting): Promise<void>;
  /** After each step, and after each epoch with its record, when all callbacks were told. */
  rest(training: Resting, record: EpochRecord | undefined): void | Promise<void>;
  /**
   * Before anything else is told that training ended.
   * @param isWhole whether it had begun, and ended as it should or by its signal
   */
  end(training: Resting, isWhole: boolean): Promise<void>;
}

/** Warns of a point that should have been kept. */
export function sayLost(step: number, where: string, detail: string): void {
  warn(`no checkpoint was kept of step ${step}, ${where}`, 'AXPY_CHECKPOINT', detail);
}

/** Where a callback has its keeper: a copy of the callback has it as well. */
const keeping = Symbol('keeping');

export function keeperCallback(keeper: Keeper): Callback {
  return { [keeping]: keeper } as Callback;
}

export function keeperOf(callback: Callback): Keeper | undefined {
  return (callback as { readonly [keeping]?: Keeper })[keeping];
}

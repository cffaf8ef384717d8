/**
 * The order of runs. Programs of this thread run one after the other, first in, first out: whoever asks for a prediction
 * while a training runs sees whole steps. A run's inputs and settings are those of the moment it was asked for.
 */
import { createProgram, type Program } from './index.ts';

export interface Run<Result> {
  program: Program;
  /** Writes inputs and settings into the program's memory, once it is this run's turn. */
  enter: () => void;
  /** Copies the results out of it, before the next run enters. */
  leave: () => Result;
}

interface Waiting {
  run: Run<unknown>;
  resolve: (result: unknown) => void;
  reject: (error: unknown) => void;
}

const waiting: Waiting[] = [];
/** A run on the executor. */
interface Running extends Waiting {
  /** Settles after the run's own promise did. */
  settled: Promise<void>;
  /** Set when its results were copied before that. */
  early?: { result: unknown };
}

let current: Running | null = null;
let barrier: Program | null = null;

/** Whether a run is on the executor or waits for it. */
export function isBusy(): boolean {
  return current !== null;
}

/** Runs off this thread, after all that were asked for before. */
export function enqueue<Result>(run: Run<Result>): Promise<Result> {
  return new Promise<Result>((resolve, reject) => {
    waiting.push({ run, resolve: resolve as (result: unknown) => void, reject });
    if (current === null) start();
  });
}

function start(): void {
  const next = waiting.shift();
  if (next === undefined) return;
  const mine: Running = Object.assign(next, { settled: Promise.resolve() });
  current = mine;
  next.run.enter();
  mine.settled = next.run.program.runAsync().then(
    () => finish(mine, () => next.resolve(mine.early ? mine.early.result : next.run.leave())),
    (error) => finish(mine, () => next.reject(error)),
  );
}

function finish(mine: Running, settle: () => void): void {
  settle();
  // `drain` may have gone on with others in the meantime.
  if (current !== mine) return;
  current = null;
  start();
}

/** Completes all runs that were asked for, on this thread. */
export function drain(): void {
  // Promises settle in the order of the runs.
  let settled: Promise<void> | undefined;
  if (current !== null) {
    barrier ??= createProgram([]);
    barrier.run();
    // Its promise settles in a later turn; the memory with its results may be used again before.
    current.early = { result: current.run.leave() };
    settled = current.settled;
    current = null;
  }
  for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
    let settle: () => void;
    try {
      const result = runNow(next.run);
      settle = () => next.resolve(result);
    } catch (error) {
      settle = () => next.reject(error);
    }
    if (settled) void settled.then(settle);
    else settle();
  }
}

/** Runs on this thread, now; `drain` was called before. */
export function runNow<Result>({ program, enter, leave }: Run<Result>): Result {
  enter();
  program.run();
  return leave();
}

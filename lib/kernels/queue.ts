/**
 * The order of runs. Programs of this thread run one after the other, first in, first out: whoever asks for a prediction
 * while a training runs sees whole steps. A run's inputs and settings are those of the moment it was asked for.
 *
 * A run that is over sooner than the executor would have heard of it is made at once, where none is under way. Its promise
 * settles in another turn of the event loop, so that who awaits run after run keeps nobody else waiting.
 *
 * Any step of a run may fail, for want of memory say. Its own promise then rejects, and the next one goes on. Where the
 * system gives no thread, runs are made on this one.
 */
import { AxpyError } from '../errors.ts';
import { later, turn, warn } from '../platform.ts';
import { createProgram, type Program } from './index.ts';

export interface Run<Result> {
  program: Program;
  /** Writes inputs and settings into the program's memory, once it is this run's turn. */
  enter: () => void;
  /** Copies the results out of it, before the next run enters. */
  leave: () => Result;
  /** After any of this has failed. */
  abandon: () => void;
}

/** How a run ended. */
type Outcome = { result: unknown } | { error: unknown };

/** What somebody waits for. */
interface Promised {
  resolve: (result: unknown) => void;
  reject: (error: unknown) => void;
  /** Set once; it then settles when those before it have. */
  outcome?: Outcome;
}

/** A run that is not made at once. */
interface Job extends Promised {
  run: Run<unknown>;
  /** What `leave` gave before it is known whether the program came to its end. */
  left?: Outcome;
}

/**
 * A job waits, is on the executor (`current`), has ended there without its promise telling so yet (`drain` was faster), or
 * has an outcome. `unsettled` holds all of them in their order, `waiting` those of the first kind.
 */
const unsettled: Promised[] = [];
const waiting: Job[] = [];
let current: Job | null = null;
let barrier: Program | null = null;

/** Whether a run is on the executor or waits for it. */
export function isBusy(): boolean {
  return current !== null;
}

/** What runs made at once may take of one turn of the event loop, in milliseconds. */
const allotted = 0.2;
let taken = 0;
let isTurning = false;

/** Whether a run may be made at once: none is under way, and those before it in this turn have left time. */
export function isFree(): boolean {
  return current === null && taken < allotted;
}

/** Makes a run, here and now; `isFree` was asked before. Its promise settles as those of other runs do, in their order. */
export function atOnce<Result>(run: () => Result): Promise<Result> {
  return new Promise<Result>((resolve, reject) => {
    const start = performance.now();
    const outcome = attempt(run);
    taken += performance.now() - start;
    unsettled.push({ resolve: resolve as (result: unknown) => void, reject, outcome });
    if (isTurning) return;
    isTurning = true;
    later(turned);
  });
}

function turned(): void {
  isTurning = false;
  taken = 0;
  settle();
}

/** Runs off this thread, after all that were asked for before. */
export function enqueue<Result>(run: Run<Result>): Promise<Result> {
  return new Promise<Result>((resolve, reject) => {
    const job: Job = { run, resolve: resolve as (result: unknown) => void, reject };
    unsettled.push(job);
    waiting.push(job);
    if (current === null) start();
  });
}

/** Hands the first of the waiting jobs to the executor; those that it cannot take end here. */
function start(): void {
  for (let job = waiting.shift(); job !== undefined; job = waiting.shift()) {
    const mine = job;
    current = mine;
    try {
      mine.run.enter();
      launch(mine.run.program).then(
        () => finish(mine, mine.left ?? attempt(() => mine.run.leave())),
        (error) => finish(mine, { error }),
      );
      return;
    } catch (error) {
      current = null;
      conclude(mine, { error });
      settle();
    }
  }
}

function conclude(job: Job, outcome: Outcome): void {
  job.outcome = outcome;
  if ('error' in outcome) job.run.abandon();
}

/** When to ask for a thread again, after there was none; 0 if there always was. */
let nextTry = 0;

/** Runs a program on the executor or, where the system gives no thread for that, here. */
function launch(program: Program): Promise<void> {
  if (nextTry === 0 || performance.now() >= nextTry) {
    try {
      return program.runAsync();
    } catch (error) {
      if (!(error instanceof AxpyError && error.code === 'AXPY_THREAD')) throw error;
      if (nextTry === 0) {
        warn(
          'the system gives axpy no thread (a limit of processes, or of pids in a container): steps of fit and compiled ' +
            'functions run on the thread of JavaScript, where nothing else runs meanwhile',
          error.code,
          error.message,
        );
      }
      nextTry = performance.now() + 1000;
    }
  }
  program.run();
  // The next one, and this one's promise, in another turn of the event loop.
  return turn();
}

/** The executor is done with a job. */
function finish(job: Job, outcome: Outcome): void {
  conclude(job, outcome);
  // `drain` may have gone on with others in the meantime.
  if (current === job) {
    current = null;
    start();
  }
  settle();
}

function attempt(step: () => unknown): Outcome {
  try {
    return { result: step() };
  } catch (error) {
    return { error };
  }
}

/** Settles, in their order, the jobs whose outcome is known, up to one whose is not. */
function settle(): void {
  for (let job = unsettled[0]; job?.outcome !== undefined; job = unsettled[0]) {
    unsettled.shift();
    if ('error' in job.outcome) job.reject(job.outcome.error);
    else job.resolve(job.outcome.result);
  }
}

/** Before what runs work on is read or written as a whole: those that were asked for come first. */
export function settleRuns(): void {
  if (current !== null) drain();
}

/** Completes all runs that were asked for, on this thread. What goes wrong with one is for its own promise to tell. */
export function drain(): void {
  if (current !== null) {
    barrier ??= createProgram([]);
    barrier.run();
    // Its promise settles in a later turn; the memory with its results may be used again before.
    const { run } = current;
    current.left = attempt(() => run.leave());
    current = null;
  }
  for (let job = waiting.shift(); job !== undefined; job = waiting.shift()) {
    const { run } = job;
    job.outcome = attempt(() => runNow(run));
  }
  settle();
}

/** Runs on this thread, now, with no other run under way: `drain` was called before. */
export function runNow<Result>({ program, enter, leave, abandon }: Run<Result>): Result {
  try {
    enter();
    program.run();
    return leave();
  } catch (error) {
    abandon();
    throw error;
  }
}

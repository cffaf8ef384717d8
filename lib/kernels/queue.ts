/**
 * The order of runs. Programs of a queue run one after the other, first in, first out: whoever asks for a prediction
 * while a training runs sees whole steps. A run's inputs and settings are those of the moment it was asked for. Each queue has
 * an executor of its own; what programs of different ones write to is apart. All but a `Predictor` use `mainQueue`.
 *
 * A run that is over sooner than the executor would have heard of it is made at once, where none is under way. Its promise
 * settles in another turn of the event loop, so that who awaits run after run keeps nobody else waiting.
 *
 * Any step of a run may fail, for want of memory say. Its own promise then rejects, and the next one goes on. Where the
 * system gives no thread, runs are made on this one.
 */

import type { Call } from '../../binding.d.ts';
import { AxpyError } from '../errors.ts';
import { later, turn, warn } from '../platform.ts';
import { createProgram, type Program, roomForPrograms } from './index.ts';

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

/** What runs made at once may take of one turn of the event loop, in milliseconds. */
const allotted = 0.2;

export class Queue {
  /**
   * A job waits, is on the executor (`current`), has ended there without its promise telling so yet (`drain` was faster), or
   * has an outcome. `unsettled` holds all of them in their order, `waiting` those of the first kind.
   */
  private readonly unsettled: Promised[] = [];
  private readonly waiting: Job[] = [];
  private current: Job | null = null;
  private barrier: Program | null = null;
  /** Of this turn of the event loop, in milliseconds. */
  private taken = 0;
  private isTurning = false;
  /** Where its programs have their intermediates, as they never run together. Kept by them, so that it goes with the last. */
  private arena: WeakRef<ArrayBufferLike> | null = null;

  /**
   * @param executor its number
   * @param threads that each of its programs may have at most; 0 for as many as there are
   * @param memory what its programs may use where it is, as those of others may write to all else; null for everything
   */
  constructor(
    private readonly executor = 0,
    private readonly threads = 0,
    private readonly memory: Pick<WeakSet<ArrayBufferLike>, 'has'> | null = null,
  ) {}

  /** Whether its programs may use such memory where it is. */
  admits(buffer: ArrayBufferLike): boolean {
    return this.memory === null || this.memory.has(buffer);
  }

  createProgram(calls: readonly Call[]): Program {
    return createProgram(calls, this.executor, this.threads);
  }

  /** At least so many bytes of the arena; a larger one takes its place where it is too small. */
  room(bytes: number): ArrayBufferLike {
    const present = this.arena?.deref();
    if (present !== undefined && present.byteLength >= bytes) return present;
    // Programs that grow step by step would each leave an arena of their own behind.
    const larger = roomForPrograms(Math.max(bytes, present === undefined ? 0 : 2 * present.byteLength));
    this.arena = new WeakRef(larger);
    return larger;
  }

  /** Whether a run is on the executor or waits for it. */
  get isBusy(): boolean {
    return this.current !== null;
  }

  /** Whether a run may be made at once: none is under way, and those before it in this turn have left time. */
  get isFree(): boolean {
    return this.current === null && this.taken < allotted;
  }

  /** Makes a run, here and now; `isFree` was asked before. Its promise settles as those of other runs do, in their order. */
  atOnce<Result>(run: () => Result): Promise<Result> {
    return new Promise<Result>((resolve, reject) => {
      const start = performance.now();
      const outcome = attempt(run);
      this.taken += performance.now() - start;
      this.unsettled.push({ resolve: resolve as (result: unknown) => void, reject, outcome });
      if (this.isTurning) return;
      this.isTurning = true;
      later(() => this.turned());
    });
  }

  private turned(): void {
    this.isTurning = false;
    this.taken = 0;
    this.settle();
  }

  /** Runs off this thread, after all that were asked for before. */
  enqueue<Result>(run: Run<Result>): Promise<Result> {
    return new Promise<Result>((resolve, reject) => {
      const job: Job = { run, resolve: resolve as (result: unknown) => void, reject };
      this.unsettled.push(job);
      this.waiting.push(job);
      if (this.current === null) this.start();
    });
  }

  /** Hands the first of the waiting jobs to the executor; those that it cannot take end here. */
  private start(): void {
    for (let job = this.waiting.shift(); job !== undefined; job = this.waiting.shift()) {
      const mine = job;
      this.current = mine;
      try {
        mine.run.enter();
        launch(mine.run.program).then(
          () => this.finish(mine, mine.left ?? attempt(() => mine.run.leave())),
          (error) => this.finish(mine, { error }),
        );
        return;
      } catch (error) {
        this.current = null;
        conclude(mine, { error });
        this.settle();
      }
    }
  }

  /** The executor is done with a job. */
  private finish(job: Job, outcome: Outcome): void {
    conclude(job, outcome);
    // `drain` may have gone on with others in the meantime.
    if (this.current === job) {
      this.current = null;
      this.start();
    }
    this.settle();
  }

  /** Settles, in their order, the jobs whose outcome is known, up to one whose is not. */
  private settle(): void {
    const { unsettled } = this;
    for (let job = unsettled[0]; job?.outcome !== undefined; job = unsettled[0]) {
      unsettled.shift();
      if ('error' in job.outcome) job.reject(job.outcome.error);
      else job.resolve(job.outcome.result);
    }
  }

  /** Completes all runs that were asked for, on this thread. What goes wrong with one is for its own promise to tell. */
  drain(): void {
    if (this.current !== null) {
      this.barrier ??= this.createProgram([]);
      this.barrier.run();
      // Its promise settles in a later turn; the memory with its results may be used again before.
      const { run } = this.current;
      this.current.left = attempt(() => run.leave());
      this.current = null;
    }
    for (let job = this.waiting.shift(); job !== undefined; job = this.waiting.shift()) {
      const { run } = job;
      job.outcome = attempt(() => runNow(run));
    }
    this.settle();
  }
}

/** The queue of all programs but those of predictors. */
export const mainQueue = new Queue();

/** Before what runs work on is read or written as a whole: those that were asked for come first. */
export function settleRuns(): void {
  if (mainQueue.isBusy) mainQueue.drain();
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

function conclude(job: Job, outcome: Outcome): void {
  job.outcome = outcome;
  if ('error' in outcome) job.run.abandon();
}

function attempt(step: () => unknown): Outcome {
  try {
    return { result: step() };
  } catch (error) {
    return { error };
  }
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

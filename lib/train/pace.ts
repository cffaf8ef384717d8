/** How long a program takes, and so where to run it. Times are in milliseconds. */
import type { Call } from '../../binding.d.ts';
import { areQuick } from '../kernels/cost.ts';
import { table } from '../kernels/table.ts';

/** What takes less, as far as anybody knows before it has run, is over sooner than another thread has woken. */
const surely = 0.1;
/** A run shorter than this costs less than to hand it to the executor and to hear of its end. */
const short = 0.2;
/** What the executor adds, at most as a rule. */
const handover = 0.3;
/** One run of this length is too long for the event loop, whatever the others took. */
const tooLong = 5;
/** The best of so many runs decides, as any single one may have been interrupted. */
const some = 8;

export class Pace {
  /** Whether it is better run on this thread: at first by what its calls cost, later by the time that they took. */
  isShort: boolean;
  /** Whether it was run here and took too long, so that it comes back only for times that leave no doubt. */
  private wasTooLong = false;
  private runs = 0;
  private best = Infinity;
  private readonly waits: boolean;

  constructor(calls: readonly Call[]) {
    // Who waits for another process keeps no event loop waiting, however soon that one came before.
    this.waits = calls.some(([kernel, ...args]) => table[kernel].waits?.(args));
    this.isShort = !this.waits && areQuick(calls, surely / 1e3);
  }

  /** Runs it here. */
  timed<Result>(run: () => Result): Result {
    const start = performance.now();
    const result = run();
    this.tookHere(performance.now() - start);
    return result;
  }

  private tookHere(time: number): void {
    this.note(time);
    this.wasTooLong = time > tooLong || (this.runs >= some && this.best > short);
    if (this.wasTooLong) this.turn(false);
    else if (this.runs >= some) this.turn(true);
  }

  tookElsewhere(time: number): void {
    this.note(time);
    if (this.best < (this.wasTooLong ? short : short + handover)) this.turn(true);
    else if (this.runs >= some) this.turn(false);
  }

  private note(time: number): void {
    this.runs++;
    if (time < this.best) this.best = time;
  }

  private turn(isShort: boolean): void {
    this.isShort = isShort && !this.waits;
    this.runs = 0;
    this.best = Infinity;
  }
}

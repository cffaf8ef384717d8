/** Functions that run a second time: what changes state changes it the first time alone, or not at all. */
import { AutogradError } from './errors.ts';

type Run = 'first' | 'again' | null;
let run: Run = null;

/** Whether what runs has run before, and left its traces then. */
export const isAgain = (): boolean => run === 'again';

export function inRun<Result>(which: Run, fn: () => Result): Result {
  const before = run;
  // What runs again in one that runs again does so as well.
  run = before === 'again' ? before : which;
  try {
    return fn();
  } finally {
    run = before;
  }
}

/** @throws AutogradError where an update in place would be made twice */
export function refuseAgain(op: string): void {
  if (run === null) return;
  throw new AutogradError(
    `[${op}] expected no update in place in a function that recompute runs again: it would be made twice`,
  );
}

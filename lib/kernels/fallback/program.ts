import type { Argument, Call, Program } from '../../../binding.d.ts';
import { fallback } from './index.ts';

/** Runs that were asked for and are not made yet, in order. */
const pending: (() => void)[] = [];

/** A program that makes its calls in a turn of the event loop of their own, all in one go. */
export function createProgram(calls: readonly Call[]): Program {
  const make = () => {
    for (const [kernel, ...args] of calls) (fallback[kernel] as (...args: Argument[]) => void)(...args);
  };
  return {
    run() {
      for (const earlier of pending.splice(0)) earlier();
      make();
    },
    runAsync: () =>
      new Promise((resolve, reject) => {
        const mine = () => {
          try {
            make();
            resolve();
          } catch (error) {
            reject(error);
          }
        };
        pending.push(mine);
        setImmediate(() => {
          for (const earlier of pending.splice(0, pending.indexOf(mine) + 1)) earlier();
        });
      }),
  };
}

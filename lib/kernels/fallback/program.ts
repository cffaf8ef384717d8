import type { Argument, Call, Program } from '../../../binding.d.ts';
import { later } from '../../platform.ts';
import { fallback } from './index.ts';

/** Runs that were asked for and are not made yet, in order. */
const pending: (() => void)[] = [];

/** A program that makes its calls in a turn of the event loop of their own, all in one go. */
export function createProgram(calls: readonly Call[]): Program {
  const makeOne = ([kernel, ...args]: Call) => (fallback[kernel] as (...args: Argument[]) => void)(...args);
  const make = () => {
    for (const call of calls) makeOne(call);
  };
  const catchUp = () => {
    for (const earlier of pending.splice(0)) earlier();
  };
  return {
    run() {
      catchUp();
      make();
    },
    times() {
      catchUp();
      const nanoseconds = new Float64Array(calls.length);
      let start = performance.now();
      calls.forEach((call, i) => {
        makeOne(call);
        const end = performance.now();
        nanoseconds[i] = (end - start) * 1e6;
        start = end;
      });
      return nanoseconds;
    },
    // Nothing is kept from one run to the next.
    setSteady() {},
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
        later(() => {
          for (const earlier of pending.splice(0, pending.indexOf(mine) + 1)) earlier();
        });
      }),
  };
}

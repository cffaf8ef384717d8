/**
 * Chooses, once, the implementation of the kernels: all native or all fallback, never a mixture.
 *
 * `AXPY_BACKEND=native|fallback|auto` (default auto). A forced choice that fails throws. `auto` takes the fallback wherever
 * no binary can be loaded, and says so on stderr, once for the process. What throws there too is a binary of another version
 * in our own package, and a variable that makes no sense. An empty value counts as none.
 */

import type { Addon, Argument, Call, Kernels, Limits, Program } from '../../binding.d.ts';
import { describe } from '../arguments.ts';
import { ArgumentError, BackendError } from '../errors.ts';
import { allocate, allocateBytes } from '../memory.ts';
import { sayOnce, variable } from '../platform.ts';
import { fallback } from './fallback/index.ts';
import { limits as fallbackLimits } from './fallback/machine.ts';
import { createProgram as createFallbackProgram } from './fallback/program.ts';
import { loadNative } from './native.ts';
import { refuseOffers } from './offers.ts';

export type { Call, Data, Flag, Float, Kernels, Limits, Program } from '../../binding.d.ts';
export * from './codes.ts';

/** What computes, and with what. */
export interface BackendInfo {
  name: 'native' | 'fallback';
  /** The BLAS library and the core type it chose, or 'none'. */
  blas: string;
  /** The widest vector instructions in use. */
  simd: string;
  /** The number of threads that kernels may use. */
  threads: number;
  /** Why the fallback serves, when nobody asked for it. */
  reason?: string;
}

interface Choice {
  kernels: Kernels;
  addon: Addon | null;
  reason?: string;
}

function choose(): Choice {
  const wanted = variable('AXPY_BACKEND') ?? 'auto';
  if (wanted !== 'native' && wanted !== 'fallback' && wanted !== 'auto') {
    throw new BackendError(`expected AXPY_BACKEND to be native, fallback or auto, got ${describe(wanted)}`);
  }
  const threads = variable('AXPY_THREADS') ?? '1';
  if (!/^\d+$/.test(threads) || !isThreadCount(Number(threads))) {
    throw new ArgumentError(`expected AXPY_THREADS to be an integer from 1 to 64, got ${describe(threads)}`);
  }
  if (wanted === 'fallback') return { kernels: fallback, addon: null };
  try {
    // Null from native.browser.ts, which stands in its place in the build for browsers.
    const addon: Addon | null = loadNative();
    if (addon !== null) return { kernels: addon, addon };
    const reason = 'this is the build of axpy for browsers, which load no binary';
    if (wanted === 'native') throw new BackendError(reason);
    return { kernels: fallback, addon, reason };
  } catch (error) {
    if (wanted === 'native' || !(error instanceof BackendError && error.unavailable)) throw error;
    sayOnce(`axpy: the TypeScript fallback serves, which is slower: ${error.message}`);
    refuseOffers();
    return { kernels: fallback, addon: null, reason: error.message };
  }
}

const isThreadCount = (count: number) => Number.isInteger(count) && count >= 1 && count <= 64;

const choice = choose();

/** Which implementation was chosen. */
export const implementation: BackendInfo['name'] = choice.addon ? 'native' : 'fallback';

/** The kernels in use. A live binding: `withKernels` puts others in their place for a while. */
export let kernels: Kernels = choice.kernels;

/** Runs `fn` with other kernels (ones that record, count or check) in place of those chosen at load. */
export function withKernels<Result>(replacement: Kernels, fn: () => Result): Result {
  const previous = kernels;
  kernels = replacement;
  try {
    return fn();
  } finally {
    kernels = previous;
  }
}

/** Whether `kernels` are those chosen at load, so that a program does what its calls one by one would do. */
export function areOwnKernels(): boolean {
  return kernels === choice.kernels;
}

/** Makes a call that is given as data. */
export function makeCall([kernel, ...args]: Call): void {
  (kernels[kernel] as (...args: Argument[]) => void)(...args);
}

/**
 * A program of recorded calls: of the addon, run on a thread of its own, or of the fallback, run between two turns.
 * @param executor the number of that thread
 * @param threads that its calls may have at most; 0 for as many as there are
 */
export function createProgram(calls: readonly Call[], executor = 0, threads = 0): Program {
  return choice.addon ? choice.addon.createProgram(calls, executor, threads) : createFallbackProgram(calls);
}

/**
 * Memory for programs to work in, zeros: shared with the thread of the addon; else ordinary, which is copied three times as fast.
 * @throws MemoryError when the system has none for it
 */
export function roomForPrograms(bytes: number): ArrayBufferLike {
  return choice.addon ? allocateBytes(bytes) : allocate(Math.ceil(bytes / 4), 'float32').buffer;
}

/** Measures what the machine can do at most in the way that the kernels in use compute, with the threads in use. */
export function measureLimits(): Limits {
  return choice.addon ? choice.addon.limits() : fallbackLimits();
}

/** A process among those of a job. */
export type Ranks = Readonly<ReturnType<Addon['openWorld']>>;

/**
 * Makes this process a rank of its job; null for the fallback, which has no way to.
 * @returns also what tells the others that this one ends, and what ends it
 */
export function openRanks(libraries: readonly string[], timeout: number) {
  const { addon } = choice;
  return (
    addon && {
      world: addon.openWorld(libraries, timeout),
      leave: (why: string) => addon.leaveWorld(why),
      close: (code: number) => addon.closeWorld(code),
    }
  );
}

/** Which implementation of the kernels runs, and on what. */
export function backendInfo(): BackendInfo {
  if (choice.addon) return { name: implementation, ...choice.addon.info() };
  return {
    name: implementation,
    blas: 'none',
    simd: 'none',
    threads: 1,
    ...(choice.reason === undefined ? {} : { reason: choice.reason }),
  };
}

/**
 * Sets the number of threads that kernels may use in this process, 1 to 64. Results do not depend on it. The fallback
 * always runs on one thread and only checks the number.
 * @throws ArgumentError for anything but an integer from 1 to 64.
 */
export function setThreads(count: number): void {
  if (!isThreadCount(count)) {
    throw new ArgumentError(
      `[setThreads] expected count to be an integer from 1 to 64, got ${describe(count)}`,
    );
  }
  choice.addon?.setThreads(count);
}

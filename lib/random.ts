/**
 * Random numbers: a Philox 4×32-10 state that kernels read and advance (binding.d.ts). The state is a small buffer, so a
 * recorded step draws fresh numbers when replayed, and a checkpoint can hold it.
 */

import { checkBoolean, checkOptions, describe } from './arguments.ts';
import { ArgumentError, AutogradError, DtypeError } from './errors.ts';
import { kernels } from './kernels/index.ts';
import { settleRuns } from './kernels/queue.ts';
import { recording, refuseRecording } from './kernels/recorder.ts';
import { allocate, allocateBytes, type FloatDtype, lengthOf } from './memory.ts';
import { typedArrayName } from './platform.ts';
import { readShape, type Shape } from './shape.ts';
import { elements, empty, floats, type Tensor } from './tensor.ts';

/** key[2], counter[4], lowest word first. */
export type RandomState = Uint32Array;

/** A state of its own for a seed. @throws ArgumentError unless seed is an integer from 0 to 2⁵³ − 1. */
export function randomState(seed: number): RandomState {
  const state = new Uint32Array(allocateBytes(24));
  reseed('randomState', state, seed);
  return state;
}

function reseed(op: string, state: RandomState, seed: number): void {
  refuseRecording(op);
  if (!Number.isSafeInteger(seed) || seed < 0) {
    throw new ArgumentError(`[${op}] expected an integer from 0 to 2^53 - 1, got ${describe(seed)}`);
  }
  settleRuns();
  state.fill(0);
  state[0] = seed % 2 ** 32;
  state[1] = Math.floor(seed / 2 ** 32);
}

/** @throws ArgumentError unless it is six words, as `randomState` gives. */
export function checkState(op: string, state: RandomState): void {
  if (isKept && state !== defaultState) {
    throw new AutogradError(
      `[${op}] expected the default random state in a function that recompute runs again, got another one`,
    );
  }
  if (typedArrayName.call(state) === 'Uint32Array' && lengthOf(state) === 6) return;
  throw new ArgumentError(`[${op}] expected state to be a Uint32Array of 6 words, got ${describe(state)}`);
}

/** The state behind `randn`, `rand`, initializers and dropout. It starts somewhere new in each process. */
export const defaultState: RandomState = randomState(Math.floor(Math.random() * 2 ** 53));

/** Starts the random numbers over: the same seed gives the same numbers on every backend. */
export function seed(n: number): void {
  reseed('seed', defaultState, n);
}

/** A state as the words of int32, by which kernels copy it. */
const wordsOf = (state: RandomState) => new Int32Array(state.buffer, state.byteOffset, state.length);
const words = wordsOf(defaultState);

/** Where programs draw the same numbers again; their lists name one array at each recording. */
const replayed: RandomState = new Uint32Array(allocateBytes(24));
const replayedWords = wordsOf(replayed);

/** What the default state is now, for `stateOf`. */
export function keepState(): Tensor {
  const kept = empty([6], 'int32');
  kernels.cast(elements(kept), words);
  return kept;
}

/** Whether a function runs whose random numbers are drawn again later, or are drawn again now. */
let isKept = false;

/** Runs `fn`, whose numbers of the default state can be drawn again, and no others. */
export function keepingRandom<Result>(fn: () => Result): Result {
  const before = isKept;
  isKept = true;
  try {
    return fn();
  } finally {
    isKept = before;
  }
}

/** Runs `fn` with the default state as it was at `keepState`, which is as before afterwards. */
export function replayRandom<Result>(kept: Tensor, fn: () => Result): Result {
  const present = keepState();
  kernels.cast(words, elements(kept));
  try {
    return keepingRandom(fn);
  } finally {
    kernels.cast(words, elements(present));
  }
}

/** A state that draws what was drawn after `keepState`; the next call may take its place. */
export function stateOf(kept: Tensor): RandomState {
  // An eager call may run beside a program.
  const state = recording === null ? new Uint32Array(6) : replayed;
  kernels.cast(recording === null ? wordsOf(state) : replayedWords, elements(kept));
  return state;
}

/** What `rand` and `randn` make. */
export interface RandomOptions<D extends FloatDtype = FloatDtype> {
  dtype?: D;
  requiresGrad?: boolean;
}

function filled(op: string, shape: Shape, options: RandomOptions, fill: (x: Tensor) => void): Tensor {
  checkOptions(op, options, ['dtype', 'requiresGrad']);
  const { dtype = 'float32', requiresGrad = false } = options;
  checkBoolean(op, 'requiresGrad', requiresGrad);
  const own = readShape(op, shape);
  if (dtype !== 'float32' && dtype !== 'float64') {
    throw new DtypeError(`[${op}] expected dtype to be float32 or float64, got ${describe(dtype)}`);
  }
  const x = empty(own, dtype);
  fill(x);
  return requiresGrad ? x.setRequiresGrad() : x;
}

/** A tensor of independent N(0, 1) values. */
export function randn<D extends FloatDtype = 'float32'>(
  shape: Shape,
  options: RandomOptions<D> = {},
): Tensor<NoInfer<D>> {
  return filled('randn', shape, options, (x) => kernels.randomNormal(floats(x), defaultState, 0, 1));
}

/** A tensor of independent values, uniform on [0, 1). */
export function rand<D extends FloatDtype = 'float32'>(
  shape: Shape,
  options: RandomOptions<D> = {},
): Tensor<NoInfer<D>> {
  return filled('rand', shape, options, (x) => kernels.randomUniform(floats(x), defaultState, 0, 1));
}

/**
 * The integers from 0 to n − 1 in a random order (Fisher & Yates; Durstenfeld, 1964), by 32-bit draws.
 * @throws ArgumentError unless n is an integer from 0 to 2³¹ − 1, MemoryError when the system has no memory for them.
 */
export function permutation(n: number, state: RandomState = defaultState): Int32Array {
  refuseRecording('permutation');
  if (!Number.isInteger(n) || n < 0 || n > 0x7fffffff) {
    throw new ArgumentError(
      `[permutation] expected n to be an integer from 0 to 2^31 - 1, got ${describe(n)}`,
    );
  }
  checkState('permutation', state);
  const order = allocate(n, 'int32');
  for (let i = 0; i < n; i++) order[i] = i;
  const words = new Uint32Array(allocate(Math.max(n - 1, 0), 'int32').buffer);
  kernels.randomBits(words, state);
  for (let i = n - 1; i > 0; i--) {
    // Scaling a word by i + 1 favours some positions by at most (i + 1) / 2³².
    const j = Math.floor((words[i - 1] / 2 ** 32) * (i + 1));
    const held = order[i];
    order[i] = order[j];
    order[j] = held;
  }
  return order;
}

/**
 * Attacks programs: lists of calls whose contents change between runs and during them, which are dropped while they are
 * queued, and which are read from lists that change while they are read; and those that compiled functions become.
 */
import { Worker } from 'node:worker_threads';
import type { Call as RecordedCall } from '../../binding.d.ts';
import {
  backendInfo,
  createProgram,
  kernels,
  type Program,
  setThreads,
  unaryCode,
} from '../../lib/kernels/index.ts';
import { arraysOf, type Call, invoke, mapArrays, sameBytes, type TypedArray } from '../contract/call.ts';
import { mutations } from '../contract/mutate.ts';
import { kernelNames } from '../contract/signature.ts';
import { brief, randomCall } from './calls.ts';
import { functions } from './functions.ts';
import {
  attempts,
  boom,
  collect,
  isAllowed,
  numbers,
  type Random,
  showError,
  type Try,
  turn,
} from './support.ts';

const isNative = backendInfo().name === 'native';

type Constructor = new (buffer: ArrayBufferLike) => TypedArray;

/** A copy on shared memory of its own. */
function share(array: TypedArray): TypedArray {
  const copy = new (array.constructor as Constructor)(new SharedArrayBuffer(array.byteLength));
  copy.set(array as never);
  return copy;
}

/** Copies in which arrays of several calls that are one stay one. */
function copyOf(calls: readonly Call[], copy: (array: TypedArray) => TypedArray): Call[] {
  const all = mapArrays(
    calls.flatMap(({ args }) => args),
    copy,
  );
  let at = 0;
  return calls.map((call) => {
    const args = all.slice(at, at + call.args.length);
    at += call.args.length;
    return { ...call, args };
  });
}

/** Calls of any kernels; a later one often reads or writes an array of an earlier one. */
function randomCalls(random: Random, limit: number): Call[] {
  const calls: Call[] = [];
  for (let i = random.int(1, 5); i > 0; i--) {
    const call = randomCall(random, random.pick(kernelNames), limit);
    const known = arraysOf(calls.flatMap(({ args }) => args)).map(({ array }) => array);
    const args = mapArrays(call.args, (array) => {
      const alike = known.filter(
        (other) => other.length === array.length && other.constructor === array.constructor,
      );
      return alike.length > 0 && random.chance(0.5) ? random.pick(alike) : array;
    });
    calls.push({ ...call, args });
  }
  return copyOf(calls, share);
}

const toProgram = (calls: readonly Call[]): Program =>
  createProgram(calls.map(({ kernel, args }) => [kernel, ...args]) as unknown as RecordedCall[]);

const memories = (calls: readonly Call[]): TypedArray[] =>
  arraysOf(calls.flatMap(({ args }) => args)).map(({ array }) => array);

/** What a run of the calls one by one throws, or null. */
function runDirectly(calls: readonly Call[]): unknown {
  try {
    for (const { kernel, args } of calls) invoke(kernels, kernel, args);
  } catch (error) {
    return error;
  }
  return null;
}

/** What a promise rejects with, or null; a find when it does not settle. */
async function outcome(t: Try, promise: Promise<void>): Promise<unknown> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise((resolve) => {
    timer = setTimeout(() => resolve('late'), 15_000);
  });
  const result = await Promise.race([
    promise.then(
      () => null,
      (error) => error ?? 'nothing',
    ),
    late,
  ]);
  clearTimeout(timer);
  if (result === 'late') t.find('a run never settles', '');
  return result;
}

async function runAnyhow(t: Try, program: Program): Promise<unknown> {
  const way = t.random.int(0, 2);
  if (way === 0) return outcome(t, program.runAsync());
  try {
    if (way === 1) program.run();
    else program.times();
  } catch (error) {
    return error;
  }
  return null;
}

const showCalls = (calls: readonly Call[]): string => calls.map(brief).join('\n');

function checkAllowed(t: Try, error: unknown, calls: readonly Call[]): void {
  if (error !== null && !isAllowed(error))
    t.find(showError(error).slice(0, 60), `${showError(error)}\n${showCalls(calls)}`);
}

/** Numbers that contents are overwritten with: any bits, and those on which indices and sizes go wrong. */
function scribble(random: Random, arrays: readonly TypedArray[], times: number): void {
  for (let i = 0; i < times; i++) {
    const array = random.pick(arrays);
    if (array.length === 0) continue;
    const at = random.int(0, array.length - 1);
    if (!(array instanceof Int32Array)) array[at] = random.chance(0.5) ? random.pick(numbers) : random.next();
    else array[at] = random.chance(0.5) ? random.pick(numbers) : array[at] + random.int(-2, 2);
  }
}

/** Runs give the bits that the calls give one by one, also after contents have changed. */
async function compared(t: Try, changing: boolean): Promise<void> {
  const { random } = t;
  const calls = randomCalls(random, random.chance(0.1) ? 1e5 : 2000);
  const mirror = copyOf(calls, share);
  t.note(`${changing ? 'changing' : 'quiet'} ${showCalls(calls)}`);
  let program: Program;
  try {
    program = toProgram(calls);
  } catch (error) {
    t.find('refuses right calls', `${showError(error)}\n${showCalls(calls)}`);
    return;
  }
  for (let run = random.int(1, 4); run > 0; run--) {
    if (changing) {
      const arrays = memories(calls);
      const integers = arrays.filter((array) => array instanceof Int32Array);
      scribble(random, random.chance(0.7) && integers.length > 0 ? integers : arrays, random.int(1, 3));
      const targets = memories(mirror);
      for (const [i, array] of arrays.entries()) targets[i].set(array as never);
      t.note(`changed ${showCalls(calls)}`);
    }
    const expected = runDirectly(mirror);
    const got = await runAnyhow(t, program);
    if (got === 'late') return;
    checkAllowed(t, got, calls);
    const [left, right] = [expected, got].map((error) => (error === null ? 'success' : showError(error)));
    if (left !== right)
      t.find('a run fails otherwise than its calls', `${left}\n${right}\n${showCalls(calls)}`);
    const targets = memories(mirror);
    const wrong = memories(calls).findIndex((array, i) => !sameBytes(array, targets[i]));
    if (wrong >= 0) {
      t.find('a run gives other bits than its calls', `array ${wrong}\n${showCalls(calls)}`);
      return;
    }
  }
}

/** A thread that overwrites what it is sent with numbers that do harm, until it is told to stop. */
const scribbler = `
  const { parentPort } = require('node:worker_threads');
  const extremes = [0, 1, -1, 2, 2 ** 31 - 1, -(2 ** 31), 65536, 1000];
  parentPort.on('message', ({ arrays, flag }) => {
    while (Atomics.load(flag, 0) === 1) {
      for (let i = 0; i < 50; i++) {
        const array = arrays[Math.floor(Math.random() * arrays.length)];
        const at = Math.floor(Math.random() * array.length);
        const old = array[at];
        array[at] = Math.random() < 0.5 ? extremes[Math.floor(Math.random() * 8)] : old + Math.floor(Math.random() * 5) - 2;
        if (Math.random() < 0.8) array[at] = old;
      }
    }
    Atomics.store(flag, 0, 2);
    Atomics.notify(flag, 0);
  });`;

let worker: Worker | null = null;

/** Contents change while the executor and this thread read them: anything may come out, but from within the arrays. */
async function raced(t: Try): Promise<void> {
  const { random } = t;
  const names = [
    'copy',
    'gather',
    'scatterAdd',
    'gatherAlong',
    'scatterAddAlong',
    'oneHot',
    'binary',
    'where',
    'convolve',
    'convolveWeightGradient',
  ] as const;
  const others = [
    'maxPool',
    'maxPoolGradient',
    'averagePool',
    'softmaxCrossEntropy',
    'sgd',
    'elementwise',
    'fused',
    'randomNormal',
  ] as const;
  const kernel = random.pick(random.chance(0.7) ? [...names, ...others] : kernelNames);
  const calls = copyOf([randomCall(random, kernel, 3000)], share);
  t.note(`raced ${showCalls(calls)}`);
  const program = toProgram(calls);
  const all = memories(calls).filter(({ length }) => length > 0);
  const integers = all.filter((array) => !(array instanceof Float32Array || array instanceof Float64Array));
  const arrays = integers.length > 0 ? integers : all;
  if (arrays.length === 0) return;
  if (worker === null) {
    worker = new Worker(scribbler, { eval: true });
    worker.unref();
  }
  const flag = new Int32Array(new SharedArrayBuffer(4)).fill(1);
  worker.postMessage({ arrays, flag });
  await turn();
  const end = performance.now() + 4;
  while (performance.now() < end) {
    const queued = [program.runAsync(), program.runAsync()];
    const direct = runDirectly(calls);
    if (direct !== null) checkAllowed(t, direct, calls);
    for (const promise of queued) checkAllowed(t, await outcome(t, promise), calls);
  }
  Atomics.store(flag, 0, 0);
  Atomics.wait(flag, 0, 0, 1000);
}

/** Programs that nobody holds while they are queued, of arrays that nobody holds. */
async function dropped(t: Try): Promise<void> {
  const { random } = t;
  t.note('dropped');
  const outs: TypedArray[] = [];
  const lengths: number[] = [];
  const promises: Promise<void>[] = [];
  const make = () => {
    const n = random.int(1, 60_000);
    const [out, x] = [0, 1].map(() => new Float32Array(new SharedArrayBuffer(4 * n)));
    x.fill(n);
    outs.push(out);
    lengths.push(n);
    return createProgram([['unary', out, x, unaryCode.neg, 0, 0]]);
  };
  for (let i = random.int(1, 8); i > 0; i--) {
    promises.push(make().runAsync());
    if (random.chance(0.2)) make().run();
    if (random.chance(0.1)) collect();
  }
  if (random.chance(0.2)) await turn();
  collect();
  for (const promise of promises) checkAllowed(t, await outcome(t, promise), []);
  const done = outs.filter((out, i) => out.every((value) => value === -lengths[i])).length;
  if (done < promises.length) t.find('a dropped run is lost or wrong', `${done} of ${outs.length}`);
}

/** Runs of several programs, here and on the executor, in the order in which they were asked for. */
async function interleaved(t: Try): Promise<void> {
  const { random } = t;
  t.note('interleaved');
  // The steps of a parameter without elements are counted.
  const count = new Float64Array(new SharedArrayBuffer(16));
  const nothing = new Float32Array(new SharedArrayBuffer(0));
  const row = new Int32Array(new SharedArrayBuffer(4));
  const hyper = new Float64Array(new SharedArrayBuffer(40));
  const args = [[nothing, nothing, nothing], [nothing], count, row, hyper, 0];
  const programs = Array.from({ length: random.int(1, 4) }, () => {
    const calls = copyOf([randomCall(random, random.pick(kernelNames), 2000)], share);
    return toProgram([{ kernel: 'adam', args, from: '' }, ...calls]);
  });
  let asked = 0;
  const promises: Promise<void>[] = [];
  for (let i = random.int(1, 20); i > 0; i--) {
    const program = random.pick(programs);
    asked++;
    if (random.chance(0.7)) {
      const mine = asked;
      const promise = program.runAsync();
      promises.push(promise);
      const check = () => {
        if (count[1] < mine) t.find('a promise settles before its run', `${count[1]} runs for ${mine}`);
      };
      promise.then(check, check);
    } else {
      try {
        program.run();
      } catch (error) {
        checkAllowed(t, error, []);
      }
      if (count[1] !== asked) t.find('a run overtakes another', `${count[1]} runs for ${asked}`);
    }
    if (random.chance(0.1)) await turn();
  }
  for (const promise of promises) checkAllowed(t, await outcome(t, promise), []);
  if (count[1] !== asked) t.find('a run is lost', `${count[1]} runs for ${asked}`);
}

const treacheries = [
  'setter',
  'getter',
  'proxy',
  'throws',
  'sparse',
  'long',
  'recursion',
  'revoked',
  'nested',
  'mutated',
  'ordinary',
  'emptied',
] as const;

/** A list of calls that does what no list should, while it is read; then the arrays are dropped and the program runs. */
async function treacherous(t: Try): Promise<void> {
  const { random } = t;
  const n = random.int(1000, 200_000);
  const length = random.int(1, 4);
  const out = new Float32Array(new SharedArrayBuffer(4 * n));
  const make = (treachery: (typeof treacheries)[number]): unknown => {
    const calls: unknown[][] = Array.from({ length }, () => {
      const x = new Float32Array(new SharedArrayBuffer(4 * n)).fill(n);
      return ['unary', out, x, unaryCode.neg, 0, 0];
    });
    const at = random.int(0, length - 1);
    const own = random.chance(0.5) ? calls : calls[at];
    const place = own === calls ? at : random.int(0, 5);
    const value = own[place];
    let strikes = 0;
    const strike = (): unknown => {
      if (strikes++ > 0) return value;
      if (treachery === 'throws') boom();
      if (treachery === 'emptied') own.length = 0;
      if (treachery === 'recursion')
        createProgram([calls[at]] as never)
          .runAsync()
          .catch(() => {});
      if (random.chance(0.3)) return random.pick([...numbers, null, {}, [], 'gemm', Symbol('x'), out]);
      return value;
    };
    if (treachery === 'sparse') delete own[place];
    else if (treachery === 'long') own.length = random.pick([2 ** 16, 2 ** 32 - 1]);
    else if (treachery === 'nested') own[place] = random.pick([own, calls, [calls], Object.create(null)]);
    else if (treachery === 'ordinary') calls[at][2] = new Float32Array(n);
    else if (treachery === 'mutated') {
      const call = randomCall(random, random.pick(kernelNames), 500);
      const { make: wrong, position, title } = random.pick(mutations(call));
      t.note(`treacherous mutated argument ${position} ${title} ${brief(call)}`);
      const [{ args }] = copyOf([call], share);
      calls[at] = [call.kernel, ...args.with(position, wrong())];
    } else if (treachery === 'revoked' || treachery === 'proxy') {
      const get = (target: unknown[], name: string | symbol) =>
        name === String(place) ? strike() : Reflect.get(target, name);
      const { proxy, revoke } = Proxy.revocable(own, { get });
      if (treachery === 'revoked') revoke();
      if (own === calls) return proxy;
      calls[at] = proxy;
    } else if (treachery !== 'setter') Object.defineProperty(own, place, { get: strike, configurable: true });
    return calls;
  };
  const treachery = random.pick(treacheries);
  t.note(`treacherous ${treachery} of ${length}, ${n}`);
  // In a function of its own, after which nothing holds the lists and arrays.
  const create = (): Program | null => {
    const calls = make(treachery);
    if (treachery === 'setter') {
      for (let i = 0; i < 8; i++) {
        Object.defineProperty(Array.prototype, i, { set() {}, get: () => undefined, configurable: true });
      }
    }
    let error: unknown = null;
    let program: Program | null = null;
    try {
      program = createProgram(calls as never);
    } catch (thrown) {
      error = thrown;
    }
    for (let i = 0; i < 8; i++) delete Array.prototype[i];
    checkAllowed(t, error, []);
    return program;
  };
  const program = create();
  if (program === null) return;
  await forget(t, program);
  if (treachery === 'setter' && !out.every((value) => value === -n)) {
    t.find('memory of a program is freed before it', `${out.slice(0, 5)} in place of ${-n}`);
  }
}

/** Frees what nobody holds, uses it for something else, and runs. */
async function forget(t: Try, program: Program): Promise<void> {
  await turn();
  collect();
  await turn();
  const junk = Array.from({ length: 8 }, () => new Float32Array(new SharedArrayBuffer(4 * 100_000)).fill(7));
  t.note(`treacherous runs after a collection beside ${junk.length}`);
  checkAllowed(t, await runAnyhow(t, program), []);
}

await attempts(async (t) => {
  const { random } = t;
  if (random.chance(0.05)) setThreads(random.int(1, 4));
  const way = random.next();
  if (way < 0.2) await functions(t);
  else if (way < 0.4) await compared(t, false);
  else if (way < 0.6) await compared(t, true);
  else if (way < 0.7) await interleaved(t);
  else if (way < 0.78 || !isNative) await dropped(t);
  // What this does on purpose is what the sanitizer of threads reports.
  else if (way < 0.88 && process.env.AXPY_SANITIZER !== 'thread') await raced(t);
  else await treacherous(t);
});

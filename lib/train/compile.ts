/** Functions of tensors as programs: written down once, then run by the executor, off the main thread. */
import { checkFunction, describe } from '../arguments.ts';
import { ArgumentError, AutogradError } from '../errors.ts';
import { mainQueue, type Queue, runNow } from '../kernels/queue.ts';
import { recording } from '../kernels/recorder.ts';
import type { Tensor } from '../tensor.ts';
import { Kept } from './kept.ts';
import { Entry, trace } from './program.ts';
import { keyOf } from './signature.ts';

/** What a compiled function returns: tensors, alone or in arrays, plain objects and Maps; other values stay as recorded. */
export type Result = unknown;

/** What `compile` makes of a function: called as that was, it runs the native program of such a call. */
export interface Compiled<Args extends unknown[], Returned> {
  /**
   * Runs on the executor, after every run that was asked for before; the arguments are those of now. What is over sooner
   * than the executor would have woken, by what its calls cost, runs at once on this thread where nothing else is under way.
   */
  (...args: Args): Promise<Returned>;
  /** Runs on this thread, after every run that was asked for before. */
  sync(...args: Args): Returned;
}

/** A compiled function as the library itself uses it. */
export interface Steps<Args extends unknown[], Returned> {
  /** Runs here what is over sooner than another thread would have heard of it, all else on the executor. */
  soon(...args: Args): Returned | Promise<Returned>;
  /** What the function looks at beside tensors may have changed: each kind of call is written down anew, and compared. */
  doubt(): void;
}

interface Known {
  entry: Entry;
  tensors: Tensor[];
}

/** What a function recorded for a call with these arguments, or the latest kind of call; undefined when there is none. */
type Lookup = (args: readonly unknown[] | null) => { entry: Entry; tensors: Tensor[] | null } | undefined;

const lookups = new WeakMap<object, Lookup>();

/** What a compiled function recorded for a call with these arguments, or, for null, for the latest kind of call. */
export function recordedCall(
  compiled: unknown,
  args: readonly unknown[] | null,
): Pick<Entry, 'program' | 'calls' | 'written'> & { enter(): void; entry: Entry } {
  const lookup = lookups.get(compiled as object);
  if (lookup === undefined) {
    throw new ArgumentError(
      `[profile] expected step to be what compile() returned, got ${describe(compiled)}`,
    );
  }
  const found = lookup(args);
  if (found === undefined) {
    const how = args === null ? '' : ' with arguments of this kind';
    throw new ArgumentError(
      `[profile] expected step to have been called${how} before: the first call records what is timed`,
    );
  }
  const { entry, tensors } = found;
  entry.improve();
  const { program, calls, written } = entry;
  return { program, calls, written, entry, enter: () => entry.enter(tensors) };
}

/**
 * Compiles a function of tensors: a training step, a forward pass, any function whose result is tensors. The first call
 * of each kind writes its kernel calls down, without making them; this call and later ones then run them in one go, without
 * JavaScript in between. Calls are of one kind when they agree in shapes, dtypes, which arguments are one tensor, and all
 * other arguments; in the modes of layers, in which leaves want and have gradients.
 *
 * Learning rates, Adam's step count, random numbers, parameters and other tensors are read at each run. What the function
 * looks at beside tensors and layers (numbers from elsewhere, conditions) stays as it was when recorded: give it as an
 * argument. It is called again before the second run, and more and more rarely later, to see that it still does the same.
 * The tensors of a result are copies without history: in arrays, plain objects and Maps, which are new each time
 * where they hold a tensor. What holds none is handed on as it is.
 * @throws AutogradError, from the first call, when the function reads a value of a tensor (`data`, `item()`), sets a
 *   learning rate or a seed, or updates something else than Parameters, their gradients and SharedTensors; ArgumentError
 *   when it is asynchronous, or returns a tensor in something else, as an object of a class. Nothing has then changed. From
 *   later calls when the function is found to do something else than when it was recorded.
 */
export function compile<Args extends unknown[], Returned>(
  fn: (...args: Args) => Returned,
): Compiled<Args, Returned> {
  checkFunction('compile', 'fn', fn);
  return compileBoth(fn, false, mainQueue).compiled;
}

/**
 * @internal For `fit`, `evaluate` and `predict`.
 * @param once whether to call the function itself where that is quick, rather than find out whether it still does the same
 * @param queue whose runs its own are among
 */
export function compileSteps<Args extends unknown[], Returned>(
  fn: (...args: Args) => Returned,
  once: boolean,
  queue = mainQueue,
): Steps<Args, Returned> {
  return compileBoth(fn, once, queue).steps;
}

function compileBoth<Args extends unknown[], Returned>(
  fn: (...args: Args) => Returned,
  once: boolean,
  queue: Queue,
): { compiled: Compiled<Args, Returned>; steps: Steps<Args, Returned> } {
  const programs = new Kept<Entry>();

  const find = (args: readonly unknown[]): Known | undefined => {
    // Mostly it is the kind of the call before.
    const { latest } = programs;
    let tensors = latest === undefined ? null : latest.match(args);
    if (tensors !== null) return { entry: latest!, tensors };
    const entry = programs.find(keyOf(args), (known) => {
      tensors = known.match(args);
      return tensors !== null;
    });
    return entry === undefined ? undefined : { entry, tensors: tensors! };
  };
  /**
   * The program for a call, which is written down if it is the first of its kind.
   * @param mayTurn whether the event loop may turn before a better program takes its place
   */
  const programFor = (args: Args, mayTurn: boolean, known = find(args)): Known => {
    if (known !== undefined && !known.entry.isDue) return known;
    const traced = trace(fn, args);
    let isUnstable = false;
    if (known !== undefined) {
      const { entry } = known;
      isUnstable = !entry.isDoubtful;
      programs.remove(entry);
      if (entry.serves(traced)) {
        if (mayTurn) entry.improveSoon();
        else entry.improve();
        programs.add(entry);
        return known;
      }
    }
    const entry = new Entry(traced, keyOf(args), isUnstable, queue);
    programs.add(entry);
    return { entry, tensors: [...traced.signature.tensors] };
  };
  const here = ({ entry, tensors }: Known): Returned => runNow(entry.run(tensors, false)) as Returned;
  const elsewhere = ({ entry, tensors }: Known): Promise<Returned> => {
    const start = performance.now();
    const run = entry.run(tensors, queue.isBusy);
    // Among others it does not tell how long it takes.
    if (queue.isBusy) return queue.enqueue(run) as Promise<Returned>;
    const leave = () => {
      entry.pace.tookElsewhere(performance.now() - start);
      return run.leave();
    };
    return queue.enqueue({ ...run, leave }) as Promise<Returned>;
  };
  const sync = (...args: Args): Returned => {
    if (recording !== null) return fn(...args);
    const known = programFor(args, false);
    queue.drain();
    return here(known);
  };
  const later = async (...args: Args): Promise<Returned> => {
    const known = programFor(args, true);
    const { pace } = known.entry;
    return pace.isShort && queue.isFree
      ? queue.atOnce(() => pace.timed(() => here(known)))
      : elsewhere(known);
  };
  const async = (...args: Args): Promise<Returned> => {
    if (recording === null) return later(...args);
    const refused = Promise.reject(
      new AutogradError('[compile] expected a compiled function inside another to be called by sync'),
    );
    // Whoever records cannot wait for it, and a rejection that nobody hears ends the process.
    refused.catch(() => {});
    return refused;
  };
  const steps: Steps<Args, Returned> = {
    soon(...args) {
      const isAlone = !queue.isBusy;
      const known = find(args);
      if (once && isAlone && known?.entry.pace.isShort) return known.entry.pace.timed(() => fn(...args));
      const own = programFor(args, true, known);
      const { pace } = own.entry;
      return isAlone && pace.isShort ? pace.timed(() => here(own)) : elsewhere(own);
    },
    doubt() {
      for (const entry of programs) entry.isDoubtful = true;
    },
  };
  const compiled = Object.assign(async, { sync });
  lookups.set(compiled, (args) => {
    if (args !== null) return find(args);
    const entry = programs.latest;
    return entry && { entry, tensors: null };
  });
  return { compiled, steps };
}

/** Functions of tensors as programs: recorded once, then replayed by the executor, off the main thread. */
import { checkFunction, describe, isInstance } from '../arguments.ts';
import { isRecording } from '../autograd.ts';
import { ArgumentError, AutogradError, DataError } from '../errors.ts';
import { type Call, createProgram, kernels, type Program, withKernels } from '../kernels/index.ts';
import { plan } from '../kernels/plan.ts';
import { drain, enqueue, isBusy, type Run, runNow } from '../kernels/queue.ts';
import {
  type Effect,
  generation,
  nextPass,
  Recording,
  record,
  recording,
  recordingKernels,
  type Storage,
} from '../kernels/recorder.ts';
import { copyOf } from '../memory.ts';
import { sameShape } from '../shape.ts';
import { checkElements, isTensor, Tensor } from '../tensor.ts';
import { readForm } from './results.ts';

/** What a compiled function returns: tensors, alone or in arrays, plain objects and Maps; other values stay as recorded. */
export type Result = unknown;

export interface Compiled<Args extends unknown[], Returned> {
  /** Runs on the executor, after every run that was asked for before; the arguments are those of now. */
  (...args: Args): Promise<Returned>;
  /** Runs on this thread, after every run that was asked for before. */
  sync(...args: Args): Returned;
}

/** How many programs a compiled function keeps, one for each kind of call; the one unused for longest goes. */
const maxPrograms = 8;

/** A recorded kind of call. */
interface Entry {
  /** Whether these arguments, in this state of the layers and gradients, are what was recorded. */
  matches(args: readonly unknown[]): boolean;
  /** A run with these arguments; `later` when it will not enter at once, so that they must be copied. */
  run(args: readonly unknown[], later: boolean): Run<unknown>;
  /** Leaves gradients and versions as the recorded run did, and says that a run failed: gradients are then unknown. */
  readonly effects: Effect;
  readonly program: Program;
  readonly calls: readonly Call[];
  /** What the calls write besides intermediates and results. */
  readonly written: readonly Storage[];
  /** Writes learning rates and, unless null, arguments into the program's memory. */
  enter(args: readonly unknown[] | null): void;
}

/** The entry of a call with these arguments, or the latest one; undefined when there is none. */
type Lookup = (args: readonly unknown[] | null) => Entry | undefined;

const lookups = new WeakMap<object, Lookup>();

/** What a compiled function recorded for a call with these arguments, or, for null, for the latest kind of call. */
export function recordedCall(
  compiled: unknown,
  args: readonly unknown[] | null,
): Pick<Entry, 'program' | 'calls' | 'written'> & { enter(): void } {
  const lookup = lookups.get(compiled as object);
  if (lookup === undefined) {
    throw new ArgumentError(
      `[profile] expected step to be what compile() returned, got ${describe(compiled)}`,
    );
  }
  const entry = lookup(args);
  if (entry === undefined) {
    const how = args === null ? '' : ' with arguments of this kind';
    throw new ArgumentError(
      `[profile] expected step to have been called${how} before: the first call records what is timed`,
    );
  }
  const { program, calls, written } = entry;
  return { program, calls, written, enter: () => entry.enter(args) };
}

/**
 * Compiles a function of tensors: a training step, a forward pass, any function whose result is tensors. The first call
 * of each kind (shapes, dtypes and other arguments; training mode; which gradients are there) runs it and records the
 * kernel calls; later ones replay them in one go, without JavaScript in between.
 *
 * Learning rates, Adam's step count, random numbers and parameters are read at each run. What the function reads from
 * elsewhere (other tensors, numbers, conditions) stays as it was when recorded. The tensors of a result are copies without
 * history, the first time as well: in arrays, plain objects and Maps, which are new each time where they hold a tensor. What
 * holds none is handed on as it is.
 * @throws AutogradError, from the first call, when the function reads a value of a tensor (`data`, `item()`), sets a
 *   learning rate or a seed, or updates something else than Parameters; ArgumentError when it is asynchronous, or returns a
 *   tensor in something else, as an object of a class. The function has then run.
 */
export function compile<Args extends unknown[], Returned>(
  fn: (...args: Args) => Returned,
): Compiled<Args, Returned> {
  checkFunction('compile', 'fn', fn);
  const entries: Entry[] = [];

  /** The entry for a call, moved to the front; undefined when it is the first of its kind. */
  const find = (args: readonly unknown[]): Entry | undefined => {
    for (let i = 0; i < entries.length; i++) {
      const entry = entries[i];
      if (!entry.matches(args)) continue;
      if (i > 0) entries.unshift(...entries.splice(i, 1));
      return entry;
    }
    return undefined;
  };
  const first = (args: Args): Returned => {
    checkArguments(args);
    drain();
    const { entry, result } = recordCall(fn, args);
    entries.unshift(entry);
    if (entries.length > maxPrograms) entries.pop();
    return result;
  };
  const sync = (...args: Args): Returned => {
    if (recording !== null) return fn(...args);
    const entry = find(args);
    if (entry === undefined) return first(args);
    drain();
    const run = entry.run(args, false);
    const pass = nextPass();
    entry.effects.apply(pass);
    try {
      return runNow(run) as Returned;
    } catch (error) {
      entry.effects.abandon(pass);
      throw error;
    }
  };
  const async = async (...args: Args): Promise<Returned> => {
    if (recording !== null) {
      throw new AutogradError('[compile] expected a compiled function inside another to be called by sync');
    }
    const entry = find(args);
    if (entry === undefined) return first(args);
    const running = enqueue(entry.run(args, isBusy()));
    // What the next call finds is what this one will leave, as they run in this order.
    const pass = nextPass();
    entry.effects.apply(pass);
    return (await running.catch((error) => {
      entry.effects.abandon(pass);
      throw error;
    })) as Returned;
  };
  const compiled = Object.assign(async, { sync });
  lookups.set(compiled, (args) => (args === null ? entries[0] : find(args)));
  return compiled;
}

function checkArguments(args: readonly unknown[]): void {
  args.forEach((argument, i) => {
    if (isTensor(argument)) {
      checkElements('compile', argument);
      if (!argument.requiresGrad) return;
      throw new AutogradError(
        `[compile] expected arguments without gradients, got argument ${i} with requiresGrad: detach() it, or use it ` +
          'directly where it is a Parameter',
      );
    }
    if (typeof argument === 'object' && argument !== null) {
      throw new ArgumentError(
        `[compile] expected tensors, numbers, strings or booleans as arguments, got an object as argument ${i}`,
      );
    }
  });
}

/** What a function returned. @throws ArgumentError for a promise */
function synchronous<Returned>(returned: Returned): Returned {
  if (!isInstance(returned, Promise)) return returned;
  // Nobody will wait for it, and a rejection that nobody hears ends the process.
  returned.catch(() => {});
  throw new ArgumentError('[compile] expected a synchronous function, got one that returns a promise');
}

/** Runs the function on stand-ins for its arguments and makes an entry of what it did. */
function recordCall<Args extends unknown[], Returned>(
  fn: (...args: Args) => Returned,
  args: Args,
): { entry: Entry; result: Returned } {
  const given = args.filter((argument): argument is Args[number] & Tensor => isTensor(argument));
  const copies = new Map<unknown, Tensor>(
    given.map((x) => [x, new Tensor(copyOf(x.storage), x.shape, x.dtype)]),
  );
  const into = new Recording(new Set<Storage>([...copies.values()].map(({ storage }) => storage)));
  const standIns = args.map((argument) => copies.get(argument) ?? argument) as Args;
  // The result is read while calls are still written down, as a getter in it may compute.
  const form = withKernels(recordingKernels(kernels, into), () =>
    record(into, () => readForm(synchronous(fn(...standIns)))),
  );
  const outputs = form.tensors.map(({ storage, shape, dtype }) => ({ storage, shape: [...shape], dtype }));
  const state = into.close();
  const planned = plan(into, new Set(outputs.map(({ storage }) => storage)));
  /** The result with copies of the tensors' values, which are at these places. */
  const resultFrom = (places: readonly Tensor['storage'][]) => {
    const copies: Tensor[] = [];
    for (let i = 0; i < outputs.length; i++) {
      copies.push(new Tensor(copyOf(places[i]), outputs[i].shape, outputs[i].dtype));
    }
    return form.fill(copies);
  };
  const places = outputs.map(({ storage }) => planned.place(storage) as Tensor['storage']);
  const inputs = [...copies.entries()].map(([x, { storage }]) => ({
    position: args.indexOf(x as Args[number]),
    place: planned.place(storage) as Float32Array,
  }));
  const kinds = args.map(kindOf);
  const recorded = isRecording();
  const born = generation;
  const program: Program = createProgram(planned.calls);
  const settings = [...into.settings];

  const valuesOf = (others: readonly unknown[]) =>
    inputs.map(({ position, place }) => {
      const { storage } = others[position] as Tensor;
      if (storage.length !== place.length) {
        throw new DataError(
          `[compile] expected argument ${position} to hold ${place.length} values, got an array whose buffer was ` +
            'detached (transferred) or resized',
        );
      }
      return storage;
    });
  const write = (values: readonly Tensor['storage'][], captured: readonly (() => void)[]) => {
    for (let i = 0; i < inputs.length; i++) inputs[i].place.set(values[i]);
    for (let i = 0; i < captured.length; i++) captured[i]();
  };
  const capture = () => settings.map((setting) => setting.capture());

  const entry: Entry = {
    program,
    calls: planned.calls,
    written: planned.written,
    enter(others) {
      write(others === null ? inputs.map(({ place }) => place) : valuesOf(others), capture());
    },
    matches(others) {
      if (generation !== born || others.length !== kinds.length || isRecording() !== recorded) return false;
      for (let i = 0; i < kinds.length; i++) if (!kinds[i](others[i])) return false;
      for (let i = 0; i < inputs.length; i++) {
        // Two arguments that were one tensor are recorded as one.
        if (others.indexOf(others[inputs[i].position]) !== inputs[i].position) return false;
      }
      for (let i = 0; i < state.conditions.length; i++) if (!state.conditions[i]()) return false;
      return true;
    },
    run(others, later) {
      const given = valuesOf(others);
      const values = later ? given.map(copyOf) : given;
      const captured = capture();
      return {
        program,
        enter: () => write(values, captured),
        leave: () => resultFrom(places),
      };
    },
    effects: {
      apply(pass) {
        for (let i = 0; i < state.effects.length; i++) state.effects[i].apply(pass);
      },
      abandon(pass) {
        for (const effect of state.effects) effect.abandon(pass);
      },
    },
  };
  return { entry, result: resultFrom(outputs.map(({ storage }) => storage)) as Returned };
}

/** Whether another argument is of the same kind: a tensor of the same shape and dtype, or the same value. */
function kindOf(argument: unknown): (other: unknown) => boolean {
  if (!isTensor(argument)) return (other) => Object.is(other, argument);
  const { dtype } = argument;
  const shape = [...argument.shape];
  return (other) =>
    isTensor(other) && other.dtype === dtype && !other.requiresGrad && sameShape(other.shape, shape);
}

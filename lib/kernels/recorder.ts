/**
 * Recording of kernel calls. A kernel call is plain data, so a function of tensors, called once while its calls are written
 * down instead of made, becomes a list that can be made any number of times: a program. Nothing is computed meanwhile, and
 * tensors have a Storage without an array. `plan.ts` gives the list its memory.
 *
 * All that a function looks at besides its arguments, and that may be another thing at the next run, comes through here:
 *
 *   whether a leaf wants a gradient, has one, the mode of a layer    `observe`: a condition of the program; what the function
 *                                                                    sets is set after each run
 *   values of tensors on ordinary memory, learning rates             captured at each run: `Storage`, `settings`
 *   values of Parameters and SharedTensors, states of optimizers
 *   and random numbers                                               where they are: the program reads them there
 *   memory that moved to another place (`attach`)                    outdates all programs: `outdatePrograms`
 *   values that JavaScript reads (`data`, `item`)                    refused, or a condition: `readValues`
 *   what only JavaScript does (seeds, states loaded, …)              refused: `refuseRecording`
 */

import type { Argument, Call, Data, Kernels } from '../../binding.d.ts';
import { AutogradError } from '../errors.ts';
import { beforeChange } from '../hold.ts';
import type { Elements, Storage } from '../memory.ts';
import { isSharedMemory } from '../platform.ts';
import { kernelNames } from './table.ts';

/** What JavaScript does with a run, as it cannot see what kernels do, and what when it then fails somewhere. */
export interface Effect {
  /** What is left behind. */
  readonly final: unknown;
  apply(pass: number): void;
  abandon?(pass: number): void;
}

/** How a function uses what can change; an update reads it and sets it. */
export type Use = 'read' | 'set' | 'update';

/** Something of a subject that can change. */
export interface Observed<Value> {
  get(): Value;
  set(value: Value): void;
  /** The same after a run of this number; whether it is new, or was there before and is kept or added to. */
  leave?(value: Value, pass: number, isNew: boolean): void;
  /** After a run has failed. */
  abandon?(pass: number): void;
}

interface Observation {
  readonly state: Observed<unknown>;
  readonly initial: unknown;
  /** Whether the function depends on the initial value. */
  wasRead: boolean;
  wasSet: boolean;
}

let passes = 0;

/** Numbers what writes gradients, from 1 on: a backward, a run of a program. */
export function nextPass(): number {
  return ++passes;
}

/** A run of elements of a storage, in a call that passes have made. */
export class Part {
  constructor(
    readonly storage: Storage,
    readonly offset: number,
    readonly length: number,
  ) {}
}

/** An argument of a recorded call: a Storage stands for the array that it will have. */
export type RecordedArgument = Argument | Storage | Part | readonly (Data | Storage | Part)[];
export type RecordedCall = [keyof Kernels, ...RecordedArgument[]];

/** One call of a function, as it was written down. */
export class Recording {
  readonly calls: RecordedCall[] = [];
  /** What has to be written into buffers before a run, as a learning rate. */
  readonly settings = new Set<{ capture(): () => void }>();
  /** Whose memory calls use where it is. */
  readonly inPlace = new Set<Storage>();
  /** The tensors and storages made meanwhile, of which nobody knows yet. */
  private readonly made = new Set<object>();
  private readonly observations = new Map<object, Map<string, Observation>>();
  private readonly conditions: (() => boolean)[] = [];
  /** What was updated in place, and its version before. */
  private readonly written = new Map<Storage, number>();

  constructor(
    /** Those of the arguments. */
    readonly inputs: ReadonlySet<Storage>,
    own: Iterable<object> = [],
  ) {
    for (const object of own) this.made.add(object);
  }

  /** Notes what the function made. */
  add(own: object): void {
    this.made.add(own);
  }

  /** Whether the function made it. */
  owns(subject: object): boolean {
    return this.made.has(subject);
  }

  /**
   * Notes that the function reads something of a subject, or is about to set it. The program is for the value that it reads,
   * and leaves behind what it set. What the function made concerns no other run.
   */
  observe<Value>(subject: object, name: string, use: Use, state: Observed<Value>): void {
    if (this.made.has(subject)) return;
    let own = this.observations.get(subject);
    if (own === undefined) {
      own = new Map();
      this.observations.set(subject, own);
    }
    let observation = own.get(name);
    if (observation === undefined) {
      observation = {
        state: state as Observed<unknown>,
        initial: state.get(),
        wasRead: false,
        wasSet: false,
      };
      own.set(name, observation);
    }
    // What the function has set itself does not depend on what was there before.
    if (use !== 'set' && !observation.wasSet) observation.wasRead = true;
    if (use !== 'read') observation.wasSet = true;
  }

  /** The argument of a call for a tensor's elements: what may move, or has no array yet, goes by its Storage. */
  argument(storage: Storage): RecordedArgument {
    const { array } = storage;
    if (array !== null) {
      if (!storage.isShared) return storage;
      this.inPlace.add(storage);
      return array;
    }
    if (this.made.has(storage) || this.inputs.has(storage)) return storage;
    throw new AutogradError(
      '[compile] expected tensors that have values or are made here, got one that a compiled function made in another call: ' +
        'return it from there, and give it as an argument',
    );
  }

  /** Notes that a storage is about to be updated. @throws AutogradError for one whose update would be lost. */
  write(op: string, storage: Storage): void {
    if (this.inputs.has(storage) || !(storage.isShared || this.made.has(storage))) {
      throw new AutogradError(
        `[${op}] expected to update a Parameter, its gradient, a SharedTensor or a tensor made in the compiled function, ` +
          `got ${this.inputs.has(storage) ? 'an argument' : 'another tensor'} of ${storage.length} elements: its memory ` +
          'is copied for a run, and the update would be lost',
      );
    }
    if (storage.isShared && !this.written.has(storage)) this.written.set(storage, storage.owner.version);
  }

  /**
   * Notes that JavaScript reads a tensor's values: the program is for those.
   * @throws AutogradError where a run may change them, or they are not known.
   */
  readValues(storage: Storage, what: string): void {
    const { array } = storage;
    if (array === null || storage.isShared || this.made.has(storage)) {
      throw new AutogradError(
        `[compile] expected no ${what} in a compiled function: it is recorded once, and the value read now would stay ` +
          'for ever. Return the tensor and read it outside; to choose by a value, use where; or pass { compiled: false } to ' +
          'fit, evaluate or predict',
      );
    }
    // Nothing to read, where the buffer was detached as well.
    if (array.length === 0) return;
    const values = array.slice();
    this.conditions.push(() => sameValues(storage.array as Data, values));
  }

  /**
   * Puts everything back as it was before, and gives what has to hold for a run of the list and what a run leaves behind.
   * @throws AutogradError when the function changed values that it has read
   */
  close(): { conditions: readonly (() => boolean)[]; effects: readonly Effect[] } {
    const conditions = [...this.conditions];
    const effects: Effect[] = [];
    for (const own of this.observations.values()) {
      for (const { state, initial, wasRead, wasSet } of own.values()) {
        if (wasSet) {
          const final = state.get();
          const isNew = !(wasRead && initial);
          const { leave } = state;
          effects.push({
            final,
            apply: leave ? (pass) => leave(final, pass, isNew) : () => state.set(final),
            abandon: (pass) => state.abandon?.(pass),
          });
        }
        if (wasRead) conditions.push(() => state.get() === initial);
      }
    }
    if (this.written.size > 0) effects.push(updates([...this.written.keys()]));
    this.rollBack();
    if (this.conditions.every((holds) => holds())) return { conditions, effects };
    throw new AutogradError(
      '[compile] expected values read in a compiled function (data, item, toArray) to stay as they are, got a change of them',
    );
  }

  /** Puts everything back as it was before. */
  rollBack(): void {
    for (const own of this.observations.values()) {
      for (const { state, initial, wasSet } of own.values()) if (wasSet) state.set(initial);
    }
    for (const [storage, version] of this.written) storage.owner.version = version;
  }
}

const updates = (storages: readonly Storage[]): Effect => ({
  final: storages.length,
  apply() {
    for (let i = 0; i < storages.length; i++) storages[i].owner.version++;
  },
});

/** Whether an array lies where nobody can detach it, and where a program may work in place. */
export function isShared(array: Elements): boolean {
  return isSharedMemory(array.buffer);
}

function sameValues(a: Data, b: Data): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (!Object.is(a[i], b[i])) return false;
  return true;
}

/** Counts what makes every program recorded so far outdated: parameters that moved to other memory. */
export let generation = 0;

export function outdatePrograms(): void {
  generation++;
}

/** The recording in progress, or null. */
export let recording: Recording | null = null;

/** @throws AutogradError in a function that is being compiled, for what only JavaScript does and a run would not. */
export function refuseRecording(op: string): void {
  if (recording === null) return;
  throw new AutogradError(
    `[${op}] expected to be called outside of a compiled function, whose replays would leave it out`,
  );
}

/** Before elements of a storage change in place: backward can tell. */
export function changing(op: string, storage: Storage): void {
  if (recording !== null) recording.write(op, storage);
  else if (storage.array !== null) beforeChange(storage.array.buffer);
  storage.owner.version++;
}

/** Runs `fn` with its kernel calls written down, given `recordingKernels` in place of others, and nothing computed. */
export function record<Result>(into: Recording, fn: () => Result): Result {
  const outer = recording;
  recording = into;
  try {
    return fn();
  } finally {
    recording = outer;
  }
}

export function isList(argument: unknown): argument is readonly (Data | Storage | Part)[] {
  return Array.isArray(argument);
}

/** The arrays of a call, those in lists included, with the position of the argument. */
export function arraysOf<Kind extends Elements | Storage | Part = Elements>(
  call: Call | RecordedCall,
): [array: Kind, position: number][] {
  const found: [Kind, number][] = [];
  for (let i = 1; i < call.length; i++) {
    const argument = call[i];
    if (isList(argument)) for (const array of argument) found.push([array as Kind, i - 1]);
    else if (argument !== null && typeof argument === 'object') found.push([argument as Kind, i - 1]);
  }
  return found;
}

/**
 * Whether two recordings say the same: the same calls, over the same lasting memory and equal constants, and the same of
 * what they compute as results.
 */
export function sameRecordings(
  a: Recording,
  b: Recording,
  resultsOfA: readonly Storage[],
  resultsOfB: readonly Storage[],
): boolean {
  if (a.calls.length !== b.calls.length || a.settings.size !== b.settings.size) return false;
  if (resultsOfA.length !== resultsOfB.length) return false;
  const partners = new Map<Storage, Storage>();
  const taken = new Set<Storage>();
  const pair = (x: Storage, y: Storage): true => {
    partners.set(x, y);
    taken.add(y);
    return true;
  };
  const inputs = [...b.inputs];
  [...a.inputs].forEach((input, i) => {
    pair(input, inputs[i]);
  });
  const same = (x: RecordedArgument, y: RecordedArgument): boolean => {
    if (Object.is(x, y)) return true;
    if (isList(x)) return isList(y) && x.length === y.length && x.every((item, i) => same(item, y[i]));
    if (typeof x !== 'object' || typeof y !== 'object' || x === null || y === null || isList(y)) return false;
    // What a function has recorded has no parts.
    if (x instanceof Part || y instanceof Part) return false;
    if (!isStorage(x))
      return !isStorage(y) && !isShared(x) && !isShared(y) && sameValues(x as Data, y as Data);
    if (!isStorage(y)) return false;
    if (partners.has(x) || taken.has(y)) return partners.get(x) === y;
    if (x.dtype !== y.dtype || x.length !== y.length) return false;
    if (x.array === null || y.array === null) return x.array === y.array && pair(x, y);
    return a.owns(x) && b.owns(y) && sameValues(x.array, y.array) && pair(x, y);
  };
  const areSame = a.calls.every(([kernel, ...args], i) => {
    const [other, ...others] = b.calls[i];
    return kernel === other && args.length === others.length && args.every((x, j) => same(x, others[j]));
  });
  return areSame && resultsOfA.every((x, i) => same(a.argument(x), b.argument(resultsOfB[i])));
}

export const isStorage = (x: object): x is Storage => !ArrayBuffer.isView(x);

/** Kernels that write calls down and make none. */
export const recordingKernels = Object.fromEntries(
  kernelNames.map((name) => [
    name,
    (...args: RecordedArgument[]) => {
      // The caller may go on using a list.
      recording?.calls.push([name, ...args.map((argument) => (isList(argument) ? [...argument] : argument))]);
    },
  ]),
) as unknown as Kernels;

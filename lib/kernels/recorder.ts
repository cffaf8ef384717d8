/**
 * Recording of kernel calls. A kernel call is plain data, so a function of tensors, run once while its calls are written
 * down, becomes a list that can be made again: a program. This file writes the list down and notes what the function
 * depended on besides its arguments; `plan.ts` gives the list its memory.
 */
import type { Argument, Call, Data, Float, Kernels } from '../../binding.d.ts';
import { AutogradError } from '../errors.ts';

export type Storage = Data | Uint32Array;

/** What JavaScript does with a replay, and what when it then fails somewhere. */
export interface Effect {
  apply(pass: number): void;
  abandon(pass: number): void;
}

let passes = 0;

/** Numbers what writes gradients, from 1 on: a backward, a replay. */
export function nextPass(): number {
  return ++passes;
}

/** One run of a function, as it was recorded. */
export class Recording {
  readonly calls: Call[] = [];
  /** Arrays made during the run: the intermediates. */
  readonly made = new Set<Storage>();
  /** What held at the start and must hold again for the list to be right: the mode of a layer, a gradient present. */
  private readonly conditions = new Map<object, Map<string, () => boolean>>();
  /** What JavaScript has to do after a replay: it cannot see what kernels did. */
  private readonly followed = new Map<object, () => Effect>();
  /** What has to be written into buffers before a replay, as a learning rate. */
  readonly settings = new Set<{ capture(): () => void }>();

  constructor(
    /** The arrays of the arguments. */
    readonly inputs: ReadonlySet<Storage>,
  ) {}

  /** Notes, the first time for this subject and name, what the run depends on. */
  require(subject: object, name: string, holds: () => boolean): void {
    const own = this.conditions.get(subject) ?? new Map<string, () => boolean>();
    if (!own.has(name)) own.set(name, holds);
    this.conditions.set(subject, own);
  }

  /**
   * Notes how to find out, when the run has ended, what a replay has to do to a subject.
   * @returns whether this is the first time for this subject
   */
  follow(subject: object, finish: () => Effect): boolean {
    if (this.followed.has(subject)) return false;
    this.followed.set(subject, finish);
    return true;
  }

  /** The conditions, and the effects as they stand now that the run has ended. */
  close(): { conditions: (() => boolean)[]; effects: Effect[] } {
    return {
      conditions: [...this.conditions.values()].flatMap((own) => [...own.values()]),
      effects: [...this.followed.values()].map((finish) => finish()),
    };
  }

  /** @throws AutogradError when a value is asked for that another replay would change. */
  refuseRead(storage: Storage, what: string): void {
    const changes =
      this.made.has(storage) ||
      this.inputs.has(storage) ||
      (storage.length > 0 && storage.buffer instanceof SharedArrayBuffer);
    if (!changes) return;
    throw new AutogradError(
      `[compile] expected no ${what} in a compiled function: it is recorded once, and the value read now would stay ` +
        'for ever. Return the tensor and read it outside; to choose by a value, use where; or pass { compiled: false } to ' +
        'fit, evaluate or predict',
    );
  }
}

/** Counts what makes every program recorded so far outdated: parameters that moved to other memory. */
export let generation = 0;

export function outdatePrograms(): void {
  generation++;
}

/** The recording in progress, or null. */
export let recording: Recording | null = null;

/** @throws AutogradError in a function that is being compiled, for what only JavaScript does and a replay would not. */
export function refuseRecording(op: string): void {
  if (recording === null) return;
  throw new AutogradError(
    `[${op}] expected to be called outside of a compiled function, whose replays would leave it out`,
  );
}

/** Runs `fn` with its kernel calls written down. They are made as well. */
export function record<Result>(into: Recording, fn: () => Result): Result {
  const before = recording;
  recording = into;
  try {
    return fn();
  } finally {
    recording = before;
  }
}

export function isList(argument: Argument): argument is readonly Float[] {
  return Array.isArray(argument);
}

/** The arrays of a call, those in lists included, with the position of the argument. */
export function* arraysOf([, ...args]: Call): Generator<[array: Storage, position: number]> {
  for (const [position, argument] of args.entries()) {
    if (isList(argument)) for (const array of argument) yield [array, position];
    else if (argument !== null && typeof argument !== 'number') yield [argument, position];
  }
}

/** Kernels that make each call and write it down. */
export function recordingKernels(kernels: Kernels, into: Recording): Kernels {
  const names = Object.keys(effects) as (keyof Kernels)[];
  return Object.fromEntries(
    names.map((name) => {
      const kernel = kernels[name] as (...args: Argument[]) => void;
      return [
        name,
        (...args: Argument[]) => {
          kernel(...args);
          // The caller may go on using a list.
          into.calls.push([name, ...args.map((argument) => (isList(argument) ? [...argument] : argument))]);
        },
      ];
    }),
  ) as unknown as Kernels;
}

/**
 * Which arguments of each kernel it writes: `w` for one that is overwritten, `u` for one that is updated, `-` for all
 * others (binding.d.ts). The letter of a list holds for all its arrays.
 */
export const effects: Readonly<Record<keyof Kernels, string>> = {
  gemm: 'w',
  gemmAccumulate: 'u',
  epilogueGradient: 'ww',
  unary: 'w',
  unaryGradient: 'w',
  binary: 'w',
  binaryGradient: 'w',
  where: 'w',
  elementwise: 'u-u',
  fill: 'w',
  cast: 'w',
  copy: 'w',
  gather: 'w',
  scatterAdd: 'u',
  oneHot: 'w',
  reduce: 'w',
  argmax: 'w',
  softmax: 'w',
  softmaxGradient: 'w',
  softmaxCrossEntropy: 'ww',
  softmaxCrossEntropyGradient: 'w',
  loss: 'w',
  lossGradient: 'w',
  checkFinite: '-',
  convolve: 'w',
  convolveTransposed: 'w',
  convolveWeightGradient: 'w',
  maxPool: 'ww',
  maxPoolGradient: 'w',
  averagePool: 'w',
  averagePoolGradient: 'w',
  batchMoments: 'wwuu',
  batchNorm: 'w',
  batchNormGradient: 'www',
  layerNorm: 'www',
  layerNormGradient: 'www',
  randomBits: 'wu',
  randomUniform: 'wu',
  randomNormal: 'wu',
  dropoutMask: 'wu',
  sgd: 'u',
  adam: 'u-u',
};

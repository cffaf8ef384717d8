/** A kind of call of a compiled function, recorded: its program, what has to hold for it, and what a run does beside it. */
import { isInstance } from '../arguments.ts';
import { isGradEnabled } from '../autograd.ts';
import { ArgumentError, AutogradError, DataError } from '../errors.ts';
import { beforeChanges } from '../hold.ts';
import { type Call, type Float, type Program, withKernels } from '../kernels/index.ts';
import { improved, improving, type PassReport } from '../kernels/passes/index.ts';
import { type Plan, plan } from '../kernels/plan.ts';
import type { Queue, Run } from '../kernels/queue.ts';
import {
  arraysOf,
  type Effect,
  generation,
  nextPass,
  type RecordedCall,
  Recording,
  record,
  recordingKernels,
  sameRecordings,
} from '../kernels/recorder.ts';
import { modeInForce } from '../layers/mode.ts';
import { copyOf, type Elements, Storage } from '../memory.ts';
import { turn } from '../platform.ts';
import { Tensor } from '../tensor.ts';
import { Pace } from './pace.ts';
import { type Form, readForm, sameForms } from './results.ts';
import { Signature } from './signature.ts';

type Array = Tensor['data'];

/** A function, called once on stand-ins for its arguments, with nothing computed. */
export interface Trace {
  readonly signature: Signature;
  readonly recording: Recording;
  readonly inputs: readonly Storage[];
  readonly form: Form;
  readonly conditions: readonly (() => boolean)[];
  readonly effects: readonly Effect[];
}

/**
 * Writes down what the function does with such arguments. All else is as before in the end.
 * @throws what the function throws, and for what cannot be recorded
 */
export function trace<Args extends unknown[]>(fn: (...args: Args) => unknown, args: Args): Trace {
  const signature = new Signature(args);
  const standIns = signature.tensors.map(
    (x) => new Tensor(new Storage(x.dtype, x.size, null), x.shape, x.dtype),
  );
  const inputs = standIns.map(({ storage }) => storage);
  const recording = new Recording(new Set(inputs), standIns);
  try {
    // The result is read while calls are still written down, as a getter in it may compute.
    const form = withKernels(recordingKernels, () =>
      record(recording, () => readForm(synchronous(fn(...(signature.fill(standIns) as Args))))),
    );
    return { signature, recording, inputs, form, ...recording.close() };
  } catch (error) {
    recording.rollBack();
    throw error;
  }
}

/** What a function returned. @throws ArgumentError for a promise */
function synchronous<Returned>(returned: Returned): Returned {
  if (!isInstance(returned, Promise)) return returned;
  // Nobody will wait for it, and a rejection that nobody hears ends the process.
  returned.catch(() => {});
  throw new ArgumentError('[compile] expected a synchronous function, got one that returns a promise');
}

/** A program, and where what goes in and comes out of it is. */
interface Made {
  readonly program: Program;
  readonly planned: Plan;
  readonly inputs: readonly Elements[];
  readonly outputs: readonly Array[];
}

/** What a program reads where it is and does not write, and the version of which it was told. */
interface Steady {
  readonly storage: Storage;
  version: number;
}

/** So many calls are improved at once. */
const few = 50;
/** Of fewer elements nothing is kept that would take long to make again. */
const some = 1024;
/** No version: what may change unseen is other than it was at each run. */
const unknown = -2;

/** A recorded kind of call. */
export class Entry {
  /** Bytes that it has for itself, about. */
  readonly weight: number;
  readonly pace: Pace;
  /** Whether the function may do something else by now, for a reason. */
  isDoubtful = false;
  private made: Made;
  private improvement: Generator<void> | null = null;
  private failure: unknown = null;
  private runs = 0;
  /** Before the run after so many the function is written down anew. */
  private nextCheck = 1;
  private readonly hadGradients = isGradEnabled();
  private readonly mode = modeInForce;
  private readonly born = generation;
  private readonly changing: ReadonlySet<ArrayBufferLike>;
  /** The versions that the program has or will have by the next run, of what is captured. */
  private seen: number[];
  private readonly settings: readonly { capture(): () => void }[];
  private steady: Steady[] = [];
  private readonly outputs: readonly { shape: Tensor['shape']; dtype: Tensor['dtype'] }[];

  /** @param isUnstable whether the function did something else the last time */
  constructor(
    private readonly traced: Trace,
    readonly key: number,
    private readonly isUnstable: boolean,
    private readonly queue: Queue,
  ) {
    const { form, recording } = traced;
    this.made = this.make(recording.calls, storagesOf(form));
    const { calls, written, captured, bytes } = this.made.planned;
    this.pace = new Pace(calls);
    this.changing = new Set(written.map(({ buffer }) => buffer));
    this.seen = captured.map(() => -1);
    this.settings = [...recording.settings];
    this.outputs = form.tensors.map(({ shape, dtype }) => ({ shape: [...shape], dtype }));
    this.weight = bytes.own + 1000 * recording.calls.length;
  }

  private make(calls: readonly RecordedCall[], outputs: readonly Storage[]): Made {
    const { recording, inputs } = this.traced;
    const planned = plan(recording, calls, outputs, this.queue);
    this.checkMemory(planned);
    return {
      program: this.queue.createProgram(planned.calls),
      planned,
      inputs: inputs.map(planned.place),
      outputs: outputs.map((output) => planned.place(output) as Array),
    };
  }

  /** @throws ArgumentError for memory that programs of other queues may write to meanwhile, or read */
  private checkMemory({ written }: Plan): void {
    const changing = [...this.traced.recording.inPlace].filter(({ isConstant }) => !isConstant);
    const read = changing.map(({ array }) => array!);
    if ([...read, ...written].every(({ buffer }) => this.queue.admits(buffer))) return;
    throw new ArgumentError(
      '[Predictor] expected a model that reads its parameters and buffers in evaluation mode and changes nothing, got one that draws ' +
        'random numbers, updates something, or uses Parameters or SharedTensors that are in none of its fields',
    );
  }

  get program(): Program {
    return this.made.program;
  }

  get calls(): readonly Call[] {
    return this.made.planned.calls;
  }

  /** What the calls write besides intermediates and results. */
  get written(): readonly Elements[] {
    return this.made.planned.written;
  }

  /**
   * Puts a program that does the same in less time in the place of the one that was written down. It takes a while, and so
   * waits for a kind of call that comes again.
   */
  improve(): void {
    this.improvement ??= this.improving();
    while (!this.improvement.next().done);
  }

  /** The same, of a long list by and by: the event loop turns, and runs are made by the program that there is. */
  improveSoon(): void {
    if (this.improvement !== null) return;
    if (this.traced.recording.calls.length <= few) {
      this.improve();
    } else {
      this.improvement = this.improving();
      void this.byTurns(this.improvement);
    }
  }

  private async byTurns(work: Generator<void>): Promise<void> {
    try {
      do await turn();
      while (!work.next().done);
    } catch (error) {
      this.failure = error;
    }
  }

  private *improving(): Generator<void> {
    const { form, recording } = this.traced;
    const list = yield* improving(recording, storagesOf(form));
    if (list === null) return;
    yield;
    const { inputs } = this.made;
    this.made = this.make(list.calls, list.outputs);
    this.made.inputs.forEach((input, i) => {
      put(input, inputs[i] as Array);
    });
    this.seen = this.made.planned.captured.map(() => -1);
    this.steady = this.weights();
  }

  /** What is large enough and stays as it is during runs. Each call that read it would keep something of its own. */
  private weights(): Steady[] {
    const readers = new Map<ArrayBufferLike, number>();
    for (const call of this.calls) {
      for (const [{ buffer }] of arraysOf(call)) readers.set(buffer, (readers.get(buffer) ?? 0) + 1);
    }
    return [...this.traced.recording.inPlace]
      .filter(({ array, length }) => {
        const { buffer } = array as Array;
        return length >= some && !this.changing.has(buffer) && readers.get(buffer) === 1;
      })
      .map((storage) => ({ storage, version: -1 }));
  }

  /** What each pass does to what was written down; nothing without passes. */
  get passes(): PassReport[] {
    const reports: PassReport[] = [];
    improved(this.traced.recording, storagesOf(this.traced.form), reports);
    return reports;
  }

  /** The tensors of such arguments, if it is a call of this kind in the present state of layers, gradients and the like. */
  match(args: readonly unknown[]): Tensor[] | null {
    if (generation !== this.born || isGradEnabled() !== this.hadGradients || modeInForce !== this.mode)
      return null;
    const tensors = this.traced.signature.match(args);
    if (tensors === null) return null;
    const { conditions } = this.traced;
    for (let i = 0; i < conditions.length; i++) if (!conditions[i]()) return null;
    return tensors;
  }

  /**
   * Whether the function should be written down anew, to see that it still does the same: no one sees the variables that it
   * reads. That is done before the second run, which finds most of what a function keeps from one call to the next, and
   * then ever more rarely.
   */
  get isDue(): boolean {
    return this.runs === this.nextCheck || this.isDoubtful || this.isUnstable;
  }

  /**
   * Whether the program does what the function would do now, as written down.
   * @throws AutogradError when it does not, and may not have done so for some runs
   */
  serves({ recording, effects, form }: Trace): boolean {
    const own = this.traced;
    const isSame =
      sameRecordings(own.recording, recording, storagesOf(own.form), storagesOf(form)) &&
      own.effects.length === effects.length &&
      own.effects.every(({ final }, i) => Object.is(final, effects[i].final)) &&
      sameForms(own.form, form);
    if (!isSame && !this.isDoubtful && this.runs > 1) {
      throw new AutogradError(
        '[compile] expected a function that does the same at each call with such arguments, got one that does something ' +
          'else than when it was recorded: what it reads from outside (a variable, a counter) has changed. Give it as an ' +
          'argument; or pass { compiled: false } to fit, evaluate or predict',
      );
    }
    this.isDoubtful = false;
    if (this.runs === this.nextCheck) this.nextCheck *= 4;
    return isSame;
  }

  /**
   * A run with these tensors, which has left gradients, versions and modes as it will leave them, for the next call to find;
   * `later` when it will not enter at once, so that they must be copied.
   */
  run(tensors: readonly Tensor[], later: boolean): Run<unknown> {
    const { failure } = this;
    // Said once: the list as it was recorded does the same.
    this.failure = null;
    if (failure !== null) throw failure;
    this.runs++;
    const values = this.valuesOf(tensors);
    if (later) for (let i = 0; i < values.length; i++) values[i] = copyOf(values[i]);
    const writes = this.capture();
    // From here on nothing fails, and the run will write them.
    const { made } = this;
    const { captured } = made.planned;
    for (let i = 0; i < captured.length; i++) this.seen[i] = captured[i].from.owner.version;
    const pass = nextPass();
    const { effects } = this.traced;
    for (let i = 0; i < effects.length; i++) effects[i].apply(pass);
    return {
      program: made.program,
      enter: () => write(made, values, writes),
      leave: () => this.result(made),
      abandon: () => this.abandon(pass),
    };
  }

  /** Writes learning rates and the like and, unless null, arguments into the program's memory. */
  enter(tensors: readonly Tensor[] | null): void {
    const values = this.valuesOf(tensors ?? []);
    const { made } = this;
    write(made, tensors === null ? [...(made.inputs as Array[]), ...values] : values, this.capture());
  }

  /** A run has failed: gradients are unknown. */
  private abandon(pass: number): void {
    for (const effect of this.traced.effects) effect.abandon?.(pass);
    this.seen.fill(-1);
    for (const own of this.steady) own.version = -1;
  }

  /** @throws AutogradError for an argument that a run would change while it is read: a copy of it would not change. */
  private checkApart(array: Array): void {
    if (!this.changing.has(array.buffer)) return;
    throw new AutogradError(
      '[compile] expected arguments on memory that the function does not update, got one that is a view of a Parameter or ' +
        'SharedTensor which it does: clone() it, or use that one directly',
    );
  }

  /** The elements of arguments, and then what else is copied for each run. */
  private valuesOf(tensors: readonly Tensor[]): Array[] {
    const values: Array[] = [];
    for (let i = 0; i < tensors.length; i++) {
      const { storage } = tensors[i];
      const array = checked(storage);
      if (storage.isShared) this.checkApart(array);
      values.push(array);
    }
    const { captured } = this.made.planned;
    for (let i = 0; i < captured.length; i++) {
      const { from, changes } = captured[i];
      // A data set in the closure of a function is not copied for each row that is taken of it.
      const isKnown = from.owner.version === this.seen[i] && !from.isExposed && !changes;
      values.push(isKnown ? nothing : checked(from));
    }
    return values;
  }

  private capture(): (() => void)[] {
    beforeChanges(this.changing);
    const writes: (() => void)[] = [];
    for (let i = 0; i < this.settings.length; i++) writes.push(this.settings[i].capture());
    this.announce(writes);
    return writes;
  }

  /** Tells the program what of its weights has changed, once it is the run's turn, and what may change unseen. */
  private announce(writes: (() => void)[]): void {
    const { program } = this.made;
    for (let i = 0; i < this.steady.length; i++) {
      const own = this.steady[i];
      const { owner, isExposed, array } = own.storage;
      const version = isExposed ? unknown : owner.version;
      if (version === own.version) continue;
      own.version = version;
      writes.push(() => program.setSteady(array as Float, !isExposed));
    }
  }

  /** The result, with copies of the tensors' values. */
  private result(made: Made): unknown {
    const { outputs } = this;
    const copies: Tensor[] = [];
    for (let i = 0; i < outputs.length; i++) {
      const { shape, dtype } = outputs[i];
      copies.push(new Tensor(copyOf(made.outputs[i]), shape, dtype));
    }
    return this.traced.form.fill(copies);
  }
}

const storagesOf = ({ tensors }: Form): Storage[] => tensors.map(({ storage }) => storage);

const nothing = new Float32Array(0);

function write({ inputs, planned }: Made, values: readonly Array[], writes: readonly (() => void)[]): void {
  const { captured } = planned;
  for (let i = 0; i < inputs.length; i++) put(inputs[i], values[i]);
  for (let i = 0; i < captured.length; i++) put(captured[i].to, values[inputs.length + i]);
  for (let i = 0; i < writes.length; i++) writes[i]();
}

/** An array of no elements may be detached. */
function put(to: Elements, values: Array): void {
  if (values.length > 0) to.set(values);
}

function checked(storage: Storage): Array {
  const array = storage.array as Array;
  if (array.length === storage.length) return array;
  throw new DataError(
    `[compile] expected a tensor with ${storage.length} values, got one whose buffer was detached (transferred) or resized`,
  );
}

/**
 * The forward pass of a model as a list of steps, for batches of any size. It is called on stand-ins, with nothing computed,
 * for batches of several sizes: a number that differs from one to the other is the batch, or follows from it.
 */
import { noGrad } from '../autograd.ts';
import { ArgumentError, AutogradError, DataError, inNameOf, ShapeError } from '../errors.ts';
import { arraysOf, type Recording } from '../kernels/recorder.ts';
import type { Layer } from '../layers/layer.ts';
import { inMode } from '../layers/mode.ts';
import { watchForwards } from '../layers/watch.ts';
import { type Arrays, type Dtype, Storage } from '../memory.ts';
import { checkSize, type Shape, sizeOf } from '../shape.ts';
import { isTensor, Tensor } from '../tensor.ts';
import { type Listener, type Traced, traced } from '../trace.ts';
import type { Tensors } from '../train/examples.ts';
import { trace } from '../train/program.ts';
import { forwardOf } from '../train/step.ts';
import { walk } from '../tree.ts';
import { type Size, sizeFrom } from './sizes.ts';

/** A tensor of the forward pass: which memory it shows, and in which shape. */
export interface Part {
  readonly memory: number;
  readonly shape: readonly Size[];
  readonly dtype: Dtype;
}

/** What a step was told, where the ranges of a slice may depend on the batch. */
export type Attributes<Op extends keyof Traced> = Op extends 'slice'
  ? { readonly ranges: readonly { readonly start: Size; readonly count: Size; readonly step: number }[] }
  : Traced[Op];

/** What one op did. */
export interface Step<Op extends keyof Traced = keyof Traced> {
  readonly op: Op;
  /** The layer that called it. */
  readonly layer: { readonly path: string; readonly label: string };
  readonly inputs: readonly (Part | null)[];
  /** What it computed, or updated. */
  readonly output: Part;
  readonly attributes: Attributes<Op>;
}

/** What a memory holds that no step writes first: elements, or one number everywhere. */
export type Leaf =
  | { readonly storage: Storage; readonly values: Arrays[Dtype] }
  | { readonly storage: null; readonly fill: number };

export interface Forward {
  readonly inputs: readonly Part[];
  readonly outputs: readonly (readonly [path: string, part: Part])[];
  readonly steps: readonly Step[];
  readonly leaves: ReadonlyMap<number, Leaf>;
}

/** What the model takes: the shape of an example of each input, and how they lie in what `forward` is given. */
export interface Inputs {
  readonly examples: readonly { readonly shape: Shape; readonly dtype: Dtype }[];
  arrange(tensors: readonly Tensor[]): Tensors;
}

/**
 * Sizes of batches that hardly stand for anything else, each of which the next replaces where examples are so large that as
 * many have more elements than a tensor may: primes, three of a kind, as two values are always a multiple of something.
 */
const batchSizes = [
  [1009, 1013, 1019],
  [101, 103, 107],
  [5, 7, 11],
];

/**
 * @param batch the size of the batch; null for any
 * @throws ArgumentError for a forward that depends on values or, unless that is given, in a way on the size of the batch that
 *   no graph has; what the forward throws
 */
export function traceForward(op: string, model: Layer, inputs: Inputs, batch: number | null): Forward {
  const attempt = (batches: readonly number[]) => {
    const runs = batches.map((size) => runFor(op, model, inputs, size));
    return new Account(op, runs, batches).forward(inputs.examples);
  };
  if (batch !== null) return attempt([batch]);
  for (let i = 0; ; i++) {
    try {
      return attempt(batchSizes[i]);
    } catch (error) {
      const isTooLarge = error instanceof ShapeError && error.message.includes('fewer than 2^31');
      if (!isTooLarge || i + 1 === batchSizes.length) throw inWords(error, batchSizes[i][0]);
    }
  }
}

/** The size that stood for any, in messages, is called what it is. */
function inWords(error: unknown, batch: number): unknown {
  if (!(error instanceof ShapeError)) return error;
  const { message, stack } = error;
  error.message = message.replace(new RegExp(`\\b${batch}\\b`, 'g'), 'batch');
  if (stack !== undefined) error.stack = stack.replace(message, () => error.message);
  return error;
}

interface Note {
  readonly op: keyof Traced;
  readonly layer: Step['layer'];
  readonly inputs: readonly (Tensor | null)[];
  readonly output: Tensor;
  readonly attributes: Traced[keyof Traced];
}

/** What messages call a step: `conv2d in Conv2D 1`, `add in blocks.0 (Residual)`. */
export function placeOf({ op, layer, attributes }: Pick<Step, 'op' | 'layer' | 'attributes'>): string {
  const { op: name = op } = (attributes ?? {}) as { readonly op?: string };
  return `${name} in ${layer.label}`;
}

/** One call of the forward pass. */
interface Run {
  /** Of the ops that its outputs need. */
  readonly notes: readonly Note[];
  readonly inputs: readonly Storage[];
  readonly outputs: readonly (readonly [path: string, tensor: Tensor])[];
  readonly recording: Recording;
}

function runFor(op: string, model: Layer, { examples, arrange }: Inputs, batch: number): Run {
  const tensors = examples.map(({ shape, dtype }) => {
    const whole = [batch, ...shape];
    checkSize(op, whole);
    return new Tensor(new Storage(dtype, sizeOf(whole), null), whole, dtype);
  });
  const notes: Note[] = [];
  const layers: Step['layer'][] = [{ path: '', label: model.label }];
  const listener: Listener = {
    note(name, given, output, attributes) {
      notes.push({ op: name, layer: layers[layers.length - 1], inputs: [...given], output, attributes });
    },
  };
  let failed: string | undefined;
  let result: unknown;
  const forward = (x: Tensors) => {
    result = traced(listener, () => noGrad(() => inMode(false, () => forwardOf(model, x))));
    return result;
  };
  try {
    const { recording, inputs } = watchForwards(
      model,
      (layer, path, call) => {
        layers.push({ path, label: layer.label });
        try {
          return call();
        } catch (error) {
          failed ??= layer.label;
          throw error;
        } finally {
          layers.pop();
        }
      },
      () => trace(forward, [arrange(tensors)]),
    );
    const outputs = isTensor(result) ? [['', result] as const] : [...walk(result as object, isTensor)];
    checkUpdates(op, notes, recording);
    return { notes: living(notes, outputs), inputs, outputs, recording };
  } catch (error) {
    if (error instanceof AutogradError && error.message.startsWith('[compile] expected no ')) {
      throw new ArgumentError(
        `[${op}] expected a forward that does the same for all values, as its graph is written down once, got one that reads ` +
          `values of tensors (data, item, toArray) in ${failed ?? model.label}: to choose by a value, use where`,
      );
    }
    return inNameOf(op, 'compile', () => {
      throw error;
    });
  }
}

/** @throws ArgumentError for an update of what outlives the forward pass, which a graph cannot do, whoever reads it */
function checkUpdates(op: string, notes: readonly Note[], recording: Recording): void {
  const update = notes.find(({ output }) => !recording.owns(output.storage));
  if (update === undefined) return;
  throw new ArgumentError(
    `[${op}] expected a forward that leaves parameters and state as they are in evaluation, got an update in place by ` +
      `${placeOf(update)}: do it while this.training alone`,
  );
}

/** Those that the outputs need, walked to from there. */
function living(notes: readonly Note[], outputs: Run['outputs']): Note[] {
  const needed = new Set(outputs.map(([, { storage }]) => storage));
  const found: Note[] = [];
  for (let i = notes.length - 1; i >= 0; i--) {
    const { output, inputs } = notes[i];
    // What it held before is needed where it is read.
    if (!needed.delete(output.storage)) continue;
    for (const input of inputs) if (input !== null) needed.add(input.storage);
    found.push(notes[i]);
  }
  return found.reverse();
}

/** The memories of a run by number, in the order in which they are met. */
function numbered({ notes, inputs, outputs }: Run): Map<Storage, number> {
  const numbers = new Map<Storage, number>();
  const meet = (storage: Storage) => {
    if (!numbers.has(storage)) numbers.set(storage, numbers.size);
  };
  inputs.forEach(meet);
  for (const note of notes) {
    for (const input of note.inputs) if (input !== null) meet(input.storage);
    meet(note.output.storage);
  }
  for (const [, { storage }] of outputs) meet(storage);
  return numbers;
}

/** One account of what several runs did, each for a batch of its size. */
class Account {
  private readonly memories: readonly Map<Storage, number>[];
  private readonly leaves = new Map<number, Leaf>();
  /** Memories that steps have written. */
  private readonly written = new Set<number>();
  /** Where something is that messages tell of. */
  private where = '';

  constructor(
    private readonly op: string,
    private readonly runs: readonly Run[],
    private readonly batches: readonly number[],
  ) {
    this.memories = runs.map(numbered);
  }

  forward(examples: Inputs['examples']): Forward {
    const { runs, batches } = this;
    const [{ inputs, notes, outputs }] = runs;
    inputs.forEach((_, i) => {
      this.written.add(i);
    });
    const batch = sizeFrom(batches, batches)!;
    const forward = {
      inputs: examples.map(({ shape, dtype }, i): Part => ({ memory: i, shape: [batch, ...shape], dtype })),
      steps: notes.map((_, i) => this.step(runs.map((run) => run.notes[i]))),
      outputs: outputs.map(([path], i) => {
        this.where = path === '' ? 'the output' : `the output ${path.slice(0, 60)}`;
        return [path, this.read(runs.map((run) => run.outputs[i]?.[1]))] as const;
      }),
      leaves: this.leaves,
    };
    if (runs.some((run) => run.notes.length !== notes.length)) throw this.differs('more ops');
    return forward;
  }

  private differs(what: string): ArgumentError {
    return new ArgumentError(
      `[${this.op}] expected a forward that does the same for batches of every size, got ${what} in ${this.where}: write it ` +
        'without the size of the batch, or export for one size by { batch }',
    );
  }

  private step(notes: readonly (Note | undefined)[]): Step {
    const [first] = notes as readonly Note[];
    const { op, layer, inputs } = first;
    this.where = placeOf(first);
    const areSame = notes.every((note) => note?.op === op && note.inputs.length === inputs.length);
    if (!areSame) throw this.differs('other ops');
    const same = notes as readonly Note[];
    const read = inputs.map((_, i) => {
      const tensors = same.map((note) => note.inputs[i]);
      return tensors.every((x) => x === null) ? null : this.read(tensors);
    });
    const output = this.part(same.map((note) => note.output));
    this.written.add(output.memory);
    const attributes = this.attributes(
      same.map((note) => note.attributes),
      '',
    );
    return { op, layer, inputs: read, output, attributes } as Step;
  }

  private part(tensors: readonly (Tensor | null | undefined)[]): Part {
    const [first] = tensors as readonly Tensor[];
    const { shape, dtype } = first;
    const memory = this.memories[0].get(first.storage)!;
    const areSame = tensors.every(
      (x, i) => x?.dtype === dtype && x.rank === shape.length && this.memories[i].get(x.storage) === memory,
    );
    if (!areSame) throw this.differs('other tensors');
    const sizes = shape.map((_, axis) =>
      this.size(
        tensors.map((x) => x!.shape[axis]),
        'a size',
      ),
    );
    return { memory, shape: sizes, dtype };
  }

  private size(values: readonly number[], what: string): Size {
    const size = sizeFrom(values, this.batches);
    if (size === null) throw this.differs(`${what} of ${values.join(', ')} for ${this.batches.join(', ')}`);
    return size;
  }

  /** A tensor that is read: one that was computed, an input, or a leaf, met for the first time perhaps. */
  private read(tensors: readonly (Tensor | null | undefined)[]): Part {
    const part = this.part(tensors);
    const { memory } = part;
    if (!this.written.has(memory) && !this.leaves.has(memory)) {
      const storages = tensors.map((x) => x!.storage);
      this.leaves.set(memory, this.leaf(storages));
    }
    return part;
  }

  private leaf(storages: readonly Storage[]): Leaf {
    const [storage] = storages;
    if (storages.some(({ array }) => array === null)) throw this.unknown(storage);
    const arrays = storages.map((each) => each.array as Arrays[Dtype]);
    const [values] = arrays;
    if (values.length !== storage.length) {
      throw new DataError(
        `[${this.op}] expected tensors with their elements, got one whose buffer was detached (transferred) in ${this.where}`,
      );
    }
    const areSame = arrays.every(
      (other) =>
        other === values ||
        (other.length === values.length && other.every((x, i) => Object.is(x, values[i]))),
    );
    if (areSame) return { storage, values: storage.still() };
    const fill = values[0];
    if (arrays.every((other) => other.every((x) => Object.is(x, fill)))) return { storage: null, fill };
    throw this.differs('other constants');
  }

  /** For what a kernel made and no op told. */
  private unknown(storage: Storage): ArgumentError {
    const { calls } = this.runs[0].recording;
    const call = calls.find((each) => arraysOf<Storage>(each).some(([array]) => array === storage));
    return new ArgumentError(
      `[${this.op}] expected a forward of ops that a graph can have, got what the kernel ${call?.[0] ?? 'of another call'} ` +
        `computed for ${this.where}: random numbers and losses have no place there`,
    );
  }

  /** What all were told alike; of a slice, start and count may depend on the batch. */
  private attributes(given: readonly unknown[], key: string): unknown {
    const [value] = given;
    if (typeof value === 'number' && (key === 'start' || key === 'count')) {
      return this.size(given as readonly number[], `a ${key}`);
    }
    if (typeof value !== 'object' || value === null) {
      if (given.every((other) => Object.is(other, value))) return value;
      throw this.differs(`${key} of ${given.join(', ')} for ${this.batches.join(', ')}`);
    }
    if (ArrayBuffer.isView(value)) {
      if (given.every((other) => String(other) === String(value))) return value;
      throw this.differs(`other ${key}`);
    }
    const inner = (name: string, called: string) =>
      this.attributes(
        given.map((other) => (other as Record<string, unknown>)[name]),
        called,
      );
    if (!Array.isArray(value)) {
      return Object.fromEntries(Object.keys(value).map((name) => [name, inner(name, name)]));
    }
    return value.map((_, i) => inner(String(i), key));
  }
}

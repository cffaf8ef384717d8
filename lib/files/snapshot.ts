/** Models, optimizers and random numbers at one moment, and the way back to it. */
import { checkBoolean, describe, isInstance, isRecord, readOptions } from '../arguments.ts';
import { ArgumentError, FormatError } from '../errors.ts';
import { backendInfo } from '../kernels/index.ts';
import { settleRuns } from '../kernels/queue.ts';
import { changing, refuseRecording } from '../kernels/recorder.ts';
import { isRegistered, type Json, type LayerConfig } from '../layers/config.ts';
import { checkLayer, type Layer } from '../layers/layer.ts';
import { copyOf } from '../memory.ts';
import { nameClass } from '../names.ts';
import { Optimizer } from '../optimizers/optimizer.ts';
import { defaultState, type RandomState } from '../random.ts';
import { type Named, nameList, readNamed, readState } from '../state.ts';
import { Tensor } from '../tensor.ts';
import { version } from '../version.ts';
import { knownArchitectureOf, modesOf, setModes } from './architecture.ts';
import { concatBytes } from './bytes.ts';
import { digestOfText } from './digest.ts';
import { checkpointPrefix, encodeParts } from './encode.ts';
import { Fields } from './fields.ts';
import { flatten, type SavedState, unflatten } from './savedState.ts';

/** The version of what a checkpoint consists of. */
const format = 1;

/** What a training changes. */
export interface CheckpointParts {
  model: Layer;
  /** One, or several by name. */
  optimizer?: Optimizer | Readonly<Record<string, Optimizer>> | undefined;
}

/** What a checkpoint is made of. */
export interface CheckpointContent extends CheckpointParts {
  /** How many steps were taken, for whoever reads it. */
  step?: number | undefined;
  /** Whatever else a loop of one's own has to know to go on. */
  extra?: SavedState | undefined;
}

/** What a checkpoint is restored into. */
export interface RestoreOptions extends CheckpointParts {
  /** Whether the default random state, behind `randn`, initializers and dropout, goes on where it was; default true. */
  random?: boolean;
}

/** @internal Values, and the tensors that take them. */
interface Write {
  readonly into: Tensor;
  readonly values: Tensor['data'];
}

const settled = (tensor: Tensor) => new Tensor(copyOf(tensor.storage.array!), tensor.shape, tensor.dtype);

const byName = <Value>(named: Named<Value>): Record<string, Value> => Object.fromEntries(named);

/** Optimizers by name; '' is that of the only one. */
function optimizersOf(op: string, { optimizer }: CheckpointParts): [name: string, optimizer: Optimizer][] {
  if (optimizer === undefined) return [];
  if (isInstance(optimizer, Optimizer)) return [['', optimizer]];
  const refuse = (value: unknown) =>
    new ArgumentError(
      `[${op}] expected optimizer to be an Optimizer, or several by name, got ${describe(value)}`,
    );
  if (!isRecord(optimizer)) throw refuse(optimizer);
  const several = Object.entries(optimizer);
  for (const [, one] of several) if (!isInstance(one, Optimizer)) throw refuse(one);
  return several;
}

/** Of a config so many characters are kept: one may hold a vocabulary, and lies in that of each layer around it. */
const shown = 300;

/** The config as text, a long one by its beginning and its sum. */
function textOf(config: LayerConfig): string {
  const text = JSON.stringify(config);
  return text.length <= shown ? text : `${text.slice(0, shown)}… (sum ${digestOfText(text)})`;
}

/** What a layer is, as JSON, where its class has a name that a minifier leaves alone and its options are plain. */
function configsOf(model: Layer): Record<string, string> {
  const configs: Record<string, string> = {};
  for (const [path, layer] of model.namedLayers()) {
    if (!isRegistered(layer)) continue;
    try {
      configs[path] = textOf(layer.config);
    } catch {
      // Options that cannot be told are those of a class of the user's.
    }
  }
  return configs;
}

function modelState(model: Layer): SavedState {
  return {
    layers: configsOf(model),
    hidden: byName(model.namedHidden()),
    random: byName(model.namedRandomStates()),
    ...modesOf(model),
  };
}

/** What the model calls the parameters of an optimizer; null for those that it has not. */
function namesIn(model: Layer, optimizer: Optimizer): (string | null)[] {
  const names = new Map<Tensor, string>(
    model.namedParameters().map(([name, parameter]) => [parameter, name]),
  );
  return optimizer.parameters.map((parameter) => names.get(parameter) ?? null);
}

/** Those that it has not, by their positions. */
function foreignTo(model: Layer, optimizer: Optimizer): Named<Tensor> {
  const names = namesIn(model, optimizer);
  return optimizer.parameters.flatMap(
    (parameter, i): Named<Tensor> => (names[i] === null ? [[String(i), parameter]] : []),
  );
}

function optimizerState(model: Layer, optimizer: Optimizer): SavedState {
  const foreign = foreignTo(model, optimizer);
  return {
    type: optimizer.constructor.name,
    parameters: namesIn(model, optimizer),
    foreign: byName(foreign),
    frozen: foreign.filter(([, { requiresGrad }]) => !requiresGrad).map(([i]) => i),
    state: optimizer.stateDict(),
  };
}

/**
 * A copy of a moment.
 * @param own what the caller keeps beside it
 * @param random the default random state of that moment
 * @throws ArgumentError for what is none of these, or cannot be kept
 */
export function capture(
  op: string,
  content: CheckpointContent,
  own: { training?: SavedState } = {},
  random: RandomState = defaultState,
): Checkpoint {
  refuseRecording(op);
  const { model, step, extra = null } = content;
  checkLayer(op, model);
  if (step !== undefined && !(Number.isSafeInteger(step) && step >= 0)) {
    throw new ArgumentError(`[${op}] expected step to be an integer of at least 0, got ${describe(step)}`);
  }
  settleRuns();
  const optimizers = optimizersOf(op, content).map(([name, optimizer]): [string, SavedState] => [
    name,
    optimizerState(model, optimizer),
  ]);
  const { json, tensors } = flatten(
    op,
    {
      format,
      library: version,
      backend: backendInfo().name,
      step,
      random,
      model: modelState(model),
      ...(optimizers[0]?.[0] === '' ? { optimizer: optimizers[0][1] } : { optimizers: byName(optimizers) }),
      extra,
      ...own,
    },
    checkpointPrefix,
  );
  const all = new Map(tensors);
  for (const [name, tensor] of model.namedTensors()) {
    if (name.startsWith(checkpointPrefix)) {
      throw new ArgumentError(
        `[${op}] expected names of parameters that do not begin with ${checkpointPrefix}, got ${name}`,
      );
    }
    all.set(name, settled(tensor));
  }
  return new Checkpoint('', json, all, knownArchitectureOf(model));
}

/** Of a file that a newer version wrote: it is not damaged. */
export class NewerFormatError extends FormatError {
  static {
    nameClass(NewerFormatError, 'FormatError');
  }
}

/** What can be gone back to: a model, its optimizers and random numbers, and what else a training knows. */
export class Checkpoint {
  static {
    nameClass(Checkpoint, 'Checkpoint');
  }

  /** Where it came from: the path of its file, or '' for one that has none. */
  readonly name: string;
  /** @internal All of it, but the model's tensors, apart into JSON and the tensors that that names. */
  readonly json: Readonly<Record<string, Json>>;
  /** @internal */
  readonly tensors: ReadonlyMap<string, Tensor>;
  /** @internal What makes its file one of a model as well; nothing where the model's layers are not known by name. */
  readonly architecture: Readonly<Record<string, string>>;

  /** @internal @throws FormatError where it is none */
  constructor(
    name: string,
    json: Json,
    tensors: ReadonlyMap<string, Tensor>,
    architecture: Readonly<Record<string, string>>,
  ) {
    this.name = name;
    this.tensors = tensors;
    this.architecture = architecture;
    if (!isRecord(json)) throw new FormatError(`${this.title}: expected a record`);
    this.json = json as Record<string, Json>;
    const found = this.part('format');
    if (typeof found !== 'number') throw new FormatError(`${this.title}: expected format to be a number`);
    if (found <= format) return;
    throw new NewerFormatError(
      `${this.title}: expected format ${format}, got ${found}, written by axpy ${this.part('library')}; this is axpy ${version}: ` +
        'update it to load this file',
    );
  }

  /** @internal What messages call it. */
  get title(): string {
    return this.name === '' ? 'the checkpoint' : `the checkpoint ${this.name}`;
  }

  /** @internal */
  has(name: string): boolean {
    return Object.hasOwn(this.json, name);
  }

  /** @internal A part of it, with tensors of its own; undefined where it has none of that name. */
  part(name: string): SavedState | undefined {
    if (!this.has(name)) return undefined;
    return unflatten(`${this.title}, ${name}`, this.json[name], (key) => this.tensors.get(key));
  }

  /** @internal */
  record(name: string): Fields {
    return new Fields(`${this.title}, ${name}`, this.part(name));
  }

  /** How many steps had been taken, where that was told; else 0. */
  get step(): number {
    const step = this.part('step') ?? 0;
    if (Number.isSafeInteger(step) && (step as number) >= 0) return step as number;
    throw new FormatError(`${this.title}: expected step to be a count`);
  }

  /** What was given as `extra`, as a copy; null where there was none. */
  get extra(): SavedState {
    return this.part('extra') ?? null;
  }

  /** Copies of the model's parameters and buffers by name, as a `stateDict`. */
  get weights(): Record<string, Tensor> {
    return Object.fromEntries(this.own.map(([name, tensor]) => [name, settled(tensor)]));
  }

  /** @internal The same as they are. */
  get own(): Named<Tensor> {
    return [...this.tensors].filter(([name]) => !name.startsWith(checkpointPrefix));
  }

  /**
   * Brings a model, its optimizers and the default random state back to that moment: parameters, buffers and hidden state,
   * which parameters want gradients, which layers are in evaluation mode; the optimizers' state with their hyperparameters and
   * learning rates, which count, whatever the constructor was given. All is checked before anything is changed.
   * @throws ArgumentError or ShapeError for another model or optimizer, FormatError where the checkpoint lacks something
   */
  restore(options: RestoreOptions): void {
    const op = 'restore';
    const { random = true, ...parts } = readOptions(op, options, ['model', 'optimizer', 'random']);
    checkBoolean(op, 'random', random);
    const state = this.random;
    prepare(op, this, parts)();
    if (random) defaultState.set(state);
  }

  /** The bytes of its file. */
  encode(): Uint8Array {
    return concatBytes(encodeParts('encode', this));
  }

  /** @internal */
  get random(): RandomState {
    const state = this.part('random');
    if (state instanceof Uint32Array && state.length === 6) return state;
    throw new FormatError(`${this.title}: expected random to be a random state`);
  }
}

/**
 * Checks that a checkpoint is one of these.
 * @returns what writes it; that may throw where a state is none of an optimizer's, and changes nothing then
 */
export function prepare(op: string, checkpoint: Checkpoint, parts: CheckpointParts): () => void {
  refuseRecording(op);
  const { model } = parts;
  checkLayer(op, model);
  const saved = checkpoint.record('model');
  const own = model.namedTensors();
  const hidden = model.namedHidden();
  const states = model.namedRandomStates();
  const random = readRandom(op, states, saved.inner('random'));
  const textsOf = (name: string) => [...saved.texts(name)];
  const modes = {
    frozen: textsOf('frozen'),
    evaluation: textsOf('evaluation'),
    // Those of before there was `trainable` have none.
    frozenLayers: saved.has('frozenLayers') ? textsOf('frozenLayers') : [],
  };
  const writes = [
    ...pair(own, readState(op, own, Object.fromEntries(checkpoint.own))),
    ...pair(hidden, readState(op, hidden, saved.tensors('hidden'))),
  ];
  const optimizers = optimizersOf(op, parts);
  const savedOptimizer = savedOptimizers(op, checkpoint);
  const loads = optimizers.map(([name, optimizer]) => {
    const what = name === '' ? 'optimizer' : `optimizer ${name}`;
    const state = savedOptimizer(name, what);
    return checkOptimizer(op, what, checkpoint.title, state, model, optimizer);
  });
  return () => {
    loadAll(loads);
    settleRuns();
    for (const { into, values } of [...writes, ...loads.flatMap((load) => load.writes)]) {
      changing(op, into.storage);
      into.storage.array!.set(values);
    }
    states.forEach(([, state], i) => {
      state.set(random[i]);
    });
    setModes(model, modes);
    for (const { wanting } of loads) {
      for (const [parameter, wantsGradient] of wanting) parameter.setRequiresGrad(wantsGradient);
    }
  };
}

/** The random states of layers. @throws ArgumentError unless they are those of the checkpoint */
function readRandom(op: string, own: Named<RandomState>, saved: Fields): RandomState[] {
  const given = Object.fromEntries(
    saved.names.map((name) => [name, saved.array<Uint32Array>(name, 'Uint32Array', 6)]),
  );
  return readNamed(
    op,
    own.map(([name]) => name),
    given,
  );
}

/** Gives that of a name; '' for the only one. @throws ArgumentError where there is none */
function savedOptimizers(op: string, checkpoint: Checkpoint): (name: string, what: string) => Fields {
  // Once, as it copies the state of all.
  const several = checkpoint.has('optimizers') ? checkpoint.record('optimizers') : undefined;
  return (name, what) => {
    if (name === '' && checkpoint.has('optimizer')) return checkpoint.record('optimizer');
    if (name !== '' && several?.has(name)) return several.inner(name);
    const others = several === undefined ? 'one without a name' : nameList(several.names);
    throw new ArgumentError(`[${op}] expected ${what} in ${checkpoint.title}, got ${others}`);
  };
}

/** What an optimizer is to have again. */
interface Load {
  readonly optimizer: Optimizer;
  readonly values: Readonly<Record<string, Tensor>>;
  /** Of parameters that are none of the model's. */
  readonly writes: readonly Write[];
  readonly wanting: readonly (readonly [parameter: Tensor, wantsGradient: boolean])[];
}

function checkOptimizer(
  op: string,
  what: string,
  title: string,
  saved: Fields,
  model: Layer,
  optimizer: Optimizer,
): Load {
  const { name } = optimizer.constructor;
  const type = saved.text('type');
  if (type !== name) {
    throw new ArgumentError(`[${op}] expected ${what} to be ${type}, as in ${title}, got ${name}`);
  }
  const own = namesIn(model, optimizer);
  const theirs = saved.list('parameters');
  const at = own.findIndex((parameter, i) => parameter !== theirs[i]);
  if (at >= 0 || own.length !== theirs.length) {
    const show = (list: readonly SavedState[]) =>
      `${list.length}${at >= 0 && at < list.length ? `, of which number ${at} is ${list[at] ?? 'none of the model'}` : ''}`;
    throw new ArgumentError(
      `[${op}] expected ${what} to have the parameters that it has in ${title}: ${show(theirs)}, got ${show(own)}`,
    );
  }
  const foreign = foreignTo(model, optimizer);
  const frozen = saved.texts('frozen');
  const values = saved.tensors('state');
  // By its own methods, which may do otherwise.
  readState(op, Object.entries(optimizer.stateDict()), values);
  return {
    optimizer,
    values,
    writes: pair(foreign, readState(op, foreign, saved.tensors('foreign'))),
    wanting: foreign.map(([i, parameter]) => [parameter, !frozen.includes(i)]),
  };
}

const pair = (named: Named<Tensor>, values: readonly Tensor['data'][]): Write[] =>
  named.map(([, into], i) => ({ into, values: values[i] }));

/** All of them, or none. */
function loadAll(loads: readonly Load[]): void {
  const undo: (() => void)[] = [];
  try {
    for (const { optimizer, values } of loads) {
      const before = optimizer.stateDict();
      undo.push(() => optimizer.loadStateDict(before));
      optimizer.loadStateDict(values);
    }
  } catch (error) {
    undo.pop();
    for (const back of undo) back();
    throw error;
  }
}

/**
 * Checks that the layers of a model are those of a checkpoint, as far as their classes tell what they are.
 * @throws ArgumentError that says both of the first that differs
 */
export function checkLayers(op: string, checkpoint: Checkpoint, model: Layer): void {
  const saved = checkpoint.record('model').inner('layers');
  const own = configsOf(model);
  const depthOf = (path: string) => path.split('.').length;
  // The innermost first, as a layer's config holds those in it.
  const paths = [...new Set([...saved.names, ...Object.keys(own)])].filter((path) => path !== '');
  for (const path of [...paths.sort((a, b) => depthOf(b) - depthOf(a)), '']) {
    const theirs = saved.has(path) ? saved.text(path) : 'none';
    const mine = Object.hasOwn(own, path) ? own[path] : 'none';
    if (theirs === mine) continue;
    throw new ArgumentError(
      `[${op}] expected layer ${path || 'of the whole model'} to be ${theirs.slice(0, 2 * shown)}, as in ${checkpoint.title}, got ${mine}`,
    );
  }
}

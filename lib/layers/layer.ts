/** What every layer is: a function of tensors with parameters. */
import { checkBoolean, describe, isInstance } from '../arguments.ts';
import { ArgumentError } from '../errors.ts';
import { settleRuns } from '../kernels/queue.ts';
import { changing, recording, refuseRecording, type Use } from '../kernels/recorder.ts';
import { copyOf, type Dtype, type FloatDtype, lengthOf } from '../memory.ts';
import { nameClass } from '../names.ts';
import {
  type AnyParameter,
  type AnySharedTensor,
  Parameter,
  type SharedParameter,
  SharedTensor,
} from '../parameter.ts';
import { typedArrayName } from '../platform.ts';
import { readShape, type Shape } from '../shape.ts';
import { type Named, readNamed, readState } from '../state.ts';
import { elements, isTensor, Tensor } from '../tensor.ts';
import { walk } from '../tree.ts';
import type { passesOn } from './adapt.ts';
import { configOf, type LayerConfig, typeOf } from './config.ts';
import { dtypesOf, type Inputs, readInputs, type Tensors } from './inputs.ts';
import { modeInForce } from './mode.ts';
import { type GraphRow, summarize } from './summary.ts';

/** The shape of one example, without the batch; undefined when it depends on an input that is not known. */
export type ExampleShape = Shape | undefined;

/** A table: its columns by name, or its rows. A column for a layer whose class nobody knows may hold anything. */
export type Table<Layers extends Readonly<Record<string, Layer>>> =
  | { readonly [Name in keyof Layers]: Layer extends Layers[Name] ? PlainData : PlainInputs<Layers[Name]> }
  | readonly { readonly [Name in keyof Layers]: unknown }[];

/**
 * What a layer may be given by `fit`, `evaluate` and `predict`, where its type tells: what its `inputFrom` takes. A Sequential
 * takes what its first layer takes, Columns a table of what theirs take.
 */
export type PlainInputs<Kind extends Layer> =
  | Inputs
  | (Kind extends { readonly [passesOn]: true; readonly layers: infer Layers }
      ? Layers extends readonly Layer[]
        ? PlainInputs<Layers[0]>
        : Layers extends Readonly<Record<string, Layer>>
          ? Table<Layers>
          : never
      : 0 extends 1 & Parameters<Kind['inputFrom']>[0]
        ? never
        : Parameters<Kind['inputFrom']>[0]);

/** Plain data of any kind, as JSON has it, with typed arrays and tensors in it. */
export type PlainData =
  | Tensor
  | string
  | number
  | boolean
  | null
  | ArrayLike<number>
  | readonly PlainData[]
  | { readonly [name: string]: PlainData };

/** A model whose class nobody knows, as that of a file: it may take anything, text and tables as well. */
export interface AnyModel extends Layer {
  inputFrom(values: PlainData, name?: string, dtype?: FloatDtype): Tensors;
}

/** The name of a method, see `Layer.hidden`. */
const hidden: unique symbol = Symbol('hidden');

/** @internal What a layer may be called, see `label`. */
export const naming = Symbol('naming');

/** @internal How a layer tells its own tensors, see `Layer`. */
export const tensorsOf = Symbol('tensors');

interface Naming {
  /** The label that somebody gave it. */
  own: string | undefined;
  /** Its number in the Sequential that it was given to, as 'Dense 2'. */
  number: string | undefined;
  /** Where it is in the model that was gone through last, and what messages call that place. */
  path: string;
  place: string | undefined;
}

/**
 * The base of all layers. A subclass implements `forward`, and keeps its Parameters, SharedTensors for other state, and
 * inner layers in fields, where they are found by themselves: also in arrays, plain objects and Maps there, nested as one
 * likes. Where one is makes its name: `blocks.0.qkv.weight`, with the keys of a Map as text. Nobody can look into fields that
 * are `#private`, getters, Sets and objects of other classes.
 *
 *     class Scale extends Layer {
 *       readonly factor = new Parameter([1]);
 *       forward(x: Tensor): Tensor {
 *         return x.mul(this.factor);
 *       }
 *     }
 */
export abstract class Layer {
  static {
    nameClass(Layer, 'Layer');
  }

  /**
   * The name of a method by which a layer tells state that is in no field that others see, and so not in `stateDict`, but
   * that a training needs to go on as it would have: checkpoints hold it.
   *
   *     readonly #steps = new SharedTensor([1]);
   *     override [Layer.hidden]() {
   *       return { steps: this.#steps };
   *     }
   */
  static readonly hidden: typeof hidden = hidden;

  /**
   * What becomes of numbers that `fit`, `evaluate` and `predict` are given as a model's input: by default tensors of the
   * dtype of its parameters. A layer that takes indices says `override readonly inputDtype = 'int32'`, one that takes
   * several inputs says it of those that differ, by their names (of arguments by their positions):
   * `{ words: 'int32' } as const`. A Sequential takes what its first layer takes. What is no numbers is the affair of
   * `inputFrom`.
   */
  declare readonly inputDtype?: Dtype | Readonly<Record<string, Dtype>>;
  private isTraining = true;
  private isTrainable = true;
  /** @internal Under a symbol, so that subclasses may call their fields as they like. */
  readonly [naming]: Naming = { own: undefined, number: undefined, path: '', place: undefined };

  /**
   * What messages and `summary` call this layer. Where nobody sets it, that is the place in the model, as
   * `blocks.0.qkv (Dense)`, as soon as `fit`, `parameters` or the like has gone through that; in a Sequential 'Dense 2',
   * and in one within it 'Sequential 1 › Dense 2'; else the kind.
   */
  get label(): string {
    const { own, place, number } = this[naming];
    return own ?? place ?? number ?? typeOf(this);
  }

  set label(label: string) {
    this[naming].own = label;
  }

  /**
   * True while training: dropout drops, batch normalization uses the batch. Set by `train` and `eval`. In `predict` and
   * `evaluate` it is false whatever was set; in a step of `fit` it is what was set, or true if that is false for the model as
   * a whole: so a layer in evaluation mode stays in it while the rest is trained.
   */
  get training(): boolean {
    if (modeInForce !== null) return modeInForce;
    this.observe('isTraining', 'read');
    return this.isTraining;
  }

  set training(training: boolean) {
    checkBoolean(this.label, 'training', training);
    this.observe('isTraining', 'set');
    this.isTraining = training;
  }

  /**
   * False freezes this layer and all in it, as in Keras: their parameters want no gradient, so that none is computed, and
   * stay as they are in every optimizer, whether that was made before or comes later; BatchNorm normalises by its running
   * statistics and leaves them. True makes all of it learn again. Dropout drops as before: that is a matter of `training`.
   *
   *     features.trainable = false;
   *     await fit(model, data, { ...options, epochs: 5 });
   *     features.trainable = true;
   *
   * It may be set at any time, by a callback of `fit` or in a compiled function as well. Setting it is an event: what is set
   * of an inner layer or of a parameter (`setRequiresGrad`) later counts for that one, and a layer that is put in later is
   * what it was. Files of models and checkpoints have it. A layer of one's own that changes buffers as it is trained does so
   * while `this.training && this.trainable`.
   */
  get trainable(): boolean {
    this.observe('isTrainable', 'read');
    return this.isTrainable;
  }

  set trainable(trainable: boolean) {
    checkBoolean(this.label, 'trainable', trainable);
    this.setRequiresGrad(trainable);
    for (const [, layer] of this.layersBelow()) layer.setTrainable(trainable);
  }

  /** @internal Sets what `trainable` says of this layer alone: nothing of those in it, nor of parameters. */
  setTrainable(trainable: boolean): void {
    this.observe('isTrainable', 'set');
    this.isTrainable = trainable;
  }

  private observe(what: 'isTraining' | 'isTrainable', use: Use): void {
    recording?.observe(this, what, use, {
      get: () => this[what],
      set: (value) => {
        this[what] = value;
      },
    });
  }

  /**
   * The output for a batch, batch first. A subclass says what it takes, a tensor, several, or arrays and records of them, and
   * what it returns: a tensor or a tree of them.
   */
  // biome-ignore lint/suspicious/noExplicitAny: a subclass says what it takes and returns, and may say anything
  abstract forward(...inputs: any[]): any;

  /**
   * What becomes of a model's input as `fit`, `evaluate` and `predict` are given it, before batches are taken: the tensors
   * that `forward` gets. Tensors stay what they are. A layer that takes something else than numbers, text say, makes tensors
   * of it here, and one with inputs for layers in it hands each to the one that takes it:
   *
   *     override inputFrom({ city, size }: { city: string[]; size: number[][] }, name = 'x', dtype?: FloatDtype) {
   *       return { city: this.lookup.inputFrom(city, `${name}.city`), size: this.scale.inputFrom(size, `${name}.size`, dtype) };
   *     }
   * @param name what messages call it
   * @param dtype of numbers for which `inputDtype` says nothing; by default that of the parameters
   * @throws DataError, which names the place, for what it cannot be made of
   */
  // biome-ignore lint/suspicious/noExplicitAny: a subclass says what it takes, and may say anything
  inputFrom(values: any, name = 'x', dtype: FloatDtype = this.parameterDtype()): Tensors {
    return readInputs(this, name, values, dtype);
  }

  /**
   * The shape of an example's output for that of its input, neither with the batch.
   * @throws ShapeError when such an input does not fit.
   */
  outputShape(_input: ExampleShape): ExampleShape {
    return undefined;
  }

  /**
   * What this layer is, as plain data that JSON can hold: its type and its options, with those that were left out. A
   * function, as an activation or an initializer of one's own, is null there. `layerFrom` makes another layer of it. A class
   * of one's own tells its options by `configure`.
   */
  get config(): LayerConfig {
    return configOf(this, isLayer);
  }

  /** What `JSON.stringify` shows: `config`, of which `layerFrom` makes a layer. The values are in `stateDict`. */
  toJSON(): LayerConfig {
    return this.config;
  }

  /** Inner layers by where they are in the fields. */
  children(): [name: string, layer: Layer][] {
    return [...walk(this, isLayer)];
  }

  /** @internal The layers of which each takes the output of the one before; null where nobody knows of such. */
  chain(): { readonly layers: readonly Layer[]; readonly inputShape: ExampleShape } | null {
    return null;
  }

  /** @internal The layers by name, with what each takes; null where nobody knows of such. */
  graph(_input: ExampleShape): readonly GraphRow[] | null {
    return null;
  }

  /** This layer, as '', and all below, each once and before those in it, by path. */
  namedLayers(): [path: string, layer: Layer][] {
    return [...this.layersBelow()];
  }

  /** The same one by one, who stops early does not pay for the rest. Each layer learns its place. */
  private *layersBelow(): Generator<[path: string, layer: Layer]> {
    const seen = new Set<Layer>();
    // What is named by numbers alone goes on so: Sequential 1 › Dense 2.
    const left: { path: string; layer: Layer; numbers: string | null }[] = [
      { path: '', layer: this, numbers: '' },
    ];
    for (let next = left.pop(); next !== undefined; next = left.pop()) {
      const { path, layer, numbers } = next;
      if (seen.has(layer)) continue;
      seen.add(layer);
      yield [path, layer];
      const children = layer.children();
      for (let i = children.length - 1; i >= 0; i--) {
        const [name, child] = children[i];
        const childPath = path === '' ? name : `${path}.${name}`;
        const names = child[naming];
        const number = numbers === null || names.number === undefined ? null : numbers + names.number;
        // The path in a larger model says more.
        if (!names.path.endsWith(`.${childPath}`) && child !== this) {
          names.path = childPath;
          names.place = number ?? `${childPath} (${typeOf(child)})`;
        }
        const inner = names.own ?? number;
        left.push({ path: childPath, layer: child, numbers: inner === null ? null : `${inner} › ` });
      }
    }
  }

  /** This layer's own parameters and then those of inner layers, as 'weight' or '0.weight'; a shared one once. */
  namedParameters(): [name: string, parameter: AnyParameter][] {
    return this.namedTensors().filter(
      (named): named is [string, AnyParameter] => named[1] instanceof Parameter,
    );
  }

  /**
   * What this layer and inner ones keep beside parameters, as the running statistics of BatchNorm: a forward pass may
   * change it, no optimizer does, and it is part of the state.
   */
  namedBuffers(): [name: string, buffer: AnySharedTensor][] {
    return this.namedTensors().filter(([, tensor]) => !(tensor instanceof Parameter));
  }

  /** @internal Parameters and buffers, each once, layer by layer. @throws ArgumentError for two of one name. */
  namedTensors(): Named<AnySharedTensor> {
    const found = [...this.tensorsBelow()];
    const names = new Set<string>();
    for (const [name] of found) {
      if (names.has(name)) {
        throw new ArgumentError(
          `${this.label} expected each parameter under a name of its own, got two under ${name.slice(0, 200)}`,
        );
      }
      names.add(name);
    }
    return found;
  }

  private *tensorsBelow(): Generator<[name: string, tensor: AnySharedTensor]> {
    const seen = new Set<AnySharedTensor>();
    for (const [path, layer] of this.layersBelow()) {
      for (const [name, tensor] of layer[tensorsOf]()) {
        if (seen.has(tensor)) continue;
        seen.add(tensor);
        yield [path === '' ? name : `${path}.${name}`, tensor];
      }
    }
  }

  /** @internal The tensors in this layer's own fields; one that has them by other names tells these. */
  [tensorsOf](): Iterable<readonly [name: string, tensor: AnySharedTensor]> {
    return walk(this, isSharedTensor);
  }

  /** State that `stateDict` leaves out, see `Layer.hidden`; by default none. */
  [hidden](): Readonly<Record<string, AnySharedTensor>> {
    return {};
  }

  /** @internal The same of this layer and all below, by path. */
  namedHidden(): Named<AnySharedTensor> {
    return this.namedLayers().flatMap(([path, layer]) =>
      Object.entries(layer[hidden]()).map(([name, tensor]): [string, AnySharedTensor] => {
        if (isSharedTensor(tensor)) return [path === '' ? name : `${path}.${name}`, tensor];
        throw new ArgumentError(
          `${layer.label} expected its hidden state to be SharedTensors, got ${describe(tensor)}`,
        );
      }),
    );
  }

  /** @internal Random states that this layer and inner ones draw from by themselves, by path. */
  namedRandomStates(): Named<Uint32Array> {
    return this.namedLayers().flatMap(([path, layer]) =>
      Array.from(walk(layer, isRandomState), ([name, state]): [string, Uint32Array] => [
        path === '' ? name : `${path}.${name}`,
        state,
      ]),
    );
  }

  /** @internal The dtype of the tensors that numbers for an input become, by its path: 'words', or '' for the only one. */
  inputDtypeAt(path: string, otherwise: Dtype): Dtype {
    return dtypesOf(this, otherwise)(path);
  }

  /** @internal That of the first parameter; float32 where there is none. */
  parameterDtype(): FloatDtype {
    for (const [, tensor] of this.tensorsBelow())
      if (tensor instanceof Parameter) return tensor.dtype as FloatDtype;
    return 'float32';
  }

  /** All parameters, each once. */
  parameters(): AnyParameter[] {
    return this.namedParameters().map(([, parameter]) => parameter);
  }

  /** How many numbers the parameters are, those that are frozen among them. */
  parameterCount(): number {
    return this.parameters().reduce((sum, parameter) => sum + parameter.size, 0);
  }

  /** Switches this layer and all inner ones to training (or, with false, to evaluation). */
  train(training = true): this {
    this.training = training;
    // By their own methods, which may do otherwise; a layer that holds the one it is in ends the way.
    if (switching.has(this)) return this;
    switching.add(this);
    try {
      for (const [, layer] of this.children()) layer.train(training);
    } finally {
      switching.delete(this);
    }
    return this;
  }

  /** Switches to evaluation. */
  eval(): this {
    return this.train(false);
  }

  /**
   * Freezes all parameters of this layer and inner ones (false), or makes them want gradients again, and says nothing of what
   * layers keep beside them: see `trainable`. Optimizers leave a parameter without a gradient as it is. A BatchNorm whose
   * scale and shift are both frozen is frozen as a whole.
   */
  setRequiresGrad(requiresGrad = true): this {
    checkBoolean('setRequiresGrad', 'requiresGrad', requiresGrad);
    for (const parameter of this.parameters()) parameter.setRequiresGrad(requiresGrad);
    return this;
  }

  /** Copies of all parameters and buffers by name. */
  stateDict(): Record<string, Tensor> {
    settleRuns();
    const state: Record<string, Tensor> = {};
    for (const [name, tensor] of this.namedTensors()) {
      state[name] = new Tensor(copyOf(tensor.values()), tensor.shape, tensor.dtype);
    }
    return state;
  }

  /**
   * Overwrites all parameters and buffers.
   * @throws ArgumentError when a name is missing or unknown, ShapeError when a shape or dtype differs, DataError for a
   *   detached tensor; nothing was then changed.
   */
  loadStateDict(state: Readonly<Record<string, Tensor>>): void {
    refuseRecording('loadStateDict');
    const tensors = this.namedTensors();
    const values = readState('loadStateDict', tensors, state);
    settleRuns();
    tensors.forEach(([, tensor], i) => {
      changing('loadStateDict', tensor.storage);
      elements(tensor).set(values[i]);
    });
  }

  /**
   * Where the values of parameters and buffers are, to be sent to a worker thread by `postMessage` and attached there.
   *
   * Both threads then see the same numbers, without copies. Each number is read whole, but a forward pass that runs while
   * another thread updates the parameters may mix numbers of two steps. A thread that must see whole steps takes a
   * `stateDict()` between steps instead.
   * @throws MemoryError where the host has no shared memory: in a page that is not cross-origin isolated.
   */
  share(): Record<string, SharedParameter> {
    return Object.fromEntries(this.namedTensors().map(([name, tensor]) => [name, tensor.share()]));
  }

  /**
   * Uses the parameters and buffers of a model in another thread, as its `share()` describes them: see there for what a
   * reader sees.
   * @throws ArgumentError or ShapeError when it is a model of other parameters; nothing was then changed.
   */
  attach(shared: Readonly<Record<string, SharedParameter>>): void {
    const tensors = this.namedTensors();
    const names = tensors.map(([name]) => name);
    const memories = readNamed('attach', names, shared).map((given, i) => {
      const [name, tensor] = tensors[i];
      return tensor.readMemory(name, given);
    });
    tensors.forEach(([, tensor], i) => {
      tensor.useMemory(memories[i]);
    });
  }

  /** A table: layer, output shape, parameters. `inputShape`, without the batch, fills in what depends on it. */
  summary(inputShape?: Shape): string {
    this.namedLayers();
    return summarize(this, inputShape === undefined ? undefined : readShape('summary', inputShape));
  }
}

/** The layers whose `train` is under way. */
const switching = new Set<Layer>();

const isLayer = (value: unknown): value is Layer => isInstance(value, Layer);

/** As `randomState` makes one. */
const isRandomState = (value: unknown): value is Uint32Array =>
  typedArrayName.call(value) === 'Uint32Array' && lengthOf(value as Uint32Array) === 6;

const isSharedTensor = (value: unknown): value is AnySharedTensor =>
  isTensor(value) && value instanceof SharedTensor;

/** @throws ArgumentError unless value is a Layer. */
export function checkLayer(op: string, value: unknown, name = 'model'): asserts value is Layer {
  if (isLayer(value)) return;
  throw new ArgumentError(`[${op}] expected ${name} to be a Layer, got ${describe(value)}`);
}

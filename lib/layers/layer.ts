/** What every layer is: a function of a tensor with parameters. */
import { checkBoolean, isArray, isInstance } from '../arguments.ts';
import { ShapeError } from '../errors.ts';
import { changing, recording, refuseRecording, type Use } from '../kernels/recorder.ts';
import { copyOf } from '../memory.ts';
import { Parameter, type SharedParameter, SharedTensor } from '../parameter.ts';
import { readShape, type Shape, show } from '../shape.ts';
import { type Named, readNamed, readState } from '../state.ts';
import { isTensor, Tensor } from '../tensor.ts';
import { summarize } from './summary.ts';

/** The shape of one example, without the batch; undefined when it depends on an input that is not known. */
export type ExampleShape = Shape | undefined;

/** How long a list of layers may be. */
export const most = 2 ** 16;

/**
 * The base of all layers. A subclass keeps its Parameters, SharedTensors for other state, and inner layers in fields (or
 * arrays of layers), where they are found by themselves, and implements `forward`.
 */
export abstract class Layer {
  private isTraining = true;
  /** What messages and `summary` call this layer; a Sequential numbers its layers: 'Dense 2'. */
  label: string = kindOf(this);

  /** True while training: dropout drops, batch normalization uses the batch. Set by `train` and `eval`. */
  get training(): boolean {
    this.observeMode('read');
    return this.isTraining;
  }

  set training(training: boolean) {
    checkBoolean(this.label, 'training', training);
    this.observeMode('set');
    this.isTraining = training;
  }

  private observeMode(use: Use): void {
    recording?.observe(this, 'training', use, {
      get: () => this.isTraining,
      set: (training) => {
        this.isTraining = training;
      },
    });
  }

  /** The output for a batch, batch first. */
  abstract forward(x: Tensor): Tensor;

  /**
   * The shape of an example's output for that of its input, neither with the batch.
   * @throws ShapeError when such an input does not fit.
   */
  outputShape(_input: ExampleShape): ExampleShape {
    return undefined;
  }

  /** Inner layers by field name. */
  children(): [name: string, layer: Layer][] {
    const found: [string, Layer][] = [];
    for (const [name, value] of Object.entries(this)) {
      if (isInstance(value, Layer)) found.push([name, value]);
      if (!isArray(value)) continue;
      const { length } = value;
      if (typeof length !== 'number' || length > most) continue;
      for (let i = 0; i < length; i++) {
        const item = value[i];
        if (isInstance(item, Layer)) found.push([`${name}.${i}`, item]);
      }
    }
    return found;
  }

  /** This layer's own parameters and then those of inner layers, as 'weight' or '0.weight'; a shared one once. */
  namedParameters(): [name: string, parameter: Parameter][] {
    return this.namedTensors().filter((named): named is [string, Parameter] => named[1] instanceof Parameter);
  }

  /**
   * What this layer and inner ones keep beside parameters, as the running statistics of BatchNorm: a forward pass may
   * change it, no optimizer does, and it is part of the state.
   */
  namedBuffers(): [name: string, buffer: SharedTensor][] {
    return this.namedTensors().filter(([, tensor]) => !(tensor instanceof Parameter));
  }

  /** Parameters and buffers, each once, layer by layer. */
  private namedTensors(): Named<SharedTensor> {
    const seen = new Set<SharedTensor>();
    return this.collectTensors('').filter(([, tensor]) => {
      if (seen.has(tensor)) return false;
      seen.add(tensor);
      return true;
    });
  }

  private collectTensors(prefix: string): Named<SharedTensor> {
    const own = Object.entries(this).flatMap(
      ([name, value]): Named<SharedTensor> =>
        isTensor(value) && value instanceof SharedTensor ? [[`${prefix}${name}`, value]] : [],
    );
    return own.concat(this.children().flatMap(([name, layer]) => layer.collectTensors(`${prefix}${name}.`)));
  }

  /** All parameters, each once. */
  parameters(): Parameter[] {
    return this.namedParameters().map(([, parameter]) => parameter);
  }

  /** The number of trainable numbers. */
  parameterCount(): number {
    return this.parameters().reduce((sum, parameter) => sum + parameter.size, 0);
  }

  /** Switches this layer and all inner ones to training (or, with false, to evaluation). */
  train(training = true): this {
    this.training = training;
    for (const [, layer] of this.children()) layer.train(training);
    return this;
  }

  /** Switches to evaluation. */
  eval(): this {
    return this.train(false);
  }

  /** Copies of all parameters and buffers by name. */
  stateDict(): Record<string, Tensor> {
    const state: Record<string, Tensor> = {};
    for (const [name, tensor] of this.namedTensors()) {
      state[name] = new Tensor(copyOf(tensor.data), tensor.shape, tensor.dtype);
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
    tensors.forEach(([, tensor], i) => {
      changing('loadStateDict', tensor.storage);
      tensor.data.set(values[i]);
    });
  }

  /**
   * Where the values of parameters and buffers are, to be sent to a worker thread by `postMessage` and attached there.
   *
   * Both threads then see the same numbers, without copies. Each number is read whole, but a forward pass that runs while
   * another thread updates the parameters may mix numbers of two steps. A thread that must see whole steps takes a
   * `stateDict()` between steps instead.
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
    return summarize(this, inputShape === undefined ? undefined : readShape('summary', inputShape));
  }
}

/** The name of a layer's class, its label where nobody gives it another one. */
export function kindOf(layer: Layer): string {
  const { name } = layer.constructor;
  return typeof name === 'string' ? name : 'Layer';
}

/** An error about a layer's input, which names the layer: `Dense 2 expected input [batch, 512], received [128, 256]`. */
export function inputError(
  layer: Layer,
  expected: string,
  received: readonly (number | string)[],
): ShapeError {
  return new ShapeError(`${layer.label} expected input ${expected}, received ${show(received)}`);
}

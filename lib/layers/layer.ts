/** What every layer is: a function of a tensor with parameters. */
import { describe } from '../arguments.ts';
import { ArgumentError, ShapeError } from '../errors.ts';
import { recording } from '../kernels/recorder.ts';
import { Parameter, type SharedParameter, SharedTensor } from '../parameter.ts';
import { checkShape, type Shape, sameShape, show } from '../shape.ts';
import { Tensor } from '../tensor.ts';
import { summarize } from './summary.ts';

/** The shape of one example, without the batch; undefined when it depends on an input that is not known. */
export type ExampleShape = Shape | undefined;

type Named<Kind> = [name: string, value: Kind][];

/**
 * The base of all layers. A subclass keeps its Parameters, SharedTensors for other state, and inner layers in fields (or
 * arrays of layers), where they are found by themselves, and implements `forward`.
 */
export abstract class Layer {
  private isTraining = true;
  /** What messages and `summary` call this layer; a Sequential numbers its layers: 'Dense 2'. */
  label: string = this.constructor.name;

  /** True while training: dropout drops, batch normalization uses the batch. Set by `train` and `eval`. */
  get training(): boolean {
    const mode = this.isTraining;
    recording?.require(this, 'training', () => this.isTraining === mode);
    return mode;
  }

  set training(training: boolean) {
    this.isTraining = training;
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
      if (value instanceof Layer) found.push([name, value]);
      else if (Array.isArray(value)) {
        value.forEach((item, i) => {
          if (item instanceof Layer) found.push([`${name}.${i}`, item]);
        });
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
        value instanceof SharedTensor ? [[`${prefix}${name}`, value]] : [],
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
      state[name] = new Tensor(tensor.data.slice(), tensor.shape, tensor.dtype);
    }
    return state;
  }

  /**
   * Overwrites all parameters and buffers.
   * @throws ArgumentError when a name is missing or unknown, ShapeError when a shape or dtype differs; nothing was then
   *   changed.
   */
  loadStateDict(state: Readonly<Record<string, Tensor>>): void {
    const tensors = this.namedTensors();
    checkNames('loadStateDict', tensors, state);
    for (const [name, tensor] of tensors) {
      checkFits('loadStateDict', name, tensor, state[name] instanceof Tensor ? state[name] : undefined);
    }
    for (const [name, tensor] of tensors) tensor.assign(state[name]);
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
    checkNames('attach', tensors, shared);
    for (const [name, tensor] of tensors) {
      const given = shared[name];
      checkFits('attach', name, tensor, given?.buffer instanceof SharedArrayBuffer ? given : undefined);
    }
    for (const [name, tensor] of tensors) tensor.attach(shared[name]);
  }

  /** A table: layer, output shape, parameters. `inputShape`, without the batch, fills in what depends on it. */
  summary(inputShape?: Shape): string {
    if (inputShape !== undefined) checkShape('summary', inputShape);
    return summarize(this, inputShape);
  }
}

function checkNames(
  op: string,
  tensors: Named<SharedTensor>,
  given: Readonly<Record<string, unknown>>,
): void {
  if (typeof given !== 'object' || given === null) {
    throw new ArgumentError(`[${op}] expected values by name, got ${describe(given)}`);
  }
  const names = new Set(tensors.map(([name]) => name));
  const missing = [...names].filter((name) => !Object.hasOwn(given, name));
  const unknown = Object.keys(given).filter((name) => !names.has(name));
  if (missing.length + unknown.length === 0) return;
  throw new ArgumentError(
    `[${op}] expected the names of this model; missing: ${missing.join(', ') || 'none'}; ` +
      `unknown: ${unknown.join(', ') || 'none'}`,
  );
}

function checkFits(
  op: string,
  name: string,
  { shape, dtype }: Tensor,
  given: { shape: Shape; dtype: string } | undefined,
): void {
  if (given && sameShape(given.shape, shape) && given.dtype === dtype) return;
  const got = given ? `${given.dtype} ${show(given.shape)}` : 'something else';
  throw new ShapeError(`[${op}] expected ${name} to be ${dtype} ${show(shape)}, got ${got}`);
}

/** An error about a layer's input, which names the layer: `Dense 2 expected input [batch, 512], received [128, 256]`. */
export function inputError(
  layer: Layer,
  expected: string,
  received: readonly (number | string)[],
): ShapeError {
  return new ShapeError(`${layer.label} expected input ${expected}, received ${show(received)}`);
}

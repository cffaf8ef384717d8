/** What every layer is: a function of a tensor with parameters. */
import { describe } from '../arguments.ts';
import { ArgumentError, ShapeError } from '../errors.ts';
import { recording } from '../kernels/recorder.ts';
import type { Shape } from '../shape.ts';
import { checkShape, sameShape, show } from '../shape.ts';
import { Parameter, type SharedParameter, Tensor } from '../tensor.ts';
import { summarize } from './summary.ts';

/** The shape of one example, without the batch; undefined when it depends on an input that is not known. */
export type ExampleShape = Shape | undefined;

/**
 * The base of all layers. A subclass keeps its Parameters and inner layers in fields (or arrays of layers), where they
 * are found by themselves, and implements `forward`.
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
    const seen = new Set<Parameter>();
    return this.collectParameters('').filter(([, parameter]) => {
      if (seen.has(parameter)) return false;
      seen.add(parameter);
      return true;
    });
  }

  private collectParameters(prefix: string): [string, Parameter][] {
    const own = Object.entries(this).flatMap(([name, value]): [string, Parameter][] =>
      value instanceof Parameter ? [[`${prefix}${name}`, value]] : [],
    );
    return own.concat(
      this.children().flatMap(([name, layer]) => layer.collectParameters(`${prefix}${name}.`)),
    );
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

  /** Copies of all parameters by name. */
  stateDict(): Record<string, Tensor> {
    const state: Record<string, Tensor> = {};
    for (const [name, parameter] of this.namedParameters()) {
      state[name] = new Tensor(parameter.data.slice(), parameter.shape, parameter.dtype);
    }
    return state;
  }

  /**
   * Overwrites all parameters.
   * @throws ArgumentError when a name is missing or unknown, ShapeError when a shape or dtype differs; nothing was then
   *   changed.
   */
  loadStateDict(state: Readonly<Record<string, Tensor>>): void {
    const parameters = this.namedParameters();
    checkNames('loadStateDict', parameters, state);
    for (const [name, parameter] of parameters) {
      checkFits('loadStateDict', name, parameter, state[name] instanceof Tensor ? state[name] : undefined);
    }
    for (const [name, parameter] of parameters) parameter.assign(state[name]);
  }

  /**
   * Where the parameters' values are, to be sent to a worker thread by `postMessage` and attached there.
   *
   * Both threads then see the same numbers, without copies. Each number is read whole, but a forward pass that runs while
   * another thread updates the parameters may mix numbers of two steps. A thread that must see whole steps takes a
   * `stateDict()` between steps instead.
   */
  share(): Record<string, SharedParameter> {
    return Object.fromEntries(this.namedParameters().map(([name, parameter]) => [name, parameter.share()]));
  }

  /**
   * Uses the parameters of a model in another thread, as its `share()` describes them: see there for what a reader sees.
   * @throws ArgumentError or ShapeError when it is a model of other parameters; nothing was then changed.
   */
  attach(shared: Readonly<Record<string, SharedParameter>>): void {
    const parameters = this.namedParameters();
    checkNames('attach', parameters, shared);
    for (const [name, parameter] of parameters) {
      const given = shared[name];
      checkFits('attach', name, parameter, given?.buffer instanceof SharedArrayBuffer ? given : undefined);
    }
    for (const [name, parameter] of parameters) parameter.attach(shared[name]);
  }

  /** A table: layer, output shape, parameters. `inputShape`, without the batch, fills in what depends on it. */
  summary(inputShape?: Shape): string {
    if (inputShape !== undefined) checkShape('summary', inputShape);
    return summarize(this, inputShape);
  }
}

type Named = readonly [name: string, parameter: Parameter][];

function checkNames(op: string, parameters: Named, given: Readonly<Record<string, unknown>>): void {
  if (typeof given !== 'object' || given === null) {
    throw new ArgumentError(`[${op}] expected values by name, got ${describe(given)}`);
  }
  const names = new Set(parameters.map(([name]) => name));
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
  parameter: Parameter,
  given: { shape: Shape; dtype: string } | undefined,
): void {
  if (given && sameShape(given.shape, parameter.shape) && given.dtype === parameter.dtype) return;
  const got = given ? `${given.dtype} ${show(given.shape)}` : 'something else';
  throw new ShapeError(
    `[${op}] expected ${name} to be ${parameter.dtype} ${show(parameter.shape)}, got ${got}`,
  );
}

/** An error about a layer's input, which names the layer: `Dense 2 expected input [batch, 512], received [128, 256]`. */
export function inputError(
  layer: Layer,
  expected: string,
  received: readonly (number | string)[],
): ShapeError {
  return new ShapeError(`${layer.label} expected input ${expected}, received ${show(received)}`);
}

/** Why a loss is NaN or Infinity. */
import { noGrad } from '../autograd.ts';
import { NonFiniteError } from '../errors.ts';
import { allFinite, areFinite, firstNonFinite } from '../finite.ts';
import type { Float } from '../kernels/index.ts';
import type { Layer } from '../layers/layer.ts';
import { type Watcher, watchForwards } from '../layers/watch.ts';
import * as losses from '../losses.ts';
import type { Optimizer } from '../optimizers/optimizer.ts';
import { defaultState, type RandomState } from '../random.ts';
import { floats, isTensor, type Tensor } from '../tensor.ts';
import { leavesOf } from '../tree.ts';
import type { Batch, Tensors } from './examples.ts';
import type { BatchLoss } from './loss.ts';
import { forwardOf } from './step.ts';

/** Where training was when it happened. */
export interface Moment {
  /** Both counted from 1. */
  epoch: number;
  batch: number;
}

/** Parameters beyond it are no longer what initialization and sensible steps give. */
const large = 1e3;

/**
 * The error for a loss that is not finite: names the first layer in the order of computation whose output is not, else a
 * parameter that is not, else the loss itself. Runs the forward pass of the batch again, layer by layer, with the random
 * numbers of the first time, and leaves the random state and the layers' buffers as they are.
 * @param random the random state before the forward pass
 */
export function explainNonFinite(
  loss: BatchLoss,
  { epoch, batch }: Moment,
  model: Layer,
  { x, y, weights, share }: Batch,
  optimizer: Optimizer,
  random: RandomState,
): NonFiniteError {
  const elsewhere = () =>
    new NonFiniteError(
      `loss is not finite at epoch ${epoch}, batch ${batch}: that of examples on another rank`,
    );
  if (share === 0) return elsewhere();
  const { value, prediction } = replay(random, model, () =>
    noGrad(() => {
      const prediction = forwardOf(model, x);
      return { value: loss.of(prediction, y, weights).loss.item(), prediction };
    }),
  );
  // Of several processes each knows its part of the batch.
  if (share < 1 && Number.isFinite(value)) return elsewhere();
  const layer = replay(random, model, () => firstNonFiniteLayer(model, x));
  const broken = brokenPart(parametersOf(model));
  const why =
    layer !== null
      ? `the output of ${layer} is the first that is not finite${broken ? ` (${broken})` : ''}`
      : (broken ?? `the output of the model is finite, the loss itself is not${outside(loss, prediction)}`);
  return new NonFiniteError(
    `loss is ${value} at epoch ${epoch}, batch ${batch}: ${why}${advice(model, optimizer)}`,
  );
}

/** What a loss takes, where the output of the model is something else. */
function outside({ own }: BatchLoss, prediction: Tensors): string {
  if (own !== losses.binaryCrossEntropy || !isTensor(prediction)) return '';
  const score = Array.from(prediction.data).find((p) => p < 0 || p > 1);
  if (score === undefined) return '';
  return (
    `: binaryCrossEntropy takes probabilities, and one is ${score}; end the model with a sigmoid, or use ` +
    'binaryCrossEntropyWithLogits'
  );
}

/**
 * What a step has left behind, which a finite loss before it cannot show.
 * @throws NonFiniteError when a parameter of the model or of the optimizer, a buffer of a layer, as a running variance, or
 *   the state that the optimizer keeps became NaN or Infinity
 * @param when 'at the end of epoch 3'
 */
export function checkState(model: Layer, optimizer: Optimizer, when: string): void {
  const refuse = (kind: string, parts: Iterable<Part>) => {
    const broken = brokenPart(parts);
    if (broken === null) return;
    throw new NonFiniteError(`${kind} are not finite ${when}: ${broken}${advice(model, optimizer)}`);
  };
  refuse('parameters', parametersOf(model));
  refuse('buffers', buffersOf(model));
  const names = new Map<Tensor, string>(parametersOf(model).map(({ name, tensor }) => [tensor, name]));
  const nameOf = (at: number) => names.get(optimizer.parameters[at]) ?? `parameter ${at} of the optimizer`;
  const foreign = optimizer.parameters.flatMap((tensor, at) =>
    names.has(tensor) ? [] : [{ name: nameOf(at), values: floats(tensor), tensor }],
  );
  refuse('parameters', foreign);
  const state = optimizer
    .state()
    .map(({ slot, at, values }) => ({ name: `${slot} of ${nameOf(at)}`, values }));
  refuse(`values that ${optimizer.constructor.name} keeps`, state);
}

/** Runs `fn` from an earlier random state and puts the present one back, and what `fn` changes in layers. */
export function replay<Result>(random: RandomState, model: Layer, fn: () => Result): Result {
  const present = defaultState.slice();
  const buffers = [...model.namedBuffers(), ...model.namedHidden()].map(([, { data }]) => ({
    data,
    values: data.slice(),
  }));
  const own = model.namedRandomStates().map(([, state]) => ({ state, values: state.slice() }));
  defaultState.set(random);
  try {
    return fn();
  } finally {
    defaultState.set(present);
    for (const { state, values } of own) state.set(values);
    for (const { data, values } of buffers) data.set(values);
  }
}

/** The layer whose output is the first with NaN or Infinity, innermost first; null when all are finite. */
function firstNonFiniteLayer(model: Layer, x: Tensors): string | null {
  let first: string | null = null;
  const listen: Watcher = ({ label }, _path, forward) => {
    const y = forward();
    if (first === null && !leavesOf(y, isTensor).every(allFinite)) first = label;
    return y;
  };
  watchForwards(model, listen, () => noGrad(() => forwardOf(model, x)));
  return first;
}

/** Something that a message can name. */
interface Part {
  name: string;
  values: Float;
}

/** The parameters of each layer, as 'weight of Dense 2'. */
function parametersOf(model: Layer): (Part & { tensor: Tensor })[] {
  return named(model, (layer) => layer.namedParameters());
}

/** Likewise what layers keep beside them. */
function buffersOf(model: Layer): Part[] {
  return named(model, (layer) => layer.namedBuffers());
}

function named(
  model: Layer,
  tensorsOf: (layer: Layer) => [name: string, tensor: Tensor][],
): (Part & { tensor: Tensor })[] {
  return model.namedLayers().flatMap(([, layer]) => {
    const inner = new Set(
      layer.children().flatMap(([, child]) => tensorsOf(child).map(([, tensor]) => tensor)),
    );
    return tensorsOf(layer)
      .filter(([, tensor]) => !inner.has(tensor))
      .map(([name, tensor]) => ({ name: `${name} of ${layer.label}`, values: floats(tensor), tensor }));
  });
}

/** 'weight of Dense 2 holds NaN' for the first that is not finite; null when all are. */
function brokenPart(parts: Iterable<Part>): string | null {
  for (const { name, values } of parts) {
    if (!areFinite(values)) return `${name} holds ${values[firstNonFinite(values)]}`;
  }
  return null;
}

function advice(model: Layer, optimizer: Optimizer): string {
  let largest = 0;
  for (const parameter of model.parameters()) {
    for (const value of parameter.data) if (Math.abs(value) > largest) largest = Math.abs(value);
  }
  if (largest <= large) return '';
  const reached = Number.isFinite(largest) ? largest.toPrecision(2) : 'Infinity';
  return `; parameters reach ${reached}: lower the learning rate, which is ${optimizer.learningRate}`;
}

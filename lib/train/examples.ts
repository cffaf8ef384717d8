/** Examples as users give them, made into checked tensors. */

import { describe, isRecord } from '../arguments.ts';
import { DataError, ShapeError } from '../errors.ts';
import { checkFiniteData } from '../finite.ts';
import { type Inputs, readTensors, type Tensors } from '../layers/inputs.ts';
import { isTensor, type Tensor, type Values } from '../tensor.ts';
import { leavesOf, mapTree, walk } from '../tree.ts';
import { type Conversion, toTargets } from './conversion.ts';
import { readWeights, type SampleWeight } from './sampleWeight.ts';

export type { Inputs, Tensors } from '../layers/inputs.ts';

/** Examples and what is known about them. The first axis of each tensor counts examples. */
export interface Examples<Y = Inputs, X = Inputs> {
  x: X;
  y: Y;
  /** What the loss of each counts; 1 without it. */
  sampleWeight?: SampleWeight | undefined;
}

/** What a loss or a metric sees of the `y` that was given: tensors in the place of values. */
export type TensorsOf<Y> = Inputs extends Y
  ? // biome-ignore lint/suspicious/noExplicitAny: nobody knows which of them it is
    any
  : Y extends Tensor | Values
    ? Tensor
    : { readonly [Name in keyof Y]: TensorsOf<Y[Name]> };

/** Examples as tensors; all have as many rows, at least one unless several processes share the batch. */
export interface Batch {
  x: Tensors;
  y: Tensors;
  /** What the loss of each counts, for all outputs or by output; null for 1. */
  weights: Tensors | null;
  /** How many rows the whole batch has: more than are here where this is the part of one process. */
  total: number;
  /** The rows that are here, divided by `total`: what their mean loss counts in the mean over the whole batch. */
  share: number;
}

/** The number of examples in tensors that are known to have as many. */
export function rowsOf(tensors: unknown): number {
  return leavesOf(tensors, isTensor)[0].shape[0];
}

/** The tensors, each with what `map` makes of it in its place. */
export function mapTensors<Tree>(tree: Tree, map: (x: Tensor) => Tensor): Tree {
  return mapTree(tree, isTensor, map) as Tree;
}

/** The tensors of examples with what messages call each of them. */
function named(name: string, tensors: Tensors): [name: string, x: Tensor][] {
  if (isTensor(tensors)) return [[name, tensors]];
  return Array.from(walk(tensors, isTensor), ([path, x]) => [`${name}.${path}`, x]);
}

/** @throws ShapeError, DataError unless all have as many rows, at least one, of finite numbers. */
function checkRows(tensors: readonly [name: string, x: Tensor][]): void {
  for (const [name, x] of tensors) {
    if (x.rank === 0)
      throw new ShapeError(
        `expected ${name} to be [examples, ...], got a single value: one example goes into an array, [value]`,
      );
  }
  const [first, { shape }] = tensors[0];
  for (const [name, x] of tensors) {
    if (x.shape[0] !== shape[0]) {
      throw new ShapeError(
        `expected ${first} and ${name} to hold as many examples, got ${shape[0]} and ${x.shape[0]}`,
      );
    }
  }
}

/**
 * What `predict` is given, as checked tensors; they may be of no examples.
 * @throws as `toBatch`
 */
export function toInputs(inputs: Inputs, conversion: Conversion): Tensors {
  const x = conversion.input(inputs, 'x');
  const tensors = named('x', x);
  checkRows(tensors);
  for (const [name, values] of tensors) checkFiniteData(name, values);
  return x;
}

/**
 * Checked tensors for examples. `nameOf` says what messages call them, as in 'validation.x'.
 * @param mayBeEmpty whether there may be none, as the part of one process of several
 * @throws DataError for no examples, values that are no numbers, NaN or Infinity; ShapeError unless all tensors in x, y and
 *   sampleWeight have as many rows; what the check of targets throws.
 */
export function toBatch(
  given: Examples,
  conversion: Conversion,
  nameOf: (part: keyof Examples) => string,
  mayBeEmpty = false,
): Batch {
  const { x: givenX, y: givenY, sampleWeight } = given;
  for (const [part, value] of [
    ['x', givenX],
    ['y', givenY],
  ] as const) {
    if (value === undefined || value === null) throw new DataError(`expected ${nameOf(part)}, got none`);
  }
  const x = conversion.input(givenX, nameOf('x'));
  const y = readTensors(nameOf('y'), givenY, (name, values) =>
    toTargets(name, name.slice(nameOf('y').length + 1), values, conversion),
  );
  const own = nameOf('sampleWeight');
  const weights =
    sampleWeight === undefined ? null : readWeights(own, sampleWeight, conversion.dtype, conversion.outputs);
  const tensors = [...named(nameOf('x'), x), ...named(nameOf('y'), y)];
  checkRows(weights === null ? tensors : [...tensors, ...named(own, weights)]);
  const [first, { shape }] = tensors[0];
  if (shape[0] === 0) {
    if (mayBeEmpty) return { x, y, weights, total: 0, share: 0 };
    throw new DataError(`expected at least one example in ${first}, got none`);
  }
  for (const [name, values] of tensors) checkFiniteData(name, values);
  conversion.checkTargets?.(nameOf('y'), y, x);
  const weighed = conversion.classWeights?.weigh(nameOf('y'), y, x, weights) ?? weights;
  return { x, y, weights: weighed, total: shape[0], share: 1 };
}

/** @throws DataError unless value is an object with x and y, and sampleWeight where it has more. */
export function checkExamples(name: string, value: unknown): asserts value is Examples {
  if (!isRecord(value) || !('x' in value) || !('y' in value)) {
    throw new DataError(`expected ${name} to be { x, y }, got ${describe(value)}`);
  }
  checkKeys(name, value);
}

/** @throws DataError, which names it, for something beside x, y and sampleWeight: it would be lost. */
export function checkKeys(name: string, value: object): void {
  const other = Object.keys(value).find((key) => key !== 'x' && key !== 'y' && key !== 'sampleWeight');
  if (other !== undefined) {
    throw new DataError(
      `expected ${name} to be { x, y }, with sampleWeight where examples have weights, got ${describe(other)} as well`,
    );
  }
}

/** Parameters with hyperparameters of their own. */
import { checkOptions, describe, isRecord, readIterable } from '../arguments.ts';
import { ArgumentError } from '../errors.ts';
import { nameClass } from '../names.ts';
import { show } from '../shape.ts';
import { checkFloat, checkTensor, isTensor, type Tensor } from '../tensor.ts';
import type { Hyper, HyperNames } from './hyper.ts';

/** Parameters, and which hyperparameters are other ones for them; the others are those of all groups. */
export type GroupOptions<Options extends object> = {
  readonly parameters: Iterable<Tensor>;
} & Partial<Options>;

/** What an optimizer updates: parameters, or groups of them with hyperparameters of their own. */
export type ParametersOf<Options extends object> = Iterable<Tensor> | Iterable<GroupOptions<Options>>;

/**
 * A group of an optimizer. Each of its hyperparameters is a property of its name, that may be set at any time:
 * `optimizer.groups[0].learningRate = 0.01`. Steps and runs that are asked for from then on find it. A learning rate that
 * follows a schedule is what the next step has, and cannot be set.
 */
export class ParameterGroup {
  static {
    nameClass(ParameterGroup, 'ParameterGroup');
  }

  readonly parameters: readonly Tensor[];
  /** α, the size of a step. @throws ArgumentError to set one that follows a schedule */
  declare learningRate: number;

  /** @internal */
  constructor(parameters: readonly Tensor[], names: HyperNames, hyper: Hyper) {
    this.parameters = parameters;
    names.names.forEach((name, at) => {
      Object.defineProperty(this, name, {
        get: () => (names.isFlag(at) ? hyper.values[at] === 1 : hyper.values[at]),
        set: (value) => hyper.set(at, value),
        enumerable: true,
      });
    });
  }
}

/** A group as it was given: what it says of hyperparameters, not checked yet. */
export interface GivenGroup {
  readonly parameters: readonly Tensor[];
  readonly own: Readonly<Record<string, unknown>>;
}

/**
 * Parameters in groups, one where none were given.
 * @throws ArgumentError for no parameters, one of them twice, a computed tensor, options of a group that are none
 */
export function readGroups(
  op: string,
  given: ParametersOf<object>,
  names: readonly string[],
): readonly GivenGroup[] {
  const list = readIterable(given as Iterable<unknown>);
  if (list === null) {
    throw new ArgumentError(
      `[${op}] expected parameters to be an iterable, as model.parameters() is, got ${describe(given)}`,
    );
  }
  const seen = new Set<Tensor>();
  const groups: GivenGroup[] = [];
  const alone: Tensor[] = [];
  // Checked as they come: an iterable need not have an end.
  for (const item of list) {
    if (!isGroup(item) || alone.length > 0) {
      alone.push(readParameter(op, item, seen));
      if (groups.length === 0) continue;
      throw new ArgumentError(`[${op}] expected groups of parameters alone, got a tensor beside a group`);
    }
    const { parameters, ...own } = readOptions(op, item, names);
    const members = readIterable(parameters as Iterable<unknown>);
    if (members === null) {
      throw new ArgumentError(
        `[${op}] expected parameters of groups[${groups.length}] to be an iterable, got ${describe(parameters)}`,
      );
    }
    const tensors: Tensor[] = [];
    for (const member of members) tensors.push(readParameter(op, member, seen));
    if (tensors.length === 0) {
      throw new ArgumentError(
        `[${op}] expected at least one parameter in groups[${groups.length}], got none`,
      );
    }
    groups.push({ parameters: tensors, own });
  }
  if (groups.length > 0) return groups;
  if (alone.length === 0) throw new ArgumentError(`[${op}] expected at least one parameter, got none`);
  return [{ parameters: alone, own: {} }];
}

const isGroup = (item: unknown): item is Readonly<Record<string, unknown>> =>
  isRecord(item) && !isTensor(item) && Object.hasOwn(item, 'parameters');

function readOptions(
  op: string,
  given: Readonly<Record<string, unknown>>,
  names: readonly string[],
): Record<string, unknown> {
  const own = { ...given };
  checkOptions(op, own, ['parameters', ...names]);
  return own;
}

function readParameter(op: string, item: unknown, seen: Set<Tensor>): Tensor {
  const parameter = item as Tensor;
  checkTensor(op, parameter, 'each parameter');
  checkFloat(op, parameter);
  if (parameter.node !== null) {
    throw new ArgumentError(
      `[${op}] expected parameters to be leaves, got a computed tensor of shape ${show(parameter.shape)}`,
    );
  }
  if (seen.has(parameter)) {
    throw new ArgumentError(`[${op}] expected each parameter once, got one of them twice`);
  }
  seen.add(parameter);
  return parameter;
}

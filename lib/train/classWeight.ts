/** Weights of classes, made into weights of the examples that are of them. */
import { describe, isFunction, isRecord, readArray } from '../arguments.ts';
import { ArgumentError, DataError } from '../errors.ts';
import { place } from '../finite.ts';
import type { Tensors } from '../layers/inputs.ts';
import type { Layer } from '../layers/layer.ts';
import { allocate, type FloatDtype } from '../memory.ts';
import { type Shape, show } from '../shape.ts';
import { isTensor, Tensor } from '../tensor.ts';
import {
  binaryLosses,
  classLosses,
  isKnown,
  type LossChoice,
  lossAmong,
  lossesOf,
  partOf,
  signedLosses,
} from './loss.ts';
import { weightsOf, weightsTimes } from './sampleWeight.ts';
import { classesFor } from './targets.ts';

/**
 * What the loss of an example counts by its class: an array of a weight for each; a record of some, `{ 1: 5 }`, where others
 * count 1; or 'balanced' for scikit-learn's n / (k · count) of k classes that n examples are of, by which each class counts as
 * much in all as any other. Of two classes by a binary loss, 1 is what is positive; of the hinges' targets −1 is class 0.
 */
export type WeightsByClass = Tensor | ArrayLike<number> | { readonly [label: number]: number } | 'balanced';

/** Where each output has a loss of its own, weights by the names of outputs. */
export type ClassWeight = WeightsByClass | { readonly [output: string]: WeightsByClass };

/** What makes weights of the classes of examples. */
export interface ClassWeighing {
  /** Whether it has to see all examples at once. */
  readonly needsAll: boolean;
  /**
   * The weights of examples by their classes, times those that they have.
   * @param name what messages call the targets: 'y of batch 3 of data'
   * @throws DataError for targets that are no classes, and for a class without a weight
   */
  weigh(name: string, target: Tensors, x: Tensors, own: Tensors | null): Tensors;
}

/** Weights by label. */
interface Table {
  readonly weights: ReadonlyMap<number, number>;
  /** What a class counts that has none; null where each has to have one. */
  readonly rest: number | null;
}

/** The classes of targets, below 0 where there is none. */
interface Labels {
  readonly shape: Shape;
  readonly of: ArrayLike<number>;
}

/** How targets name classes. */
interface Reading {
  /** How many classes there are, where the loss tells. */
  readonly classes: number | undefined;
  labels(name: string, target: Tensor): Labels;
}

const most = 2 ** 20;

/** @throws ArgumentError for what are no weights, and beside a loss of something else than classes */
export function classWeighing(op: string, model: Layer, given: ClassWeight, loss: LossChoice): ClassWeighing {
  const dtype = model.parameterDtype();
  const byOutput = lossesOf(loss);
  if (byOutput === null) {
    const weigh = weighingOf(op, 'classWeight', given, loss, dtype);
    return {
      needsAll: given === 'balanced',
      weigh(name, target, x, own) {
        if (!isTensor(target)) {
          throw new DataError(`expected ${name} to be the classes of examples, one tensor, got several`);
        }
        return times(own as Tensor | null, weigh(name, target, classesFor(model, x, target.rank)));
      },
    };
  }
  const outputs = [...byOutput.keys()];
  if (!isRecord(given) || isTensor(given)) {
    throw new ArgumentError(
      `[${op}] expected classWeight by the names of outputs, ${outputs.join(', ')}, as losses are, got ${describe(given)}`,
    );
  }
  const weighing = new Map(
    Object.entries(given as Readonly<Record<string, WeightsByClass>>).map(([output, weights]) => {
      const own = byOutput.get(output);
      if (own !== undefined) {
        const weigh = weighingOf(op, `classWeight.${output}`, weights, own.loss, dtype);
        return [output, { weigh, needsAll: weights === 'balanced' }];
      }
      throw new ArgumentError(
        `[${op}] expected classWeight by the names of outputs, ${outputs.join(', ')}, got ${describe(output)}`,
      );
    }),
  );
  return {
    needsAll: [...weighing.values()].some(({ needsAll }) => needsAll),
    weigh(name, target, _x, own) {
      const weights = outputs.map((output): [string, Tensor | null] => {
        const had = weightsOf(own, output);
        const weigh = weighing.get(output)?.weigh;
        if (weigh === undefined) return [output, had];
        return [
          output,
          times(had, weigh(`${name}.${output}`, partOf('loss', 'targets', target, output, outputs))),
        ];
      });
      return Object.fromEntries(weights.filter(([, own]) => own !== null)) as Tensors;
    },
  };
}

function times(own: Tensor | null, weights: Tensor): Tensor {
  return own === null ? weights : weightsTimes(own, weights);
}

/** What weighs the targets of one loss. */
function weighingOf(
  op: string,
  title: string,
  given: unknown,
  loss: LossChoice,
  dtype: FloatDtype,
): (name: string, target: Tensor, classes?: number) => Tensor {
  const reading = readingFor(op, title, loss);
  const table = given === 'balanced' ? null : readTable(op, title, given);
  if (table !== null) checkClasses(op, title, table, reading.classes);
  return (name, target, classes) => {
    if (table !== null && reading.classes === undefined) checkClasses(op, title, table, classes);
    const { shape, of } = reading.labels(name, target);
    const { weights, rest } = table ?? balanced(of);
    const own = allocate(of.length, dtype);
    for (let i = 0; i < of.length; i++) {
      const weight = of[i] < 0 ? 1 : (weights.get(of[i]) ?? rest);
      if (weight === null) {
        const at = place(target, (i * target.size) / of.length);
        throw new DataError(
          `expected ${name} to hold classes that ${title} has a weight for, 0 to ${weights.size - 1}, got ${of[i]} at ${at}`,
        );
      }
      own[i] = weight;
    }
    return new Tensor(own, shape, dtype);
  };
}

/** @throws ArgumentError unless they are numbers by class */
function readTable(op: string, title: string, given: unknown): Table {
  const isByName = isRecord(given) && !isTensor(given);
  const entries: (readonly [string | number, unknown])[] = isByName
    ? Object.entries(given)
    : listOf(op, title, given).map((weight, label) => [label, weight]);
  if (entries.length === 0) throw new ArgumentError(`[${op}] expected weights in ${title}, got none`);
  const weights = new Map<number, number>();
  for (const [label, weight] of entries) {
    if (!/^\d{1,9}$/.test(`${label}`)) {
      throw new ArgumentError(
        `[${op}] expected ${title} to name classes by their numbers from 0, got ${describe(label)}`,
      );
    }
    if (!(typeof weight === 'number' && weight >= 0 && weight < Infinity)) {
      throw new ArgumentError(
        `[${op}] expected ${title} to hold finite weights of at least 0, got ${describe(weight)} for class ${label}`,
      );
    }
    weights.set(Number(label), weight);
  }
  return { weights, rest: isByName ? 1 : null };
}

function listOf(op: string, title: string, given: unknown): readonly unknown[] {
  const refuse = (got: string) =>
    new ArgumentError(
      `[${op}] expected ${title} to be an array of a weight for each class, a record of some by number, or 'balanced', ` +
        `got ${got}`,
    );
  if (isTensor(given)) {
    if (given.rank !== 1) throw refuse(`a tensor ${show(given.shape)}`);
    return Array.from(given.data);
  }
  if (ArrayBuffer.isView(given)) return Array.from(given as Float32Array);
  return readArray(given as readonly unknown[], most, refuse);
}

/** @throws ArgumentError for more classes than there are, or an array of fewer */
function checkClasses(
  op: string,
  title: string,
  { weights, rest }: Table,
  classes: number | undefined,
): void {
  if (classes === undefined) return;
  if (rest === null && weights.size !== classes) {
    throw new ArgumentError(
      `[${op}] expected ${title} to hold a weight for each of ${classes} classes, got ${weights.size}`,
    );
  }
  for (const label of weights.keys()) {
    if (label < classes) continue;
    throw new ArgumentError(
      `[${op}] expected ${title} to name classes from 0 to ${classes - 1}, got ${label}: classes count from 0`,
    );
  }
}

/** n / (k · count) for k classes of n examples. */
function balanced(labels: ArrayLike<number>): Table {
  const counts = new Map<number, number>();
  let n = 0;
  for (let i = 0; i < labels.length; i++) {
    if (labels[i] < 0) continue;
    n++;
    counts.set(labels[i], (counts.get(labels[i]) ?? 0) + 1);
  }
  const weights = Array.from(counts, ([label, count]) => [label, n / (counts.size * count)] as const);
  return { weights: new Map(weights), rest: 1 };
}

/** How targets of a loss name classes. @throws ArgumentError for a loss whose targets are none */
function readingFor(op: string, title: string, loss: LossChoice): Reading {
  const [positive, negative] = [1, lossAmong(loss, signedLosses) === undefined ? 0 : -1];
  if (negative === -1 || lossAmong(loss, binaryLosses) !== undefined) {
    const labels = (name: string, target: Tensor): Labels => ({
      shape: target.shape,
      of: Int32Array.from(target.data, (value: number, i) => {
        if (value === positive || value === negative) return value === positive ? 1 : 0;
        throw new DataError(
          `expected ${name} to hold targets ${negative} and 1 for ${title}, got ${value} at ${place(target, i)}`,
        );
      }),
    });
    return { classes: 2, labels };
  }
  const isOwn = isFunction(loss) && !isKnown(loss);
  if (!isOwn && lossAmong(loss, classLosses) === undefined) {
    const known = [...classLosses, ...binaryLosses, ...signedLosses].join(', ');
    throw new ArgumentError(
      `[${op}] expected ${title} beside a loss of classes, one of ${known}, or a function of labels, got ${describe(loss)}: ` +
        'sampleWeight says what each example counts',
    );
  }
  return { classes: undefined, labels: (name, target) => labelsOf(name, title, target, isOwn) };
}

/** int32 labels as they are, or where rows are 1. @throws DataError for other targets */
function labelsOf(name: string, title: string, target: Tensor, isOwn: boolean): Labels {
  if (target.dtype === 'int32') return { shape: target.shape, of: target.data };
  if (isOwn || target.rank < 2) {
    throw new DataError(
      `expected ${name} to hold int32 labels for ${title}${isOwn ? ' beside a function' : ''}, got ${target.dtype} ` +
        show(target.shape),
    );
  }
  const shape = target.shape.slice(0, -1);
  const classes = target.shape[target.rank - 1];
  const { data } = target;
  const of = new Int32Array(target.size / classes);
  for (let row = 0; row < of.length; row++) {
    const values = data.subarray(row * classes, (row + 1) * classes);
    of[row] = values.indexOf(1);
    if (of[row] >= 0 && values.every((value, i) => value === 0 || i === of[row])) continue;
    throw new DataError(
      `expected each row of ${name} to be one-hot for ${title}, which row ${row} (counted from 0) is not: for probabilities pass ` +
        'a function, (p, t) => losses.softmaxCrossEntropy(p, t, { weight })',
    );
  }
  return { shape, of };
}

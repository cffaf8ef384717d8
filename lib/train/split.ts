/** Examples divided into those to learn from and those to test on. */
import { checkBoolean, describe, isArray, isInstance, readArray, readOptions } from '../arguments.ts';
import { noGrad } from '../autograd.ts';
import { ArgumentError, DataError, ShapeError } from '../errors.ts';
import { refuseRecording } from '../kernels/recorder.ts';
import { isPlain, isSeveral } from '../layers/inputs.ts';
import { lengthOf } from '../memory.ts';
import { gather } from '../ops/gather.ts';
import { typedArrayName } from '../platform.ts';
import { defaultState, permutation, type RandomState, randomState } from '../random.ts';
import { isTensor, Tensor } from '../tensor.ts';
import { isArrayLike } from '../values.ts';

/** What an example belongs to, example by example: a class, or a group. */
export type Labels = Tensor | ArrayLike<number> | readonly (string | number | boolean)[];

interface Common {
  /** Whether examples are taken in a random order; default true. */
  shuffle?: boolean;
  /** Of the random order; without it the default random state is used, which `seed()` sets. */
  seed?: number | undefined;
  /** The class of each example: each part gets its share of each class, to within one example. */
  stratify?: Labels | undefined;
  /** The group of each example, as the patient of a picture: no group is divided between parts. */
  groups?: Labels | undefined;
}

/** Options of `trainTestSplit`. */
export interface SplitOptions extends Common {
  /** The part to test on, above 0 and below 1, rounded up as scikit-learn does; or how many examples. Default 0.25. */
  testSize?: number;
}

/** Options of `kFold`. */
export interface FoldOptions extends Common {
  /** How many; default 5. */
  folds?: number;
}

/** Examples to learn from, and others to test on. */
export interface Split<Data> {
  train: Data;
  test: Data;
}

/** How many examples there may be. */
const most = 2 ** 31 - 1;

/** How many there may be in what only looks like an array. */
const mostLike = 2 ** 24;

/** How deep arrays and records of examples may lie in each other. */
const deepest = 32;

// ── data ────────────────────────────────────────────────────────────────────────────────────────────────────────────

/** Takes some rows of what somebody gave, in their order. */
type Take = (rows: Int32Array) => unknown;

/** One tensor, array or typed array of examples. */
interface Part {
  readonly name: string;
  readonly count: number;
}

/** Whether it has elements that stand for examples; a string has characters. */
const isList = (value: unknown): value is ArrayLike<unknown> =>
  isArrayLike(value) && !isInstance(value, String);

/** A row of a table: a record of nothing but single values. */
const isRow = (value: unknown): boolean =>
  isPlain(value) && Object.values(value).every((item) => typeof item !== 'object' || item === null);

function readTyped(name: string, values: ArrayBufferView): [count: number, take: Take] {
  const kind = typedArrayName.call(values);
  if (kind === undefined || kind.startsWith('Big')) {
    throw new DataError(`expected ${name} to be examples, got ${describe(values)}`);
  }
  const Kind = (globalThis as unknown as Record<string, new (length: number) => Record<number, number>>)[
    kind
  ];
  const own = values as unknown as ArrayLike<number>;
  const take = (rows: Int32Array) => {
    const taken = new Kind(rows.length);
    for (let i = 0; i < rows.length; i++) taken[i] = own[rows[i]];
    return taken;
  };
  return [lengthOf(values), take];
}

/** How to take rows of a tree of examples; tells of each part in it by `found`. @throws DataError for what holds none */
function readTree(name: string, given: unknown, found: (part: Part) => void, depth = 0): Take {
  const part = (count: number, take: Take) => {
    found({ name, count });
    return take;
  };
  if (isTensor(given)) {
    if (given.rank === 0)
      throw new ShapeError(
        `expected ${name} to be [examples, ...], got a single value: one example goes into an array, [value]`,
      );
    return part(given.shape[0], (rows) =>
      noGrad(() => gather(given, new Tensor(rows.slice(), [rows.length], 'int32'))),
    );
  }
  if (ArrayBuffer.isView(given)) return part(...readTyped(name, given));
  if (depth > deepest)
    throw new DataError(`expected examples in ${name.slice(0, 60)} less than ${deepest} levels deep`);
  const inner = (key: string | number, item: unknown) =>
    readTree(depth === 0 && name === 'data' ? `${key}` : `${name}.${key}`, item, found, depth + 1);
  if (isList(given)) {
    const refuse = (got: string) => new DataError(`expected ${name} to be an array of examples, got ${got}`);
    if (!isArray(given) && given.length > mostLike) throw refuse(describe(given.length));
    const items = isArray(given) ? readArray(given, most, refuse) : Array.from(given);
    if (isSeveral(items) && !items.every(isRow)) {
      const takes = items.map((item, i) => inner(i, item));
      return (rows) => takes.map((take) => take(rows));
    }
    return part(items.length, (rows) => Array.from(rows, (row) => items[row]));
  }
  if (!isPlain(given)) throw new DataError(`expected ${name} to be examples, got ${describe(given)}`);
  const takes = Object.entries(given).map(([key, item]) => [key, inner(key, item)] as const);
  if (takes.length === 0) throw new DataError(`expected examples in ${name}, got none`);
  return (rows) => Object.fromEntries(takes.map(([key, take]) => [key, take(rows)]));
}

/** @throws ShapeError unless all parts are of as many examples; DataError for fewer than two. */
function readData(op: string, data: unknown): { n: number; take: Take } {
  const parts: Part[] = [];
  const take = readTree('data', data, (part) => parts.push(part));
  const [first] = parts;
  for (const { name, count } of parts) {
    if (count === first.count) continue;
    throw new ShapeError(
      `[${op}] expected ${first.name} and ${name} to hold as many examples, got ${first.count} and ${count}`,
    );
  }
  if (first === undefined || first.count < 2) {
    throw new DataError(`[${op}] expected at least two examples to divide, got ${first?.count ?? 'none'}`);
  }
  return { n: first.count, take };
}

// ── labels ──────────────────────────────────────────────────────────────────────────────────────────────────────────

/** What examples belong to, by number. */
interface Kinds {
  /** Of each example. */
  readonly of: Int32Array;
  /** What each number stands for, in the order of their first example. */
  readonly labels: readonly unknown[];
  /** How many examples are of each. */
  readonly counts: readonly number[];
}

/** @throws DataError, ShapeError unless there is a number, a string or a boolean for each example. */
function readKinds(op: string, name: string, given: Labels, n: number): Kinds {
  const wanted = `[${op}] expected ${name} to be a label for each example`;
  if (isTensor(given) && given.rank !== 1) {
    throw new ShapeError(`${wanted}, got a tensor of rank ${given.rank}`);
  }
  const values: unknown = isTensor(given) ? given.data : given;
  if (!isList(values)) throw new DataError(`${wanted}, got ${describe(values)}`);
  const { length } = values;
  if (length !== n) throw new ShapeError(`${wanted}: ${n} examples, got ${describe(length)} labels`);
  const of = new Int32Array(n);
  const numbers = new Map<unknown, number>();
  const counts: number[] = [];
  for (let i = 0; i < n; i++) {
    const label: unknown = values[i];
    const isLabel =
      typeof label === 'string' ||
      typeof label === 'boolean' ||
      (typeof label === 'number' && !Number.isNaN(label));
    if (!isLabel) throw new DataError(`${wanted}, got ${describe(label)} at row ${i} (counted from 0)`);
    let number = numbers.get(label);
    if (number === undefined) {
      number = numbers.size;
      numbers.set(label, number);
      counts.push(0);
    }
    of[i] = number;
    counts[number]++;
  }
  return { of, labels: [...numbers.keys()], counts };
}

/** @throws DataError for a class of a single example, which cannot be both learnt and tested. */
function checkClasses(op: string, { labels, counts }: Kinds): void {
  const single = counts.indexOf(1);
  if (single < 0) return;
  throw new DataError(
    `[${op}] expected at least two examples of each class to stratify by, got one of ${describe(labels[single])}: join rare ` +
      'classes, or leave such examples out',
  );
}

/** The numbers of kinds in the order of their labels: numbers by size, others as text. */
function inOrder({ labels }: Kinds): number[] {
  const compare = (a: unknown, b: unknown) => (a === b ? 0 : (a as string) < (b as string) ? -1 : 1);
  return labels.map((_, i) => i).sort((a, b) => compare(labels[a], labels[b]));
}

/** How many examples of each class there are in each group: by group, then class. */
function countClasses(groups: Kinds, classes: Kinds): number[][] {
  const counts = groups.counts.map(() => classes.counts.map(() => 0));
  groups.of.forEach((group, i) => {
    counts[group][classes.of[i]]++;
  });
  return counts;
}

/** One class of all. */
const same = (n: number): Kinds => ({ of: new Int32Array(n), labels: ['all'], counts: [n] });

// ── options ─────────────────────────────────────────────────────────────────────────────────────────────────────────

interface Choices {
  readonly state: RandomState | null;
  readonly classes: Kinds | undefined;
  readonly groups: Kinds | undefined;
}

function readChoices(op: string, options: Common, n: number): Choices {
  const { shuffle = true, seed, stratify, groups } = options;
  checkBoolean(op, 'shuffle', shuffle);
  const state = seed === undefined ? defaultState : randomState(seed);
  const classes = stratify === undefined ? undefined : readKinds(op, 'stratify', stratify, n);
  if (classes) checkClasses(op, classes);
  return {
    state: shuffle ? state : null,
    classes,
    groups: groups === undefined ? undefined : readKinds(op, 'groups', groups, n),
  };
}

/** 0 … n − 1, in a random order where there is a state. */
function orderOf(n: number, state: RandomState | null): Int32Array {
  return state === null ? Int32Array.from({ length: n }, (_, i) => i) : permutation(n, state);
}

function partition(n: number, isTest: (i: number) => boolean): Split<Int32Array> {
  const rows = orderOf(n, null);
  return { train: rows.filter((i) => !isTest(i)), test: rows.filter((i) => isTest(i)) };
}

// ── two parts ───────────────────────────────────────────────────────────────────────────────────────────────────────

const isPart = (testSize: unknown) => typeof testSize === 'number' && testSize > 0 && testSize < 1;

/** How many examples to test on. */
function readTestSize(op: string, testSize: number, n: number): number {
  const count = isPart(testSize) ? Math.ceil(testSize * n) : testSize;
  if (Number.isInteger(count) && count >= 1 && count < n) return count;
  throw new ArgumentError(
    `[${op}] expected testSize to be a part above 0 and below 1, or a number of examples from 1 to ${n - 1}, that leaves ` +
      `examples to learn from, got ${describe(testSize)} of ${n} examples`,
  );
}

/** The share of each class in so many examples, to within one: those that lose most by rounding down get what is left. */
function shares(counts: readonly number[], wanted: number, total: number): number[] {
  const exact = counts.map((count) => (count * wanted) / total);
  const own = exact.map(Math.floor);
  let left = wanted - own.reduce((sum, count) => sum + count, 0);
  const byLoss = counts.map((_, i) => i).sort((a, b) => exact[b] - own[b] - (exact[a] - own[a]));
  for (const i of byLoss) if (left-- > 0) own[i]++;
  return own;
}

/** Groups are taken for the test, the most uneven first, as long as that brings each class nearer to its share. */
function groupsFor(groups: Kinds, classes: Kinds, part: number, state: RandomState | null): Set<number> {
  const counts = countClasses(groups, classes);
  const wanted = classes.counts.map((count) => count * part);
  const distance = (sums: readonly number[]) =>
    sums.reduce((sum, count, i) => sum + ((count - wanted[i]) / classes.counts[i]) ** 2, 0);
  const taken = new Set<number>();
  let sums = classes.counts.map(() => 0);
  const order = Array.from(orderOf(counts.length, state));
  // Without an order of chance, what comes last is tested on.
  if (state === null) order.reverse();
  if (classes.counts.length > 1) order.sort((a, b) => spread(counts[b]) - spread(counts[a]));
  let nearest: { group: number; distance: number } | undefined;
  for (const group of order) {
    const larger = sums.map((sum, i) => sum + counts[group][i]);
    const own = distance(larger);
    if (nearest === undefined || own < nearest.distance) nearest = { group, distance: own };
    if (taken.size + 1 === counts.length || own >= distance(sums)) continue;
    taken.add(group);
    sums = larger;
  }
  if (taken.size === 0 && nearest) taken.add(nearest.group);
  return taken;
}

/**
 * Examples in two parts, to learn from and to test on: `const { train, test } = trainTestSplit({ x, y }, { testSize: 0.2 })`.
 *
 * With `stratify` the test part has its share of each class, to within one example. With `groups` it is made of whole groups,
 * so many that its size is near to what was asked for; with both, the number of examples of each class is. Without `shuffle`
 * the last examples, or groups, are those to test on.
 * @param data what `fit` takes as examples in memory, `{ x, y }`; or any tensor, array, typed array, or arrays and records of
 *   them, whose first axis counts examples. Each comes back as what it was: tensors as tensors, arrays as arrays, which hold
 *   the same rows.
 * @throws ShapeError where lengths differ, DataError for what cannot be divided, ArgumentError for options out of their domain
 */
export function trainTestSplit<Data>(data: Data, options: SplitOptions = {}): Split<Data> {
  const op = 'trainTestSplit';
  refuseRecording(op);
  const own = readOptions(op, options, ['testSize', 'shuffle', 'seed', 'stratify', 'groups']);
  const { n, take } = readData(op, data);
  const { testSize = 0.25 } = own;
  const { state, classes, groups } = readChoices(op, own, n);
  // Groups are as large as they are: a part of the examples is not rounded for them.
  const wanted = groups && isPart(testSize) ? testSize * n : readTestSize(op, testSize, n);
  const { train, test } = groups
    ? groupSplit(op, groups, classes ?? same(n), wanted / n, state)
    : classes
      ? stratifiedSplit(op, classes, wanted, state)
      : plainSplit(n, wanted, state);
  return { train: take(train) as Data, test: take(test) as Data };
}

function plainSplit(n: number, wanted: number, state: RandomState | null): Split<Int32Array> {
  const order = orderOf(n, state);
  if (state === null) return { train: order.slice(0, n - wanted), test: order.slice(n - wanted) };
  return { train: order.slice(wanted), test: order.slice(0, wanted) };
}

function stratifiedSplit(
  op: string,
  classes: Kinds,
  wanted: number,
  state: RandomState | null,
): Split<Int32Array> {
  const { of, counts } = classes;
  const n = of.length;
  for (const [name, count] of Object.entries({ test: wanted, train: n - wanted })) {
    if (count >= counts.length) continue;
    throw new ArgumentError(
      `[${op}] expected a testSize by which the ${name} part has an example of each of ${counts.length} classes, got ` +
        `${count} of ${n} examples for it`,
    );
  }
  const left = shares(counts, wanted, n);
  const order = orderOf(n, state);
  if (state === null) order.reverse();
  const isTest = new Uint8Array(n);
  for (const i of order) if (left[of[i]]-- > 0) isTest[i] = 1;
  if (state === null) order.reverse();
  return { train: order.filter((i) => isTest[i] === 0), test: order.filter((i) => isTest[i] === 1) };
}

function groupSplit(
  op: string,
  groups: Kinds,
  classes: Kinds,
  part: number,
  state: RandomState | null,
): Split<Int32Array> {
  const { of, counts } = groups;
  if (counts.length < 2) {
    throw new DataError(`[${op}] expected at least two groups to divide, got ${counts.length}`);
  }
  const taken = groupsFor(groups, classes, part, state);
  const order = orderOf(of.length, state);
  return { train: order.filter((i) => !taken.has(of[i])), test: order.filter((i) => taken.has(of[i])) };
}

// ── folds ───────────────────────────────────────────────────────────────────────────────────────────────────────────

/** The standard deviation. */
function spread(values: readonly number[]): number {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  return Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length);
}

/** The fold of each example: blocks of equal size to within one. */
function plainFolds(n: number, folds: number, state: RandomState | null): Int32Array {
  const fold = new Int32Array(n);
  const order = orderOf(n, state);
  const [size, larger] = [Math.floor(n / folds), n % folds];
  const inLarger = larger * (size + 1);
  order.forEach((row, i) => {
    fold[row] = i < inLarger ? Math.floor(i / (size + 1)) : larger + Math.floor((i - inLarger) / size);
  });
  return fold;
}

/** As scikit-learn's StratifiedKFold: examples sorted by class are dealt to folds in turn. */
function stratifiedFolds(classes: Kinds, folds: number, state: RandomState | null): Int32Array {
  const { of, counts } = classes;
  const fold = new Int32Array(of.length);
  let dealt = 0;
  const dealing = counts.map((count) => {
    const own = Int32Array.from({ length: count }, (_, i) => (dealt + i) % folds).sort();
    dealt += count;
    return state === null ? own : Array.from(permutation(count, state), (i) => own[i]);
  });
  const next = counts.map(() => 0);
  of.forEach((kind, i) => {
    fold[i] = dealing[kind][next[kind]++];
  });
  return fold;
}

/** As scikit-learn's GroupKFold: the largest group first, each into the fold that is smallest so far. */
function groupFolds(groups: Kinds, folds: number, state: RandomState | null): number[] {
  const { counts } = groups;
  const sizes = new Float64Array(folds);
  /** A heap of the folds: none is smaller than its parent, at half of its place. The first of those that are equal counts. */
  const heap = Int32Array.from({ length: folds }, (_, i) => i);
  const isBefore = (a: number, b: number) => sizes[a] < sizes[b] || (sizes[a] === sizes[b] && a < b);
  const sink = () => {
    const [top] = heap;
    let at = 0;
    for (let child = 1; child < folds; child = 2 * at + 1) {
      if (child + 1 < folds && isBefore(heap[child + 1], heap[child])) child++;
      if (!isBefore(heap[child], top)) break;
      heap[at] = heap[child];
      at = child;
    }
    heap[at] = top;
  };
  const fold: number[] = [];
  const order = state === null ? inOrder(groups).reverse() : Array.from(permutation(counts.length, state));
  for (const group of order.sort((a, b) => counts[b] - counts[a])) {
    const [smallest] = heap;
    fold[group] = smallest;
    sizes[smallest] += counts[group];
    sink();
  }
  return fold;
}

/** As scikit-learn's StratifiedGroupKFold: the most uneven group first, each where it leaves classes most evenly spread. */
function stratifiedGroupFolds(
  groups: Kinds,
  classes: Kinds,
  folds: number,
  state: RandomState | null,
): number[] {
  const counts = countClasses(groups, classes);
  const sums = Array.from({ length: folds }, () => classes.counts.map(() => 0));
  const sizes = new Array<number>(folds).fill(0);
  const fold: number[] = [];
  const add = (to: number, group: number, sign: number) => {
    counts[group].forEach((count, i) => {
      sums[to][i] += sign * count;
    });
  };
  const unevenness = () => {
    const spreads = classes.counts.map((total, i) => spread(sums.map((sum) => sum[i] / total)));
    return spreads.reduce((sum, value) => sum + value, 0) / spreads.length;
  };
  const order = state === null ? inOrder(groups) : Array.from(permutation(counts.length, state));
  order.sort((a, b) => spread(counts[b]) - spread(counts[a]));
  order.forEach((group, at) => {
    const empty = sizes.filter((size) => size === 0).length;
    let best = -1;
    let least = Infinity;
    for (let to = 0; to < folds; to++) {
      // No fold is left empty.
      if (order.length - at === empty && sizes[to] > 0) continue;
      add(to, group, 1);
      const own = unevenness();
      add(to, group, -1);
      const isClose = Math.abs(own - least) <= 1e-8 + 1e-5 * least;
      if (own < least || (isClose && sizes[to] < sizes[best])) [best, least] = [to, own];
    }
    fold[group] = best;
    add(best, group, 1);
    sizes[best] += groups.counts[group];
  });
  return fold;
}

/**
 * Folds for cross-validation, each of which is tested on once, while the others are learnt from:
 * `for (const { train, test } of kFold({ x, y }, { folds: 5, seed: 1 })) …`.
 *
 * As scikit-learn's KFold, StratifiedKFold (`stratify`), GroupKFold (`groups`) and StratifiedGroupKFold (both): sizes of folds
 * are equal to within one example, with `stratify` those of each class as well; groups are not divided, so that their folds
 * are as equal as greed makes them. Without `shuffle` they are those of scikit-learn. The examples of a part are in the
 * order that they had.
 * @param data what `trainTestSplit` takes, or a number of examples, whose indices it then divides
 * @returns what can be iterated any number of times, and takes examples as it comes to a fold
 * @throws as `trainTestSplit`; ArgumentError for more folds than examples, groups, or members of the largest class
 */
export function kFold(data: number, options?: FoldOptions): Iterable<Split<Int32Array>>;
export function kFold<Data>(data: Data, options?: FoldOptions): Iterable<Split<Data>>;
export function kFold(data: unknown, options: FoldOptions = {}): Iterable<Split<unknown>> {
  const op = 'kFold';
  refuseRecording(op);
  const own = readOptions(op, options, ['folds', 'shuffle', 'seed', 'stratify', 'groups']);
  const { n, take } =
    typeof data === 'number' ? { n: readCount(op, data), take: (i: Int32Array) => i } : readData(op, data);
  const { folds = 5 } = own;
  if (!Number.isInteger(folds) || folds < 2) {
    throw new ArgumentError(`[${op}] expected folds to be an integer of at least 2, got ${describe(folds)}`);
  }
  const { state, classes, groups } = readChoices(op, own, n);
  const limits = {
    examples: n,
    groups: groups?.counts.length ?? n,
    'members of the largest class': classes ? classes.counts.reduce((a, b) => Math.max(a, b)) : n,
  };
  for (const [name, limit] of Object.entries(limits)) {
    if (folds <= limit) continue;
    throw new ArgumentError(
      `[${op}] expected at most as many folds as ${name}, got ${folds} folds and ${limit} ${name}: take fewer folds`,
    );
  }
  const foldOf = (): Int32Array => {
    if (!groups) return classes ? stratifiedFolds(classes, folds, state) : plainFolds(n, folds, state);
    const byGroup = classes
      ? stratifiedGroupFolds(groups, classes, folds, state)
      : groupFolds(groups, folds, state);
    return groups.of.map((group) => byGroup[group]);
  };
  const fold = foldOf();
  return {
    *[Symbol.iterator]() {
      for (let number = 0; number < folds; number++) {
        const { train, test } = partition(n, (i) => fold[i] === number);
        yield { train: take(train), test: take(test) };
      }
    },
  };
}

function readCount(op: string, n: number): number {
  if (Number.isInteger(n) && n >= 2 && n <= most) return n;
  throw new ArgumentError(
    `[${op}] expected examples, or their number, at least 2 and at most ${most}, got ${describe(n)}`,
  );
}

/**
 * Checks of the arguments of a kernel, as table.ts describes them, in the order of the C++ twin, so that both report the
 * same mistake in the same words: types in the order of the signature, then values of scalars, then lengths, then contents;
 * then what the kernel checks itself. Nearly every call is right, and `areRight` finds that out by a few comparisons; what
 * it does not vouch for is gone through argument by argument.
 */
import type { Kernels } from '../../../binding.d.ts';
import { IndexError, KernelError } from '../../errors.ts';
import { type ArrayFact, anyNumber, type Fact, finite, isArrayFact } from '../facts.ts';
import { table } from '../table.ts';

type Arguments = readonly unknown[];
type Sized = { readonly length: number };

// ── refusals ────────────────────────────────────────────────────────────────────────────────────────────────────────

export function refuse(kernel: string, name: string, expected: string, got: string): never {
  throw new KernelError(`[${kernel}] expected ${name} to ${expected}, got ${got}`);
}

export function refuseValue(kernel: string, name: string, expected: string, value: number): never {
  refuse(kernel, name, `be ${expected}`, String(value));
}

export function refuseType(kernel: string, name: string, expected: string, value: unknown): never {
  refuse(kernel, name, `be ${expected}`, describe(value));
}

function describe(value: unknown): string {
  if (value === null) return 'null';
  if (typeof value !== 'object') return typeof value;
  try {
    const name = (value as { constructor?: { name?: unknown } }).constructor?.name;
    return typeof name === 'string' && name !== '' ? name : 'object';
  } catch {
    // A revoked proxy has nothing to show.
    return 'object';
  }
}

export function checkLength(kernel: string, name: string, array: Sized, expected: number): void {
  if (array.length !== expected) refuse(kernel, name, `have length ${expected}`, String(array.length));
}

export function checkLengthOneOr(kernel: string, name: string, array: Sized, expected: number): void {
  if (array.length !== expected && array.length !== 1) {
    refuse(kernel, name, `have length 1 or ${expected}`, String(array.length));
  }
}

// ── types ───────────────────────────────────────────────────────────────────────────────────────────────────────────

const types = {
  Float32Array: (value: unknown) => value instanceof Float32Array,
  Float64Array: (value: unknown) => value instanceof Float64Array,
  Int32Array: (value: unknown) => value instanceof Int32Array,
  Uint32Array: (value: unknown) => value instanceof Uint32Array,
};
type TypeName = keyof typeof types;

const typesOf: Readonly<Record<ArrayFact['elements'], readonly TypeName[]>> = {
  Float: ['Float32Array', 'Float64Array'],
  Mixed: ['Float32Array', 'Float64Array', 'Int32Array'],
  Data: ['Float32Array', 'Float64Array', 'Int32Array'],
  AnyData: ['Float32Array', 'Float64Array', 'Int32Array'],
  Int32: ['Int32Array'],
  Uint32: ['Uint32Array'],
  Float64: ['Float64Array'],
};

/** Whether all such arrays of a call are of one type. */
function isAlike({ elements }: ArrayFact): boolean {
  return elements === 'Float' || elements === 'Mixed' || elements === 'Data';
}

/** `a Float32Array, Float64Array or Int32Array` */
function oneOf(names: readonly string[]): string {
  const article = names[0].startsWith('I') ? 'an' : 'a';
  return `${article} ${names.join(', ').replace(/, (?=[^,]*$)/, ' or ')}`;
}

/** Whether it is an array; a revoked proxy is none. */
function isArray(value: unknown): value is Arguments {
  try {
    return Array.isArray(value);
  } catch {
    return false;
  }
}

/** So many elements of a list are looked at in any case, later ones if all before them are arrays: it may be sparse. */
const surelyTaken = 64;

/** The elements of a list, as a getter among them may do anything; what is no list stays as it is. */
function elementsOf(list: unknown): unknown {
  if (!isArray(list)) return list;
  const taken: unknown[] = [];
  for (let i = 0; i < list.length; i++) {
    const element = list[i];
    taken.push(element);
    if (i >= surelyTaken && !ArrayBuffer.isView(element)) break;
  }
  return taken;
}

const keysOf = Uint8Array.prototype.keys;

/** An array that was detached, or whose buffer ends before it, looks like an empty one; only methods tell. */
function isAttached(array: Float32Array | Float64Array | Int32Array | Uint32Array): boolean {
  if (array.length > 0) return true;
  try {
    keysOf.call(array);
    return true;
  } catch {
    return false;
  }
}

/** Types in order: the first array of those that are alike fixes the type of the others. */
function checkTypes(kernel: string, names: readonly string[], facts: readonly Fact[], args: Arguments): void {
  let alike: { readonly type: TypeName; readonly name: string } | null = null;

  const checkArray = (value: unknown, name: string, fact: ArrayFact) => {
    const fixed = isAlike(fact) ? alike : null;
    const isMixed = fact.elements === 'Mixed';
    if (isMixed && types.Int32Array(value)) {
      if (!isAttached(value as Int32Array)) refuse(kernel, name, 'have an attached buffer', 'a detached one');
      return;
    }
    const allowed = fixed === null ? typesOf[fact.elements] : [fixed.type];
    const type = allowed.find((known) => types[known](value));
    if (type === undefined) {
      const like = fixed === null ? '' : ` like ${fixed.name}${isMixed ? ' or an Int32Array' : ''}`;
      const orNull = fact.orNull && !fact.isList ? ' or null' : '';
      refuseType(kernel, name, `${oneOf(allowed)}${like}${orNull}`, value);
    }
    if (!isAttached(value as Float32Array)) refuse(kernel, name, 'have an attached buffer', 'a detached one');
    if (isAlike(fact)) alike ??= { type, name };
  };

  facts.forEach((fact, i) => {
    const [value, name] = [args[i], names[i]];
    if (!isArrayFact(fact)) {
      if (typeof value !== 'number') refuseType(kernel, name, fact.expected, value);
      return;
    }
    if (fact.orNull && value === null) return;
    if (!fact.isList) {
      checkArray(value, name, fact);
      return;
    }
    if (!isArray(value)) refuseType(kernel, name, fact.orNull ? 'an array or null' : 'an array', value);
    for (const [at, array] of value.entries()) checkArray(array, `${name}[${at}]`, fact);
    // The type of no arrays.
    if (isAlike(fact)) alike ??= { type: 'Float32Array', name: `${name}[0]` };
  });
}

// ── a kernel with its checks ────────────────────────────────────────────────────────────────────────────────────────

/** The length that an array has to have. */
interface Length {
  readonly position: number;
  /** What is multiplied: a number, and what stands at these positions. */
  readonly factor: number;
  readonly terms: readonly number[];
  readonly orOne: boolean;
}

/** The positions of arguments by what is to be found out about them. */
interface Plan {
  /** Whether the arrays of one type may be of int32. */
  readonly isData: boolean;
  /** Arrays of one type, and those that may be null. */
  readonly arrays: readonly number[];
  readonly nullable: readonly number[];
  readonly integers: readonly { readonly position: number; readonly least: number; readonly most: number }[];
  readonly numbers: readonly number[];
  readonly finites: readonly number[];
  readonly others: readonly { readonly position: number; readonly accepts: (value: unknown) => boolean }[];
  readonly lengths: readonly Length[];
  readonly lists: readonly {
    readonly position: number;
    readonly orNull: boolean;
    readonly isMixed: boolean;
  }[];
}

function planOf(names: readonly string[], facts: readonly Fact[]): Plan {
  const entries = [...facts.entries()];
  const arrays = entries.flatMap(([position, fact]) => (isArrayFact(fact) ? [{ position, fact }] : []));
  const scalars = entries.flatMap(([position, fact]) => (isArrayFact(fact) ? [] : [{ position, fact }]));
  const alike = arrays.filter(({ fact }) => isAlike(fact));
  const are = (kind: Fact) => scalars.filter(({ fact }) => fact === kind).map(({ position }) => position);
  return {
    isData: alike.some(({ fact }) => fact.elements === 'Data'),
    arrays: alike.filter(({ fact }) => !fact.isList && !fact.orNull).map(({ position }) => position),
    nullable: alike.filter(({ fact }) => !fact.isList && fact.orNull).map(({ position }) => position),
    integers: scalars.flatMap(({ position, fact: { range } }) =>
      range === undefined ? [] : [{ position, least: range[0], most: range[1] }],
    ),
    numbers: are(anyNumber),
    finites: are(finite),
    others: [
      ...arrays
        .filter(({ fact }) => !isAlike(fact))
        .map(({ position, fact }) => ({ position, accepts: isOneOf(fact) })),
      ...scalars
        .filter(({ fact }) => fact.range === undefined && fact !== anyNumber && fact !== finite)
        .map(({ position, fact }) => ({
          position,
          accepts: (value: unknown) => typeof value === 'number' && fact.accepts(value),
        })),
    ],
    lengths: arrays.flatMap(({ position, fact: { length, orOne } }) => {
      if (length === null) return [];
      const factor = length.reduce<number>((all, count) => all * (typeof count === 'number' ? count : 1), 1);
      const terms = length.filter((count) => typeof count === 'string').map((name) => names.indexOf(name));
      return [{ position, factor, terms, orOne }];
    }),
    lists: arrays
      .filter(({ fact }) => fact.isList)
      .map(({ position, fact: { orNull, elements } }) => ({
        position,
        orNull,
        isMixed: elements === 'Mixed',
      })),
  };
}

/** Whether it is an array of a type of its own. */
function isOneOf({ elements, orNull }: ArrayFact): (value: unknown) => boolean {
  const allowed = typesOf[elements].map((type) => types[type]);
  return (value) =>
    (orNull && value === null) || (allowed.some((is) => is(value)) && isAttached(value as Float32Array));
}

const isFloat32 = (value: unknown) => value instanceof Float32Array && isAttached(value);
const isFloat64 = (value: unknown) => value instanceof Float64Array && isAttached(value);
const isInt32 = (value: unknown) => value instanceof Int32Array && isAttached(value);

/** Whether nothing is wrong with types, values and lengths, lists apart; false says that something may be. */
function areRight(plan: Plan, args: Arguments): boolean {
  const { isData, arrays, nullable, integers, numbers, finites, others, lengths } = plan;
  const first = args[arrays[0]];
  const isFloat = first instanceof Float32Array ? isFloat32 : isFloat64;
  const isLike = isData && first instanceof Int32Array ? isInt32 : isFloat;
  for (let i = 0; i < arrays.length; i++) if (!isLike(args[arrays[i]])) return false;
  for (let i = 0; i < nullable.length; i++) {
    const value = args[nullable[i]];
    if (value !== null && !isLike(value)) return false;
  }
  for (let i = 0; i < integers.length; i++) {
    const { position, least, most } = integers[i];
    const value = args[position];
    if (typeof value !== 'number' || (value | 0) !== value || value < least || value > most) return false;
  }
  for (let i = 0; i < numbers.length; i++) if (typeof args[numbers[i]] !== 'number') return false;
  for (let i = 0; i < finites.length; i++) if (!Number.isFinite(args[finites[i]])) return false;
  for (let i = 0; i < others.length; i++) {
    const { position, accepts } = others[i];
    if (!accepts(args[position])) return false;
  }
  for (let i = 0; i < lengths.length; i++) {
    const array = args[lengths[i].position] as Sized | null;
    if (array === null || array.length === lengthOf(lengths[i], args)) continue;
    if (!lengths[i].orOne || array.length !== 1) return false;
  }
  return true;
}

function lengthOf({ factor, terms }: Length, args: Arguments): number {
  let length = factor;
  for (let i = 0; i < terms.length; i++) {
    const term = args[terms[i]] as number | Sized;
    length *= typeof term === 'number' ? term : term.length;
  }
  return length;
}

/** The same of lists. */
function areListsRight({ arrays, lists }: Plan, args: Arguments): boolean {
  const list = args[lists[0].position];
  const first = arrays.length > 0 ? args[arrays[0]] : isArray(list) ? list[0] : null;
  // Of no arrays the type is float32.
  const isLike = first instanceof Float64Array ? isFloat64 : isFloat32;
  for (let i = 0; i < lists.length; i++) {
    const { position, orNull, isMixed } = lists[i];
    const list = args[position];
    if (orNull && list === null) continue;
    if (!isArray(list)) return false;
    for (let at = 0; at < list.length; at++) {
      if (!isLike(list[at]) && !(isMixed && isInt32(list[at]))) return false;
    }
  }
  return true;
}

function checkAll(
  kernel: string,
  names: readonly string[],
  facts: readonly Fact[],
  lengths: readonly Length[],
  args: Arguments,
): void {
  checkTypes(kernel, names, facts, args);
  for (const [i, fact] of facts.entries()) {
    const value = args[i] as number;
    if (!isArrayFact(fact) && !fact.accepts(value)) refuseValue(kernel, names[i], fact.expected, value);
  }
  for (const length of lengths) {
    const { position, orOne } = length;
    const array = args[position] as Sized | null;
    if (array === null) continue;
    const check = orOne ? checkLengthOneOr : checkLength;
    check(kernel, names[position], array, lengthOf(length, args));
  }
}

export function checkIndices(kernel: string, name: string, indices: Int32Array, size: number): void {
  for (let i = 0; i < indices.length; i++) {
    const index = indices[i];
    if (index < 0 || index >= size) {
      throw new IndexError(`[${kernel}] expected ${name}[${i}] to be from 0 to ${size - 1}, got ${index}`);
    }
  }
}

/** The kernel behind the checks that the table describes. */
export function checked<Name extends keyof Kernels>(kernel: Name, compute: Kernels[Name]): Kernels[Name] {
  const names = Object.keys(table[kernel].arguments);
  const facts = Object.values(table[kernel].arguments);
  const plan = planOf(names, facts);
  const { lists, lengths } = plan;
  const contents = [...facts.entries()].flatMap(([position, fact]) => {
    if (!isArrayFact(fact) || fact.contents === null) return [];
    return [{ position, below: names.indexOf(fact.contents.below) }];
  });
  const run = compute as (...args: unknown[]) => void;
  const plain = (...args: unknown[]) => {
    if (!areRight(plan, args)) checkAll(kernel, names, facts, lengths, args);
    run(...args);
  };
  const withMore = (...args: unknown[]) => {
    for (const { position } of lists) args[position] = elementsOf(args[position]);
    const isRight = (lists.length === 0 || areListsRight(plan, args)) && areRight(plan, args);
    if (!isRight) checkAll(kernel, names, facts, lengths, args);
    for (const { position, below } of contents) {
      checkIndices(kernel, names[position], args[position] as Int32Array, args[below] as number);
    }
    run(...args);
  };
  const whole = lists.length + contents.length === 0 ? plain : withMore;
  return Object.defineProperty(whole, 'length', { value: names.length }) as Kernels[Name];
}

/**
 * Checks of the arguments of a kernel, as table.ts describes them, in the order of the C++ twin, so that both report the
 * same mistake in the same words: types in the order of the signature, then values of scalars, then lengths, then contents;
 * then what the kernel checks itself. Nearly every call is right, and `areRight` finds that out by a few comparisons; what
 * it does not vouch for, such as empty arrays, is gone through argument by argument.
 */
import type { Kernels } from '../../../binding.d.ts';
import { IndexError, KernelError } from '../../errors.ts';
import { type ArrayFact, anyNumber, type Fact, finite, isArrayFact, type ScalarFact } from '../facts.ts';
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
  Data: ['Float32Array', 'Float64Array', 'Int32Array'],
  AnyData: ['Float32Array', 'Float64Array', 'Int32Array'],
  Int32: ['Int32Array'],
  Uint32: ['Uint32Array'],
  Float64: ['Float64Array'],
};

/** Whether all such arrays of a call are of one type. */
function isAlike({ elements }: ArrayFact): boolean {
  return elements === 'Float' || elements === 'Data';
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

/** Types in order: the first array of those that are alike fixes the type of the others. */
function checkTypes(kernel: string, names: readonly string[], facts: readonly Fact[], args: Arguments): void {
  let alike: { readonly type: TypeName; readonly name: string } | null = null;

  const checkArray = (value: unknown, name: string, fact: ArrayFact) => {
    const fixed = isAlike(fact) ? alike : null;
    const allowed = fixed === null ? typesOf[fact.elements] : [fixed.type];
    const type = allowed.find((known) => types[known](value));
    if (type === undefined) {
      const like = fixed === null ? '' : ` like ${fixed.name}`;
      const orNull = fact.orNull && !fact.isList ? ' or null' : '';
      refuseType(kernel, name, `${oneOf(allowed)}${like}${orNull}`, value);
    }
    const { length, buffer } = value as Uint8Array;
    // A detached array looks like an empty one; only making a view of its buffer tells.
    if (length === 0) {
      try {
        new Uint8Array(buffer);
      } catch {
        refuse(kernel, name, 'have an attached buffer', 'a detached one');
      }
    }
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
  readonly isList: boolean;
}

/** The positions of arguments by what is to be found out about them. */
interface Plan {
  /** Arrays of one type; null among them; lists. */
  readonly arrays: readonly number[];
  readonly nullable: readonly number[];
  readonly lists: readonly { readonly position: number; readonly orNull: boolean }[];
  readonly integers: readonly { readonly position: number; readonly least: number; readonly most: number }[];
  readonly numbers: readonly number[];
  readonly finites: readonly number[];
  readonly others: readonly { readonly position: number; readonly accepts: (value: unknown) => boolean }[];
  readonly lengths: readonly Length[];
}

function planOf(names: readonly string[], facts: readonly Fact[]): Plan {
  const where = (holds: (fact: Fact) => boolean) => [...facts.keys()].filter((i) => holds(facts[i]));
  const alike = (holds: (fact: ArrayFact) => boolean) =>
    where((fact) => isArrayFact(fact) && isAlike(fact) && holds(fact));
  const accepts = (fact: Fact) => {
    if (!isArrayFact(fact)) return (value: unknown) => typeof value === 'number' && fact.accepts(value);
    const allowed = typesOf[fact.elements].map((type) => types[type]);
    const isRight = (value: unknown) => allowed.some((is) => is(value)) && (value as Sized).length > 0;
    return fact.orNull ? (value: unknown) => value === null || isRight(value) : isRight;
  };
  const rangeOf = (i: number) => (facts[i] as ScalarFact).range;
  const isOther = (fact: Fact) =>
    isArrayFact(fact) ? !isAlike(fact) : fact.range === undefined && fact !== anyNumber && fact !== finite;
  return {
    arrays: alike(({ isList, orNull }) => !isList && !orNull),
    nullable: alike(({ isList, orNull }) => !isList && orNull),
    lists: alike(({ isList }) => isList).map((position) => ({
      position,
      orNull: (facts[position] as ArrayFact).orNull,
    })),
    integers: [...facts.keys()].flatMap((position) => {
      const range = rangeOf(position);
      return range === undefined ? [] : [{ position, least: range[0], most: range[1] }];
    }),
    numbers: where((fact) => fact === anyNumber),
    finites: where((fact) => fact === finite),
    others: where(isOther).map((position) => ({ position, accepts: accepts(facts[position]) })),
    lengths: [...facts.entries()].flatMap(([position, fact]) => {
      if (!isArrayFact(fact) || fact.length === null) return [];
      const { length, orOne, isList } = fact;
      const factor = length.reduce<number>((all, count) => all * (typeof count === 'number' ? count : 1), 1);
      const terms = length.filter((count) => typeof count === 'string').map((name) => names.indexOf(name));
      return [{ position, factor, terms, orOne, isList }];
    }),
  };
}

function lengthOf({ factor, terms }: Length, args: Arguments): number {
  let length = factor;
  for (let i = 0; i < terms.length; i++) {
    const term = args[terms[i]] as number | Sized;
    length *= typeof term === 'number' ? term : term.length;
  }
  return length;
}

/** Whether the arrays of a list are as long as those of another at their places. */
function areAsLong(list: readonly Sized[], other: readonly Sized[]): boolean {
  for (let i = 0; i < list.length; i++) if (list[i].length !== other[i].length) return false;
  return true;
}

const isFloat32 = (value: unknown) => value instanceof Float32Array && value.length > 0;
const isFloat64 = (value: unknown) => value instanceof Float64Array && value.length > 0;

/** Whether nothing is wrong with types, values and lengths; false says that something may be. */
function areRight(plan: Plan, args: Arguments): boolean {
  const { arrays, nullable, lists, integers, numbers, finites, others, lengths } = plan;
  const first = lists.length === 0 ? args[arrays[0]] : (args[lists[0].position] as Arguments | null)?.[0];
  const isLike = first instanceof Float32Array ? isFloat32 : isFloat64;
  for (let i = 0; i < arrays.length; i++) if (!isLike(args[arrays[i]])) return false;
  for (let i = 0; i < nullable.length; i++) {
    const value = args[nullable[i]];
    if (value !== null && !isLike(value)) return false;
  }
  for (let i = 0; i < lists.length; i++) {
    const list = args[lists[i].position];
    if (list === null && lists[i].orNull) continue;
    if (!isArray(list)) return false;
    for (let at = 0; at < list.length; at++) if (!isLike(list[at])) return false;
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
    const { position, orOne, isList, terms } = lengths[i];
    const array = args[position] as Sized | null;
    if (array === null) continue;
    if (array.length !== lengthOf(lengths[i], args) && !(orOne && array.length === 1)) return false;
    if (isList && !areAsLong(array as readonly Sized[], args[terms[0]] as readonly Sized[])) return false;
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
  facts.forEach((fact, i) => {
    const value = args[i] as number;
    if (!isArrayFact(fact) && !fact.accepts(value)) refuseValue(kernel, names[i], fact.expected, value);
  });
  for (const length of lengths) {
    const array = args[length.position] as Sized | null;
    if (array === null) continue;
    const name = names[length.position];
    const check = length.orOne ? checkLengthOneOr : checkLength;
    check(kernel, name, array, lengthOf(length, args));
    if (!length.isList) continue;
    const [list, other] = [array, args[length.terms[0]]] as (readonly Sized[])[];
    for (const [at, own] of list.entries()) checkLength(kernel, `${name}[${at}]`, own, other[at].length);
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
    return [{ position, below: names.indexOf(fact.contents.below), name: names[position] }];
  });
  const run = compute as (...args: unknown[]) => void;
  const whole = (...args: unknown[]) => {
    for (let i = 0; i < lists.length; i++) args[lists[i].position] = elementsOf(args[lists[i].position]);
    if (!areRight(plan, args)) checkAll(kernel, names, facts, lengths, args);
    for (let i = 0; i < contents.length; i++) {
      const { position, below, name } = contents[i];
      checkIndices(kernel, name, args[position] as Int32Array, args[below] as number);
    }
    run(...args);
  };
  return Object.defineProperty(whole, 'length', { value: names.length }) as Kernels[Name];
}

/** The vocabulary of table.ts: what an argument of a kernel may be. */
import { gradientFromOutput, unaryCode, unaryOps } from './codes.ts';

/**
 * What an array holds. All `Float` arrays of a call, and all `Data` arrays, are of the type that the first of them has;
 * an `AnyData` array is of its own. A `Mixed` one is of the type of the `Float` arrays, or of int32.
 */
export type ElementType = 'Float' | 'Mixed' | 'Data' | 'AnyData' | 'Int32' | 'Uint32' | 'Float64';

/** `partly`: overwritten where a layout reaches it, and kept elsewhere; all of it where the layout is null or says nothing of it. */
export type Effect = 'read' | 'overwritten' | 'partly' | 'updated';

/** A number, or the name of an argument that counts: a size by its value, an array by its length. */
export type Count = number | string;

export interface ArrayFact {
  readonly elements: ElementType;
  readonly effect: Effect;
  /** A list of such arrays. */
  readonly isList: boolean;
  readonly orNull: boolean;
  /** Its length is the product of these; null where it is no such product, and of lists. */
  readonly length: readonly Count[] | null;
  /** Whether length 1 will do too. */
  readonly orOne: boolean;
  /** What each element is: an index below a size, or anything. */
  readonly contents: { readonly below: string } | null;
}

export interface ScalarFact {
  /** What it has to be, in the words of an error. */
  readonly expected: string;
  accepts(value: number): boolean;
  /** The range of an integer, ends included. */
  readonly range?: readonly [least: number, most: number];
  /** What a code is a position of. */
  readonly names?: readonly string[];
}

export type Fact = ArrayFact | ScalarFact;

export function isArrayFact(fact: Fact): fact is ArrayFact {
  return 'elements' in fact;
}

const typeNames: Readonly<Record<ElementType, string>> = {
  Float: 'Float',
  Mixed: 'Data',
  Data: 'Data',
  AnyData: 'Data',
  Int32: 'Int32Array',
  Uint32: 'Uint32Array',
  Float64: 'Float64Array',
};

/** An argument as the addon's manifest describes it (binding.d.ts). */
export function describeFact(fact: Fact): string {
  if (!isArrayFact(fact)) return fact.expected;
  const name = typeNames[fact.elements];
  const type = `${fact.isList ? `readonly ${name}[]` : name}${fact.orNull ? ' | null' : ''}`;
  return fact.effect === 'read' ? type : `written ${type}`;
}

// ── arrays ──────────────────────────────────────────────────────────────────────────────────────────────────────────

const array = (effect: Effect, length: readonly Count[]): ArrayFact => ({
  elements: 'Float',
  effect,
  isList: false,
  orNull: false,
  length: length.length === 0 ? null : length,
  orOne: false,
  contents: null,
});

/** An array that is overwritten, as long as the product of the counts. */
export const out = (...length: Count[]): ArrayFact => array('overwritten', length);
export const partly = (...length: Count[]): ArrayFact => array('partly', length);
export const updated = (...length: Count[]): ArrayFact => array('updated', length);
export const input = (...length: Count[]): ArrayFact => array('read', length);

const holding = (elements: ElementType) => (fact: ArrayFact) => ({ ...fact, elements });
export const mixed = holding('Mixed');
export const data = holding('Data');
export const anyData = holding('AnyData');
export const int32 = holding('Int32');
export const uint32 = holding('Uint32');
export const float64 = holding('Float64');

export const list = (fact: ArrayFact): ArrayFact => ({ ...fact, isList: true });
export const orNull = (fact: ArrayFact): ArrayFact => ({ ...fact, orNull: true });
export const orOne = (fact: ArrayFact): ArrayFact => ({ ...fact, orOne: true });
/** Int32, each element from 0 on and below a size. */
export const indices = (below: string, fact: ArrayFact): ArrayFact => ({
  ...int32(fact),
  contents: { below },
});

// ── scalars ─────────────────────────────────────────────────────────────────────────────────────────────────────────

export const maxSize = 2147483647;

const integer = (
  least: number,
  most: number,
  expected = `an integer from ${least} to ${most}`,
): ScalarFact => ({
  expected,
  accepts: (value) => (value | 0) === value && value >= least && value <= most,
  range: [least, most],
});

export const size = integer(0, maxSize);
export const positiveSize = integer(1, maxSize);

/** Which of the reductions that are under way. */
export const ticket = integer(0, 255);

export const flag = integer(0, 1, '0 or 1');
export const finite: ScalarFact = { expected: 'a finite number', accepts: Number.isFinite };
export const anyNumber: ScalarFact = { expected: 'a number', accepts: () => true };
/** A probability that leaves something. */
export const rate: ScalarFact = {
  expected: 'at least 0 and less than 1',
  accepts: (value) => value >= 0 && value < 1,
};

const codeFrom = (first: number, names: readonly string[]): ScalarFact =>
  integer(first, names.length - 1, `a code from ${first} to ${names.length - 1}`);

export const code = (names: readonly string[]): ScalarFact => ({ ...codeFrom(0, names), names });
/** A code of `unaryOps`, or −1 for none. */
export const activation = codeFrom(-1, unaryOps);

const fromOutput: ReadonlySet<number> = new Set(gradientFromOutput.map((name) => unaryCode[name]));
/** The same where only the output is at hand. */
export const activationOfOutput: ScalarFact = {
  expected: '-1 or the code of an op whose gradient follows from the output',
  accepts: (value) => value === -1 || fromOutput.has(value),
};

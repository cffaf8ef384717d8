/**
 * Checks of arguments that have nothing to do with tensors, how they are read, and how messages show what was given. What
 * a user gives may be a proxy or have getters, which answer otherwise the second time: it is read once, and what was read
 * is checked and used. An error that its own code throws goes to the user as it is.
 */
import { ArgumentError } from './errors.ts';
import { isProxy } from './platform.ts';

/** How much of a text a message shows. */
const longest = 60;

/**
 * What a message calls a value that is something else than expected. Never throws, whatever the value, and is short,
 * however large it is.
 */
export function describe(value: unknown): string {
  switch (typeof value) {
    case 'string':
      return JSON.stringify(value.length > longest ? `${value.slice(0, longest)}…` : value);
    case 'bigint':
      return BigInt.asIntN(64, value) === value ? `${value}n` : 'a large bigint';
    case 'symbol':
      return 'a symbol';
    case 'function':
      return 'a function';
    case 'object': {
      if (value === null) return 'null';
      if (isProxy(value)) return 'a proxy';
      if (Array.isArray(value)) return 'an array';
      const name = className(value);
      if (name === 'Object' && Object.hasOwn(value, 'dtype') && Object.hasOwn(value, 'shape')) {
        return 'an object of dtype and shape that is no tensor, as structuredClone and JSON make of one';
      }
      return name ? `an object of class ${name}` : 'an object';
    }
    default:
      return String(value);
  }
}

/** The name of an object's class; undefined where it tells none, or only by an error. */
function className(value: object): string | undefined {
  try {
    const { name } = value.constructor as { name?: unknown };
    return typeof name === 'string' ? name.slice(0, longest) : undefined;
  } catch {
    return undefined;
  }
}

/** Whether it is a proxy that was revoked, which fails whatever one asks it. */
export function isRevoked(value: unknown): boolean {
  try {
    Array.isArray(value);
    return false;
  } catch {
    return true;
  }
}

/** As `instanceof`, but false for a proxy that was revoked. */
export function isInstance<Kind>(value: unknown, kind: { readonly prototype: Kind }): value is Kind {
  return !isRevoked(value) && Function.prototype[Symbol.hasInstance].call(kind as never, value);
}

/** As `Array.isArray`, but false for a proxy that was revoked. */
export function isArray(value: unknown): value is readonly unknown[] {
  return !isRevoked(value) && Array.isArray(value);
}

/** Whether it can be called, which a proxy that was revoked cannot. */
export function isFunction<Value>(value: Value): value is Extract<Value, (...args: never[]) => unknown> {
  return typeof value === 'function' && !isRevoked(value);
}

/** What `for … of` takes, its method read once; null for what it does not take. */
export function readIterable<Item>(value: Iterable<Item>): Iterable<Item> | null {
  const iterate = isRevoked(value)
    ? undefined
    : (value as Iterable<Item> | null | undefined)?.[Symbol.iterator];
  // The iterator of a typed array throws where its buffer was detached.
  if (ArrayBuffer.isView(value)) return Array.prototype.slice.call(value);
  return isFunction(iterate) ? { [Symbol.iterator]: () => iterate.call(value) } : null;
}

/** What keeps its content elsewhere than in properties: as a record, it would be an empty one. */
const closed = [String, Map, Set, Promise, Date];

/** Whether value is an object of named things: neither an array, something else of numbered elements, nor a Map or its like. */
export function isRecord(value: unknown): value is object {
  return (
    typeof value === 'object' &&
    value !== null &&
    !isRevoked(value) &&
    !Array.isArray(value) &&
    !ArrayBuffer.isView(value) &&
    !closed.some((kind) => value instanceof kind)
  );
}

/**
 * An array's elements, each read once, in an array of its own.
 * @param most how many there may be, so that nobody walks a sparse array of billions
 * @throws what `refuse` makes of the text that says what was given instead
 */
export function readArray<Item>(
  value: readonly Item[],
  most: number,
  refuse: (got: string) => Error,
): Item[] {
  if (!isArray(value)) throw refuse(describe(value));
  const { length } = value;
  if (!(Number.isInteger(length) && length >= 0 && length <= most)) throw refuse(describe(length));
  const own: Item[] = [];
  for (let i = 0; i < length; i++) own.push(value[i]);
  return own;
}

/** How many items a list may have that nobody makes long. */
const most = 2 ** 16;

/** The items of a list, each read once. @throws ArgumentError unless it is an array, of at most 65,536 items */
export function readList<Item>(op: string, name: string, value: readonly Item[]): Item[] {
  return readArray(value, most, (got) => {
    const array = isArray(value) ? `an array of at most ${most} items` : 'an array';
    return new ArgumentError(`[${op}] expected ${name} to be ${array}, got ${got}`);
  });
}

/** @throws ArgumentError unless options is an object that has only known names: a misspelt one would be lost. */
export function checkOptions(op: string, options: object, known: readonly string[]): void {
  if (!isRecord(options)) {
    throw new ArgumentError(`[${op}] expected options to be an object, got ${describe(options)}`);
  }
  for (const name of Object.keys(options)) {
    if (!known.includes(name)) {
      throw new ArgumentError(
        `[${op}] expected options among ${known.join(', ')}, got ${name.slice(0, longest)}`,
      );
    }
  }
}

/** Options that somebody keeps or passes on, each read once. @throws as `checkOptions` */
export function readOptions<Options extends object>(
  op: string,
  options: Options,
  known: readonly (keyof Options & string)[],
): Options {
  checkOptions(op, options, known);
  const own = {} as Options;
  for (const name of known) {
    const value = options[name];
    if (value !== undefined) own[name] = value;
  }
  return own;
}

/** @throws ArgumentError unless value is an integer of at least 1. */
export function checkPositive(op: string, name: string, value: number): void {
  if (!Number.isInteger(value) || value < 1) {
    throw new ArgumentError(
      `[${op}] expected ${name} to be an integer of at least 1, got ${describe(value)}`,
    );
  }
}

/** @throws ArgumentError unless value is true or false. */
export function checkBoolean(op: string, name: string, value: boolean): void {
  if (typeof value !== 'boolean') {
    throw new ArgumentError(`[${op}] expected ${name} to be true or false, got ${describe(value)}`);
  }
}

/** @throws ArgumentError unless value is a function. */
export function checkFunction(op: string, name: string, value: unknown): void {
  if (!isFunction(value)) {
    throw new ArgumentError(`[${op}] expected ${name} to be a function, got ${describe(value)}`);
  }
}

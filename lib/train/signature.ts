/**
 * What kind of call it is: the structure of the arguments of a compiled function, with the shapes and dtypes of the tensors
 * in it, which of them are one tensor, and all other values. A program serves the calls of its kind.
 */

import { describe, isArray, readArray } from '../arguments.ts';
import { ArgumentError, AutogradError } from '../errors.ts';
import type { Dtype } from '../memory.ts';
import { isMap, isProxy } from '../platform.ts';
import { type Shape, sameShape } from '../shape.ts';
import { checkElements, isTensor, type Tensor } from '../tensor.ts';

type Kind =
  | { readonly is: 'tensor'; readonly shape: Shape; readonly dtype: Dtype; readonly number: number }
  | { readonly is: 'list'; readonly items: readonly Kind[] }
  | { readonly is: 'record'; readonly keys: readonly string[]; readonly items: readonly Kind[] }
  | { readonly is: 'map'; readonly keys: readonly unknown[]; readonly items: readonly Kind[] }
  | { readonly is: 'value'; readonly value: unknown };

/** How deep arguments may be nested, and how many things be in them. */
const deepest = 64;
const most = 2 ** 20;

const tooMany = (path: string) =>
  new ArgumentError(
    `[compile] expected arguments nested at most ${deepest} deep, of ${most} values at most, got more at ${path}`,
  );

export class Signature {
  /** The tensors, each once, in the order in which they come. */
  readonly tensors: readonly Tensor[];
  private readonly kinds: readonly Kind[];

  /**
   * @throws AutogradError for a tensor with requiresGrad, ArgumentError for an object that is no array, plain object or Map,
   *   DataError for a tensor whose buffer was detached
   */
  constructor(args: readonly unknown[]) {
    const tensors: Tensor[] = [];
    let count = 0;
    const read = (value: unknown, path: string, depth: number): Kind => {
      if (++count > most || depth > deepest) throw tooMany(path);
      if (isTensor(value)) {
        checkElements('compile', value);
        if (value.requiresGrad) {
          throw new AutogradError(
            `[compile] expected arguments without gradients, got ${path} with requiresGrad: detach() it, or use it ` +
              'directly where it is a Parameter',
          );
        }
        let number = tensors.indexOf(value);
        if (number < 0) number = tensors.push(value) - 1;
        return { is: 'tensor', shape: [...value.shape], dtype: value.dtype, number };
      }
      if (typeof value !== 'object' || value === null) return { is: 'value', value };
      if (isProxy(value)) throw refused(value, path);
      if (isArray(value)) {
        const items = readArray(value, most, () => tooMany(path));
        return { is: 'list', items: items.map((item, i) => read(item, `${path}[${i}]`, depth + 1)) };
      }
      if (isPlain(value)) {
        const keys = Object.keys(value);
        return {
          is: 'record',
          keys,
          items: keys.map((key) => read(value[key], `${path}.${key}`, depth + 1)),
        };
      }
      if (!isMap(value)) throw refused(value, path);
      const keys = [...value.keys()];
      return {
        is: 'map',
        keys,
        items: keys.map((key) => read(value.get(key), `${path}.get(${describe(key)})`, depth + 1)),
      };
    };
    this.kinds = args.map((argument, i) => read(argument, `argument ${i}`, 0));
    this.tensors = tensors;
  }

  /** The tensors of other arguments, in the same order; null when those are of another kind. */
  match(args: readonly unknown[]): Tensor[] | null {
    const { kinds } = this;
    if (args.length !== kinds.length) return null;
    const tensors: Tensor[] = [];
    for (let i = 0; i < kinds.length; i++) if (!matches(kinds[i], args[i], tensors)) return null;
    return tensors;
  }

  /** The arguments anew, with other tensors in their places. */
  fill(tensors: readonly Tensor[]): unknown[] {
    return this.kinds.map((kind) => filled(kind, tensors));
  }
}

/** A number that calls of one kind have in common, and others seldom: of the shapes of the tensors that are arguments. */
export function keyOf(args: readonly unknown[]): number {
  let key = args.length;
  for (let i = 0; i < args.length; i++) {
    const argument = args[i];
    key = Math.imul(key, 31);
    if (!isTensor(argument)) continue;
    const { shape } = argument;
    for (let axis = 0; axis < shape.length; axis++) key = Math.imul(key, 31) + shape[axis];
  }
  return key;
}

type Plain = Record<string, unknown>;

function isPlain(value: object): value is Plain {
  const prototype = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}

function refused(value: object, path: string): ArgumentError {
  const got = isProxy(value) ? 'a proxy' : describe(value);
  return new ArgumentError(
    '[compile] expected tensors, numbers, strings or booleans as arguments, in arrays, plain objects or Maps where there ' +
      `are more, got ${got} as ${path}`,
  );
}

function matches(kind: Kind, value: unknown, tensors: Tensor[]): boolean {
  if (kind.is === 'tensor') {
    if (!isTensor(value) || value.dtype !== kind.dtype || value.wantsGradient) return false;
    if (!sameShape(value.shape, kind.shape)) return false;
    if (kind.number < tensors.length) return tensors[kind.number] === value;
    if (tensors.includes(value)) return false;
    tensors.push(value);
    return true;
  }
  if (kind.is === 'value') return Object.is(kind.value, value);
  if (typeof value !== 'object' || value === null || isTensor(value) || isProxy(value)) return false;
  const { items } = kind;
  if (kind.is === 'list') {
    if (!isArray(value) || value.length !== items.length) return false;
    for (let i = 0; i < items.length; i++) if (!matches(items[i], value[i], tensors)) return false;
    return true;
  }
  if (kind.is === 'record') {
    if (isArray(value) || !isPlain(value)) return false;
    const keys = Object.keys(value);
    return (
      keys.length === items.length &&
      keys.every((key, i) => key === kind.keys[i] && matches(items[i], value[key], tensors))
    );
  }
  if (!isMap(value) || value.size !== items.length) return false;
  return [...value].every(
    ([key, item], i) => Object.is(key, kind.keys[i]) && matches(items[i], item, tensors),
  );
}

function filled(kind: Kind, tensors: readonly Tensor[]): unknown {
  if (kind.is === 'tensor') return tensors[kind.number];
  if (kind.is === 'value') return kind.value;
  const items = kind.items.map((item) => filled(item, tensors));
  if (kind.is === 'list') return items;
  const { keys } = kind;
  if (kind.is === 'map') return new Map(keys.map((key, i) => [key, items[i]]));
  return Object.fromEntries(keys.map((key, i) => [key, items[i]]));
}

/**
 * Trees: arrays, plain objects and Maps, in each other as one likes. One walk finds what is in them: the layers and
 * parameters of a model, the tensors of a batch.
 */

import { isRecord, isRevoked } from './arguments.ts';
import { isMap } from './platform.ts';

/** How long an array may be that a walk goes through: nobody looks for layers in a sparse one, or in a table of numbers. */
export const most = 2 ** 16;

/** Whether it is an object of named things that has no class. */
export function isPlainObject(value: unknown): value is Readonly<Record<string, unknown>> {
  if (!isRecord(value)) return false;
  const prototype = Object.getPrototypeOf(value);
  return prototype === null || Object.getPrototypeOf(prototype) === null;
}

/** Whether a walk goes through a value: an array, a Map, or an object without a class. */
export function isContainer(value: unknown): value is object {
  if (typeof value !== 'object' || value === null || isRevoked(value)) return false;
  if (Array.isArray(value)) {
    // A proxy may say anything.
    const { length } = value as { length: unknown };
    return typeof length === 'number' && length <= most;
  }
  return isPlainObject(value) || isMap(value);
}

/** What is in an object by its key: elements, values of a Map, or properties. Getters are not asked. */
function* itemsOf(value: object): Generator<[key: string, item: unknown]> {
  if (Array.isArray(value)) {
    const { length } = value;
    for (let i = 0; i < length && i < most; i++) yield [String(i), value[i]];
  } else if (isMap(value)) {
    let position = 0;
    for (const [key, item] of Map.prototype.entries.call(value)) {
      // An object as a key has no name, and its code is not asked for one.
      const isNamed = (typeof key !== 'object' || key === null) && typeof key !== 'function';
      yield [String(isNamed ? key : position), item];
      position++;
    }
  } else {
    for (const key of Object.keys(value)) {
      const property = Object.getOwnPropertyDescriptor(value, key);
      if (property !== undefined && 'value' in property) yield [key, property.value];
    }
  }
}

/**
 * The leaves in an object, in order, each with its path, as `blocks.0.qkv`. The walk goes through the object itself,
 * whatever its class, and through the containers in it, each once, however they hold each other. It is lazy: who stops
 * early pays for what was seen.
 * @param isLeaf what to yield instead of going through it; what is neither is passed over
 */
export function* walk<Leaf>(
  root: object,
  isLeaf: (value: unknown) => value is Leaf,
): Generator<[path: string, leaf: Leaf]> {
  const seen = new Set([root]);
  const open = [{ prefix: '', items: itemsOf(root) }];
  while (open.length > 0) {
    const { prefix, items } = open[open.length - 1];
    const { value: item, done } = items.next();
    if (done) {
      open.pop();
      continue;
    }
    const [key, value] = item;
    if (isLeaf(value)) yield [prefix + key, value];
    else if (isContainer(value) && !seen.has(value)) {
      seen.add(value);
      open.push({ prefix: `${prefix}${key}.`, items: itemsOf(value) });
    }
  }
}

/** The leaves of a tree that may be a leaf itself, in the order of `walk` and `mapTree`. */
export function leavesOf<Leaf>(tree: unknown, isLeaf: (value: unknown) => value is Leaf): Leaf[] {
  if (isLeaf(tree)) return [tree];
  return isContainer(tree) ? Array.from(walk(tree, isLeaf), ([, leaf]) => leaf) : [];
}

/**
 * The tree with what `map` makes of each leaf, called in the order of `walk`. Containers are made anew, and hold each other
 * as they did; what is neither container nor leaf is handed on.
 */
export function mapTree<Leaf>(
  tree: unknown,
  isLeaf: (value: unknown) => value is Leaf,
  map: (leaf: Leaf) => unknown,
): unknown {
  const made = new Map<object, object>();
  const visit = (value: unknown): unknown => {
    if (isLeaf(value)) return map(value);
    if (!isContainer(value)) return value;
    const known = made.get(value);
    if (known !== undefined) return known;
    if (isMap(value)) {
      const copy = new Map();
      made.set(value, copy);
      for (const [key, item] of Map.prototype.entries.call(value)) copy.set(key, visit(item));
      return copy;
    }
    const copy = (Array.isArray(value) ? [] : Object.create(Object.getPrototypeOf(value))) as object;
    made.set(value, copy);
    for (const [key, item] of itemsOf(value)) {
      // Not by assignment, as a key may be __proto__.
      const property = { value: visit(item), enumerable: true, writable: true, configurable: true };
      Object.defineProperty(copy, key, property);
    }
    return copy;
  };
  return visit(tree);
}

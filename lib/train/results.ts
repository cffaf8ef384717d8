/**
 * What a compiled function returns. Its structure is read once, when it is recorded, into a form of which nobody else holds
 * a part; a run then only puts copies of tensors into it, and no code of a user can be called.
 */

import { describe } from '../arguments.ts';
import { ArgumentError } from '../errors.ts';
import { isMap, isProxy, isSet } from '../platform.ts';
import { isTensor, type Tensor } from '../tensor.ts';

export interface Form {
  /** The tensors in it, each once. */
  readonly tensors: readonly Tensor[];
  /** Shapes, keys and values in the order in which they were read, with numbers for objects. */
  readonly outline: readonly unknown[];
  /** The structure anew, with these in their places. */
  fill(copies: readonly Tensor[]): unknown;
}

/**
 * Whether two results agree in all but the values of their tensors: in how arrays, plain objects and Maps hold each other, in
 * keys, in numbers, texts and the like. What else is in them counts as one thing, which stays as it was recorded.
 */
export function sameForms(a: Form, b: Form): boolean {
  const [own, other] = [a.outline, b.outline];
  return own.length === other.length && own.every((value, i) => Object.is(value, other[i]));
}

/** An object that can be reached from a result, and the objects in it. */
interface Node {
  readonly value: object;
  /** Where it was found first, for messages. */
  readonly path: string;
  readonly links: readonly Link[];
  /** Its keys and what they stand for, where they can be told. */
  readonly values: readonly unknown[];
  /** Makes another one that holds the same; null where there is no telling how. */
  readonly clone: (() => object) | null;
}

interface Link {
  readonly child: object;
  readonly path: string;
  /** The key or index of the child in a clone; null where a clone would not have it. */
  readonly key: { readonly key: unknown } | null;
}

/**
 * Reads what a function returned. Arrays, plain objects and Maps are made anew for each run where there is a tensor in
 * them, at whatever depth; what holds none is handed on as it is.
 * @throws ArgumentError for a tensor in anything else, and for a proxy, which need not show what it holds
 */
export function readForm(returned: unknown): Form {
  const nodes = reach(returned);
  const bearing = bearers(nodes);
  const tensors: Tensor[] = [];
  const containers: Node[] = [];
  for (const node of nodes.values()) {
    if (isTensor(node.value)) tensors.push(node.value);
    else if (bearing.has(node.value)) containers.push(node);
    for (const { child, path, key } of node.links) {
      if (bearing.has(child) && (key === null || node.clone === null)) {
        throw new ArgumentError(
          `[compile] expected a result whose tensors lie in arrays, plain objects or Maps, got one at ${path} in ` +
            `${describe(node.value)}`,
        );
      }
    }
  }
  // Tensors and containers by one number, the tensors first.
  const numbers = new Map<unknown, number>(
    [...tensors, ...containers.map(({ value }) => value)].map((x, i) => [x, i]),
  );
  const clones = containers.map(({ clone }) => clone!);
  const places = containers.flatMap(({ links }, container) =>
    links
      .filter(({ child }) => bearing.has(child))
      .map(({ child, key }) => ({ container, key: key!.key, from: numbers.get(child)! })),
  );
  const root = numbers.get(returned);
  const fill = (copies: readonly Tensor[]): unknown => {
    if (clones.length === 0) return root === undefined ? returned : copies[root];
    const made = clones.map((clone) => clone());
    const numbered = (number: number) =>
      number < copies.length ? copies[number] : made[number - copies.length];
    for (const { container, key, from } of places) {
      const into = made[container];
      if (into instanceof Map) into.set(key, numbered(from));
      else (into as Record<PropertyKey, unknown>)[key as PropertyKey] = numbered(from);
    }
    return numbered(root!);
  };
  return { tensors, outline: outlineOf(returned, nodes), fill };
}

function outlineOf(returned: unknown, nodes: ReadonlyMap<object, Node>): unknown[] {
  const numbers = new Map<unknown, number>(Array.from(nodes.keys(), (value, i) => [value, i]));
  const outline: unknown[] = [];
  const note = (value: unknown) => {
    const number = numbers.get(value);
    // So that no number of an object is taken for a number.
    outline.push(number === undefined ? 'value' : 'object', number ?? value);
  };
  note(returned);
  for (const { values } of nodes.values()) {
    outline.push(values.length);
    for (const value of values) note(value);
  }
  return outline;
}

const isObject = (value: unknown): value is object =>
  (typeof value === 'object' && value !== null) || typeof value === 'function';

/** Everything that can be reached from a value through own properties and elements; tensors end the way. */
function reach(returned: unknown): Map<object, Node> {
  const nodes = new Map<object, Node>();
  const found = isObject(returned) ? [{ child: returned, path: 'result' }] : [];
  for (const { child, path } of found) {
    if (nodes.has(child)) continue;
    const node = isTensor(child)
      ? { value: child, path, links: [], values: [child.dtype, ...child.shape], clone: null }
      : read(child, path);
    nodes.set(child, node);
    for (const link of node.links) found.push(link);
  }
  return nodes;
}

/** The objects from which a tensor can be reached, tensors themselves included. */
function bearers(nodes: ReadonlyMap<object, Node>): Set<object> {
  const parents = new Map<object, object[]>();
  for (const { value, links } of nodes.values()) {
    for (const { child } of links) {
      const known = parents.get(child);
      if (known === undefined) parents.set(child, [value]);
      else known.push(value);
    }
  }
  const bearing = new Set<object>();
  const left = [...nodes.keys()].filter(isTensor) as object[];
  for (let value = left.pop(); value !== undefined; value = left.pop()) {
    if (bearing.has(value)) continue;
    bearing.add(value);
    for (const parent of parents.get(value) ?? []) left.push(parent);
  }
  return bearing;
}

/** Reads an object, each property once. */
function read(value: object, path: string): Node {
  if (isProxy(value)) {
    throw new ArgumentError(`[compile] expected a result without proxies, got one at ${path}`);
  }
  const links: Link[] = [];
  const note = (child: unknown, where: string, key: Link['key']) => {
    if (isObject(child)) links.push({ child, path: `${path}${where}`, key });
  };
  const node = (clone: Node['clone'], values: readonly unknown[] = []): Node => {
    return { value, path, links, values, clone };
  };
  // Numbers alone.
  if (ArrayBuffer.isView(value)) return node(null);

  const prototype = Object.getPrototypeOf(value);
  const keys = Reflect.ownKeys(value);
  const length = Array.isArray(value) && prototype === Array.prototype ? value.length : -1;
  // An array without holes: its indices come first.
  if (keys[length] === 'length') {
    const items: unknown[] = [];
    for (let i = 0; i < length; i++) {
      items.push((value as unknown[])[i]);
      note(items[i], `[${i}]`, { key: i });
    }
    for (const key of keys.slice(length + 1)) noteHidden(value, key, note);
    return node(() => items.slice(), ['array', ...items]);
  }
  if (prototype === Object.prototype || prototype === null) {
    const entries: [PropertyKey, unknown][] = [];
    for (const key of keys) {
      if (!Object.prototype.propertyIsEnumerable.call(value, key)) {
        noteHidden(value, key, note);
        continue;
      }
      const item = (value as Record<PropertyKey, unknown>)[key];
      entries.push([key, item]);
      note(item, named(key), { key });
    }
    // A property of it, not its prototype, where one is called __proto__.
    const own = Object.fromEntries(entries);
    return node(
      () => (prototype === null ? Object.assign(Object.create(null), own) : { ...own }),
      ['object', ...entries.flat()],
    );
  }
  for (const key of keys) noteHidden(value, key, note);
  if (isMap(value)) {
    const entries: [unknown, unknown][] = [];
    Map.prototype.forEach.call(value, (item, key) => {
      entries.push([key, item]);
      note(key, `.key(${entries.length - 1})`, null);
      note(item, `.get(${describe(key)})`, { key });
    });
    return node(prototype === Map.prototype ? () => new Map(entries) : null, ['map', ...entries.flat()]);
  }
  if (isSet(value)) Set.prototype.forEach.call(value, (item) => note(item, '.values()', null));
  return node(null);
}

/** A property that a clone would not have. What a getter would give is not in the object. */
function noteHidden(
  value: object,
  key: PropertyKey,
  note: (child: unknown, where: string, key: null) => void,
): void {
  note(Object.getOwnPropertyDescriptor(value, key)?.value, named(key), null);
}

const named = (key: PropertyKey) => (typeof key === 'string' ? `.${key.slice(0, 60)}` : `[${String(key)}]`);

/** Single items made into a batch. */
import { checkOptions, describe, isArray, isRecord } from '../arguments.ts';
import { ArgumentError, DataError } from '../errors.ts';
import { isPlain, isSeveral } from '../layers/inputs.ts';
import { allocate } from '../memory.ts';
import { stack } from '../ops/concat.ts';
import { sameShape, show } from '../shape.ts';
import { elements, isTensor, Tensor } from '../tensor.ts';
import { isArrayLike, natureOf } from '../values.ts';

/** A batch of items: tensors are stacked, records and arrays of them keep their form, all else goes into an array. */
export type Batched<Item> = Item extends Tensor
  ? Item
  : Item extends string | number | boolean | ArrayLike<number> | ArrayLike<string>
    ? Item[]
    : Item extends { readonly [name: string]: unknown }
      ? { [Name in keyof Item]: Batched<Item[Name]> }
      : Item extends readonly Tensor[]
        ? { [Place in keyof Item]: Batched<Item[Place]> }
        : Item[];

/** How items of several lengths become one tensor. */
export interface BatchPadding {
  /**
   * Items of several lengths are made as long as the longest of their batch, along their first axis, by this number at their
   * ends; or some parts of them, by name: `{ x: 0, y: -1 }`, `{ 'x.tokens': 0 }`. Without it lengths have to agree.
   */
  pad?: number | Readonly<Record<string, number>>;
  /** Lengths are made multiples of it, so that there are fewer shapes to compile for; default 1. */
  multiple?: number;
}

/** How long parts become that are padded, from the longest of them. */
type Target = (longest: number) => number;

/** @throws ArgumentError */
function checkPadding(op: string, { pad, multiple = 1 }: BatchPadding): void {
  const given = isRecord(pad) ? Object.values(pad) : pad === undefined ? [] : [pad];
  const wrong = given.find((value) => typeof value !== 'number');
  if (wrong !== undefined) {
    throw new ArgumentError(
      `[${op}] expected pad to be a number, or numbers by the names of parts, got ${describe(wrong)}`,
    );
  }
  if (!(Number.isInteger(multiple) && multiple >= 1)) {
    throw new ArgumentError(
      `[${op}] expected multiple to be an integer of at least 1, got ${describe(multiple)}`,
    );
  }
}

/** The options that batches are made with. */
export function readPadding<Options extends BatchPadding>(
  op: string,
  options: Options,
  known: readonly (keyof Options & string)[],
): Options {
  checkOptions(op, options, known);
  checkPadding(op, options);
  return isRecord(options.pad) ? { ...options, pad: { ...options.pad } } : { ...options };
}

/**
 * @param atLeast what parts that are padded have for length at least
 * @throws DataError for items that are not alike
 */
export function collate(
  items: readonly unknown[],
  { pad, multiple = 1 }: BatchPadding,
  atLeast = 0,
): unknown {
  const unused = new Set(isRecord(pad) ? Object.keys(pad) : []);
  const target: Target = (longest) => Math.ceil(Math.max(longest, atLeast) / multiple) * multiple;
  const visit = (name: string, parts: readonly unknown[]): unknown => {
    const own = isRecord(pad) ? (pad as Readonly<Record<string, number>>)[name] : pad;
    unused.delete(name);
    const [first] = parts;
    if (isTensor(first)) return stackTensors(name, parts, own, target);
    const inner = (key: string | number) => {
      const path = name === '' ? String(key) : `${name}.${key}`;
      return visit(
        path,
        parts.map((part, i) => partOf(part, key, path, i)),
      );
    };
    if (isPlain(first)) {
      const keys = Object.keys(first);
      checkKeys(name, keys, parts);
      return Object.fromEntries(keys.map((key) => [key, inner(key)]));
    }
    if (isArray(first) && isSeveral(first)) return first.map((_, i) => inner(i));
    // A number has no length; where one is asked to have, that is a mistake.
    if (own === undefined || (!isRecord(pad) && !isArrayLike(first))) return [...parts];
    return padRows(name, parts, own, target);
  };
  const batch = visit('', items);
  const [lost] = unused;
  if (lost === undefined) return batch;
  throw new DataError(`[batch] expected items with ${describe(lost)}, which pad names, got none`);
}

function checkKeys(name: string, keys: readonly string[], parts: readonly unknown[]): void {
  parts.forEach((part, i) => {
    const own = isPlain(part) ? Object.keys(part) : null;
    if (own && own.length === keys.length && keys.every((key) => Object.hasOwn(part as object, key))) return;
    const where = name === '' ? 'items' : name;
    const got = own ? `{ ${own.join(', ')} }` : describe(part);
    throw new DataError(
      `[batch] expected ${where} to be alike, got { ${keys.join(', ')} } and at item ${i} ${got}`,
    );
  });
}

function partOf(part: unknown, key: string | number, path: string, item: number): unknown {
  const value = (part as Record<string | number, unknown> | undefined)?.[key];
  if (value !== undefined) return value;
  throw new DataError(`[batch] expected ${path} in each item, got none at item ${item}`);
}

function stackTensors(
  name: string,
  parts: readonly unknown[],
  pad: number | undefined,
  target: Target,
): Tensor {
  const [{ dtype, shape }] = parts as readonly Tensor[];
  const inner = shape.slice(1);
  parts.forEach((part, i) => {
    const isAlike =
      isTensor(part) &&
      part.dtype === dtype &&
      (pad === undefined
        ? sameShape(part.shape, shape)
        : part.rank === shape.length && part.rank > 0 && sameShape(part.shape.slice(1), inner));
    if (isAlike) return;
    const got = isTensor(part) ? `${part.dtype} ${show(part.shape)}` : describe(part);
    const hint = pad === undefined ? '; the option pad makes lengths agree' : '';
    throw new DataError(
      `[batch] expected tensors that are alike${name && ` in ${name}`}, got ${dtype} ${show(shape)} and at item ${i} ${got}${hint}`,
    );
  });
  const tensors = parts as readonly Tensor[];
  if (pad === undefined) return stack(tensors as [Tensor, ...Tensor[]]);
  const length = target(Math.max(...tensors.map((one) => one.shape[0])));
  const width = inner.reduce((product, n) => product * n, 1);
  const data = allocate(tensors.length * length * width, dtype);
  if (pad !== 0) data.fill(pad);
  tensors.forEach((one, i) => {
    data.set(elements(one), i * length * width);
  });
  return new Tensor(data, [tensors.length, length, ...inner], dtype);
}

type Rows = ArrayLike<unknown> & { readonly constructor: new (length: number) => unknown[] };

function padRows(name: string, parts: readonly unknown[], pad: number, target: Target): unknown[] {
  parts.forEach((part, i) => {
    if (isArrayLike(part) && typeof part !== 'string') return;
    throw new DataError(
      `[batch] expected arrays or tensors to pad${name && ` in ${name}`}, got ${describe(part)} at item ${i}`,
    );
  });
  const rows = parts as readonly Rows[];
  const length = target(Math.max(...rows.map((row) => row.length)));
  const like = rows.find((row) => row.length > 0);
  // Of a sequence of vectors, vectors are added.
  const shape = like && !ArrayBuffer.isView(like) ? natureOf(like[0]).shape : [];
  const filler = (axis: number): unknown =>
    axis === shape.length ? pad : Array.from({ length: shape[axis] }, () => filler(axis + 1));
  return rows.map((row) => {
    if (ArrayBuffer.isView(row)) {
      const longer = new row.constructor(length).fill(pad);
      (longer as unknown as Float32Array).set(row as unknown as Float32Array);
      return longer;
    }
    return [...Array.from(row), ...Array.from({ length: length - row.length }, () => filler(0))];
  });
}

/** What can be kept in a file beside a model: plain data with tensors and typed arrays in it. */
import { describe, isArray } from '../arguments.ts';
import { ArgumentError, FormatError } from '../errors.ts';
import type { Json } from '../layers/config.ts';
import { copyOf } from '../memory.ts';
import { typedArrayName } from '../platform.ts';
import { checkElements, isTensor, Tensor } from '../tensor.ts';
import { isPlainObject } from '../tree.ts';
import { allocateBuffer } from './bytes.ts';

/**
 * Plain data, nested as one likes, with any number in it, tensors and typed arrays. All comes back from a file as it was, to
 * the bit; of a record, what is undefined is left out.
 */
export type SavedState =
  | null
  | boolean
  | number
  | string
  | Tensor
  | Float32Array
  | Float64Array
  | Int32Array
  | Uint32Array
  | Uint8Array
  | readonly SavedState[]
  | { readonly [name: string]: SavedState | undefined };

/** The same as JSON, and the tensors that it names. */
export interface Flat {
  readonly json: Json;
  /** Copies. */
  readonly tensors: ReadonlyMap<string, Tensor>;
}

/** How deep data may lie; what holds itself has no end. */
const deepest = 64;

/** How many items of arrays and records may come again: those that hold each other twice, level by level, have no end either. */
const mostAgain = 2 ** 18;

/** Numbers that JSON has no text for. */
const specials: Readonly<Record<string, number>> = { NaN, Infinity, '-Infinity': -Infinity, '-0': -0 };

/** The key that tells what is no plain data from a record. */
const mark = '$';

const arrays: Readonly<Record<string, 'float32' | 'float64' | 'int32'>> = {
  Float32Array: 'float32',
  Float64Array: 'float64',
  Int32Array: 'int32',
  Uint32Array: 'int32',
  Uint8Array: 'int32',
};

/**
 * Copies data, apart into JSON and tensors, which are called by where they are: `prefix` and the path.
 * @throws ArgumentError for what cannot be kept, DataError for a tensor whose buffer was detached
 */
export function flatten(op: string, state: SavedState, prefix: string): Flat {
  const tensors = new Map<string, Tensor>();
  const keep = (where: string, tensor: Tensor): string => {
    let name = prefix + where;
    // A key may hold a point.
    for (let i = 2; tensors.has(name); i++) name = `${prefix}${where}#${i}`;
    tensors.set(name, tensor);
    return name;
  };
  const seen = new Set<unknown>();
  let again = 0;
  const enter = (value: object, count: number) => {
    if (seen.has(value)) again += count;
    seen.add(value);
    if (again <= mostAgain) return;
    throw new ArgumentError(
      `[${op}] expected state that is plain data, got arrays that hold each other many times`,
    );
  };
  const visit = (value: unknown, where: string, depth: number): Json => {
    if (value === null || typeof value === 'string' || typeof value === 'boolean') return value;
    if (typeof value === 'number') {
      const isPlain = Number.isFinite(value) && !Object.is(value, -0);
      return isPlain ? value : { [mark]: Object.is(value, -0) ? '-0' : String(value) };
    }
    if (isTensor(value)) {
      checkElements(op, value);
      const { shape, dtype, storage } = value;
      return { [mark]: 'Tensor', name: keep(where, new Tensor(copyOf(storage.array!), shape, dtype)) };
    }
    const kind = typedArrayName.call(value);
    if (kind !== undefined && Object.hasOwn(arrays, kind)) {
      const array = value as Float32Array | Uint8Array;
      const words = kind === 'Uint8Array' ? wordsOf(array as Uint8Array) : (array as Float32Array);
      const [dtype, { length }] = [arrays[kind], words];
      // A copy that is read as signed words has the same bits.
      const copy = copyOf(kind === 'Uint32Array' ? new Int32Array(words) : words);
      return { [mark]: kind, name: keep(where, new Tensor(copy, [length], dtype)), length: array.length };
    }
    const path = where === '' ? '' : `${where}.`;
    if (depth < deepest && isArray(value)) {
      enter(value, value.length);
      return Array.from(value, (item, i) => visit(item, path + i, depth + 1));
    }
    if (depth < deepest && kind === undefined && isPlainObject(value)) {
      const own = Object.entries(value).filter(([, item]) => item !== undefined);
      enter(value, own.length);
      const entries = own.map(([key, item]): [string, Json] => [key, visit(item, path + key, depth + 1)]);
      const isMarked = entries.some(([key]) => key === mark);
      return isMarked ? { [mark]: 'record', entries } : Object.fromEntries(entries);
    }
    throw new ArgumentError(
      `[${op}] expected ${where.slice(0, 100) || 'state'} to be plain data, tensors or typed arrays, less than ${deepest} levels deep, got ` +
        describe(value),
    );
  };
  return { json: visit(state, '', 0), tensors };
}

/** Bytes in whole words; the last one is filled up with zeros. */
function wordsOf(bytes: Uint8Array): Int32Array {
  const padded = allocateBuffer(4 * Math.ceil(bytes.length / 4));
  padded.set(bytes);
  return new Int32Array(padded.buffer as ArrayBuffer);
}

/**
 * The data again, with tensors of its own.
 * @throws FormatError that names the place, for JSON that `flatten` does not make
 */
export function unflatten(
  title: string,
  json: Json,
  tensorOf: (name: string) => Tensor | undefined,
): SavedState {
  const used = new Set<string>();
  const visit = (value: Json, where: string, depth: number): SavedState => {
    if (typeof value !== 'object' || value === null) return value;
    const refuse = (what: string) =>
      new FormatError(`${title}: expected ${where.slice(0, 100) || 'the state'} to be ${what}`);
    if (depth > deepest) throw refuse(`at most ${deepest} levels deep`);
    const path = where === '' ? '' : `${where}.`;
    if (isArray(value)) return (value as readonly Json[]).map((item, i) => visit(item, path + i, depth + 1));
    const record = value as { readonly [name: string]: Json };
    const entriesOf = (entries: [string, Json][]) =>
      Object.fromEntries(entries.map(([key, item]) => [key, visit(item, path + key, depth + 1)]));
    if (!Object.hasOwn(record, mark)) return entriesOf(Object.entries(record));
    const { [mark]: kind, name, length, entries } = record;
    if (typeof kind !== 'string') throw refuse('of a known kind');
    if (Object.hasOwn(specials, kind)) return specials[kind];
    if (kind === 'record') {
      const isEntry = (entry: Json) => isArray(entry) && entry.length === 2 && typeof entry[0] === 'string';
      if (!isArray(entries) || !(entries as Json[]).every(isEntry)) throw refuse('a record');
      return entriesOf(entries as unknown as [string, Json][]);
    }
    const tensor = typeof name === 'string' && !used.has(name) ? tensorOf(name) : undefined;
    // Once, as it is copied: a file that names one a thousand times would take a thousand times its size.
    if (tensor === undefined) throw refuse('a tensor of this file, in one place');
    used.add(name as string);
    const data = copyOf(tensor.storage.array!);
    if (kind === 'Tensor') return new Tensor(data, tensor.shape, tensor.dtype);
    const size = kind === 'Uint8Array' ? Math.ceil((length as number) / 4) : length;
    const isOfKind = Object.hasOwn(arrays, kind) && tensor.dtype === arrays[kind] && tensor.rank === 1;
    if (!isOfKind || !Number.isInteger(length) || (length as number) < 0 || tensor.size !== size) {
      throw refuse('an array of its kind and length');
    }
    if (kind === 'Uint8Array') return new Uint8Array(data.buffer as ArrayBuffer, 0, length as number);
    return kind === 'Uint32Array' ? new Uint32Array(data.buffer as ArrayBuffer) : data;
  };
  return visit(json, '', 0);
}

/** Where the items of a stream come from. */
import { describe, isFunction, isRecord } from '../arguments.ts';
import { DataError } from '../errors.ts';
import { isPlain, isSeveral } from '../layers/inputs.ts';
import { allocate } from '../memory.ts';
import { elements, isTensor, Tensor } from '../tensor.ts';
import { isArrayLike } from '../values.ts';
import { type Awaitable, after, end, type Opening, type Pull } from './pull.ts';

/** A web `ReadableStream`, which not every host can iterate. */
export interface Readable<Item> {
  /** Who reads it, alone. */
  getReader(): {
    /** The next item, or that there is none. */
    read(): Promise<{ done: boolean; value?: Item | undefined }>;
    /** Ends it, as nobody wants the rest. */
    cancel(reason?: unknown): Promise<void>;
  };
}

/** Items in order: an array, a set, a generator, a `ReadableStream`, a stream of Node, a `Stream`. */
export type Items<Item> = Iterable<Item | PromiseLike<Item>> | AsyncIterable<Item> | Readable<Item>;

/** Tensors and arrays of as many rows, by name. */
export interface RowsByName {
  readonly [name: string]: Tensor | ArrayLike<unknown> | RowsByName;
}

/** A row of each of them. */
export type RowOf<Rows> = Rows extends Tensor
  ? Rows
  : Rows extends ArrayLike<infer Row>
    ? Row
    : { -readonly [Name in keyof Rows]: RowOf<Rows[Name]> };

/** The methods of an object, or undefined. */
const method = (value: object, name: PropertyKey) => {
  const given = (value as Record<PropertyKey, unknown>)[name];
  return isFunction(given) ? (given as (...args: unknown[]) => unknown).bind(value) : undefined;
};

/**
 * A way to take items from what has any; undefined for what has none, as a string, whose characters nobody means.
 * @param once called for a source that gives its items only once, as generators and streams do
 */
function openItems<Item>(source: unknown, once?: () => void): Pull<Item> | undefined {
  if (typeof source !== 'object' || source === null) return undefined;
  // A stream of Node: iterators end it.
  if ('readable' in source && 'destroy' in source) once?.();
  const open = method(source, Symbol.asyncIterator) ?? method(source, Symbol.iterator);
  if (open) {
    const iterator = open() as Iterator<Item> | AsyncIterator<Item>;
    if ((iterator as object) === source || 'getReader' in source) once?.();
    return pullOf(iterator);
  }
  const read = method(source, 'getReader') as Readable<Item>['getReader'] | undefined;
  if (!read) return undefined;
  once?.();
  const reader = read();
  return {
    next: () => reader.read().then(({ done, value }) => (done ? end : (value as Item))),
    close: () => reader.cancel(),
  };
}

function pullOf<Item>(iterator: Iterator<Item> | AsyncIterator<Item>): Pull<Item> {
  let isOver = false;
  const take = (result: IteratorResult<Item>) => {
    if (!result.done) return result.value;
    isOver = true;
    return end;
  };
  return {
    next: () => after(iterator.next() as Awaitable<IteratorResult<Item>>, take),
    close: () => (isOver ? undefined : iterator.return?.()),
  };
}

/** The passes over a source. @throws DataError for what gives no items, now or when a function has been called */
export function openingOf<Item>(source: unknown, op = 'stream'): Opening<Item> {
  if (isFunction(source)) {
    return (pass) => {
      let inner: Pull<Item> | null = null;
      const open = (given: unknown): Pull<Item> => {
        const opened = passOf<Item>(given, pass) ?? openItems<Item>(given);
        if (opened) return opened;
        throw new DataError(
          `[${op}] expected the function to return an array, an iterable or a ReadableStream, got ${describe(given)}`,
        );
      };
      return {
        next() {
          if (inner) return inner.next();
          return after((source as () => Awaitable<unknown>)(), (given) => {
            inner = open(given);
            return inner.next();
          });
        },
        close: () => inner?.close(),
      };
    };
  }
  const rows = rowsFrom(op, source);
  if (rows) return rows as () => Pull<Item>;
  if (typeof source !== 'object' || source === null || !isOpen(source)) {
    throw new DataError(
      `[${op}] expected an array, an iterable, a ReadableStream, tensors or arrays by name as { x, y }, or a function that ` +
        `returns items, got ${describe(source)}`,
    );
  }
  let isSpent = false;
  return (pass) => {
    const own = passOf<Item>(source, pass);
    if (own) return own;
    if (isSpent) {
      throw new DataError(
        `[${op}] expected a source that gives its items again, got one that runs only once, as generators and ` +
          'ReadableStreams do: pass a function that returns a new one',
      );
    }
    return openItems<Item>(source, () => {
      isSpent = true;
    })!;
  };
}

const isOpen = (source: object): boolean =>
  [Symbol.asyncIterator, Symbol.iterator, 'getReader'].some((name) => method(source, name) !== undefined);

/** What a stream has in the place of an iterator. */
export const opening: unique symbol = Symbol('opening');

/** A pass of a stream. */
function passOf<Item>(source: unknown, pass: number): Pull<Item> | undefined {
  return isRecord(source) ? (source as { [opening]?: Opening<Item> })[opening]?.(pass) : undefined;
}

/** The rows of a tensor, or of tensors and arrays by name, as records; undefined for something else. */
function rowsFrom(op: string, source: unknown): (() => Pull<unknown>) | undefined {
  if (!isTensor(source) && !(isPlain(source) && !isOpen(source))) return undefined;
  const counts: [name: string, count: number][] = [];
  const reader = readerOf(op, '', source, counts);
  const [first, ...others] = counts;
  const other = others.find(([, count]) => count !== first[1]);
  if (other) {
    throw new DataError(
      `[${op}] expected as many rows everywhere, got ${first[1]} in ${first[0]} and ${other[1]} in ${other[0]}`,
    );
  }
  const [, count] = first;
  return () => {
    let row = 0;
    return {
      next: () => (row < count ? reader(row++) : end),
      skip: () => (row < count ? row++ : end),
      close() {
        row = count;
      },
    };
  };
}

type Reader = (row: number) => unknown;

function readerOf(op: string, name: string, source: unknown, counts: [string, number][]): Reader {
  if (isTensor(source)) {
    if (source.rank === 0)
      throw new DataError(`[${op}] expected rows in ${name || 'a tensor'}, got a scalar`);
    const { shape, dtype } = source;
    const inner = shape.slice(1);
    const width = shape[0] === 0 ? 0 : source.size / shape[0];
    counts.push([name, shape[0]]);
    return (row) => {
      const data = allocate(width, dtype);
      data.set(elements(source).subarray(row * width, (row + 1) * width));
      return new Tensor(data, inner, dtype);
    };
  }
  const inner = (key: string | number) => (name === '' ? String(key) : `${name}.${key}`);
  if (isPlain(source)) {
    const entries = Object.entries(source).map(
      ([key, part]) => [key, readerOf(op, inner(key), part, counts)] as const,
    );
    if (entries.length > 0)
      return (row) => Object.fromEntries(entries.map(([key, read]) => [key, read(row)]));
  } else if (Array.isArray(source) && isSeveral(source) && source.every(isTensor)) {
    const readers = source.map((part, i) => readerOf(op, inner(i), part, counts));
    return (row) => readers.map((read) => read(row));
  } else if (isArrayLike(source)) {
    counts.push([name, source.length]);
    return (row) => source[row];
  }
  throw new DataError(`[${op}] expected tensors or arrays in ${name || 'a record'}, got ${describe(source)}`);
}

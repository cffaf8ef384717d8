/** Streams of examples: what they are read from, what is made of them on the way, and how they become batches. */
import { checkBoolean, checkFunction, checkOptions, checkPositive, describe, isArray } from '../arguments.ts';
import { ArgumentError, DataError } from '../errors.ts';
import { randomState } from '../random.ts';
import type { Tensor } from '../tensor.ts';
import { Ahead } from './ahead.ts';
import { type Batched, type BatchPadding, collate, readPadding } from './collate.ts';
import {
  type Awaitable,
  after,
  type End,
  end,
  iterate,
  more,
  type Opening,
  type Pull,
  sparing,
  until,
} from './pull.ts';
import { shuffled } from './shuffle.ts';
import { type Items, opening, openingOf, type RowOf, type RowsByName } from './source.ts';

/** Options of `map` of a `Stream`. */
export interface MapOptions {
  /** How many items may be under way at a time, where `fn` returns promises; they keep their order. Default 1. */
  concurrency?: number;
}

/** Options of `shuffle` of a `Stream`. */
export interface ShuffleOptions {
  /**
   * Of the order, which then depends on it and on the number of the pass alone. Without it a pass begins by drawing from the
   * default random state, which `seed()` sets.
   */
  seed?: number | undefined;
}

/** Options of `batch` of a `Stream`. */
export interface StreamBatchOptions extends BatchPadding {
  /** Whether to leave out a last batch that is smaller; default false. */
  dropLast?: boolean;
}

/** Options of `bucket` of a `Stream`. */
export interface BucketOptions<Item> extends BatchPadding {
  /** How long an item is. */
  length: (item: Item) => number;
  /** Up to which length items go into each bucket, ascending; longer ones go into another one. */
  boundaries: readonly number[];
  /** Items a batch; or one number for each bucket, that for longer ones last. */
  size: number | readonly number[];
  /** Whether to leave out what is left in the buckets at the end; default false. */
  dropLast?: boolean;
}

/**
 * Items one after the other, again for each pass. Nothing is read before somebody asks: `for await (const item of stream)`,
 * or `fit`, which takes a stream of `{ x, y }` batches. Each method returns a new stream that reads from this one.
 */
export class Stream<Item> implements AsyncIterable<Item> {
  /** @internal */
  readonly [opening]: Opening<Item>;
  private passes = 0;

  /** @internal `stream(source)` makes one. */
  constructor(open: Opening<Item>) {
    this[opening] = open;
  }

  /** The next pass. */
  [Symbol.asyncIterator](): AsyncIterableIterator<Item> {
    return this.pass(this.passes++);
  }

  /**
   * A certain pass, counted from 0, on which the order of `shuffle({ seed })` depends. `for await` counts by itself; `fit` takes the pass
   * of its epoch, so that a training that is resumed sees what it would have seen.
   */
  pass(number: number): AsyncIterableIterator<Item> {
    if (!Number.isInteger(number) || number < 0) {
      throw new ArgumentError(
        `[pass] expected number to be an integer of at least 0, got ${describe(number)}`,
      );
    }
    return iterate(() => this[opening](number));
  }

  /**
   * What `fn` makes of each item, or the promise of it that it returns.
   * @param fn is given the item and its position in the pass
   */
  map<Result>(
    fn: (item: Item, position: number) => Awaitable<Result>,
    options: MapOptions = {},
  ): Stream<Result> {
    checkFunction('map', 'fn', fn);
    checkOptions('map', options, ['concurrency']);
    const { concurrency = 1 } = options;
    checkPositive('map', 'concurrency', concurrency);
    return this.derive((source) => {
      let position = 0;
      const make = (item: Item) => fn(item, position++);
      if (concurrency > 1) return new Ahead(source, make, concurrency, false);
      const next = () => after(source.next(), (item) => (item === end ? end : make(item)));
      return { next, close: () => source.close() };
    });
  }

  /** The items for which `fn` returns true, or a promise of it. */
  filter(fn: (item: Item, position: number) => Awaitable<boolean>): Stream<Item> {
    checkFunction('filter', 'fn', fn);
    return this.derive((source) => {
      let position = 0;
      const look = (item: Item | End) => {
        if (item === end) return end;
        return after(fn(item, position++), (isWanted) => (isWanted ? item : more));
      };
      return { next: () => until(source, look), close: () => source.close() };
    });
  }

  /** The items of what `fn` makes of each item: none, one or several, as an array, an iterable or a stream. */
  flatMap<Result>(fn: (item: Item, position: number) => Awaitable<Items<Result>>): Stream<Result> {
    checkFunction('flatMap', 'fn', fn);
    return new Stream((pass) => {
      const outer = this[opening](pass);
      let position = 0;
      let inner: Pull<Result> | null = null;
      const look = (item: Result | End): Awaitable<Result | End | typeof more> => {
        if (item !== end) return item;
        return after(outer.next(), (next) => {
          if (next === end) return end;
          return after(fn(next, position++), (items) => {
            inner = openingOf<Result>(items, 'flatMap')(pass);
            return more;
          });
        });
      };
      const current: Pull<Result> = { next: () => inner?.next() ?? end, close: () => inner?.close() };
      return {
        next: () => until(current, look),
        close: () => after(current.close(), () => outer.close()),
      };
    });
  }

  /** The first `count` items. */
  take(count: number): Stream<Item> {
    checkCount('take', count);
    return this.derive((source) => {
      let left = count;
      const next = () => (left-- > 0 ? source.next() : after(source.close(), (): End => end));
      return { next, close: () => source.close() };
    });
  }

  /** All but the first `count` items. */
  drop(count: number): Stream<Item> {
    checkCount('drop', count);
    return this.derive((source) => {
      let left = count;
      const look = (item: Item | End) => (item !== end && left-- > 0 ? more : item);
      const spared = sparing(source, () => left > 0);
      return { next: () => until(spared, look), close: () => source.close() };
    });
  }

  /**
   * Every `count`-th item, from that at `index` on: the part of one process of several that learn together, which has its `index`
   * of `count`. The shards of one stream have each of its items once, and as many but for one. A shard of examples leaves the
   * others unmade as early as it stands: before `map` these are not mapped, of tensors their rows not copied. What the processes
   * see before it has to be in one order: `shuffle` takes a seed there.
   * @throws ArgumentError unless index is an integer from 0 to count − 1
   */
  shard(index: number, count: number): Stream<Item> {
    checkPositive('shard', 'count', count);
    if (!(Number.isInteger(index) && index >= 0 && index < count)) {
      throw new ArgumentError(
        `[shard] expected index to be an integer from 0 to ${count - 1}, as there are ${count}, got ${describe(index)}`,
      );
    }
    return this.derive((source) => {
      let others = index;
      const look = (item: Item | End) => {
        if (item === end) return end;
        if (others-- > 0) return more;
        others = count - 1;
        return item;
      };
      const spared = sparing(source, () => others > 0);
      return { next: () => until(spared, look), close: () => source.close() };
    });
  }

  /** The passes one after the other, as one; without an end by default, which `take` then has to set. */
  repeat(count = Infinity): Stream<Item> {
    if (count !== Infinity) checkPositive('repeat', 'count', count);
    return new Stream((pass) => {
      let done = 0;
      let isEmpty = true;
      const first = count === Infinity ? 0 : pass * count;
      let source = this[opening](first);
      const look = (item: Item | End) => {
        if (item !== end) {
          isEmpty = false;
          return item;
        }
        // What has nothing has nothing again.
        if (++done >= count || isEmpty) return end;
        isEmpty = true;
        source = this[opening](first + done);
        return more;
      };
      return {
        next: () => until({ next: () => source.next(), close() {} }, look),
        close: () => source.close(),
      };
    });
  }

  /**
   * The items in a random order: each is drawn from the `size` that come next. A buffer as large as the data makes every order as
   * likely; a smaller one mixes what is near.
   */
  shuffle(size: number, options: ShuffleOptions = {}): Stream<Item> {
    checkPositive('shuffle', 'size', size);
    checkOptions('shuffle', options, ['seed']);
    const { seed } = options;
    // Which refuses what is no seed.
    if (seed !== undefined) randomState(seed);
    return this.derive((source, pass) => shuffled(source, size, seed, pass));
  }

  /**
   * Batches of `size` items, as `fit` takes them: of records one record, of tensors one tensor with a first axis more, of
   * numbers, texts and arrays an array.
   * @throws DataError where the items of a batch are not alike
   */
  batch(size: number, options: StreamBatchOptions = {}): Stream<Batched<Item>> {
    checkPositive('batch', 'size', size);
    const { dropLast = false, ...padding } = readPadding('batch', options, ['dropLast', 'pad', 'multiple']);
    checkBoolean('batch', 'dropLast', dropLast);
    return this.derive((source) => {
      let items: Item[] = [];
      const look = (item: Item | End): Batched<Item> | End | typeof more => {
        if (item !== end) items.push(item);
        if (item !== end && items.length < size) return more;
        if (items.length === 0 || (item === end && (dropLast || items.length === size))) return end;
        const taken = items;
        items = [];
        return collate(taken, padding) as Batched<Item>;
      };
      return untilEnd(source, look);
    });
  }

  /**
   * Batches of items that are about as long, so that little is padded, and of few lengths, so that few shapes are compiled: what
   * is padded in a batch is as long as its bucket allows.
   * @throws DataError where `length` gives something else than a number, or the items of a batch are not alike
   */
  bucket(options: BucketOptions<Item>): Stream<Batched<Item>> {
    const known = ['length', 'boundaries', 'size', 'dropLast', 'pad', 'multiple'] as const;
    const { length, boundaries, size, dropLast = false, ...padding } = readPadding('bucket', options, known);
    checkFunction('bucket', 'length', length);
    checkBoolean('bucket', 'dropLast', dropLast);
    const limits = readBoundaries(boundaries);
    const sizes = readSizes(size, limits.length + 1);
    return this.derive((source) => {
      const buckets: Item[][] = sizes.map(() => []);
      const make = (at: number) => {
        const taken = buckets[at];
        buckets[at] = [];
        return collate(taken, padding, limits[at] ?? 0) as Batched<Item>;
      };
      const look = (item: Item | End): Batched<Item> | End | typeof more => {
        if (item === end) {
          const at = dropLast ? -1 : buckets.findIndex((bucket) => bucket.length > 0);
          return at < 0 ? end : make(at);
        }
        const own = length(item);
        if (!(typeof own === 'number' && own >= 0)) {
          throw new DataError(
            `[bucket] expected length to return a number of at least 0, got ${describe(own)}`,
          );
        }
        const place = limits.findIndex((limit) => own <= limit);
        const at = place < 0 ? limits.length : place;
        buckets[at].push(item);
        return buckets[at].length < sizes[at] ? more : make(at);
      };
      return untilEnd(source, look);
    });
  }

  /**
   * Makes up to `count` items before they are asked for, in turns of the event loop in which nothing else is to do: batches
   * while a step runs, or while the disk is waited for. What `map` draws from the default random state before is then drawn at
   * other times; a training that is to be resumed to the bit draws from states of its own.
   */
  prefetch(count = 1): Stream<Item> {
    checkPositive('prefetch', 'count', count);
    return this.derive((source) => new Ahead<Item, Item>(source, (item) => item, count, true));
  }

  /** All items of the next pass. */
  async toArray(): Promise<Item[]> {
    const items: Item[] = [];
    for await (const item of this) items.push(item);
    return items;
  }

  private derive<Result>(make: (source: Pull<Item>, pass: number) => Pull<Result>): Stream<Result> {
    return new Stream((pass) => make(this[opening](pass), pass));
  }
}

/**
 * A stream of items.
 * @param source an array, a set or another iterable, sync or async; a `ReadableStream`; a stream of Node; tensors or arrays by
 *   name, as `{ x, y }`, whose rows are the items; or a function that returns one of them, or a promise of it, called for each pass
 * @throws DataError for something else; when a source that runs only once is asked for another pass
 */
export function stream<Item>(
  source: Items<Item> | ((...none: never[]) => Awaitable<Items<Item>>),
): Stream<Awaited<Item>>;
export function stream<Rows extends Tensor | RowsByName>(source: Rows): Stream<RowOf<Rows>>;
export function stream(source: unknown): Stream<unknown> {
  return new Stream(openingOf(source));
}

/** What `stream` takes, side by side: arrays of an item of each, until one of them ends. */
export function zip<Sources extends readonly Items<unknown>[]>(
  ...sources: Sources
): Stream<{ -readonly [Place in keyof Sources]: Sources[Place] extends Items<infer Item> ? Item : never }>;
export function zip(...sources: readonly Items<unknown>[]): Stream<unknown> {
  if (sources.length === 0) throw new ArgumentError('[zip] expected at least one source, got none');
  const openings = sources.map((source) => openingOf(source, 'zip'));
  return new Stream((pass) => {
    const pulls = openings.map((open) => open(pass));
    return {
      next() {
        // Asked for in order, so that two that read from the same place get what is theirs.
        const items: unknown[] = [];
        const gather = (at: number): Awaitable<unknown> => {
          if (at === pulls.length) return items;
          return after(pulls[at].next(), (item) => {
            if (item === end) return end;
            items.push(item);
            return gather(at + 1);
          });
        };
        return gather(0);
      },
      close: () => Promise.all(pulls.map(async (pull) => pull.close())),
    };
  });
}

/** What several items become one of; after the end the source is asked no more. */
function untilEnd<Item, Result>(
  source: Pull<Item>,
  look: (item: Item | End) => Awaitable<Result | End | typeof more>,
): Pull<Result> {
  let isOver = false;
  const next = () => {
    if (isOver) return end;
    return after(source.next(), (item) => {
      isOver = item === end;
      return item;
    });
  };
  return { next: () => until({ next, close() {} }, look), close: () => source.close() };
}

function checkCount(op: string, count: number): void {
  if (Number.isInteger(count) && count >= 0) return;
  throw new ArgumentError(`[${op}] expected count to be an integer of at least 0, got ${describe(count)}`);
}

function readBoundaries(boundaries: readonly number[]): number[] {
  const own = isArray(boundaries) ? [...boundaries] : [];
  const isAscending = own.every(
    (limit, i) => typeof limit === 'number' && limit > (i === 0 ? 0 : own[i - 1]),
  );
  if (own.length > 0 && isAscending) return own;
  throw new ArgumentError(
    `[bucket] expected boundaries to be numbers above 0, ascending, got ${isArray(boundaries) ? `[${own.slice(0, 8).map(describe).join(', ')}]` : describe(boundaries)}`,
  );
}

function readSizes(size: number | readonly number[], count: number): number[] {
  const own = isArray(size) ? [...size] : Array.from({ length: count }, () => size as number);
  for (const one of own) checkPositive('bucket', 'size', one);
  if (own.length === count) return own;
  throw new ArgumentError(`[bucket] expected ${count} sizes, one for each bucket, got ${own.length}`);
}

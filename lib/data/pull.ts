/**
 * Items one after the other, on demand. A pull gives an item as soon as it has one, without a promise where none is needed:
 * what is in memory passes a stream of many stages as fast as a loop.
 */

/** What a pull gives when there are no more items. */
export const end: unique symbol = Symbol('end');
export type End = typeof end;

export type Awaitable<Value> = Value | PromiseLike<Value>;

export interface Pull<Item> {
  /** One at a time: not before what it returned last has come. */
  next(): Awaitable<Item | End>;
  /** As `next`, of an item that nobody wants and that need not be made; where it is missing, `next` does as well. */
  skip?(): Awaitable<unknown>;
  /** Nothing more is wanted, whether or not there was an end. */
  close(): Awaitable<unknown>;
}

/** A pass over items; its number is what random orders depend on, beside their seed. */
export type Opening<Item> = (pass: number) => Pull<Item>;

/** Whether somebody has to wait for it. */
export function isPending<Value>(value: Awaitable<Value>): value is PromiseLike<Value> {
  return (
    typeof value === 'object' && value !== null && typeof (value as PromiseLike<Value>).then === 'function'
  );
}

/** What `fn` makes of a value, now if it is there. */
export function after<Value, Result>(
  value: Awaitable<Value>,
  fn: (value: Value) => Awaitable<Result>,
): Awaitable<Result> {
  return isPending(value) ? value.then(fn) : fn(value);
}

/** What `take` returns while it wants to see another item. */
export const more: unique symbol = Symbol('more');

/** Hands items to `take`, and the end, until it returns something. A loop, however many items that are. */
export function until<Item, Result>(
  pull: Pull<Item>,
  take: (item: Item | End) => Awaitable<Result | typeof more>,
): Awaitable<Result> {
  for (;;) {
    const result = after(pull.next(), take);
    if (isPending(result)) return waitUntil(pull, take, result);
    if (result !== more) return result as Result;
  }
}

async function waitUntil<Item, Result>(
  pull: Pull<Item>,
  take: (item: Item | End) => Awaitable<Result | typeof more>,
  first: PromiseLike<Result | typeof more>,
): Promise<Result> {
  let result = await first;
  while (result === more) result = await take(await pull.next());
  return result as Result;
}

/** A source of which nobody wants the items while `isUnwanted` says so: for those something else is given, or the item. */
export function sparing<Item>(source: Pull<Item>, isUnwanted: () => boolean): Pull<Item> {
  const next = () => (source.skip && isUnwanted() ? (source.skip() as Awaitable<Item | End>) : source.next());
  return { next, close: () => source.close() };
}

/** For `for await`. After an error nobody tells an iterator to return, so that is done here. */
export function iterate<Item>(open: () => Pull<Item>): AsyncIterableIterator<Item> {
  let pull: Pull<Item> | null = null;
  let isOver = false;
  const close = async () => {
    isOver = true;
    await pull?.close();
  };
  const over: IteratorReturnResult<undefined> = { done: true, value: undefined };
  const answer = async (): Promise<IteratorResult<Item>> => {
    if (isOver) return over;
    try {
      pull ??= open();
      const item = await pull.next();
      if (item !== end) return { done: false, value: item };
    } catch (error) {
      // The error that came first is the one to tell.
      await close().catch(() => {});
      throw error;
    }
    isOver = true;
    return over;
  };
  // Whoever asks before the last answer has come gets his after that.
  let latest: Promise<unknown> = Promise.resolve();
  return {
    next() {
      const result = latest.then(answer, answer);
      latest = result;
      return result;
    },
    async return() {
      await close();
      return over;
    },
    [Symbol.asyncIterator]() {
      return this;
    },
  };
}

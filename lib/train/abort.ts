/** What an AbortSignal interrupts. */
import { AbortError } from '../errors.ts';

/** An AbortSignal, in words for compilers that know neither a browser nor Node. */
export interface Signal {
  readonly aborted: boolean;
  readonly reason: unknown;
  /** Has the listener called when it is aborted. */
  addEventListener(type: 'abort', listener: () => void): void;
  /** Forgets the listener. */
  removeEventListener(type: 'abort', listener: () => void): void;
}

/**
 * What each signal interrupts. They share a listener, as Node warns of more than ten, and a server may have more requests
 * than that under one signal.
 */
const listeners = new WeakMap<Signal, { heard: Set<Interruption>; listener: () => void }>();

/** A signal, listened to for as long as an operation lasts. */
export class Interruption {
  /** Rejects what is waited for. */
  private interrupt: ((error: AbortError) => void) | null = null;

  constructor(
    private readonly op: string,
    private readonly signal: Signal | undefined,
  ) {
    if (signal === undefined) return;
    let known = listeners.get(signal);
    if (known === undefined) {
      const heard = new Set<Interruption>();
      const listener = () => {
        for (const one of heard) one.interrupt?.(one.error());
      };
      known = { heard, listener };
      listeners.set(signal, known);
      signal.addEventListener('abort', known.listener);
    }
    known.heard.add(this);
  }

  private error(): AbortError {
    return new AbortError(this.op, this.signal!.reason);
  }

  get isDue(): boolean {
    return this.signal?.aborted === true;
  }

  /** @throws AbortError when the signal is aborted */
  check(): void {
    if (this.isDue) throw this.error();
  }

  /**
   * What a promise of the user's comes to, unless the signal is aborted first: nobody then looks at it again. One at a time.
   * @throws AbortError
   */
  async wait<Value>(pending: Value): Promise<Awaited<Value>> {
    if (this.signal === undefined) return await pending;
    return await new Promise<Awaited<Value>>((resolve, reject) => {
      this.interrupt = reject;
      // Subscribed first, so that nothing that rejects goes unheard.
      Promise.resolve(pending).then(resolve, reject);
      if (this.isDue) reject(this.error());
    }).finally(() => {
      this.interrupt = null;
    });
  }

  end(): void {
    const known = this.signal && listeners.get(this.signal);
    known?.heard.delete(this);
    if (known?.heard.size !== 0) return;
    this.signal!.removeEventListener('abort', known.listener);
    listeners.delete(this.signal!);
  }

  /** An iterable whose waits an abort interrupts. It then tells the iterator to return, and does not wait until it has. */
  over<Item>(source: Iterable<Item> | AsyncIterable<Item>): AsyncIterable<Awaited<Item>> {
    return { [Symbol.asyncIterator]: () => this.iterator(source) };
  }

  private iterator<Item>(source: Iterable<Item> | AsyncIterable<Item>): AsyncIterator<Awaited<Item>> {
    const open = (source as AsyncIterable<Item>)[Symbol.asyncIterator];
    const isAsync = open !== undefined && open !== null;
    const iterator = (
      isAsync ? open.call(source) : (source as Iterable<Item>)[Symbol.iterator]()
    ) as AsyncIterator<Awaited<Item>>;
    const { next } = iterator;
    const close = async (): Promise<unknown> => iterator.return?.();
    return {
      next: async () => {
        try {
          const result = await this.wait(next.call(iterator));
          // Of a synchronous iterable the items may be promises.
          return isAsync || result.done ? result : { done: false, value: await this.wait(result.value) };
        } catch (error) {
          if (this.isDue) close().catch(() => {});
          throw error;
        }
      },
      return: async () => {
        const closed = close();
        if (this.isDue) closed.catch(() => {});
        else await this.wait(closed);
        return { done: true, value: undefined };
      },
    };
  }
}

/** Runs `fn` while it listens to the signal. @throws AbortError when that is aborted, before or while it waits */
export async function interruptible<Result>(
  op: string,
  signal: Signal | undefined,
  fn: (interruption: Interruption) => Promise<Result>,
): Promise<Result> {
  const interruption = new Interruption(op, signal);
  try {
    interruption.check();
    return await fn(interruption);
  } finally {
    interruption.end();
  }
}

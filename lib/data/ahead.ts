/** Items that are made before they are asked for. */
import { turn } from '../platform.ts';
import { type Awaitable, type End, end, type Pull } from './pull.ts';

/** Up to `capacity` items under way at a time, in order. The source is asked for one at a time. */
export class Ahead<Item, Result> implements Pull<Result> {
  private readonly slots: Promise<Result | End>[] = [];
  /** When the source has given what it was asked for last. */
  private latest: Promise<unknown> = Promise.resolve();
  private isOver = false;

  /** @param isIdle whether work begins in a turn of the event loop of its own, so that who asked goes on first */
  constructor(
    private readonly source: Pull<Item>,
    private readonly make: (item: Item) => Awaitable<Result>,
    private readonly capacity: number,
    private readonly isIdle: boolean,
  ) {}

  next(): Promise<Result | End> {
    this.fill();
    const slot = this.slots.shift()!;
    if (this.isIdle) this.fill();
    return slot;
  }

  close(): Awaitable<unknown> {
    this.isOver = true;
    return this.source.close();
  }

  private fill(): void {
    while (this.slots.length < this.capacity) {
      const item = this.latest.then(() => this.ask());
      this.latest = item;
      const slot = item.then((given) => (given === end ? end : this.make(given)));
      // Whoever asks for it hears of it; nobody may.
      slot.catch(() => {});
      this.slots.push(slot);
    }
  }

  private async ask(): Promise<Item | End> {
    if (this.isIdle && !this.isOver) await turn();
    if (this.isOver) return end;
    try {
      const item = await this.source.next();
      if (item === end) this.isOver = true;
      return item;
    } catch (error) {
      this.isOver = true;
      throw error;
    }
  }
}

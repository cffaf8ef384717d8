/**
 * Programs that are kept for the next call of their kind. All those of a thread share a budget of memory; beyond it, what
 * was unused for longest goes. The intermediates, which programs have in common, do not count.
 */

/** In bytes. */
const budget = 256 * 2 ** 20;

interface Weighty {
  /** In bytes. */
  readonly weight: number;
}

/** A program, and whom it is taken from when it has to go. Held weakly, so that a function that is dropped takes it along. */
interface Place {
  readonly weight: number;
  readonly ref: WeakRef<{ drop(): void }>;
}

/** The places of this thread, the longest unused first. */
const places = new Set<Place>();
let total = 0;

function enter(place: Place): void {
  places.add(place);
  total += place.weight;
  if (total <= budget) return;
  for (const other of places) if (other.ref.deref() === undefined) leave(other);
  for (const other of places) {
    if (total <= budget || other === place) return;
    other.ref.deref()?.drop();
  }
}

function leave(place: Place): void {
  if (places.delete(place)) total -= place.weight;
}

interface Item<Value> {
  readonly value: Value;
  readonly place: Place;
  drop(): void;
}

export class Kept<Value extends Weighty> {
  /** The latest used first. */
  private readonly items: Item<Value>[] = [];

  get latest(): Value | undefined {
    return this.items[0]?.value;
  }

  *[Symbol.iterator](): Generator<Value> {
    for (const { value } of this.items) yield value;
  }

  /** The first that is it, which so is the latest used. */
  find(isIt: (value: Value) => boolean): Value | undefined {
    const { items } = this;
    for (let i = 0; i < items.length; i++) {
      const item = items[i];
      if (!isIt(item.value)) continue;
      if (i > 0) {
        items.splice(i, 1);
        items.unshift(item);
      }
      if (latest !== item.place) {
        places.delete(item.place);
        places.add(item.place);
        latest = item.place;
      }
      return item.value;
    }
    return undefined;
  }

  add(value: Value): void {
    const drop = () => this.remove(value);
    const item = { value, drop } as { value: Value; drop(): void; place: Place };
    item.place = { weight: value.weight, ref: new WeakRef(item) };
    this.items.unshift(item);
    latest = item.place;
    enter(item.place);
  }

  remove(value: Value): void {
    const at = this.items.findIndex((item) => item.value === value);
    if (at < 0) return;
    const [{ place }] = this.items.splice(at, 1);
    leave(place);
  }
}

let latest: Place | null = null;

/** Programs that a function keeps for the next call of their kind, as far as their memory goes. */

/** In bytes, for one function. The intermediates, which all programs have in common, do not count. */
const budget = 128 * 2 ** 20;

interface Weighty {
  /** In bytes. */
  readonly weight: number;
  /** What all calls that it may serve have in common. */
  readonly key: number;
}

export class Kept<Value extends Weighty> {
  /** The longest unused first. */
  private readonly values = new Set<Value>();
  private readonly byKey = new Map<number, Value[]>();
  private weight = 0;
  latest: Value | undefined;

  [Symbol.iterator](): Iterator<Value> {
    return this.values.values();
  }

  /** One of this key that is it, which so is the latest used. */
  find(key: number, isIt: (value: Value) => boolean): Value | undefined {
    const found = this.byKey.get(key)?.find(isIt);
    if (found !== undefined && found !== this.latest) this.use(found);
    return found;
  }

  /** Adds one, for which others go that were unused for longest. */
  add(value: Value): void {
    const own = this.byKey.get(value.key);
    if (own === undefined) this.byKey.set(value.key, [value]);
    else own.push(value);
    this.weight += value.weight;
    this.use(value);
    for (const other of this.values) {
      if (this.weight <= budget || other === value) return;
      this.remove(other);
    }
  }

  remove(value: Value): void {
    if (!this.values.delete(value)) return;
    if (this.latest === value) this.latest = undefined;
    this.weight -= value.weight;
    const own = this.byKey.get(value.key)!.filter((other) => other !== value);
    if (own.length > 0) this.byKey.set(value.key, own);
    else this.byKey.delete(value.key);
  }

  private use(value: Value): void {
    this.values.delete(value);
    this.values.add(value);
    this.latest = value;
  }
}

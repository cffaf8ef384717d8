/** Programs that a function keeps for the next call of their kind, as far as their memory goes. */

/** In bytes, for one function. The intermediates, which all programs have in common, do not count. */
const budget = 128 * 2 ** 20;

export class Kept<Value extends { /** In bytes. */ readonly weight: number }> {
  /** The latest used first. */
  private readonly values: Value[] = [];
  private weight = 0;

  get latest(): Value | undefined {
    return this.values[0];
  }

  [Symbol.iterator](): Iterator<Value> {
    return this.values.values();
  }

  /** The first that is it, which so is the latest used. */
  find(isIt: (value: Value) => boolean): Value | undefined {
    const { values } = this;
    for (let i = 0; i < values.length; i++) {
      const value = values[i];
      if (!isIt(value)) continue;
      if (i > 0) {
        values.splice(i, 1);
        values.unshift(value);
      }
      return value;
    }
    return undefined;
  }

  /** Adds one, for which others go that were unused for longest. */
  add(value: Value): void {
    this.values.unshift(value);
    this.weight += value.weight;
    while (this.weight > budget && this.values.length > 1) this.weight -= this.values.pop()!.weight;
  }

  remove(value: Value): void {
    const at = this.values.indexOf(value);
    if (at < 0) return;
    this.values.splice(at, 1);
    this.weight -= value.weight;
  }
}

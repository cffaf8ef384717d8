/** Texts as users have them: one, or arrays of them nested in each other. */
import { describe, isArray, readArray } from '../arguments.ts';
import { DataError } from '../errors.ts';
import { maxRank, type Shape, sameShape } from '../shape.ts';

/** A text, or texts nested in any shape. */
export type Texts = string | readonly Texts[];

/** How many items an array may have. */
const most = 2 ** 31 - 1;

const single: Shape = [];

/**
 * Texts written out flat, and their shape; each item is read once.
 * @param name what messages call them
 * @throws DataError, which names the row, for anything but strings, and for arrays of different lengths
 */
export function readTexts(name: string, given: unknown): { shape: Shape; texts: string[] } {
  const texts: string[] = [];
  const place: number[] = [];
  const where = () => {
    const [row, ...rest] = place;
    if (row === undefined) return '';
    return ` at row ${row}${rest.length > 0 ? `, position ${rest.join(', ')}` : ''} (counted from 0)`;
  };
  const read = (value: unknown): Shape => {
    if (typeof value === 'string') {
      texts.push(value);
      return single;
    }
    const refuse = (got: string) => new DataError(`expected ${name} to hold strings, got ${got}${where()}`);
    const depth = place.length;
    if (!isArray(value) || depth === maxRank) throw refuse(describe(value));
    const items = readArray(value, most, refuse);
    let shape: Shape = single;
    for (let i = 0; i < items.length; i++) {
      place[depth] = i;
      const own = read(items[i]);
      if (i > 0 && !sameShape(own, shape)) {
        const count = (of: Shape) => (of.length === 0 ? 'a string' : `an array of ${of[0]}`);
        throw new DataError(
          `expected ${name} to hold arrays of one length, got ${count(shape)} and ${count(own)}${where()}`,
        );
      }
      shape = own;
    }
    place.length = depth;
    return [items.length, ...shape];
  };
  return { shape: read(given), texts };
}

/** By code points, as UTF-8 sorts; JavaScript's own order is that of UTF-16. */
export function byCodePoint(a: string, b: string): number {
  for (let i = 0; i < a.length && i < b.length; i++) {
    if (a[i] === b[i]) continue;
    // Where two differ at the second half of a pair, the halves are in the order of the whole.
    const [left, right] = [a.codePointAt(i)!, b.codePointAt(i)!];
    return left - right;
  }
  return a.length - b.length;
}

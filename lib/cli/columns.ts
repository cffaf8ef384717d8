/** What the columns of a table are, found out from their cells, and how that is kept beside a model. */
import { type DateFormat, isMissing, type NumberFormat, readDate, readNumber } from './cells.ts';

/** A column that a model looks at. Where `missing`, it is told of each row whether the cell had a value. */
export type Column =
  | {
      readonly name: string;
      readonly kind: 'number';
      readonly format: NumberFormat;
      readonly fill: number;
      readonly missing: boolean;
    }
  | { readonly name: string; readonly kind: 'category' }
  | {
      readonly name: string;
      readonly kind: 'date';
      readonly format: DateFormat;
      /** Whether there are times of day. */
      readonly hours: boolean;
      readonly fill: number;
      readonly missing: boolean;
    };

/** What a column was found to be. `because` says why it is left out. */
export type Found =
  | {
      readonly kind: 'number';
      readonly format: NumberFormat;
      readonly values: Float64Array;
      readonly strange: readonly number[];
    }
  | {
      readonly kind: 'date';
      readonly format: DateFormat;
      readonly values: Float64Array;
      readonly strange: readonly number[];
    }
  | { readonly kind: 'category'; readonly cells: readonly string[]; readonly different: number }
  | { readonly kind: 'left out'; readonly because: string };

/** How many of the cells that are there have to be numbers, or dates, for the others to be mistakes. */
const most = 0.95;

interface Reading<Format> {
  readonly format: Format;
  /** NaN where there is no value. */
  readonly values: Float64Array;
  readonly read: number;
}

function readings<Format>(
  cells: readonly string[],
  present: readonly number[],
  formats: readonly Format[],
  read: (cell: string, format: Format) => number,
): Reading<Format> {
  const all = formats.map((format): Reading<Format> => {
    const values = new Float64Array(cells.length).fill(Number.NaN);
    let count = 0;
    for (const row of present) {
      values[row] = read(cells[row], format);
      if (!Number.isNaN(values[row])) count++;
    }
    return { format, values, read: count };
  });
  return all.reduce((best, other) => (other.read > best.read ? other : best));
}

const strangeAmong = (values: Float64Array, present: readonly number[]) =>
  present.filter((row) => Number.isNaN(values[row]));

/** In which order formats of numbers are tried, of which the first counts where both read as many. */
function formatsOf(cells: readonly string[], delimiter: string): NumberFormat[] {
  const isContinental = delimiter !== ',' && cells.some((cell) => cell.includes(','));
  return isContinental ? ['comma', 'point'] : ['point', 'comma'];
}

/** Whether they count rows: each a whole number, each one more than the one before. */
const isCounter = (values: Float64Array) =>
  values.length > 2 && values.every((value, i) => i === 0 || value === values[i - 1] + 1);

/**
 * What a column is by its cells.
 * @param isTarget whether it is what is to be predicted, of which nothing is left out
 */
export function find(name: string, cells: readonly string[], delimiter: string, isTarget = false): Found {
  const present = Array.from(cells.keys()).filter((row) => !isMissing(cells[row]));
  if (present.length === 0) return { kind: 'left out', because: 'has no values' };
  const different = new Set(present.map((row) => cells[row].trim())).size;
  const number = readings(cells, present, formatsOf(cells, delimiter), readNumber);
  if (number.read >= most * present.length) {
    const { format, values } = number;
    const isOfRows = different === present.length && present.length > 10 && !isTarget;
    if (
      isOfRows &&
      (isCounter(values) ||
        (/(^|[^a-z])id$|[a-z]I[dD]$/i.test(name) &&
          values.every((value) => Number.isInteger(value) || Number.isNaN(value))))
    ) {
      return { kind: 'left out', because: 'is another number in each row, as a name for it' };
    }
    if (different === 1 && present.length === cells.length && !isTarget) {
      return { kind: 'left out', because: `is ${cells[present[0]].trim()} in all rows` };
    }
    return { kind: 'number', format, values, strange: strangeAmong(values, present) };
  }
  const date = readings(cells, present, ['ymd', 'mdy', 'dmy'] as const, readDate);
  if (date.read >= most * present.length && !(different === 1 && present.length === cells.length)) {
    return {
      kind: 'date',
      format: date.format,
      values: date.values,
      strange: strangeAmong(date.values, present),
    };
  }
  if (isTarget) return { kind: 'category', cells, different };
  if (different === 1 && present.length === cells.length) {
    return { kind: 'left out', because: `is ${JSON.stringify(cells[present[0]].trim())} in all rows` };
  }
  if (different > 20 && different > present.length / 2) {
    return { kind: 'left out', because: `has ${different} different texts in ${present.length} rows` };
  }
  return { kind: 'category', cells, different };
}

/** A category's word: cells without a value are one of their own. */
export const wordOf = (cell: string): string =>
  isMissing(cell) && !/^\s*none\s*$/i.test(cell) ? '' : cell.trim();

/** The value in the middle of those that are there. */
export function median(values: Float64Array): number {
  const sorted = values.filter((value) => !Number.isNaN(value)).sort();
  if (sorted.length === 0) return 0;
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

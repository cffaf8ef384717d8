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
  | { readonly kind: 'category' }
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

/** The same of dates: with points the day comes first, with strokes the month. */
const dateFormatsOf = (cell: string): DateFormat[] =>
  cell.includes('.') ? ['ymd', 'dmy', 'mdy'] : ['ymd', 'mdy', 'dmy'];

const strangeAmong = (values: Float64Array, present: readonly number[]) =>
  present.filter((row) => Number.isNaN(values[row]));

/** In which order formats of numbers are tried, of which the first counts where both read as many. */
function formatsOf(cells: readonly string[], delimiter: string): NumberFormat[] {
  const isContinental = delimiter !== ',' && cells.some((cell) => cell.includes(','));
  return isContinental ? ['comma', 'point'] : ['point', 'comma'];
}

/** What names of rows are called, by which nothing can be told of the next one: user_id, PassengerId; the index of a data frame. */
const isCalledId = (name: string) => /(^|[^a-z])id$|[a-z]I[dD]$/i.test(name);
const isCalledIndex = (name: string) => /^(column \d+|index|row|nr|no|num|number|#)\.?$/i.test(name);

/** Whether they count rows, from 0 or 1. */
const isCounter = (values: Float64Array) =>
  (values[0] === 0 || values[0] === 1) && values.every((value, i) => value === values[0] + i);

/** Why nothing can be learned of a column; undefined where something may be. */
function uselessness(
  name: string,
  kind: Found['kind'],
  cells: readonly string[],
  present: readonly number[],
  values?: Float64Array,
): string | undefined {
  const different = new Set(present.map((row) => cells[row].trim())).size;
  if (different === 1 && present.length === cells.length)
    return `is ${JSON.stringify(cells[0].trim())} in all rows`;
  if (kind === 'category' && different > 20 && different > present.length / 2) {
    return `has ${different} different texts in ${present.length} rows`;
  }
  if (values === undefined || different < present.length || present.length <= 10) return undefined;
  const isWhole = present.every((row) => Number.isInteger(values[row]) || Number.isNaN(values[row]));
  const isName = (isCalledId(name) && isWhole) || (isCalledIndex(name) && isCounter(values));
  return isName ? 'is another number in each row, as a name for it' : undefined;
}

function findKind(
  cells: readonly string[],
  present: readonly number[],
  delimiter: string,
): Exclude<Found, { kind: 'left out' }> {
  const number = readings(cells, present, formatsOf(cells, delimiter), readNumber);
  if (number.read >= most * present.length) {
    return {
      kind: 'number',
      format: number.format,
      values: number.values,
      strange: strangeAmong(number.values, present),
    };
  }
  const date = readings(cells, present, dateFormatsOf(cells[present[0]]), readDate);
  if (date.read < most * present.length) return { kind: 'category' };
  return {
    kind: 'date',
    format: date.format,
    values: date.values,
    strange: strangeAmong(date.values, present),
  };
}

/**
 * What a column is by its cells.
 * @param isTarget whether it is what is to be predicted, of which nothing is left out
 */
export function find(name: string, cells: readonly string[], delimiter: string, isTarget = false): Found {
  const present = Array.from(cells.keys()).filter((row) => !isMissing(cells[row]));
  if (present.length === 0) return { kind: 'left out', because: 'has no values' };
  const found = findKind(cells, present, delimiter);
  if (isTarget) return found;
  const because = uselessness(
    name,
    found.kind,
    cells,
    present,
    found.kind === 'number' ? found.values : undefined,
  );
  return because === undefined ? found : { kind: 'left out', because };
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

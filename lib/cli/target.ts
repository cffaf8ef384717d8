/** What is to be predicted: a number or a class, as its column tells. */
import { DataError } from '../index.ts';
import { isMissing } from './cells.ts';
import { type Found, find, wordOf } from './columns.ts';
import type { Table } from './sample.ts';
import { some } from './terminal.ts';

export type Task = 'regression' | 'classification';

export type Target = {
  readonly name: string;
  /** The rows that have it, which are those that count. */
  readonly rows: Int32Array;
  /** How many rows were left out as they have none. */
  readonly without: number;
} & (
  | { readonly task: 'regression'; readonly values: Float64Array }
  | {
      readonly task: 'classification';
      readonly classes: readonly string[];
      /** By row of `rows`. */
      readonly labels: Int32Array;
      /** Rows of classes that are too rare, and these. */
      readonly rare: { readonly rows: number; readonly classes: readonly string[] };
    }
);

/** How many rows there have to be, and how many of a class: some to learn from, to choose by and to test on. */
const fewest = { rows: 20, class: 5 };
/** Of float32, in which predictions are, and of numbers twice as large as were seen. */
const mostNumber = 1e38;
/** Whole numbers of no more values than these are taken for classes, unless one says otherwise. */
const mostClasses = 10;

/** What the target is, where nobody says. */
function guess(found: Found, present: number): Task {
  if (found.kind !== 'number') return 'classification';
  const values = new Set(found.values.filter((value) => !Number.isNaN(value)));
  if (values.size <= 2) return 'classification';
  const isWhole = [...values].every((value) => Number.isInteger(value));
  return isWhole && values.size <= mostClasses && values.size < present / 10
    ? 'classification'
    : 'regression';
}

/** In the order of numbers where all are such, else of texts. */
function inOrder(words: Iterable<string>): string[] {
  const all = [...words];
  return all.every((word) => word !== '' && Number.isFinite(Number(word)))
    ? all.sort((a, b) => Number(a) - Number(b))
    : all.sort();
}

/** @throws DataError for a column that is not there, or one that nothing can be learned of */
export function readTarget(op: string, table: Table, name: string, asked: Task | undefined): Target {
  const cells = table.cells.get(name);
  if (cells === undefined) {
    const names = some(table.names, 20);
    throw new DataError(`[${op}] expected the target to be one of the columns ${names}, got ${name}`);
  }
  const found = find(name, cells, table.delimiter, true);
  const refuse = (expected: string, got: string) => new DataError(`[${op}] expected ${expected}, got ${got}`);
  const present = cells.filter((cell) => !isMissing(cell)).length;
  if (present < fewest.rows) {
    throw refuse(`at least ${fewest.rows} rows that have ${name}`, String(present));
  }
  if (found.kind === 'date') throw refuse(`the target ${name} to be numbers or classes`, 'dates');
  const task = asked ?? guess(found, present);
  const rowsWhere = (has: (row: number) => boolean) => Int32Array.from(Array.from(cells.keys()).filter(has));
  if (task === 'regression') {
    if (found.kind !== 'number') {
      const text = cells.find((cell) => !isMissing(cell)) ?? '';
      throw refuse(
        `the target ${name} to be numbers`,
        `${JSON.stringify(text.slice(0, 40))} and the like: --task classification`,
      );
    }
    const rows = rowsWhere((row) => !Number.isNaN(found.values[row]));
    const values = Float64Array.from(rows, (row) => found.values[row]);
    if (values.every((value) => value === values[0])) {
      throw refuse(`the target ${name} to have more than one value`, `${values[0]} in all rows`);
    }
    const large = values.find((value) => Math.abs(value) > mostNumber);
    if (large !== undefined)
      throw refuse(`numbers of at most ${mostNumber} in the target ${name}`, String(large));
    return { name, task, rows, without: cells.length - rows.length, values };
  }
  const counts = new Map<string, number>();
  const words = cells.map((cell) => (isMissing(cell) && wordOf(cell) === '' ? null : cell.trim()));
  for (const word of words) if (word !== null) counts.set(word, (counts.get(word) ?? 0) + 1);
  const all = [...counts.keys()];
  const rare = all.filter((word) => counts.get(word)! < fewest.class);
  const classes = inOrder(all.filter((word) => counts.get(word)! >= fewest.class));
  if (classes.length === 1 && rare.length === 0) {
    throw refuse(
      `the target ${name} to be of more than one class`,
      `${JSON.stringify(classes[0])} in all rows`,
    );
  }
  if (classes.length < 2) {
    throw refuse(
      `at least two classes of ${fewest.class} rows or more in the target ${name}`,
      `${all.length} different values in ${present} rows`,
    );
  }
  const numbers = new Map(classes.map((word, i) => [word, i]));
  const rows = rowsWhere((row) => numbers.has(words[row] ?? '\0'));
  const without = words.filter((word) => word === null).length;
  return {
    name,
    task,
    rows,
    without,
    classes,
    labels: Int32Array.from(rows, (row) => numbers.get(words[row]!)!),
    rare: { rows: cells.length - without - rows.length, classes: rare },
  };
}

/** The cells of a table as a model has them: numbers, words, and what the calendar says of dates. */
import { DataError } from '../index.ts';
import { calendar, readDate, readNumber } from './cells.ts';
import { type Column, wordOf } from './columns.ts';
import { some } from './terminal.ts';

/** By the names of what the model is given. */
export type Inputs = Record<string, Float64Array | string[]>;

const yesOrNo = (is: boolean) => (is ? 'yes' : 'no');

/** The names of what a model is given for a column. */
export function inputsOf(column: Column): { name: string; kind: 'number' | 'category' }[] {
  const { name, kind } = column;
  if (kind === 'category') return [{ name, kind }];
  const inputs: { name: string; kind: 'number' | 'category' }[] = [{ name, kind: 'number' }];
  if (kind === 'date') {
    inputs.push(
      { name: `${name}.weekday`, kind: 'category' },
      { name: `${name}.dayOfMonth`, kind: 'number' },
      { name: `${name}.dayOfYear`, kind: 'number' },
    );
    if (column.hours) inputs.push({ name: `${name}.hour`, kind: 'number' });
  }
  if (column.missing) inputs.push({ name: `${name}.missing`, kind: 'category' });
  return inputs;
}

/** The values of a column of numbers or dates, NaN where there are none. */
export const valuesOf = (
  column: Exclude<Column, { kind: 'category' }>,
  cells: readonly string[],
): Float64Array =>
  Float64Array.from(cells, (cell) =>
    column.kind === 'number' ? readNumber(cell, column.format) : readDate(cell, column.format),
  );

function addColumn(inputs: Inputs, column: Column, cells: readonly string[]): void {
  const { name, kind } = column;
  if (kind === 'category') {
    inputs[name] = cells.map(wordOf);
    return;
  }
  const values = valuesOf(column, cells);
  const filled = values.map((value) => (Number.isNaN(value) ? column.fill : value));
  inputs[name] = filled;
  if (kind === 'date') {
    const days = Array.from(filled, calendar);
    inputs[`${name}.weekday`] = days.map(({ weekday }) => weekday);
    inputs[`${name}.dayOfMonth`] = Float64Array.from(days, ({ dayOfMonth }) => dayOfMonth);
    inputs[`${name}.dayOfYear`] = Float64Array.from(days, ({ dayOfYear }) => dayOfYear);
    if (column.hours) inputs[`${name}.hour`] = Float64Array.from(days, ({ hour }) => hour);
  }
  if (column.missing) inputs[`${name}.missing`] = Array.from(values, (value) => yesOrNo(Number.isNaN(value)));
}

/**
 * Cells as inputs of the model.
 * @param table cells by the names of columns
 * @throws DataError for columns that are missing
 */
export function toInputs(
  op: string,
  columns: readonly Column[],
  table: ReadonlyMap<string, readonly string[]>,
): Inputs {
  const missing = columns.filter(({ name }) => !table.has(name)).map(({ name }) => name);
  if (missing.length > 0) {
    throw new DataError(
      `[${op}] expected the columns that the model was trained on, got none called ${some(missing)}`,
    );
  }
  const inputs: Inputs = Object.create(null);
  for (const column of columns) addColumn(inputs, column, table.get(column.name)!);
  return { ...inputs };
}

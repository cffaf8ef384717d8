/** A table made ready for models: which columns count, which rows are for what, and all of it as inputs. */
import { DataError } from '../index.ts';
import type { Choices } from './choices.ts';
import { type Column, type Found, find, median } from './columns.ts';
import { type Inputs, inputsOf, toInputs } from './inputs.ts';
import { divide, type Parts } from './parts.ts';
import type { Table } from './sample.ts';
import type { Target } from './target.ts';
import { counted, note, some } from './terminal.ts';

const op = 'train';

export interface Prepared {
  readonly columns: readonly Column[];
  readonly parts: Parts;
  /** Of the rows of each part. */
  readonly inputs: Readonly<Record<'train' | 'validation' | 'test', Inputs>>;
}

/** What the columns are that are learned from, and what is said of those that are not. */
function findColumns(data: Table, { target, drop }: Choices): Map<string, Found> {
  const strange = drop.find((name) => !data.cells.has(name));
  if (strange !== undefined)
    throw new DataError(`[${op}] expected --drop to name columns of the file, got ${strange}`);
  const found = new Map<string, Found>();
  for (const [name, cells] of data.cells) {
    if (name === target || drop.includes(name)) continue;
    const column = find(name, cells, data.delimiter);
    found.set(name, column);
    if (column.kind === 'left out') note(`  ${name} is left out: it ${column.because}`);
    else if (column.kind !== 'category' && column.strange.length > 0) {
      const [first] = column.strange;
      note(
        `  ${name}: ${counted(column.strange.length, 'cell')} no ${column.kind}, as ${JSON.stringify(cells[first].slice(0, 40))} in row ${first + 1}, taken as missing`,
      );
    }
  }
  return found;
}

/** With what is put where values are missing, which only the rows that are learned from tell. */
function columnsOf(found: ReadonlyMap<string, Found>, train: Int32Array): Column[] {
  return Array.from(found).flatMap(([name, column]): Column[] => {
    if (column.kind === 'left out') return [];
    if (column.kind === 'category') return [{ name, kind: 'category' }];
    const values = Float64Array.from(train, (row) => column.values[row]);
    const rest = { fill: median(values), missing: values.some(Number.isNaN) };
    if (column.kind === 'number') return [{ name, kind: 'number', format: column.format, ...rest }];
    const hours = values.some((value) => !Number.isNaN(value) && !Number.isInteger(value));
    return [{ name, kind: 'date', format: column.format, hours, ...rest }];
  });
}

const pick = (inputs: Inputs, rows: Int32Array): Inputs =>
  Object.fromEntries(
    Object.entries(inputs).map(([name, values]) => [
      name,
      Array.isArray(values)
        ? Array.from(rows, (row) => values[row])
        : Float64Array.from(rows, (row) => values[row]),
    ]),
  );

/** Names that a date brings with it must not be those of other columns. */
function checkNames(columns: readonly Column[]): void {
  const names = columns.flatMap((column) => inputsOf(column).map(({ name }) => name));
  const twice = names.find((name, i) => names.indexOf(name) < i);
  if (twice === undefined) return;
  throw new DataError(
    `[${op}] expected no column of the name ${twice}, which is made of another one: rename it, or leave it out by --drop`,
  );
}

function sayTarget(target: Target): void {
  const rows = target.rows.length;
  const without = target.without === 0 ? '' : `; ${counted(target.without, 'row')} without it left out`;
  if (target.task === 'regression') {
    note(`${target.name}: numbers, of ${counted(rows, 'row')}${without}`);
    return;
  }
  note(`${target.name}: ${target.classes.length} classes, of ${counted(rows, 'row')}${without}`);
  const { rare } = target;
  if (rare.rows === 0) return;
  const names = some(rare.classes, 5);
  note(`  ${counted(rare.rows, 'row')} left out, of classes too rare to be tested: ${names}`);
}

function sayColumns(columns: readonly Column[], { by, train, validation, test }: Parts): void {
  const kinds = (['number', 'category', 'date'] as const).map((kind) => {
    const names = columns.filter((column) => column.kind === kind).map(({ name }) => name);
    const shown = some(names);
    return names.length === 0
      ? ''
      : `  ${{ number: 'numbers', category: 'categories', date: 'dates' }[kind]}: ${shown}`;
  });
  for (const line of kinds) if (line !== '') note(line);
  const how = by === undefined ? 'drawn at random' : `the latest by ${by}`;
  note(
    `${counted(train.length, 'row')} to learn from, ${validation.length} to choose by, ${test.length} held out, ${how}`,
  );
}

/** @throws DataError for a table without a column that tells anything */
export function prepare(data: Table, target: Target, choices: Choices): Prepared {
  sayTarget(target);
  const found = findColumns(data, choices);
  const parts = divide(op, target, found, choices);
  const at = (places: Int32Array) => Int32Array.from(places, (i) => target.rows[i]);
  const columns = columnsOf(found, at(parts.train));
  if (columns.length === 0) {
    throw new DataError(
      `[${op}] expected columns to predict ${target.name} from, got none that tell anything`,
    );
  }
  checkNames(columns);
  sayColumns(columns, parts);
  const all = toInputs(op, columns, data.cells);
  const of = (places: Int32Array) => pick(all, at(places));
  return {
    columns,
    parts,
    inputs: { train: of(parts.train), validation: of(parts.validation), test: of(parts.test) },
  };
}

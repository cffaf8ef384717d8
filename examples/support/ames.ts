/** The Ames house sales as a table, and the columns of a network's input: standardised numbers, one-hot categories. */
import { readFileSync } from 'node:fs';
import {
  Columns,
  type Layer,
  Normalize,
  OneHot,
  permutation,
  randomState,
  Sequential,
  StringLookup,
} from 'axpy';
import { parse } from 'csv-parse/sync';
import { Log1p } from './log1p.ts';

/** A house: its attributes by the names of the columns. */
export type Row = Record<string, string>;

/** Houses: their attributes column by column, numbers as numbers, and the logarithms of their prices. */
interface Houses {
  x: Record<string, number[] | string[]>;
  y: number[];
}

/** A layer for each column: categories are one-hot, numbers standardised, large ones by their logarithm. */
export function columnsFor({ x }: Houses): Columns {
  const layers = Object.entries(x).map(([name, values]): [string, Layer] => {
    if (typeof values[0] === 'string') return [name, new Sequential([new StringLookup(), new OneHot()])];
    const numbers = values as number[];
    const skewed = Math.min(...numbers) >= 0 && Math.max(...numbers) >= 100 && !/Year|MS_/.test(name);
    return [name, skewed ? new Sequential([new Log1p(), new Normalize(1)]) : new Normalize(1)];
  });
  return new Columns(Object.fromEntries(layers));
}

/** The sales as the file has them. Every fifth house of a random order is held out. */
export function splitHouses(seed: number): { kept: Row[]; held: Row[] } {
  const file = new URL('../data/ames.csv', import.meta.url);
  const rows: Row[] = parse(readFileSync(file), { columns: true });
  const shuffled = Array.from(permutation(rows.length, randomState(seed)), (i) => rows[i]);
  return { kept: shuffled.filter((_, i) => i % 5 !== 0), held: shuffled.filter((_, i) => i % 5 === 0) };
}

export function loadHouses(seed: number): { train: Houses; test: Houses } {
  const { kept, held } = splitHouses(seed);
  const isNumber = (cell: string) => cell !== '' && Number.isFinite(Number(cell));
  const columns = Object.keys(kept[0])
    .filter((name) => name !== 'Sale_Price')
    .map((name) => ({ name, numeric: [...kept, ...held].every((row) => isNumber(row[name])) }));
  const part = (rows: Row[]): Houses => ({
    x: Object.fromEntries(
      columns.map(({ name, numeric }) => {
        const cells = rows.map((row) => row[name]);
        return [name, numeric ? cells.map(Number) : cells];
      }),
    ),
    y: rows.map((row) => Math.log(Number(row.Sale_Price))),
  });
  return { train: part(kept), test: part(held) };
}

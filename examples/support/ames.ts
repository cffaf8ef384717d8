/** The Ames house sales as numbers: standardised columns, one-hot categories, and the logarithm of the price. */
import { readFileSync } from 'node:fs';
import { permutation, randomState, type Tensor, tensor } from 'axpy';
import { parse } from 'csv-parse/sync';

/** A house: its attributes by the names of the columns. */
export type Row = Record<string, string>;

/** One column of the network's input: its name, and its value for a house. */
interface Feature {
  name: string;
  value: (row: Row) => number;
}

export interface Houses {
  features: string[];
  train: { x: Tensor; y: Tensor };
  test: { x: Tensor; y: Tensor };
  /** What was subtracted from and divided into the log price, to read predictions in dollars again. */
  price: { mean: number; deviation: number };
}

function moments(values: number[]): { mean: number; deviation: number } {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length;
  return { mean, deviation: Math.sqrt(variance) || 1 };
}

/**
 * Columns that are numbers in every row are standardised; sizes and areas, which span orders of magnitude, by their
 * logarithm. The others become one column for each category. Everything is learned from the training rows alone.
 */
function learnFeatures(rows: Row[], columns: string[]): Feature[] {
  return columns.flatMap((column): Feature[] => {
    const cells = rows.map((row) => row[column]);
    if (cells.every((cell) => cell !== '' && Number.isFinite(Number(cell)))) {
      const numbers = cells.map(Number);
      const skewed = Math.min(...numbers) >= 0 && Math.max(...numbers) >= 100 && !/Year|MS_/.test(column);
      const scale = skewed ? Math.log1p : (value: number) => value;
      const { mean, deviation } = moments(numbers.map(scale));
      return [{ name: column, value: (row) => (scale(Number(row[column])) - mean) / deviation }];
    }
    const categories = [...new Set(cells)].sort();
    return categories.map((category) => ({
      name: `${column}=${category}`,
      value: (row) => (row[column] === category ? 1 : 0),
    }));
  });
}

/** The sales as the file has them. Every fifth house of a random order is held out. */
export function splitHouses(seed: number): { kept: Row[]; held: Row[] } {
  const file = new URL('../data/ames.csv', import.meta.url);
  const rows: Row[] = parse(readFileSync(file), { columns: true });
  const shuffled = Array.from(permutation(rows.length, randomState(seed)), (i) => rows[i]);
  return { kept: shuffled.filter((_, i) => i % 5 !== 0), held: shuffled.filter((_, i) => i % 5 === 0) };
}

export function loadHouses(seed: number): Houses {
  const { kept, held } = splitHouses(seed);
  const columns = Object.keys(kept[0]).filter((column) => column !== 'Sale_Price');
  const features = learnFeatures(kept, columns);
  const logPrice = (row: Row) => Math.log(Number(row.Sale_Price));
  const price = moments(kept.map(logPrice));
  const part = (some: Row[]) => ({
    x: tensor(some.map((row) => features.map((feature) => feature.value(row)))),
    y: tensor(some.map((row) => [(logPrice(row) - price.mean) / price.deviation])),
  });
  return { features: features.map(({ name }) => name), train: part(kept), test: part(held), price };
}

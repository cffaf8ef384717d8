/** The job: what a house costs, by what an agent knows of it. What it is asked, what it learns from, and the network. */
import {
  Columns,
  DataError,
  Dense,
  type ExampleShape,
  Layer,
  Normalize,
  OneHot,
  predict,
  registerLayer,
  Sequential,
  StringLookup,
  type Tensor,
  tensor,
} from 'axpy';
import { Log1p } from '../support/log1p.ts';

/** A house by the names of columns: those of `examples/data/ames.csv`. */
export type House = Readonly<Record<string, string | number>>;

/** A house and what was paid for it, in dollars. */
export interface Sale {
  readonly house: House;
  readonly price: number;
}

/** Columns of text, and how many of their words the network tells apart: the rare ones teach it what a word is that it never saw. */
const texts: Readonly<Record<string, number>> = { Neighborhood: 20, Bldg_Type: 4, Overall_Cond: 6 };

/**
 * Columns of numbers, and what of them may be true. A network learns from whatever it is given: one area in square miles would
 * undo what a thousand sales have taught.
 */
const numbers: Readonly<Record<string, readonly [low: number, high: number]>> = {
  Lot_Area: [1, 1e7],
  Gr_Liv_Area: [1, 1e5],
  Total_Bsmt_SF: [0, 1e5],
  Year_Built: [1600, 2200],
  Year_Remod_Add: [1600, 2200],
  Full_Bath: [0, 50],
  Fireplaces: [0, 50],
  Garage_Cars: [0, 50],
  Latitude: [-90, 90],
  Longitude: [-180, 180],
};
const areas = new Set(['Lot_Area', 'Gr_Liv_Area', 'Total_Bsmt_SF']);
const dollars = [1, 1e9] as const;

/** The names of all columns. */
const columnNames: readonly string[] = [...Object.keys(texts), ...Object.keys(numbers)];

/** Of a row of a file of text. */
export const houseOf = (row: Readonly<Record<string, string>>): House =>
  Object.fromEntries(
    columnNames.map((name) => [name, Object.hasOwn(texts, name) ? row[name] : Number(row[name])]),
  );

// ── what is asked, checked ──────────────────────────────────────────────────────────────────────────────────────────

const show = (value: unknown) => (value === undefined ? 'nothing' : JSON.stringify(value)).slice(0, 60);

const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

function readNumber(name: string, value: unknown, [low, high]: readonly [number, number]): number {
  if (typeof value === 'number' && value >= low && value <= high) return value;
  // JSON has a text for numbers that are none: 1e999.
  const got = typeof value === 'number' ? String(value) : show(value);
  throw new DataError(`expected ${name} to be a number from ${low} to ${high}, got ${got}`);
}

function readHouse(name: string, value: unknown): House {
  if (!isRecord(value)) throw new DataError(`expected ${name} to be an object, got ${show(value)}`);
  const unknown = Object.keys(value).find((key) => !columnNames.includes(key));
  if (unknown !== undefined)
    throw new DataError(
      `expected ${name} to have the columns ${columnNames.join(', ')}, got ${show(unknown)}`,
    );
  const words = Object.keys(texts).map((key) => {
    const { [key]: word } = value;
    if (typeof word === 'string' && word.length <= 100) return [key, word];
    throw new DataError(`expected ${name}.${key} to be a text of at most 100 characters, got ${show(word)}`);
  });
  const sizes = Object.entries(numbers).map(([key, range]) => [
    key,
    readNumber(`${name}.${key}`, value[key], range),
  ]);
  return Object.fromEntries([...words, ...sizes]);
}

const listOf = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : [value]);

/** One house, or an array of them. @throws DataError for what is none, which names it */
export function readHouses(body: unknown): House[] {
  return listOf(body).map((value, i) => readHouse(`house ${i}`, value));
}

/** One `{ house, price }`, or an array of them. @throws DataError for what is none, which names it */
export function readSales(body: unknown): Sale[] {
  return listOf(body).map((value, i) => {
    const name = `sale ${i}`;
    if (!isRecord(value)) throw new DataError(`expected ${name} to be { house, price }, got ${show(value)}`);
    return {
      house: readHouse(`${name}.house`, value.house),
      price: readNumber(`${name}.price`, value.price, dollars),
    };
  });
}

// ── the network ─────────────────────────────────────────────────────────────────────────────────────────────────────

class Exp extends Layer {
  forward(x: Tensor): Tensor {
    return x.exp();
  }

  override outputShape(input: ExampleShape): ExampleShape {
    return input;
  }
}
registerLayer('Exp', Exp, () => new Exp());

/** From houses, as they come, to dollars: its first layer reads the table, its last two make dollars of what is learnt. */
export type HouseModel = Sequential<[Columns, Dense, Dense, Dense, Normalize, Exp]>;

/** A new one, whose words, means and variances are those of some sales. */
export function modelFor(sales: readonly Sale[]): HouseModel {
  const columns = new Columns({
    ...Object.fromEntries(
      Object.entries(texts).map(([name, limit]) => [
        name,
        // There is a word that is none of them, whether these sales have one or not.
        new Sequential([new StringLookup(null, { limit }), new OneHot(limit + 1)]),
      ]),
    ),
    ...Object.fromEntries(
      Object.keys(numbers).map((name) => [
        name,
        areas.has(name) ? new Sequential([new Log1p(), new Normalize(1)]) : new Normalize(1),
      ]),
    ),
  }).adapt(sales.map(({ house }) => house));
  const price = new Normalize(1, { invert: true }).adapt(logarithms(sales));
  return new Sequential([
    columns,
    new Dense(columns.features, 64, { activation: 'relu' }),
    new Dense(64, 32, { activation: 'relu' }),
    new Dense(32, 1),
    price,
    new Exp(),
  ]);
}

const logarithms = (sales: readonly Sale[]) => sales.map(({ price }) => [Math.log(price)]);

/** The part of a model that learns, and what it learns from some sales. */
export function lesson(model: HouseModel, sales: readonly Sale[]) {
  const learning = new Sequential(model.layers.slice(0, -2));
  const price = model.layers.at(-2) as Normalize;
  return {
    learning,
    data: { x: sales.map(({ house }) => house), y: price.inverse(tensor(logarithms(sales))) },
  };
}

const meanSquare = (values: readonly number[]) =>
  Math.sqrt(values.reduce((sum, value) => sum + value * value, 0) / values.length);

/** The error of a model, as of logarithms: 0.1 is some 10 % of the price. */
export async function errorOf(model: HouseModel, sales: readonly Sale[]): Promise<number> {
  const prices = await predict(
    model,
    sales.map(({ house }) => house),
  );
  return meanSquare(sales.map(({ price }, i) => Math.log(prices.data[i]) - Math.log(price)));
}

/** The error of who knows no more than the mean. */
export function errorOfMean(sales: readonly Sale[]): number {
  const logs = sales.map(({ price }) => Math.log(price));
  const mean = logs.reduce((sum, value) => sum + value, 0) / logs.length;
  return meanSquare(logs.map((value) => value - mean));
}

/** House sales in the Sacramento area over five days in May 2008, as the notes' housing example wants them. */
import { readFileSync } from 'node:fs';
import { permutation, randomState } from 'axpy';
import { parse } from 'csv-parse/sync';

export interface House {
  city: string;
  zip: string;
  bedrooms: number;
  bathrooms: number;
  /** Square feet. */
  size: number;
  /** Dollars. */
  price: number;
  latitude: number;
  longitude: number;
}

export interface Sales {
  train: House[];
  /** Held out: every fifth house of a random order. */
  test: House[];
}

export function loadSacramento(seed: number): Sales {
  const file = new URL('../data/sacramento.csv', import.meta.url);
  const rows: Record<string, string>[] = parse(readFileSync(file), { columns: true });
  const houses = rows.map(
    (row): House => ({
      city: row.city,
      zip: row.zip,
      bedrooms: Number(row.beds),
      bathrooms: Number(row.baths),
      size: Number(row.sqft),
      price: Number(row.price),
      latitude: Number(row.latitude),
      longitude: Number(row.longitude),
    }),
  );
  const shuffled = Array.from(permutation(houses.length, randomState(seed)), (i) => houses[i]);
  return {
    train: shuffled.filter((_, i) => i % 5 !== 0),
    test: shuffled.filter((_, i) => i % 5 === 0),
  };
}

export const mean = (values: number[]): number =>
  values.reduce((sum, value) => sum + value, 0) / values.length;

/** What brings numbers to mean 0 and deviation 1: learned from some, applied to others. */
export function standardiser(values: number[]): (value: number) => number {
  const center = mean(values);
  const deviation = Math.sqrt(mean(values.map((value) => (value - center) ** 2)));
  return (value) => (value - center) / deviation;
}

export type Feature = (house: House) => number;

/**
 * The zip code as a number: dollars per square foot, on the average over the training houses of the same zip code and five
 * more of the average of all, so that a zip code with one sale does not take that sale's word for it. A training house
 * does not count itself: its own price must not be among its inputs.
 */
export function zipFeature(train: House[]): Feature {
  const perFoot = ({ price, size }: House) => price / size;
  const overall = mean(train.map(perFoot));
  const byZip = new Map<string, House[]>();
  for (const house of train) byZip.set(house.zip, [...(byZip.get(house.zip) ?? []), house]);
  return (house) => {
    const others = (byZip.get(house.zip) ?? []).filter((other) => other !== house);
    return mean([...others.map(perFoot), ...Array<number>(5).fill(overall)]);
  };
}

/**
 * The wealth of the neighbourhood: the mean price of the ten training houses nearest by (more where several are equally
 * near), itself not among them.
 */
export function wealthFeature(train: House[]): Feature {
  return (house) => {
    // A degree of longitude is shorter than one of latitude by this factor.
    const narrowing = Math.cos((house.latitude * Math.PI) / 180);
    // The own distance is never among the ten smallest.
    const distances = new Float64Array(train.length);
    for (const [i, other] of train.entries()) {
      const [north, east] = [other.latitude - house.latitude, other.longitude - house.longitude];
      distances[i] = other === house ? Number.POSITIVE_INFINITY : north ** 2 + (narrowing * east) ** 2;
    }
    const tenth = distances.toSorted()[9];
    return mean(train.filter((_, i) => distances[i] <= tenth).map(({ price }) => price));
  };
}

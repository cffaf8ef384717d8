/** Rows to learn from, to choose by, and to test on. */
import { ArgumentError, trainTestSplit } from '../index.ts';
import type { Found } from './columns.ts';
import type { Target } from './target.ts';

/** Places among the rows that have a target. */
export interface Parts {
  readonly train: Int32Array;
  readonly validation: Int32Array;
  readonly test: Int32Array;
  /** The column of dates by which the rows stand in order, where the last ones are those to test on. */
  readonly by?: string;
}

export type Order = 'random' | 'time';

type Dates = { readonly name: string; readonly values: Float64Array };

const datesIn = (found: ReadonlyMap<string, Found>, rows: Int32Array): Dates[] =>
  Array.from(found).flatMap(([name, column]) =>
    column.kind === 'date' ? [{ name, values: Float64Array.from(rows, (row) => column.values[row]) }] : [],
  );

/** Whether the rows of a file are a history: in order of dates, most of which are there once. */
function isHistory({ values }: Dates): boolean {
  const isOrdered = values.every((value, i) => i === 0 || value >= values[i - 1]);
  return isOrdered && new Set(values).size > values.length / 2;
}

/** Places in the order of dates, those without one first. */
const byDate = ({ values }: Dates): Int32Array =>
  Int32Array.from(values.keys()).sort((a, b) => (values[a] || -Infinity) - (values[b] || -Infinity) || a - b);

/**
 * Divides rows: a share to test on, and of the others as large a one to choose by. Of what goes on in time the latest rows are tested on,
 * as those to be predicted will be later ones; others are drawn at random, of each class its share.
 */
export function divide(
  op: string,
  target: Target,
  found: ReadonlyMap<string, Found>,
  options: { test: number; seed: number; order: Order | undefined },
): Parts {
  const { test: testSize, seed, order } = options;
  const { rows } = target;
  const dates = datesIn(found, rows);
  const history = dates.find(isHistory);
  const by = order === 'time' ? (history ?? dates[0]) : order === 'random' ? undefined : history;
  if (order === 'time' && by === undefined) {
    throw new ArgumentError(`[${op}] expected a column of dates for --split time, got none`);
  }
  if (by !== undefined) {
    const last = trainTestSplit(byDate(by), { testSize, shuffle: false });
    const { train, test: validation } = trainTestSplit(last.train, { testSize, shuffle: false });
    return { train, validation, test: last.test, by: by.name };
  }
  const labels = (places: Int32Array) =>
    target.task === 'classification' ? { stratify: Int32Array.from(places, (i) => target.labels[i]) } : {};
  const all = Int32Array.from(rows.keys());
  const { train: rest, test } = trainTestSplit(all, { testSize, seed, ...labels(all) });
  const { train, test: validation } = trainTestSplit(rest, { testSize, seed, ...labels(rest) });
  return { train, validation, test };
}

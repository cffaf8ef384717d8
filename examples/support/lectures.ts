/** Lectures at ETH Zurich as their students rated them, from 1, poor, to 5, very good. */
import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { parse } from 'csv-parse/sync';

/**
 * Who rated whom, in which of his semesters and how many semesters ago, whether for another department, and for which. The file has
 * no lectures; what a lecturer gave at a time to students of a year is one, or nearly so.
 */
const fields = ['student', 'lecturer', 'semester', 'ago', 'service', 'department', 'lecture'] as const;
export type Field = (typeof fields)[number];

/** Ratings column by column: for each field its place among the values that it has, and the rating itself. */
export interface Ratings {
  x: Record<Field, Int32Array>;
  y: Float32Array;
}

export interface Lectures {
  train: Ratings;
  validation: Ratings;
  test: Ratings;
  /** What a field may be, by its index. */
  values: Record<Field, string[]>;
}

/** Of ten ratings, in the order of the file, the first is to test on, the second to stop by. */
export function loadLectures(limit = Infinity): Lectures {
  const file = new URL('../data/lectures.csv.gz', import.meta.url);
  const given: Record<string, string>[] = parse(gunzipSync(readFileSync(file)), { columns: true });
  const rows = given.map((row) => ({
    ...(row as Record<Field | 'rating', string>),
    lecture: [row.lecturer, row.semester, row.ago, row.service].join(' '),
  }));
  const byField = <T>(make: (field: Field) => T) =>
    Object.fromEntries(fields.map((field) => [field, make(field)])) as Record<Field, T>;
  const values = byField((field) => [...new Set(rows.map((row) => row[field]))]);
  const places = byField((field) => new Map(values[field].map((value, i) => [value, i])));
  const part = (isIn: (i: number) => boolean, most = Infinity): Ratings => {
    const own = rows.filter((_, i) => isIn(i % 10)).slice(0, most);
    return {
      x: byField((field) => Int32Array.from(own, (row) => places[field].get(row[field])!)),
      y: Float32Array.from(own, ({ rating }) => Number(rating)),
    };
  };
  return {
    train: part((i) => i > 1, limit),
    validation: part((i) => i === 1),
    test: part((i) => i === 0),
    values,
  };
}

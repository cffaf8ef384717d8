/** Parts of batches that several processes share. */

/** Which part of each batch is taken: that of one process of several, counted from 0. */
export interface Share {
  readonly index: number;
  readonly count: number;
}

/**
 * Where the part of one lies in so many rows: they are divided into runs, in order, whose lengths differ by one at most, the
 * longer ones first. Of fewer rows than there are parts the last ones have none.
 */
export function runOf(rows: number, { index, count }: Share): [start: number, end: number] {
  const length = Math.floor(rows / count);
  const longer = rows % count;
  const start = index * length + Math.min(index, longer);
  return [start, start + length + (index < longer ? 1 : 0)];
}

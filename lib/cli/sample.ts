/** A table in memory, column by column: all its rows, or as many as may be, drawn at random. */
import { rand, seed } from '../index.ts';
import { openCsv } from './csv.ts';

export interface Table {
  readonly names: readonly string[];
  readonly delimiter: string;
  /** Cells by the names of columns. */
  readonly cells: ReadonlyMap<string, readonly string[]>;
  readonly rows: number;
  /** How many rows the file has. */
  readonly all: number;
}

/** How many cells are kept in memory, some 60 bytes each. */
export const mostCells = 2 ** 25;

/**
 * Reads a file of CSV. Of more rows than may be, each is as likely to be kept (reservoir sampling), and they stay in order.
 * @param rows how many at most; fewer where all of their cells would be too many
 */
export async function readTable(
  op: string,
  path: string,
  options: { rows: number; seed: number; delimiter: string | undefined },
): Promise<Table> {
  const sheet = await openCsv(op, path, options.delimiter);
  const { names, delimiter } = sheet;
  const most = Math.max(1, Math.min(options.rows, Math.floor(mostCells / names.length)));
  seed(options.seed);
  const kept: { at: number; row: readonly string[] }[] = [];
  let all = 0;
  let chances = new Float64Array();
  for await (const row of sheet.rows) {
    if (kept.length < most) kept.push({ at: all, row: row.map(own) });
    else {
      const at = all % 4096;
      if (chances.length === 0 || at === 0) {
        chances = rand([4096], { dtype: 'float64' }).data as Float64Array<ArrayBuffer>;
      }
      const place = Math.floor(chances[at] * (all + 1));
      if (place < most) kept[place] = { at: all, row: row.map(own) };
    }
    all++;
  }
  if (all > most) kept.sort((a, b) => a.at - b.at);
  const cells = new Map(names.map((name, i) => [name, kept.map(({ row }) => row[i])]));
  return { names, delimiter, cells, rows: kept.length, all };
}

const seen = new Map<string, string>();

/** The same text for the same words, and none that holds the text that it was cut out of. */
function own(cell: string): string {
  let one = seen.get(cell);
  if (one === undefined) {
    // Short of a copy by bytes nothing makes an engine let go of the whole.
    one = Buffer.from(cell, 'utf8').toString('utf8');
    if (seen.size < 2 ** 16) seen.set(one, one);
  }
  return one;
}

/** `axpy predict`: what a model that axpy train made says of the rows of a file. */
import { once } from 'node:events';
import { createWriteStream, type WriteStream } from 'node:fs';
import { rename, rm } from 'node:fs/promises';
import { finished } from 'node:stream/promises';
import { type AnyModel, DataError, loadModel, predict, type Tensor } from '../index.ts';
import type { Column } from './columns.ts';
import { type Command, delimiterOf, type Given, listOf, textOf, UsageError } from './command.ts';
import { openCsv, type Row } from './csv.ts';
import { type Description, readDescription } from './description.ts';
import { checkOutputs } from './files.ts';
import { toInputs, valuesOf } from './inputs.ts';
import { likeliest } from './scores.ts';
import { beQuiet, counted, isUnread, note, say, some } from './terminal.ts';

const op = 'predict';

/** How many rows are in memory at a time. */
const batch = 4096;

/** A cell as CSV has it. */
export const cellOf = (text: string): string =>
  /[",\r\n]|^\s|\s$/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
const lineOf = (cells: readonly string[]): string => `${cells.map(cellOf).join(',')}\n`;

/** A number of float32 in as few digits as tell it from all others. */
export function shortest(value: number): string {
  for (let digits = 6; digits < 9; digits++) {
    const text = value.toPrecision(digits);
    if (Math.fround(Number(text)) === value) return String(Number(text));
  }
  return String(Number(value.toPrecision(9)));
}

/** Where predictions go: a file that is there whole or not at all, or standard output. */
interface Sink {
  write(text: string): Promise<void>;
  end(): Promise<void>;
  undo(): Promise<void>;
}

function sinkTo(path: string | undefined): Sink {
  if (path === undefined || path === '-') {
    return { write: say, end: async () => undefined, undo: async () => undefined };
  }
  const temporary = `${path}.${process.pid}.tmp`;
  const stream: WriteStream = createWriteStream(temporary);
  // Errors come by `finished`, and end a wait for `drain`.
  const done = finished(stream);
  done.catch(() => undefined);
  return {
    async write(text) {
      if (!stream.write(text)) await Promise.race([once(stream, 'drain'), done]);
    },
    async end() {
      stream.end();
      await done;
      await rename(temporary, path);
    },
    async undo() {
      stream.destroy();
      await done.catch(() => undefined);
      await rm(temporary, { force: true });
    },
  };
}

/** What columns of numbers and dates have no value in, though all rows that were learned from had one. */
class Gaps {
  private readonly counts = new Map<Column, number>();
  private readonly columns: readonly Exclude<Column, { kind: 'category' }>[];

  constructor(columns: readonly Column[]) {
    this.columns = columns.filter((column) => column.kind !== 'category').filter(({ missing }) => !missing);
  }

  add(table: ReadonlyMap<string, readonly string[]>): void {
    for (const column of this.columns) {
      const missing = valuesOf(column, table.get(column.name)!).filter(Number.isNaN).length;
      if (missing > 0) this.counts.set(column, (this.counts.get(column) ?? 0) + missing);
    }
  }

  say(): void {
    for (const [column, count] of this.counts) {
      if (column.kind === 'category') continue;
      const fill =
        column.kind === 'number'
          ? column.fill
          : new Date(column.fill * 86_400_000).toISOString().slice(0, 10);
      note(
        `  ${column.name}: ${counted(count, 'cell')} without a ${column.kind}, taken as ${fill}, the median of training`,
      );
    }
  }
}

function outputs(description: Description, withProba: boolean) {
  const { target, classes } = description;
  if (classes === undefined) {
    return { names: [target], cellsOf: (y: Tensor, row: number) => [shortest(y.data[row])] };
  }
  return {
    names: [target, ...(withProba ? classes.map((word) => `${target}=${word}`) : [])],
    cellsOf: (y: Tensor, row: number) => {
      const chosen = classes[likeliest(y.data, row, classes.length)];
      if (!withProba) return [chosen];
      const own = Array.from({ length: classes.length }, (_, k) =>
        shortest(y.data[row * classes.length + k]),
      );
      return [chosen, ...own];
    },
  };
}

async function* batchesOf(rows: AsyncIterable<Row>): AsyncGenerator<Row[]> {
  let own: Row[] = [];
  for await (const row of rows) {
    own.push(row);
    if (own.length < batch) continue;
    yield own;
    own = [];
  }
  if (own.length > 0) yield own;
}

async function run(given: Given): Promise<number> {
  const [path, file] = given.files;
  if (given.values.quiet === true) beQuiet();
  const withProba = given.values.proba === true;
  await checkOutputs(op, [textOf(given, 'out')], [path, file]);
  const description = await readDescription(op, path);
  if (withProba && description.classes === undefined) {
    throw new UsageError(
      `[${op}] expected --proba for a model of classes, got one of numbers, ${description.target}`,
    );
  }
  const model = await loadModel<AnyModel>(path);
  const sheet = await openCsv(op, file, delimiterOf(op, given));
  const keep = listOf(given, 'keep');
  const missing = [...description.columns.map(({ name }) => name), ...keep].filter(
    (name) => !sheet.names.includes(name),
  );
  if (missing.length > 0) {
    throw new DataError(
      `[${op}] expected ${file} to have the columns that the model was trained on, got none called ${some(missing)}`,
    );
  }
  const { names, cellsOf } = outputs(description, withProba);
  const gaps = new Gaps(description.columns);
  const sink = sinkTo(textOf(given, 'out'));
  let [count, endless] = [0, 0];
  try {
    // What was predicted is not taken for what is true.
    const own = names.map((name) => (keep.includes(name) ? `predicted ${name}` : name));
    await sink.write(lineOf([...keep, ...own]));
    for await (const rows of batchesOf(sheet.rows)) {
      if (isUnread()) break;
      const table = new Map(sheet.names.map((name, i) => [name, rows.map((row) => row[i])]));
      gaps.add(table);
      const y: Tensor = await predict(model, toInputs(op, description.columns, table), { batchSize: batch });
      const kept = keep.map((name) => table.get(name)!);
      await sink.write(
        rows.map((_, i) => lineOf([...kept.map((cells) => cells[i]), ...cellsOf(y, i)])).join(''),
      );
      count += rows.length;
      endless += y.data.filter((value: number) => !Number.isFinite(value)).length;
    }
    await sink.end();
  } catch (error) {
    await sink.undo();
    throw error;
  }
  gaps.say();
  if (endless > 0)
    note(`  ${counted(endless, 'number')} not finite: cells are beyond what the model can hold`);
  const out = textOf(given, 'out');
  if (out !== undefined) note(`${out}: ${counted(count, 'row')}`);
  return 0;
}

export const command: Command = {
  name: op,
  files: ['model.safetensors', 'data.csv'],
  text:
    'Predicts for each row of a CSV file (- for standard input, .gz unpacked) by a model that axpy train made. Columns are found by their\n' +
    'names, others are left alone. Writes a line for each row, in their order.',
  options: {
    out: { type: 'string', short: 'o', value: 'FILE', text: 'where predictions go; default standard output' },
    proba: { type: 'boolean', text: 'the probability of each class as well' },
    keep: { type: 'string', value: 'A,B', text: 'columns of the file to write beside predictions' },
    delimiter: { type: 'string', value: 'C', text: 'between cells, or tab; found out by default' },
    quiet: { type: 'boolean', short: 'q', text: 'no notes on standard error' },
  },
  examples: ['axpy predict model.safetensors more.csv --keep id --out prices.csv'],
  run,
};

/** Files of comma-separated values, read row by row: whichever delimiter, quotes, BOM, gzip, standard input. */
import { createReadStream } from 'node:fs';
import type { Readable } from 'node:stream';
import { createGunzip } from 'node:zlib';
import { CsvError, type Parser, parse } from 'csv-parse';
import { FormatError } from '../index.ts';
import { unreadable } from './files.ts';

/** A row, its cells in the order of the names. */
export type Row = readonly string[];

export interface Sheet {
  /** The names of columns, of the first line; one that is empty there is 'column 3'. */
  readonly names: readonly string[];
  readonly delimiter: string;
  /** What follows the first line. Read once. */
  readonly rows: AsyncIterable<Row>;
}

const delimiters = [',', ';', '\t', '|'];

/** How much of a file is looked at for its delimiter, in characters, and how long a row may be. */
const peeked = 2 ** 16;
const longest = 2 ** 24;

/** The bytes of a file, or of standard input for '-'; unpacked where they are of gzip. */
async function* bytesOf(path: string): AsyncGenerator<Uint8Array> {
  const source: Readable = path === '-' ? process.stdin : createReadStream(path);
  try {
    if (!path.endsWith('.gz')) return yield* source as AsyncIterable<Uint8Array>;
    const unpacked = createGunzip();
    source.on('error', (error) => unpacked.destroy(error));
    yield* source.pipe(unpacked) as AsyncIterable<Uint8Array>;
  } finally {
    // Standard input that nobody reads any more must not hold the process.
    source.destroy();
  }
}

/** As text. @throws FormatError for what is no UTF-8, with the place */
async function* textOf(op: string, path: string): AsyncGenerator<string> {
  const decoder = new TextDecoder('utf-8', { fatal: true });
  let at = 0;
  const decode = (bytes?: Uint8Array): string => {
    try {
      return bytes === undefined ? decoder.decode() : decoder.decode(bytes, { stream: true });
    } catch {
      throw new FormatError(
        `[${op}] expected ${path} to be text in UTF-8, got other bytes after byte ${at}: save it as "CSV UTF-8"`,
      );
    }
  };
  for await (const bytes of bytesOf(path)) {
    const text = decode(bytes);
    if (text.includes('\0')) {
      throw new FormatError(`[${op}] expected ${path} to be CSV, got a file that is no text`);
    }
    at += bytes.length;
    if (text !== '') yield text;
  }
  const rest = decode();
  if (rest !== '') yield rest;
}

/** The lines that are whole in the beginning of a file, less what is quoted in them. */
function linesIn(beginning: string): string[] {
  const bare = beginning.replace(/"(?:[^"]|"")*"/g, '""');
  const lines = bare.split(/\r\n|\n|\r/);
  // The last one may be cut off.
  return (lines.length > 1 ? lines.slice(0, -1) : lines).filter((line) => line !== '');
}

/** What divides the cells: what is in every line as often as in the first, and most often; a comma where none is. */
function delimiterOf(beginning: string): string {
  const lines = linesIn(beginning);
  const found = delimiters.map((delimiter) => {
    const counts = lines.map((line) => line.split(delimiter).length - 1);
    const [first = 0] = counts;
    const like = counts.filter((count) => count === first).length / Math.max(counts.length, 1);
    return { delimiter, rank: first === 0 ? 0 : like * 1000 + Math.min(first, 999) };
  });
  const best = found.reduce((one, other) => (other.rank > one.rank ? other : one));
  return best.rank === 0 ? ',' : best.delimiter;
}

/** @throws FormatError for names that are there twice, and for a first line that is data */
function readNames(op: string, path: string, first: Row): string[] {
  const isNumber = (cell: string) => cell.trim() !== '' && Number.isFinite(Number(cell));
  const numbers = first.filter(isNumber);
  // Columns may be called by numbers: 0, 1, 2, …
  const areCounted =
    numbers.length > 1 && numbers.every((cell, i) => Number(cell) === Number(numbers[0]) + i);
  if (numbers.length * 2 >= first.length && !areCounted) {
    throw new FormatError(
      `[${op}] expected the first line of ${path} to have the names of columns, got the number ${numbers[0]}: add such a line`,
    );
  }
  const names = first.map((cell, i) => cell.trim() || `column ${i + 1}`);
  const twice = names.find((name, i) => names.indexOf(name) < i);
  if (twice === undefined) return names;
  throw new FormatError(
    `[${op}] expected each column of ${path} to have a name of its own, got ${twice} twice`,
  );
}

/** What a parser throws, in words of ours. */
function refusal(op: string, path: string, error: unknown): unknown {
  if (error instanceof CsvError) {
    const { code, lines } = error as CsvError & { lines?: number };
    const where = `in line ${lines} of ${path}`;
    const { record } = error as CsvError & { record?: unknown[] };
    if (code === 'CSV_RECORD_INCONSISTENT_FIELDS_LENGTH') {
      return new FormatError(
        `[${op}] expected as many cells as the first line has, got ${record?.length ?? 'others'} ${where}`,
      );
    }
    if (code === 'CSV_QUOTE_NOT_CLOSED') {
      return new FormatError(`[${op}] expected a quote that begins to end, got the end of ${path}`);
    }
    if (code === 'CSV_MAX_RECORD_SIZE') {
      return new FormatError(
        `[${op}] expected rows of at most ${longest} characters, got a longer one ${where}: is a quote left open?`,
      );
    }
    return new FormatError(
      `[${op}] expected quotes around whole cells and doubled within, got others ${where}`,
    );
  }
  const { code, syscall } = error as NodeJS.ErrnoException;
  if (typeof code !== 'string' || code.startsWith('AXPY')) return error;
  if (code.startsWith('Z_')) {
    return new FormatError(`[${op}] expected ${path} to be packed by gzip, got other bytes`, {
      cause: error,
    });
  }
  if (syscall === undefined) return error;
  return unreadable(op, path, error);
}

/**
 * Opens a file of CSV and reads its first line.
 * @param path '-' for standard input; a name that ends in .gz is unpacked
 * @throws FileError where the system refuses, FormatError for what is no such file, with the line; so does reading on
 */
export async function openCsv(op: string, path: string, delimiter?: string): Promise<Sheet> {
  const parts = textOf(op, path);
  const ours = async <Result>(act: () => Promise<Result>): Promise<Result> => {
    try {
      return await act();
    } catch (error) {
      throw refusal(op, path, error);
    }
  };
  let beginning = '';
  await ours(async () => {
    while (beginning.length < peeked) {
      const { done, value } = await parts.next();
      if (done) break;
      beginning += value;
    }
  });
  if (beginning.trim() === '') {
    throw new FormatError(`[${op}] expected ${path} to have a line of names and rows, got an empty file`);
  }
  const own = delimiter ?? delimiterOf(beginning);
  const parser = parse({ delimiter: own, bom: true, skip_empty_lines: true, max_record_size: longest });
  const records = feed(parser, beginning, parts)[Symbol.asyncIterator]();
  const first = await ours(() => records.next());
  if (first.done) throw new FormatError(`[${op}] expected ${path} to have a line of names, got none`);
  async function* rest(): AsyncGenerator<Row> {
    try {
      for (;;) {
        const { done, value } = await ours(() => records.next());
        if (done) return;
        yield value;
      }
    } finally {
      parser.destroy();
      await parts.return(undefined);
    }
  }
  return { names: readNames(op, path, first.value), delimiter: own, rows: rest() };
}

/** The records of a text that comes in parts, without more of it in memory than the parser wants. */
async function* feed(parser: Parser, beginning: string, parts: AsyncGenerator<string>): AsyncGenerator<Row> {
  const write = async () => {
    const add = async (text: string) => {
      if (!parser.write(text)) await new Promise((resolve) => parser.once('drain', resolve));
    };
    await add(beginning);
    for await (const text of parts) {
      if (parser.destroyed) return;
      await add(text);
    }
    parser.end();
  };
  write().catch((error) => parser.destroy(error));
  yield* parser as AsyncIterable<Row>;
}

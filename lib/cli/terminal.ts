/** What is said: data to standard output, everything else to standard error. */
import { once } from 'node:events';

let isClosed = false;
let isQuiet = false;

/** `| head` closes standard output before all is said: the rest is not wanted, and no error. */
export function surviveClosedPipes(): void {
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
    isClosed = true;
  });
  // Who does not listen to notes may still want the data.
  process.stderr.on('error', () => {
    isQuiet = true;
  });
}

/** Whether nobody reads what is written. */
export const isUnread = (): boolean => isClosed;

/** Leaves out notes: `--quiet`. */
export function beQuiet(): void {
  isQuiet = true;
}

/** Data, to standard output; waits where it is read more slowly. */
export async function say(text: string): Promise<void> {
  if (isClosed || process.stdout.write(text)) return;
  await Promise.race([once(process.stdout, 'drain'), once(process.stdout, 'close')]).catch(() => undefined);
}

/** A note on what is done, to standard error. */
export function note(text: string): void {
  if (!isQuiet) process.stderr.write(`${text}\n`);
}

/** A line that the next one takes the place of; only where somebody looks. */
export function passing(text: string): void {
  if (isQuiet || !process.stderr.isTTY) return;
  process.stderr.write(`\r\u001b[K${text.slice(0, Math.max(process.stderr.columns - 1, 20))}`);
}

/** Takes such a line away. */
export const passed = (): void => passing('');

const hasColour = (stream: NodeJS.WriteStream) => stream.isTTY === true && !process.env.NO_COLOR;
const shown = (code: number, text: string, stream: NodeJS.WriteStream) =>
  hasColour(stream) ? `\u001b[${code}m${text}\u001b[0m` : text;

/** What stands out in data. */
export const bold = (text: string): string => shown(1, text, process.stdout);
/** What went wrong. */
export const red = (text: string): string => shown(31, text, process.stderr);

/** A number in about so many digits, with commas between thousands. */
export function figure(value: number, digits = 4): string {
  if (!Number.isFinite(value)) return String(value);
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-4 || size >= 1e15)) return value.toExponential(digits - 1);
  if (size < 1) return String(Number(value.toPrecision(digits)));
  const decimals = Math.max(0, digits - 1 - Math.floor(Math.log10(size)));
  return value.toLocaleString('en-US', { maximumFractionDigits: decimals });
}

/** A score: to three decimals where it is about 1, as shares are. */
export const score = (value: number): string => {
  const size = Math.abs(value);
  return size === 0 || (size >= 0.001 && size < 10) ? value.toFixed(3) : figure(value);
};

/** Bytes in the unit that fits. */
export function bytes(count: number): string {
  const unit = count < 2 ** 10 ? 0 : count < 2 ** 20 ? 1 : count < 2 ** 30 ? 2 : 3;
  return `${figure(count / 1024 ** unit)} ${['B', 'KiB', 'MiB', 'GiB'][unit]}`;
}

/** `1 row`, `2 rows`. */
export const counted = (count: number, thing: string): string =>
  `${count.toLocaleString('en-US')} ${thing}${count === 1 ? '' : 's'}`;

/** Some names of a list that may be long. */
export const some = (names: readonly string[], most = 12): string =>
  names.length <= most + 1
    ? names.join(', ')
    : `${names.slice(0, most).join(', ')} and ${names.length - most} more`;

/** Cells in columns, text to the left and what follows the first `left` columns to the right. */
export function table(rows: readonly (readonly string[])[], left = 1): string {
  const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => row[column].length)));
  const line = (row: readonly string[]) =>
    row
      .map((cell, i) => (i < left ? cell.padEnd(widths[i]) : cell.padStart(widths[i])))
      .join('  ')
      .trimEnd();
  return rows.map((row, i) => `${i === 0 ? bold(line(row)) : line(row)}\n`).join('');
}

/** Numbers and tables as the pages and the terminal show them. */
import type { Row } from './page.ts';

const superscript = (exponent: number) =>
  String(exponent).replace(/[-\d]/g, (c) => (c === '-' ? '⁻' : '⁰¹²³⁴⁵⁶⁷⁸⁹'[Number(c)]));

/** So many significant digits, but never fewer than the integer part has; very small and very large by powers of ten. */
export function formatNumber(value: number, digits = 4): string {
  if (!Number.isFinite(value)) return String(value).replace('Infinity', '∞').replace('-', '−');
  const size = Math.abs(value);
  let text: string;
  if (size !== 0 && (size < 1e-4 || size >= 1e12)) {
    const [mantissa, exponent] = size.toExponential(Math.min(digits, 3) - 1).split('e');
    text = `${mantissa} × 10${superscript(Number(exponent))}`;
  } else if (Number.isInteger(size)) {
    text = size.toLocaleString('en-US');
  } else {
    const before = Math.floor(Math.log10(size)) + 1;
    const decimals = Math.max(digits - before, 0);
    text = size.toLocaleString('en-US', { minimumFractionDigits: decimals, maximumFractionDigits: decimals });
  }
  // The sign of mathematics, as wide as a plus and never at the end of a line.
  return value < 0 ? `−${text}` : text;
}

export function formatSeconds(seconds: number): string {
  if (seconds < 1e-3) return `${formatNumber(seconds * 1e6, 2)} µs`;
  return seconds < 1 ? `${formatNumber(seconds * 1e3, 2)} ms` : `${formatNumber(seconds, 2)} s`;
}

export const formatCell = (cell: string | number): string =>
  typeof cell === 'number' ? formatNumber(cell) : cell;

/** The names of the columns, in the order in which the rows bring them. */
export const columnsOf = (rows: Row[]): string[] => [...new Set(rows.flatMap((row) => Object.keys(row)))];

/** Whether a column holds numbers, perhaps with a unit, so that it is set to the right. */
export const isNumeric = (rows: Row[], column: string): boolean =>
  rows.every((row) => row[column] === undefined || /^[−-]?[\d∞]/.test(formatCell(row[column])));

export function markdownTable(rows: Row[]): string {
  const columns = columnsOf(rows);
  const line = (cells: string[]) => `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
  return [
    line(columns),
    `|${columns.map((column) => (isNumeric(rows, column) ? '---:' : '---')).join('|')}|`,
    ...rows.map((row) => line(columns.map((column) => formatCell(row[column] ?? '')))),
  ].join('\n');
}

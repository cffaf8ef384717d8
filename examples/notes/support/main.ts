/** Runs an example by itself: its numbers and tables go to the terminal, its pictures into docs/notes/. */
import { mkdirSync, realpathSync, writeFileSync } from 'node:fs';
import { basename } from 'node:path';
import { fileURLToPath } from 'node:url';
import Table from 'cli-table3';
import { columnsOf, formatCell, formatNumber, isNumeric } from './format.ts';
import { collect, type Row, type Run } from './page.ts';

export const docs = fileURLToPath(new URL('../../../docs/notes', import.meta.url));

function printTable(key: string, rows: Row[]): void {
  const columns = columnsOf(rows);
  const table = new Table({
    head: columns,
    colAligns: columns.map((column) => (isNumeric(rows, column) ? 'right' : 'left')),
    style: { head: [], border: [] },
  });
  for (const row of rows) table.push(columns.map((column) => formatCell(row[column] ?? '')));
  console.log(`${key}:\n${table}`);
}

/** Does nothing where the example is imported rather than started. */
export async function main(url: string, run: Run): Promise<void> {
  const file = fileURLToPath(url);
  if (!process.argv[1] || realpathSync(process.argv[1]) !== file) return;
  const { items } = await collect(run, { quick: process.argv.includes('--quick') });
  for (const [key, item] of items) {
    if (item.kind === 'number') console.log(`${key}: ${formatNumber(item.value, item.digits)}`);
    else if (item.kind === 'text') console.log(`${key}: ${item.text}`);
    else if (item.kind === 'table') printTable(key, item.rows);
    else {
      // Only who draws needs ECharts; it takes half a second to load.
      const { drawSvg } = await import('./picture.ts');
      mkdirSync(docs, { recursive: true });
      const path = `${docs}/${basename(file).slice(0, 2)}-${key}.svg`;
      writeFileSync(path, drawSvg(item.picture));
      console.log(`${key}: wrote ${path}`);
    }
  }
}

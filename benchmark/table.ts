/** Tables on the terminal: one row an object, its keys the heads, numbers to the right. */
import Table from 'cli-table3';

export function printTable(rows: Record<string, string | number>[]): void {
  const heads = Object.keys(rows[0] ?? {});
  const table = new Table({
    head: heads,
    colAligns: heads.map((_, column) => (column === 0 ? 'left' : 'right')),
    style: { head: [], border: [] },
  });
  for (const row of rows) table.push(Object.values(row).map(String));
  console.log(table.toString());
}

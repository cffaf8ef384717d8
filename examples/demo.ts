/**
 * Two jobs on real data: house prices and images of clothes.
 *
 *     npm run demo              both, with a table at the end
 *     npm run demo -- --json    and a line of JSON with the same
 */
import { parseArgs } from 'node:util';
import { backendInfo } from 'axpy';
import Table from 'cli-table3';
import { trainFashion } from './fashion.ts';
import { trainHouses } from './houses.ts';

const { values } = parseArgs({ options: { json: { type: 'boolean', default: false } } });
const { name, blas, simd, threads } = backendInfo();
console.log(`axpy on ${name}: BLAS ${blas}, SIMD ${simd}, threads ${threads}\n`);

const reports = [await trainHouses(), await trainFashion()];

const table = new Table({
  head: ['data set', 'backend', 'figure', 'train', 'test', 'seconds', 'examples / s'],
  colAligns: ['left', 'left', 'left', 'right', 'right', 'right', 'right'],
  style: { head: [], border: [] },
});
for (const report of reports) {
  table.push([
    report.dataset,
    report.backend,
    report.figure,
    report.train.toFixed(4),
    report.test.toFixed(4),
    report.seconds.toFixed(1),
    Math.round(report.examplesPerSecond).toLocaleString('en-US'),
  ]);
}
console.log(`\n${table}`);
if (values.json) console.log(JSON.stringify(reports));

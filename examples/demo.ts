/**
 * Two jobs on real data: house prices and images of clothes.
 *
 *     npm run demo              both, with a table at the end
 *     npm run demo -- --json    and a line of JSON with the same
 */
import { parseArgs } from 'node:util';
import { backendInfo } from 'axpy';
import { trainFashion } from './fashion.ts';
import { trainHouses } from './houses.ts';

const { values } = parseArgs({ options: { json: { type: 'boolean', default: false } } });
const { name, blas, simd, threads } = backendInfo();
console.log(`axpy on ${name}: BLAS ${blas}, SIMD ${simd}, threads ${threads}\n`);

const reports = [await trainHouses(), await trainFashion()];

const figure = (value: number) => value.toFixed(4);
console.log();
console.table(
  reports.map((report) => ({
    'data set': report.dataset,
    backend: report.backend,
    figure: report.figure,
    train: figure(report.train),
    test: figure(report.test),
    seconds: report.seconds.toFixed(1),
    'examples / s': Math.round(report.examplesPerSecond).toLocaleString('en-US'),
  })),
);
if (values.json) console.log(JSON.stringify(reports));

/**
 * Tells a server (main.ts) of the sales of examples/data/ames.csv, and asks it what houses cost as fast as it answers.
 *
 *     npm run example:load -- [--url http://127.0.0.1:3000] [--seconds 10] [--clients 16] [--sales 2000]
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import autocannon from 'autocannon';
import { splitHouses } from '../support/ames.ts';
import { type House, houseOf, type Sale } from './houses.ts';

const { values } = parseArgs({
  options: {
    url: { type: 'string', default: 'http://127.0.0.1:3000' },
    seconds: { type: 'string', default: '10' },
    clients: { type: 'string', default: '16' },
    sales: { type: 'string', default: '2000' },
  },
});
const url = values.url!;

const json = async (path: string, body?: unknown) => {
  const init = body === undefined ? {} : { method: 'POST', body: JSON.stringify(body) };
  const response = await fetch(`${url}${path}`, init);
  if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`);
  return await response.json();
};

const { kept, held } = splitHouses(1);
const sales: Sale[] = kept.map((row) => ({ house: houseOf(row), price: Number(row.Sale_Price) }));
const houses: House[] = held.map(houseOf);

/** A sale after the other, as they come in, until the time is over. */
async function tell(some: readonly Sale[], milliseconds: number): Promise<void> {
  const size = Math.ceil(some.length / 20);
  for (let at = 0; at < some.length; at += size) {
    await json('/examples', some.slice(at, at + size));
    await sleep(milliseconds / 20);
  }
}

const first = 400;
await json('/examples', sales.slice(0, first));
while (!(await fetch(`${url}/health/ready`)).ok) await sleep(20);

const duration = Number(values.seconds);
const [load] = await Promise.all([
  autocannon({
    url: `${url}/predict`,
    connections: Number(values.clients),
    duration,
    requests: houses.map((house) => ({ method: 'POST', body: JSON.stringify(house) })),
  }),
  tell(sales.slice(first, Number(values.sales)), 1000 * duration),
]);
const { version, training } = (await json('/health')) as {
  version: number;
  training: { error: number; rounds: number; rejected: number };
};
const { prices } = (await json('/predict', houses)) as { prices: number[] };
const misses = held.map((row, i) => Math.abs(Math.log(prices[i] / Number(row.Sale_Price))));
const median = [...misses].sort((a, b) => a - b)[Math.floor(misses.length / 2)];

const { requests, latency, errors, timeouts, non2xx } = load;
console.log(
  `${requests.total} predictions, ${requests.average.toFixed(0)} a second of ${values.clients} clients`,
);
console.log(`latency p50 ${latency.p50} ms, p99 ${latency.p99} ms, longest ${latency.max} ms`);
console.log(`${errors} errors, ${timeouts} timeouts, ${non2xx} refused`);
console.log(
  `version ${version}, of ${training.rounds} rounds ${training.rejected} rejected; ` +
    `half of ${houses.length} other houses are within ${(100 * (Math.exp(median) - 1)).toFixed(1)} % of their price`,
);

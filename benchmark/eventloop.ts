/**
 * What training does to a server in the same process: latency of small HTTP requests beside nothing, beside the mlp
 * workload trained eagerly on the main thread, and compiled on one or both cores. The server answers with the time; or with
 * predictions for as many rows as a request asks for, of a small model of its own or of the one in training. The client is a
 * process of its own.
 *
 *     npm run bench:eventloop -- [--requests 500]
 */
import { spawn } from 'node:child_process';
import { Agent, createServer, get } from 'node:http';
import type { AddressInfo } from 'node:net';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { Adam, backendInfo, Dense, fit, predict, randn, Sequential, seed, setThreads, tensor } from 'axpy';
import { printTable } from './table.ts';

const { values } = parseArgs({
  options: { requests: { type: 'string', default: '500' }, client: { type: 'string' } },
});

/** Milliseconds, sorted. One connection that stays open, and no more work than that: the client must not be the noise. */
async function request(url: string, count: number): Promise<number[]> {
  const agent = new Agent({ keepAlive: true });
  const once = () =>
    new Promise<void>((resolve, reject) => {
      get(url, { agent }, (response) => response.resume().on('end', resolve)).on('error', reject);
    });
  const latencies: number[] = [];
  for (let i = 0; i < count + 50; i++) {
    const start = performance.now();
    await once();
    // The first ones open the connection and warm up the compiler.
    if (i >= 50) latencies.push(performance.now() - start);
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  agent.destroy();
  return latencies.sort((a, b) => a - b);
}

function measure(url: string): Promise<number[]> {
  return new Promise((resolve, reject) => {
    const self = [...process.execArgv, fileURLToPath(import.meta.url)];
    const child = spawn(process.execPath, [...self, '--client', url, '--requests', values.requests], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let out = '';
    child.stdout.on('data', (chunk) => {
      out += chunk;
    });
    child.on('close', (code) =>
      code === 0 ? resolve(JSON.parse(out)) : reject(new Error(`client: ${code}`)),
    );
  });
}

function network(): Sequential {
  return new Sequential([
    new Dense(784, 512, { activation: 'relu' }),
    new Dense(512, 256, { activation: 'relu' }),
    new Dense(256, 10),
  ]);
}

/** Trains until stopped, and counts the steps. */
function train(model: Sequential, compiled: boolean): { stop: () => Promise<number> } {
  seed(0);
  const data = {
    x: randn([12800, 784]),
    y: tensor(Int32Array.from({ length: 12800 }, (_, i) => (i * 7) % 10)),
  };
  let steps = 0;
  const abort = new AbortController();
  const training = fit(model, data, {
    loss: 'softmaxCrossEntropy',
    optimizer: new Adam(model.parameters()),
    epochs: 1e6,
    batchSize: 128,
    compiled,
    signal: abort.signal,
    callbacks: [{ onBatchEnd: () => void steps++ }],
  }).catch((error) => {
    if (!abort.signal.aborted) throw error;
  });
  const start = performance.now();
  return {
    async stop() {
      const perSecond = (steps / (performance.now() - start)) * 1e3;
      abort.abort();
      await training;
      return perSecond;
    },
  };
}

async function compare(): Promise<void> {
  const models = { trained: network(), own: network() };
  const rows = new Map([1, 16, 256].map((count) => [count, randn([count, 784])]));
  const server = createServer(async ({ url }, response) => {
    const [, name, count] = url!.split('/');
    const answer =
      name === 'time'
        ? { time: Date.now() }
        : (await predict(models[name as keyof typeof models], rows.get(Number(count))!)).argmax(1).toArray();
    response.end(JSON.stringify(answer));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const paths = [
    'time',
    ...['own', 'trained'].flatMap((name) => [...rows.keys()].map((count) => `${name}/${count}`)),
  ];
  const modes: [name: string, threads: number, compiled: boolean | null][] = [
    ['idle', 2, null],
    ['eager, on the main thread', 2, false],
    ['compiled, one core left free', 1, true],
    ['compiled, both cores training', 2, true],
  ];
  const results = [];
  for (const [name, threads, compiled] of modes) {
    setThreads(threads);
    for (const path of paths) {
      const training = compiled === null ? null : train(models.trained, compiled);
      const latencies = await measure(`${url}/${path}`);
      const perSecond = await training?.stop();
      const at = (share: number) => latencies[Math.floor(share * (latencies.length - 1))].toFixed(2);
      results.push({
        training: name,
        request: path,
        'p50, ms': at(0.5),
        'p99, ms': at(0.99),
        'worst, ms': at(1),
        'steps / s': perSecond === undefined ? '' : Math.round(perSecond),
      });
    }
  }
  server.close();
  console.log(`backend ${backendInfo().name}, ${values.requests} requests each, one at a time`);
  printTable(results);
}

if (values.client) console.log(JSON.stringify(await request(values.client, Number(values.requests))));
else await compare();

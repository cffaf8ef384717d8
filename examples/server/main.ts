/**
 * A server that tells what houses cost, and learns from the sales that it is told of meanwhile.
 *
 *     npm run example:server -- [--port 3000] [--folder build/houses] [--worker]
 *
 *     curl localhost:3000/examples -d '[{ "house": { "Lot_Area": 9600, … }, "price": 189000 }, …]'
 *     curl localhost:3000/predict -d '{ "Lot_Area": 9600, … }'
 *     curl localhost:3000/health
 *     curl localhost:3000/metrics
 *
 * `npm run example:load` tells it of the sales of examples/data/ames.csv, and asks it as fast as it answers.
 */
import { once } from 'node:events';
import { mkdir } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { isMainThread } from 'node:worker_threads';
import { setThreads } from 'axpy';
import { ExampleLog } from './examples.ts';
import { learnHere, learnInThread, learnThere, predictorFor } from './learner.ts';
import { type Service, serverOf } from './server.ts';
import { latestVersion, stateAtFirst } from './trainer.ts';

const { values } = parseArgs({
  options: {
    host: { type: 'string', default: '127.0.0.1' },
    port: { type: 'string', default: '3000' },
    /** Where examples and the latest version are. */
    folder: { type: 'string', default: 'build/houses' },
    /** Examples that the first version takes, and that each round waits for. */
    first: { type: 'string', default: '200' },
    every: { type: 'string', default: '50' },
    /** Trains in a thread of its own. */
    worker: { type: 'boolean', default: false },
  },
});

function countOf(name: 'port' | 'first' | 'every', least: number): number {
  const count = Number(values[name]);
  if (Number.isInteger(count) && count >= least) return count;
  throw new Error(`expected --${name} to be an integer of at least ${least}, got ${values[name]}`);
}

const remembered = 20_000;
/** How long a shutdown waits for requests, in milliseconds. */
const grace = 5000;

function say(event: string, more: object = {}): void {
  console.log(JSON.stringify({ time: new Date().toISOString(), event, ...more }));
}

async function serve(): Promise<void> {
  const folder = values.folder!;
  await mkdir(folder, { recursive: true });
  const file = join(folder, 'model.safetensors');
  // One core is left to the event loop and to predictions.
  setThreads(Math.max(1, availableParallelism() - 1));
  const latest = await latestVersion(file);
  const service: Service = {
    predictor: latest === null ? null : predictorFor(latest.model),
    training: { ...stateAtFirst(), ...latest?.extra },
    log: null,
    learner: null,
    isStopping: false,
  };
  const server = serverOf(service, { body: 2 ** 20, backlog: remembered / 2 });
  server.listen(countOf('port', 0), values.host);
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const { version } = service.training;
  say('listening', { port, version, milliseconds: Math.round(process.uptime() * 1000) });

  const { log, examples } = await ExampleLog.open(folder, remembered);
  const options = { file, first: countOf('first', 20), every: countOf('every', 1), remember: remembered };
  const learner = values.worker ? learnThere(import.meta.url, options, service) : learnHere(options, service);
  learner.add(examples);
  Object.assign(service, { log, learner });
  say('learning', { examples: examples.length, milliseconds: Math.round(process.uptime() * 1000) });

  const stop = async (signal: NodeJS.Signals) => {
    if (service.isStopping) process.exit(1);
    service.isStopping = true;
    say('stopping', { signal });
    // Takes no more connections, and waits for what is under way.
    const drained = new Promise((resolve) => server.close(resolve));
    const late = setTimeout(() => server.closeAllConnections(), grace);
    await Promise.all([drained, learner.stop()]);
    clearTimeout(late);
    await service.predictor?.close();
    await log.close();
    say('stopped', { version: service.training.version });
    process.exit(0);
  };
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, (name) => void stop(name));
}

if (isMainThread) await serve();
else await learnInThread();

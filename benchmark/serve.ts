/**
 * A server of one process that predicts by a 784-512-256-10 network: how fast it answers beside a training, what batches give it
 * under many clients, and onnxruntime in its place. Requests are an image each, 784 float32 numbers in a body of bytes, as text
 * would be most of the work. The client, autocannon, is another process on the same cores. Rounds take turns, and of each the
 * best counts.
 *
 *     npm run bench:serve -- [--seconds 4] [--rounds 3] [--clients 64] [--rate 300]
 */
import { fork } from 'node:child_process';
import { createServer, type IncomingMessage } from 'node:http';
import { createRequire } from 'node:module';
import type { AddressInfo } from 'node:net';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import autocannon from 'autocannon';
import {
  Adam,
  backendInfo,
  Dense,
  encodeOnnx,
  fit,
  Predictor,
  randn,
  Sequential,
  seed,
  setThreads,
  tensor,
} from 'axpy';
import { printTable } from './table.ts';

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '4' },
    rounds: { type: 'string', default: '3' },
    clients: { type: 'string', default: '64' },
    /** Requests a second, where it is the latency that is measured. */
    rate: { type: 'string', default: '300' },
    /** What a server is to be; the process is one then. */
    serve: { type: 'string' },
  },
});

interface Kind {
  readonly by: 'axpy' | 'onnxruntime';
  readonly maxBatch: number;
  /** Threads that a training beside it has; 0 for none. */
  readonly training: number;
}

// ── the server ──────────────────────────────────────────────────────────────────────────────────────────────────────

const network = () =>
  new Sequential(
    [
      new Dense(784, 512, { activation: 'relu' }),
      new Dense(512, 256, { activation: 'relu' }),
      new Dense(256, 10),
    ],
    { inputShape: [784] },
  );

type Answer = (x: Float32Array) => Promise<Float32Array>;

async function answerBy({ by, maxBatch }: Kind): Promise<Answer> {
  const model = network();
  if (by === 'axpy') {
    const predictor = new Predictor(model, { maxBatch });
    return async (x) => (await predictor.predict(tensor(x).reshape([1, 784]))).data;
  }
  const runtime = createRequire(import.meta.url)('onnxruntime-node') as typeof import('onnxruntime-node');
  const session = await runtime.InferenceSession.create(encodeOnnx(model, { inputShape: [784] }), {
    graphOptimizationLevel: 'all',
    logSeverityLevel: 3,
  });
  return async (x) =>
    (await session.run({ input: new runtime.Tensor('float32', x, [1, 784]) })).output.data as Float32Array;
}

async function body(request: IncomingMessage): Promise<Float32Array> {
  const bytes = new Uint8Array(4 * 784);
  let at = 0;
  for await (const chunk of request as AsyncIterable<Uint8Array>) {
    bytes.set(chunk, at);
    at += chunk.length;
  }
  return new Float32Array(bytes.buffer);
}

async function serve(kind: Kind): Promise<void> {
  seed(1);
  const answer = await answerBy(kind);
  const delay = monitorEventLoopDelay({ resolution: 1 });
  const server = createServer(async (request, response) => {
    if (request.url === '/delay') {
      response.end(String(delay.max / 1e6));
      delay.reset();
      return;
    }
    const y = await answer(await body(request));
    response.end(new Uint8Array(y.buffer, y.byteOffset, y.byteLength));
  });
  server.listen(0, '127.0.0.1', () => process.send?.((server.address() as AddressInfo).port));
  delay.enable();
  if (kind.training === 0) return;
  setThreads(kind.training);
  const model = network();
  await fit(
    model,
    { x: randn([4096, 784]), y: Int32Array.from({ length: 4096 }, (_, i) => i % 10) },
    {
      loss: 'softmaxCrossEntropy',
      optimizer: new Adam(model.parameters(), { learningRate: 1e-4 }),
      batchSize: 128,
      epochs: 1e6,
    },
  );
}

// ── the client ──────────────────────────────────────────────────────────────────────────────────────────────────────

interface Measured {
  readonly perSecond: number;
  readonly p50: number;
  readonly p99: number;
  /** The longest turn of the event loop, in milliseconds. */
  readonly delay: number;
}

async function measure(kind: Kind, load: Partial<autocannon.Options>): Promise<Measured> {
  const child = fork(fileURLToPath(import.meta.url), ['--serve', JSON.stringify(kind)], {
    execArgv: process.execArgv,
  });
  const port = await new Promise<number>((resolve) =>
    child.once('message', (port) => resolve(port as number)),
  );
  const url = `http://127.0.0.1:${port}`;
  const image = Buffer.from(randn([784]).data.buffer);
  const run = (duration: number) => autocannon({ url, method: 'POST', body: image, duration, ...load });
  try {
    await run(1);
    await (await fetch(`${url}/delay`)).text();
    const { requests, latency, errors, non2xx } = await run(Number(values.seconds));
    if (errors + non2xx > 0) throw new Error(`${errors} errors, ${non2xx} refused`);
    const delay = Number(await (await fetch(`${url}/delay`)).text());
    return { perSecond: requests.average, p50: latency.p50, p99: latency.p99, delay };
  } finally {
    child.kill();
  }
}

/** Of each kind the best of rounds in turn: the most requests, the least latencies. */
async function compare(
  kinds: Readonly<Record<string, Kind>>,
  load: Partial<autocannon.Options>,
): Promise<void> {
  const best = new Map<string, Measured>();
  for (let round = 0; round < Number(values.rounds); round++) {
    for (const [name, kind] of Object.entries(kinds)) {
      const now = await measure(kind, load);
      const before = best.get(name) ?? now;
      best.set(name, {
        perSecond: Math.max(now.perSecond, before.perSecond),
        p50: Math.min(now.p50, before.p50),
        p99: Math.min(now.p99, before.p99),
        delay: Math.min(now.delay, before.delay),
      });
    }
  }
  const [first] = best.values();
  printTable(
    Array.from(best, ([server, { perSecond, p50, p99, delay }]) => ({
      server,
      'requests / s': perSecond.toFixed(0),
      'p50, ms': p50.toFixed(2),
      'p99, ms': p99.toFixed(2),
      'longest turn, ms': delay.toFixed(1),
      'requests, of the first': `${(perSecond / first.perSecond).toFixed(2)}×`,
    })),
  );
}

const own = { by: 'axpy', maxBatch: 64, training: 0 } as const;
if (values.serve !== undefined) {
  await serve(JSON.parse(values.serve) as Kind);
} else {
  const { name, simd, threads } = backendInfo();
  console.log(
    `\n${name}, ${simd}, ${threads} threads; ${values.rate} requests a second of 4 clients, beside a training`,
  );
  await compare(
    {
      'no training': own,
      'training on one thread': { ...own, training: 1 },
      'training on two': { ...own, training: 2 },
    },
    { connections: 4, overallRate: Number(values.rate) },
  );
  console.log(`\n${values.clients} clients, each with one request at a time`);
  await compare(
    {
      'axpy, batches of 64': own,
      'axpy, one by one': { ...own, maxBatch: 1 },
      onnxruntime: { ...own, by: 'onnxruntime' },
    },
    { connections: Number(values.clients) },
  );
}

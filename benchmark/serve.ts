/**
 * A server of one process that predicts by a 784-512-256-10 network: how fast it answers beside a training, what batches give it
 * under many clients, and onnxruntime in its place, or no network at all. Requests are an image each, 784 float32 numbers in a
 * body of bytes, as text would be most of the work. The client, autocannon, is another process on the same cores. As most of a
 * request is the server's own work, many callers within one process are measured too. Rounds take turns, and of each the best
 * counts.
 *
 *     npm run bench:serve -- [--seconds 4] [--rounds 3] [--clients 64] [--rate 300] [--only training,clients,callers] [--predictor '{"threads": 1}']
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
    only: { type: 'string', default: 'training,clients,callers' },
    /** More options of the Predictor, as JSON. */
    predictor: { type: 'string', default: '{}' },
    /** What a process is to be. */
    task: { type: 'string' },
  },
});

interface Kind {
  readonly by: 'axpy' | 'onnxruntime' | 'nothing';
  readonly maxBatch: number;
  /** Threads that a training beside it has; 0 for none. */
  readonly training: number;
}

/** A server of a kind, or so many callers. */
interface Task {
  readonly kind: Kind;
  readonly callers?: number;
}

/** What a process has spent since it was asked last. */
class Spent {
  private readonly delay = monitorEventLoopDelay({ resolution: 1 });
  private cpu = process.cpuUsage();

  constructor() {
    this.delay.enable();
  }

  /** The longest turn of the event loop, and the time of processors, in milliseconds. */
  soFar(): { turn: number; cpu: number } {
    const { user, system } = process.cpuUsage(this.cpu);
    const turn = this.delay.max / 1e6;
    this.delay.reset();
    this.cpu = process.cpuUsage();
    return { turn, cpu: (user + system) / 1e3 };
  }
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
  if (by === 'nothing') return async (x) => x.slice(0, 10);
  const model = network();
  if (by === 'axpy') {
    const predictor = new Predictor(model, { maxBatch, ...JSON.parse(values.predictor) });
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

/** As `for await` would, in a third of the time. */
const body = (request: IncomingMessage) =>
  new Promise<Float32Array>((resolve, reject) => {
    const bytes = new Uint8Array(4 * 784);
    let at = 0;
    request
      .on('data', (chunk: Uint8Array) => {
        bytes.set(chunk, at);
        at += chunk.length;
      })
      .on('end', () => resolve(new Float32Array(bytes.buffer)))
      .on('error', reject);
  });

async function serve(kind: Kind): Promise<void> {
  seed(1);
  const answer = await answerBy(kind);
  const spent = new Spent();
  const server = createServer(async (request, response) => {
    if (request.url === '/spent') {
      response.end(JSON.stringify(spent.soFar()));
      return;
    }
    const y = await answer(await body(request));
    response.end(new Uint8Array(y.buffer, y.byteOffset, y.byteLength));
  });
  server.listen(0, '127.0.0.1', () => process.send?.((server.address() as AddressInfo).port));
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

// ── many callers within the process ────────────────────────────────────────────────────────────────────────────────────

/** Callers that ask again as soon as they are answered. */
async function call(kind: Kind, callers: number, seconds: number): Promise<Measured> {
  seed(1);
  const answer = await answerBy(kind);
  const x = randn([784]).data;
  const spent = new Spent();
  const round = async (seconds: number) => {
    const latencies: number[] = [];
    const end = performance.now() + 1e3 * seconds;
    const caller = async () => {
      for (let now = performance.now(); now < end; ) {
        await answer(x);
        const before = now;
        now = performance.now();
        latencies.push(now - before);
      }
    };
    await Promise.all(Array.from({ length: callers }, caller));
    return latencies;
  };
  await round(0.5);
  spent.soFar();
  const latencies = await round(seconds);
  return measured(latencies, seconds, spent.soFar());
}

// ── the client ──────────────────────────────────────────────────────────────────────────────────────────────────────

interface Measured {
  readonly perSecond: number;
  readonly p50: number;
  readonly p99: number;
  /** The longest turn of the event loop, in milliseconds. */
  readonly turn: number;
  /** Time of processors for a request, in microseconds, of a training too. */
  readonly cpu: number;
}

function measured(
  latencies: readonly number[],
  seconds: number,
  { turn, cpu }: { turn: number; cpu: number },
): Measured {
  const sorted = Float64Array.from(latencies).sort();
  const quantile = (share: number) => sorted[Math.floor(share * (sorted.length - 1))];
  return {
    perSecond: sorted.length / seconds,
    p50: quantile(0.5),
    p99: quantile(0.99),
    turn,
    cpu: (1e3 * cpu) / sorted.length,
  };
}

/** What a process of its own says that is told to be such a one. */
async function inProcess<Said, Result>(
  task: Task,
  use: (said: Said) => Result | Promise<Result>,
): Promise<Result> {
  const child = fork(
    fileURLToPath(import.meta.url),
    ['--task', JSON.stringify(task), '--seconds', values.seconds, '--predictor', values.predictor],
    {
      execArgv: process.execArgv,
    },
  );
  try {
    return await use(
      await new Promise<Said>((resolve, reject) => {
        child.once('message', (said) => resolve(said as Said));
        child.once('exit', (code) => reject(new Error(`a process ended with ${code}`)));
      }),
    );
  } finally {
    child.kill();
  }
}

const load =
  (options: Partial<autocannon.Options>) =>
  (kind: Kind): Promise<Measured> =>
    inProcess({ kind }, async (port: number) => {
      const url = `http://127.0.0.1:${port}`;
      const body = Buffer.from(randn([784]).data.buffer);
      const run = async (duration: number) => {
        const latencies: number[] = [];
        const {
          errors,
          non2xx,
          duration: seconds,
        } = await new Promise<autocannon.Result>((resolve, reject) => {
          const done = (error: unknown, result: autocannon.Result) =>
            error ? reject(error) : resolve(result);
          autocannon({ url, method: 'POST', body, duration, ...options }, done).on(
            'response',
            (_client, _status, _bytes, time) => void latencies.push(time),
          );
        });
        if (errors + non2xx > 0) throw new Error(`${errors} errors, ${non2xx} refused`);
        return { latencies, seconds };
      };
      const spent = async () => (await (await fetch(`${url}/spent`)).json()) as ReturnType<Spent['soFar']>;
      await run(1);
      await spent();
      const { latencies, seconds: took } = await run(seconds);
      return measured(latencies, took, await spent());
    });

const within = (kind: Kind) => inProcess({ kind, callers: clients }, (measured: Measured) => measured);

/** Of each kind the best of rounds in turn: the most requests, the least latencies. */
async function compare(
  kinds: Readonly<Record<string, Kind>>,
  measure: (kind: Kind) => Promise<Measured>,
): Promise<void> {
  const best = new Map<string, Measured>();
  for (let round = 0; round < Number(values.rounds); round++) {
    for (const [name, kind] of Object.entries(kinds)) {
      const now = await measure(kind);
      const before = best.get(name) ?? now;
      best.set(name, {
        perSecond: Math.max(now.perSecond, before.perSecond),
        p50: Math.min(now.p50, before.p50),
        p99: Math.min(now.p99, before.p99),
        turn: Math.min(now.turn, before.turn),
        cpu: Math.min(now.cpu, before.cpu),
      });
    }
  }
  const [first] = best.values();
  printTable(
    Array.from(best, ([server, { perSecond, p50, p99, turn, cpu }]) => ({
      server,
      'requests / s': perSecond.toFixed(0),
      'p50, ms': p50.toFixed(2),
      'p99, ms': p99.toFixed(2),
      'longest turn, ms': turn.toFixed(1),
      'CPU, µs': cpu.toFixed(0),
      'requests, of the first': `${(perSecond / first.perSecond).toFixed(2)}×`,
    })),
  );
}

const own = { by: 'axpy', maxBatch: 64, training: 0 } as const;
const seconds = Number(values.seconds);
const clients = Number(values.clients);
if (values.task !== undefined) {
  const { kind, callers } = JSON.parse(values.task) as Task;
  if (callers === undefined) await serve(kind);
  else process.send?.(await call(kind, callers, seconds));
} else {
  const { name, simd, threads } = backendInfo();
  console.log(`\n${name}, ${simd}, ${threads} threads`);
  const parts = values.only.split(',');
  if (parts.includes('training')) {
    console.log(`\n${values.rate} requests a second of 4 clients, beside a training`);
    await compare(
      {
        'no training': own,
        'training on one thread': { ...own, training: 1 },
        'training on two': { ...own, training: 2 },
      },
      load({ connections: 4, overallRate: Number(values.rate) }),
    );
  }
  const kinds = {
    'axpy, batches of 64': own,
    'axpy, one by one': { ...own, maxBatch: 1 },
    onnxruntime: { ...own, by: 'onnxruntime' },
  } as const;
  if (parts.includes('clients')) {
    console.log(`\n${clients} clients, each with one request at a time`);
    await compare({ ...kinds, 'no network': { ...own, by: 'nothing' } }, load({ connections: clients }));
  }
  if (parts.includes('callers')) {
    console.log(`\n${clients} callers within the process`);
    await compare(kinds, within);
  }
}

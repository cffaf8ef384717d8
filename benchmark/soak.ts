/**
 * A million predictions while numbers change a thousand times: by `update` with a model that `fit` trains, with files, and by
 * `follow` of a thread that trains, beside another training all the while. Each answer tells which version each number of the
 * model had, so that one of two versions is noticed, and so are answers that others asked for, and numbers that are older than an
 * update that was over.
 *
 *     npm run bench:soak -- [--requests 1000000] [--swaps 1000] [--http 50000] [--clients 64] [--json]
 */
import { on, once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { isMainThread, parentPort } from 'node:worker_threads';
import autocannon from 'autocannon';
import {
  AbortError,
  Adam,
  backendInfo,
  concat,
  Dense,
  fit,
  full,
  Layer,
  Parameter,
  Predictor,
  Publication,
  type PublicationHandle,
  randn,
  Sequential,
  SGD,
  saveWeights,
  seed,
  type Tensor,
  tensor,
} from 'axpy';
import { startThread } from '../examples/support/thread.ts';
import { printTable } from './table.ts';

const width = 32;
const parts = 4;
const outputs = width * parts;

/**
 * All of its numbers are its version. Of a row of numbers tag / width each output is (tag + 1) × version, and each number of the model
 * has a share in one: integers, of which float32 loses nothing.
 */
class Versioned extends Layer {
  readonly weights = Array.from({ length: parts }, () => new Parameter([width, width]));
  readonly biases = Array.from({ length: parts }, () => new Parameter([width]));

  forward(x: Tensor): Tensor {
    return concat(
      this.weights.map((weight, i) => x.matmul(weight).add(this.biases[i])),
      1,
    );
  }
}

/** Trains it: each step adds 1 to all of its numbers, as the gradient of the loss by each of them is −1. */
async function train(
  model: Versioned,
  steps: number,
  afterStep: (version: number) => Promise<unknown>,
): Promise<void> {
  let version = 0;
  await fit(
    model,
    (function* () {
      for (let i = 0; i < steps; i++) yield { x: full([1, width], 1), y: tensor([[0]]) };
    })(),
    {
      loss: (y) => y.sum().neg(),
      optimizer: new SGD(model.parameters(), { learningRate: 1 }),
      callbacks: [{ onBatchEnd: () => afterStep(++version) as Promise<void> }],
    },
  );
}

// ── the thread ──────────────────────────────────────────────────────────────────────────────────────────────────────

/** Versions that a thread publishes one right after the other: who reads one is overtaken. */
const burst = 4;

async function publish(): Promise<void> {
  const port = parentPort!;
  const orders = on(port, 'message');
  const next = async () => (await orders.next()).value[0] as unknown;
  const model = new Versioned();
  const publication = new Publication(model);
  port.postMessage(publication.handle);
  const swaps = (await next()) as number;
  await train(model, swaps * burst, async (version) => {
    if (version % burst === 1) await next();
    await publication.publish();
    if (version % burst === 0) port.postMessage(version);
  });
  port.close();
}

// ── those who ask ───────────────────────────────────────────────────────────────────────────────────────────────────

/** What is asked: rows by their tags; of many rows, more than a batch has. */
const questions = [
  [1],
  [2],
  [3],
  [4, 5],
  [6, 7, 1],
  [2],
  [5],
  Array.from({ length: 40 }, (_, i) => 1 + (i % 7)),
].map((tags) => ({
  tags,
  x: tensor(tags.map((tag) => Array<number>(width).fill(tag / width))),
}));

/** Holds answers against what they may be, and those who ask and those who swap near each other. */
class Referee {
  /** The oldest version that who asks from now on may see. */
  least = 0;
  readonly seen = new Set<number>();
  asked = 0;
  answered = 0;
  private swapped = 0;
  private readonly waiting = new Set<{ isDue: () => boolean; resolve: () => void }>();

  constructor(
    readonly requests: number,
    readonly swaps: number,
  ) {}

  /** @returns when one may ask: no more than a swap too early */
  async turn(): Promise<void> {
    const at = ++this.asked;
    await this.until(() => at <= (this.requests * (this.swapped + 2)) / (this.swaps + 1));
  }

  /** @returns when the i-th swap is due, of all from 1 on */
  async due(i: number): Promise<void> {
    await this.until(() => this.answered >= Math.floor((this.requests * i) / (this.swaps + 1)));
  }

  /** A swap is over: who asks from now on sees a version, or a later one. */
  swappedTo(version: number): void {
    this.least = version;
    this.swapped++;
    this.look();
  }

  /** @returns what an answer of so many numbers is of @throws for one that is of several versions, or of an older one than `least` */
  check(tags: readonly number[], answer: ArrayLike<number>, least: number): void {
    if (answer.length !== tags.length * outputs)
      throw new Error(`${answer.length} numbers for ${tags.length} rows`);
    const version = answer[0] / (tags[0] + 1);
    for (let row = 0, i = 0; row < tags.length; row++) {
      const expected = (tags[row] + 1) * version;
      for (const end = i + outputs; i < end; i++) {
        if (answer[i] === expected) continue;
        throw new Error(
          `an answer of versions ${version} and ${answer[i] / (tags[row] + 1)}: row ${row} of ${tags.length}, output ${i % outputs}`,
        );
      }
    }
    if (!(Number.isInteger(version) && version >= least))
      throw new Error(`an answer of version ${version}, asked for after ${least}`);
    this.seen.add(version);
    this.answered++;
    this.look();
  }

  async until(isDue: () => boolean): Promise<void> {
    if (!isDue()) await new Promise<void>((resolve) => this.waiting.add({ isDue, resolve }));
  }

  private look(): void {
    for (const one of this.waiting) {
      if (!one.isDue()) continue;
      this.waiting.delete(one);
      one.resolve();
    }
  }
}

type Load = (predictor: Predictor<Versioned>, referee: Referee) => Promise<void>;

const byCalls: Load = async (predictor, referee) => {
  const client = async () => {
    while (referee.asked < referee.requests) {
      const { tags, x } = questions[referee.asked % questions.length];
      await referee.turn();
      const { least } = referee;
      referee.check(tags, (await predictor.predict(x)).data, least);
    }
  };
  await Promise.all(Array.from({ length: clients }, client));
};

const byHttp: Load = async (predictor, referee) => {
  const server = createServer(async (request, response) => {
    const { x } = questions[Number(request.url!.slice(1))];
    await referee.turn();
    const { least } = referee;
    const { data } = await predictor.predict(x);
    response.end(JSON.stringify([least, ...data]));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  let wrong: unknown;
  const { errors, non2xx, timeouts } = await autocannon({
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    connections: 16,
    amount: referee.requests,
    requests: questions.map(({ tags }, i) => ({
      path: `/${i}`,
      onResponse(_status, body) {
        try {
          const [least, ...answer] = JSON.parse(body) as number[];
          referee.check(tags, answer, least);
        } catch (error) {
          wrong ??= error;
        }
      },
    })),
  });
  server.close();
  if (wrong !== undefined) throw wrong;
  if (errors + non2xx + timeouts > 0)
    throw new Error(`${errors} errors, ${non2xx} refused, ${timeouts} timeouts`);
};

// ── those who change numbers ────────────────────────────────────────────────────────────────────────────────────────

type Swaps = (predictor: Predictor<Versioned>, referee: Referee) => Promise<void>;

const byModel: Swaps = async (predictor, referee) => {
  const model = new Versioned();
  await train(model, referee.swaps, async (version) => {
    await referee.due(version);
    await predictor.update(model);
    referee.swappedTo(version);
  });
};

const byFile: Swaps = async (predictor, referee) => {
  const folder = mkdtempSync(join(tmpdir(), 'axpy-soak-'));
  const file = join(folder, 'weights.safetensors');
  const model = new Versioned();
  try {
    await train(model, referee.swaps, async (version) => {
      await referee.due(version);
      await saveWeights(file, model);
      await predictor.update(file);
      referee.swappedTo(version);
    });
  } finally {
    rmSync(folder, { recursive: true });
  }
};

const byThread: Swaps = async (predictor, referee) => {
  const worker = startThread(import.meta.url);
  const [handle] = (await once(worker, 'message')) as [PublicationHandle];
  await predictor.follow(handle);
  worker.postMessage(referee.swaps);
  for (let i = 1; i <= referee.swaps; i++) {
    await referee.due(i);
    worker.postMessage('go');
    const [version] = await once(worker, 'message');
    // Published before anybody asks from now on.
    referee.swappedTo(version);
  }
  await once(worker, 'exit');
};

// ── all of it ───────────────────────────────────────────────────────────────────────────────────────────────────────

const { values } = parseArgs({
  options: {
    requests: { type: 'string', default: '1000000' },
    swaps: { type: 'string', default: '1000' },
    http: { type: 'string', default: '50000' },
    clients: { type: 'string', default: '64' },
    json: { type: 'boolean', default: false },
  },
});
const clients = Number(values.clients);

interface Phase {
  readonly name: string;
  readonly load: Load;
  readonly swap: Swaps;
  readonly requests: number;
  readonly swaps: number;
}

interface Outcome {
  readonly phase: string;
  readonly requests: number;
  readonly swaps: number;
  /** Of versions that answers were of. */
  readonly seen: number;
  readonly seconds: number;
}

/** In megabytes. */
interface Memory {
  readonly answered: number;
  readonly resident: number;
  /** What JavaScript holds, after garbage is collected: objects, and what lies outside of its heap. */
  readonly held: number;
}

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

function memoryAfter(answered: number): Memory {
  collect();
  const { rss, heapUsed, external } = process.memoryUsage();
  const megabytes = (bytes: number) => Math.round(bytes / 2 ** 10) / 2 ** 10;
  return { answered: Math.round(answered), resident: megabytes(rss), held: megabytes(heapUsed + external) };
}

async function play(phase: Phase, onQuarter: (share: number) => void): Promise<Outcome> {
  const { name, load, swap, requests, swaps } = phase;
  const predictor = new Predictor(new Versioned(), { maxBatch: 32 });
  const referee = new Referee(requests, swaps);
  const since = performance.now();
  for (const share of [0.25, 0.5, 0.75])
    void referee.until(() => referee.answered >= share * requests).then(() => onQuarter(share));
  await Promise.all([load(predictor, referee), swap(predictor, referee)]);
  const seconds = (performance.now() - since) / 1000;
  const { version, answered, failed } = predictor.stats();
  await predictor.close();
  if (answered !== requests || failed > 0)
    throw new Error(`${answered} of ${requests} answered, ${failed} failed`);
  return { phase: name, requests, swaps: version - 1, seen: referee.seen.size, seconds };
}

/** Another training, until the signal. @returns how many steps it took */
async function trainBeside(signal: AbortSignal): Promise<number> {
  const model = new Sequential([new Dense(16, 32, { activation: 'relu' }), new Dense(32, 1)]);
  const [x, optimizer] = [randn([32, 16]), new Adam(model.parameters())];
  const y = x.sum(1, { keepDims: true });
  let steps = 0;
  // One epoch of them all, as there is a record of each.
  const batches = (function* () {
    for (; ; steps++) yield { x, y };
  })();
  await fit(model, batches, { loss: 'mse', optimizer, signal }).catch((error) => {
    if (!(error instanceof AbortError)) throw error;
  });
  return steps;
}

async function soak(): Promise<void> {
  seed(1);
  const [requests, http, swaps] = [values.requests, values.http, values.swaps].map(Number);
  const calls = { load: byCalls, requests: Math.ceil((requests - http) / 3), swaps: Math.ceil(swaps * 0.3) };
  const phases: Phase[] = [
    { name: 'update(model) of a fit', swap: byModel, ...calls },
    { name: 'update(file)', swap: byFile, ...calls },
    { name: 'follow of a thread', swap: byThread, ...calls },
    {
      name: 'update(model) of a fit, over HTTP',
      swap: byModel,
      load: byHttp,
      requests: http,
      swaps: Math.ceil(swaps / 10),
    },
  ];
  const controller = new AbortController();
  const beside = trainBeside(controller.signal);
  let before = 0;
  const memory: Memory[] = [];
  const look = (answered: number) => memory.push(memoryAfter(answered));
  const outcomes: Outcome[] = [];
  look(0);
  for (const phase of phases) {
    outcomes.push(await play(phase, (share) => look(before + share * phase.requests)));
    before += phase.requests;
    look(before);
    await turn();
  }
  controller.abort();
  const steps = await beside;
  if (values.json) {
    console.log(JSON.stringify({ outcomes, memory, steps }));
    return;
  }
  const { name, threads } = backendInfo();
  console.log(
    `\n${name}, ${threads} threads; ${clients} clients; beside them ${steps} steps of another training`,
  );
  printTable(
    outcomes.map(({ phase, requests, swaps, seen, seconds }) => ({
      phase,
      requests: String(requests),
      'versions taken on': String(swaps),
      'versions seen': String(seen),
      'requests / s': (requests / seconds).toFixed(0),
    })),
  );
  printTable(
    memory.map(({ answered, resident, held }) => ({
      answered: String(answered),
      'resident, MB': resident.toFixed(0),
      'held by JavaScript, MB': held.toFixed(1),
    })),
  );
}

if (isMainThread) await soak();
else await publish();

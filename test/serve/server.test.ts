/** The example of a server, as a process: it learns while it answers, is killed, and goes on. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync, watch, writeFileSync } from 'node:fs';
import { type AddressInfo, connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { Predictor } from 'axpy';
import { afterAll, describe, expect, test } from 'vitest';
import type { Example } from '../../examples/server/examples.ts';
import { houseOf, modelFor, type Sale } from '../../examples/server/houses.ts';
import { serverOf } from '../../examples/server/server.ts';
import { stateAtFirst } from '../../examples/server/trainer.ts';
import { splitHouses } from '../../examples/support/ames.ts';
import { bundle } from '../bundle.ts';

const main = bundle('examples/server/main.ts');
const { kept, held } = splitHouses(1);
const sales: Sale[] = kept.map((row) => ({ house: houseOf(row), price: Number(row.Sale_Price) }));
const houses = held.slice(0, 50).map(houseOf);
const [house] = houses;

const folders: string[] = [];
const running = new Set<ChildProcess>();
afterAll(() => {
  for (const child of running) child.kill('SIGKILL');
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

function newFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'axpy-server-'));
  folders.push(folder);
  return folder;
}

interface Health {
  status: string;
  ready: boolean;
  version: number;
  examples: { received: number; waiting: number };
  training: {
    rounds: number;
    rejected: number;
    error: number;
    phase: string;
    faults: Record<'round' | 'checkpoint', string | null>;
  };
}

class ServerProcess {
  /** What it said, an event a line. */
  readonly events: Record<string, unknown>[] = [];
  errors = '';
  url = '';
  readonly exit: Promise<unknown[]>;

  private constructor(readonly child: ChildProcess) {
    running.add(child);
    this.exit = once(child, 'exit').finally(() => running.delete(child));
    child.stderr!.on('data', (chunk) => {
      this.errors += chunk;
    });
  }

  /** @param kilobytes that its files may have */
  static async start(
    folder: string,
    args: readonly string[] = [],
    kilobytes?: number,
  ): Promise<ServerProcess> {
    const command = [process.execPath, main, '--port', '0', '--folder', folder, ...args];
    const limited = ['bash', '-c', `ulimit -f ${kilobytes} && exec "$@"`, '', ...command];
    const [program, ...rest] = kilobytes === undefined ? command : limited;
    const server = new ServerProcess(spawn(program, rest, { stdio: ['ignore', 'pipe', 'pipe'] }));
    const lines = createInterface({ input: server.child.stdout! });
    await new Promise<void>((resolve, reject) => {
      lines.on('line', (line) => {
        server.events.push(JSON.parse(line));
        // Then it has read what it was told before.
        if (server.said('learning') !== undefined) resolve();
      });
      server.exit.then(() => reject(new Error(server.errors)));
    });
    server.url = `http://127.0.0.1:${server.said('listening')!.port}`;
    return server;
  }

  said(event: string): Record<string, unknown> | undefined {
    return this.events.find((one) => one.event === event);
  }

  async post(path: string, body: unknown, signal?: AbortSignal): Promise<Response> {
    const text = typeof body === 'string' ? body : JSON.stringify(body);
    return await fetch(`${this.url}${path}`, { method: 'POST', body: text, signal: signal ?? null });
  }

  async prices(of: unknown): Promise<number[]> {
    const response = await this.post('/predict', of);
    expect(response.status).toBe(200);
    return ((await response.json()) as { prices: number[] }).prices;
  }

  async health(): Promise<Health> {
    return (await (await fetch(`${this.url}/health`)).json()) as Health;
  }

  async until(holds: (health: Health) => boolean): Promise<Health> {
    for (const end = performance.now() + 30_000; performance.now() < end; await sleep(20)) {
      const health = await this.health();
      if (holds(health)) return health;
    }
    throw new Error(`it never came: ${JSON.stringify(await this.health())}, ${this.errors}`);
  }

  async learn(some: readonly Sale[]): Promise<void> {
    expect((await this.post('/examples', some)).status).toBe(202);
  }

  async metrics(): Promise<Map<string, number>> {
    const response = await fetch(`${this.url}/metrics`);
    expect(response.headers.get('content-type')).toContain('text/plain; version=0.0.4');
    return samples(await response.text());
  }

  /** @returns the code that it ends with */
  async end(signal: NodeJS.Signals = 'SIGTERM'): Promise<unknown> {
    this.child.kill(signal);
    const [code, by] = await this.exit;
    return code ?? by;
  }
}

/** Prometheus' text, version 0.0.4, line by line; a sample comes after the type of its family, and none comes twice. */
function samples(text: string): Map<string, number> {
  const name = '[a-zA-Z_:][a-zA-Z0-9_:]*';
  const label = '[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\\\\n]|\\\\["\\\\n])*"';
  const sample = new RegExp(
    `^(${name})(\\{${label}(?:,${label})*\\})? (-?[0-9.]+(?:e[+-]?[0-9]+)?|NaN|[+-]Inf)$`,
  );
  const found = new Map<string, number>();
  const types = new Set<string>();
  expect(text.endsWith('\n')).toBe(true);
  for (const line of text.split('\n')) {
    if (line === '' || line.startsWith('# HELP ')) continue;
    const [, family] = /^# TYPE (\S+) (?:counter|gauge|histogram|summary)$/.exec(line) ?? [];
    if (family !== undefined) types.add(family);
    else {
      const [, own, labels = '', value] = sample.exec(line) ?? [];
      expect(own, line).toBeDefined();
      expect(types.has(own) || types.has(own.replace(/_(?:bucket|sum|count)$/, '')), line).toBe(true);
      expect(found.has(own + labels), line).toBe(false);
      found.set(own + labels, Number(value.replace('Inf', 'Infinity')));
    }
  }
  return found;
}

const examplesIn = (folder: string): Example[] =>
  readFileSync(join(folder, 'examples.jsonl'), 'utf8')
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line));

const quick = ['--first', '100', '--every', '20'];

describe('a server', () => {
  test.each([
    { where: 'beside the server', args: [] },
    { where: 'in a thread', args: ['--worker'] },
  ])('learns $where while it answers, and goes on after an end', async ({ args }) => {
    const folder = newFolder();
    const server = await ServerProcess.start(folder, [...quick, ...args]);
    const early = await server.post('/predict', house);
    expect([early.status, early.headers.get('retry-after')]).toEqual([503, '1']);
    expect((await fetch(`${server.url}/health/ready`)).status).toBe(503);
    expect(await server.health()).toMatchObject({ status: 'ok', ready: false, version: 0 });

    await server.learn(sales.slice(0, 400));
    const { version } = await server.until(({ ready }) => ready);
    expect((await fetch(`${server.url}/health/ready`)).status).toBe(200);
    const alone = await server.prices(house);
    const together = await server.prices(houses);
    expect(together.length).toBe(50);
    expect(together[0] / alone[0]).toBeCloseTo(1, 5);
    // Half of them are nearer than 10 % after these few.
    const misses = together.map((price, i) => Math.abs(Math.log(price / Number(held[i].Sale_Price))));
    expect(misses.sort((a, b) => a - b)[25]).toBeLessThan(0.2);

    for (let at = 400; (await server.health()).version === version && at < 1600; at += 100) {
      const { training } = await server.health();
      await server.learn(sales.slice(at, at + 100));
      await server.until((now) => now.training.rounds > training.rounds && now.training.phase === 'waiting');
    }
    const later = await server.until((now) => now.version > version && now.examples.waiting === 0);
    const changed = await server.prices(houses);
    expect(changed).not.toEqual(together);

    const found = await server.metrics();
    expect(found.get('houses_version')).toBe(later.version);
    expect(found.get('houses_predictor_answered_total')).toBe(3);
    expect(found.get('houses_predictor_examples_total')).toBe(101);
    expect(found.get('http_requests_total{route="/predict",status="200"}')).toBe(3);
    expect(found.get('http_requests_total{route="/predict",status="503"}')).toBe(1);
    expect(found.get('http_request_duration_seconds_count{route="/predict"}')).toBe(4);
    expect(found.get('http_request_duration_seconds_bucket{le="+Inf",route="/predict"}')).toBe(4);
    expect(found.get('houses_training_loss')).toBeGreaterThan(0);
    expect(found.get('nodejs_eventloop_lag_max_seconds')).toBeGreaterThan(0);
    expect(await server.end()).toBe(0);
    expect(server.errors).toBe('');

    const again = await ServerProcess.start(folder, [...quick, ...args]);
    // Ready before anything is trained.
    expect(again.said('listening')!.version).toBe(later.version);
    expect(again.said('listening')!.milliseconds).toBeLessThan(5000);
    (await again.prices(houses)).forEach((price, i) => {
      expect(price / changed[i]).toBeCloseTo(1, 5);
    });
    expect((await again.health()).examples.received).toBe(later.examples.received);
    expect(await again.end('SIGINT')).toBe(0);
  });

  test('what a round has learned that is no better is taken back', async () => {
    const server = await ServerProcess.start(newFolder(), quick);
    await server.learn(sales.slice(0, 400));
    const before = await server.until(({ ready, training }) => ready && training.phase === 'waiting');
    const prices = await server.prices(houses);
    // Lies, but for every fifth, which is held out.
    await server.learn(sales.slice(400, 500).map((one, i) => (i % 5 === 4 ? one : { ...one, price: 100 })));
    const lied = await server.until(({ training }) => training.rounds === 2 && training.phase === 'waiting');
    expect([lied.version, lied.training.rejected]).toEqual([before.version, 1]);
    expect(await server.prices(houses)).toEqual(prices);
    // Nothing is left of them in what the next round begins with.
    await server.learn(sales.slice(500, 900));
    const after = await server.until(({ training }) => training.rounds === 3 && training.phase === 'waiting');
    expect(after.training.error).toBeLessThan(1.1 * before.training.error);
    expect(await server.end()).toBe(0);
  });

  test('what is wrong is refused by name, and nothing else suffers', async () => {
    const folder = newFolder();
    const server = await ServerProcess.start(folder, quick);
    await server.learn(sales.slice(0, 120));
    await server.until(({ ready }) => ready);
    const { Lot_Area: _, ...less } = house;
    const sale = { house, price: 1e5 };
    const wrong: [path: string, body: unknown, status: number, message: RegExp][] = [
      ['/predict', '{', 400, /JSON/],
      ['/predict', '', 400, /JSON/],
      ['/predict', `"${'\u{1f3e0}'.repeat(10)}`, 400, /JSON/],
      ['/predict', null, 400, /house 0 to be an object, got null/],
      ['/predict', [house, 7], 400, /house 1 to be an object, got 7/],
      ['/predict', [[house]], 400, /house 0/],
      ['/predict', less, 400, /house 0\.Lot_Area to be a number from 1 to 10000000, got nothing/],
      ['/predict', { ...house, Lot_Area: '9600' }, 400, /Lot_Area.*got "9600"/],
      ['/predict', { ...house, Lot_Area: null }, 400, /Lot_Area.*got null/],
      [
        '/predict',
        JSON.stringify(house).replace(/"Lot_Area":\d+/, '"Lot_Area":1e999'),
        400,
        /Lot_Area.*got Infinity/,
      ],
      ['/predict', JSON.stringify(house).replace(/"Lot_Area":\d+/, '"Lot_Area":NaN'), 400, /JSON/],
      ['/predict', { ...house, Neighborhood: 3 }, 400, /Neighborhood to be a text/],
      ['/predict', { ...house, Pool: 1 }, 400, /to have the columns .*, got "Pool"/],
      ['/predict', `{"__proto__":{},${JSON.stringify(house).slice(1)}`, 400, /got "__proto__"/],
      ['/predict', Array.from({ length: 5000 }, () => house), 413, /at most 1048576 bytes/],
      ['/examples', house, 400, /sale 0\.house/],
      ['/examples', { house }, 400, /sale 0\.price .* got nothing/],
      ['/examples', [sale, { house, price: -1 }], 400, /sale 1\.price to be a number from 1 .*, got -1/],
      ['/examples', 'x'.repeat(3e6), 413, /bytes/],
      ['/nothing', {}, 404, /nothing/],
      ['/health', {}, 405, /GET/],
    ];
    for (const [path, body, status, message] of wrong) {
      const response = await server.post(path, body);
      const { error } = (await response.json()) as { error: string };
      expect([response.status, error], `${path} ${JSON.stringify(body).slice(0, 80)}`).toEqual([
        status,
        expect.stringMatching(message),
      ]);
    }
    expect((await fetch(`${server.url}/predict`)).headers.get('allow')).toBe('POST');
    expect(await server.prices([])).toEqual([]);
    // A word that nobody has ever said is one of the rare ones.
    const [price] = await server.prices({ ...house, Neighborhood: 'Atlantis' });
    expect(price).toBeGreaterThan(1e4);
    expect(examplesIn(folder).length).toBe(120);

    // Clients that leave at any moment.
    const left = await Promise.allSettled(
      Array.from({ length: 60 }, (_, i) =>
        server.post('/predict', houses, AbortSignal.timeout(1 + (i % 20))),
      ),
    );
    const half = connect(Number(new URL(server.url).port), '127.0.0.1');
    half.end('POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{"Lot');
    await once(half.resume(), 'close');
    expect(left.some(({ status }) => status === 'rejected')).toBe(true);
    const found = await server.metrics();
    expect(found.get('http_requests_total{route="/predict",status="499"}')).toBeGreaterThan(0);
    expect(found.get('houses_predictor_waiting')).toBe(0);
    await server.prices(houses);
    expect(server.errors).toBe('');
    expect(await server.end()).toBe(0);
  });

  test('killed at any moment, also while it writes, it serves the latest version, and has all that it said it has', async () => {
    const folder = newFolder();
    let known = 0;
    let version = 0;
    /** How many checkpoints were. */
    let cut = 0;
    for (let life = 0; life < 5; life++) {
      const server = await ServerProcess.start(folder, ['--first', '100', '--every', '10']);
      const { version: own, examples } = await server.health();
      expect(own).toBeGreaterThanOrEqual(version);
      expect(examples.received).toBeGreaterThanOrEqual(known);
      if (life === 0) {
        await server.learn(sales.slice(0, 150));
        known = 150;
        await server.until(({ ready }) => ready);
      } else expect((await server.prices(houses)).length).toBe(50);
      let isOver = false;
      const telling = (async () => {
        for (let at = known; !isOver; at = (at + 7) % 1500) {
          const some = sales.slice(at, at + 7);
          if (!(await server.post('/examples', some)).ok) throw new Error('refused');
          known += some.length;
          await sleep(5);
        }
      })().catch(() => {});
      const watching = (async () => {
        for (; !isOver; await sleep(5)) ({ version } = await server.health());
      })().catch(() => {});
      // Early, while each round makes something better, they end in the middle of a checkpoint.
      const isCheckpoint = life < 3;
      const ending = new AbortController();
      const written = new Promise<boolean>((resolve) => {
        const watcher = watch(folder, { signal: ending.signal }, (_, name) => {
          if (isCheckpoint && name?.startsWith('.axpy-')) resolve(true);
        });
        watcher.on('error', () => {});
      });
      cut += Number(await Promise.race([written, sleep(isCheckpoint ? 4000 : 250 * life, false)]));
      expect(await server.end('SIGKILL')).toBe('SIGKILL');
      isOver = true;
      ending.abort();
      await Promise.all([telling, watching]);
      if (life === 2) writeFileSync(join(folder, 'examples.jsonl'), '{"n":1', { flag: 'a' });
    }
    expect(cut).toBeGreaterThan(0);
    const server = await ServerProcess.start(folder);
    expect((await server.prices(houses)).length).toBe(50);
    expect(await server.end()).toBe(0);
    const lines = examplesIn(folder);
    expect(lines.length).toBeGreaterThanOrEqual(known);
    expect(new Set(lines.map(({ n }) => n)).size).toBe(lines.length);
    // What a save was cut short in goes with the next one.
    const names = readdirSync(folder).filter((name) => !name.startsWith('.axpy-'));
    expect(names.sort()).toEqual(['examples.jsonl', 'model.safetensors']);
  });

  test('told to end under load it finishes what is under way, and keeps what it was told', async () => {
    const folder = newFolder();
    const server = await ServerProcess.start(folder, quick);
    await server.learn(sales.slice(0, 120));
    await server.until(({ ready }) => ready);
    let told = 0;
    let answered = 0;
    let isOver = false;
    const failures: unknown[] = [];
    const asking = Array.from({ length: 12 }, async (_, i) => {
      while (!isOver) {
        try {
          const isTelling = i % 3 === 0;
          const response = await server.post(
            isTelling ? '/examples' : '/predict',
            isTelling ? sales.slice(200, 203) : houses,
          );
          const body = (await response.json()) as { prices?: number[]; error?: string };
          if (!response.ok) failures.push(body);
          else if (isTelling) told += 3;
          else answered += body.prices!.length === 50 ? 1 : Number.NaN;
        } catch (error) {
          // Refused, or closed before anything was asked. Half an answer would be an error of JSON.
          if (error instanceof SyntaxError || systemCode(error) === undefined) failures.push(error);
          isOver = server.child.exitCode !== null;
        }
      }
    });
    while (answered < 20 || told < 30) await sleep(10);
    const since = performance.now();
    expect(await server.end()).toBe(0);
    expect(performance.now() - since).toBeLessThan(4000);
    isOver = true;
    await Promise.all(asking);
    expect(failures).toEqual([]);
    expect(examplesIn(folder).length).toBe(120 + told);
  });

  test('a second signal ends it at once', async () => {
    const server = await ServerProcess.start(newFolder(), quick);
    const socket = connect(Number(new URL(server.url).port), '127.0.0.1');
    socket.on('error', () => {});
    socket.write('POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{');
    await sleep(100);
    server.child.kill('SIGTERM');
    while (server.said('stopping') === undefined) await sleep(5);
    await sleep(100);
    expect(server.child.exitCode).toBe(null);
    expect(await server.end()).toBe(1);
  });

  test('a disk that is full is reported, and the server serves on', async () => {
    const folder = newFolder();
    // Room for the first 150 examples, none for the model.
    const server = await ServerProcess.start(folder, quick, 70);
    await server.learn(sales.slice(0, 150));
    const health = await server.until(({ version }) => version > 0);
    expect(health.status).toBe('degraded');
    expect(health.training.faults.checkpoint).toMatch(/EFBIG|too large/);
    expect((await server.metrics()).get('houses_checkpoint_fault')).toBe(1);
    expect((await server.prices(houses)).length).toBe(50);
    const refused = await server.post('/examples', sales.slice(150, 400));
    expect([refused.status, refused.headers.get('retry-after')]).toEqual([503, '5']);
    expect(await refused.json()).toEqual({ error: 'the examples could not be kept: EFBIG' });
    expect(examplesIn(folder).length).toBe(150);
    expect((await server.prices(houses)).length).toBe(50);
    await server.learn(sales.slice(150, 151));
    expect(await server.end()).toBe(0);
    expect(examplesIn(folder).length).toBe(151);
  });

  test('a file that is damaged is put aside', async () => {
    const folder = newFolder();
    writeFileSync(join(folder, 'model.safetensors'), 'half of it');
    const server = await ServerProcess.start(folder, quick);
    expect(await server.health()).toMatchObject({ ready: false, version: 0 });
    await server.learn(sales.slice(0, 120));
    await server.until(({ ready }) => ready);
    expect(await server.end()).toBe(0);
    expect(readdirSync(folder)).toContain('model.safetensors.damaged');
    expect(server.errors).toContain('was put aside');
  });
});

test.each([
  { what: 'a queue that is full', options: { queue: 1 }, status: 503, code: 'refused' },
  { what: 'an answer that is late', options: { timeout: 5 }, status: 504, code: 'timedOut' },
  { what: 'a client that left', options: {}, status: undefined, code: 'aborted' },
] as const)('$what: $status', async ({ options, status, code }) => {
  // Whoever asks waits for others, and longer than anybody wants to.
  const predictor = new Predictor(modelFor(sales.slice(0, 100)), { maxDelay: 300, ...options });
  const service = { predictor, training: stateAtFirst(), log: null, learner: null, isStopping: false };
  const server = serverOf(service, { body: 2 ** 20, backlog: 100 }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const ask = (signal?: AbortSignal) =>
    fetch(`http://127.0.0.1:${port}/predict`, {
      method: 'POST',
      body: JSON.stringify(house),
      signal: signal ?? null,
    });
  const controller = new AbortController();
  const [one, two] = [ask(controller.signal).catch(() => undefined), ask()];
  if (status === undefined) {
    while (predictor.stats().waiting < 2) await sleep(2);
    controller.abort();
  }
  const answers = [await one, await two];
  const refused = answers.filter((answer) => answer?.status !== 200);
  expect(refused.length).toBeGreaterThan(0);
  for (const answer of refused) expect(answer?.status).toBe(status);
  if (status === 503) expect(refused[0]!.headers.get('retry-after')).toBe('1');
  while (predictor.stats().waiting > 0) await sleep(2);
  expect(predictor.stats()[code]).toBe(refused.length);
  server.close();
  await predictor.close();
});

/** The system's code of an error of `fetch`, where the connection was refused or closed. */
function systemCode(error: unknown): string | undefined {
  const { cause } = error as { cause?: { code?: string } };
  return cause?.code;
}

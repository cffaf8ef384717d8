/**
 * A browser, as people have it: pages of a headless Chromium (Debian's package `chromium`) import the build for browsers
 * as it is, train, and send what came of it.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';

const library = readFileSync(new URL('../../dist/browser.js', import.meta.url));

/** What a page and a worker do alike. */
const program = `
import * as axpy from '/axpy.js';

export async function train() {
  const { Adam, Conv2D, compile, Dense, Flatten, fit, predict, ReLU, Sequential, tensor } = axpy;
  axpy.seed(1);
  const x = [[0, 0], [0, 1], [1, 0], [1, 1]];
  const y = [[0], [1], [1], [0]];
  const model = new Sequential([new Dense(2, 16, { activation: 'tanh' }), new Dense(16, 1, { activation: 'sigmoid' })]);
  const optimizer = new Adam(model.parameters(), { learningRate: 0.05 });
  let ticks = 0;
  const timer = setInterval(() => ticks++, 1);
  const history = await fit(model, { x, y }, { loss: 'binaryCrossEntropy', optimizer, epochs: 300, batchSize: 2, seed: 2 });
  clearInterval(timer);
  const predictions = (await predict(model, x)).toArray().flat();

  const images = axpy.rand([64, 8, 8, 1]);
  const net = new Sequential([new Conv2D(1, 4, 3), new ReLU(), new Flatten(), new Dense(144, 1)]);
  const step = compile((batch) => net.forward(batch).square().mean());
  const before = (await step(images)).item();
  const large = axpy.randn([128, 128]);
  const product = large.matmul(axpy.eye(128)).sub(large).abs().max().item();

  let share;
  try {
    share = Object.values(model.share())[0].buffer.constructor.name;
  } catch (error) {
    share = error.code;
  }
  return { info: axpy.backendInfo(), losses: history.epochs.map((epoch) => epoch.loss), predictions, ticks, before, product,
    share, isolated: crossOriginIsolated };
}`;

const send = `(result) => fetch('/result', { method: 'POST', body: JSON.stringify(result) })`;
const failed = `(error) => ({ error: String(error && error.stack || error) })`;
const files: Record<string, [type: string, text: string | Buffer]> = {
  '/axpy.js': ['text/javascript', library],
  '/program.js': ['text/javascript', program],
  '/worker.js': [
    'text/javascript',
    `import { train } from '/program.js'; train().catch(${failed}).then((result) => postMessage(result));`,
  ],
  '/page': [
    'text/html',
    `<script type="module">import { train } from '/program.js'; train().catch(${failed}).then(${send});</script>`,
  ],
  '/in-worker': [
    'text/html',
    `<script type="module">
      const worker = new Worker('/worker.js', { type: 'module' });
      worker.onmessage = ({ data }) => (${send})(data);
      worker.onerror = ({ message }) => (${send})({ error: message });
    </script>`,
  ],
  // Parameters that a worker trains are those of the page.
  '/shared': [
    'text/html',
    `<script type="module">
      import * as axpy from '/axpy.js';
      const model = new axpy.Dense(1, 1);
      const worker = new Worker('/attached.js', { type: 'module' });
      worker.onmessage = () => (${send})({ weight: model.weight.item() });
      worker.onerror = ({ message }) => (${send})({ error: message });
      worker.postMessage(model.share());
    </script>`,
  ],
  '/attached.js': [
    'text/javascript',
    `import * as axpy from '/axpy.js';
    onmessage = async ({ data }) => {
      const model = new axpy.Dense(1, 1);
      model.attach(data);
      const optimizer = new axpy.SGD(model.parameters(), { learningRate: 0.1 });
      await axpy.fit(model, { x: [[1], [2]], y: [[3], [6]] }, { loss: 'mse', optimizer, epochs: 200 });
      postMessage('done');
    };`,
  ],
};

interface Result {
  error?: string;
  info: unknown;
  losses: number[];
  predictions: number[];
  ticks: number;
  before: number;
  product: number;
  share: string;
  isolated: boolean;
  weight: number;
}

let server: Server;
let onResult: (result: Result) => void;
let isIsolated = false;
const profile = mkdtempSync(join(tmpdir(), 'axpy-chromium-'));

beforeAll(async () => {
  server = createServer((request, response) => {
    const { pathname } = new URL(request.url!, 'http://localhost');
    if (request.method === 'POST') {
      const parts: Buffer[] = [];
      request.on('data', (part: Buffer) => parts.push(part));
      request.on('end', () => {
        response.end();
        onResult(JSON.parse(Buffer.concat(parts).toString()) as Result);
      });
      return;
    }
    const [type, text] = files[pathname] ?? ['text/plain', ''];
    // What a browser wants before it gives a page shared memory.
    const isolation = {
      'Cross-Origin-Opener-Policy': 'same-origin',
      'Cross-Origin-Embedder-Policy': 'require-corp',
      'Cross-Origin-Resource-Policy': 'same-origin',
    };
    response.writeHead(200, { 'Content-Type': type, ...(isIsolated ? isolation : {}) });
    response.end(text);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
});

afterAll(async () => {
  await new Promise((resolve) => server.close(resolve));
  rmSync(profile, { recursive: true, force: true, maxRetries: 20 });
});

/** What the page sends. @throws when the browser ends before */
async function visit(page: string, isolated: boolean): Promise<Result> {
  isIsolated = isolated;
  const { port } = server.address() as AddressInfo;
  const flags = [
    '--headless=new',
    '--no-sandbox',
    '--disable-gpu',
    '--no-first-run',
    `--user-data-dir=${profile}`,
  ];
  let browser: ChildProcess | undefined;
  try {
    const result = await new Promise<Result>((resolve, reject) => {
      onResult = resolve;
      browser = spawn('chromium', [...flags, `http://127.0.0.1:${port}${page}`], {
        stdio: ['ignore', 'ignore', 'pipe'],
      });
      let said = '';
      browser.stderr!.on('data', (text: Buffer) => {
        said += text.toString();
      });
      browser.on('error', reject);
      browser.on('exit', (code) => reject(new Error(`chromium ended with ${code}: ${said.slice(-2000)}`)));
    });
    expect(result.error).toBeUndefined();
    return result;
  } finally {
    const ended = new Promise((resolve) => browser?.once('exit', resolve));
    if (browser?.kill()) await ended;
  }
}

test.each([
  ['a page', '/page', false],
  ['a page that is cross-origin isolated', '/page', true],
  ['a worker', '/in-worker', false],
  ['a worker of an isolated page', '/in-worker', true],
])('%s trains', async (_, page, isolated) => {
  const result = await visit(page, isolated);
  expect(result.isolated).toBe(isolated);
  expect(result.info).toMatchObject({ name: 'fallback', reason: expect.stringContaining('browsers') });
  expect(result.losses[299]).toBeLessThan(0.05);
  expect(result.predictions.map(Math.round)).toEqual([0, 1, 1, 0]);
  expect(result.before).toBeGreaterThan(0);
  expect(result.product).toBe(0);
  expect(result.share).toBe(isolated ? 'SharedArrayBuffer' : 'AXPY_MEMORY');
  // The event loop turned while it trained.
  expect(result.ticks).toBeGreaterThan(3);
});

test('parameters shared with a worker', async () => {
  expect((await visit('/shared', true)).weight).toBeGreaterThan(1.5);
});

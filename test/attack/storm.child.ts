/**
 * The processes that storm.ts ends, or takes memory and threads from. The command line is a role and its numbers:
 *
 *     endless WHAT MS HOW      works until it is ended; after MS, unless HOW is wait, it exits with 3 or throws
 *     terminating N SEED       starts N threads that work endlessly, and ends them at any moment
 *     crowd N                  N threads within products at once
 *     work                     some of everything; each part succeeds or fails with an AxpyError, and says so
 */
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import * as axpy from '../../lib/index.ts';
import { createProgram, kernels } from '../../lib/kernels/index.ts';
import { allocateShared } from '../../lib/memory.ts';
import { isAllowed, Random, showError } from './support.ts';

const floats = (n: number, value = 0) => allocateShared(n, 'float32').fill(value);
const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
const network = () =>
  new axpy.Sequential([
    new axpy.Conv2D(3, 17, 3, { activation: 'relu' }),
    new axpy.Flatten(),
    new axpy.Dense(17 * 64, 5),
  ]);
const images = (n: number) => axpy.randn([n, 10, 10, 3]);
const labels = (n: number) => axpy.tensor(Int32Array.from({ length: n }, (_, i) => i % 5));

function product(size: number): number {
  const [a, b, c] = [floats(size * size, 1), floats(size * size, 2), floats(size * size)];
  kernels.gemm(c, a, b, null, 1, size, size, size, 0, 1, 0, 0, -1, 0, null);
  return c.every((value) => value === 2 * size) ? size : Number.NaN;
}

function chain(size: number): { program: ReturnType<typeof createProgram>; out: Float32Array } {
  const [a, b, out] = [floats(size * size, 1), floats(size * size, 2), floats(size * size)];
  const gemm = ['gemm', out, a, b, null, 1, size, size, size, 0, 0, 0, 0, -1, 0, null] as const;
  return { program: createProgram([gemm, ['checkFinite', out], gemm]), out };
}

async function train(epochs: number): Promise<number> {
  const model = network();
  const optimizer = new axpy.Adam(model.parameters());
  const options = { loss: 'softmaxCrossEntropy', optimizer, epochs, batchSize: 8 } as const;
  const history = await axpy.fit(model, { x: images(32), y: labels(32) }, options);
  return history.epochs.length;
}

// ── endless work ────────────────────────────────────────────────────────────────────────────────────────────────────

const endless: Readonly<Record<string, () => Promise<void>>> = {
  async products() {
    for (;;) {
      product(200);
      await sleep(0);
    }
  },
  async withoutTurns() {
    for (;;) product(150);
  },
  async programs() {
    const { program } = chain(96);
    for (;;) {
      const runs = Array.from({ length: 30 }, () => program.runAsync());
      program.run();
      await Promise.all(runs.slice(0, 5));
    }
  },
  async fits() {
    await train(1e6);
  },
  async predicts() {
    const model = network();
    for (;;) await axpy.predict(model, images(20), { batchSize: 6 });
  },
  async compiles() {
    const model = network();
    for (let n = 1; ; n++) {
      const f = axpy.compile((x: axpy.Tensor) => axpy.noGrad(() => model.forward(x)));
      await Promise.all([f(images((n % 5) + 1)), f(images((n % 5) + 1)), f(images(2))]);
      f.sync(images(2));
    }
  },
};

export const endlessNames = Object.keys(endless);

function startThread(data: object): Worker {
  return new Worker(new URL(import.meta.url), { workerData: data, execArgv: [], stderr: false });
}

async function terminating(count: number, seed: number): Promise<void> {
  const random = new Random(seed);
  const start = async () => {
    const worker = startThread({ what: random.pick(Object.keys(endless)) });
    const ended = new Promise<number>((resolve) => worker.once('exit', resolve));
    worker.once('error', (error) => fail(`a thread failed: ${showError(error)}`));
    await Promise.race([new Promise((resolve) => worker.once('message', resolve)), ended]);
    await sleep(random.next() * 30);
    await worker.terminate();
  };
  let done = 0;
  const lane = async () => {
    while (done++ < count) await start();
  };
  let busy = true;
  const beside = async () => {
    const { program, out } = chain(64);
    while (busy) {
      await program.runAsync();
      if (out[0] !== 128 || product(70) !== 70) fail('numbers beside the threads are wrong');
      await sleep(1);
    }
  };
  const besides = beside();
  await Promise.all([lane(), lane(), lane()]);
  busy = false;
  await besides;
}

// ── many threads ────────────────────────────────────────────────────────────────────────────────────────────────────

async function crowd(count: number): Promise<void> {
  const gate = new Int32Array(new SharedArrayBuffer(8));
  const workers = Array.from({ length: count }, () => startThread({ gate }));
  const answers = workers.map(
    (worker) =>
      new Promise<unknown>((resolve) => {
        worker.once('message', resolve);
        worker.once('error', (error) => resolve(showError(error)));
      }),
  );
  while (Atomics.load(gate, 1) < count) await sleep(10);
  Atomics.store(gate, 0, 1);
  Atomics.notify(gate, 0);
  for (const answer of await Promise.all(answers))
    if (answer !== 'right') fail(`a thread of a crowd: ${answer}`);
}

function inCrowd(gate: Int32Array): void {
  const [a, b, c] = [floats(512 * 512, 1), floats(512 * 512, 2), floats(512 * 512)];
  Atomics.add(gate, 1, 1);
  Atomics.wait(gate, 0, 0);
  for (let i = 0; i < 8; i++) kernels.gemm(c, a, b, null, 1, 512, 512, 512, 0, 0, 0, 0, -1, 0, null);
  parentPort!.postMessage(c.every((value) => value === 1024) ? 'right' : 'a wrong product');
}

// ── some of everything ──────────────────────────────────────────────────────────────────────────────────────────────

const parts: readonly (readonly [name: string, part: () => unknown])[] = [
  ['product', () => product(300)],
  [
    'threads',
    () => {
      axpy.setThreads(3);
      return product(500);
    },
  ],
  [
    'convolutions',
    () => {
      const model = network();
      const x = images(16);
      const loss = axpy.losses.softmaxCrossEntropy(model.forward(x), labels(16));
      loss.backward();
      return loss.item();
    },
  ],
  [
    'programs',
    async () => {
      const { program, out } = chain(128);
      const runs = await Promise.allSettled([program.runAsync(), program.runAsync(), program.runAsync()]);
      const failed = runs.find((run) => run.status === 'rejected');
      if (failed) throw failed.reason;
      return out[0] === 256 ? 1 : Number.NaN;
    },
  ],
  ['fit', () => train(2)],
  [
    'compile',
    async () => {
      const f = axpy.compile((x: axpy.Tensor) => x.matmul(x).mul(2).sum());
      const x = axpy.ones([100, 100]);
      const values = [await f(x), ...(await Promise.all([f(x), f(x)])), f.sync(x)];
      return values.every((value) => value.item() === 2e6) ? 1 : Number.NaN;
    },
  ],
  ['large', () => axpy.ones([3000, 1000]).mul(2).sum().item() / 6e6],
  [
    'wide',
    () =>
      axpy
        .rand([512, 512])
        .matmul(axpy.rand([512, 512]))
        .softmax()
        .sum()
        .item(),
  ],
];

/** Makes each part twice: what failed once for want of memory or threads may succeed later, but ends in any case. */
async function work(): Promise<void> {
  // The signal for which a shim begins to count (see faults.cc).
  if (process.env.AXPY_FAULT_KIND) process.kill(process.pid, 40);
  for (const [name, part] of [...parts, ...parts]) {
    try {
      const value = await withinTime(name, part());
      if (Number.isNaN(value)) fail(`${name} gives wrong numbers`);
    } catch (error) {
      if (!isAllowed(error)) {
        fail(`${name}: ${showError(error)}`);
        console.log((error as Error).stack);
      } else console.log(`refused ${name}: ${showError(error)}`);
    }
  }
  console.log('worked');
  // What stands in the way of the end of the process would hang it here.
}

async function withinTime(name: string, value: unknown): Promise<unknown> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise((resolve) => {
    timer = setTimeout(resolve, 15_000, 'late');
  });
  const result = await Promise.race([value, late]).finally(() => clearTimeout(timer));
  if (result === 'late') {
    fail(`${name} never settles`);
    process.exit(0);
  }
  return result;
}

function fail(text: string): void {
  console.log(`find: ${text}`);
}

if (!isMainThread) {
  const { what, gate } = workerData as { what?: string; gate?: Int32Array };
  if (gate) inCrowd(gate);
  else {
    parentPort!.postMessage('go');
    await endless[what!]();
  }
} else {
  const [role, ...rest] = process.argv.slice(2);
  if (role === 'endless') {
    const [what, ms, how] = rest;
    if (how !== 'wait') {
      setTimeout(() => {
        if (how === 'exit') process.exit(3);
        throw new Error('on purpose');
      }, Number(ms));
    }
    console.log('go');
    await endless[what]();
  } else if (role === 'terminating') await terminating(Number(rest[0]), Number(rest[1]));
  else if (role === 'crowd') await crowd(Number(rest[0]));
  else if (role === 'work') await work();
}

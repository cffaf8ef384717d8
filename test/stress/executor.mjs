/**
 * Stress of programs and their executor: environments and processes that end in every way while runs are in flight.
 * Plain JavaScript on the addon alone, so that it runs under a sanitizer (scripts/sanitize.sh).
 *
 *     node test/stress/executor.mjs [cycles, 1000 when left out]
 *
 * A cycle is one worker thread, or in every 25th a process, that starts runs and ends. Four are under way at a time, and
 * the main thread runs programs and kernels of its own beside them.
 */
import { spawn } from 'node:child_process';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { setFlagsFromString } from 'node:v8';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';

const self = fileURLToPath(import.meta.url);
const binary =
  process.env.AXPY_BINARY || fileURLToPath(new URL('../../build/Release/axpy.node', import.meta.url));
const addon = createRequire(self)(binary);
if (isMainThread) addon.setThreads(3);

setFlagsFromString('--expose-gc');
const collect = (await import('node:vm')).runInNewContext('gc');
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const turn = () => new Promise((resolve) => setImmediate(resolve));

function assert(holds, message) {
  if (!holds) throw new Error(`stress: ${message}`);
}

const floats = (n, value = 0) => new Float32Array(new SharedArrayBuffer(4 * n)).fill(value);
/** Counts, in element 1, the steps of a parameter without elements. */
const counter = () => new Float64Array(new SharedArrayBuffer(16));
const nothing = floats(0);
const row = new Int32Array(new SharedArrayBuffer(4));
const hyper = new Float64Array(new SharedArrayBuffer(40));
const counting = (count) => ['adam', [nothing, nothing, nothing], [nothing], count, row, hyper, 0];

/** A run of some hundred microseconds: products that the pool shares, small kernels, and a count of runs at the end. */
function makeProgram(size = 128, products = 4) {
  const [a, b, c] = [floats(size * size, 0.5), floats(size * size, 0.25), floats(size * size)];
  const count = counter();
  const calls = [];
  for (let i = 0; i < products; i++) {
    calls.push(['gemm', c, a, b, null, 1, size, size, size, 0, i & 1, 0, 0, -1, 0, null]);
    calls.push(['unary', c, c, 10, 0, 0]);
  }
  calls.push(['checkFinite', c], counting(count));
  return { program: addon.createProgram(calls), count, a };
}

/** Queues many runs and lets their promises be. */
function flood(runs, size) {
  const { program } = makeProgram(size);
  for (let i = 0; i < runs; i++) program.runAsync();
}

/** What an environment does before, or until, it ends. Each tells the main thread once runs are in flight. */
const scenes = {
  /** Waits to be terminated. */
  async terminated(go) {
    flood(400);
    go();
    await sleep(60_000);
  },
  /** Is terminated while JavaScript waits for the executor. */
  async terminatedWaiting(go) {
    const { program } = makeProgram();
    go();
    for (;;) {
      for (let i = 0; i < 5; i++) program.runAsync();
      program.run();
    }
  },
  /** Is terminated while promises settle and new runs start. */
  async terminatedLooping(go) {
    const { program, count } = makeProgram(16, 1);
    go();
    for (let i = 1; ; i++) {
      await program.runAsync();
      assert(count[1] === i, `${count[1]} runs for ${i}`);
    }
  },
  async exits(go) {
    flood(400);
    go();
    await sleep(Math.random() * 3);
    process.exit(3);
  },
  async exitsAtOnce(go) {
    go();
    flood(10, 256);
    process.exit(3);
  },
  async throws(go) {
    flood(400);
    go();
    await sleep(Math.random() * 3);
    throw new Error('on purpose');
  },
  /** Ends by itself, which waits for all runs. */
  async finishes(go) {
    const one = makeProgram();
    const two = makeProgram(64);
    let settled = 0;
    for (let i = 0; i < 10; i++) {
      for (const { program, count } of [one, two]) {
        program.runAsync().then(() => {
          settled++;
          assert(count[1] > i, 'a promise before its run');
        });
      }
    }
    process.on('exit', () => assert(settled === 20, `${settled} of 20 promises settled`));
    go();
  },
  /** Runs that fail, between runs that do not. */
  async fails(go) {
    const bad = makeProgram(32);
    const good = makeProgram(32);
    bad.a[7] = Number.NaN;
    go();
    for (let i = 0; i < 20; i++) {
      const outcomes = await Promise.allSettled([
        bad.program.runAsync(),
        good.program.runAsync(),
        bad.program.runAsync(),
      ]);
      assert(
        outcomes.map(({ status }) => status).join() === 'rejected,fulfilled,rejected',
        JSON.stringify(outcomes),
      );
    }
    assert(bad.count[1] === 0 && good.count[1] === 20, 'calls after a failure were made');
  },
  /** Programs that nobody holds while they run. */
  async drops(go) {
    go();
    const counts = [];
    let promises = [];
    for (let i = 0; i < 60; i++) {
      const { program, count } = makeProgram(32, 1);
      promises.push(program.runAsync());
      counts.push(count);
      if (i % 20 === 10) collect();
    }
    await turn();
    collect();
    await Promise.all(promises);
    promises = [];
    collect();
    assert(
      counts.every((count) => count[1] === 1),
      'a run was lost',
    );
  },
  /** An environment that has programs and no executor, and one with nothing. */
  async runsHere(go) {
    const { program, count } = makeProgram();
    program.run();
    program.run();
    assert(count[1] === 2, 'a run was lost');
    go();
  },
  async idles(go) {
    go();
  },
};

/** How each may end: exit codes of a worker or a process. 1 is what a terminated worker and an uncaught error have. */
const endings = { exits: [3], exitsAtOnce: [3], throws: [1] };
const endsBySelf = (scene) => !scene.startsWith('terminated');

async function cycleInWorker(scene) {
  const worker = new Worker(self, { workerData: { scene } });
  let failure = null;
  worker.on('error', (error) => {
    if (error.message !== 'on purpose') failure = error;
  });
  const ended = new Promise((resolve) => worker.once('exit', resolve));
  if (!endsBySelf(scene)) {
    await Promise.race([new Promise((resolve) => worker.once('message', resolve)), ended]);
    await sleep(Math.random() * 4);
    worker.terminate();
  }
  const code = await ended;
  if (failure) throw failure;
  assert((endings[scene] ?? (endsBySelf(scene) ? [0] : [1])).includes(code), `${scene} ended with ${code}`);
}

function cycleInProcess(scene) {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [self, '--scene', scene], { stdio: ['ignore', 'inherit', 'pipe'] });
    let stderr = '';
    child.stderr.on('data', (text) => {
      stderr += text;
    });
    child.on('exit', (code, signal) => {
      const right = signal === null && (endings[scene] ?? [0]).includes(code);
      const reported = /Sanitizer|runtime error/.test(stderr);
      if (right && !reported) resolve();
      else reject(new Error(`stress: process ${scene} ended with ${code} ${signal}\n${stderr}`));
    });
  });
}

async function main(cycles) {
  const inWorker = Object.keys(scenes);
  const inProcess = inWorker.filter(endsBySelf);
  let next = 0;
  let processes = 0;
  let done = false;
  const lane = async () => {
    while (next < cycles) {
      const cycle = next++;
      if (cycle % 25 === 24) await cycleInProcess(inProcess[processes++ % inProcess.length]);
      else await cycleInWorker(inWorker[cycle % inWorker.length]);
    }
  };
  const beside = async () => {
    const { program, count } = makeProgram();
    const [a, c] = [floats(300 * 300, 1), floats(300 * 300)];
    let runs = 0;
    while (!done) {
      const queued = [program.runAsync(), program.runAsync()];
      addon.gemm(c, a, a, null, 1, 300, 300, 300, 0, 0, 0, 0, -1, 0, null);
      program.run();
      runs += 3;
      assert(count[1] === runs, `${count[1]} runs for ${runs}`);
      await Promise.all(queued);
      await sleep(1);
    }
  };
  const busy = beside();
  await Promise.all([lane(), lane(), lane(), lane()]);
  done = true;
  await busy;
  console.log(`${cycles} cycles`);
}

if (!isMainThread) {
  await scenes[workerData.scene](() => parentPort.postMessage('go'));
} else if (process.argv[2] === '--scene') {
  await scenes[process.argv[3]](() => {});
} else {
  await main(Number(process.argv[2] ?? 1000));
}

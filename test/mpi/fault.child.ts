/**
 * One rank of a job in which something happens: what the first argument says, to rank `at`. Prints what comes of it.
 *
 *     mpiexec -n 2 node fault.child.mjs what [at] [timeout]
 */
import { Worker } from 'node:worker_threads';
import { Dense, losses, Sequential, SGD, seed, tensor } from '../../lib/index.ts';
import { createProgram, type Float, kernels } from '../../lib/kernels/index.ts';
import { allocateShared } from '../../lib/memory.ts';
import { distribute, type World } from '../../lib/mpi/index.ts';

// Whatever is broken, no test hangs.
setTimeout(() => process.kill(process.pid, 'SIGKILL'), 60_000).unref();

const [what, at = '1', timeout = '20'] = process.argv.slice(2);
const say = (line: string) => process.stdout.write(`${line}\n`);
const sleep = (seconds: number) => new Promise((resolve) => setTimeout(resolve, 1000 * seconds));
const told = (error: unknown) => `${(error as Error).name} ${(error as Error).message}`;
say(`pid ${process.pid}`);

if (what === 'absent' && (process.env.PMI_RANK ?? process.env.OMPI_COMM_WORLD_RANK) === at) {
  // There, and busy with something else.
  await sleep(50);
}

async function join(): Promise<World> {
  try {
    return await distribute({ timeout: Number(timeout) });
  } catch (error) {
    say(`refused ${told(error)}`);
    throw error;
  }
}

interface Assembly {
  readonly Module: new (bytes: Uint8Array) => object;
  readonly Instance: new (module: object) => { exports: { f(): void } };
}

/** WebAssembly that reads where it has no memory: i32.load of −4. */
function outOfBounds(): string {
  // Not among the types of Node 20.
  const { Instance, Module } = (globalThis as unknown as { WebAssembly: Assembly }).WebAssembly;
  const module = [
    [0, 97, 115, 109, 1, 0, 0, 0],
    [1, 4, 1, 96, 0, 0],
    [3, 2, 1, 0],
    [5, 3, 1, 0, 1],
    [7, 5, 1, 1, 102, 0, 0],
    [10, 10, 1, 8, 0, 65, 124, 40, 2, 0, 26, 11],
  ];
  const instance = new Instance(new Module(Uint8Array.from(module.flat())));
  try {
    instance.exports.f();
  } catch (error) {
    return told(error);
  }
  return 'nothing';
}

/** A sum of more than one request, and one of arrays that are scattered in memory, both under way at one time. */
function sums(): string {
  const length = 2 ** 25 + 2 ** 20 + 3;
  const large = allocateShared(length, 'float32').fill(world.rank + 1);
  const parts = [3, 0, 5].map((n) => new Float64Array(n).fill(world.rank)) as Float[];
  kernels.allReduceBegin([large], world.state, 7);
  kernels.allReduceBegin(parts, world.state, 200);
  kernels.allReduceBegin([], world.state, 3);
  kernels.allReduceEnd([large], world.state, 7, 0.5);
  kernels.allReduceEnd(parts, world.state, 200, 1);
  kernels.allReduceEnd([], world.state, 3, 2);
  kernels.broadcast([large], world.state, 1);
  const distinct = new Set([...new Set(large), ...parts.flatMap((part) => Array.from(part))]);
  return [...distinct].join(' ');
}

/** Exchanges by other arrays than they should be, or twice. */
function mistakes(): void {
  const [a, b] = [1, 2].map((n) => new Float32Array(n));
  const attempts = [
    () => kernels.allReduceEnd([a], world.state, 5, 1),
    () => kernels.allGatherEnd(new Float64Array(world.size), world.state),
    () => kernels.allReduceBegin([a], world.state, 5),
    () => kernels.allReduceEnd([b], world.state, 5, 1),
    () => kernels.allReduceEnd([a], world.state, 5, 1),
    () => kernels.allReduceBegin([a], world.state, 5),
    () => kernels.allReduceBegin([b], world.state, 5),
    () => kernels.allReduceEnd([a], world.state, 5, 1),
  ];
  for (const attempt of attempts) {
    try {
      attempt();
      say('mistake none');
    } catch (error) {
      say(`mistake ${told(error)}`);
    }
  }
}

/** A run of calls that fails on one rank between the beginning of an exchange and its end. */
async function half(): Promise<void> {
  const [sum, value] = [allocateShared(1000, 'float32'), allocateShared(1, 'float32')];
  value[0] = isIt ? Number.NaN : 0;
  const program = createProgram([
    ['allReduceBegin', [sum], world.state, 0],
    ['checkFinite', value],
    ['allReduceEnd', [sum], world.state, 0, 1],
    ['allReduceBegin', [sum], world.state, 0],
    ['allReduceEnd', [sum], world.state, 0, 1],
  ]);
  for (const way of ['runAsync', 'run'] as const) {
    try {
      await program[way]();
    } catch (error) {
      say(`caught ${world.rank} ${told(error)}`);
      // And goes on, with something that is no exchange.
      if (isIt) await sleep(0.5);
    }
  }
}

const world = await join();
const isIt = world.rank === Number(at);
seed(1);
const model = new Sequential([new Dense(3, what === 'shape' && isIt ? 5 : 4), new Dense(4, 2)].slice(0, 1));
const optimizer = new SGD(model.parameters(), { learningRate: 0.1 });
const steps = () => {
  for (let i = 0; i < 3; i++) {
    const y = model.forward(tensor([[1, 2, world.rank]]));
    optimizer.zeroGrad();
    losses.softmaxCrossEntropy(y, tensor(Int32Array.of(1), { dtype: 'int32' })).backward();
    optimizer.step();
  }
};

const happenings: Record<string, () => unknown> = {
  throws: () => {
    throw new RangeError('the cat sat on it');
  },
  exits: () => process.exit(3),
  returns: () => process.exit(0),
  killed: () => process.kill(process.pid, 'SIGKILL'),
  loops: () => {
    for (;;);
  },
  other: () => world.gatherValues('something'),
  late: () => sleep(2),
};

try {
  world.wrap(optimizer);
  steps();
  if (isIt) await happenings[what]?.();
  steps();
  if (what === 'half') await half();
} catch (error) {
  if (what !== 'throws' || !isIt) say(`caught ${world.rank} ${told(error)}`);
  throw error;
}
if (what === 'wasm') say(`wasm ${outOfBounds()}`);
if (what === 'sums') say(`sums ${sums()}`);
if (what === 'mistakes') mistakes();
if (what === 'twice') say(`twice ${(await distribute()) === world}`);
if (what === 'worker') {
  const worker = new Worker(new URL(import.meta.url), { argv: ['in a worker'] });
  worker.on('error', (error) => say(`worker ${told(error)}`));
  await new Promise((resolve) => worker.once('exit', resolve));
}
// Longer than others would wait at an exchange.
if (what === 'works' && isIt) await sleep(3 * Number(timeout));
say(`end ${world.rank} of ${world.size}${world.library === null ? ', alone' : ''}`);
if (what === 'exit0') process.exit(0);

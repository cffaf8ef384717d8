/**
 * Training steps by several processes over MPI: workloads of `bench:train` at the same batch, of which each rank has its share,
 * beside one process of as many threads and, where /usr/bin/python3 can import torch, beside PyTorch's DistributedDataParallel
 * over Gloo, each in turn. Best of five rounds of whole steps, as rank 0 sees them.
 *
 *     npm run bench:distributed -- [--ranks 2] [--threads 1] [--only mlp,vgg] [--seconds 1] [--mpirun 'mpiexec.mpich']
 *     npm run bench:distributed -- --only wide --buckets 1,4,25,64       sizes of buckets, in MiB
 *
 * `wide` is eight layers of 1024 × 1024, 32 MiB of gradients, batch 64 a rank. As a rank that somebody else starts, as on the hosts
 * of benchmark/network: `node --import tsx benchmark/distributed.ts --rank wide [--bucket 25] [--profile]`.
 */
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { compile, Dense, losses, profile, randn, Sequential, SGD, seed, type Tensor } from 'axpy';
import { distribute } from 'axpy/mpi';
import { printTable } from './table.ts';
import { type Workload, workloads } from './workloads.ts';

const { values } = parseArgs({
  options: {
    ranks: { type: 'string', default: '2' },
    threads: { type: 'string', default: '1' },
    only: { type: 'string', default: 'mlp,vgg' },
    seconds: { type: 'string', default: '1' },
    mpirun: { type: 'string', default: 'mpiexec.mpich' },
    bucket: { type: 'string', default: '25' },
    buckets: { type: 'string' },
    profile: { type: 'boolean', default: false },
    // What a rank measures.
    rank: { type: 'string' },
  },
});

/** Much to exchange for what is to compute. */
function wide(): ReturnType<Workload>['trained'] {
  seed(0);
  const model = new Sequential(
    Array.from({ length: 8 }, () => new Dense(1024, 1024, { activation: 'relu' })),
  );
  const optimizer = new SGD(model.parameters(), { learningRate: 1e-3, momentum: 0.9 });
  const step = compile((x: Tensor, y: Tensor) => {
    const loss = losses.mse(model.forward(x), y);
    optimizer.zeroGrad();
    loss.backward();
    optimizer.step();
    return loss;
  });
  return { step, optimizer, x: randn([64, 1024]), y: randn([64, 1024]) };
}

async function measureHere(name: string): Promise<void> {
  const { setThreads } = await import('axpy');
  setThreads(Number(values.threads));
  const world = await distribute({ bucketBytes: Number(values.bucket) * 2 ** 20 });
  const { optimizer, step, x, y } =
    name === 'wide' ? wide() : workloads[name as keyof typeof workloads]().trained;
  world.wrap(optimizer);
  const { rank, size } = world;
  const part = (rows: number) =>
    [Math.round((rank * rows) / size), Math.round(((rank + 1) * rows) / size)] as [number, number];
  const [own, target] = name === 'wide' ? [x, y] : [x.slice([part(x.shape[0])]), y.slice([part(x.shape[0])])];
  for (let i = 0; i < 5; i++) step.sync(own, target);
  let start = performance.now();
  step.sync(own, target);
  const [each] = await world.sum([(performance.now() - start) / size]);
  const count = Math.max(3, Math.floor((Number(values.seconds) * 200) / each));
  const rounds: number[] = [];
  const before = world.statistics;
  for (let round = 0; round < 5; round++) {
    await world.barrier();
    start = performance.now();
    for (let i = 0; i < count; i++) step.sync(own, target);
    rounds.push((performance.now() - start) / count);
  }
  const after = world.statistics;
  const profiled = values.profile ? profile(step, [own, target], { print: false }) : null;
  if (rank !== 0) return;
  if (profiled) console.log(String(profiled));
  const per = (a: number, b: number) => ((b - a) / (5 * count)) * 1e3;
  console.log(
    JSON.stringify({
      workload: name,
      ranks: size,
      step: Math.min(...rounds) * 1e3,
      exchanging: per(before.seconds, after.seconds),
      waited: per(before.waited, after.waited),
      megabytes: per(before.bytes, after.bytes) / 1e3 / 2 ** 20,
    }),
  );
}

interface Measured {
  workload: string;
  ranks: number;
  /** Microseconds a step. */
  step: number;
  /** Milliseconds a step from the beginnings of exchanges to their ends, and of these waited for. */
  exchanging: number;
  waited: number;
  /** MiB a step. */
  megabytes: number;
}

function run(name: string, ranks: string, threads: string, bucket = values.bucket): Measured {
  const own = ['--import', 'tsx', fileURLToPath(import.meta.url), '--rank', name];
  const options = ['--threads', threads, '--bucket', bucket, '--seconds', values.seconds];
  // Open MPI would bind a rank, and its threads, to a core, and refuses root where it is not told otherwise.
  const launched = values.mpirun.includes('openmpi') ? ['--bind-to', 'none', '--allow-run-as-root'] : [];
  const job = [...launched, '-n', ranks, process.execPath, ...own, ...options];
  const { stdout, stderr, status } = spawnSync(values.mpirun, job, { encoding: 'utf8' });
  if (status !== 0) throw new Error(`${values.mpirun} ended with ${status}:\n${stderr}`);
  return JSON.parse(stdout) as Measured;
}

/** Microseconds a step; undefined without PyTorch. */
function torch(name: string, ranks: string, threads: string): number | undefined {
  const script = fileURLToPath(new URL('torch_distributed.py', import.meta.url));
  const options = [
    '--workload',
    name,
    '--ranks',
    ranks,
    '--threads',
    threads,
    '--bucket-view',
    '--seconds',
    values.seconds,
  ];
  const { stdout, status } = spawnSync('/usr/bin/python3', [script, ...options], { encoding: 'utf8' });
  return status === 0 ? (JSON.parse(stdout) as { step: number }).step : undefined;
}

const milliseconds = (microseconds: number | undefined) =>
  microseconds === undefined ? '' : (microseconds / 1e3).toFixed(2);
const hidden = ({ exchanging, waited }: Measured) =>
  exchanging > 0 ? `${(100 * (1 - waited / exchanging)).toFixed(0)} %` : '';

function compareAll(names: readonly string[]): void {
  const { ranks, threads } = values;
  const all = String(Number(ranks) * Number(threads));
  printTable(
    names.map((workload) => {
      const joint = run(workload, ranks, threads);
      const [alone, ddp] = [run(workload, '1', all), torch(workload, ranks, threads)];
      return {
        workload,
        [`${ranks} ranks × ${threads}, ms`]: milliseconds(joint.step),
        hidden: hidden(joint),
        [`1 process × ${all}, ms`]: milliseconds(alone.step),
        ratio: (joint.step / alone.step).toFixed(2),
        'PyTorch DDP, ms': milliseconds(ddp),
      };
    }),
  );
}

function compareBuckets(name: string, sizes: readonly string[]): void {
  printTable(
    sizes.map((size) => {
      const own = run(name, values.ranks, values.threads, size);
      return {
        'bucket, MiB': size,
        'step, ms': milliseconds(own.step),
        'waited, ms': own.waited.toFixed(2),
        'exchanges, ms': own.exchanging.toFixed(2),
        hidden: hidden(own),
      };
    }),
  );
}

if (values.rank !== undefined) await measureHere(values.rank);
else if (values.buckets !== undefined) {
  for (const name of values.only.split(',')) compareBuckets(name, values.buckets.split(','));
} else compareAll(values.only.split(','));

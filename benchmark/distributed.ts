/**
 * Training steps by several processes over MPI: the workloads of `bench:train` at the same batch, of which each rank has its
 * share, beside one process of as many threads and beside PyTorch's DistributedDataParallel over Gloo, each in turn. Best of five
 * rounds of whole steps, as rank 0 sees them.
 *
 *     npm run bench:distributed -- [--ranks 2] [--threads 1] [--only mlp,vgg] [--seconds 1] [--mpirun 'mpiexec.mpich -n']
 *                                  [--buckets 1,4,25,64] [--profile]
 *
 * `--buckets` compares sizes of buckets, in MiB, of a network with as many gradients as asked for: what of their exchange was
 * hidden behind backward.
 */
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { distribute } from 'axpy/mpi';
import { type Workload, workloads } from './workloads.ts';

const { values } = parseArgs({
  options: {
    ranks: { type: 'string', default: '2' },
    threads: { type: 'string', default: '1' },
    only: { type: 'string', default: 'mlp,vgg' },
    seconds: { type: 'string', default: '1' },
    mpirun: { type: 'string', default: 'mpiexec.mpich' },
    bucket: { type: 'string', default: '25' },
    // What a rank measures.
    rank: { type: 'string' },
  },
});

async function measureHere(name: string): Promise<void> {
  const { setThreads } = await import('axpy');
  setThreads(Number(values.threads));
  const world = await distribute({ bucketBytes: Number(values.bucket) * 2 ** 20 });
  const make: Workload = workloads[name as keyof typeof workloads];
  const { optimizer, step, x, y } = make().trained;
  world.wrap(optimizer);
  const { rank, size } = world;
  const part = (rows: number) =>
    [Math.round((rank * rows) / size), Math.round(((rank + 1) * rows) / size)] as [number, number];
  const [own, target] = [x.slice([part(x.shape[0])]), y.slice([part(x.shape[0])])];
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
  if (rank !== 0) return;
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

if (values.rank !== undefined) {
  await measureHere(values.rank);
} else {
  const file = fileURLToPath(import.meta.url);
  for (const name of values.only.split(',')) {
    const given = [
      '--import',
      'tsx',
      file,
      '--rank',
      name,
      '--threads',
      values.threads,
      '--bucket',
      values.bucket,
      '--seconds',
      values.seconds,
    ];
    const { stdout, stderr } = spawnSync(values.mpirun, ['-n', values.ranks, process.execPath, ...given], {
      encoding: 'utf8',
    });
    process.stdout.write(stdout + stderr);
  }
}

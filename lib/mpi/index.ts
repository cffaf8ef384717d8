/**
 * Training by several processes at once, on one machine or many, over MPI.
 * @module axpy/mpi
 */
import { ArgumentError, DistributedError, World } from '../index.ts';
import { jobOf, settingsOf } from './launcher.ts';

export { type ExchangeStatistics, type Scattered, World } from '../index.ts';

/** Options of `distribute`. */
export interface DistributeOptions {
  /**
   * How many seconds an exchange waits for the other ranks. After that it throws a DistributedError which names those that did
   * not come: they hang, or are lost without their launcher having noticed. Default 300.
   */
  timeout?: number;
  /**
   * How many bytes of gradients are added up by one exchange, at most. Smaller ones begin earlier in backward, larger ones take
   * fewer round trips. Default 25 MiB, as PyTorch's DistributedDataParallel has it.
   */
  bucketBytes?: number;
}

let opened: Promise<World> | undefined;

/**
 * Joins the job that this process was started in, by `mpirun -n 4 node train.mjs`, `srun` or another launcher: all of its
 * processes call it. The MPI library is the one that belongs to the launcher (MPICH, MVAPICH, Intel MPI, Open MPI 4 and 5, and
 * what has the ABI of MPI 5), opened at run time; `AXPY_MPI` names another one by its path. Without a launcher the world is this
 * process alone, and nothing is opened: the same program runs by `node train.mjs`.
 *
 * A process that ends by an error, or by `process.exit` with a code that is not 0, ends the job: the others get a
 * DistributedError which names it and says why, and after two seconds are ended. So does one that hangs, after `timeout`.
 * @returns the world, the same at each call
 * @throws DistributedError where the launcher's MPI cannot be opened or is another one's, or where ranks have other versions of
 *   this library; BackendError where the fallback serves, which exchanges nothing; ArgumentError for options, and in a worker
 *   thread
 */
export function distribute(options: DistributeOptions = {}): Promise<World> {
  opened ??= open(options).catch((error) => {
    opened = undefined;
    throw error;
  });
  return opened;
}

async function open({
  timeout = 300,
  bucketBytes = 25 * 2 ** 20,
  ...others
}: DistributeOptions): Promise<World> {
  const op = 'distribute';
  const [unknown] = Object.keys(others);
  if (unknown !== undefined) {
    throw new ArgumentError(`[${op}] expected options timeout and bucketBytes, got ${unknown}`);
  }
  for (const [name, value] of Object.entries({ timeout, bucketBytes })) {
    if (!(typeof value === 'number' && value > 0 && Number.isFinite(value))) {
      throw new ArgumentError(`[${op}] expected ${name} to be a finite number above 0, got ${String(value)}`);
    }
  }
  const { isMainThread } = await import('node:worker_threads');
  if (!isMainThread) {
    throw new ArgumentError(
      `[${op}] expected to be called on the main thread, got a worker: a rank is a process`,
    );
  }
  const { env, platform } = process;
  const job = jobOf(env, platform, env.AXPY_MPI || undefined);
  if (job !== undefined) {
    for (const [name, value] of Object.entries(settingsOf(job.size))) env[name] ??= value;
  }
  const world = await World.open(job?.libraries ?? null, { timeout, bucketBytes });
  if (job?.size !== undefined && job.size !== world.size) {
    throw new DistributedError(
      `[${op}] expected ${job.size} ranks, as ${job.launcher} says, got ${world.size} from ${world.library}: it is not ` +
        'the MPI of the launcher. Start the job by the mpirun of that library, or name the right one in AXPY_MPI',
    );
  }
  return world;
}

/** Jobs of several ranks on this machine, by either MPI. */
import { spawn } from 'node:child_process';

export const kinds = ['mpich', 'openmpi'] as const;
export type Kind = (typeof kinds)[number];

/** Debian calls them so where both are installed. */
const launchers: Readonly<Record<Kind, readonly string[]>> = {
  mpich: ['mpiexec.mpich'],
  openmpi: ['mpirun.openmpi', '--oversubscribe'],
};

export interface Ended {
  /** What the launcher exits with; null where it had to be killed. */
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
  readonly seconds: number;
  /** The processes of the job that said their number and are still there, some seconds later. */
  readonly left: readonly number[];
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

/** @param files one bundle for all ranks, or one for each @param limit seconds, after which the launcher is killed */
export async function job(
  kind: Kind | null,
  ranks: number,
  files: string | readonly string[],
  args: readonly string[] = [],
  { env = {}, limit = 50 }: { env?: Readonly<Record<string, string>>; limit?: number } = {},
): Promise<Ended> {
  const own = (file: string) => [process.execPath, file, ...args];
  const parts =
    typeof files === 'string'
      ? ['-n', String(ranks), ...own(files)]
      : files.flatMap((file, i) => [...(i > 0 ? [':'] : []), '-n', '1', ...own(file)]);
  const [command, ...rest] = kind === null ? own(files as string) : [...launchers[kind], ...parts];
  const start = performance.now();
  // Open MPI refuses to run as root, as which containers run.
  const asRoot = { OMPI_ALLOW_RUN_AS_ROOT: '1', OMPI_ALLOW_RUN_AS_ROOT_CONFIRM: '1' };
  const child = spawn(command, rest, {
    env: { ...process.env, ...asRoot, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let [stdout, stderr] = ['', ''];
  child.stdout.on('data', (data) => {
    stdout += data;
  });
  child.stderr.on('data', (data) => {
    stderr += data;
  });
  const timer = setTimeout(() => child.kill('SIGKILL'), 1000 * limit);
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', resolve);
  });
  clearTimeout(timer);
  const seconds = (performance.now() - start) / 1000;
  const pids = Array.from(stdout.matchAll(/^pid (\d+)$/gm), ([, pid]) => Number(pid));
  for (let i = 0; i < 50 && pids.some(isAlive); i++) await new Promise((resolve) => setTimeout(resolve, 100));
  return { code, stdout, stderr, seconds, left: pids.filter(isAlive) };
}

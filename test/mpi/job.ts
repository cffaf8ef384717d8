/** Runs a script as a job of several ranks, by the launchers that there are. */
import { spawn } from 'node:child_process';
import { bundle } from '../bundle.ts';

/** How each starts a job of so many ranks, which may be more than there are cores. */
const commands = {
  MPICH: (ranks: number) => ['mpiexec.mpich', '-n', String(ranks)],
  'Open MPI': (ranks: number) => [
    'mpirun.openmpi',
    '--allow-run-as-root',
    '--oversubscribe',
    '--bind-to',
    'none',
    '-n',
    String(ranks),
  ],
} as const;

export type Launcher = keyof typeof commands;
export const launchers = Object.keys(commands) as Launcher[];
/** By which what lies above the kernels is tested, as each job takes half a second; fit, faults and scatter are by all. */
export const usual = launchers.slice(0, 1);

export interface Ended {
  /** The exit code of the launcher, or the signal that ended it. */
  readonly code: number | string;
  readonly stdout: string;
  readonly stderr: string;
  /** How long it took, in seconds. */
  readonly seconds: number;
}

export interface JobOptions {
  readonly env?: Readonly<Record<string, string>>;
  /** When it is ended by force; default 60. */
  readonly seconds?: number;
  /** Told once the job has written so much, with the launcher's process. */
  readonly onOutput?: (text: string, pid: number) => void;
}

/** Starts `node <child> <args>` as ranks of a job; null starts one process without a launcher. Each has one thread. */
export function job(
  launcher: Launcher | null,
  ranks: number,
  child: string,
  args: readonly string[] = [],
  { env = {}, seconds = 60, onOutput }: JobOptions = {},
): Promise<Ended> {
  const [command, ...before] =
    launcher === null ? [process.execPath] : [...commands[launcher](ranks), process.execPath];
  const start = performance.now();
  const running = spawn(command, [...before, bundle(`test/mpi/${child}`), ...args], {
    env: { ...process.env, AXPY_BACKEND: 'native', AXPY_THREADS: '1', AXPY_GUARD: '', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let [stdout, stderr] = ['', ''];
  running.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
    onOutput?.(stdout, running.pid!);
  });
  running.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  const limit = setTimeout(() => running.kill('SIGKILL'), seconds * 1000);
  return new Promise((resolve, reject) => {
    running.on('error', (error) => {
      clearTimeout(limit);
      reject(
        new Error(`${command} cannot be started: npm test installs mpich and openmpi-bin`, { cause: error }),
      );
    });
    running.on('close', (code, signal) => {
      clearTimeout(limit);
      resolve({ code: code ?? signal!, stdout, stderr, seconds: (performance.now() - start) / 1000 });
    });
  });
}

/** The same of a job that ends well and silently: the lines of JSON that its ranks print. @throws what it said otherwise */
export async function outputOf<Line>(...job_: Parameters<typeof job>): Promise<Line[]> {
  const { code, stdout, stderr } = await job(...job_);
  if (code !== 0 || stderr !== '') throw new Error(`the job ended with ${code}:\n${stdout}\n${stderr}`);
  return stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Line);
}

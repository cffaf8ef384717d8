/**
 * One training step (forward, loss, backward, update) and one example's inference of each workload, eager and compiled,
 * on both backends and, where /usr/bin/python3 can import torch, in PyTorch in the same run: each in a process of its own,
 * whose peak memory is told as well. Best of five rounds of whole steps.
 *
 *     npm run bench:train -- [--threads 2] [--seconds 1] [--only house,mlp,cnn,vgg,gpt,lstm,gru,bilstm] [--profile]
 *
 * `--profile` shows instead where the time of each compiled step goes, by kernels and by calls.
 */
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { printTable } from './table.ts';
import { type Workload, workloads } from './workloads.ts';

interface Result {
  workload: string;
  system: string;
  /** Microseconds a step, and an example's inference. */
  step: number;
  inference: number;
  /** MiB: the resident memory before there was a model, and at its peak. */
  idle: number;
  peak: number;
}

const ways = ['compiled', 'eager'] as const;

const { values } = parseArgs({
  options: {
    threads: { type: 'string', default: '2' },
    seconds: { type: 'string', default: '1' },
    only: { type: 'string', default: Object.keys(workloads).join(',') },
    profile: { type: 'boolean', default: false },
    // What a process of its own measures.
    way: { type: 'string' },
  },
});
const names = values.only.split(',');

/** Microseconds a call: the best of five rounds, each a fifth of the time long. */
function best(fn: () => void, seconds: number): number {
  for (let i = 0; i < 3; i++) fn();
  let start = performance.now();
  fn();
  const rounds: number[] = [];
  const count = Math.max(3, Math.floor((seconds * 200) / Math.max(performance.now() - start, 1e-3)));
  for (let round = 0; round < 5; round++) {
    start = performance.now();
    for (let i = 0; i < count; i++) fn();
    rounds.push((performance.now() - start) / count);
  }
  return Math.min(...rounds) * 1e3;
}

/** A backend is chosen at load, so each has a process of its own; this is what runs in it. */
async function measureHere(way: (typeof ways)[number]): Promise<void> {
  const { backendInfo, setThreads } = await import('axpy');
  setThreads(Number(values.threads));
  const idle = process.memoryUsage.rss() / 2 ** 20;
  const seconds = Number(values.seconds);
  for (const name of names) {
    const { step, inference } = workloads[name as keyof typeof workloads]()[way];
    const result: Result = {
      workload: name,
      system: `${backendInfo().name}, ${way}`,
      step: best(step, seconds),
      inference: best(inference, seconds),
      idle,
      peak: process.resourceUsage().maxRSS / 2 ** 10,
    };
    console.log(JSON.stringify(result));
  }
}

function run(command: string, args: string[], env: NodeJS.ProcessEnv): Result[] {
  const { stdout, stderr, status } = spawnSync(command, args, {
    encoding: 'utf8',
    env: { ...process.env, ...env },
  });
  if (status !== 0) {
    console.error(stderr);
    return [];
  }
  return stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Result);
}

function compare(): void {
  const python = fileURLToPath(new URL('./torch_train.py', import.meta.url));
  const hasTorch = spawnSync('/usr/bin/python3', ['-c', 'import torch']).status === 0;
  const results = names.flatMap((name) => {
    const shared = ['--threads', values.threads, '--seconds', values.seconds, '--only', name];
    const own = (backend: string, way: string) => {
      // The modules: of the one file that Node has otherwise tsx would make another, of 55 MiB.
      const conditions = ['--conditions=module', ...process.execArgv];
      const args = [...conditions, fileURLToPath(import.meta.url), ...shared, '--way', way];
      return run(process.execPath, args, { AXPY_BACKEND: backend });
    };
    return [
      ...ways.flatMap((way) => own('native', way)),
      ...own('fallback', 'compiled'),
      ...(hasTorch ? run('/usr/bin/python3', [python, ...shared], { OMP_NUM_THREADS: values.threads }) : []),
    ];
  });
  if (!hasTorch) console.log('PyTorch: /usr/bin/python3 cannot import torch (apt-get install python3-torch)');
  const micro = (us: number) => us.toFixed(us < 100 ? 1 : 0);
  for (const name of names) {
    const rows = results.filter(({ workload }) => workload === name);
    const reference = rows.find(({ system }) => system === 'native, compiled');
    console.log(`\n${name}: ${(workloads[name as keyof typeof workloads] as Workload).title}`);
    printTable(
      rows.map(({ system, step, inference, idle, peak }) => ({
        system,
        'step, µs': micro(step),
        'step / ours': reference ? `${(step / reference.step).toFixed(2)}×` : '',
        'one example, µs': micro(inference),
        'example / ours': reference ? `${(inference / reference.inference).toFixed(2)}×` : '',
        'peak memory (idle), MiB': `${peak.toFixed(0)} (${idle.toFixed(0)})`,
      })),
    );
  }
}

async function showProfiles(): Promise<void> {
  const { setThreads } = await import('axpy');
  setThreads(Number(values.threads));
  for (const name of names) {
    const workload = workloads[name as keyof typeof workloads];
    console.log(`\n${name}: ${workload.title}\n${workload().profile().toString(20)}`);
  }
}

if (values.profile) await showProfiles();
else if (values.way) await measureHere(values.way as (typeof ways)[number]);
else compare();

/**
 * One training step (forward, loss, backward, update) of two workloads, eager and compiled, on both backends and, where /usr/bin/python3 can
 * import torch, in PyTorch in the same run. Best of five rounds of whole steps; ratios at the end.
 *
 *     npm run bench:train -- [--threads 2] [--seconds 1] [--only house,mlp]
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
}

const { values } = parseArgs({
  options: {
    threads: { type: 'string', default: '2' },
    seconds: { type: 'string', default: '1' },
    only: { type: 'string', default: Object.keys(workloads).join(',') },
    backend: { type: 'string' },
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
async function measureHere(): Promise<void> {
  const { backendInfo, setThreads } = await import('axpy');
  setThreads(Number(values.threads));
  for (const name of names) {
    const seconds = Number(values.seconds);
    for (const [way, { step, inference }] of Object.entries(workloads[name as keyof typeof workloads]())) {
      const result: Result = {
        workload: name,
        system: `${backendInfo().name}, ${way}`,
        step: best(step, seconds),
        inference: best(inference, seconds),
      };
      console.log(JSON.stringify(result));
    }
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
  const shared = ['--threads', values.threads, '--seconds', values.seconds, '--only', values.only];
  const own = [...process.execArgv, fileURLToPath(import.meta.url), ...shared];
  const python = fileURLToPath(new URL('./torch_train.py', import.meta.url));
  const hasTorch = spawnSync('/usr/bin/python3', ['-c', 'import torch']).status === 0;
  const results = [
    ...run(process.execPath, [...own, '--backend', 'native'], { AXPY_BACKEND: 'native' }),
    ...run(process.execPath, [...own, '--backend', 'fallback'], { AXPY_BACKEND: 'fallback' }),
    ...(hasTorch ? run('/usr/bin/python3', [python, ...shared], { OMP_NUM_THREADS: values.threads }) : []),
  ];
  if (!hasTorch) console.log('PyTorch: /usr/bin/python3 cannot import torch (apt-get install python3-torch)');
  const micro = (us: number) => us.toFixed(us < 100 ? 1 : 0);
  for (const name of names) {
    const rows = results.filter(({ workload }) => workload === name);
    const reference = rows.find(({ system }) => system === 'native, compiled');
    console.log(`\n${name}: ${(workloads[name as keyof typeof workloads] as Workload).title}`);
    printTable(
      rows.map(({ system, step, inference }) => ({
        system,
        'step, µs': micro(step),
        'step / ours': reference ? `${(step / reference.step).toFixed(2)}×` : '',
        'one example, µs': micro(inference),
        'example / ours': reference ? `${(inference / reference.inference).toFixed(2)}×` : '',
      })),
    );
  }
}

if (values.backend) await measureHere();
else compare();

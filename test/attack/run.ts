/**
 * Runs the attackers and reports what they found (docs/attack.md).
 *
 *     npm run attack -- --minutes 30 [--only kernels,api] [--seed 1] [--tries 1000] [--at 17 | --at 10-17] [--jobs 2]
 */
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { bundle } from '../bundle.ts';
import { generator, hash } from '../cases/generator.ts';

export type Backend = 'native' | 'fallback';

interface Attacker {
  /** Tries of one child process. */
  readonly block: number;
  /** Seconds without a new note after which a child hangs. */
  readonly hang: number;
  readonly backends: readonly Backend[];
  /** Its share of the time of a long run. */
  readonly weight: number;
  /** Bytes of resident memory that no child may exceed. */
  readonly memory: number;
  /** Bytes of memory that the system gives a child at most, so that requests for more are refused. */
  readonly limit?: number;
  /** The attacker that it runs in its own way, and the kernels that it is restricted to. */
  readonly script?: string;
  readonly only?: string;
  /** Emulated CPUs, one for each block. */
  readonly cpus?: readonly string[];
  /** Environment variables of a block, which choose among what the CPU offers. */
  readonly choices?: Readonly<Record<string, readonly string[]>>;
}

const both: readonly Backend[] = ['native', 'fallback'];
const gigabyte = 2 ** 30;
const instructions = {
  AXPY_SIMD: ['', '', 'SSE2', 'SSE4', 'AVX2', 'AVX-512'],
  OPENBLAS_CORETYPE: ['', '', 'Prescott', 'Nehalem', 'Sandybridge', 'Haswell'],
};

export const attackers = {
  kernels: {
    block: 1000,
    hang: 30,
    backends: ['native'],
    weight: 4,
    memory: 3 * gigabyte,
    choices: instructions,
  },
  programs: { block: 500, hang: 30, backends: both, weight: 2, memory: 3 * gigabyte, choices: instructions },
  api: { block: 2000, hang: 12, backends: both, weight: 3, memory: 4 * gigabyte, limit: 3 * gigabyte },
  files: { block: 2000, hang: 12, backends: both, weight: 2, memory: 2 * gigabyte, limit: 1.5 * gigabyte },
  storm: { block: 20, hang: 120, backends: ['native'], weight: 4, memory: 4 * gigabyte },
  cpus: {
    block: 24,
    hang: 120,
    backends: ['native'],
    weight: 2,
    memory: 4 * gigabyte,
    script: 'kernels',
    only: 'gemm,gemmAccumulate,convolve,convolveTransposed,convolveWeightGradient,fused,elementwise,softmax,unary,reduce,batchNorm,layerNorm,maxPool,adam,randomNormal',
    cpus: [
      'qemu64',
      'Nehalem',
      'Opteron_G4',
      'Haswell',
      'Opteron_G1',
      'Conroe',
      'Penryn',
      'Opteron_G2',
      'Opteron_G3',
      'Opteron_G5',
      'Westmere',
      'SandyBridge',
      'IvyBridge',
      'Broadwell',
      'EPYC',
      'Denverton',
      'max',
    ],
  },
} satisfies Record<string, Attacker>;

export type AttackerName = keyof typeof attackers;

export interface Find {
  readonly index: number;
  readonly kind: string;
  readonly detail: string;
}

export interface Report {
  readonly name: AttackerName;
  readonly backend: Backend;
  readonly seed: number;
  readonly tries: number;
  /** What the attacker counts beside tries. */
  readonly counts: Readonly<Record<string, number>>;
  readonly finds: readonly Find[];
}

export interface Plan {
  readonly backend?: Backend;
  readonly seed?: number;
  readonly from?: number;
  readonly tries?: number;
  readonly seconds?: number;
  /** Children at a time. */
  readonly jobs?: number;
}

const sanitizer = process.env.AXPY_SANITIZER;
/** Code under a sanitizer is slower. */
const patience = sanitizer === undefined ? 1 : 4;

function residentBytes(pid: number): number {
  try {
    return Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) * 1024;
  } catch {
    return 0;
  }
}

/** The first line that names the fault, of a sanitizer's report. */
function reported(stderr: string): string | null {
  return /^.*(?:runtime error:|SUMMARY: \w+Sanitizer:|ERROR: \w+Sanitizer:).*$/m.exec(stderr)?.[0] ?? null;
}

interface Block {
  readonly from: number;
  readonly to: number;
}

interface Ended {
  /** The first try that was not made. */
  readonly next: number;
  readonly finds: readonly Find[];
}

/** Runs one child over a block, until its end or its death. */
async function runBlock(
  attacker: Attacker,
  script: string,
  { from, to }: Block,
  seed: number,
  until: number,
  env: NodeJS.ProcessEnv,
  wrapper: readonly string[],
  counts: Record<string, number>,
): Promise<Ended> {
  const folder = mkdtempSync(join(tmpdir(), 'axpy-attack-'));
  const journal = join(folder, 'journal');
  const finds: Find[] = [];
  let next: number | null = null;
  let stderr = '';
  let rest = '';
  const args = ['--expose-gc', script];
  const options = { seed, from, to, until, journal };
  for (const [name, value] of Object.entries(options)) args.push(`--${name}`, String(value));
  if (attacker.only) args.push('--only', attacker.only);
  const [command, ...own] = [...wrapper, process.execPath, ...args];
  const child = spawn(command, own, {
    env,
    stdio: ['ignore', 'pipe', 'pipe'],
    cwd: folder,
  });
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    const lines = (rest + text).split('\n');
    rest = lines.pop()!;
    for (const line of lines) {
      if (!line.startsWith('@')) continue;
      const message = JSON.parse(line.slice(1)) as Find & { next?: number; count?: string; times?: number };
      if (message.next !== undefined) next = message.next;
      else if (message.count === undefined) finds.push(message);
      else counts[message.count] = (counts[message.count] ?? 0) + message.times!;
    }
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    if (stderr.length < 2 ** 20) stderr += text;
  });
  const ended = new Promise<string>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code, signal) => resolve(signal ?? `exit code ${code}`));
  });
  const lastNote = () => {
    try {
      return readFileSync(journal, 'utf8').split('\0')[0];
    } catch {
      return '';
    }
  };
  let killed: string | null = null;
  let over = false;
  const watch = async () => {
    let seen = '';
    let since = Date.now();
    while (!over) {
      await Promise.race([ended, sleep(200)]);
      const note = lastNote();
      if (note !== seen) [seen, since] = [note, Date.now()];
      if (Date.now() - since > attacker.hang * 1000 * patience) killed = 'a hang';
      else if (!sanitizer && residentBytes(child.pid!) > attacker.memory) killed = 'too much memory';
      if (killed !== null) {
        child.kill('SIGKILL');
        return;
      }
    }
  };
  const watching = watch();
  const way = await ended;
  over = true;
  await watching;
  const [, index, text] = /^(\d+) (.*)$/s.exec(lastNote()) ?? [null, String(from), 'nothing noted'];
  rmSync(folder, { recursive: true, force: true });
  const report = reported(stderr);
  const kindOfCall = text.split(/[\s(:]/)[0];
  if (next === null) {
    const kind = killed ?? report?.replace(/==\d+==|0x[0-9a-f]+|\S*\/native\//g, '') ?? way;
    finds.push({
      index: Number(index),
      kind: `${kind} in ${kindOfCall}`,
      detail: `${text}\n${stderr.slice(0, 6000)}`,
    });
    return { next: Number(index) + 1, finds };
  }
  if (report !== null) finds.push({ index: from, kind: report, detail: stderr.slice(0, 6000) });
  return { next, finds };
}

/** What a child runs under: limits, or an emulated CPU. */
function wrapperOf({ limit, cpus }: Attacker, block: number): readonly string[] {
  if (cpus !== undefined) return ['qemu-x86_64', '-cpu', cpus[block % cpus.length]];
  // The memory of these sanitizers themselves is beyond any limit.
  if (limit === undefined || sanitizer === 'address' || sanitizer === 'thread') return [];
  return ['prlimit', `--data=${limit}`];
}

export async function attack(name: AttackerName, plan: Plan = {}): Promise<Report> {
  const attacker: Attacker = attackers[name];
  const { backend = 'native', seed = 1, from = 0, tries = Infinity, seconds = 3600, jobs = 1 } = plan;
  const script = bundle(`test/attack/${attacker.script ?? name}.ts`);
  if (name === 'storm') bundle('test/attack/storm.child.ts');
  const until = Date.now() + seconds * 1000;
  const finds: Find[] = [];
  const counts: Record<string, number> = {};
  let made = 0;
  let start = from;
  const lane = async () => {
    while (start < from + tries && Date.now() < until) {
      // Blocks begin at multiples of their size, so that a replay has the environment of the original.
      const block = Math.floor(start / attacker.block);
      let at = start;
      const to = Math.min((block + 1) * attacker.block, from + tries);
      start = to;
      const next = generator(hash(`${seed} block ${block}`));
      const env: NodeJS.ProcessEnv = { ...process.env, AXPY_BACKEND: backend, AXPY_GUARD: '1' };
      if (process.env.AXPY_PRELOAD) env.LD_PRELOAD = process.env.AXPY_PRELOAD;
      for (const [variable, values] of Object.entries(attacker.choices ?? {})) {
        const value = values[Math.floor(next() * values.length)];
        if (value !== '') env[variable] = value;
      }
      const wrapper = wrapperOf(attacker, block);
      while (at < to && Date.now() < until) {
        const ended = await runBlock(attacker, script, { from: at, to }, seed, until, env, wrapper, counts);
        made += ended.next - at;
        finds.push(...ended.finds);
        at = ended.next;
      }
    }
  };
  await Promise.all(Array.from({ length: jobs }, lane));
  return { name, backend, seed, tries: made, counts, finds };
}

/** The finds of a kind together, the most frequent kind first. */
export function kinds({ finds }: Report): { kind: string; count: number; first: Find }[] {
  const found = new Map<string, { kind: string; count: number; first: Find }>();
  for (const first of finds) {
    const entry = found.get(first.kind);
    if (entry) entry.count++;
    else found.set(first.kind, { kind: first.kind, count: 1, first });
  }
  return [...found.values()].sort((a, b) => b.count - a.count);
}

/** The tries and finds of a report, a line each. */
export function show(report: Report): string {
  const { name, backend, seed, tries, counts, finds } = report;
  const others = Object.entries(counts).map(([what, times]) => `, ${times} ${what}`);
  const lines = [
    `${name} on ${backend}: ${tries} tries${others.join('')}, ${finds.length} finds (seed ${seed})`,
  ];
  for (const { kind, count, first } of kinds(report)) {
    lines.push(`  ${count} × ${kind}`);
    lines.push(
      `    npm run attack -- --only ${name} --backend ${backend} --seed ${seed} --at ${first.index}`,
    );
    lines.push(
      ...first.detail
        .split('\n')
        .slice(0, 40)
        .map((line) => `    | ${line.slice(0, 400)}`),
    );
  }
  return lines.join('\n');
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      minutes: { type: 'string', default: '5' },
      only: { type: 'string' },
      backend: { type: 'string' },
      seed: { type: 'string' },
      tries: { type: 'string' },
      at: { type: 'string' },
      jobs: { type: 'string', default: String(availableParallelism()) },
    },
  });
  // No sanitizer runs on an emulated CPU.
  const all =
    values.only ??
    Object.keys(attackers)
      .filter((name) => name !== 'cpus' || !sanitizer)
      .join();
  const names = all.split(',') as AttackerName[];
  for (const name of names) if (!(name in attackers)) throw new Error(`no attacker is named ${name}`);
  const seed = values.seed === undefined ? Math.floor(Math.random() * 2 ** 31) : Number(values.seed);
  const runs = names.flatMap((name) => {
    const backends: readonly Backend[] = attackers[name].backends;
    const chosen = backends.filter((backend) => values.backend === undefined || backend === values.backend);
    return chosen.map((backend) => ({ name, backend, weight: attackers[name].weight / chosen.length }));
  });
  const total = runs.reduce((sum, { weight }) => sum + weight, 0);
  const [from, last] = values.at === undefined ? [0] : values.at.split('-').map(Number);
  const reports: Report[] = [];
  for (const { name, backend, weight } of runs) {
    const report = await attack(name, {
      backend,
      seed,
      from,
      tries: values.at === undefined ? Number(values.tries ?? Infinity) : (last ?? from) - from + 1,
      seconds: (Number(values.minutes) * 60 * weight) / total,
      jobs: Number(values.jobs),
    });
    console.log(show(report));
    reports.push(report);
  }
  console.log('\nattacker   backend    tries     finds');
  for (const { name, backend, tries, finds } of reports) {
    console.log(`${name.padEnd(10)} ${backend.padEnd(10)} ${String(tries).padEnd(9)} ${finds.length}`);
  }
  process.exitCode = reports.some(({ finds }) => finds.length > 0) ? 1 : 0;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await main();

/**
 * A storm of ends and shortages: processes and threads that are ended at any moment, hundreds of threads, little memory, and
 * each request for a thread or for memory that fails in its turn. Whatever happens, a process ends by itself, in time, with
 * an exit code of its own.
 */
import { execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdirSync, renameSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { attempts, type Random, type Try } from './support.ts';

const here = dirname(fileURLToPath(import.meta.url));
const script = join(here, 'test-attack-storm.child.mjs');
const sanitizer = process.env.AXPY_SANITIZER;
/** An address sanitizer and that of threads have memory of their own, which no limit bears. */
const canLimit = sanitizer === undefined || sanitizer === 'undefined';
const patience = sanitizer === undefined ? 1 : 8;

interface Ending {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
  readonly hung: boolean;
}

interface Options {
  readonly seconds?: number;
  /** A shell's commands before the process, such as limits. */
  readonly before?: string;
  readonly flags?: readonly string[];
  readonly env?: NodeJS.ProcessEnv;
  /** What is done to the process once it says "go". */
  readonly once?: (kill: (signal: NodeJS.Signals) => void) => Promise<void>;
}

function play(args: readonly (string | number)[], options: Options = {}): Promise<Ending> {
  const { seconds = 30, before = ':', flags = [], env = {}, once } = options;
  return new Promise((resolve) => {
    const own = [process.execPath, ...flags, script, ...args.map(String)];
    // Only Node itself can bear what is preloaded.
    const { LD_PRELOAD: preload = '', ...others } = { ...process.env, ...env };
    const child = spawn('bash', ['-c', `${before}; LD_PRELOAD="$0" exec "$@"`, preload, ...own], {
      env: others,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let [stdout, stderr, hung, struck] = ['', '', false, false];
    const timer = setTimeout(
      () => {
        hung = true;
        child.kill('SIGKILL');
      },
      seconds * 1000 * patience,
    );
    child.stdout.on('data', (text) => {
      stdout += text;
      if (struck || !stdout.includes('go\n')) return;
      struck = true;
      void once?.((signal) => child.kill(signal));
    });
    child.stderr.on('data', (text) => {
      stderr += text;
    });
    child.on('close', (code, signal) => {
      clearTimeout(timer);
      resolve({ code, signal, stdout, stderr, hung });
    });
  });
}

const isReported = ({ stderr }: Ending): boolean => /Sanitizer|runtime error:/.test(stderr);
/** The engine's own end when its heap has no memory. */
const isOutOfMemory = ({ stderr }: Ending): boolean =>
  /(FATAL ERROR|Fatal (JavaScript|process)|FatalProcessOutOfMemory).*(memory|limit|failed)|out of memory|(std::|St9)bad_alloc|Cannot allocate memory/i.test(
    stderr,
  );

function judge(t: Try, what: string, ending: Ending, isRight: (ending: Ending) => boolean): void {
  const detail = `${ending.stdout.slice(0, 1000)}\n${ending.stderr.slice(0, 3000)}`;
  for (const [, text] of ending.stdout.matchAll(/^find: (.*)$/gm)) t.find(`${what}: ${text}`, detail);
  if (ending.hung) t.find(`${what}: hangs`, detail);
  else if (isReported(ending)) t.find(`${what}: a sanitizer's report`, detail);
  else if (!isRight(ending))
    t.find(`${what}: ended with ${ending.signal ?? `exit code ${ending.code}`}`, detail);
}

const endless = ['products', 'withoutTurns', 'programs', 'fits', 'predicts', 'compiles'] as const;

/** A process that is ended from outside. */
async function killed(t: Try): Promise<void> {
  const { random } = t;
  const what = random.pick(endless);
  const signal = random.pick(['SIGKILL', 'SIGTERM', 'SIGINT'] as const);
  const ms = random.next() * 120;
  t.note(`killed ${what} ${signal} after ${ms} ms`);
  const once = async (kill: (signal: NodeJS.Signals) => void) => {
    await sleep(ms);
    kill(signal);
  };
  const ending = await play(['endless', what, 0, 'wait'], { once });
  judge(t, `killed within ${what}`, ending, (end) => end.signal === signal);
  t.count('kills', 1);
}

/** A process that ends itself. */
async function ends(t: Try): Promise<void> {
  const { random } = t;
  const what = random.pick(endless.filter((name) => name !== 'withoutTurns'));
  const how = random.pick(['exit', 'throw']);
  const ms = Math.floor(random.next() * 120);
  t.note(`ends ${what} by ${how} after ${ms} ms`);
  const ending = await play(['endless', what, ms, how]);
  const code = how === 'exit' ? 3 : 1;
  judge(t, `${how} within ${what}`, ending, (end) => end.code === code);
  t.count('kills', 1);
}

async function terminated(t: Try): Promise<void> {
  const [threads, seed] = [10, t.random.int(0, 1e9)];
  t.note(`terminating ${threads} threads, seed ${seed}`);
  judge(
    t,
    'terminating threads',
    await play(['terminating', threads, seed], { seconds: 60 }),
    (end) => end.code === 0,
  );
  t.count('kills', threads);
}

async function crowded(t: Try): Promise<void> {
  const threads = t.random.int(135, 180);
  t.note(`crowd of ${threads}`);
  const env = { AXPY_THREADS: String(t.random.int(1, 4)) };
  judge(
    t,
    'a crowd of threads',
    await play(['crowd', threads], { seconds: 90, env }),
    (end) => end.code === 0,
  );
}

/** As much address space, data, or heap as it takes, or less. */
async function starved(t: Try): Promise<void> {
  const { random } = t;
  const way = random.pick(['-v', '-v', '-d', 'heap'] as const);
  const megabytes =
    way === '-v' ? random.int(600, 2600) : way === '-d' ? random.int(80, 700) : random.int(4, 60);
  t.note(`starved ${way} ${megabytes} MB`);
  const limits = way === 'heap' ? {} : { before: `ulimit ${way} ${megabytes * 1024}` };
  const flags = way === 'heap' ? [`--max-old-space-size=${megabytes}`] : [];
  const ending = await play(['work'], { ...limits, flags, seconds: 60 });
  const isRight = (end: Ending) => end.code === 0 || isOutOfMemory(end);
  judge(t, `with a limit by ${way === 'heap' ? 'heap' : `ulimit ${way}`}`, ending, isRight);
}

/** The k-th request fails. */
async function faulty(t: Try): Promise<void> {
  const { random } = t;
  const kind = random.pick(['threads', 'maps', 'heap', 'buffers'] as const);
  const at = kind === 'threads' || kind === 'maps' ? random.int(1, 8) : random.int(1, random.pick([20, 200]));
  const onwards = random.chance(0.4);
  t.note(`faulty ${kind} ${at}${onwards ? ' onwards' : ''}`);
  const env: NodeJS.ProcessEnv = { LD_PRELOAD: shim(), AXPY_FAULT_KIND: kind, AXPY_FAULT_AT: String(at) };
  if (onwards) env.AXPY_FAULT_ONWARDS = '1';
  const ending = await play(['work'], { env, seconds: 60 });
  judge(
    t,
    `a fault of ${kind}`,
    ending,
    (end) => end.code === 0 || (kind === 'buffers' && isOutOfMemory(end)),
  );
}

function shim(): string {
  const target = join(here, 'faults.so');
  if (existsSync(target)) return target;
  mkdirSync(here, { recursive: true });
  const source = join(here, '../../test/attack/faults.cc');
  const own = `${target}.${process.pid}`;
  execFileSync('g++', ['-O1', '-shared', '-fPIC', '-o', own, source, '-ldl']);
  renameSync(own, target);
  return target;
}

/** Of a run of any length the first tries are one of each. */
const scenes: readonly ((t: Try) => Promise<void>)[] = [
  killed,
  terminated,
  ends,
  ...(canLimit ? [starved, faulty] : []),
];

function sceneOf(random: Random, index: number): (t: Try) => Promise<void> {
  if (index === 0 || random.chance(0.01)) return crowded;
  return scenes[index % scenes.length];
}

await attempts((t) => sceneOf(t.random, t.index)(t));

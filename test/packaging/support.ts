/** Fresh projects that have installed the tarball, and the programs that run there. */
import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, expect, inject } from 'vitest';
import { root } from './pack.ts';

export interface Outcome {
  code: number | null;
  stdout: string;
  stderr: string;
}

/** What program.mjs says. */
interface Report {
  backend: string;
  reason?: string;
  loss: number;
  errors: string[];
}

/** What a stranger's shell has: nothing of this test run, of npm's or of axpy's. */
function environment(extra: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const foreign =
    /^(AXPY_|VITEST|VITE_|NODE_(?!EXTRA_CA_CERTS)|npm_|INIT_CWD|TEST|DEV$|PROD$|MODE$|SSR$|BASE_URL$)/;
  const own = Object.entries(process.env).filter(([name]) => !foreign.test(name));
  return { ...Object.fromEntries(own), ...extra };
}

/** Runs a program to its end, whatever that is. */
export function run(
  folder: string,
  command: string,
  args: string[],
  env: NodeJS.ProcessEnv = {},
): Promise<Outcome> {
  return new Promise((done, fail) => {
    const child = spawn(command, args, {
      cwd: folder,
      env: environment(env),
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: 240_000,
    });
    const outcome: Outcome = { code: null, stdout: '', stderr: '' };
    child.stdout.setEncoding('utf8').on('data', (text) => {
      outcome.stdout += text;
    });
    child.stderr.setEncoding('utf8').on('data', (text) => {
      outcome.stderr += text;
    });
    child.on('error', fail);
    child.on('close', (code) => done({ ...outcome, code }));
  });
}

/** Runs what has to succeed before anything can be tested. */
export async function prepare(folder: string, command: string, args: string[], env?: NodeJS.ProcessEnv) {
  const outcome = await run(folder, command, args, env);
  if (outcome.code !== 0) {
    throw new Error(`${command} ${args.join(' ')}\n${outcome.stdout}\n${outcome.stderr}`);
  }
  return outcome;
}

export function write(folder: string, files: Record<string, string>): void {
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, name), text);
  }
}

const folders: string[] = [];
afterAll(() => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true, maxRetries: 3 });
});

/** An empty folder, gone after the tests of the file. */
export function emptyFolder(name = 'axpy-project-'): string {
  const folder = realpathSync(mkdtempSync(join(tmpdir(), name)));
  folders.push(folder);
  return folder;
}

/** npm as strangers run it today: nothing that is installed may run a script. */
export function install(folder: string, ...packages: string[]): Promise<Outcome> {
  const quiet = ['--ignore-scripts', '--prefer-offline', '--no-audit', '--no-fund', '--loglevel=error'];
  return prepare(folder, 'npm', ['install', ...quiet, ...packages]);
}

/** A new project with axpy in it. */
export async function project(name?: string, description: object = {}): Promise<string> {
  const folder = emptyFolder(name);
  write(folder, { 'package.json': JSON.stringify({ name: 'project', private: true, ...description }) });
  await install(folder, inject('tarball'));
  return folder;
}

const stranger = readFileSync(join(root, 'test/packaging/program.mjs'), 'utf8');

/** The stranger's program as an ES module, over the package or a subpath of it. */
export function esm(from = 'axpy'): string {
  return stranger.replace("from 'axpy'", `from '${from}'`);
}

/** The same as CommonJS. */
export function cjs(from = 'axpy'): string {
  return stranger.replace(/import (\{[^}]*\}) from 'axpy'/, `const $1 = require('${from}')`);
}

/** The program on the main thread and in two worker threads at the same time. */
export function workers(program: string): string {
  return `
    import '${program}';
    import { Worker } from 'node:worker_threads';
    for (let i = 0; i < 2; i++) new Worker(new URL('${program}', import.meta.url));
  `;
}

/**
 * Programs that get the library by `import` and by `require`, as the package and by the subpath of this machine, and tell how
 * many they were: as they are, as a compiler's input, and a hook that hands Node the source of CommonJS, as compilers do.
 */
export function copies(): Record<string, string> {
  const subpath = `axpy/${process.platform}-${process.arch}`;
  const rest = (found: string) => `
    Promise.all([import('axpy'), import('${subpath}')]).then((later) => {
      const found = [${found}, ...required, ...later];
      const differ = (what) => new Set(found.map(what)).size;
      console.log(JSON.stringify({
        copies: differ(({ Tensor }) => Tensor),
        // Compilers add the first, bundlers the second.
        names: differ((axpy) => Object.keys(axpy).filter((name) => !/^(default|__esModule)$/.test(name)).sort().join()),
        backends: [...new Set(found.map(({ backendInfo }) => backendInfo().name))],
        sum: found[0].tensor([1, 2]).add(found.at(-1).tensor([3, 4])).sum().item(),
      }));
    });`;
  const module = `
    import * as imported from 'axpy';
    import * as target from '${subpath}';
    import required from './copies.required.cjs';
    ${rest('imported, target')}`;
  const compiled = module.replace('(what)', '(what: (axpy: typeof imported) => unknown)');
  return {
    'copies.required.cjs': `
      // What compilers make of a default import.
      const whole = (axpy) => (axpy.__esModule ? axpy.default : axpy);
      const required = [require('axpy'), require('${subpath}')];
      module.exports = [...required, ...required.map(whole)];`,
    'copies.cjs': `const required = require('./copies.required.cjs');${rest('required[0]')}`,
    'copies.mjs': module,
    'copies.ts': compiled,
    'copies.cts': compiled,
    'copies.mts': compiled,
    'hook.mjs': `
      import { register } from 'node:module';
      const hook = \`
        import { readFileSync } from 'node:fs';
        import { fileURLToPath } from 'node:url';
        export async function load(url, context, next) {
          const loaded = await next(url, context);
          const own = loaded.format === 'commonjs' && url.startsWith('file:');
          return own ? { ...loaded, source: readFileSync(fileURLToPath(url)) } : loaded;
        }\`;
      register('data:text/javascript,' + encodeURIComponent(hook));`,
  };
}

/** What a program of `copies` says where there is one library, with its binary. */
export function expectOne({ code, stdout, stderr }: Outcome, backend = 'native'): void {
  expect({ code, stderr, said: code === 0 ? JSON.parse(stdout) : stdout }).toEqual({
    code: 0,
    stderr: '',
    said: { copies: 1, names: 1, backends: [backend], sum: 10 },
  });
}

/** The program in each format, alone and in workers, and what tells one library from two. */
export function programs(): Record<string, string> {
  return {
    'esm.mjs': esm(),
    'cjs.cjs': cjs(),
    'workers.mjs': workers('./esm.mjs'),
    'workers-cjs.mjs': workers('./cjs.cjs'),
    ...copies(),
  };
}

/** A new project with axpy and the tools of test/packaging/package.json in it. */
export async function toolProject(description?: object): Promise<string> {
  const folder = await project('axpy-tools-', description);
  const copy = (how: string) => run(folder, 'cp', [how, '-n', `${inject('tools')}/.`, 'node_modules/']);
  // Links cost nothing, where both are on one disk.
  if ((await copy('-rl')).code !== 0)
    await prepare(folder, 'cp', ['-r', `${inject('tools')}/.`, 'node_modules/']);
  return folder;
}

/** What the program came to: the same everywhere, as the data and the first weights are. */
const loss = 0.002053984;

/** What a program said, for the message of a failure. */
export function all({ stdout, stderr }: Outcome): string {
  return `it said\n${stdout.slice(-5000)}\nand\n${stderr.slice(-5000)}\n`;
}

function checkReports(outcome: Outcome, count: number): Report[] {
  const lines = outcome.stdout.split('\n').filter((line) => line.startsWith('{"backend"'));
  expect({ code: outcome.code, reports: lines.length }, all(outcome)).toEqual({ code: 0, reports: count });
  const reports = lines.map((line) => JSON.parse(line) as Report);
  for (const report of reports) {
    expect(report.loss).toBeCloseTo(loss, 7);
    expect(report.errors).toEqual(['AXPY_SHAPE', 'AXPY_INDEX']);
  }
  return reports;
}

/** The addon served each of `count` threads, and nothing was to be said. */
export function expectNative(outcome: Outcome, count = 1): void {
  for (const { backend, reason } of checkReports(outcome, count)) {
    expect({ backend, reason }).toEqual({ backend: 'native' });
  }
  expect(outcome.stderr).toBe('');
}

/** The fallback served each of `count` threads, for a reason that was said once, and is on one line. */
export function expectFallback(outcome: Outcome, reason: RegExp, count = 1): void {
  for (const report of checkReports(outcome, count)) {
    expect(report.backend).toBe('fallback');
    expect(report.reason).toMatch(reason);
  }
  expect(outcome.stderr).toMatch(/^axpy: the TypeScript fallback serves, [^\n]*\n$/);
  expect(outcome.stderr).toMatch(reason);
}

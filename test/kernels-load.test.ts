/** How the kernels are chosen, and that the addon lives in many threads and ends with them. */
import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, test } from 'vitest';
import { bundle } from './bundle.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const made: string[] = [];
afterAll(() => {
  for (const folder of made) rmSync(folder, { recursive: true, force: true });
});

interface Ran {
  status: number | null;
  signal: string | null;
  stdout: string;
  stderr: string;
}

const bundled = bundle('lib/index.ts');

/** Runs code against a bundle of the library, in a process of its own. */
function run(code: string, env: Record<string, string | undefined>, library = bundled): Ran {
  const file = join(mkdtempSync(join(tmpdir(), 'axpy-load-')), 'main.mjs');
  made.push(join(file, '..'));
  writeFileSync(file, `import * as axpy from ${JSON.stringify(library)};\n${code}`);
  const { AXPY_BACKEND: _, AXPY_THREADS: __, AXPY_BINARY: ___, ...rest } = process.env;
  const { status, signal, stdout, stderr } = spawnSync(process.execPath, [file], {
    cwd: root,
    encoding: 'utf8',
    env: { ...rest, ...env },
    timeout: 50_000,
  });
  return { status, signal, stdout, stderr };
}

/** The library without its binary, or with `binary` in the place of it. */
function copyWithout(binary?: string): string {
  const folder = mkdtempSync(join(tmpdir(), 'axpy-copy-'));
  made.push(folder);
  const library = join(folder, 'axpy.mjs');
  cpSync(bundled, library);
  cpSync(join(root, 'package.json'), join(folder, 'package.json'));
  if (binary !== undefined) {
    mkdirSync(join(folder, 'build', 'Release'), { recursive: true });
    writeFileSync(join(folder, 'build', 'Release', 'axpy.node'), binary);
  }
  return library;
}

const print = 'console.log(JSON.stringify(axpy.backendInfo()));';
const parse = ({ stdout, stderr }: Ran) => {
  expect(stdout, stderr).not.toBe('');
  return JSON.parse(stdout) as { name: string; threads: number; reason?: string };
};

// These set the variables themselves, so that both runs of the suite would do the same: one is enough.
const once = process.env.AXPY_BACKEND === 'native' ? describe : () => {};

once('AXPY_BACKEND', () => {
  test.each([undefined, ''])('unset, or empty (%j), takes the addon', (value) => {
    const ran = run(print, { AXPY_BACKEND: value });
    expect(parse(ran)).toMatchObject({ name: 'native' });
    expect(parse(ran).reason).toBeUndefined();
    expect(ran.stderr).toBe('');
  });

  test.each(['native', 'fallback'])('%s takes that one, without a word', (name) => {
    const ran = run(print, { AXPY_BACKEND: name });
    expect(parse(ran).name).toBe(name);
    expect(parse(ran).reason).toBeUndefined();
    expect(ran.stderr).toBe('');
  });

  test.each(['gpu', ' ', 'Native'])('"%s" is refused', (name) => {
    const { status, stderr } = run(print, { AXPY_BACKEND: name });
    expect(status).toBe(1);
    expect(stderr).toContain('BackendError');
    expect(stderr).toContain('expected AXPY_BACKEND to be native, fallback or auto');
  });

  test('native without a binary throws', () => {
    const { status, stderr } = run(print, { AXPY_BACKEND: 'native' }, copyWithout());
    expect(status).toBe(1);
    expect(stderr).toMatch(/BackendError: there is no binary for this platform/);
  });

  test.each([undefined, 'auto'])('%s without a binary falls back, and says so once', (name) => {
    const again = `for (let i = 0; i < 3; i++) axpy.ones([3]).sum().item();`;
    const ran = run(`${print} ${again}`, { AXPY_BACKEND: name }, copyWithout());
    const { name: chosen, reason } = parse(ran);
    expect(chosen).toBe('fallback');
    expect(reason).toMatch(/no binary for this platform/);
    expect(ran.stderr.trim().split('\n')).toEqual([
      `axpy: the TypeScript fallback serves, which is slower: ${reason}`,
    ]);
  });

  test('auto falls back from a binary that cannot be loaded', () => {
    const ran = run(print, {}, copyWithout('this is no shared object'));
    expect(parse(ran)).toMatchObject({ name: 'fallback', reason: expect.stringMatching(/cannot be loaded/) });
    expect(ran.stderr).toMatch(/^axpy: the TypeScript fallback serves/);
  });

  test('native throws for a binary that cannot be loaded', () => {
    const { status, stderr } = run(
      print,
      { AXPY_BACKEND: 'native' },
      copyWithout('this is no shared object'),
    );
    expect(status).toBe(1);
    expect(stderr).toMatch(/BackendError: the binary cannot be loaded/);
  });
});

once('AXPY_THREADS', () => {
  test('sets the number of threads', () => {
    expect(parse(run(print, { AXPY_BACKEND: 'native', AXPY_THREADS: '3' })).threads).toBe(3);
  });

  test('unset when empty', () => {
    const threads = (value: string | undefined) =>
      parse(run(print, { AXPY_BACKEND: 'native', AXPY_THREADS: value })).threads;
    expect(threads('')).toBe(threads(undefined));
  });

  test.each(['0', '65', '-1', '1.5', 'two', '1e1', '3 '])(
    '"%s" is refused, and not by falling back',
    (value) => {
      const { status, stderr } = run(print, { AXPY_THREADS: value });
      expect(status).toBe(1);
      expect(stderr).toContain('AXPY_ARGUMENT');
      expect(stderr).toMatch(/expected AXPY_THREADS to be an integer from 1 to 64/);
    },
  );
});

describe('worker threads', () => {
  const backend = { AXPY_BACKEND: process.env.AXPY_BACKEND };

  /** `inside` runs in each worker, with `axpy` and `parentPort`. */
  const workers = (inside: string, outside: string) => `
    import { isMainThread, parentPort, Worker } from 'node:worker_threads';
    if (!isMainThread) {
      ${inside}
    } else {
      const start = () => new Worker(new URL(import.meta.url));
      const once = (worker, event) => new Promise((resolve, reject) => {
        worker.once(event, resolve);
        if (event !== 'error') worker.once('error', reject);
      });
      ${outside}
    }`;

  test('several load the addon and get the same numbers, beside the main thread', () => {
    const compute = `
      axpy.seed(1);
      const x = axpy.randn([64, 64]);
      let y = x;
      for (let i = 0; i < 50; i++) y = y.matmul(x).tanh();
      const result = y.sum().item();`;
    const ran = run(
      workers(
        `${compute} parentPort.postMessage(result);`,
        `const running = Array.from({ length: 4 }, () => once(start(), 'message'));
         ${compute}
         const others = await Promise.all(running);
         console.log(JSON.stringify([...others, result]));`,
      ),
      backend,
    );
    expect(ran.status, ran.stderr).toBe(0);
    const results = JSON.parse(ran.stdout) as number[];
    expect(results.length).toBe(5);
    expect(new Set(results).size).toBe(1);
  });

  test('a worker ended while it computes takes nothing with it', () => {
    const ran = run(
      workers(
        `parentPort.postMessage('begin');
         const x = axpy.randn([256, 256]);
         for (;;) x.matmul(x).tanh();`,
        `for (let round = 0; round < 3; round++) {
           const running = [start(), start()];
           await Promise.all(running.map((worker) => once(worker, 'message')));
           await Promise.all(running.map((worker) => worker.terminate()));
         }
         const x = axpy.eye(100);
         console.log(x.matmul(x).sum().item());`,
      ),
      backend,
    );
    expect([ran.status, ran.signal], ran.stderr).toEqual([0, null]);
    expect(ran.stdout.trim()).toBe('100');
  });

  test('process.exit in a worker ends the worker alone', () => {
    const ran = run(
      workers(
        `axpy.randn([300, 300]).matmul(axpy.randn([300, 300]));
         process.exit(3);`,
        `console.log(await once(start(), 'exit'), axpy.ones([3]).sum().item());`,
      ),
      backend,
    );
    expect([ran.status, ran.signal], ran.stderr).toEqual([0, null]);
    expect(ran.stdout.trim()).toBe('3 3');
  });

  test('process.exit in the main thread while workers compute ends all, with its code', () => {
    const ran = run(
      workers(
        `parentPort.postMessage('begin');
         const x = axpy.randn([256, 256]);
         for (;;) x.matmul(x);`,
        `const running = [start(), start()];
         await Promise.all(running.map((worker) => once(worker, 'message')));
         process.exit(5);`,
      ),
      backend,
    );
    expect([ran.status, ran.signal], ran.stderr).toEqual([5, null]);
  });

  test('an error of a kernel has its class in each thread', () => {
    const bad = `
      let caught;
      try {
        axpy.oneHot(axpy.tensor([5], { dtype: 'int32' }), 3);
      } catch (error) {
        caught = error instanceof axpy.IndexError && error.code;
      }`;
    const ran = run(
      workers(
        `${bad} parentPort.postMessage(caught);`,
        `${bad} console.log(caught, await once(start(), 'message'), await once(start(), 'message'));`,
      ),
      backend,
    );
    expect(ran.status, ran.stderr).toBe(0);
    expect(ran.stdout.trim()).toBe('AXPY_INDEX AXPY_INDEX AXPY_INDEX');
  });
});

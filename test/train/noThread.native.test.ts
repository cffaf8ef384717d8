/** Where the system gives no thread, everything runs on the one there is, and says so once. */
import { execFile, execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';

const run = promisify(execFile);
const child = fileURLToPath(new URL('./noThread.child.ts', import.meta.url));
const source = fileURLToPath(new URL('../attack/faults.cc', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'axpy-'));
const shim = join(folder, 'faults.so');

beforeAll(() => {
  execFileSync('c++', ['-std=c++20', '-shared', '-fPIC', source, '-o', shim, '-ldl']);
});
afterAll(() => rmSync(folder, { recursive: true }));

/** What the child says, and how many threads were asked for. */
async function play(env: NodeJS.ProcessEnv) {
  const { stdout, stderr } = await run(process.execPath, ['--import', 'tsx', child], {
    timeout: 60_000,
    env: { ...process.env, ...env },
  });
  const asked = /faults: (\d+) of t/.exec(stderr)?.[1];
  return { ...(JSON.parse(stdout) as Record<string, unknown>), asked: Number(asked ?? 0) };
}

test('a process without a thread computes, trains and predicts the same, with one warning', async () => {
  const preload = [process.env.LD_PRELOAD ?? '', shim].join(' ').trim();
  const faults = { AXPY_FAULT_KIND: 'threads', AXPY_FAULT_AT: '1', LD_PRELOAD: preload };
  const [expected, never, once] = await Promise.all([
    play({ AXPY_FAULT_KIND: '' }),
    // OPENBLAS_NUM_THREADS, which many set for other programs, is no reason to ask for threads either.
    play({ ...faults, AXPY_FAULT_ONWARDS: '1', AXPY_THREADS: '4', OPENBLAS_NUM_THREADS: '8' }),
    // The first one asked for is refused, the next one given.
    play({ ...faults, AXPY_THREADS: '1' }),
  ]);
  expect(expected).toMatchObject({
    values: Array(7).fill(8e6),
    error: 'AXPY_INDEX',
    turns: true,
    warnings: [],
  });
  const warnings = [['AxpyWarning', 'AXPY_THREAD']];
  expect(never).toEqual({ ...expected, warnings, asked: expect.any(Number) });
  expect(never.asked).toBeGreaterThan(2);
  expect(once).toEqual({ ...expected, warnings, asked: 2 });
});

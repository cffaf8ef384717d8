/** OpenBLAS where there is little memory, and where more threads ask for products than it has places for. */
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const binary =
  process.env.AXPY_BINARY ?? fileURLToPath(new URL('../build/Release/axpy.node', import.meta.url));

/** A process of its own that makes products as `body` says, with at most `kilobytes` of address space. */
function run(body: string, kilobytes: number | 'unlimited' = 'unlimited') {
  const script = `
    const { Worker } = require('node:worker_threads');
    const addon = require(${JSON.stringify(binary)});
    const multiply = (n) => {
      const [a, c] = [new Float32Array(n * n).fill(1), new Float32Array(n * n)];
      addon.gemm(c, a, a, null, 1, n, n, n, 0, 0, 0, 0, -1, 0, null);
      return c.every((value) => value === n);
    };
    ${body}`;
  const { status, signal, stdout } = spawnSync(
    'bash',
    ['-c', `ulimit -v ${kilobytes}; exec "$0" --max-old-space-size=64 -e "$1"`, process.execPath, script],
    // Of these sizes the addon would make them without BLAS.
    { encoding: 'utf8', timeout: 30_000, env: { ...process.env, AXPY_PRODUCT: 'blas' } },
  );
  return { status, signal, stdout: stdout.trim() };
}

test('with little address space a product gives its result or a MemoryError, in both cases at once', () => {
  const before = `
    const kilobytes = Number(/VmSize:\\s+(\\d+)/.exec(require('node:fs').readFileSync('/proc/self/status', 'utf8'))[1]);
    console.log(kilobytes);`;
  const size = Number(run(before).stdout);
  expect(size).toBeGreaterThan(0);
  const outcomes = [20, 60, 100, 140, 200, 300, 400].map((more) => {
    const { status, signal, stdout } = run(
      'try { console.log(multiply(300)); } catch (error) { console.log(error.code); }',
      size + more * 1024,
    );
    expect({ status, signal }, `${more} MiB`).toEqual({ status: 0, signal: null });
    return stdout;
  });
  expect(new Set(outcomes)).toEqual(new Set(['AXPY_MEMORY', 'true']));
});

test('150 threads make products at the same time', () => {
  const worker = `
    const { workerData: { gate, binary } } = require('node:worker_threads');
    const addon = require(binary);
    const n = 160;
    const [a, c] = [new Float32Array(n * n).fill(1), new Float32Array(n * n)];
    Atomics.add(gate, 0, 1);
    while (Atomics.load(gate, 0) < 150) Atomics.wait(gate, 1, 0, 5);
    for (let i = 0; i < 20; i++) addon.gemm(c, a, a, null, 1, n, n, n, 0, 0, 0, 0, -1, 0, null);
    if (!c.every((value) => value === n)) process.exit(2);`;
  const { status, signal, stdout } = run(`
    const gate = new Int32Array(new SharedArrayBuffer(8));
    const codes = [];
    for (let i = 0; i < 150; i++) {
      new Worker(${JSON.stringify(worker)}, { eval: true, workerData: { gate, binary: ${JSON.stringify(binary)} } })
        .on('exit', (code) => { if (codes.push(code) === 150) console.log([...new Set(codes)].join()); });
    }`);
  expect({ status, signal, stdout }).toEqual({ status: 0, signal: null, stdout: '0' });
});

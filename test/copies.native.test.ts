/** Copies of the library in one thread over one addon: each has its errors, its random state and its runs for itself. */
import { execFile } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { buildSync } from 'esbuild';
import { afterAll, beforeAll, expect, test } from 'vitest';

const run = promisify(execFile);
const root = fileURLToPath(new URL('..', import.meta.url));
const base = realpathSync(mkdtempSync(join(tmpdir(), 'axpy-copies-')));
afterAll(() => rmSync(base, { recursive: true, force: true }));

beforeAll(() => {
  for (const format of ['esm', 'cjs'] as const) {
    buildSync({
      entryPoints: [join(root, 'lib/index.ts')],
      bundle: true,
      platform: 'node',
      format,
      external: ['cli-progress'],
      outfile: join(base, format === 'esm' ? 'axpy.mjs' : 'axpy.cjs'),
      logLevel: 'error',
    });
  }
  // Two folders with the same binary, as two packages have it that each depend on axpy.
  for (const name of ['first', 'second']) {
    const place = join(base, name, 'node_modules', 'axpy');
    mkdirSync(join(place, 'build', 'Release'), { recursive: true });
    cpSync(join(root, 'package.json'), join(place, 'package.json'));
    cpSync(join(root, 'build', 'Release', 'axpy.node'), join(place, 'build', 'Release', 'axpy.node'));
    cpSync(join(base, 'axpy.cjs'), join(base, name, 'axpy.cjs'));
    cpSync(join(base, 'axpy.mjs'), join(base, name, 'axpy.mjs'));
  }
});

const waysToTwo = {
  'a query in the import': `
    const one = await import('./first/axpy.mjs?one');
    const two = await import('./first/axpy.mjs?two');`,
  'a cache of modules that was emptied': `
    const require = createRequire(import.meta.url);
    const one = require('./first/axpy.cjs');
    delete require.cache[require.resolve('./first/axpy.cjs')];
    const two = require('./first/axpy.cjs');`,
  'two folders': `
    const one = await import('./first/axpy.mjs');
    const two = await import('./second/axpy.mjs');`,
  'ES modules and CommonJS': `
    const one = await import('./first/axpy.mjs');
    const two = createRequire(import.meta.url)('./first/axpy.cjs');`,
  'contexts of their own, as Jest makes them': `
    const file = fileURLToPath(new URL('./first/axpy.cjs', import.meta.url));
    const load = () => {
      const module = { exports: {} };
      const names = ['performance', 'MessageChannel', 'AbortSignal', 'AbortController', 'console', 'process'];
      const context = vm.createContext(Object.fromEntries(names.map((name) => [name, globalThis[name]])));
      const text = '(function (module, exports, require, __filename, __dirname) {' + readFileSync(file, 'utf8') + '\\n})';
      const start = vm.runInContext(text, context, { filename: file });
      start(module, module.exports, createRequire(file), file, dirname(file));
      return module.exports;
    };
    const one = load();
    const two = load();`,
};

/** What both do, at the same time: fail and train. */
const checks = `
  const train = async (axpy, learningRate = 0.1) => {
    axpy.seed(3);
    const model = new axpy.Sequential([new axpy.Dense(2, 8, { activation: 'tanh' }), new axpy.Dense(8, 1)]);
    const x = [[0, 0], [0, 1], [1, 0], [1, 1]];
    const y = [[0], [1], [1], [0]];
    const optimizer = new axpy.SGD(model.parameters(), { learningRate });
    const history = await axpy.fit(model, { x, y }, { optimizer, loss: 'mse', epochs: 30, batchSize: 2, seed: 1 });
    return history.epochs.map((epoch) => epoch.loss).join(' ');
  };
  const fails = (axpy) => {
    try {
      axpy.oneHot(axpy.tensor([5], { dtype: 'int32' }), 3);
    } catch (error) {
      return [one, two].map(({ IndexError }) => error instanceof IndexError);
    }
  };
  const blows = (axpy) => train(axpy, 1e30).catch((error) => [
    [one, two].map(({ NonFiniteError }) => error instanceof NonFiniteError),
    error.code,
    error.message,
  ]);
  const alone = await train(one);
  const together = await Promise.all([train(one), train(two)]);
  const result = {
    same: one.Tensor === two.Tensor,
    backends: [one, two].map((axpy) => axpy.backendInfo().name),
    errors: [one, two, one].map(fails),
    blown: await Promise.all([one, two].map(blows)),
    losses: [alone, ...together],
  };`;

const imports = `
  import { readFileSync } from 'node:fs';
  import { createRequire } from 'node:module';
  import { dirname } from 'node:path';
  import { fileURLToPath } from 'node:url';
  import vm from 'node:vm';
  import { isMainThread, parentPort, Worker } from 'node:worker_threads';`;

interface Result {
  same: boolean;
  backends: string[];
  errors: boolean[][];
  blown: [boolean[], string, string][];
  losses: string[];
}

test.each(Object.entries(waysToTwo))('%s: in the main thread and in a worker', async (way, load) => {
  const file = join(base, `${way.replaceAll(/\W/g, '')}.mjs`);
  writeFileSync(
    file,
    `${imports}${load}${checks}
     if (!isMainThread) parentPort.postMessage(result);
     else {
       const there = await new Promise((resolve, reject) =>
         new Worker(new URL(import.meta.url)).on('message', resolve).on('error', reject));
       console.log(JSON.stringify([result, there]));
     }`,
  );
  const { stdout } = await run(process.execPath, [file], { env: { ...process.env, AXPY_BINARY: '' } });
  for (const result of JSON.parse(stdout) as Result[]) {
    expect(result.same).toBe(false);
    expect(result.backends).toEqual(['native', 'native']);
    expect(result.errors).toEqual([
      [true, false],
      [false, true],
      [true, false],
    ]);
    expect(result.blown.map(([classes, code]) => [classes, code])).toEqual([
      [[true, false], 'AXPY_NON_FINITE'],
      [[false, true], 'AXPY_NON_FINITE'],
    ]);
    for (const [, , message] of result.blown) expect(message).toMatch(/epoch 1/);
    expect(new Set(result.losses).size).toBe(1);
  }
});

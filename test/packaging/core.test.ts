/** What strangers do most: import and require, workers, esbuild, Node with less than all permissions, no binary. */
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { build, type PluginBuild } from 'esbuild';
import { beforeAll, describe, expect, test } from 'vitest';
import { root } from './pack.ts';
import { esm, expectFallback, expectNative, expectOne, programs, project, run, write } from './support.ts';

const node = process.execPath;
const modern = Number(process.versions.node.split('.')[0]) >= 24;
const permission = modern ? '--permission' : '--experimental-permission';

let folder: string;

beforeAll(async () => {
  folder = await project();
  write(folder, {
    ...programs(),
    'only-workers.mjs': `
      import { Worker } from 'node:worker_threads';
      for (let i = 0; i < 2; i++) new Worker(new URL('./esm.mjs', import.meta.url));
    `,
  });
});

describe('installed', () => {
  test.each([
    ['an ES module', ['esm.mjs'], 1],
    ['CommonJS', ['cjs.cjs'], 1],
    ['worker threads', ['workers.mjs'], 3],
    ['worker threads that require', ['workers-cjs.mjs'], 3],
    ['worker threads of a program that has no use for it', ['only-workers.mjs'], 2],
    ['a cautious Node', ['--no-warnings', '--disable-proto=throw', '--throw-deprecation', 'esm.mjs'], 1],
    ['a Node in which nothing may be changed', ['--no-warnings', '--frozen-intrinsics', 'esm.mjs'], 1],
    ['the same, CommonJS', ['--no-warnings', '--frozen-intrinsics', 'cjs.cjs'], 1],
  ])('%s', async (_, args, count) => {
    expectNative(await run(folder, node, args), count);
  });

  test.each([
    ['AXPY_BACKEND', ''],
    ['AXPY_THREADS', ''],
    ['AXPY_BINARY', ''],
  ])('%s set but empty counts as not set', async (name, value) => {
    expectNative(await run(folder, node, ['esm.mjs'], { [name]: value }));
  });

  test('a folder away from the project', async () => {
    expectNative(await run('/', node, [join(folder, 'esm.mjs')]));
  });
});

describe('import and require give one library', () => {
  const tsx = join(root, 'node_modules/tsx/dist/cli.mjs');

  test.each([
    ['an ES module', ['copies.mjs']],
    ['CommonJS', ['copies.cjs']],
    ['an ES module, where a hook loads', ['--import', './hook.mjs', 'copies.mjs']],
    ['CommonJS, where a hook loads', ['--import', './hook.mjs', 'copies.cjs']],
    ['tsx, .ts in a package that is CommonJS', [tsx, 'copies.ts']],
    ['tsx, .cts', [tsx, 'copies.cts']],
    ['tsx, .mts', [tsx, 'copies.mts']],
  ])('%s', async (_, args) => {
    expectOne(await run(folder, node, args));
  });

  test.each(['esm', 'cjs'] as const)('bundled by esbuild, %s output', async (format) => {
    const outfile = `copies/${format}.${format === 'esm' ? 'mjs' : 'cjs'}`;
    await build({
      absWorkingDir: folder,
      entryPoints: ['copies.mjs'],
      outfile,
      bundle: true,
      platform: 'node',
      format,
      loader: { '.node': 'file' },
      external: ['cli-progress'],
      logLevel: 'error',
    });
    expectOne(await run(folder, node, [outfile]));
  });
});

describe('a part with a subpath', () => {
  const program = (load: string) => `
    ${load}
    (async () => {
      const model = new axpy.Dense(1, 1);
      const run = runs.runFolder({ folder: 'runs', name: process.argv[2], every: 0 });
      const optimizer = new axpy.SGD(model.parameters(), { learningRate: 0.1 });
      await axpy.fit(model, { x: [[1]], y: [[1]] }, { loss: 'mse', optimizer, callbacks: [run] });
      const { history } = await runs.readRun('runs/' + process.argv[2]);
      const errors = [() => runs.runFolder({ every: -1 }), () => runs.runFolder({ folder: 3 })].map((act) => {
        try { act(); } catch (error) { return error instanceof axpy.ArgumentError; }
      });
      const board = await dashboards.dashboard({ folder: 'runs', every: 0 });
      const answer = await fetch(board.url + 'page.js');
      await axpy.fit(model, { x: [[1]], y: [[1]] }, { loss: 'mse', optimizer, callbacks: [board] });
      await board.close();
      errors.push(await board.image('x', 3).catch((error) => error instanceof axpy.ArgumentError));
      errors.push((await answer.text()).length > 50_000);
      const missing = await runs.readRun('nowhere').catch((error) => error instanceof axpy.FileError);
      console.log(history.epochs.length, ...errors, missing, axpy.backendInfo().name);
    })();`;
  const imported =
    "import * as axpy from 'axpy'; import * as runs from 'axpy/runs'; import * as dashboards from 'axpy/dashboard';";
  const required =
    "const axpy = require('axpy'); const runs = require('axpy/runs'); const dashboards = require('axpy/dashboard');";

  test.each([
    ['import', 'part.mjs', imported],
    ['require', 'part.cjs', required],
  ])('has the library itself by %s, and bundled', async (_, name, load) => {
    write(folder, { [name]: program(load) });
    const files = [name];
    for (const format of ['esm', 'cjs'] as const) {
      const outfile = `out/parts/${name}.${format === 'esm' ? 'mjs' : 'cjs'}`;
      const js =
        "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);";
      const banner = format === 'esm' ? { js } : {};
      const external = ['cli-progress'];
      const options = {
        bundle: true,
        platform: 'node',
        format,
        banner,
        external,
        logLevel: 'error',
      } as const;
      await build({ ...options, absWorkingDir: folder, entryPoints: [name], outfile });
      files.push(outfile);
    }
    for (const file of files) {
      const said = { code: 0, stdout: '1 true true true true true native\n', stderr: '' };
      expect(await run(folder, node, [file, file.replaceAll('/', '-')])).toEqual(said);
    }
  });

  test('is not loaded until somebody wants it', () => {
    const text = readFileSync(join(folder, 'node_modules/axpy/dist/index.cjs'), 'utf8');
    expect(text).not.toMatch(/runFolder|tfevents|uPlot/);
  });
});

describe('the command line', () => {
  const rows = Array.from(
    { length: 60 },
    (_, i) => `${i % 9},${['red', 'blue'][i % 2]},${3 * (i % 9) + 10 * (i % 2)}`,
  );
  const axpy = (...args: string[]) => run(folder, 'npx', ['--no-install', 'axpy', ...args]);

  test('npx finds it; it trains and predicts', async () => {
    write(folder, { 'data.csv': ['a,b,c', ...rows].join('\n') });
    expect(await axpy('--help')).toMatchObject({
      code: 0,
      stdout: expect.stringContaining('Usage: axpy'),
      stderr: '',
    });
    const trained = await axpy(
      'train',
      'data.csv',
      '-t',
      'c',
      '--epochs',
      '3',
      '--report',
      'page.html',
      '--json',
      '-q',
    );
    expect(trained).toMatchObject({ code: 0, stderr: '' });
    const { scores, kept, backend } = JSON.parse(trained.stdout);
    expect(backend).toBe('native');
    expect(scores[kept].RMSE).toBeLessThan(scores.mean.RMSE);
    const predicted = await axpy('predict', 'model.safetensors', 'data.csv');
    expect(predicted.code).toBe(0);
    expect(predicted.stdout.split('\n')).toHaveLength(rows.length + 2);
    expect(readFileSync(join(folder, 'page.html'), 'utf8')).toContain('<title>c of data.csv</title>');
  });

  test('says what went wrong in a line', async () => {
    const { code, stderr } = await axpy('train', 'none.csv', '-t', 'c');
    expect(code).toBe(1);
    expect(stderr).toMatch(/^axpy: .*none\.csv.*\n$/);
  });

  test('none of it loads with the library', () => {
    const text = readFileSync(join(folder, 'node_modules/axpy/dist/index.cjs'), 'utf8');
    expect(text).not.toMatch(/UsageError|csv-parse/);
    // What it brings of others, it says.
    const parser = readFileSync(join(folder, 'node_modules/axpy/dist/cli/csv.cjs'), 'utf8');
    expect(parser).toMatch(/csv-parse.*MIT License.*Copyright/s);
  });
});

describe('less than all permissions', () => {
  test.each([
    ['--no-addons', ['--no-addons', 'esm.mjs'], 1],
    ['--no-addons, CommonJS', ['--no-addons', 'cjs.cjs'], 1],
    ['--no-addons, workers: said once', ['--no-addons', 'workers.mjs'], 3],
    ['--permission', [permission, '--allow-fs-read=*', 'esm.mjs'], 1],
    ['--permission, CommonJS', [permission, '--allow-fs-read=*', 'cjs.cjs'], 1],
    ['--permission, workers', [permission, '--allow-fs-read=*', '--allow-worker', 'workers.mjs'], 3],
  ])('%s: the fallback', async (_, args, count) => {
    const outcome = await run(folder, node, args);
    outcome.stderr = withoutExperimental(outcome.stderr);
    expectFallback(outcome, /addons/i, count);
  });

  test.each([
    ['the whole disk to read', '*'],
    ['only the project to read', 'PROJECT'],
  ])('--permission --allow-addons, %s: the addon', async (_, readable) => {
    const read = `--allow-fs-read=${readable === '*' ? '*' : join(folder, '*')}`;
    const outcome = await run(folder, node, [permission, '--allow-addons', read, 'esm.mjs']);
    outcome.stderr = withoutExperimental(outcome.stderr);
    expectNative(outcome);
  });
});

/** Without what Node says of its own permission model. */
function withoutExperimental(stderr: string): string {
  const own = /^\(node:\d+\) (ExperimentalWarning|SecurityWarning):.*\n/gm;
  return stderr.replace(own, '').replace(/^\(Use `node --trace-warnings .*\n/gm, '');
}

describe('no binary', () => {
  test.each([
    ['of this platform', 1, 'esm.mjs'],
    ['of this platform, workers', 3, 'workers.mjs'],
  ])('%s: the fallback, and a forced addon throws', async (_, count, program) => {
    const prebuilds = join(folder, 'node_modules/axpy/prebuilds');
    const platform = join(prebuilds, `${process.platform}-${process.arch}`);
    renameSync(platform, join(prebuilds, 'other'));
    try {
      expectFallback(await run(folder, node, [program]), /no binary/, count);
      const forced = await run(folder, node, ['esm.mjs'], { AXPY_BACKEND: 'native' });
      expect(forced.code).toBe(1);
      expect(forced.stderr).toContain('AXPY_BACKEND');
      expect(await run(folder, node, ['esm.mjs'], { AXPY_BACKEND: 'fallback' })).toMatchObject({
        code: 0,
        stderr: '',
      });
    } finally {
      renameSync(join(prebuilds, 'other'), platform);
    }
  });

  test('that can be loaded: the fallback', async () => {
    const prebuilds = join(folder, 'node_modules/axpy/prebuilds');
    const platform = `${process.platform}-${process.arch}`;
    renameSync(join(prebuilds, platform), join(prebuilds, 'other'));
    try {
      for (const file of readdirSync(join(prebuilds, 'other'))) {
        write(prebuilds, { [join(platform, file)]: 'a download that was cut off' });
      }
      expectFallback(await run(folder, node, ['esm.mjs']), /cannot be loaded/);
    } finally {
      rmSync(join(prebuilds, platform), { recursive: true, force: true });
      renameSync(join(prebuilds, 'other'), join(prebuilds, platform));
    }
  });
});

describe.each(['esm', 'cjs'] as const)('esbuild, %s output', (format) => {
  const file = (name: string) => `out/${name}/program.${format === 'esm' ? 'mjs' : 'cjs'}`;

  async function bundled(name: string, from: string, options: object): Promise<string> {
    write(folder, { [`src/${name}.mjs`]: esm(from) });
    await build({
      entryPoints: [join(folder, `src/${name}.mjs`)],
      outfile: join(folder, file(name)),
      absWorkingDir: folder,
      bundle: true,
      platform: 'node',
      target: 'node20',
      format,
      logLevel: 'error',
      ...options,
    });
    return file(name);
  }

  test.each([
    ['bundled', {}],
    ['minified', { minify: true }],
    ['external', { packages: 'external' }],
  ])('%s', async (name, options) => {
    expectNative(await run(folder, node, [await bundled(`${name}-${format}`, 'axpy', options)]));
  });

  test.each(['copy', 'file'])('a subpath, .node files by the loader %s', async (loader) => {
    // What is copied is required, which a module of Node's can only do by a function that it makes itself.
    const js = "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);";
    const banner = format === 'esm' && loader === 'copy' ? { js } : {};
    const options = { loader: { '.node': loader }, banner, minify: true };
    const program = await bundled(`${loader}-${format}`, subpath(), options);
    // It needs nothing but what lies beside it.
    const away = join(folder, 'away', format, loader);
    mkdirSync(join(away, '..'), { recursive: true });
    renameSync(join(folder, program, '..'), away);
    renameSync(join(folder, 'node_modules'), join(folder, 'hidden'));
    try {
      expectNative(await run(away, node, [`program.${format === 'esm' ? 'mjs' : 'cjs'}`]));
    } finally {
      renameSync(join(folder, 'hidden'), join(folder, 'node_modules'));
    }
  });

  test('a subpath whose binary did not come along: the fallback, and the reason is on one line', async () => {
    // As node-loader of webpack puts it.
    const contents = "throw new Error('node-loader:\\nError: cannot open shared object file')";
    const plugin = {
      name: 'lost',
      setup: ({ onLoad }: PluginBuild) => onLoad({ filter: /\.node$/ }, () => ({ contents, loader: 'js' })),
    };
    const program = await bundled(`lost-${format}`, subpath(), { plugins: [plugin] });
    const away = join(folder, '..', `axpy-lost-${process.pid}`);
    try {
      write(away, { 'package.json': '{}' });
      const moved = join(away, `program.${format === 'esm' ? 'mjs' : 'cjs'}`);
      renameSync(join(folder, program), moved);
      expectFallback(await run(away, node, [moved]), /node-loader: Error: cannot open/);
    } finally {
      rmSync(away, { recursive: true, force: true });
    }
  });

  test.each([
    ['no package.json', {}],
    ['an empty one', { 'package.json': '' }],
    ['one that is an array', { 'package.json': '[]' }],
    ['one that is null', { 'package.json': 'null' }],
    ['a folder of that name', { 'package.json/file': '' }],
  ])('moved away from the package, above it %s', async (name, files) => {
    const program = await bundled(`moved-${format}`, 'axpy', {});
    const away = join(folder, '..', `axpy-away-${process.pid}`);
    try {
      write(away, { ...files, 'x.txt': name });
      const moved = join(away, `program.${format === 'esm' ? 'mjs' : 'cjs'}`);
      renameSync(join(folder, program), moved);
      expectFallback(await run(away, node, [moved]), /no package axpy/);
      // Whoever bundles can still say where the binary is.
      const libc = process.platform === 'linux' ? '.glibc' : '';
      const binary = `node_modules/axpy/prebuilds/${process.platform}-${process.arch}/axpy${libc}.node`;
      expectNative(await run(away, node, [moved], { AXPY_BINARY: join(folder, binary) }));
    } finally {
      rmSync(away, { recursive: true, force: true });
    }
  });
});

/** That of the machine which runs the tests. */
function subpath(): string {
  return `axpy/${process.platform}-${process.arch}`;
}

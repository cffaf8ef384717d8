/** Bundled by what people bundle with: beside the package, with a subpath and away from it, left external, for browsers. */
import { mkdirSync, readdirSync, readFileSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import {
  cjs,
  copies,
  esm,
  expectFallback,
  expectNative,
  expectOne,
  type Outcome,
  prepare,
  run,
  toolProject,
  write,
} from './support.ts';

const node = process.execPath;
const subpath = `axpy/${process.platform}-${process.arch}`;

let folder: string;

beforeAll(async () => {
  folder = await toolProject();
  write(folder, {
    'esm.mjs': esm(),
    'cjs.cjs': cjs(),
    'subpath.mjs': esm(subpath),
    'subpath.cjs': cjs(subpath),
    ...copies(),
    // The rest of Vite's page.
    'index.html': '<script type="module" src="/esm.mjs"></script>',
  });
});

/** Runs the built folder elsewhere, where nothing of the package is. */
async function runAway(name: string, program: string): Promise<Outcome> {
  const away = join(folder, 'away', name);
  mkdirSync(join(folder, 'away'), { recursive: true });
  renameSync(join(folder, name), away);
  renameSync(join(folder, 'node_modules'), join(folder, 'hidden'));
  try {
    return await run(away, node, [program]);
  } finally {
    renameSync(join(folder, 'hidden'), join(folder, 'node_modules'));
  }
}

const nowhere = /no package axpy/;

describe('webpack', () => {
  async function webpack(name: string, entry: string, options: object, module = false): Promise<string> {
    const file = module ? 'program.mjs' : 'program.cjs';
    const config = {
      mode: 'production',
      target: 'node20',
      context: folder,
      entry: `./${entry}`,
      output: {
        path: join(folder, name),
        filename: file,
        publicPath: '',
        ...(module ? { module, chunkFormat: 'module' } : {}),
      },
      ...(module ? { experiments: { outputModule: true } } : {}),
      ...options,
    };
    write(folder, {
      [`${name}.build.cjs`]: `
        require('webpack')(${JSON.stringify(config).replaceAll('"REGEXP"', '/\\.node$/')}, (error, stats) => {
          if (error) throw error;
          process.stdout.write(stats.toString('errors-warnings'));
          process.exitCode = stats.hasErrors() ? 1 : 0;
        });
      `,
    });
    const { stdout } = await prepare(folder, node, [`${name}.build.cjs`]);
    expect(stdout.replace(/^webpack.*compiled successfully.*$/m, '').trim()).toBe('');
    return file;
  }

  test.each([
    ['esm.mjs', 'CommonJS', false],
    ['cjs.cjs', 'CommonJS', false],
    ['esm.mjs', 'ESM', true],
  ])('%s to %s', async (entry, _, module) => {
    const name = `webpack-${entry}-${module}`;
    const file = await webpack(name, entry, {}, module);
    expectNative(await run(folder, node, [join(name, file)]));
    expectFallback(await runAway(name, file), nowhere);
  });

  test.each([
    ['CommonJS', false, 'commonjs axpy'],
    ['ESM', true, 'module axpy'],
  ])('external, %s', async (_, module, axpy) => {
    const name = `webpack-external-${module}`;
    const file = await webpack(name, 'esm.mjs', { externals: { axpy } }, module);
    expectNative(await run(folder, node, [join(name, file)]));
  });

  test.each([
    ['node-loader', 'subpath.mjs', { test: 'REGEXP', loader: 'node-loader' }, false],
    ['node-loader, ESM', 'subpath.mjs', { test: 'REGEXP', loader: 'node-loader' }, true],
    ['node-loader, required', 'subpath.cjs', { test: 'REGEXP', loader: 'node-loader' }, false],
    ['asset/resource', 'subpath.mjs', { test: 'REGEXP', type: 'asset/resource' }, false],
  ])('a subpath and %s', async (title, entry, rule, module) => {
    const name = `webpack-${title.replace(/\W/g, '-')}`;
    const options = { module: { rules: [rule] } };
    const file = await webpack(name, entry, options, module);
    expectNative(await runAway(name, file));
  });

  test.each([
    ['copies.mjs', 'CommonJS', false],
    ['copies.cjs', 'CommonJS', false],
    ['copies.mjs', 'ESM', true],
  ])('import and require give one library: %s to %s', async (entry, format, module) => {
    const name = `webpack-${entry}-${format}`;
    const options = { module: { rules: [{ test: 'REGEXP', loader: 'node-loader' }] } };
    const file = await webpack(name, entry, options, module);
    expectOne(await run(folder, node, [join(name, file)]));
  });
});

describe('rollup', () => {
  async function rollup(name: string, entry: string, format: string, external: string): Promise<string> {
    const file = format === 'es' ? 'program.mjs' : 'program.cjs';
    write(folder, {
      [`${name}.build.mjs`]: `
        import commonjs from '@rollup/plugin-commonjs';
        import resolve from '@rollup/plugin-node-resolve';
        import { rollup } from 'rollup';
        const bundle = await rollup({
          input: '${entry}',
          external: ${external},
          plugins: [resolve({ preferBuiltins: true, exportConditions: ['node'] }), commonjs()],
          onwarn: (warning) => { throw new Error(warning.message); },
        });
        await bundle.write({ file: '${name}/${file}', format: '${format}', inlineDynamicImports: true });
      `,
    });
    await prepare(folder, node, [`${name}.build.mjs`]);
    return file;
  }

  test.each(['es', 'cjs'])('%s', async (format) => {
    const name = `rollup-${format}`;
    const file = await rollup(name, 'esm.mjs', format, '[]');
    expectNative(await run(folder, node, [join(name, file)]));
    expectFallback(await runAway(name, file), nowhere);
  });

  test.each(['es', 'cjs'])('external, %s', async (format) => {
    const name = `rollup-external-${format}`;
    const file = await rollup(name, 'esm.mjs', format, "['axpy']");
    expectNative(await run(folder, node, [join(name, file)]));
  });

  test('a subpath, the binary external', async () => {
    const file = await rollup('rollup-subpath', 'subpath.mjs', 'cjs', '[/\\.node$/]');
    expectNative(await run(folder, node, [join('rollup-subpath', file)]));
  });

  test.each(['es', 'cjs'])('import and require give one library: %s', async (format) => {
    const name = `rollup-copies-${format}`;
    const file = await rollup(name, 'copies.mjs', format, '[/\\.node$/]');
    expectOne(await run(folder, node, [join(name, file)]));
  });
});

describe('Vite', () => {
  async function vite(config: object, ...args: string[]): Promise<void> {
    write(folder, {
      'vite.config.mjs': `export default ${JSON.stringify(config).replaceAll('"REGEXP"', '/\\.node$/')};`,
    });
    const { stderr } = await prepare(folder, node, ['node_modules/vite/bin/vite.js', 'build', ...args]);
    expect(stderr).toBe('');
  }

  test('server build: the package stays external', async () => {
    await vite({}, '--ssr', 'esm.mjs', '--outDir', 'vite-ssr');
    expectNative(await run(folder, node, ['vite-ssr/esm.mjs']));
  });

  test('server build with the package inside', async () => {
    await vite({ ssr: { noExternal: true } }, '--ssr', 'esm.mjs', '--outDir', 'vite-inside');
    expectNative(await run(folder, node, ['vite-inside/esm.mjs']));
    expectFallback(await runAway('vite-inside', 'esm.mjs'), nowhere);
  });

  test.each([
    ['external', {}],
    [
      'inside',
      { logLevel: 'error', ssr: { noExternal: true }, build: { rollupOptions: { external: ['REGEXP'] } } },
    ],
  ])('server build: import and require give one library, %s', async (where, config) => {
    const name = `vite-copies-${where}`;
    await vite(config, '--ssr', 'copies.mjs', '--outDir', name);
    expectOne(await run(folder, node, [`${name}/copies.mjs`]));
  });

  test('page: nothing of Node in it', async () => {
    await vite({ base: './', build: { modulePreload: { polyfill: false } } }, '--outDir', 'vite-page');
    const assets = readdirSync(join(folder, 'vite-page/assets')).filter((file) => file.endsWith('.js'));
    const text = assets.map((file) => readFileSync(join(folder, 'vite-page/assets', file), 'utf8')).join();
    expect(text).not.toMatch(/["']node:/);
    // Node without what only Node has; a real browser is browser.test.ts's. A page never ends by itself.
    write(folder, {
      'page.mjs': `
        const { log } = console;
        const exit = process.exit.bind(process);
        console.log = (text) => { log(text); exit(0); };
        for (const name of ['process', 'Buffer', 'global', 'setImmediate', 'clearImmediate']) delete globalThis[name];
        for (const file of ${JSON.stringify(assets)}) await import('./vite-page/assets/' + file);
      `,
      'vite-page/package.json': '{ "type": "module" }',
    });
    const outcome = await run(folder, node, ['page.mjs']);
    expect(outcome).toMatchObject({ code: 0, stderr: '' });
    expect(outcome.stdout).toContain('"backend":"fallback"');
    expect(outcome.stdout).toContain('["AXPY_SHAPE","AXPY_INDEX"]');
  });
});

/** Servers are put together so: by Next.js and Vercel as Node would resolve, by Nitro (Nuxt) as bundlers do. */
describe('the files that @vercel/nft finds', () => {
  test.each([
    ['esm.mjs', undefined],
    ['cjs.cjs', undefined],
    ['subpath.mjs', undefined],
    ['esm.mjs', ['production', 'node', 'module']],
    ['cjs.cjs', ['production', 'node', 'module']],
    ['subpath.mjs', ['production', 'node', 'module']],
  ])('%s, conditions %s', async (entry, conditions) => {
    const name = `traced-${entry}-${conditions ? 'module' : 'node'}`;
    write(folder, {
      'trace.cjs': `
        const { nodeFileTrace } = require('next/dist/compiled/@vercel/nft');
        const { cpSync } = require('node:fs');
        nodeFileTrace(['${entry}'], { base: __dirname, conditions: ${JSON.stringify(conditions)} })
          .then(({ fileList }) => { for (const file of fileList) cpSync(file, '${name}/' + file); });
      `,
    });
    await prepare(folder, node, ['trace.cjs']);
    expectNative(await runAway(name, entry));
  });
});

describe('others', () => {
  test('ncc takes the binary along', async () => {
    const ncc = ['node_modules/@vercel/ncc/dist/ncc/cli.js', 'build', '--quiet'];
    await prepare(folder, node, [...ncc, 'subpath.cjs', '-o', 'ncc']);
    const [file] = readdirSync(join(folder, 'ncc')).filter((name) => /^index\.(c|m)?js$/.test(name));
    expectNative(await runAway('ncc', file));
  });

  test('Parcel: a library for Node', async () => {
    write(folder, {
      'parcel/package.json': JSON.stringify({
        name: 'parcel-app',
        main: 'out/main.js',
        source: 'main.js',
        engines: { node: '>=20' },
        dependencies: { axpy: '*' },
      }),
      'parcel/main.js': esm(),
    });
    const cli = join(folder, 'node_modules/parcel/lib/bin.js');
    await prepare(join(folder, 'parcel'), node, [cli, 'build', '--no-cache', '--log-level', 'warn']);
    expectNative(await run(folder, node, ['parcel/out/main.js']));
  });

  test.each(['esm', 'cjs'])('Bun, %s', async (format) => {
    const bun = join(folder, 'node_modules/@oven/bun-linux-x64-baseline/bin/bun');
    const file = `bun-${format}.${format === 'esm' ? 'mjs' : 'cjs'}`;
    await prepare(folder, bun, [
      'build',
      'esm.mjs',
      '--target=node',
      `--format=${format}`,
      '--outfile',
      file,
    ]);
    expectNative(await run(folder, node, [file]));
  });

  test('Bun: import and require give one library', async () => {
    const bun = join(folder, 'node_modules/@oven/bun-linux-x64-baseline/bin/bun');
    const out = ['--outdir=bun-copies', '--entry-naming=[name].mjs'];
    await prepare(folder, bun, ['build', 'copies.mjs', '--target=node', ...out]);
    expectOne(await run(folder, node, ['bun-copies/copies.mjs']));
  });
});

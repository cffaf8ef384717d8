/** `axpy/linux-x64` and its like: the library with one binary by a path that bundlers follow, handed over before it looks. */
import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type BuildOptions, buildSync } from 'esbuild';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { BackendInfo } from '../lib/index.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const base = realpathSync(mkdtempSync(join(tmpdir(), 'axpy-subpaths-')));
afterAll(() => rmSync(base, { recursive: true, force: true }));

const targets = [
  'darwin-arm64',
  'darwin-x64',
  'linux-arm64',
  'linux-x64',
  'linuxmusl-arm64',
  'linuxmusl-x64',
  'win32-x64',
];
const own = `${process.platform}-${process.arch}`;
const other = targets.find((target) => !target.startsWith(process.platform))!;

/** A project with the package in it, as from the registry; its binaries are those of this platform, or none. */
function install(name: string, hasBinary: boolean): string {
  const project = join(base, name);
  const place = join(project, 'node_modules', 'axpy');
  mkdirSync(place, { recursive: true });
  cpSync(join(root, 'package.json'), join(place, 'package.json'));
  cpSync(join(root, 'dist'), join(place, 'dist'), { recursive: true });
  if (hasBinary) {
    const folder = join(place, 'prebuilds', own);
    mkdirSync(folder, { recursive: true });
    const file = process.platform === 'linux' ? 'axpy.glibc.node' : 'axpy.node';
    cpSync(join(root, 'build', 'Release', 'axpy.node'), join(folder, file));
  }
  return project;
}

let full: string;
let bare: string;
beforeAll(() => {
  full = install('full', true);
  bare = install('bare', false);
});

interface Ran {
  status: number | null;
  stdout: string;
  stderr: string;
}

function runFile(file: string, env: Record<string, string> = {}): Ran {
  const { AXPY_BACKEND: _, AXPY_BINARY: __, ...rest } = process.env;
  return spawnSync(process.execPath, [file], {
    cwd: base,
    encoding: 'utf8',
    env: { ...rest, ...env },
    timeout: 50_000,
  });
}

let count = 0;
function run(project: string, text: string, extension: 'mjs' | 'cjs', env: Record<string, string> = {}): Ran {
  const file = join(project, `main${count++}.${extension}`);
  writeFileSync(file, text);
  return runFile(file, env);
}

const infoOf = ({ status, stdout, stderr }: Ran): BackendInfo => {
  expect(status, stderr).toBe(0);
  return JSON.parse(stdout) as BackendInfo;
};

const print = 'console.log(JSON.stringify(axpy.backendInfo()));';
const importing = (name: string) => `import * as axpy from ${JSON.stringify(name)};\n${print}`;
const requiring = (name: string) => `const axpy = require(${JSON.stringify(name)});\n${print}`;

describe('a subpath', () => {
  test('is there for each platform, with types in both formats', () => {
    const files = readdirSync(join(root, 'dist', 'targets'));
    expect(files.sort()).toEqual(
      targets
        .flatMap((name) =>
          ['.binary.cjs', '.cjs', '.d.cts', '.d.ts', '.mjs', '.module.js'].map((end) => name + end),
        )
        .sort(),
    );
  });

  test.each([
    ['import', 'mjs', importing],
    ['require', 'cjs', requiring],
  ] as const)('has by %s what the package has, and its binary', (_, extension, load) => {
    const ran = run(full, load(`axpy/${own}`), extension);
    expect([infoOf(ran).name, ran.stderr]).toEqual(['native', '']);
    const keys = (name: string) =>
      run(full, load(name).replace(print, 'console.log(Object.keys(axpy).sort().join());'), extension).stdout;
    expect(keys(`axpy/${own}`)).toBe(keys('axpy'));
  });

  test('comes before AXPY_BINARY and the package, unless the fallback is asked for', () => {
    const named = run(full, importing(`axpy/${own}`), 'mjs', { AXPY_BINARY: '/not/here' });
    expect(infoOf(named).name).toBe('native');
    const fallback = run(full, importing(`axpy/${own}`), 'mjs', { AXPY_BACKEND: 'fallback' });
    expect([infoOf(fallback).name, fallback.stderr]).toEqual(['fallback', '']);
  });

  test('is the same library as the package', () => {
    const text = `
      import * as one from 'axpy/${own}';
      import * as two from 'axpy';
      console.log(one.Tensor === two.Tensor);`;
    expect(run(full, text, 'mjs').stdout.trim()).toBe('true');
  });

  test('of another platform leaves the search to the package', () => {
    const ran = run(full, importing(`axpy/${other}`), 'mjs');
    expect([infoOf(ran).name, ran.stderr]).toEqual(['native', '']);
    expect(infoOf(run(bare, importing(`axpy/${other}`), 'mjs')).reason).toContain(
      `axpy/${other} was imported, and this is ${own}`,
    );
  });

  test('without its binary falls back, with the reason', () => {
    for (const [extension, load] of [
      ['mjs', importing],
      ['cjs', requiring],
    ] as const) {
      const ran = run(bare, load(`axpy/${own}`), extension);
      expect(infoOf(ran)).toMatchObject({ name: 'fallback', reason: expect.stringContaining(`axpy/${own}`) });
      expect(ran.stderr).toMatch(/^axpy: the TypeScript fallback serves/);
    }
  });

  test('that comes when the library has chosen the fallback is a warning, and none when it has a binary', () => {
    const text = `
      import * as axpy from 'axpy';
      await import('axpy/${own}');
      ${print}`;
    const late = run(bare, text, 'mjs');
    expect(infoOf(late).name).toBe('fallback');
    expect(late.stderr).toContain(`import axpy/${own} first, or in place of axpy`);
    const native = run(full, text, 'mjs');
    expect([infoOf(native).name, native.stderr]).toEqual(['native', '']);
  });

  test('has errors of its own in each copy', () => {
    const text = `
      const file = require.resolve('./node_modules/axpy/dist/targets/${own}.cjs');
      const load = () => {
        for (const name of Object.keys(require.cache)) if (!name.endsWith('.node')) delete require.cache[name];
        return require(file);
      };
      const copies = [load(), load()];
      const caught = copies.map((axpy) => {
        try {
          axpy.oneHot(axpy.tensor([5], { dtype: 'int32' }), 3);
        } catch (error) {
          return copies.map(({ IndexError }) => error instanceof IndexError);
        }
      });
      console.log(JSON.stringify([copies[0] === copies[1], copies.map((axpy) => axpy.backendInfo().name), caught]));`;
    const { stdout, stderr } = run(full, text, 'cjs');
    expect(stderr).toBe('');
    expect(JSON.parse(stdout)).toEqual([
      false,
      ['native', 'native'],
      [
        [true, false],
        [false, true],
      ],
    ]);
  });
});

describe('bundled by esbuild, and carried away from its package,', () => {
  const settings: Record<string, BuildOptions> = {
    'CommonJS and a copy of the binary': { format: 'cjs', loader: { '.node': 'copy' } },
    'CommonJS and the name of a file': { format: 'cjs', loader: { '.node': 'file' } },
    'minified CommonJS': { format: 'cjs', loader: { '.node': 'copy' }, minify: true },
    'an ES module and the name of a file': { format: 'esm', loader: { '.node': 'file' } },
    'an ES module with a require of its own': {
      format: 'esm',
      loader: { '.node': 'copy' },
      banner: {
        js: "import { createRequire as $r } from 'node:module'; const require = $r(import.meta.url);",
      },
    },
  };

  test.each(Object.entries(settings))('%s: has its binary', (name, options) => {
    const entry = join(full, 'entry.mjs');
    writeFileSync(entry, importing(`axpy/${own}`));
    const outdir = join(base, name.replaceAll(/\W/g, ''));
    const { warnings } = buildSync({
      entryPoints: [entry],
      bundle: true,
      platform: 'node',
      external: ['cli-progress'],
      outdir,
      outExtension: { '.js': options.format === 'cjs' ? '.cjs' : '.mjs' },
      logLevel: 'silent',
      ...options,
    });
    expect(warnings).toEqual([]);
    const file = readdirSync(outdir).find((own) => own.endsWith('js'))!;
    const ran = runFile(join(outdir, file));
    expect([infoOf(ran).name, infoOf(ran).reason, ran.stderr]).toEqual(['native', undefined, '']);
  });

  test.each(['empty', 'text', 'dataurl', 'base64', 'binary', 'json'] as const)(
    'that has it as %s: runs on the fallback',
    (loader) => {
      const project = install(loader, true);
      writeFileSync(join(project, 'entry.mjs'), importing(`axpy/${own}`));
      // What is in it does not matter, and all of it would be long.
      const folder = join(project, 'node_modules', 'axpy', 'prebuilds', own);
      for (const file of readdirSync(folder)) writeFileSync(join(folder, file), '["no binary"]'.padEnd(1000));
      const outfile = join(project, 'away', 'main.cjs');
      buildSync({
        entryPoints: [join(project, 'entry.mjs')],
        bundle: true,
        platform: 'node',
        external: ['cli-progress'],
        outfile,
        loader: { '.node': loader },
        logLevel: 'silent',
      });
      rmSync(join(project, 'node_modules'), { recursive: true });
      const { name, reason } = infoOf(runFile(outfile));
      expect([name, reason]).toEqual(['fallback', expect.stringContaining(`(axpy/${own})`)]);
      expect(reason!.length).toBeLessThan(600);
    },
  );

  test('without a binary to follow: bundles, and runs on the fallback', () => {
    const entry = join(bare, 'entry.mjs');
    writeFileSync(entry, importing(`axpy/${own}`));
    const outfile = join(base, 'none', 'main.cjs');
    buildSync({
      entryPoints: [entry],
      bundle: true,
      platform: 'node',
      external: ['cli-progress'],
      outfile,
      loader: { '.node': 'copy' },
      logLevel: 'silent',
    });
    expect(infoOf(runFile(outfile)).name).toBe('fallback');
  });
});

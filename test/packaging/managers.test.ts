/** Installed by every package manager, and in places that they make of it: links, stores, disks that nobody may write to. */
import { execFileSync } from 'node:child_process';
import { chmodSync, cpSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, inject, test } from 'vitest';
import {
  cjs,
  emptyFolder,
  esm,
  expectNative,
  install,
  prepare,
  project,
  run,
  workers,
  write,
} from './support.ts';

const node = process.execPath;
const tool = (path: string) => join(inject('tools'), path);

const programs = { 'esm.mjs': esm(), 'cjs.cjs': cjs(), 'workers.mjs': workers('./esm.mjs') };

async function expectAll(folder: string, command = node, ...args: string[]): Promise<void> {
  write(folder, programs);
  expectNative(await run(folder, command, [...args, 'esm.mjs']));
  expectNative(await run(folder, command, [...args, 'cjs.cjs']));
  expectNative(await run(folder, command, [...args, 'workers.mjs']), 3);
}

/** A project that names the tarball and that another package manager is to install. */
function manifest(): string {
  const folder = emptyFolder();
  const dependencies = { axpy: `file:${inject('tarball')}` };
  write(folder, {
    'package.json': JSON.stringify({ name: 'project', version: '1.0.0', private: true, dependencies }),
  });
  return folder;
}

describe('package managers', () => {
  test('pnpm', async () => {
    const folder = manifest();
    await prepare(folder, node, [tool('pnpm/bin/pnpm.cjs'), 'install', '--ignore-scripts']);
    await expectAll(folder);
  });

  test('Yarn 1', async () => {
    const folder = manifest();
    await prepare(folder, node, [tool('yarn/bin/yarn.js'), 'install', '--ignore-scripts', '--no-progress']);
    await expectAll(folder);
  });

  test.each(['node-modules', 'pnp', 'pnpm'])('Yarn 4, %s', async (linker) => {
    const folder = manifest();
    const registry = execFileSync('npm', ['config', 'get', 'registry'], { encoding: 'utf8' }).trim();
    write(folder, {
      'yarn.lock': '',
      '.yarnrc.yml': `nodeLinker: ${linker}\nenableScripts: false\nenableTelemetry: false\nnpmRegistryServer: ${registry}\nunsafeHttpWhitelist: ['*']\n`,
    });
    const yarn = tool('@yarnpkg/cli-dist/bin/yarn.js');
    await prepare(folder, node, [yarn, 'install'], { CI: '' });
    if (linker === 'pnp') await expectAll(folder, node, yarn, 'node');
    else await expectAll(folder);
  });

  test('Bun', async () => {
    const folder = manifest();
    await prepare(folder, tool('@oven/bun-linux-x64-baseline/bin/bun'), ['install', '--ignore-scripts']);
    await expectAll(folder);
  });
});

describe('places', () => {
  test('a path with spaces, quotes, umlauts, percent signs', async () => {
    await expectAll(await project("axpy it's a prüfung, 100 % #1 ?x="));
  });

  test('a linked package', async () => {
    const folder = emptyFolder();
    const library = await project('axpy-library-');
    const linked = join(folder, 'node_modules/axpy');
    mkdirSync(join(folder, 'node_modules'));
    execFileSync('ln', ['-s', join(library, 'node_modules/axpy'), linked]);
    await expectAll(folder);
    await expectAll(folder, node, '--preserve-symlinks', '--preserve-symlinks-main');
  });

  test('two copies in one tree', async () => {
    const folder = await project();
    cpSync(join(folder, 'node_modules/axpy'), join(folder, 'other/node_modules/axpy'), { recursive: true });
    write(folder, {
      ...programs,
      'other/esm.mjs': esm(),
      'both.mjs': "import './esm.mjs'; import './other/esm.mjs';",
    });
    expectNative(await run(folder, node, ['both.mjs']), 2);
  });

  test('a workspace, a project below another', async () => {
    const folder = await project(undefined, { workspaces: ['packages/*'] });
    write(folder, { 'packages/a/package.json': '{ "name": "a", "version": "1.0.0" }' });
    await install(folder);
    await expectAll(join(folder, 'packages/a'));
  });

  test('nothing may be written', async () => {
    const folder = await project();
    write(folder, programs);
    execFileSync('chmod', ['-R', 'a-w', folder]);
    // Root may write anywhere; whoever else there is may not.
    const root = process.getuid?.() === 0;
    chmodSync(folder, 0o555);
    try {
      const [command, ...args] = root
        ? ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups', node]
        : [node];
      expectNative(await run(folder, command, [...args, 'workers.mjs'], { HOME: '/nonexistent' }), 3);
    } finally {
      execFileSync('chmod', ['-R', 'u+w', folder]);
    }
  });
});

/** Node from the oldest that is supported to the newest, Bun and Deno: on the main thread and in workers. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, inject, test } from 'vitest';
import { root } from './pack.ts';
import { expectFallback, expectNative, expectOne, programs, project, run, write } from './support.ts';

/** A program of the tools; those for other machines than linux-x64 are not among them. */
const tool = (path: string) => join(inject('tools'), path);
const here = process.platform === 'linux' && process.arch === 'x64';

let folder: string;

beforeAll(async () => {
  folder = await project();
  write(folder, programs());
});

test('the runtimes are there on linux-x64', () => {
  expect(existsSync(tool('node24/bin/node'))).toBe(here);
});

describe.runIf(here).each([
  ['Node 20.17', 'node20/bin/node', '--experimental-permission'],
  ['Node 22', 'node22/bin/node', '--permission'],
  ['Node 24', 'node24/bin/node', '--permission'],
  ['Node 26', 'node26/bin/node', '--permission'],
] as const)('%s', (_, path, permission) => {
  const node = tool(path);

  test.each([
    ['esm.mjs', 1],
    ['cjs.cjs', 1],
    ['workers.mjs', 3],
    ['workers-cjs.mjs', 3],
  ])('%s', async (program, count) => {
    expectNative(await run(folder, node, [program]), count);
  });

  const tsx = join(root, 'node_modules/tsx/dist/cli.mjs');
  test.each([
    ['copies.mjs', []],
    ['copies.cjs', []],
    ['copies.mjs', ['--import', './hook.mjs']],
    ['copies.cjs', ['--import', './hook.mjs']],
    ['copies.ts', [tsx]],
    ['copies.cts', [tsx]],
    ['copies.mts', [tsx]],
  ])('%s %j: import and require give one library', async (program, before) => {
    expectOne(await run(folder, node, ['--no-deprecation', ...before, program]));
  });

  test('--no-addons', async () => {
    expectFallback(await run(folder, node, ['--no-addons', 'workers.mjs']), /addons/, 3);
  });

  test('the permission model', async () => {
    const flags = ['--no-warnings', permission, '--allow-fs-read=*', '--allow-worker'];
    expectFallback(await run(folder, node, [...flags, 'workers.mjs']), /--allow-addons/, 3);
    expectNative(await run(folder, node, [...flags, '--allow-addons', 'workers.mjs']), 3);
  });
});

describe.runIf(here)('Bun', () => {
  const bun = () => tool('@oven/bun-linux-x64-baseline/bin/bun');

  test.each([
    ['esm.mjs', 1],
    ['cjs.cjs', 1],
    ['workers.mjs', 3],
  ])('%s', async (program, count) => {
    expectNative(await run(folder, bun(), [program]), count);
  });

  test.each(['copies.mjs', 'copies.cjs', 'copies.ts', 'copies.cts'])(
    '%s: import and require give one library',
    async (program) => {
      expectOne(await run(folder, bun(), [program]));
    },
  );
});

describe.runIf(here)('Deno', () => {
  const deno = () => tool('@deno/linux-x64-glibc/deno');

  test.each([
    ['esm.mjs', 1],
    ['cjs.cjs', 1],
    ['workers.mjs', 3],
  ])('%s', async (program, count) => {
    expectNative(
      await run(folder, deno(), ['run', '--allow-all', program], { DENO_NO_UPDATE_CHECK: '1' }),
      count,
    );
  });

  test.each(['copies.mjs', 'copies.cjs', 'copies.ts'])(
    '%s: import and require give one library',
    async (program) => {
      expectOne(await run(folder, deno(), ['run', '--allow-all', program], { DENO_NO_UPDATE_CHECK: '1' }));
    },
  );

  test('without permission for addons: the fallback', async () => {
    const args = ['run', '--no-prompt', '--allow-read', 'esm.mjs'];
    expectFallback(await run(folder, deno(), args, { DENO_NO_UPDATE_CHECK: '1' }), /--allow-ffi/);
  });
});

/** The code of docs/extending.md is right: it passes the compiler, and runs. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, expect, test } from 'vitest';

const root = fileURLToPath(new URL('..', import.meta.url));
const folder = mkdtempSync(join(root, 'test', 'extending-'));
afterAll(() => rmSync(folder, { recursive: true }));

const page = readFileSync(join(root, 'docs', 'extending.md'), 'utf8');
const blocks = [...page.matchAll(/```ts\n(.*?)```/gs)].map(([, code]) => code);
const file = join(folder, 'page.mts');
writeFileSync(file, blocks.join('\n').replace("from 'axpy'", "from '../../lib/index.ts'"));

test('the page has a layer, an optimizer and an op', () => {
  expect(blocks.length).toBe(3);
});

test('its code runs', () => {
  const output = execFileSync(process.execPath, ['--import', 'tsx', file], { cwd: root, encoding: 'utf8' });
  expect(output).toContain("'body.0.weight'");
}, 60_000);

test('its code passes the compiler', () => {
  const config = join(folder, 'tsconfig.json');
  writeFileSync(
    config,
    JSON.stringify({
      extends: '../../tsconfig.json',
      include: [],
      files: ['page.mts'],
      compilerOptions: { noUnusedLocals: false },
    }),
  );
  const tsc = join(root, 'node_modules', 'typescript', 'bin', 'tsc');
  execFileSync(process.execPath, [tsc, '--noEmit', '-p', config], { cwd: root, encoding: 'utf8' });
}, 120_000);

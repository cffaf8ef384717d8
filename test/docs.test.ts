/** The code on pages of the documentation is right: it passes the compiler, and runs. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, expect, test } from 'vitest';

const root = fileURLToPath(new URL('..', import.meta.url));
const folder = mkdtempSync(join(root, 'test', 'docs-'));
afterAll(() => rmSync(folder, { recursive: true }));

/** What each page prints. */
const pages = {
  attention: '6\n',
  data: 'accuracy 1\n',
  extending: "'body.0.weight'",
  files: "[ '0.weight', '0.bias' ] [ '1.weight', '1.bias' ]",
  losses: 'true\n',
  optimizers: '5 true',
  recurrent: 'accuracy 1',
  runs: '{ hidden: 16 } 5 finished',
  serving: '10 [ 1, 2 ]\n6\n',
};

for (const name of Object.keys(pages)) {
  const page = readFileSync(join(root, 'docs', `${name}.md`), 'utf8');
  const blocks = [...page.matchAll(/```ts\n(.*?)```/gs)].map(([, code]) => code);
  const sources = {
    "'axpy'": "'../../lib/index.ts'",
    "'axpy/runs'": "'../../lib/runs/index.ts'",
    "'axpy/dashboard'": "'../../lib/dashboard/index.ts'",
  };
  let code = blocks.join('\n');
  for (const [name, source] of Object.entries(sources))
    code = code.replaceAll(`from ${name}`, `from ${source}`);
  writeFileSync(join(folder, `${name}.mts`), code);
}

test.each(Object.entries(pages))(
  'the code of %s runs',
  (name, expected) => {
    const args = ['--import', 'tsx', `${name}.mts`];
    expect(execFileSync(process.execPath, args, { cwd: folder, encoding: 'utf8' })).toContain(expected);
  },
  60_000,
);

test('the code passes the compiler', () => {
  const config = join(folder, 'tsconfig.json');
  writeFileSync(
    config,
    JSON.stringify({
      extends: '../../tsconfig.json',
      include: [],
      files: Object.keys(pages).map((name) => `${name}.mts`),
      compilerOptions: { noUnusedLocals: false },
    }),
  );
  const tsc = join(root, 'node_modules', 'typescript', 'bin', 'tsc');
  execFileSync(process.execPath, [tsc, '--noEmit', '-p', config], { cwd: root, encoding: 'utf8' });
}, 120_000);

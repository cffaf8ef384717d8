/** The package's types, as tools that look at packages judge them and as compilers find them. The rest: types.matrix.test.ts. */
import { readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { build } from 'esbuild';
import { publint } from 'publint';
import { formatMessage } from 'publint/utils';
import { beforeAll, describe, expect, inject, test } from 'vitest';
import { checker, loose, strictest } from './compilers.ts';
import { root } from './pack.ts';
import { run } from './support.ts';

describe('the tarball', () => {
  test('publint has nothing to say', async () => {
    const { buffer, byteOffset, byteLength } = readFileSync(inject('tarball'));
    const tarball = buffer.slice(byteOffset, byteOffset + byteLength) as ArrayBuffer;
    const { messages, pkg } = await publint({ pack: { tarball }, level: 'suggestion', strict: true });
    expect(messages.map((message) => formatMessage(message, pkg))).toEqual([]);
  });

  // Subpaths are out of reach for compilers that do not read `exports`.
  test.each([
    ['its main entry, however old the resolution', ['--entrypoints', '.'], 'No problems found'],
    // Of what is passed over it says that it was.
    ['all entries, by `exports`', ['--profile', 'node16'], 'axpy/runs'],
  ])('types are what is loaded: %s', async (_, choice, said) => {
    const attw = join(root, 'node_modules/@arethetypeswrong/cli/dist/index.js');
    const args = [attw, inject('tarball'), '--format', 'ascii', '--no-color', '--no-emoji', ...choice];
    const { code, stdout, stderr } = await run(root, process.execPath, args);
    expect({ code, output: stdout + stderr }).toEqual({
      code: 0,
      output: expect.stringContaining(said),
    });
  });
});

describe.each(['5.4', '7.0'])('TypeScript %s', (version) => {
  let folder: string;
  let check: Awaited<ReturnType<typeof checker>>['check'];
  beforeAll(async () => {
    ({ folder, check } = await checker());
  });

  test('ES modules, as strict as can be, with one that is required', async () => {
    const files = [
      'program.mts',
      'library.mts',
      'required.cts',
      'target.cts',
      'mixed.mts',
      'runs.mts',
      'runs.cts',
    ];
    const options = { ...strictest, target: 'es2022', module: 'nodenext' };
    expect(await check({ version, type: 'module', files, options })).toBe('');
  });

  test('CommonJS, as loose as can be', async () => {
    const files = ['program.ts', 'program.cts', 'required.cts'];
    expect(await check({ version, files, options: { ...loose, module: 'node16' } })).toBe('');
  });

  test('what passes the compiler runs, as a default import too, and bundled before or after it', async () => {
    expect(await check({ version, files: ['whole.cts'], options: { ...loose, module: 'nodenext' } })).toBe(
      '',
    );
    const files = ['out/whole.cjs'];
    for (const platform of ['node', 'browser'] as const) {
      for (const entry of ['whole.cts', 'out/whole.cjs']) {
        const outfile = `out/${platform}-${basename(entry)}.cjs`;
        const options = { platform, bundle: true, format: 'cjs', logLevel: 'error' } as const;
        await build({ ...options, absWorkingDir: folder, entryPoints: [entry], outfile });
        files.push(outfile);
      }
    }
    for (const file of files) {
      const { code, stderr } = await run(folder, process.execPath, [file], {
        AXPY_BACKEND: 'fallback',
      });
      expect({ file, code, stderr }).toEqual({ file, code: 0, stderr: '' });
    }
  });
});

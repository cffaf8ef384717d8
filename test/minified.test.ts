/** What a minified bundle says of names: the same as the modules themselves. */
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { build } from 'esbuild';
import { expect, test } from 'vitest';

const run = promisify(execFile);
const program = fileURLToPath(new URL('./minified.child.ts', import.meta.url));
const binary =
  process.env.AXPY_BINARY ?? fileURLToPath(new URL('../build/Release/axpy.node', import.meta.url));

test('a minified bundle says what the modules say', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'axpy-'));
  try {
    const outfile = join(folder, 'program.cjs');
    await build({
      entryPoints: [program],
      outfile,
      bundle: true,
      minify: true,
      platform: 'node',
      target: 'node20',
      format: 'cjs',
      logLevel: 'error',
    });
    const env = { ...process.env, AXPY_BINARY: binary };
    const [minified, plain] = await Promise.all([
      run(process.execPath, [outfile], { env }),
      run(process.execPath, ['--import', 'tsx', program], { env }),
    ]);
    expect(JSON.parse(minified.stdout)).toEqual(JSON.parse(plain.stdout));
    expect(plain.stdout).toContain('Dense 2 expected input');
    expect(minified.stderr).toBe('');
  } finally {
    rmSync(folder, { recursive: true });
  }
});

/** TypeScript as one file that a process of its own starts with: at once, without a loader, and in worker threads too. */
import { mkdirSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { buildSync } from 'esbuild';

const root = fileURLToPath(new URL('..', import.meta.url));

/** The path of `entry`, a file below the repository's root, and of all that it imports, bundled. */
export function bundle(entry: string): string {
  // As deep below the root as test/contract, which reads binding.d.ts.
  const folder = join(root, 'build', 'bundles');
  mkdirSync(folder, { recursive: true });
  // Files of one name in different folders must not take each other's place.
  const target = join(folder, `${entry.replace(/\.ts$/, '').replaceAll('/', '-')}.mjs`);
  const { outputFiles } = buildSync({
    entryPoints: [join(root, entry)],
    bundle: true,
    platform: 'node',
    target: 'node20',
    format: 'esm',
    write: false,
    banner: { js: "import { createRequire as $r } from 'node:module'; const require = $r(import.meta.url);" },
    logLevel: 'error',
    // The examples import the package by its name; the tests mean its sources.
    alias: {
      'axpy/mpi': join(root, 'lib/mpi/index.ts'),
      'axpy/runs': join(root, 'lib/runs/index.ts'),
      axpy: join(root, 'lib/index.ts'),
    },
  });
  // Two runs may do this at once; a rename is seen whole.
  writeFileSync(`${target}.${process.pid}`, outputFiles[0].contents);
  renameSync(`${target}.${process.pid}`, target);
  return target;
}

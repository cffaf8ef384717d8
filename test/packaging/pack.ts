/** The tarball under test, made once for all test files. */
import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { TestProject } from 'vitest/node';
import { binaries as targets } from '../../scripts/binaries.ts';

declare module 'vitest' {
  export interface ProvidedContext {
    tarball: string;
  }
}

/** Every binary of the package. */
export const binaries = Object.values(targets).map((file) => `prebuilds/${file}`);

export const root = fileURLToPath(new URL('../..', import.meta.url));

/** What npm says of the package in `folder`; with `destination` it also writes the tarball there. */
export function npmPack(folder: string, destination?: string) {
  const where = destination === undefined ? ['--dry-run'] : ['--pack-destination', destination];
  const said = execFileSync('npm', ['pack', '--json', '--ignore-scripts', ...where], {
    cwd: folder,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  // A list up to npm 11, by name from npm 12 on.
  const [packed] = Object.values(JSON.parse(said)) as [
    { filename: string; size: number; unpackedSize: number; files: { path: string; size: number }[] },
  ];
  return packed;
}

/**
 * A folder to pack: this checkout where scripts/prebuild.sh has made every binary, and otherwise a copy of what npm would
 * take, with the checkout's own addon as the only one.
 */
function stage(folder: string): string {
  if (binaries.every((file) => existsSync(join(root, file)))) return root;
  for (const { path } of npmPack(root).files) {
    if (!path.startsWith('prebuilds/')) cpSync(join(root, path), join(folder, path));
  }
  const libc = process.platform === 'linux' ? '.glibc' : '';
  const binary = join(folder, 'prebuilds', `${process.platform}-${process.arch}`, `axpy${libc}.node`);
  mkdirSync(dirname(binary), { recursive: true });
  execFileSync('strip', ['-o', binary, join(root, 'build/Release/axpy.node')]);
  return folder;
}

/** `AXPY_TARBALL` names one that is there already, as that of a release. */
export default function setup(project: TestProject): () => void {
  const folder = mkdtempSync(join(tmpdir(), 'axpy-pack-'));
  const given = process.env.AXPY_TARBALL;
  const tarball = given
    ? resolve(given)
    : join(folder, npmPack(stage(join(folder, 'stage')), folder).filename);
  project.provide('tarball', tarball);
  return () => rmSync(folder, { recursive: true });
}

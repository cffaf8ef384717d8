import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Addon } from '../../binding.d.ts';
import {
  ArgumentError,
  AxpyError,
  BackendError,
  DataError,
  IndexError,
  KernelError,
  MemoryError,
  NonFiniteError,
} from '../errors.ts';
import { codeLists } from './codes.ts';
import { describeFact } from './facts.ts';
import { kernelNames, table } from './table.ts';

/** The folder of axpy's package.json. This module runs from lib/kernels, from dist/kernels and bundled in dist. */
function packageRoot(start: string): string {
  for (let folder = start; ; folder = dirname(folder)) {
    const path = join(folder, 'package.json');
    if (existsSync(path) && JSON.parse(readFileSync(path, 'utf8')).name === 'axpy') return folder;
    if (folder === dirname(folder)) {
      throw new BackendError(`the package axpy was not found above ${start}`, { unavailable: true });
    }
  }
}

/** On Linux, whether the C library of this process is musl, for which glibc's binaries are of no use. */
function isMusl(): boolean {
  if (process.platform !== 'linux') return false;
  try {
    return readFileSync('/proc/self/maps', 'utf8').includes('/ld-musl-');
  } catch {
    const report = process.report.getReport() as { header?: { glibcVersionRuntime?: string } };
    return report.header?.glibcVersionRuntime === undefined;
  }
}

/**
 * The binary that `AXPY_BINARY` names by its path (one built in another way, as with a sanitizer), or the one built in
 * this checkout, or else the one that the package brings for this platform.
 */
function findBinary(root: string): string {
  const named = process.env.AXPY_BINARY;
  if (named) return resolve(named);
  const built = join(root, 'build', 'Release', 'axpy.node');
  if (existsSync(built)) return built;
  const platform = `${process.platform}-${process.arch}`;
  const file = isMusl() ? 'axpy.musl.node' : 'axpy.node';
  const prebuilt = join(root, 'prebuilds', platform, file);
  if (existsSync(prebuilt)) return prebuilt;
  throw new BackendError(`there is no binary for this platform (no prebuilds/${platform}/${file})`, {
    unavailable: true,
  });
}

/** dlopen's failures and a CPU too old; what else the addon throws, as for a bad AXPY_THREADS, passes as it is. */
function open(path: string): Addon {
  try {
    return createRequire(path)(path) as Addon;
  } catch (cause) {
    const { code, message } = cause as { code?: string; message: string };
    if (code === 'AXPY_ARGUMENT') throw new ArgumentError(message);
    if (code === 'AXPY_MEMORY') throw new MemoryError(message);
    if (code !== 'ERR_DLOPEN_FAILED' && code !== 'AXPY_BACKEND') throw cause;
    throw new BackendError(`the binary cannot be loaded: ${message}`, { cause, unavailable: true });
  }
}

/** A binary of another version would compute something else under the same name. */
function checkManifest(addon: Addon, path: string): void {
  const { kernels, codes } = addon.manifest();
  const outdated = (what: string) =>
    new BackendError(
      `${path} does not match this version of axpy (${what}): rebuild it with npx cmake-js build`,
    );
  const names = Object.keys(kernels).sort().join(' ');
  if (names !== kernelNames.toSorted().join(' ')) throw outdated('its kernels differ');
  for (const name of kernelNames) {
    const expected = Object.entries(table[name].arguments).map(([own, fact]) => [own, describeFact(fact)]);
    if (Object.entries(kernels[name]).join(' ') !== expected.join(' ')) {
      throw outdated(`the arguments of its ${name} differ`);
    }
  }
  for (const [list, expected] of Object.entries(codeLists)) {
    if (codes[list]?.join(' ') !== expected.join(' ')) throw outdated(`its ${list} differ`);
  }
}

/**
 * Loads the addon.
 * @throws BackendError with `unavailable` set when there is no binary for this platform or it cannot be loaded, without
 * when it is of another version; any other fault as it is.
 */
export function loadNative(): Addon {
  const path = findBinary(packageRoot(dirname(fileURLToPath(import.meta.url))));
  const addon = open(path);
  checkManifest(addon, path);
  const errors = {
    AXPY_KERNEL: KernelError,
    AXPY_INDEX: IndexError,
    AXPY_ARGUMENT: ArgumentError,
    AXPY_MEMORY: MemoryError,
    AXPY_NON_FINITE: NonFiniteError,
    AXPY_DATA: DataError,
  };
  addon.setErrorFactory((code, message) =>
    code === 'AXPY_THREAD' ? new AxpyError(code, message) : new errors[code](message),
  );
  return addon;
}

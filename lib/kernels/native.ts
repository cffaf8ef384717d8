/** The addon: found, loaded, and held against what this version of the library expects of it. */
import type { Addon } from '../../binding.d.ts';
import {
  ArgumentError,
  AxpyError,
  BackendError,
  DataError,
  DistributedError,
  IndexError,
  KernelError,
  MemoryError,
  NonFiniteError,
} from '../errors.ts';
import { host } from '../platform.ts';
import { findSources, type Source } from './binary.ts';
import { codeLists } from './codes.ts';
import { describeFact } from './facts.ts';
import { kernelNames, table } from './table.ts';

/** Whether this process may load no addon, by its flags or by what Deno was permitted. */
function isForbidden(cause: unknown): boolean {
  const { code, name } = Object(cause) as { code?: unknown; name?: unknown };
  return code === 'ERR_DLOPEN_DISABLED' || code === 'ERR_ACCESS_DENIED' || name === 'NotCapable';
}

/** @throws what the addon says of a variable or of memory, as an error of ours; BackendError for the rest. */
function load({ name, load, isNamed = false }: Source): Addon {
  try {
    return load() as Addon;
  } catch (cause) {
    const { code, message } = Object(cause) as { code?: string; message?: string };
    if (code === 'AXPY_ARGUMENT') throw new ArgumentError(message!);
    if (code === 'AXPY_MEMORY') throw new MemoryError(message!);
    const forbidden = isForbidden(cause);
    const isFlag = code === 'ERR_DLOPEN_DISABLED' && host!.permission === undefined;
    const why = isFlag ? 'Node was started with --no-addons' : message;
    // Of several lines the log would show the first.
    const line = String(why).replace(/\s*\n\s*/g, ' ');
    throw new BackendError(`the binary cannot be loaded: ${line} (${name})`, {
      cause,
      // Who names a binary may do so for all processes, and this one may have no addons.
      unavailable: !isNamed || forbidden,
    });
  }
}

/** A binary of another version would compute something else under the same name. */
function checkManifest(addon: Addon, { name, remedy }: Source): void {
  const outdated = (what: string) =>
    new BackendError(`${name} does not match this version of axpy (${what}): ${remedy}`);
  if (typeof addon?.manifest !== 'function') throw outdated('it is another addon');
  const { kernels, codes } = addon.manifest();
  const names = Object.keys(kernels).sort().join(' ');
  if (names !== kernelNames.toSorted().join(' ')) throw outdated('its kernels differ');
  for (const kernel of kernelNames) {
    const expected = Object.entries(table[kernel].arguments).map(([own, fact]) => [own, describeFact(fact)]);
    if (Object.entries(kernels[kernel]).join(' ') !== expected.join(' ')) {
      throw outdated(`the arguments of its ${kernel} differ`);
    }
  }
  for (const [list, expected] of Object.entries(codeLists)) {
    if (codes[list]?.join(' ') !== expected.join(' ')) throw outdated(`its ${list} differ`);
  }
}

/** Its errors are of our classes. Each copy of the library has exports of its own, and so this for itself. */
function adopt(addon: Addon): Addon {
  const errors = {
    AXPY_KERNEL: KernelError,
    AXPY_INDEX: IndexError,
    AXPY_ARGUMENT: ArgumentError,
    AXPY_MEMORY: MemoryError,
    AXPY_NON_FINITE: NonFiniteError,
    AXPY_DATA: DataError,
    AXPY_DISTRIBUTED: DistributedError,
  };
  addon.setErrorFactory((code, message) =>
    code === 'AXPY_THREAD' ? new AxpyError(code, message) : new errors[code](message),
  );
  return addon;
}

/** What helps where Node keeps a program from files and addons, whichever of them it met first. */
const permissionHint =
  ': under its permission model Node wants --allow-addons, and --allow-fs-read for the package';

/**
 * Loads the addon: the first binary that can be loaded.
 * @throws BackendError with `unavailable` set when none can, without when one is of another version; ArgumentError for a
 * variable that makes no sense
 */
export function loadNative(): Addon {
  const faults: string[] = [];
  const missing: string[] = [];
  for (const source of findSources(missing)) {
    try {
      const addon = load(source);
      checkManifest(addon, source);
      return adopt(addon);
    } catch (error) {
      if (!(error instanceof BackendError && error.unavailable)) throw error;
      faults.push(error.message);
      if (isForbidden(error.cause)) break;
    }
  }
  const hint = host?.permission === undefined ? '' : permissionHint;
  throw new BackendError([...faults, ...missing].join('; ') + hint, { unavailable: true });
}

/** What the system says of files, in words. */
import { access } from 'node:fs/promises';
import { basename, dirname, resolve } from 'node:path';
import { FileError } from '../index.ts';
import { UsageError } from './command.ts';

const reasons: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such file',
  EISDIR: 'it is a folder',
  EACCES: 'the system does not allow it',
};

/** An error for a file that cannot be read. @param cause what the system threw */
export function unreadable(op: string, path: string, cause: unknown): FileError {
  const { code = 'an error' } = cause as NodeJS.ErrnoException;
  return new FileError(`[${op}] cannot read ${path}: ${reasons[code] ?? `the system says ${code}`}`, {
    cause,
  });
}

/**
 * Holds that files may be written, before work begins.
 * @param read the files that are read, which must not be lost
 * @throws UsageError for one of these, FileError where there is no such folder
 */
export async function checkOutputs(
  op: string,
  outputs: readonly (string | undefined)[],
  read: readonly string[],
): Promise<void> {
  const sources = read.filter((path) => path !== '-').map((path) => resolve(path));
  const seen = new Set<string>();
  for (const path of outputs) {
    if (path === undefined || path === '-') continue;
    const place = resolve(path);
    if (sources.includes(place))
      throw new UsageError(`[${op}] expected another file to write than ${path}, which is read`);
    if (seen.has(place)) throw new UsageError(`[${op}] expected files of different names, got ${path} twice`);
    seen.add(place);
    const folder = dirname(path);
    await access(folder).catch((cause) => {
      throw new FileError(`[${op}] expected a folder ${folder} for ${basename(path)}, got none`, { cause });
    });
  }
}

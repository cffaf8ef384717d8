/** What the system says of files, in words. */
import { FileError } from '../index.ts';

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

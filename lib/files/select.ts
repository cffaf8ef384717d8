/** Which of the things in a file are wanted. */
import { describe, isArray, isInstance, readList } from '../arguments.ts';
import { ArgumentError } from '../errors.ts';
import { nameList } from '../state.ts';

/** Those whose names match, or that are named. */
export type Only = RegExp | readonly string[];

/** The names that `only` selects, in the order of the file. @throws ArgumentError for a name that is not there */
export function selected(op: string, only: Only | undefined, names: readonly string[]): string[] {
  if (only === undefined) return [...names];
  // `search` does not mind where a global expression left off.
  if (isInstance(only, RegExp)) return names.filter((name) => name.search(only) >= 0);
  if (!isArray(only)) {
    throw new ArgumentError(
      `[${op}] expected only to be a RegExp or an array of names, got ${describe(only)}`,
    );
  }
  const wanted = new Set<unknown>(readList(op, 'only', only));
  const present = new Set<unknown>(names);
  for (const name of wanted) {
    if (present.has(name)) continue;
    throw new ArgumentError(
      `[${op}] expected names of the file in only (${nameList(names)}), got ${describe(name)}`,
    );
  }
  return names.filter((name) => wanted.has(name));
}

/** Arrays by name as NumPy keeps them: a zip archive in which each is a `.npy` file. */
import { checkBoolean, describe, isRecord, readOptions } from '../arguments.ts';
import { ArgumentError, DataError, FormatError } from '../errors.ts';
import { settleRuns } from '../kernels/queue.ts';
import { refuseRecording } from '../kernels/recorder.ts';
import type { Dtype } from '../memory.ts';
import type { Tensor } from '../tensor.ts';
import { Archive, type Member } from './archive.ts';
import { concatBytes } from './bytes.ts';
import { type Path, replaceFile, type Source, withSource } from './disk.ts';
import { checkWanted } from './dtypes.ts';
import { type LoadNpyOptions, npyParts, readNpy } from './npy.ts';
import { type Only, selected } from './select.ts';
import { archiveOf } from './zip.ts';

/** Options of `loadNpz`. */
export interface LoadNpzOptions<D extends Dtype = Dtype> extends LoadNpyOptions<D> {
  /** Names, or an expression that they match; other arrays are not read. Default: all. */
  only?: Only;
}

/** Options of `saveNpz` and `encodeNpz`. */
export interface SaveNpzOptions {
  /** Whether to deflate, as `np.savez_compressed` does: smaller where numbers repeat, and slower. Default false. */
  compressed?: boolean;
}

const suffix = '.npy';

/**
 * The arrays of a `.npz` file by name, as `np.savez` and `np.savez_compressed` write it; what each becomes says `loadNpy`. Of a
 * file, no more is read than what is wanted. A name is a key and nothing else, whatever path it looks like.
 * @param source a path, a `file:` URL, or the bytes
 * @throws as `loadNpy`; FormatError for what is no zip archive, or not what it says of itself, such as a sum; ArgumentError for
 *   names that are not there
 */
// biome-ignore lint/suspicious/noExplicitAny: what no one asked for is seen in the file
export async function loadNpz<D extends Dtype = any>(
  source: Source,
  options: LoadNpzOptions<D> = {},
): Promise<Record<string, Tensor<NoInfer<D>>>> {
  const op = 'loadNpz';
  const { only, dtype } = readOptions(op, options, ['only', 'dtype']);
  checkWanted(op, dtype);
  return await withSource(op, source, async (file) => {
    const archive = new Archive(op, file);
    const members = new Map<string, Member>();
    for (const member of await archive.members()) {
      // A folder, which other tools make an entry of.
      if (member.name.endsWith('/') && member.size === 0) continue;
      const name = member.name.endsWith(suffix) ? member.name.slice(0, -suffix.length) : member.name;
      if (members.has(name)) throw new FormatError(`expected each name once, got ${describe(name)} again`);
      members.set(name, member);
    }
    const arrays: [string, Tensor][] = [];
    for (const name of selected(op, only, [...members.keys()])) {
      const member = members.get(name)!;
      arrays.push([name, await about(name, () => archive.use(member, (feed) => readNpy('it', feed, dtype)))]);
    }
    return Object.fromEntries(arrays);
  });
}

/** Errors of the format, and of what does not fit, say which array they are about. */
async function about<Result>(name: string, read: () => Promise<Result>): Promise<Result> {
  try {
    return await read();
  } catch (error) {
    const isOurs = error instanceof FormatError || error instanceof DataError;
    if (isOurs && !error.message.startsWith('[')) error.message = `array ${describe(name)}: ${error.message}`;
    throw error;
  }
}

/**
 * Writes tensors by name, in their order, as `np.savez` does, all as they are when it is called. The file is replaced at once or
 * not at all. The same tensors make the same file.
 * @throws ArgumentError for what are no tensors, no path, or names by which NumPy would not find them; FileError where the
 *   system refuses, and for `compressed` where the host has no CompressionStream; MemoryError
 */
export async function saveNpz(
  path: Path,
  tensors: Readonly<Record<string, Tensor>>,
  options: SaveNpzOptions = {},
): Promise<void> {
  const op = 'saveNpz';
  await replaceFile(op, path, partsOf(op, tensors, options));
}

/** The bytes that `saveNpz` writes; a promise of them, as hosts deflate in their own time. @throws as it does */
export async function encodeNpz(
  tensors: Readonly<Record<string, Tensor>>,
  options: SaveNpzOptions = {},
): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  for await (const part of partsOf('encodeNpz', tensors, options)) parts.push(part);
  return concatBytes(parts);
}

/** Reads and copies at once what was given. */
function partsOf(
  op: string,
  tensors: Readonly<Record<string, Tensor>>,
  options: SaveNpzOptions,
): AsyncIterable<Uint8Array> {
  refuseRecording(op);
  const { compressed = false } = readOptions(op, options, ['compressed']);
  checkBoolean(op, 'compressed', compressed);
  if (!isRecord(tensors)) {
    throw new ArgumentError(`[${op}] expected tensors by name, got ${describe(tensors)}`);
  }
  const names = Object.keys(tensors);
  const all = new Set(names);
  for (const name of names) checkName(op, name, all);
  settleRuns();
  const members = names.map(
    (name) => [name + suffix, npyParts(op, describe(name), tensors[name], false)] as const,
  );
  return archiveOf(op, members, compressed);
}

/** The most bytes that a name has room for, with its suffix. */
const longestName = 0xffff - suffix.length;

/** @throws ArgumentError for a name that NumPy would not find, or find another array by */
function checkName(op: string, name: string, all: ReadonlySet<string>): void {
  const refuse = (expected: string) =>
    new ArgumentError(`[${op}] expected ${expected}, got ${describe(name)}`);
  if (name.includes('\0')) throw refuse('names without NUL, which ends them in an archive');
  if (/[\uD800-\uDFFF]/u.test(name)) throw refuse('names of whole characters');
  if (new TextEncoder().encode(name).length > longestName)
    throw refuse(`names of at most ${longestName} bytes`);
  if (all.has(name + suffix)) throw refuse(`no two names that differ by ${suffix} alone`);
}

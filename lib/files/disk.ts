/** Files: read by ranges, and replaced so that whoever looks, and whatever happens, finds the old one or the new one. */
import { describe, isArray } from '../arguments.ts';
import { ArgumentError, AxpyError, DataError, FileError, FormatError } from '../errors.ts';
import { hold } from '../hold.ts';
import { lengthOf } from '../memory.ts';
import { attempt, builtin, host, isArrayBuffer, isSharedArrayBuffer, later } from '../platform.ts';
import { allocateBuffer, blocksOf, concatBytes, Turns } from './bytes.ts';
import { Digest } from './digest.ts';
import { firstBytes, hintOf } from './kinds.ts';

/** A URL, in words for compilers that know neither a browser nor Node. */
export interface FileUrl {
  readonly href: string;
}

/** A file: its path, or a `file:` URL. */
export type Path = string | FileUrl;

/** What is read: a file, or the bytes themselves, which must stay as they are meanwhile. */
export type Source = Path | Uint8Array | ArrayBuffer;

/** Something to read from, for as long as `withSource` lasts. */
export interface Readable {
  /** What messages call it. */
  readonly name: string;
  /** In bytes. */
  readonly size: number;
  /** The path, where it is a file. */
  readonly path: string | undefined;
  /** Fills `into` with the bytes from `offset` on, off the main thread. @throws FileError where there are fewer */
  readInto(offset: number, into: Uint8Array): Promise<void>;
  /** The same in memory of its own. */
  read(offset: number, length: number): Promise<Uint8Array>;
}

/** What a thread of the system reads or writes at a time: more makes nothing faster. */
const piece = 2 ** 26;

function need<Name extends 'node:fs' | 'node:path' | 'node:url'>(op: string, name: Name) {
  const found = builtin(name);
  if (found !== undefined) return found;
  throw new FileError(
    `[${op}] expected a host with files, got one without ${name}: give and take bytes here`,
  );
}

/** The absolute path that is meant, whichever folder is the current one later. */
export function pathOf(op: string, given: Path): string {
  let path: unknown = given;
  if (typeof given === 'object' && given !== null) {
    const href: unknown = attempt(() => given.href);
    if (typeof href === 'string') {
      path = attempt(() => need(op, 'node:url').fileURLToPath(href)) ?? href;
    }
  }
  const isPath = typeof path === 'string' && path !== '' && !path.includes('\0');
  if (isPath && !/^https?:\/\//i.test(path as string)) return need(op, 'node:path').resolve(path as string);
  throw new ArgumentError(
    `[${op}] expected a path or a file: URL, got ${describe(path)}: of what lies elsewhere give the bytes, as ` +
      'await (await fetch(url)).arrayBuffer()',
  );
}

/** What a system's error becomes. */
export function refused(op: string, what: string, path: string, cause: unknown): Error {
  if (cause instanceof AxpyError) return cause;
  const { message } = cause as Partial<Error>;
  return new FileError(`[${op}] expected to ${what} ${path}, got ${message ?? describe(cause)}`, { cause });
}

/** Errors about what is in a file say which one it is. */
async function naming<Result>(
  op: string,
  file: Readable,
  use: (file: Readable) => Promise<Result>,
): Promise<Result> {
  try {
    return await use(file);
  } catch (error) {
    const isAboutFile = error instanceof FormatError || error instanceof DataError;
    if (isAboutFile && !error.message.startsWith('[')) {
      const first = await file.read(0, Math.min(firstBytes, file.size)).catch(() => undefined);
      const hint = first && error instanceof FormatError ? hintOf(op, first) : '';
      error.message = `[${op}] ${error.message} (${file.name}${hint && `: ${hint}`})`;
    }
    throw error;
  }
}

/**
 * Opens what is to be read, and closes it in any case. Errors about what is in it name it.
 * @throws ArgumentError for what is no source, FileError for a file that cannot be read
 */
export async function withSource<Result>(
  op: string,
  source: Source,
  use: (file: Readable) => Promise<Result>,
): Promise<Result> {
  const bytes = bytesIn(op, source);
  if (bytes !== undefined) return await naming(op, inMemory(op, bytes), use);
  const path = pathOf(op, source as Path);
  const { open, stat } = need(op, 'node:fs').promises;
  const fail = (cause: unknown): never => {
    throw refused(op, 'read', path, cause);
  };
  // What is no file, as a pipe, might keep whoever opens it waiting.
  const kind = await stat(path).catch(fail);
  if (!kind.isFile()) {
    throw new FileError(
      `[${op}] expected to read ${path}, got ${kind.isDirectory() ? 'a folder' : 'what is no file'}`,
    );
  }
  const handle = await open(path, 'r').catch(fail);
  try {
    const { size } = await handle.stat().catch(fail);
    const readInto = async (offset: number, into: Uint8Array) => {
      for (let done = 0; done < into.length; ) {
        const length = Math.min(piece, into.length - done);
        const { bytesRead } = await handle.read(into, done, length, offset + done).catch(fail);
        if (bytesRead === 0) {
          throw new FileError(
            `[${op}] expected ${into.length} bytes at ${offset} of ${path}, got ${done}: it became shorter`,
          );
        }
        done += bytesRead;
      }
    };
    return await naming(op, { name: path, path, size, readInto, read: reading(readInto) }, use);
  } finally {
    await handle.close().catch(() => {});
  }
}

const reading = (readInto: Readable['readInto']) => async (offset: number, length: number) => {
  const into = allocateBuffer(length);
  await readInto(offset, into);
  return into;
};

/** All of it. */
export function readAll(op: string, source: Source): Promise<Uint8Array> {
  return withSource(op, source, (file) => file.read(0, file.size));
}

/** The bytes that a source is; undefined for anything else. */
function bytesIn(op: string, source: Source): Uint8Array | undefined {
  const isBuffer = isArrayBuffer(source) || isSharedArrayBuffer(source);
  if (!isBuffer && !ArrayBuffer.isView(source)) return undefined;
  const bytes = attempt(() =>
    isBuffer ? new Uint8Array(source) : new Uint8Array(source.buffer, source.byteOffset, source.byteLength),
  );
  if (bytes !== undefined) return bytes;
  throw detached(op);
}

const detached = (op: string) => new DataError(`[${op}] expected bytes that stay, got a detached buffer`);

function inMemory(op: string, bytes: Uint8Array): Readable {
  const size = lengthOf(bytes);
  const readInto = async (offset: number, into: Uint8Array) => {
    if (lengthOf(bytes) !== size) throw detached(op);
    into.set(bytes.subarray(offset, offset + into.length));
  };
  return { name: 'the bytes given', path: undefined, size, readInto, read: reading(readInto) };
}

// ── writing ─────────────────────────────────────────────────────────────────────────────────────────────────────────

/** Files of processes that are gone begin and end so. */
const prefix = '.axpy-';
const suffix = '.tmp';
/** After so many milliseconds without a change nobody is writing to one any more, whoever that was. */
const forgotten = 600_000;

/**
 * How the names of this process's files begin. Those of another machine, or of a container that counts processes for itself,
 * begin otherwise, whoever has the same folder.
 */
function ownPrefix(): string {
  const machine = attempt(() => builtin('node:os')?.hostname()) ?? '';
  const processes = attempt(() => builtin('node:fs')?.readlinkSync('/proc/self/ns/pid')) ?? '';
  const name = `${machine.slice(0, 40)}${processes.replace(/\D/g, '')}`;
  return `${prefix}${name.replace(/[^\w.]/g, '')}-`;
}

/** Whether a file that has not its name yet is one of nobody any more. */
function isLeft(name: string, changed: number): boolean {
  const own = ownPrefix();
  if (Date.now() - changed > forgotten) return true;
  const pid = name.startsWith(own) ? Number.parseInt(name.slice(own.length), 10) : Number.NaN;
  if (!Number.isInteger(pid)) return false;
  // A process in a container has the number of the one before.
  if (pid === host?.pid) return changed < Date.now() - 1000 * (host?.uptime?.() ?? Infinity);
  try {
    host?.kill?.(pid, 0);
    return false;
  } catch (error) {
    return (error as { code?: unknown }).code === 'ESRCH';
  }
}

/** Removes what processes left that were ended as they wrote; as far as it may. */
async function clean(folder: string): Promise<void> {
  const [{ readdir, stat, unlink }, { join }] = [builtin('node:fs')!.promises, builtin('node:path')!];
  const names = await readdir(folder).catch(() => []);
  for (const name of names) {
    if (!name.startsWith(prefix) || !name.endsWith(suffix)) continue;
    const path = join(folder, name);
    const state = await stat(path).catch(() => undefined);
    if (state !== undefined && isLeft(name, state.mtimeMs)) await unlink(path).catch(() => {});
  }
}

/** What systems answer that cannot do so with a folder. */
const unsupported: readonly unknown[] = ['EPERM', 'EISDIR', 'EINVAL', 'EBADF', 'ENOTSUP', 'ENOSYS', 'EACCES'];

/**
 * Puts a file in the place of one that may be there: beside it under another name, synchronised to the disk, then renamed,
 * and the folder synchronised. Whatever ends this early, there is the old file or the new one, whole.
 * @param parts follow each other. Those in an array are written as they are now, and copied only where their memory is about
 *   to change before they are: see `hold`. Others are not to be changed.
 * @param head makes the first part in an array anew, as long as it was, of the sums of the others, which are known once they
 *   are written
 * @throws FileError where the system refuses; the old file is then still there
 */
export async function replaceFile(
  op: string,
  given: Path,
  parts: readonly Uint8Array[] | AsyncIterable<Uint8Array>,
  head?: (sums: readonly Digest[]) => Uint8Array,
): Promise<void> {
  const named = pathOf(op, given);
  const held = isArray(parts) ? parts.map((part) => new Part(part)) : null;
  try {
    await replace(op, named, async (handle) => {
      let begin = 0;
      for (const part of held ?? []) begin += await part.write(handle, begin, head !== undefined);
      if (head !== undefined) await writeAll(handle, head((held ?? []).slice(1).map(({ sum }) => sum)), 0);
      if (held !== null) return;
      for await (const part of parts) {
        await writeAll(handle, part, begin);
        begin += part.length;
      }
    });
  } finally {
    for (const part of held ?? []) part.release();
  }
}

/** What is to be written: as it was when this was made, whoever changes the memory before it is. */
class Part {
  readonly release: () => void;
  /** Of what was written. */
  sum = new Digest();
  private failure: unknown = null;

  constructor(private memory: Uint8Array) {
    this.release = hold(memory.buffer, () => {
      try {
        this.memory = concatBytes([memory]);
      } catch (error) {
        // Is no matter of whoever is about to change it.
        this.failure = error;
      }
    });
  }

  /** Where it is now. */
  private get bytes(): Uint8Array {
    if (this.failure !== null) throw this.failure;
    return this.memory;
  }

  /** Writes it, and sums it up meanwhile. Returns how long it is. */
  async write(handle: Handle, begin: number, isSummed: boolean): Promise<number> {
    const { length } = this.memory;
    const turns = new Turns();
    const first = this.bytes;
    for (let done = 0; done < length; ) {
      const { bytes } = this;
      const some = bytes.subarray(done, done + piece);
      const writing = writeAll(handle, some, begin + done);
      // Awaited in the end, and heard until then.
      writing.catch(() => {});
      if (isSummed) await this.add(some, turns);
      await writing;
      // What changed meanwhile, and was copied before, is written again.
      if (this.bytes === bytes) done += some.length;
    }
    if (isSummed && this.bytes !== first) {
      this.sum = new Digest();
      await this.add(this.bytes, turns);
    }
    // What is on the disk need not be copied any more.
    this.release();
    return length;
  }

  private async add(bytes: Uint8Array, turns: Turns): Promise<void> {
    for (const block of blocksOf([bytes])) {
      this.sum.add(block);
      await turns.after(block.length);
    }
  }
}

type Handle = import('node:fs').promises.FileHandle;

async function writeAll(handle: Handle, bytes: Uint8Array, at: number): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    const length = Math.min(piece, bytes.length - done);
    done += (await handle.write(bytes, done, length, at + done)).bytesWritten;
  }
}

async function replace(op: string, named: string, write: (handle: Handle) => Promise<void>): Promise<void> {
  const [{ open, realpath, stat, rename, unlink }, { dirname, join }] = [
    need(op, 'node:fs').promises,
    need(op, 'node:path'),
  ];
  const path = await realpath(named).catch(() => targetOf(named));
  const folder = dirname(path);
  const fail = (cause: unknown): never => {
    throw refused(op, 'write', path, cause);
  };
  const old = await stat(path).catch(() => undefined);
  if (old !== undefined && !old.isFile()) {
    throw new FileError(
      `[${op}] expected to write ${path}, got ${old.isDirectory() ? 'a folder' : 'what is no file'} there`,
    );
  }
  await clean(folder);
  const mark = Math.floor(Math.random() * 2 ** 48).toString(36);
  const temporary = join(folder, `${ownPrefix()}${host?.pid}-${mark}${suffix}`);
  const handle = await open(temporary, 'wx').catch(fail);
  try {
    try {
      // As far as the file system knows of such.
      if (old !== undefined) await handle.chmod(old.mode).catch(() => {});
      await write(handle);
      await handle.sync();
    } finally {
      await handle.close();
    }
    // What is open stays until it is closed: the system frees the old one's room when nobody waits for it any more.
    const previous =
      old === undefined || host?.platform === 'win32'
        ? undefined
        : await open(path, 'r').catch(() => undefined);
    try {
      await renamed(rename, temporary, path);
    } finally {
      later(() => void previous?.close().catch(() => {}));
    }
  } catch (cause) {
    await unlink(temporary).catch(() => {});
    fail(cause);
  }
  await synchronised(folder).catch(fail);
}

/** A link goes on to lead to the file, also where there is none yet. */
async function targetOf(path: string, depth = 0): Promise<string> {
  const { readlink } = builtin('node:fs')!.promises;
  const to = await readlink(path).catch(() => undefined);
  const { dirname, resolve } = builtin('node:path')!;
  return to === undefined || depth > 40 ? path : targetOf(resolve(dirname(path), to), depth + 1);
}

/** Renames it; on Windows as soon as those who read the old one, or look for viruses, let go of it. */
async function renamed(
  rename: (from: string, to: string) => Promise<void>,
  from: string,
  to: string,
): Promise<void> {
  const until = Date.now() + (host?.platform === 'win32' ? 2000 : 0);
  for (;;) {
    try {
      return await rename(from, to);
    } catch (error) {
      const { code } = error as { code?: unknown };
      if (Date.now() >= until || !['EPERM', 'EACCES', 'EBUSY'].includes(code as string)) throw error;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
}

/** That the file has its name after a power cut as well. */
async function synchronised(folder: string): Promise<void> {
  try {
    const handle = await builtin('node:fs')!.promises.open(folder, 'r');
    await handle.sync().finally(() => handle.close());
  } catch (error) {
    if (!unsupported.includes((error as { code?: unknown }).code)) throw error;
  }
}

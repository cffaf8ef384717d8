/** A folder of checkpoints: what they are called, which counts, which may go. */
import { FormatError } from '../errors.ts';
import { attempt, builtin, warn } from '../platform.ts';
import { type Path, pathOf, refused, type Source } from './disk.ts';
import { type Checkpoint, NewerFormatError } from './snapshot.ts';

/** A file by the number of steps that had been taken. */
export interface Kept {
  readonly step: number;
  readonly path: string;
}

const ending = '.safetensors';
const pattern = /^checkpoint-(\d{9,15})\.safetensors$/;
const bestName = `best${ending}`;

const nameOf = (step: number) => `checkpoint-${String(step).padStart(9, '0')}${ending}`;

const isThere = async (path: string): Promise<boolean> =>
  builtin('node:fs')!
    .promises.stat(path)
    .then(
      () => true,
      () => false,
    );

const isMissing = (error: unknown) => (error as { code?: unknown }).code === 'ENOENT';

/** A folder that is there, and its checkpoints. */
export class Folder {
  private constructor(
    private readonly op: string,
    readonly path: string,
  ) {}

  /** Makes it where it is not there. @throws FileError where the system refuses that, or writing there */
  static async open(op: string, given: Path): Promise<Folder> {
    const path = pathOf(op, given);
    const fs = builtin('node:fs')!;
    try {
      await fs.promises.mkdir(path, { recursive: true });
      // To learn now what the first checkpoint would learn hours later.
      await fs.promises.access(path, fs.constants.W_OK);
    } catch (cause) {
      throw refused(op, 'write to', path, cause);
    }
    return new Folder(op, path);
  }

  private join(name: string): string {
    return builtin('node:path')!.join(this.path, name);
  }

  fileOf(step: number): string {
    return this.join(nameOf(step));
  }

  get best(): string {
    return this.join(bestName);
  }

  /** Those with a number, the latest first. */
  async list(): Promise<Kept[]> {
    return await listed(this.op, this.path);
  }

  /** The best, where there is one. */
  async bests(): Promise<{ readonly path: string }[]> {
    return (await isThere(this.best)) ? [{ path: this.best }] : [];
  }

  /** Whether a file is in it, by whichever way. */
  async holds(file: string): Promise<boolean> {
    const { realpath } = builtin('node:fs')!.promises;
    const folders = [this.path, builtin('node:path')!.dirname(file)];
    const [own, other] = await Promise.all(folders.map((path) => realpath(path).catch(() => path)));
    return file !== '' && own === other;
  }

  /** The paths of all; none where the system does not tell. */
  async files(): Promise<string[]> {
    const numbered = await this.list().catch(() => []);
    return [...numbered, ...(await this.bests())].map(({ path }) => path);
  }

  /** Removes all but the latest, of one's own up to a step; as far as it may: the next time it is tried again. */
  async prune(keep: number, upTo: number, isOwn: (path: string) => boolean): Promise<void> {
    const numbered = await this.list().catch(() => []);
    const own = numbered.filter(({ step, path }) => step <= upTo && isOwn(path));
    for (const { path } of own.slice(keep))
      await builtin('node:fs')!
        .promises.unlink(path)
        .catch(() => {});
  }
}

async function listed(op: string, folder: string): Promise<Kept[]> {
  const [{ readdir }, { join }] = [builtin('node:fs')!.promises, builtin('node:path')!];
  const names = await readdir(folder).catch((cause) => {
    throw refused(op, 'read', folder, cause);
  });
  return names
    .flatMap((name) => {
      const found = pattern.exec(name);
      return found ? [{ step: Number(found[1]), path: join(folder, name) }] : [];
    })
    .sort((a, b) => b.step - a.step);
}

type Read = (op: string, source: Source) => Promise<Checkpoint>;

/**
 * The checkpoint that a source is or, for a folder, the latest one in it that is whole; undefined where the folder has none, or
 * is not there.
 * @throws FormatError where all are damaged, or for one of a newer version; FileError where the system refuses
 */
export async function latestCheckpoint(
  op: string,
  source: Source,
  read: Read,
): Promise<Checkpoint | undefined> {
  if (!isPath(source)) return await read(op, source);
  const path = pathOf(op, source);
  const { stat } = builtin('node:fs')!.promises;
  const kind = await stat(path).catch((cause) => {
    if (isMissing(cause) && !path.endsWith(ending)) return undefined;
    throw refused(op, 'read', path, cause);
  });
  if (kind === undefined) return undefined;
  if (!kind.isDirectory()) return await read(op, path);

  const files = (await listed(op, path)).map((kept) => kept.path);
  // It goes on as exactly as the others; only that it may be older.
  const best = builtin('node:path')!.join(path, bestName);
  if (await isThere(best)) files.push(best);
  const damaged: string[] = [];
  for (const file of files) {
    try {
      const checkpoint = await read(op, file);
      if (damaged.length > 0) say(damaged, file);
      return checkpoint;
    } catch (error) {
      if (!(error instanceof FormatError) || error instanceof NewerFormatError) throw error;
      damaged.push(error.message);
    }
  }
  if (damaged.length === 0) return undefined;
  throw new FormatError(
    `[${op}] expected a checkpoint that is whole in ${path}, got ${damaged.length} damaged: ${damaged.join('; ').slice(0, 1000)}`,
  );
}

const isPath = (source: Source): source is Path =>
  typeof source === 'string' || typeof attempt(() => (source as { href?: unknown }).href) === 'string';

function say(damaged: readonly string[], taken: string): void {
  warn(
    `training goes on from ${taken}, as what is later is damaged`,
    'AXPY_CHECKPOINT',
    damaged.join('; ').slice(0, 2000),
  );
}

/** Files that grow while time goes by: nobody waits for them, and what is in them is whole. */
import { FileError } from '../errors.ts';
import { refused } from '../files/disk.ts';
import { builtin, host, warn } from '../platform.ts';

/** Modules of Node. @throws FileError on a host without */
export function files(op: string): {
  fs: typeof import('node:fs').promises;
  path: typeof import('node:path');
} {
  const [fs, path] = [builtin('node:fs')?.promises, builtin('node:path')];
  if (fs !== undefined && path !== undefined) return { fs, path };
  throw new FileError(`[${op}] expected a host with files, got one without node:fs`);
}

const isMissing = (error: unknown) => (error as { code?: unknown }).code === 'ENOENT';

/** Does something with files. @throws FileError where the system refuses */
export async function asking<Result>(
  op: string,
  what: 'read' | 'write',
  path: string,
  ask: () => Promise<Result>,
): Promise<Result> {
  try {
    return await ask();
  } catch (cause) {
    throw refused(op, what, path, cause);
  }
}

/** The text of a file; undefined where there is none. @throws FileError where the system refuses */
export function textOf(op: string, path: string): Promise<string | undefined> {
  const { fs } = files(op);
  return asking(op, 'read', path, () =>
    fs.readFile(path, 'utf8').catch((error) => {
      if (isMissing(error)) return undefined;
      throw error;
    }),
  );
}

/** Writes a file that others see whole or not at all. @throws FileError where the system refuses */
export async function replaceText(op: string, path: string, text: string): Promise<void> {
  const { fs } = files(op);
  const temporary = `${path}.${host?.pid ?? 0}.tmp`;
  await asking(op, 'write', path, async () => {
    await fs.writeFile(temporary, text);
    await fs.rename(temporary, path);
  });
}

/** Appends to a file in the background, in order. What the system refuses is said once, and ends no training. */
export class Growing {
  private waiting: (Uint8Array | string | Promise<Uint8Array | string>)[] = [];
  private writing: Promise<void> | undefined;
  private hasFailed = false;

  constructor(
    private readonly op: string,
    readonly path: string,
  ) {}

  add(part: Uint8Array | string | Promise<Uint8Array | string>): void {
    this.waiting.push(part);
    this.writing ??= this.write();
  }

  /** Until all is written that was to be. */
  async settled(): Promise<void> {
    await this.writing;
  }

  private async write(): Promise<void> {
    const { fs } = files(this.op);
    while (this.waiting.length > 0) {
      // What came meanwhile goes in one piece, so that whoever looks sees whole records as far as the system writes such.
      const parts = this.waiting;
      this.waiting = [];
      try {
        const all = (await Promise.all(parts)).map((part) =>
          typeof part === 'string' ? Buffer.from(part) : part,
        );
        if (!this.hasFailed) await fs.appendFile(this.path, Buffer.concat(all));
      } catch (error) {
        this.fail(error);
      }
    }
    this.writing = undefined;
  }

  private fail(error: unknown): void {
    if (this.hasFailed) return;
    this.hasFailed = true;
    const detail = error instanceof Error ? error.message : String(error);
    warn(`[${this.op}] nothing more of this training is written to ${this.path}`, 'AXPY_RUN', detail);
  }
}

/** What the server was told: on the disk before it says that it has it. */
import { constants } from 'node:fs';
import { type FileHandle, mkdir, open, readFile, rename } from 'node:fs/promises';
import { join } from 'node:path';
import type { Sale } from './houses.ts';

/** A sale with its number, which counts all that ever came. */
export interface Example extends Sale {
  readonly n: number;
}

/** Of a group of lines that are written together. */
interface Waiting {
  readonly lines: readonly string[];
  done(): void;
  failed(error: unknown): void;
}

const [current, before] = ['examples.jsonl', 'examples.before.jsonl'];

/**
 * A file with a line of JSON for each example. Those who write at the same time share a write and a sync. When it has `most`
 * lines it takes the place of the one before, so that there are never more than two.
 */
export class ExampleLog {
  private next = 1;
  private lines = 0;
  /** Of all lines that are whole, in bytes. */
  private size = 0;
  private waiting: Waiting[] = [];
  private writing: Promise<void> | null = null;

  private constructor(
    private readonly folder: string,
    private readonly most: number,
    private file: FileHandle,
  ) {}

  /** @returns the log, and what it holds, in the order in which it came */
  static async open(folder: string, most: number): Promise<{ log: ExampleLog; examples: Example[] }> {
    await mkdir(folder, { recursive: true });
    const log = new ExampleLog(folder, most, await fileIn(folder));
    const bytes = await log.file.readFile();
    // A line that a kill has cut short was never acknowledged.
    log.size = bytes.lastIndexOf('\n') + 1;
    await log.file.truncate(log.size);
    const [older, newer] = [await textOf(join(folder, before)), bytes.toString('utf8', 0, log.size)].map(
      (text) => text.split('\n').slice(0, -1),
    );
    const examples = [...older, ...newer].flatMap(parse);
    log.lines = newer.length;
    log.next = (examples.at(-1)?.n ?? 0) + 1;
    return { log, examples };
  }

  /** The number of the last example. */
  get last(): number {
    return this.next - 1;
  }

  /** @returns the sales with their numbers, once they are on the disk @throws what the system says; they are then not there */
  append(sales: readonly Sale[]): Promise<Example[]> {
    const examples = sales.map((sale) => ({ n: this.next++, ...sale }));
    const lines = examples.map((example) => `${JSON.stringify(example)}\n`);
    return new Promise((resolve, reject) => {
      this.waiting.push({ lines, done: () => resolve(examples), failed: reject });
      this.writing ??= this.write();
    });
  }

  /** @returns when all is written */
  async close(): Promise<void> {
    await this.writing;
    await this.file.close();
  }

  private async write(): Promise<void> {
    while (this.waiting.length > 0) {
      const group = this.waiting;
      this.waiting = [];
      try {
        await this.writeTogether(group.flatMap(({ lines }) => lines));
        for (const { done } of group) done();
      } catch (error) {
        // A part of them may be there, and is overwritten.
        for (const { failed } of group) failed(error);
      }
    }
    this.writing = null;
  }

  private async writeTogether(lines: readonly string[]): Promise<void> {
    if (this.lines >= this.most) await this.turnOver();
    const bytes = Buffer.from(lines.join(''));
    try {
      for (let at = 0; at < bytes.length; )
        at += (await this.file.write(bytes, at, bytes.length - at, this.size + at)).bytesWritten;
      await this.file.datasync();
    } catch (error) {
      await this.file.truncate(this.size).catch(() => {});
      throw error;
    }
    this.size += bytes.length;
    this.lines += lines.length;
  }

  private async turnOver(): Promise<void> {
    const full = this.file;
    await rename(join(this.folder, current), join(this.folder, before)).catch((error) => {
      // The last time it went no further than this.
      if (error.code !== 'ENOENT') throw error;
    });
    this.file = await fileIn(this.folder);
    [this.size, this.lines] = [0, 0];
    await full.close();
  }
}

/** The file that is written to, made where it is not there. */
async function fileIn(folder: string): Promise<FileHandle> {
  const file = await open(join(folder, current), constants.O_RDWR | constants.O_CREAT, 0o644);
  // Its name is to last, too.
  const directory = await open(folder, 'r');
  await directory.sync().finally(() => directory.close());
  return file;
}

async function textOf(path: string): Promise<string> {
  return await readFile(path, 'utf8').catch((error) => {
    if (error.code === 'ENOENT') return '';
    throw error;
  });
}

function parse(line: string): Example[] {
  try {
    return [JSON.parse(line) as Example];
  } catch {
    process.emitWarning(`a line of ${current} is damaged, and left out: ${line.slice(0, 60)}`);
    return [];
  }
}

/** The runs of a folder, as they come, grow and go. */
import { isRecord } from '../arguments.ts';
import { FormatError } from '../errors.ts';
import { turn } from '../platform.ts';
import { asking, files } from '../runs/disk.ts';
import { type EndEvent, eventOf, type RunEvent } from '../runs/events.ts';
import { eventsFile, infoFile, type RunInfo } from '../runs/info.ts';
import { readInfo } from '../runs/readRun.ts';
import { View } from './view.ts';

/** How much of a file is read at a time, between turns of the event loop; of a line that is longer, more. */
const [piece, longestLine] = [2 ** 18, 2 ** 26];
/** Where the end of a run is looked for that nobody has chosen. */
const tail = 2 ** 14;
/** Milliseconds from one look at the folder to the next: at least, and by run, as looking at one takes a hundredth of that. */
const [pause, pauseByRun] = [2000, 10];

const op = 'dashboard';

/** A run on disk. */
export interface Entry {
  /** Of its folder. */
  readonly name: string;
  readonly path: string;
  info: RunInfo | undefined;
  /** What is wrong with it. */
  problem: string | undefined;
  /** Of its events: bytes, and when they grew last. */
  size: number;
  grown: number;
  end: EndEvent | undefined;
  /** Where it was chosen: what is in it, up to the byte `read`. */
  view: View | undefined;
  read: number;
  /** When `run.json` was written, in its system's words. */
  written: string;
}

export class RunsOnDisk {
  readonly entries = new Map<string, Entry>();
  private next = 0;

  /** @param folder an absolute path: of runs, or of one */
  constructor(private readonly folder: string) {}

  /** Looks what is there, and reads on in those that are chosen. */
  async look(chosen: ReadonlySet<string>): Promise<void> {
    if (performance.now() >= this.next) {
      await this.list();
      this.next = performance.now() + Math.max(pause, pauseByRun * this.entries.size);
    }
    for (const [name, entry] of this.entries) {
      if (!chosen.has(name)) entry.view = undefined;
      else if (entry.info !== undefined) await this.follow(entry, entry.info);
    }
  }

  /** An image that a run has named; undefined for what is none, or lies elsewhere. */
  async image(name: string, file: string): Promise<Uint8Array | undefined> {
    const { fs, path } = files(op);
    const entry = this.entries.get(name);
    if (!entry?.view?.files().includes(file) || !file.endsWith('.png')) return undefined;
    try {
      const [folder, target] = await Promise.all([
        fs.realpath(entry.path),
        fs.realpath(path.resolve(entry.path, file)),
      ]);
      return target.startsWith(folder + path.sep) ? await fs.readFile(target) : undefined;
    } catch {
      return undefined;
    }
  }

  private async list(): Promise<void> {
    const { fs, path } = files(op);
    const inside = await asking(op, 'read', this.folder, () =>
      fs.readdir(this.folder, { withFileTypes: true }).catch((error) => {
        if (error.code === 'ENOENT') return [];
        throw error;
      }),
    );
    const names = inside.filter((one) => !one.isFile()).map(({ name }) => name);
    const isRun = inside.some(({ name }) => name === infoFile);
    const own = isRun ? [[path.basename(this.folder), this.folder] as const] : [];
    const places = [...own, ...names.map((name) => [name, path.join(this.folder, name)] as const)];
    const there = new Set<string>();
    for (const [name, place] of places) if (await this.find(name, place)) there.add(name);
    for (const name of this.entries.keys()) if (!there.has(name)) this.entries.delete(name);
  }

  /** @returns whether it is a run */
  private async find(name: string, path: string): Promise<boolean> {
    const { fs, path: paths } = files(op);
    const stat = (file: string) => fs.stat(paths.join(path, file)).catch(() => undefined);
    const about = await stat(infoFile);
    if (about === undefined) return false;
    const written = `${about.mtimeMs} ${about.ino} ${about.size}`;
    const known = this.entries.get(name);
    const entry = known ?? {
      name,
      path,
      info: undefined,
      problem: undefined,
      size: -1,
      grown: 0,
      end: undefined,
      view: undefined,
      read: 0,
      written: '',
    };
    if (entry.written !== written) {
      const before = entry.info?.created;
      try {
        [entry.info, entry.problem] = [checked(path, await readInfo(op, path)), undefined];
      } catch (error) {
        [entry.info, entry.problem] = [undefined, (error as Error).message];
      }
      entry.written = written;
      if (entry.info?.created !== before) entry.view = undefined;
      else if (entry.view !== undefined && entry.info !== undefined) entry.view.info = entry.info;
    }
    const events = await stat(eventsFile);
    if (events !== undefined && events.size !== entry.size) {
      [entry.size, entry.grown] = [events.size, events.mtimeMs];
      entry.end = await endOf(paths.join(path, eventsFile), events.size).catch(() => undefined);
    }
    this.entries.set(name, entry);
    return true;
  }

  /** Reads what is new in a run. */
  private async follow(entry: Entry, info: RunInfo): Promise<void> {
    const { fs, path } = files(op);
    const handle = await fs.open(path.join(entry.path, eventsFile)).catch(() => undefined);
    if (handle === undefined) {
      entry.view ??= new View(info);
      return;
    }
    try {
      const { size, mtimeMs } = await handle.stat();
      if (entry.view === undefined || size < entry.read) [entry.view, entry.read] = [new View(info), 0];
      if (size > entry.size) [entry.size, entry.grown] = [size, mtimeMs];
      let length = piece;
      while (entry.read < size) {
        const room = Buffer.alloc(Math.min(length, size - entry.read));
        const { bytesRead } = await handle.read(room, 0, room.length, entry.read);
        const whole = room.subarray(0, bytesRead).lastIndexOf(10) + 1;
        if (whole === 0) {
          // A line that is being written, or one that is longer.
          if (entry.read + bytesRead >= size || bytesRead === 0) break;
          length *= 2;
          if (length > longestLine) break;
          continue;
        }
        length = piece;
        entry.read += whole;
        take(entry.view, room.toString('utf8', 0, whole));
        await turn();
      }
      entry.end = entry.view.end;
    } catch (error) {
      entry.problem = (error as Error).message;
    } finally {
      await handle.close();
    }
  }
}

/** @throws FormatError for what lacks something that pages show */
function checked(path: string, info: RunInfo | undefined): RunInfo | undefined {
  if (info === undefined) return undefined;
  const { created, began, model } = info;
  const isWhole =
    Number.isFinite(created) &&
    Number.isFinite(began) &&
    isRecord(model) &&
    typeof model.label === 'string' &&
    typeof model.summary === 'string';
  if (isWhole) return info;
  throw new FormatError(`[${op}] expected a run with a model and times, got another one (${path})`);
}

function take(view: View, text: string): void {
  for (const line of text.split('\n')) {
    if (line === '') continue;
    try {
      const event = eventOf(line);
      if (event !== undefined) view.add(event);
    } catch {
      view.addDamage();
    }
  }
}

/** How a run ended, by the last lines of its file. */
async function endOf(path: string, size: number): Promise<EndEvent | undefined> {
  const handle = await files(op).fs.open(path);
  try {
    const room = Buffer.alloc(Math.min(tail, size));
    await handle.read(room, 0, room.length, size - room.length);
    const events = room
      .toString()
      .split('\n')
      .flatMap((line): RunEvent[] => {
        try {
          return [eventOf(line) ?? []].flat();
        } catch {
          return [];
        }
      });
    const last = events.findLast(({ type }) => type === 'begin' || type === 'end');
    return last?.type === 'end' ? last : undefined;
  } finally {
    await handle.close();
  }
}

/** The folder of a run: what it is in `run.json`, what became of it in `events.jsonl`, images beside them. */
import { checkOptions, describe, isRecord } from '../arguments.ts';
import { type Path, pathOf } from '../files/disk.ts';
import { ArgumentError, type Json } from '../index.ts';
import type { TrainingContext } from '../train/callbacks/callback.ts';
import { asking, files, Growing, replaceText, textOf } from './disk.ts';
import { eventsIn, jsonOf, lineOf, oneHistory, type RunEvent } from './events.ts';
import { pngOf } from './image.ts';
import { eventsFile, infoFile, infoOf } from './info.ts';
import {
  checkName,
  type RecordOptions,
  type RunLog,
  recorder,
  recordOptions,
  type Shown,
  type Sink,
} from './recorder.ts';

/** Options of `runFolder`. */
export interface RunFolderOptions extends RecordOptions {
  /** Where the folders of runs are; made where it is not there. Default 'runs'. */
  folder?: Path;
  /** What this one's is called. Default: the time at which training begins, as 2026-03-01-120000-4f2a. */
  name?: string;
  /** What is to be known of the run beside, as JSON: batch size, data, a note. */
  config?: Readonly<Record<string, Json>>;
}

/** A `RunLog` that writes into a folder for each training. */
export interface RunFolder extends RunLog {
  /** The folder of the latest run, an absolute path; undefined before the first. */
  readonly path: string | undefined;
}

const op = 'runFolder';

/**
 * Writes what becomes of a training into a folder, `runs/<name>`, for `readRun`, `report` and other tools:
 *
 *     const run = runFolder({ name: 'wide', config: { hidden: 512 }, histograms: 10 });
 *     await fit(model, data, { ...options, callbacks: [run] });
 *     await run.scalars({ 'test.accuracy': 0.93 });
 *
 * `run.json` says what is trained, `events.jsonl` has a line for each epoch, for batches, norms and histograms as often as
 * asked for, and for what the program adds: see `RunEvent`. Lines are appended in the background and whole ones, a process
 * that is killed leaves all but the latest. A training that goes on from a checkpoint under the same name goes on in the
 * same file: `readRun` shows one history, in which what was trained again is there once.
 *
 * What is measured takes at most a hundredth of the time of training: what would take more is measured less often, unless
 * its interval is 0. Gradients are those that the last update was made with, after clipping.
 * @throws ArgumentError for options out of their domains; and `fit` throws it where this callback is in another training
 *   already, FileError where the folder cannot be written to. What the system refuses later is said in a warning, and ends no
 *   training.
 */
export function runFolder(options: RunFolderOptions = {}): RunFolder {
  checkOptions(op, options, ['folder', 'name', 'config', ...recordOptions]);
  const { folder = 'runs', name, config = {}, ...own } = options;
  if (name !== undefined) checkRunName(name);
  const sink = new FolderSink(pathOf(op, folder), name, readConfig(config));
  const log = recorder(op, own, sink);
  return Object.defineProperty(log, 'path', { get: () => sink.path, enumerable: true }) as RunFolder;
}

/** A name that is one of a folder on every system, and no way out of another. */
function checkRunName(name: string): void {
  checkName(op, name);
  const hasControls = Array.from(name).some((letter) => letter < ' ');
  if (!hasControls && !/[\\/:*?"<>|]/.test(name) && !/^\.+$/.test(name) && name.length <= 200) return;
  throw new ArgumentError(`[${op}] expected name to be one of a folder, got ${describe(name)}`);
}

function readConfig(config: Readonly<Record<string, Json>>): Readonly<Record<string, Json>> {
  if (!isRecord(config)) {
    throw new ArgumentError(`[${op}] expected config to be an object, got ${describe(config)}`);
  }
  try {
    return JSON.parse(jsonOf(config));
  } catch (cause) {
    throw Object.assign(new ArgumentError(`[${op}] expected config to be plain data that JSON can hold`), {
      cause,
    });
  }
}

/** As 2026-03-01-120000-4f2a. */
function nameNow(): string {
  const digits = new Date().toISOString().slice(0, 19).replace('T', '-').replaceAll(':', '');
  return `${digits}-${Math.floor(65536 * Math.random())
    .toString(16)
    .padStart(4, '0')}`;
}

class FolderSink implements Sink {
  path: string | undefined;
  private events: Growing | undefined;

  constructor(
    private readonly parent: string,
    private readonly name: string | undefined,
    private readonly config: Readonly<Record<string, Json>>,
  ) {}

  async begin(context: TrainingContext, event: RunEvent): Promise<void> {
    const { fs, path } = files(op);
    const name = this.name ?? nameNow();
    const folder = path.join(this.parent, name);
    await asking(op, 'write', folder, () => fs.mkdir(folder, { recursive: true }));
    const lines = path.join(folder, eventsFile);
    const known = new Set<number>();
    for (const old of oneHistory([...(await eventsBefore(lines)), event])) {
      if (old.type === 'epoch') known.add(old.record.epoch);
    }
    const before = await textOf(op, path.join(folder, infoFile));
    const info = infoOf(name, context, this.config, event.time, before);
    await replaceText(op, path.join(folder, infoFile), `${jsonOf(info, 2)}\n`);
    // What was not yet written when a process was killed, or was trained without this callback.
    const missing = context.history.epochs.filter(({ epoch }) => !known.has(epoch));
    const { time, step, epoch } = event;
    const all = [event, ...missing.map((record) => ({ type: 'epoch' as const, time, step, epoch, record }))];
    await asking(op, 'write', lines, () => fs.appendFile(lines, all.map(lineOf).join('')));
    this.path = folder;
    this.events = new Growing(op, lines);
  }

  write(event: RunEvent | Shown): void {
    this.events!.add(event.type === 'picture' ? this.draw(event) : lineOf(event));
  }

  async settled(): Promise<void> {
    await this.events?.settled();
  }

  /** Writes an image. @returns the line of it */
  private async draw({ picture, name, time, step, epoch }: Shown): Promise<string> {
    const { fs, path } = files(op);
    const { width, height } = picture;
    const file = `images/${name.replace(/[^\w.-]+/g, '-').slice(0, 100)}-${step}-${time}.png`;
    const target = path.join(this.path!, file);
    await fs.mkdir(path.dirname(target), { recursive: true });
    await fs.writeFile(target, await pngOf(picture));
    return lineOf({ type: 'image', time, step, epoch, name, width, height, file });
  }
}

/** What is there already. Takes away the part of a line that a process left which was ended as it wrote. */
async function eventsBefore(path: string): Promise<RunEvent[]> {
  const text = (await textOf(op, path)) ?? '';
  const whole = text.slice(0, text.lastIndexOf('\n') + 1);
  if (whole.length < text.length) {
    await asking(op, 'write', path, () => files(op).fs.truncate(path, Buffer.byteLength(whole)));
  }
  return eventsIn(op, path, whole);
}

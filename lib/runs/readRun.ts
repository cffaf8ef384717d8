/** Folders of runs, read: while they grow as well. */
import { isRecord } from '../arguments.ts';
import { FormatError } from '../errors.ts';
import { type Path, pathOf } from '../files/disk.ts';
import type { History } from '../train/history.ts';
import { asking, files, textOf } from './disk.ts';
import { type EndEvent, eventsIn, oneHistory, type RunEvent } from './events.ts';
import { eventsFile, infoFile, type RunInfo } from './info.ts';

/** A run, as far as it is. */
export interface Run {
  /** The folder, an absolute path. */
  readonly path: string;
  readonly info: RunInfo;
  /** What happened, in order, as one history: what was trained again after a checkpoint is there once. */
  readonly events: readonly RunEvent[];
  /** As `fit` returns it. */
  readonly history: History;
  /** How training ended; undefined where it goes on, or its process was ended. */
  readonly end: EndEvent | undefined;
}

function historyOf(events: readonly RunEvent[], end: EndEvent | undefined): History {
  const epochs = events.flatMap((event) => (event.type === 'epoch' ? [event.record] : []));
  const stopped = end?.outcome === 'stopped' ? { stopped: end.reason ?? '' } : {};
  return { epochs, ...stopped, ...(end?.bestEpoch === undefined ? {} : { bestEpoch: end.bestEpoch }) };
}

/** What the folder of a run says that it is; undefined where it is none. @throws FormatError for what something else wrote */
export async function readInfo(op: string, folder: string): Promise<RunInfo | undefined> {
  const infoPath = files(op).path.join(folder, infoFile);
  const text = await textOf(op, infoPath);
  if (text === undefined) return undefined;
  let info: unknown;
  try {
    info = JSON.parse(text);
  } catch (cause) {
    throw new FormatError(`[${op}] expected JSON, got something else (${infoPath})`, { cause });
  }
  if (!isRecord(info) || (info as RunInfo).format !== 1) {
    const format = isRecord(info) ? (info as RunInfo).format : info;
    throw new FormatError(`[${op}] expected a run of format 1, got ${format} (${infoPath})`);
  }
  return info as RunInfo;
}

async function read(op: string, folder: string): Promise<Run | undefined> {
  const info = await readInfo(op, folder);
  if (info === undefined) return undefined;
  const eventsPath = files(op).path.join(folder, eventsFile);
  const events = oneHistory(eventsIn(op, eventsPath, (await textOf(op, eventsPath)) ?? ''));
  const end = events.findLast((event) => event.type === 'end');
  return { path: folder, info, events, history: historyOf(events, end), end };
}

/**
 * Reads what `runFolder` wrote, at any time: a run that goes on is read as far as it is.
 * @param folder of the run, as 'runs/wide'
 * @throws FileError where there is no run, or the system refuses; FormatError for what something else wrote
 */
export async function readRun(folder: Path): Promise<Run> {
  const op = 'readRun';
  const path = pathOf(op, folder);
  const run = await read(op, path);
  if (run !== undefined) return run;
  return await asking(op, 'read', path, () => Promise.reject(new Error(`no ${infoFile} there`)));
}

/**
 * All runs of a folder, the one that was created last first; none where it is not there.
 * @throws FormatError for one that something else wrote, FileError where the system refuses
 */
export async function readRuns(folder: Path = 'runs'): Promise<Run[]> {
  const op = 'readRuns';
  const { fs, path } = files(op);
  const parent = pathOf(op, folder);
  const entries = await asking(op, 'read', parent, () =>
    fs.readdir(parent, { withFileTypes: true }).catch((error) => {
      if (error.code === 'ENOENT') return [];
      throw error;
    }),
  );
  const runs: Run[] = [];
  for (const entry of entries) {
    const run = entry.isFile() ? undefined : await read(op, path.join(parent, entry.name));
    if (run !== undefined) runs.push(run);
  }
  return runs.sort((a, b) => b.info.created - a.info.created);
}

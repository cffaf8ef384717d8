/** What a run is: the content of `run.json`. */
import { backendInfo, type Json } from '../index.ts';
import { host } from '../platform.ts';
import type { TrainingContext } from '../train/callbacks/callback.ts';
import { version } from '../version.ts';

export const infoFile = 'run.json';
export const eventsFile = 'events.jsonl';

/** What `run.json` holds. */
export interface RunInfo {
  /** Of the folder; 1. A later one may hold what this version does not know. */
  readonly format: number;
  readonly name: string;
  /** When it began first, and when it was begun or gone on with last: milliseconds since 1970. */
  readonly created: number;
  readonly began: number;
  readonly model: { readonly label: string; readonly parameters: number; readonly summary: string };
  readonly optimizer: { readonly type: string; readonly learningRate: number };
  /** How many epochs are planned, how many batches each has where that is known, and the numbers of each record. */
  readonly epochs: number;
  readonly batchCount?: number;
  readonly monitors: readonly string[];
  /** What the program said of it. */
  readonly config: Readonly<Record<string, Json>>;
  readonly versions: { readonly axpy: string; readonly node: string };
  readonly machine: {
    readonly platform: string;
    readonly arch: string;
    readonly backend: string;
    readonly threads: number;
  };
}

/** What a training is, as of its beginning. `before` is what the file said until now. */
export function infoOf(
  name: string,
  { model, optimizer, epochs, batchCount, monitors }: TrainingContext,
  config: Readonly<Record<string, Json>>,
  time: number,
  before?: string | undefined,
): RunInfo {
  const { name: backend, threads } = backendInfo();
  return {
    format: 1,
    name,
    created: createdOf(before) ?? time,
    began: time,
    model: { label: model.label, parameters: model.parameterCount(), summary: model.summary() },
    optimizer: { type: optimizer.constructor.name, learningRate: optimizer.learningRate },
    epochs,
    ...(batchCount === undefined ? {} : { batchCount }),
    monitors,
    config,
    versions: { axpy: version, node: host?.versions?.node ?? '' },
    machine: { platform: host?.platform ?? '', arch: host?.arch ?? '', backend, threads },
  };
}

/** What a file of before says; undefined where there is none, or one that says nothing of it. */
function createdOf(before: string | undefined): number | undefined {
  try {
    const { created } = JSON.parse(before ?? '') as Partial<RunInfo>;
    return typeof created === 'number' ? created : undefined;
  } catch {
    return undefined;
  }
}

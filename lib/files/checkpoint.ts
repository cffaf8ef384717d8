/** Checkpoints as files. */
import { isInstance, readOptions } from '../arguments.ts';
import { FormatError } from '../errors.ts';
import type { Json } from '../layers/config.ts';
import type { Tensor } from '../tensor.ts';
import { concatBytes, Turns } from './bytes.ts';
import { type Path, pathOf, replaceFile, type Source } from './disk.ts';
import { encodings } from './dtypes.ts';
import { encodeLater, encodeParts, entry, runEntry } from './encode.ts';
import { latestCheckpoint } from './folder.ts';
import { parse } from './json.ts';
import { readTensor, withSafetensors } from './safetensors.ts';
import { Checkpoint, type CheckpointContent, capture } from './snapshot.ts';
import { damaged, readSums, sumLater } from './sums.ts';

/** @internal Writes files of one checkpoint, each when the one before will last. */
export async function writeCheckpoint(
  op: string,
  given: readonly Path[],
  checkpoint: Checkpoint,
  run?: string,
): Promise<void> {
  const paths = given.map((path) => pathOf(op, path));
  const { json, tensors, architecture } = checkpoint;
  const own = run === undefined ? architecture : { ...architecture, [runEntry]: run };
  const parts = await encodeLater(op, { json, tensors, architecture: own });
  for (const path of paths) await replaceFile(op, path, parts);
}

/** @internal Which training wrote a file; undefined for one that says nothing of it, or cannot be read. */
export function runOf(op: string, path: Path): Promise<string | undefined> {
  return withSafetensors(op, path, async (_, { metadata }) => metadata[runEntry]).catch(() => undefined);
}

const contentNames = ['model', 'optimizer', 'step', 'extra'] as const;

/**
 * Writes what a training consists of at this moment: the model with what `stateDict` leaves out, which parameters want
 * gradients and which layers are in evaluation mode, the optimizer, the default random state, and what a loop of one's own
 * knows beside as `extra`. All is copied before this returns its promise, so that training may go on. `checkpoint` does so
 * within `fit`. The file is replaced at once or not at all.
 * @throws ArgumentError for what cannot be kept, FileError where the system refuses
 */
export async function saveCheckpoint(path: Path, content: CheckpointContent): Promise<void> {
  const op = 'saveCheckpoint';
  await writeCheckpoint(op, [path], capture(op, readOptions(op, content, contentNames)));
}

/** The bytes that `saveCheckpoint` writes. @throws as it does */
export function encodeCheckpoint(content: CheckpointContent): Uint8Array {
  const op = 'encodeCheckpoint';
  return concatBytes(encodeParts(op, capture(op, readOptions(op, content, contentNames))));
}

/**
 * Reads a checkpoint, whole: of `saveCheckpoint`, of the callback `checkpoint`, or what they encode. `fit` goes on from it,
 * its `restore` brings models and optimizers back.
 * @throws FormatError for what is none or is damaged, FileError where the system refuses
 */
export async function loadCheckpoint(source: Source): Promise<Checkpoint> {
  return await readCheckpoint('loadCheckpoint', source);
}

/** @internal */
export async function readCheckpoint(op: string, source: Source): Promise<Checkpoint> {
  return await withSafetensors(op, source, async (file, header) => {
    const { metadata } = header;
    const { [entry]: text } = metadata;
    if (text === undefined) {
      throw new FormatError(`expected a checkpoint, got safetensors without ${entry} in the metadata`);
    }
    const sums = readSums(metadata);
    if (sums === null) throw damaged('the metadata');
    const [tensors, turns] = [new Map<string, Tensor>(), new Turns()];
    for (const [name, place] of Object.entries(header.tensors)) {
      // No others are written; an integer of another type need not fit.
      const tensor = encodings[place.dtype].isOwn ? await readTensor(file, name, place) : undefined;
      if (tensor === undefined || (await sumLater(tensor, turns)) !== sums[name]) throw damaged(name);
      tensors.set(name, tensor);
    }
    return new Checkpoint(file.path ?? '', parse(text) as Json, tensors, metadata);
  });
}

/** @internal What `resume` of `fit` stands for; undefined where there is nothing to go on from. */
export async function openResume(
  op: string,
  resume: Source | Checkpoint | undefined,
): Promise<Checkpoint | undefined> {
  if (resume === undefined || isInstance(resume, Checkpoint)) return resume;
  return await latestCheckpoint(op, resume, readCheckpoint);
}

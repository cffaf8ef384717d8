/** A model in a file: safetensors, whose metadata say of which layers it is made (`architecture.ts`). */
import { describe, readOptions } from '../arguments.ts';
import { makeBlank } from '../blank.ts';
import { ArgumentError, AxpyError, FormatError, MemoryError } from '../errors.ts';
import { settleRuns } from '../kernels/queue.ts';
import { refuseRecording } from '../kernels/recorder.ts';
import { type LayerConfig, layerFrom } from '../layers/config.ts';
import { type AnyModel, checkLayer, type Layer } from '../layers/layer.ts';
import type { AnySharedTensor } from '../parameter.ts';
import { sameShape, show } from '../shape.ts';
import { type Named, nameList } from '../state.ts';
import { checkElements, elements, still, type Tensor } from '../tensor.ts';
import { architectureOf, readArchitecture, setModes } from './architecture.ts';
import { concatBytes, Turns } from './bytes.ts';
import { type Path, type Readable, replaceFile, type Source } from './disk.ts';
import { encodings } from './dtypes.ts';
import { checkpointPrefix } from './encode.ts';
import {
  inOrder,
  partsOf,
  readElements,
  readMetadata,
  type SafetensorsHeader,
  type SafetensorsOptions,
  withSafetensors,
} from './safetensors.ts';
import {
  damaged,
  isReserved,
  joined,
  readSums,
  type Sums,
  sealed,
  sumLater,
  sumOf,
  unknownSum,
} from './sums.ts';

// ── writing ─────────────────────────────────────────────────────────────────────────────────────────────────────────

/** @internal A model's tensors, which `replaceFile` will find as they are now. */
export function snapshotOf(op: string, model: Layer): [name: string, tensor: Tensor][] {
  settleRuns();
  return model.namedTensors().map(([name, tensor]) => {
    checkElements(op, tensor);
    return [name, still(tensor)];
  });
}

/** What `stateDict` leaves out, by the names that it has in files. */
function hiddenOf(model: Layer): Named<AnySharedTensor> {
  return model.namedHidden().map(([name, tensor]) => [`${checkpointPrefix}model.hidden.${name}`, tensor]);
}

/** Options of `saveModel` and `encodeModel`. */
export interface SaveModelOptions extends SafetensorsOptions {}

/** A model as a file has it. */
interface Content {
  readonly tensors: Named<Tensor>;
  /** The file, in parts, with the sums of its tensors. */
  parts(sums: Sums): Uint8Array[];
}

function contentOf(op: string, model: Layer, options: SaveModelOptions): Content {
  refuseRecording(op);
  checkLayer(op, model);
  const given = readOptions(op, options, ['metadata']);
  const metadata = readMetadata(op, given.metadata);
  const reserved = Object.keys(metadata).find(isReserved);
  if (reserved !== undefined) {
    throw new ArgumentError(
      `[${op}] expected names of metadata that do not begin with axpy or checkpoint, got ${describe(reserved)}`,
    );
  }
  const all = { ...metadata, ...architectureOf(op, model) };
  // First, as it waits for the runs that were asked for.
  const own = snapshotOf(op, model);
  const hidden = hiddenOf(model).map(([name, tensor]): [string, Tensor] => [name, still(tensor)]);
  const tensors = inOrder([...own, ...hidden]);
  return { tensors, parts: (sums) => partsOf(op, tensors, sealed(all, sums)) };
}

const byName = (tensors: Named<Tensor>, sumOf: (tensor: Tensor, at: number) => string): Sums =>
  Object.fromEntries(tensors.map(([name, tensor], i) => [name, sumOf(tensor, i)]));

/**
 * Writes a model, as it is now: its layers, parameters and buffers, what is frozen and which layers are in evaluation mode.
 * The file is a safetensors file, whose metadata hold the config. It is replaced at once or not at all, and is on the disk
 * when this is done.
 * @throws ArgumentError for a model that `loadModel` could not make again: a layer that is not registered, an activation that
 *   is a function; FileError where the system refuses
 */
export async function saveModel(path: Path, model: Layer, options: SaveModelOptions = {}): Promise<void> {
  const op = 'saveModel';
  const { tensors, parts } = contentOf(op, model, options);
  // Summed up as they are written.
  await replaceFile(op, path, parts(byName(tensors, () => unknownSum)), (sums) => {
    return parts(byName(tensors, (x, i) => joined(x, sums[i])))[0];
  });
}

/** The bytes that `saveModel` writes. @throws as it does */
export function encodeModel(model: Layer, options: SaveModelOptions = {}): Uint8Array {
  const { tensors, parts } = contentOf('encodeModel', model, options);
  return concatBytes(parts(byName(tensors, sumOf)));
}

// ── reading ─────────────────────────────────────────────────────────────────────────────────────────────────────────

/** A new layer, of zeros, of a file of so many bytes. */
function made(op: string, config: LayerConfig, bytes: number): ReturnType<typeof makeBlank<Layer>> {
  try {
    return makeBlank(bytes, () => layerFrom(config));
  } catch (error) {
    if (error instanceof FormatError || error instanceof MemoryError) throw error;
    const { message } = error as Error;
    const text = `[${op}] expected a model of known layers with options that they take, got: ${message}`;
    // What is not registered is the caller's to mend, and so is what a class of the caller's refuses.
    throw error instanceof AxpyError ? new ArgumentError(text) : new FormatError(text, { cause: error });
  }
}

/** @internal Reads all tensors of a new model. @throws FormatError where the file has others */
async function fill(
  model: Layer,
  file: Readable,
  header: SafetensorsHeader,
  fillOthers: (given: ReadonlySet<object>) => void,
): Promise<void> {
  const state = model.namedTensors();
  const names = Object.keys(header.tensors).filter((name) => !name.startsWith(checkpointPrefix));
  const known = new Set(state.map(([name]) => name));
  const missing = state.map(([name]) => name).filter((name) => !Object.hasOwn(header.tensors, name));
  const unknown = names.filter((name) => !known.has(name));
  if (missing.length + unknown.length > 0) {
    throw new FormatError(
      `expected the tensors of the model's layers; missing: ${nameList(missing)}; unknown: ${nameList(unknown)}`,
    );
  }
  for (const [name, { dtype, shape }] of state) {
    const entry = header.tensors[name];
    if (encodings[entry.dtype].dtype === dtype && sameShape(entry.shape, shape)) continue;
    throw new FormatError(
      `expected ${name.slice(0, 200)} to be ${dtype} ${show(shape)}, got ${entry.dtype} ${show(entry.shape)}`,
    );
  }
  const sums = readSums(header.metadata);
  const hidden = hiddenOf(model).filter(([name, { dtype, shape }]) => {
    const entry = Object.hasOwn(header.tensors, name) ? header.tensors[name] : undefined;
    return entry !== undefined && encodings[entry.dtype].dtype === dtype && sameShape(entry.shape, shape);
  });
  const all = [...state, ...hidden];
  const turns = new Turns();
  for (const [name, tensor] of all) {
    await readElements(file, name, header.tensors[name], elements(tensor), false);
    if (sums !== null && (await sumLater(tensor, turns)) !== sums[name]) throw damaged(name);
  }
  fillOthers(new Set(all.map(([, tensor]) => tensor)));
}

/**
 * The model of a file that `saveModel` wrote, or of a checkpoint: a new one, which predicts the same, bit for bit. Layers of
 * one's own have to be registered before, by `registerLayer`. `loadModel<Sequential>(path)` says which class it is, which
 * nobody checks.
 * @throws FormatError for what is no such file, or one of a later version; ArgumentError for layers that are not known;
 *   FileError where the system refuses
 */
export async function loadModel<Model extends Layer = AnyModel>(source: Source): Promise<Model> {
  const op = 'loadModel';
  refuseRecording(op);
  return await withSafetensors(op, source, async (file, header) => {
    const { config, modes } = readArchitecture(header);
    const [model, fillOthers] = made(op, config, file.size);
    await fill(model, file, header, fillOthers);
    setModes(model, modes);
    return model as Model;
  });
}

/** A model in a file: safetensors, whose metadata say of which layers it is made. */
import { describe, isInstance, readOptions } from '../arguments.ts';
import { makeBlank } from '../blank.ts';
import { ArgumentError, AxpyError, FormatError, MemoryError } from '../errors.ts';
import { settleRuns } from '../kernels/queue.ts';
import { refuseRecording } from '../kernels/recorder.ts';
import { type LayerConfig, layerFrom } from '../layers/config.ts';
import { type AnyModel, Layer } from '../layers/layer.ts';
import { bytesOf } from '../memory.ts';
import type { AnySharedTensor } from '../parameter.ts';
import { sameShape, show } from '../shape.ts';
import { type Named, nameList } from '../state.ts';
import { checkElements, elements, still, type Tensor } from '../tensor.ts';
import { version } from '../version.ts';
import { concatBytes } from './bytes.ts';
import { type Path, type Readable, replaceFile, type Source } from './disk.ts';
import { encodings } from './dtypes.ts';
import {
  partsOf,
  readElements,
  readMetadata,
  type SafetensorsHeader,
  type SafetensorsOptions,
  withSafetensors,
} from './safetensors.ts';

/** What the metadata hold beside what users put there. */
const keys = {
  /** The version of this arrangement; a later one is refused. */
  format: 'axpy.format',
  /** The version of the library that wrote it. */
  version: 'axpy.version',
  /** The config of the model, as JSON. */
  model: 'axpy.model',
  /** Which parameters are frozen and which layers in evaluation mode, as JSON. */
  modes: 'axpy.modes',
} as const;

const formatVersion = 1;

/** Tensors whose names begin so are not the model's: a checkpoint has them. */
export const checkpointPrefix = 'checkpoint:';

/** How deep JSON may be in a file. */
const deepest = 1024;

// ── writing ─────────────────────────────────────────────────────────────────────────────────────────────────────────

/** @internal A model's tensors, which `replaceFile` will find as they are now. */
export function snapshotOf(op: string, model: Layer): [name: string, tensor: Tensor][] {
  settleRuns();
  return model.namedTensors().map(([name, tensor]) => {
    checkElements(op, tensor);
    return [name, still(tensor)];
  });
}

/** What decides how a model trains on beside its numbers. */
interface Modes {
  /** Names of parameters. */
  frozen: string[];
  /** Paths of layers. */
  evaluation: string[];
}

/** @internal */
export function modesOf(model: Layer): Modes {
  return {
    frozen: model.namedParameters().flatMap(([name, { requiresGrad }]) => (requiresGrad ? [] : [name])),
    evaluation: model.namedLayers().flatMap(([path, { training }]) => (training ? [] : [path])),
  };
}

/** @internal Frozen are those that are named, and no others; likewise the mode of layers. */
export function setModes(model: Layer, { frozen, evaluation }: Modes): void {
  for (const [name, parameter] of model.namedParameters()) parameter.setRequiresGrad(!frozen.includes(name));
  for (const [path, layer] of model.namedLayers()) layer.training = !evaluation.includes(path);
}

/** @internal The architecture, as metadata. @throws ArgumentError where it would not make the same model again */
export function architectureOf(op: string, model: Layer): Record<string, string> {
  const config = JSON.stringify(model.config);
  checkMakes(op, model, config);
  return metadataOf(model, config);
}

const makes = new WeakMap<Layer, { config: string; isSame: boolean }>();

/** @internal The same of a model that is saved again and again; nothing where it would not make the same again. */
export function knownArchitectureOf(model: Layer): Record<string, string> {
  try {
    const config = JSON.stringify(model.config);
    let known = makes.get(model);
    if (known?.config !== config) {
      known = { config, isSame: false };
      makes.set(model, known);
      checkMakes('model', model, config);
      known.isSame = true;
    }
    return known.isSame ? metadataOf(model, config) : {};
  } catch {
    return {};
  }
}

function metadataOf(model: Layer, config: string): Record<string, string> {
  return {
    [keys.format]: String(formatVersion),
    [keys.version]: version,
    [keys.model]: config,
    [keys.modes]: JSON.stringify(modesOf(model)),
  };
}

/** What cannot be loaded is not to be found out when the original is gone. */
function checkMakes(op: string, model: Layer, config: string): void {
  const own = model.namedTensors();
  const bytes = own.reduce((sum, [, { storage }]) => sum + bytesOf(storage), 0);
  const advice =
    'what a layer of your own is, it tells by configure(this, options) and registerLayer(name, class, make); a function as ' +
    'an activation has no place in a file, and wants a layer of your own';
  let again: Named<AnySharedTensor>;
  try {
    again = makeBlank(bytes, () => layerFrom(parse(config) as LayerConfig))[0].namedTensors();
  } catch (error) {
    const { message } = error as Error;
    throw new ArgumentError(
      `[${op}] expected a model that layerFrom(model.config) makes again, got: ${message}. Note that ${advice}`,
    );
  }
  const [expected, got] = [listed(own), listed(again)];
  if (expected.join() === got.join()) return;
  throw new ArgumentError(
    `[${op}] expected layerFrom(model.config) to make a model of the tensors ${nameList(expected)}, got ${nameList(got)}: ` +
      `${advice}. Weights alone are saved by saveWeights`,
  );
}

const listed = (state: Named<AnySharedTensor>) =>
  state.map(([name, { dtype, shape }]) => `${name} ${dtype} ${show(shape)}`);

export interface SaveModelOptions extends SafetensorsOptions {}

function modelParts(op: string, model: Layer, options: SaveModelOptions): Uint8Array[] {
  refuseRecording(op);
  checkLayer(op, model);
  const given = readOptions(op, options, ['metadata']);
  const metadata = readMetadata(op, given.metadata);
  return partsOf(op, snapshotOf(op, model), { ...metadata, ...architectureOf(op, model) });
}

/**
 * Writes a model, as it is now: its layers, parameters and buffers, what is frozen and which layers are in evaluation mode.
 * The file is a safetensors file, whose metadata hold the config. It is replaced at once or not at all, and is on the disk
 * when this is done.
 * @throws ArgumentError for a model that `loadModel` could not make again: a layer that is not registered, an activation that
 *   is a function; FileError where the system refuses
 */
export async function saveModel(path: Path, model: Layer, options: SaveModelOptions = {}): Promise<void> {
  await replaceFile('saveModel', path, modelParts('saveModel', model, options));
}

/** The bytes that `saveModel` writes. @throws as it does */
export function encodeModel(model: Layer, options: SaveModelOptions = {}): Uint8Array {
  return concatBytes(modelParts('encodeModel', model, options));
}

export function checkLayer(op: string, model: unknown): asserts model is Layer {
  if (isInstance(model, Layer)) return;
  throw new ArgumentError(`[${op}] expected model to be a Layer, got ${describe(model)}`);
}

// ── reading ─────────────────────────────────────────────────────────────────────────────────────────────────────────

/** JSON of a file. @throws FormatError for what is none, or deeper than anybody writes */
export function parse(text: string): unknown {
  let depth = 0;
  let isQuoted = false;
  for (let i = 0; i < text.length; i++) {
    const mark = text[i];
    if (isQuoted) {
      if (mark === '\\') i++;
      else if (mark === '"') isQuoted = false;
    } else if (mark === '"') isQuoted = true;
    else if (mark === '[' || mark === '{') {
      if (++depth > deepest) throw new FormatError(`expected JSON at most ${deepest} deep, got deeper`);
    } else if (mark === ']' || mark === '}') depth--;
  }
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new FormatError(`expected JSON, got ${describe(text)}`, { cause });
  }
}

function isModes(value: unknown): value is Modes {
  const isList = (list: unknown) =>
    Array.isArray(list) && list.every((name: unknown) => typeof name === 'string');
  const { frozen, evaluation } = (value ?? {}) as Partial<Modes>;
  return isList(frozen) && isList(evaluation);
}

/** @internal What the metadata say of a model. @throws FormatError */
export function readArchitecture({ metadata }: SafetensorsHeader): { config: LayerConfig; modes: Modes } {
  if (!Object.hasOwn(metadata, keys.model)) {
    throw new FormatError(
      `expected a model with its architecture, as saveModel writes it, got tensors without (no ${keys.model} in the ` +
        'metadata): loadWeights puts them into a model of yours, loadSafetensors gives them as they are',
    );
  }
  const format = Number(metadata[keys.format]);
  if (!(format <= formatVersion)) {
    throw new FormatError(
      `expected a model of format ${formatVersion} or earlier, got ${describe(metadata[keys.format])}, written by axpy ` +
        `${describe(metadata[keys.version])}; this is axpy ${version}: update it to load this file`,
    );
  }
  const modes = parse(metadata[keys.modes] ?? '');
  if (!isModes(modes))
    throw new FormatError(`expected frozen and evaluation in ${keys.modes}, got other JSON`);
  return { config: parse(metadata[keys.model]) as LayerConfig, modes };
}

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
  for (const [name, tensor] of state) {
    await readElements(file, name, header.tensors[name], elements(tensor), false);
  }
  fillOthers(new Set(state.map(([, tensor]) => tensor)));
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

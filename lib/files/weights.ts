/** The tensors of a model in a file, without its architecture: of models made by hand, and of other libraries. */
import { checkBoolean, describe, isFunction, isRecord, readOptions } from '../arguments.ts';
import { noGrad } from '../autograd.ts';
import { ArgumentError, ShapeError } from '../errors.ts';
import { settleRuns } from '../kernels/queue.ts';
import { changing, refuseRecording } from '../kernels/recorder.ts';
import { checkLayer, type Layer } from '../layers/layer.ts';
import { allocate, copyOf } from '../memory.ts';
import { isArrayBuffer, isSharedArrayBuffer } from '../platform.ts';
import { readShape, type Shape, sameShape, show } from '../shape.ts';
import { nameList } from '../state.ts';
import { checkElements, checkTensor, elements, Tensor } from '../tensor.ts';
import { concatBytes, Turns } from './bytes.ts';
import { type Foreign, ignored, pytorch, unchanged } from './conventions.ts';
import { type Path, replaceFile, type Source } from './disk.ts';
import { checkpointPrefix } from './encode.ts';
import { snapshotOf } from './model.ts';
import {
  partsOf,
  readMetadata,
  readTensor,
  type SafetensorsOptions,
  withSafetensors,
} from './safetensors.ts';
import { damaged, readSums, sumLater } from './sums.ts';

/** What tensors in a file are called, and how they lie there. */
export interface WeightsConvention {
  /**
   * 'pytorch': names and layouts as in the `state_dict` of the same network there: `running_mean` and `running_var`, weights
   * of convolutions with channels first, and what follows a Flatten with its inputs in the order channels, height, width.
   * Default: as they are here.
   */
  convention?: 'pytorch' | undefined;
  /**
   * For 'pytorch' where the model is no Sequential with an `inputShape`: the size [height, width, channels] of what is
   * flattened before a parameter, by that one's name; null where nothing is.
   */
  flattened?: Readonly<Record<string, Shape | null>>;
}

/** Options of `saveWeights` and `encodeWeights`. */
export interface SaveWeightsOptions extends SafetensorsOptions, WeightsConvention {}

/** A name's new one, or null to leave the tensor out. A table's key that ends with a dot stands for all names that begin so. */
export type Rename = Readonly<Record<string, string | null>> | ((name: string) => string | null);

/** Options of `loadWeights`. */
export interface LoadWeightsOptions extends WeightsConvention {
  /** Whether a name that is missing or unknown is an error; default true. */
  strict?: boolean;
  /** From the names in the file to those of the model: `{ 'features.': '', 'classifier.': '9.' }`. */
  rename?: Rename | undefined;
}

/** What became of the tensors. */
export interface WeightsReport {
  /** Names in the model. */
  loaded: string[];
  /** Names in the model of which the file has nothing. */
  missing: string[];
  /** Names in the file, renamed, which the model does not know. */
  unexpected: string[];
  /** Names in the model whose numbers the file has more precisely. */
  rounded: string[];
}

const conventionOptions = ['convention', 'flattened'] as const;

function foreignOf(op: string, model: Layer, options: WeightsConvention): (name: string) => Foreign {
  const { convention, flattened = {} } = options;
  if (convention !== undefined && convention !== 'pytorch') {
    throw new ArgumentError(`[${op}] expected convention to be pytorch, got ${describe(convention)}`);
  }
  if (!isRecord(flattened)) {
    throw new ArgumentError(`[${op}] expected flattened to be shapes by name, got ${describe(flattened)}`);
  }
  const names = model.namedTensors().map(([name]) => name);
  const unknown = Object.keys(flattened).find((name) => !names.includes(name));
  if (unknown !== undefined) {
    throw new ArgumentError(
      `[${op}] expected names of the model in flattened (${nameList(names)}), got ${describe(unknown)}`,
    );
  }
  const images = Object.entries(flattened).map(([name, shape]) => [name, shape && readShape(op, shape)]);
  if (convention === 'pytorch') return pytorch(op, model, Object.fromEntries(images));
  return (name) => ({ name, ...unchanged });
}

function weightsParts(op: string, model: Layer, options: SaveWeightsOptions): Uint8Array[] {
  refuseRecording(op);
  checkLayer(op, model);
  const own = readOptions(op, options, ['metadata', ...conventionOptions]);
  const metadata = readMetadata(op, own.metadata);
  const foreign = foreignOf(op, model, own);
  const tensors = noGrad(() =>
    snapshotOf(op, model).map(([name, x]): [string, Tensor] => {
      const { name: theirs, toForeign } = foreign(name);
      return [theirs, toForeign(x)];
    }),
  );
  return partsOf(op, tensors, metadata);
}

/**
 * Writes the parameters and buffers of a model, as they are now, as a safetensors file. The file is replaced at once or not
 * at all.
 * @throws ArgumentError for options out of their domains, FileError where the system refuses
 */
export async function saveWeights(path: Path, model: Layer, options: SaveWeightsOptions = {}): Promise<void> {
  await replaceFile('saveWeights', path, weightsParts('saveWeights', model, options));
}

/** The bytes that `saveWeights` writes. @throws as it does */
export function encodeWeights(model: Layer, options: SaveWeightsOptions = {}): Uint8Array {
  return concatBytes(weightsParts('encodeWeights', model, options));
}

// ── reading ─────────────────────────────────────────────────────────────────────────────────────────────────────────

function renaming(op: string, rename: Rename | undefined): (name: string) => string | null {
  if (rename === undefined) return (name) => name;
  const checked = (name: string, value: unknown): string | null => {
    if (value === null || typeof value === 'string') return value;
    throw new ArgumentError(
      `[${op}] expected rename to give a name or null for ${describe(name)}, got ${describe(value)}`,
    );
  };
  if (isFunction(rename)) return (name) => checked(name, rename(name));
  if (!isRecord(rename)) {
    throw new ArgumentError(`[${op}] expected rename to be a table or a function, got ${describe(rename)}`);
  }
  const table = new Map(Object.entries(rename));
  const prefixes = [...table.keys()].filter((key) => key.endsWith('.')).sort((a, b) => b.length - a.length);
  return (name) => {
    if (table.has(name)) return checked(name, table.get(name));
    const prefix = prefixes.find((key) => name.startsWith(key));
    if (prefix === undefined) return name;
    const begin = checked(prefix, table.get(prefix));
    return begin === null ? null : begin + name.slice(prefix.length);
  };
}

/** The values as the model has them, and whether they were more precise. */
function toDtype(x: Tensor, dtype: Tensor['dtype']): [values: Tensor['data'], isRounded: boolean] {
  if (x.dtype === dtype) return [x.data, false];
  const values = allocate(x.size, dtype);
  let isRounded = false;
  for (let i = 0; i < values.length; i++) {
    values[i] = x.data[i];
    isRounded ||= !Object.is(values[i], x.data[i]);
  }
  return [values, isRounded];
}

/** What is loaded from. */
type Weights = Source | Readonly<Record<string, Tensor>>;

/** The names of what there is, and each of it as it is asked for. */
interface Offer {
  readonly names: readonly string[];
  read(name: string): Promise<Tensor>;
}

function isSource(given: Weights): given is Source {
  if (!isRecord(given)) return true;
  return (
    isArrayBuffer(given) ||
    isSharedArrayBuffer(given) ||
    typeof (given as { href?: unknown }).href === 'string'
  );
}

async function withWeights<Result>(
  op: string,
  given: Weights,
  use: (offer: Offer) => Promise<Result>,
): Promise<Result> {
  if (isSource(given)) {
    return await withSafetensors(op, given, (file, { tensors, metadata }) => {
      const names = Object.keys(tensors).filter((name) => !name.startsWith(checkpointPrefix));
      const [sums, turns] = [readSums(metadata), new Turns()];
      const read = async (name: string) => {
        const x = await readTensor(file, name, tensors[name]);
        if (sums !== null && (await sumLater(x, turns)) !== sums[name]) throw damaged(name);
        return x;
      };
      return use({ names, read });
    });
  }
  const own = new Map(Object.entries(given));
  for (const [name, x] of own) {
    checkTensor(op, x, name.slice(0, 60));
    checkElements(op, x);
  }
  return await use({
    names: [...own.keys()],
    // A copy, as it may be one of the model's, which is written before it is read for another.
    read: async (name) => {
      const x = own.get(name)!;
      return new Tensor(copyOf(elements(x)), x.shape, x.dtype);
    },
  });
}

/**
 * Overwrites the parameters and buffers of a model by those of a safetensors file (also one that `saveModel` wrote, or a
 * checkpoint), or by tensors by name, as `loadNpz` gives them. All is read and checked before anything is changed.
 * @throws ArgumentError when a name is missing or unknown, unless `strict` is false; ShapeError when a shape differs;
 *   FormatError for what is no such file, FileError where the system refuses
 */
export async function loadWeights(
  source: Weights,
  model: Layer,
  options: LoadWeightsOptions = {},
): Promise<WeightsReport> {
  const op = 'loadWeights';
  refuseRecording(op);
  checkLayer(op, model);
  const { changes, report } = await readWeights(op, source, model, options);
  settleRuns();
  for (const { tensor, values } of changes) {
    changing(op, tensor.storage);
    elements(tensor).set(values);
  }
  return report;
}

/** @internal What `loadWeights` will write, all of it read and checked. */
export async function readWeights(
  op: string,
  source: Weights,
  model: Layer,
  options: LoadWeightsOptions = {},
): Promise<{ changes: readonly { tensor: Tensor; values: Tensor['data'] }[]; report: WeightsReport }> {
  const own = readOptions(op, options, ['strict', 'rename', ...conventionOptions]);
  const { strict = true } = own;
  checkBoolean(op, 'strict', strict);
  const rename = renaming(op, own.rename);
  const foreign = foreignOf(op, model, own);
  return await withWeights(op, source, async ({ names, read }) => {
    const wanted = new Map(
      model.namedTensors().map(([name, tensor]) => [foreign(name).name, { name, tensor }]),
    );
    const found = new Map<string, string>();
    const unexpected: string[] = [];
    for (const theirs of names) {
      const renamed = rename(theirs);
      if (renamed === null || (own.convention === 'pytorch' && ignored.test(renamed))) continue;
      const before = found.get(renamed);
      if (before !== undefined) {
        throw new ArgumentError(
          `[${op}] expected each name once, got ${describe(renamed)} for both ${describe(before)} and ${describe(theirs)}`,
        );
      }
      if (wanted.has(renamed)) found.set(renamed, theirs);
      else unexpected.push(renamed);
    }
    const left = [...wanted].filter(([theirs]) => !found.has(theirs));
    const missing = left.map(([, { name }]) => name);
    if (strict && missing.length + unexpected.length > 0) {
      throw new ArgumentError(
        `[${op}] expected the names ${nameList([...wanted.keys()])}; missing: ${nameList(left.map(([theirs]) => theirs))}; unknown: ` +
          `${nameList(unexpected)}. { strict: false } takes what there is and reports the rest, rename gives other names`,
      );
    }
    const changes: { tensor: Tensor; values: Tensor['data'] }[] = [];
    const report: WeightsReport = { loaded: [], missing, unexpected, rounded: [] };
    for (const [renamed, { name, tensor }] of wanted) {
      const theirs = found.get(renamed);
      if (theirs === undefined) continue;
      const given = await read(theirs);
      const x = adopted(op, name, given, foreign(name), tensor.shape);
      const [values, isRounded] = toDtype(x, tensor.dtype);
      changes.push({ tensor, values });
      report.loaded.push(name);
      if (isRounded) report.rounded.push(name);
    }
    return { changes, report };
  });
}

/** A tensor as the model has it. @throws ShapeError where it has another shape */
function adopted(op: string, name: string, given: Tensor, foreign: Foreign, shape: Shape): Tensor {
  const expected = foreign.shape(shape);
  if (sameShape(given.shape, expected)) return noGrad(() => foreign.fromForeign(given));
  throw new ShapeError(`[${op}] expected ${name} as ${show(expected)}, got ${show(given.shape)}`);
}

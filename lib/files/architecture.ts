/** What the metadata of a file say of a model: of which layers it is made, what is frozen, and what is in evaluation mode. */
import { describe } from '../arguments.ts';
import { makeBlank } from '../blank.ts';
import { ArgumentError, FormatError } from '../errors.ts';
import { type Json, type LayerConfig, layerFrom } from '../layers/config.ts';
import type { Layer } from '../layers/layer.ts';
import { bytesOf } from '../memory.ts';
import { type AnyParameter, type AnySharedTensor, Parameter } from '../parameter.ts';
import { show } from '../shape.ts';
import { type Named, nameList } from '../state.ts';
import { version } from '../version.ts';
import { parse } from './json.ts';
import type { SafetensorsHeader } from './safetensors.ts';

/** What the metadata hold beside what users put there. */
const keys = {
  /** The version of this arrangement; a later one is refused. */
  format: 'axpy.format',
  /** The version of the library that wrote it. */
  version: 'axpy.version',
  /** The config of the model, as JSON. */
  model: 'axpy.model',
  /** Which parameters and layers are frozen and which layers in evaluation mode, as JSON. */
  modes: 'axpy.modes',
} as const;

const formatVersion = 1;

/** What decides how a model trains on beside its numbers. */
interface Modes {
  /** Names of parameters. */
  frozen: string[];
  /** Paths of layers. */
  evaluation: string[];
  /** Those of layers that are not `trainable`; files of before there was that have none. */
  frozenLayers?: string[];
}

/** @internal */
export function modesOf(model: Layer): Modes {
  const layers = model.namedLayers();
  return {
    frozen: model.namedParameters().flatMap(([name, { requiresGrad }]) => (requiresGrad ? [] : [name])),
    evaluation: layers.flatMap(([path, { training }]) => (training ? [] : [path])),
    frozenLayers: layers.flatMap(([path, { trainable }]) => (trainable ? [] : [path])),
  };
}

/** @internal Frozen are those that are named, and no others; likewise the mode of layers. */
export function setModes(model: Layer, { frozen, evaluation, frozenLayers = [] }: Modes): void {
  const [frozenNames, evaluationPaths, frozenPaths] = [frozen, evaluation, frozenLayers].map(
    (names) => new Set(names),
  );
  for (const [name, parameter] of model.namedParameters()) {
    parameter.setRequiresGrad(!frozenNames.has(name));
  }
  for (const [path, layer] of model.namedLayers()) {
    layer.training = !evaluationPaths.has(path);
    layer.setTrainable(!frozenPaths.has(path));
  }
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

/** What cannot be loaded, or comes back as something else, is not to be found out when the original is gone. */
function checkMakes(op: string, model: Layer, config: string): void {
  const own = [...model.namedTensors(), ...model.namedHidden()];
  const bytes = own.reduce((sum, [, { storage }]) => sum + bytesOf(storage), 0);
  const advice =
    'what a layer of your own is, it tells by configure(this, options) and registerLayer(name, class, make); a function as ' +
    'an activation has no place in a file, and wants a layer of your own';
  let again: Layer;
  let made: ReadonlySet<object>;
  try {
    [again, , made] = makeBlank(bytes, () => layerFrom(parse(config) as LayerConfig));
  } catch (error) {
    const { message } = error as Error;
    throw new ArgumentError(
      `[${op}] expected a model that layerFrom(model.config) makes again, got: ${message}. Note that ${advice}`,
    );
  }
  const tensors = [...again.namedTensors(), ...again.namedHidden()];
  const [expected, got] = [listed(own), listed(tensors)];
  if (expected.join() !== got.join()) {
    throw new ArgumentError(
      `[${op}] expected layerFrom(model.config) to make a model of the tensors ${nameList(expected)}, got ${nameList(got)}: ` +
        `${advice}. Weights alone are saved by saveWeights`,
    );
  }
  const other = difference(model.config, again.config, '');
  if (other !== null) {
    throw new ArgumentError(
      `[${op}] expected layerFrom(model.config) to make a model of that config, got another ${other}: the maker that ` +
        'registerLayer was given has to hand on all options',
    );
  }
  const found = new Set<object>(tensors.map(([, tensor]) => tensor));
  const lost = [...made].filter((one) => one instanceof Parameter && !found.has(one)) as AnyParameter[];
  if (lost.length === 0) return;
  throw new ArgumentError(
    `[${op}] expected all parameters where they are found, got a model with ${lost.length} more, of shape ` +
      `${lost
        .slice(0, 8)
        .map(({ shape }) => show(shape))
        .join(', ')}, which the file would not have: keep them in public ` +
      'fields of layers, in arrays, plain objects or Maps there (not in #private fields, Sets or objects of classes)',
  );
}

/** Where a config differs from another, a function, which is null there, aside; null where it does not. */
function difference(given: Json | undefined, made: Json | undefined, where: string): string | null {
  if (given === null || Object.is(given, made)) return null;
  if (typeof given !== 'object' || typeof made !== 'object' || made === null) return where || 'config';
  for (const name of new Set([...Object.keys(given), ...Object.keys(made)])) {
    const [own, other] = [given, made].map((of) => (of as Record<string, Json>)[name]);
    const found = difference(own, other, where === '' ? name : `${where}.${name}`);
    if (found !== null) return found;
  }
  return null;
}

const listed = (state: Named<AnySharedTensor>) =>
  state.map(([name, { dtype, shape }]) => `${name} ${dtype} ${show(shape)}`);

function isModes(value: unknown): value is Modes {
  const isList = (list: unknown) =>
    Array.isArray(list) && list.every((name: unknown) => typeof name === 'string');
  const { frozen, evaluation, frozenLayers = [] } = (value ?? {}) as Partial<Modes>;
  return [frozen, evaluation, frozenLayers].every(isList);
}

/** @internal What the metadata say of a model. @throws FormatError */
export function readArchitecture({ metadata }: SafetensorsHeader): { config: LayerConfig; modes: Modes } {
  if (!Object.hasOwn(metadata, keys.model)) {
    throw new FormatError(
      `expected a model with its architecture, as saveModel writes it, got tensors without (no ${keys.model} in the ` +
        'metadata): loadWeights puts them into a model of yours, loadSafetensors gives them as they are',
    );
  }
  const format = Number(metadata[keys.format] ?? NaN);
  if (Number.isNaN(format)) {
    throw new FormatError(`expected the version of the format as ${keys.format} in the metadata, got none`);
  }
  if (!(format <= formatVersion)) {
    throw new FormatError(
      `expected a model of format ${formatVersion} or earlier, got ${describe(metadata[keys.format])}, written by axpy ` +
        `${describe(metadata[keys.version])}; this is axpy ${version}: update it to load this file`,
    );
  }
  const modes = parse(metadata[keys.modes] ?? 'null');
  if (!isModes(modes)) {
    throw new FormatError(
      `expected what is frozen and in evaluation mode as ${keys.modes} in the metadata, got other JSON`,
    );
  }
  return { config: parse(metadata[keys.model]) as LayerConfig, modes };
}

/** What a layer is, as plain data, and layers made of that. */
import { checkFunction, describe, isArray, isInstance, isRecord, readArray } from '../arguments.ts';
import { ArgumentError } from '../errors.ts';
import { isPlainObject } from '../tree.ts';
import type { Layer } from './layer.ts';

/** What JSON can hold. */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [name: string]: Json };

/**
 * The type of a layer and its options. Numbers that JSON has no text for are strings: 'Infinity', '-Infinity', 'NaN' and
 * '-0'.
 */
export interface LayerConfig {
  /** The name of its class, or the one that `registerLayer` gave that. */
  readonly type: string;
  readonly [option: string]: Json;
}

/** A class of layers; its constructor may take anything. */
// biome-ignore lint/suspicious/noExplicitAny: what it takes is the affair of its maker
export type LayerClass<Kind extends Layer = Layer> = abstract new (...args: any[]) => Kind;

/** Makes a layer of the options in its config. */
// biome-ignore lint/suspicious/noExplicitAny: options are whatever `configure` told, and the class checks them
export type LayerMaker = (options: Record<string, any>) => Layer;

const classes = new Map<string, { layer: LayerClass; make: LayerMaker }>();
const types = new WeakMap<object, string>();

/** Where a layer keeps the options that it told, out of sight of walks through its fields. */
const told = Symbol('options');

/** How deep configs may lie in each other; what holds itself has no end. */
const deepest = 256;

/** How many items an array in a config may have. */
const mostItems = 2 ** 24;

/** The name of a layer's class, its label where nobody gives it another one. */
export function typeOf(layer: Layer): string {
  const kind = layer.constructor;
  const name = types.get(kind) ?? kind.name;
  return typeof name === 'string' ? name : 'Layer';
}

/** Whether the name of a layer's class is one that lasts: of the library, or given by `registerLayer`. */
export function isRegistered(layer: Layer): boolean {
  return types.has(layer.constructor);
}

/**
 * Tells the options of a layer, those that were left out with their defaults: its `config` will show them. Layers among
 * them show theirs. To be called by the constructor of a class of one's own, again by one that extends it.
 * @throws ArgumentError unless both are objects
 */
export function configure(layer: Layer, options: object): void {
  for (const [name, value] of Object.entries({ layer, options })) {
    if (!isRecord(value)) {
      throw new ArgumentError(`[configure] expected ${name} to be an object, got ${describe(value)}`);
    }
  }
  (layer as { [told]?: object })[told] = options;
}

/**
 * The layers whose configs are being told, the outermost with all that is in it. One that is there twice is told once; where
 * it comes again stands `{ type: '@shared', '@id': n }`, and the first one has that '@id' as well.
 */
let telling: Map<Layer, { '@id'?: number }> | null = null;
/** The layers that are being made, by that number. */
let making: Map<unknown, Layer> | null = null;
const sharedType = '@shared';

/** The config of a layer. @throws ArgumentError where it was told something that is no plain data */
export function configOf(layer: Layer, isLayer: (value: unknown) => value is Layer): LayerConfig {
  const isOutermost = telling === null;
  telling ??= new Map();
  const known = telling.get(layer);
  if (known !== undefined) {
    known['@id'] ??= [...telling.values()].filter((other) => '@id' in other).length + 1;
    return { type: sharedType, '@id': known['@id'] };
  }
  try {
    const told = {};
    telling.set(layer, told);
    return Object.assign(told, plainConfig(layer, isLayer));
  } finally {
    if (isOutermost) telling = null;
  }
}

function plainConfig(layer: Layer, isLayer: (value: unknown) => value is Layer): LayerConfig {
  const plain = (value: unknown, where: string, depth: number): Json => {
    if (value === null || typeof value === 'string' || typeof value === 'boolean') return value;
    if (typeof value === 'number') {
      if (Object.is(value, -0)) return '-0';
      return Number.isFinite(value) ? value : String(value);
    }
    if (typeof value === 'function') return null;
    if (isLayer(value)) return value.config;
    // A vocabulary may be long.
    if (!(isArray(value) || isPlainObject(value)) || depth > deepest) {
      throw new ArgumentError(
        `[config] expected ${where} of ${layer.label} to be plain data, got ${describe(value)}`,
      );
    }
    if (isArray(value)) {
      const refuse = (got: string) =>
        new ArgumentError(`[config] expected ${where} of ${layer.label} to be an array, got ${got}`);
      return readArray(value, mostItems, refuse).map((item, i) => plain(item, `${where}.${i}`, depth + 1));
    }
    return record(value, where, depth + 1);
  };
  const record = (value: object, where: string, depth: number): Record<string, Json> =>
    Object.fromEntries(
      Object.entries(value)
        .filter(([, item]) => item !== undefined)
        .map(([name, item]) => [name, plain(item, where === '' ? name : `${where}.${name}`, depth)]),
    );
  return { type: typeOf(layer), ...record((layer as { [told]?: object })[told] ?? {}, '', 0) };
}

/**
 * Lets `layerFrom` make layers of a class of one's own, which is called so in messages too, whatever a minifier calls it:
 * `registerLayer('Block', Block, ({ size }) => new Block(size))`.
 * @param make gets what `config` holds beside the type; the config of an inner layer it hands to `layerFrom`
 * @throws ArgumentError for a name that another class has, or for arguments that are none
 */
export function registerLayer<Kind extends Layer>(
  type: string,
  layer: LayerClass<Kind>,
  make: (...options: Parameters<LayerMaker>) => Kind,
): void {
  const op = 'registerLayer';
  if (typeof type !== 'string' || type === '' || type === sharedType) {
    throw new ArgumentError(`[${op}] expected type to be a name, got ${describe(type)}`);
  }
  checkFunction(op, 'layer', layer);
  checkFunction(op, 'make', make);
  const known = classes.get(type);
  if (known !== undefined && known.layer !== layer) {
    throw new ArgumentError(`[${op}] expected a name that no other class has, got ${describe(type)}`);
  }
  classes.set(type, { layer, make });
  types.set(layer, type);
}

let depth = 0;

/**
 * A new layer of a config, as a layer's `config` and JSON of it give it, with initial values of its own: its state is what
 * `loadStateDict` brings. A function cannot be in JSON and is null there; it may be put in its place again before.
 * @throws ArgumentError for a type that is not known, see `registerLayer`; what the constructor throws
 */
export function layerFrom(config: LayerConfig): Layer {
  const op = 'layerFrom';
  if (!isRecord(config)) {
    throw new ArgumentError(`[${op}] expected config to be an object with a type, got ${describe(config)}`);
  }
  const { type, '@id': shared, ...options } = config;
  if (type === sharedType) {
    const layer = making?.get(shared);
    if (layer !== undefined) return layer;
    throw new ArgumentError(
      `[${op}] expected the layer that is shared before where it comes again, got ${describe(shared)}`,
    );
  }
  const known = typeof type === 'string' ? classes.get(type) : undefined;
  if (known === undefined) {
    throw new ArgumentError(
      `[${op}] expected a type among ${[...classes.keys()].slice(0, 40).join(', ')}, got ${describe(type)}: ` +
        'registerLayer makes others known',
    );
  }
  if (depth > deepest)
    throw new ArgumentError(`[${op}] expected a config that ends, got one that holds itself`);
  const isOutermost = making === null;
  making ??= new Map();
  depth++;
  try {
    const layer = known.make(options);
    if (isInstance(layer, known.layer)) {
      if (shared !== undefined) making.set(shared, layer);
      return layer;
    }
    throw new ArgumentError(`[${op}] expected the maker of ${type} to return one, got ${describe(layer)}`);
  } finally {
    depth--;
    if (isOutermost) making = null;
  }
}

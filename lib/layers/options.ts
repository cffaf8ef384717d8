/**
 * The options of layers: how each is read, checked and left out. One form for each class says what it takes; what the
 * constructor reads, what `config` shows and what `layerFrom` makes follow from it.
 */
import { type ActivationFunction, type ActivationName, resolveActivation } from '../activations.ts';
import { checkBoolean, checkOptions, describe, isArray, isRecord, readOptions } from '../arguments.ts';
import { ArgumentError, ShapeError } from '../errors.ts';
import { type Initializer, initializerBefore } from '../initializers.ts';
import type { FloatDtype } from '../memory.ts';
import { nameClass } from '../names.ts';
import { checkPair, ownPadding, type Padding, type Pair } from '../ops/window.ts';
import { readShape, type Shape } from '../shape.ts';
import { checkCount, checkLayerDtype } from './checks.ts';
import { registerLayer } from './config.ts';
import type { Layer } from './layer.ts';

/** What a constructor takes for one name, and what the layer keeps of it. */
export interface Option<Given, Value = Given> {
  /** @throws AxpyError for what is none. */
  readonly read: (layer: string, name: string, given: Given) => Value;
  /** What stands for one that is left out, where it may be; it may depend on those read before. */
  readonly otherwise: ((own: Readonly<Record<string, unknown>>) => Given) | undefined;
  /** Whether null in a config stands for a function that is not missed. */
  readonly isNullFunction?: boolean;
}

// biome-ignore lint/suspicious/noExplicitAny: of any type
type Options = Readonly<Record<string, Option<any, any>>>;

/** That every option of an interface is described, as what it is: `{ … } satisfies OptionsOf<DenseOptions>`. */
export type OptionsOf<Interface> = {
  readonly [Name in keyof Required<Interface>]: Option<Required<Interface>[Name], unknown>;
};

/** What a layer keeps of its arguments and options. */
type Own<Described> = {
  // biome-ignore lint/suspicious/noExplicitAny: whatever was given
  -readonly [Name in keyof Described]: Described[Name] extends Option<any, infer Value> ? Value : never;
};

export interface LayerForm<Described> {
  /** Each argument and option, read once, checked and copied. */
  read(given: readonly unknown[], options?: object): Own<Described>;
  /** Lets `layerFrom` make layers of the class. */
  // biome-ignore lint/suspicious/noExplicitAny: what the form says
  register(layer: new (...given: any[]) => Layer): void;
}

/** The form of a class whose constructor takes these arguments and, where there are such, an object of these options. */
export function layerForm<Arguments extends Options, Others extends Options>(
  layer: string,
  positional: Arguments,
  others: Others,
): LayerForm<Arguments & Others> {
  const optionNames = Object.keys(others);
  return {
    read(given, options = {}) {
      const own: Record<string, unknown> = {};
      const keep = (name: string, { read, otherwise }: Options[string], value: unknown) => {
        own[name] = read(layer, name, value === undefined && otherwise ? otherwise(own) : value);
      };
      Object.entries(positional).forEach(([name, option], i) => {
        keep(name, option, given[i]);
      });
      const named = readOptions(layer, options as Record<string, unknown>, optionNames);
      for (const [name, option] of Object.entries(others)) keep(name, option, named[name]);
      return own as Own<Arguments & Others>;
    },
    register(kind) {
      nameClass(kind, layer);
      registerLayer(layer, kind, (config) => {
        const options = { ...config };
        const given = Object.keys(positional).map((name) => {
          const value = options[name];
          delete options[name];
          return value;
        });
        checkOptions(layer, options, optionNames);
        for (const name of optionNames) {
          if (options[name] === null && others[name].isNullFunction) delete options[name];
        }
        return optionNames.length > 0 ? new kind(...given, options) : new kind(...given);
      });
    },
  };
}

export function option<Given, Value = Given>(
  read: Option<Given, Value>['read'],
  otherwise?: Option<Given, Value>['otherwise'],
): Option<Given, Value> {
  return { read, otherwise };
}

/** One that is checked together with others. */
export const unchecked = <Value>(otherwise?: Option<Value>['otherwise']) =>
  option<Value>((_layer, _name, given) => given, otherwise);

/** An integer of at least 1. */
export const count = option(checkCount);

export const flag = (otherwise: boolean) =>
  option(
    (layer, name, given: boolean) => {
      checkBoolean(layer, name, given);
      return given;
    },
    () => otherwise,
  );

/** One of some names, the first where it is left out. */
export const choice = <const Names extends readonly [string, ...string[]]>(...names: Names) =>
  option(
    (layer, name, given: Names[number]): Names[number] => {
      if (names.includes(given)) return given;
      const known = names.map((one) => `'${one}'`).join(' or ');
      throw new ArgumentError(`${layer} expected ${name} to be ${known}, got ${describe(given)}`);
    },
    (): Names[number] => names[0],
  );

const numbers: Readonly<Record<string, number>> = {
  Infinity: Infinity,
  '-Infinity': -Infinity,
  NaN: NaN,
  '-0': -0,
};

/** What `config` wrote as text for want of a number in JSON. */
const fromText = <Value>(value: Value): Value | number =>
  typeof value === 'string' && Object.hasOwn(numbers, value) ? numbers[value] : value;

/** A number, also as `config` writes one that JSON has no text for; `check` may throw for some. */
export const number = (otherwise: number, check?: (layer: string, given: number, name: string) => unknown) =>
  option(
    (layer, name, given: number) => {
      const own = fromText(given);
      if (check) check(layer, own, name);
      else if (typeof own !== 'number') {
        throw new ArgumentError(`${layer} expected ${name} to be a number, got ${describe(own)}`);
      }
      return own;
    },
    () => otherwise,
  );

/** A number that is neither NaN nor infinite. */
export const finite = (otherwise: number) =>
  number(otherwise, (layer, given, name) => {
    if (Number.isFinite(given)) return;
    throw new ArgumentError(`${layer} expected ${name} to be a finite number, got ${describe(given)}`);
  });

export const dtype = option<FloatDtype>(
  (layer, _, given) => checkLayerDtype(layer, given),
  () => 'float32',
);

export const activation = option<ActivationName | ActivationFunction>(
  (_layer, _name, given) => {
    resolveActivation(given);
    return given;
  },
  () => 'linear',
);

/** Checked where it is used, by `initialize` and `initializeBoth`. */
export const initializer = (otherwise: Option<Initializer>['otherwise']): Option<Initializer> => ({
  read(_layer, _name, given) {
    if (!isRecord(given)) return given;
    const own = Object.entries(given).map(([name, value]) => [name, fromText(value)]);
    return Object.fromEntries(own) as Initializer;
  },
  otherwise,
  // What a function gave is in the state.
  isNullFunction: true,
});

/** Of a weight before the activation. */
export const init = initializer(({ activation }) => initializerBefore(activation));

/** Of a bias. */
export const biasInit = initializer(() => 'zeros');

/** One number for both axes, or two. */
export const pair = (otherwise?: Option<Pair>['otherwise']) =>
  option<Pair, [number, number]>((layer, name, given) => checkPair(layer, name, given), otherwise);

export const padding = option<Padding>(
  (layer, _, given) => ownPadding(layer, given),
  () => 'valid',
);

/** Of what is normalised together: the last axes, a number for the last alone. */
export const normalizedShape = option((layer, name, given: number | Shape): Shape => {
  const own = isArray(given) ? readShape(layer, given) : [checkCount(layer, name, given)];
  if (own.length > 0) return own;
  throw new ShapeError(`${layer} expected a shape of at least one axis, got []`);
});

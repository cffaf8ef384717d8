/** Initial values of parameters. `weight` is [out, …, in]: fan-in is in × what lies between, fan-out likewise. */
import { checkOptions, describe, isFunction, isRecord } from './arguments.ts';
import { blank } from './blank.ts';
import { ArgumentError, DataError, ShapeError } from './errors.ts';
import { type Float, kernels } from './kernels/index.ts';
import { changing } from './kernels/recorder.ts';
import { allocate } from './memory.ts';
import { defaultState } from './random.ts';
import { type Shape, show } from './shape.ts';
import { elements, floats, type Tensor } from './tensor.ts';

/** How many inputs an output has, and the reverse. */
export interface Fans {
  fanIn: number;
  fanOut: number;
}

/** Initial values by name. */
export type InitializerName =
  | 'zeros'
  | 'ones'
  | 'constant'
  | 'normal'
  | 'uniform'
  | 'xavierNormal'
  | 'xavierUniform'
  | 'heNormal'
  | 'heUniform'
  | 'lecunNormal';

/**
 * - 'zeros', 'ones'
 * - 'constant': 0.1, or `{ name: 'constant', value? }`
 * - 'normal': N(0, 0.1²) as in the notes, or `{ name: 'normal', mean?, deviation? }`
 * - 'uniform': on [−0.1, 0.1), or `{ name: 'uniform', low?, high? }`
 * - 'xavierNormal', 'xavierUniform': variance 2 / (fanIn + fanOut) (Glorot & Bengio, 2010; the notes' Xavier/He)
 * - 'heNormal', 'heUniform': variance 2 / fanIn (He, Zhang, Ren & Sun, 2015); 'lecunNormal': 1 / fanIn
 * - a function that returns the values, row-major
 */
export type Initializer =
  | InitializerName
  | { name: 'constant'; value?: number }
  | { name: 'normal'; mean?: number; deviation?: number }
  | { name: 'uniform'; low?: number; high?: number }
  | ((shape: Shape, fans: Fans) => ArrayLike<number>);

type Fill = (x: Tensor, fans: Fans) => void;

const constant =
  (value: number): Fill =>
  (x) =>
    kernels.fill(elements(x), value);

const normal =
  (deviation: (fans: Fans) => number, mean = 0): Fill =>
  (x, fans) =>
    kernels.randomNormal(floats(x), defaultState, mean, deviation(fans));

const uniform =
  (bounds: (fans: Fans) => [low: number, high: number]): Fill =>
  (x, fans) =>
    kernels.randomUniform(floats(x), defaultState, ...bounds(fans));

// The variance of a uniform distribution on [−r, r) is r²/3, so that r = √(3 · variance).
const symmetric = (variance: (fans: Fans) => number): Fill =>
  uniform((fans) => {
    const r = Math.sqrt(3 * variance(fans));
    return [-r, r];
  });

// A layer without inputs has no weights to draw; 1 keeps its variance finite.
const glorot = ({ fanIn, fanOut }: Fans) => 2 / Math.max(fanIn + fanOut, 1);
const he = ({ fanIn }: Fans) => 2 / Math.max(fanIn, 1);

const named: Record<InitializerName, Fill> = {
  zeros: constant(0),
  ones: constant(1),
  constant: constant(0.1),
  normal: normal(() => 0.1),
  uniform: uniform(() => [-0.1, 0.1]),
  xavierNormal: normal((fans) => Math.sqrt(glorot(fans))),
  xavierUniform: symmetric(glorot),
  heNormal: normal((fans) => Math.sqrt(he(fans))),
  heUniform: symmetric(he),
  lecunNormal: normal(({ fanIn }) => Math.sqrt(1 / Math.max(fanIn, 1))),
};

function fansOf(shape: Shape): Fans {
  if (shape.length < 2) return { fanIn: shape[0] ?? 1, fanOut: shape[0] ?? 1 };
  const between = shape.slice(1, -1).reduce((product, size) => product * size, 1);
  return { fanIn: between * shape[shape.length - 1], fanOut: between * shape[0] };
}

function resolve(op: string, init: Exclude<Initializer, (...args: never[]) => unknown>): Fill {
  const { name, ...options } = (isRecord(init) ? init : { name: init }) as {
    name: unknown;
    [option: string]: unknown;
  };
  const option = (key: string, otherwise: number) => {
    const { [key]: value = otherwise } = options;
    if (typeof value === 'number' && Number.isFinite(value)) return value;
    throw new ArgumentError(`[${op}] expected ${key} to be a finite number, got ${describe(value)}`);
  };
  if (name === 'constant') {
    checkOptions('constant', options, ['value']);
    return constant(option('value', 0.1));
  }
  if (name === 'normal') {
    checkOptions('normal', options, ['mean', 'deviation']);
    const deviation = option('deviation', 0.1);
    if (deviation < 0) {
      throw new ArgumentError(`[${op}] expected deviation to be at least 0, got ${deviation}`);
    }
    return normal(() => deviation, option('mean', 0));
  }
  if (name === 'uniform') {
    checkOptions('uniform', options, ['low', 'high']);
    const low = option('low', -0.1);
    const high = option('high', 0.1);
    if (low > high) {
      throw new ArgumentError(`[${op}] expected low to be at most high, got ${low} and ${high}`);
    }
    return uniform(() => [low, high]);
  }
  if (typeof name === 'string' && Object.hasOwn(named, name)) {
    checkOptions(name, options, []);
    return named[name as InitializerName];
  }
  const known = Object.keys(named).join(', ');
  throw new ArgumentError(`[${op}] expected one of ${known} or a function, got ${describe(name)}`);
}

const rectifiers: ReadonlySet<unknown> = new Set(['relu', 'leakyRelu', 'elu', 'gelu', 'silu']);

/** Of a weight before this activation, unless something else is asked for. */
export function initializerBefore(activation: unknown): InitializerName {
  return rectifiers.has(activation) ? 'heNormal' : 'xavierNormal';
}

/**
 * Fills a parameter with initial values, drawn from the default random state.
 * @throws ArgumentError for an unknown initializer or option, ShapeError when a function gives too few or many values,
 *   DataError when one is no finite number; the parameter and the random state are then unchanged. Errors name `op`.
 * @param fans where the shape does not tell them
 * @param finish changes what has been filled in
 */
export function initialize(
  x: Tensor,
  init: Initializer,
  fans?: Fans,
  op = 'initialize',
  finish?: (values: Float) => void,
): void {
  prepare(op, x, init, fans, finish)();
}

/** Fills a weight and, where there is one, a bias, as `initialize`, once both initializers are known to be good. Errors name `op`. */
export function initializeBoth(
  weight: Tensor,
  init: Initializer,
  bias: Tensor | null,
  biasInit: Initializer,
  fans?: Fans,
  op = 'initializeBoth',
): void {
  const fills = [prepare(op, weight, init, fans)];
  if (bias) fills.push(prepare(op, bias, biasInit));
  for (const fill of fills) fill();
}

/** Checks an initializer, reads what a function gives, and returns what then fills the parameter. */
function prepare(
  op: string,
  x: Tensor,
  init: Initializer,
  fans: Fans = fansOf(x.shape),
  finish?: (values: Float) => void,
): () => void {
  let write: Fill;
  if (isFunction(init)) {
    const values = valuesOf(op, x, init([...x.shape], { ...fans }));
    write = () => elements(x).set(values);
  } else {
    write = resolve(op, init);
  }
  const fillNow = () => {
    changing(op, x.storage);
    write(x, fans);
    finish?.(floats(x));
  };
  if (blank === null || !x.storage.isShared) return fillNow;
  const { fills } = blank;
  return () => void fills.set(x, fillNow);
}

/** The values that a function gave, each read once. @throws as `initialize` */
function valuesOf(op: string, x: Tensor, given: ArrayLike<number>): Tensor['data'] {
  const length = (given as ArrayLike<number> | undefined | null)?.length;
  if (length !== x.size) {
    throw new ShapeError(`[${op}] expected ${x.size} values for ${show(x.shape)}, got ${describe(length)}`);
  }
  const values = allocate(x.size, x.dtype);
  for (let i = 0; i < x.size; i++) {
    const value = given[i];
    // A number beyond the range of float32 becomes Infinity.
    if (typeof value === 'number') values[i] = value;
    if (typeof value !== 'number' || !Number.isFinite(values[i])) {
      throw new DataError(
        `[${op}] expected finite ${x.dtype} numbers, got ${describe(value)} at position ${i}`,
      );
    }
  }
  return values;
}

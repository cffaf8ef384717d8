/**
 * Holds the outcomes of two implementations against each other.
 *
 * How far two correct implementations may lie apart depends on the numbers: a sum that cancels loses more than one that
 * does not. So the tolerance is measured, element by element: the kernel is evaluated in float64 on inputs each changed
 * by a small relative amount at random, and the result may be wrong by what a few units in the last place of the inputs
 * do to it, plus a few of its own.
 */
import { type GeometryField, geometryFields, lossCode } from '../../lib/kernels/codes.ts';
import { fallback } from '../../lib/kernels/fallback/index.ts';
import { generator } from '../cases/values.ts';
import {
  arraysOf,
  type Call,
  isArray,
  isList,
  mapArrays,
  type Outcome,
  replay,
  sameBytes,
  type TypedArray,
} from './call.ts';
import { mostOf, openElements, reach } from './reach.ts';
import { isExact, keepsSigns, parameterIndex, roles, signatures } from './signature.ts';

/** Units in the last place that inputs may seem to be off by, and that a result may be. */
const inputUnits = 16;
const resultUnits = 8;
/** So many that hardly an element among millions is changed too little by all of them. */
const trials = 8;
const step = 2 ** -24;

const unit = { Float32Array: 2 ** -24, Float64Array: 2 ** -53 } as const;
/** Below this a number has no full precision left. */
const smallest = { Float32Array: 2 ** -126, Float64Array: 2 ** -1022 } as const;
/** The smallest number above 0. */
const least = { Float32Array: 2 ** -149, Float64Array: 2 ** -1074 } as const;
/** So many of them a result may be off by where an intermediate was that small, and was multiplied by some hundreds. */
const leastUnits = 2 ** 11;

type FloatName = keyof typeof unit;

const scalars: ReadonlySet<string> = new Set(['p', 'q', 'parameter', 'scale']);

/** The call in float64, with every float changed by `amount` at most, relatively; without `integers` those are kept. */
function widened(
  { kernel, args }: Pick<Call, 'kernel' | 'args'>,
  amount: number,
  next: () => number,
  integers = true,
): Call {
  const parameters = signatures.get(kernel)!;
  const vary = (value: number) => {
    if (amount === 0 || (!integers && Number.isInteger(value))) return value;
    const varied = value * (1 + amount * (2 * next() - 1));
    // The largest number has but one direction to go.
    return Number.isFinite(varied) || !Number.isFinite(value) ? varied : value * (1 - amount * next());
  };
  const wide = mapArrays(args, (array, position) => {
    if (!(array instanceof Float32Array || array instanceof Float64Array)) return array;
    const copy = new Float64Array(array);
    if (amount === 0) return copy;
    const name = parameters[position]?.name ?? '';
    const isShare = name.endsWith('Shares');
    const isHyper = isShare || ['hyper', 'scalars', 'world'].includes(name);
    for (let i = 0; i < copy.length; i++) {
      // Flags, counts of steps, and shares of all or nothing are no measured quantities.
      if (!(isHyper && Number.isInteger(copy[i]))) copy[i] = vary(copy[i]);
      // Beyond the whole a share would be refused, and nothing measured.
      if (isShare) copy[i] = Math.min(copy[i], 1);
    }
    return copy;
  });
  return {
    kernel,
    from: '',
    args: wide.map((value, i) =>
      typeof value === 'number' && scalars.has(parameters[i].name) && !Number.isInteger(value)
        ? vary(value)
        : value,
    ),
  };
}

function jumps({ kernel, args }: Pick<Call, 'kernel' | 'args'>): boolean {
  return kernel === 'lossGradient' && args[parameterIndex(kernel, 'op')] === lossCode.absoluteError;
}

/** What the scalar arguments or fields of the geometry with these names multiply to; 0 where the kernel lacks one. */
function count({ kernel, args }: Pick<Call, 'kernel' | 'args'>, ...names: string[]): number {
  const geometry = args[parameterIndex(kernel, 'geometry')] as Int32Array | undefined;
  return names.reduce((total, name) => {
    const field = geometryFields.indexOf(name as GeometryField);
    const value = geometry && field >= 0 ? geometry[field] : args[parameterIndex(kernel, name)];
    return typeof value === 'number' ? total * value : 0;
  }, 1);
}

/** How many numbers of float64 the addon sums without correction. */
const sumBlock = 32768;

/** How many numbers an element of the result is a sum of, at most, in the precision of the arrays. */
function terms(call: Pick<Call, 'kernel' | 'args'>): number {
  const { kernel, args } = call;
  // `reduce` promises better, but by blocks.
  if (args[0] instanceof Float64Array && kernel === 'reduce') {
    return Math.min(count(call, 'r0', 'r1'), sumBlock);
  }
  if (kernel === 'loss') return args[0] instanceof Float64Array ? (args[1] as TypedArray).length : 0;
  if (kernel === 'softmaxCrossEntropy') return Math.max(count(call, 'classes'), count(call, 'rows'));
  if (kernel.startsWith('batch') || kernel.startsWith('layer') || kernel === 'epilogueGradient') {
    return Math.max(count(call, 'rows'), count(call, 'size'));
  }
  if (kernel === 'convolveWeightGradient') return count(call, 'batch', 'outHeight', 'outWidth');
  if (parameterIndex(kernel, 'geometry') >= 0) {
    const window = count(call, 'kernelHeight', 'kernelWidth');
    if (kernel === 'convolve') return (window * count(call, 'channels')) / count(call, 'groups');
    if (kernel === 'convolveTransposed') return (window * count(call, 'outChannels')) / count(call, 'groups');
    // Of a window however large only what lies in the image is summed.
    return Math.min(window, count(call, 'height', 'width'));
  }
  return Math.max(count(call, 'k'), count(call, 'size'));
}

/**
 * The rounding of a sum in the arrays' own precision grows with the square root of its terms, over what the inputs
 * explain; of equal terms, as special values make them, with their number, as all are rounded to the same side.
 */
function growth(call: Pick<Call, 'kernel' | 'args'>, special: boolean): number {
  const n = Math.max(0, terms(call));
  return 1 + Math.max(Math.sqrt(n) / 4, special ? n / 16 : 0);
}

/** Units that Winograd's algorithm may be off by, of the largest sum of absolute products. */
const winogradUnits = 64;

/**
 * What `fast` permits: Winograd's algorithm mixes the pixels of a tile, and so rounds relative to the largest sum of
 * absolute products around, not to the one of the element. The slopes of the activations used with it are at most 1.
 */
function winograd({ kernel, args }: Pick<Call, 'kernel' | 'args'>): number {
  const fast = args[parameterIndex(kernel, 'fast')];
  if (fast !== 1 || !(args[0] instanceof Float32Array)) return 0;
  const absolutes = args.map((value, position) => {
    const { name } = signatures.get(kernel)![position];
    if (value instanceof Float32Array) return name === 'bias' ? null : Float64Array.from(value, Math.abs);
    return name === 'activation' ? -1 : value;
  });
  const [sums] = replay(fallback, { kernel, args: absolutes }).args as [Float64Array];
  return winogradUnits * sums.reduce((largest, sum) => Math.max(largest, sum), 0);
}

/** The largest finite element. */
function largest({ kernel, args }: Pick<Call, 'kernel' | 'args'>, name: string): number {
  const values = args[parameterIndex(kernel, name)];
  if (!isArray(values)) return 1;
  return (values as Float64Array).reduce(
    (most, x) => (Number.isFinite(x) ? Math.max(most, Math.abs(x)) : most),
    0,
  );
}

/**
 * A gradient of a normalisation is a difference of terms as large as gradient·scale·inverse, and by x̂² larger for an x̂
 * that is no normalised one; the slope of a saturated activation is one of terms as large as 1. Both may cancel.
 */
function cancelling(call: Pick<Call, 'kernel' | 'args'>, name: string): number {
  const gradient = resultUnits * largest(call, 'gradient');
  const hat = (largest(call, 'x') + largest(call, 'mean')) * largest(call, 'inverse');
  if (name === 'out') return gradient * largest(call, 'scale') * largest(call, 'inverse') * (1 + hat ** 2);
  const activation = call.args[parameterIndex(call.kernel, 'activation')];
  if (typeof activation !== 'number' || activation < 0) return 0;
  return name === 'shiftGradient' ? gradient : gradient * hat;
}

/**
 * A logarithm of a sum near 1 is off by units of 1, however small it is itself: log softmax of a certain class, the
 * cross-entropy of it, and log Σ eˣ.
 */
function absolute(call: Pick<Call, 'kernel' | 'args'>, name: string): number {
  const { kernel, args } = call;
  if (kernel === 'batchNormGradient' || kernel === 'layerNormGradient') return cancelling(call, name);
  // What rounding takes from a mean depends on its last digit.
  if (name === 'remainder') return resultUnits * largest(call, 'x');
  if (name !== 'out') return 0;
  if (kernel.startsWith('convolve')) return winograd(call);
  if (kernel === 'softmax' && args[parameterIndex(kernel, 'log')] === 1) return resultUnits;
  if (kernel === 'logSumExp') return resultUnits;
  if (kernel !== 'softmaxCrossEntropy') return 0;
  return resultUnits * Math.abs(args[parameterIndex(kernel, 'scale')] as number);
}

export interface ToleranceOptions {
  /**
   * For calls with special values: as far below the smallest normal number as may be expected, and NaN where it is open
   * what comes, as in `openElements`, or where the inputs changed a little make another of NaN, ∞ and −∞ of it.
   */
  readonly special?: boolean;
}

/** NaN, an infinity or a number. */
const kindOf = (x: number): number => (Number.isFinite(x) ? 0 : x);

/** For each array, in the order of `arraysOf`, that is a float destination: how far its elements may be off. */
export function tolerances(
  call: Pick<Call, 'kernel' | 'args'>,
  { special = false }: ToleranceOptions = {},
): ReadonlyMap<number, Float64Array> {
  const found = new Map<number, Float64Array>();
  if (isExact(call.kernel, call.args)) return found;
  const { overwritten, updated } = roles[call.kernel];
  const parameters = signatures.get(call.kernel)!;
  const next = generator(12345);
  const allowance = growth(call, special);
  const exact = replay(fallback, widened(call, 0, next));
  if (exact.error !== null) return found;
  const varied = Array.from({ length: trials }, (_, trial) =>
    replay(fallback, widened(call, step, next, !special || trial % 2 === 0)),
  );
  const exactArrays = arraysOf(exact.args);
  for (const { error } of varied) {
    if (error !== null) throw new Error(`${call.kernel}, with its inputs changed a little: ${error}`);
  }
  const variedArrays = varied.map(({ args }) => arraysOf(args));
  const open = special ? openElements(call) : null;
  arraysOf(call.args).forEach(({ array: given, position }, at) => {
    const { name } = parameters[position];
    if (!overwritten.includes(name) && !updated.includes(name)) return;
    if (!(given instanceof Float32Array || given instanceof Float64Array)) return;
    const type = given.constructor.name as FloatName;
    const value = exactArrays[at].array as Float64Array;
    const tolerance = new Float64Array(value.length);
    const own = absolute(call, name);
    const sums = special ? reach(call, name, exact.args) : null;
    for (let i = 0; i < value.length; i++) {
      let change = 0;
      let isOpen = open !== null && position === 0 && open(i, value[i]);
      for (const arrays of variedArrays) {
        const other = arrays[at].array[i];
        const distance = Math.abs(other - value[i]);
        if (distance > change && distance < Infinity) change = distance;
        if (special && !Object.is(kindOf(other), kindOf(value[i]))) isOpen = true;
      }
      const size = Number.isFinite(value[i]) ? Math.abs(value[i]) : 0;
      // At a kink of the activation another slope counts.
      if (special && call.kernel === 'batchNormGradient' && 64 * change > size) isOpen = true;
      // At a discontinuity (a tie of prediction and target) the change measures the jump, which nothing excuses.
      const measured = jumps(call) ? 0 : (inputUnits * change) / step;
      const terms = sums === null ? 0 : resultUnits * sums[i];
      // `reduce` alone keeps sums of float64 in their range.
      if (terms === Infinity && call.kernel !== 'reduce') isOpen = true;
      const floor = special ? leastUnits * least[type] : smallest[type];
      tolerance[i] = unit[type] * allowance * (measured + resultUnits * size + own + terms) + floor;
      // Whether it becomes infinite is a matter of its rounding.
      if (special && Math.abs(size - mostOf(given)) <= tolerance[i]) isOpen = true;
      if (isOpen) tolerance[i] = Number.NaN;
    }
    found.set(at, tolerance);
  });
  return found;
}

function differs(
  a: TypedArray,
  b: TypedArray,
  tolerance: Float64Array | undefined,
  signs: boolean,
): string | null {
  for (let i = 0; i < a.length; i++) {
    if (signs && a[i] === 0 && b[i] === 0 && !Object.is(a[i], b[i]))
      return `[${i}]: zeros of different signs`;
    if (a[i] === b[i] || (Number.isNaN(a[i]) && Number.isNaN(b[i]))) continue;
    const distance = Math.abs(a[i] - b[i]);
    if (Number.isNaN(tolerance?.[i])) continue;
    // NaN against a number, or two infinities, fail here as well.
    if (tolerance !== undefined && distance <= tolerance[i]) continue;
    const allowed = tolerance === undefined ? 'exactly' : `within ${tolerance[i].toExponential(1)}`;
    return `[${i}]: ${a[i]} and ${b[i]} differ by ${distance.toExponential(1)}, wanted ${allowed}`;
  }
  return null;
}

const describe = (error: unknown): string => {
  if (error === null) return 'success';
  const { name, code, message } = error as { name?: string; code?: string; message?: string };
  return `${name} ${code}: ${message}`;
};

/** What is wrong between two outcomes of one call, or null. Names of implementations are for the message. */
export function compareOutcomes(
  call: Pick<Call, 'kernel' | 'args'>,
  a: Outcome,
  b: Outcome,
  allowed: ReadonlyMap<number, Float64Array>,
): string | null {
  if (a.fault !== null) return `the fallback ${a.fault}`;
  if (b.fault !== null) return `the addon ${b.fault}`;
  const [left, right] = [describe(a.error), describe(b.error)];
  if (left !== right || (a.error as object | null)?.constructor !== (b.error as object | null)?.constructor) {
    return `fallback: ${left}\naddon:    ${right}`;
  }
  if (a.error !== null) return null;
  const parameters = signatures.get(call.kernel)!;
  const signs = keepsSigns(call.kernel, call.args);
  const [own, others] = [arraysOf(a.args), arraysOf(b.args)];
  for (let i = 0; i < own.length; i++) {
    const { array, position } = own[i];
    // An input may be the very array that is the destination.
    const first = own.findIndex((other) => other.array === array);
    const problem = differs(array, others[i].array, allowed.get(first), signs);
    if (problem !== null) return `${parameters[position]?.name}${problem}`;
  }
  return null;
}

/** Whether floats differ by less than every tolerance allows: half of what a result may be off by. Zeros of two signs differ. */
function areClose(a: TypedArray, b: TypedArray): boolean {
  if (!(a instanceof Float32Array || a instanceof Float64Array)) return sameBytes(a, b);
  const share = (resultUnits / 2) * unit[a.constructor.name as FloatName];
  for (let i = 0; i < a.length; i++) {
    const [x, y] = [a[i], b[i]];
    if (!Object.is(x, y) && (x === y || !(Math.abs(x - y) <= share * Math.abs(x)))) return false;
  }
  return true;
}

/** `compareOutcomes` within `tolerances`, which cost ten calls more and are not found where nobody needs them. */
export function compareWithin(
  call: Pick<Call, 'kernel' | 'args'>,
  a: Outcome,
  b: Outcome,
  options: ToleranceOptions = {},
): string | null {
  const others = arraysOf(b.args);
  const close =
    a.error === null &&
    b.error === null &&
    !isExact(call.kernel, call.args) &&
    arraysOf(a.args).every(({ array }, i) => areClose(array, others[i].array));
  if (close) return compareOutcomes(call, { ...a, args: [] }, { ...b, args: [] }, new Map());
  return compareOutcomes(
    call,
    a,
    b,
    a.error === null && b.error === null ? tolerances(call, options) : new Map(),
  );
}

/** A short text of a call for messages. */
export function showCall({ kernel, args, from }: Call): string {
  const parameters = signatures.get(kernel)!;
  const show = (value: unknown): string => {
    if (isList(value)) return `[${value.map(show).join(', ')}]`;
    if (!isArray(value)) return String(value);
    const few = value.length <= 24 ? `[${Array.from(value).join(', ')}]` : `of ${value.length}`;
    return `${value.constructor.name} ${few}`;
  };
  const list = args.map((value, i) => `${parameters[i]?.name ?? i} ${show(value)}`);
  return `${kernel}(${list.join('; ')})\n  in ${from}`;
}

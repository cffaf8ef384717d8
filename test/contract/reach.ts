/**
 * How large the numbers are that a result is made of, which inputs changed a little do not show where they are infinite, or
 * too small to be changed; and what nobody can say of a result: that of a sum whose terms leave the range of their type.
 */
import { type GeometryField, geometryFields, unaryCode } from '../../lib/kernels/codes.ts';
import { fallback } from '../../lib/kernels/fallback/index.ts';
import { arraysOf, type Call, isArray, replay, type TypedArray } from './call.ts';
import { type KernelName, parameterIndex, signatures } from './signature.ts';

type AnyCall = Pick<Call, 'kernel' | 'args'>;

/** Kernels that are linear in each of their float arguments: their sums of absolute terms are those of absolute arguments. */
const linear: ReadonlySet<KernelName> = new Set<KernelName>([
  'gemm',
  'gemmAccumulate',
  'convolve',
  'convolveTransposed',
  'convolveWeightGradient',
  'maxPoolGradient',
  'averagePool',
  'averagePoolGradient',
  'interpolate',
  'interpolateGradient',
  'scatterAdd',
  'scatterAddAlong',
]);

const isFloat = (value: unknown): value is Float32Array | Float64Array =>
  value instanceof Float32Array || value instanceof Float64Array;

export function argument(call: AnyCall, name: string): unknown {
  return call.args[parameterIndex(call.kernel, name)];
}

/** The call in float64 without activation, each float array changed by `change`. */
function changed({ kernel, args }: AnyCall, change: (value: number, name: string) => number): Call {
  const changedArgs = args.map((value, position) => {
    const { name } = signatures.get(kernel)![position];
    if (isFloat(value)) return Float64Array.from(value, (x) => change(x, name));
    return name === 'activation' ? -1 : value;
  });
  return { kernel, args: changedArgs, from: '' };
}

function run(call: AnyCall): Float64Array {
  return replay(fallback, call).args[0] as Float64Array;
}

/** Infinities and NaN apart, as they are no reason for a rounding. */
const size = (x: number): number => (Number.isFinite(x) ? Math.abs(x) : 0);

/** Σ |term| for each element of the first destination of a kernel whose sums are in the precision of its arrays. */
function sumsOfTerms(call: AnyCall): Float64Array | null {
  if (!linear.has(call.kernel)) return null;
  return run(changed(call, size));
}

/** Σ |term| of a sum in float64, by columns of `rows × columns`. */
function columnSums(values: ArrayLike<number>, columns: number): Float64Array {
  const sums = new Float64Array(columns);
  for (let i = 0; i < values.length; i++) sums[i % columns] += size(values[i]);
  return sums;
}

/** What the elements of `name` are sums of: Σ |term|, or null for what is no sum, or is measured well enough. */
export function reach(call: AnyCall, name: string, outcome: readonly unknown[]): Float64Array | null {
  const { kernel, args } = call;
  const first = signatures.get(kernel)![0].name;
  if (name === first && linear.has(kernel)) return sumsOfTerms(call);
  const own = (argumentName: string) => outcome[parameterIndex(kernel, argumentName)] as Float64Array;
  if (kernel === 'epilogueGradient' && name === 'biasGradient')
    return columnSums(own('out'), own(name).length);
  if (kernel === 'reduce' && name === 'out') {
    const scale = args.length - 1;
    return run({ kernel, args: changed(call, size).args.with(scale, Math.abs(args[scale] as number)) });
  }
  if (kernel === 'loss' && name === 'out') {
    const n = (argument(call, 'prediction') as TypedArray).length;
    const unscaled = changed(call, (x) => x)
      .args.with(0, new Float64Array(n))
      .with(args.length - 1, 1);
    const each = run({ kernel, args: unscaled });
    const sums = own('out').length === n ? each.map(size) : columnSums(each, 1);
    return sums.map((sum) => sum * Math.abs(args[args.length - 1] as number));
  }
  if (kernel === 'softmaxGradient') return termsOfSoftmaxGradient(call);
  if (kernel === 'batchNormGradient') return termsOfBatchNorm(call)[name];
  if (kernel === 'layerNormGradient') return termsOfLayerNorm(call)[name];
  // What intermediates lack of digits near the smallest number may be made as many times larger: x̂ by the scale, the mean
  // of gradients by rate / ε.
  const [{ array }] = arraysOf(args);
  const digits = array instanceof Float32Array ? 2 ** (24 - 149) : 2 ** (53 - 1074);
  const x = argument(call, 'x') as Float64Array;
  if (kernel === 'layerNorm' && name === 'out') {
    const scale = argument(call, 'scale') as Float64Array | null;
    const width = argument(call, 'size') as number;
    return Float64Array.from(x, (value, i) => {
      const factor = scale === null ? 1 : scale[i % width];
      if (Number.isFinite(factor)) return digits * Math.abs(factor);
      // The sign of what is 0 but for the rounding of the mean would decide which infinity it makes.
      const row = x.subarray(i - (i % width), i - (i % width) + width);
      return row.some((other) => size(other) * 2 ** -20 > size(value)) ? Infinity : 0;
    });
  }
  if (kernel === 'layerNorm' && name === 'mean') {
    const width = argument(call, 'size') as number;
    return own('mean').map(
      (_, row) => columnSums(x.subarray(row * width, row * width + width), 1)[0] / width,
    );
  }
  if (kernel === 'batchMoments' && /mean/i.test(name)) {
    const rows = argument(call, 'rows') as number;
    return columnSums(x, own('mean').length).map((sum) => sum / rows);
  }
  if (kernel === 'adam' && name === 'outs') {
    const [rate, beta1, , epsilon] = argument(call, 'hyper') as Float64Array;
    const longest = Math.max(...(args[0] as TypedArray[]).map(({ length }) => length));
    return new Float64Array(longest).fill((digits * rate) / (1 - beta1) / epsilon);
  }
  return null;
}

type Sums = Record<string, Float64Array>;

/** |x̂| of finite numbers, infinite where it overflows. */
function hatOf(x: number, mean: number, inverse: number): number {
  const areFinite = [x, mean, inverse].every(Number.isFinite);
  return areFinite ? 2 * Math.abs((0.5 * x - 0.5 * mean) * inverse) : 0;
}

/** Of the sums over the rows, and of scale·inverse·(dz − (Σ dz + x̂·Σ dz·x̂) / rows). */
function termsOfBatchNorm(call: AnyCall): Sums {
  const wide = changed(call, (x) => x);
  const [x, mean, remainder, inverse, scale, shift] = [
    'x',
    'mean',
    'remainder',
    'inverse',
    'scale',
    'shift',
  ].map((name) => argument(wide, name) as Float64Array | null) as [
    Float64Array,
    Float64Array,
    Float64Array | null,
    Float64Array,
    Float64Array | null,
    Float64Array | null,
  ];
  const [rows, channels, parameter] = ['rows', 'channels', 'parameter'].map(
    (name) => argument(call, name) as number,
  );
  const activation = argument(call, 'activation') as number;
  const y = new Float64Array(x.length);
  const dz = new Float64Array(x.length);
  fallback.batchNorm(y, x, mean, remainder, inverse, scale, shift, rows, channels, activation, parameter);
  const gradient = argument(wide, 'gradient') as Float64Array;
  fallback.epilogueGradient(dz, null, gradient, y, rows, channels, activation, parameter);
  const slopes = new Float64Array(x.length);
  fallback.epilogueGradient(slopes, null, slopes.slice().fill(1), y, rows, channels, activation, parameter);
  const hat = x.map((value, i) => hatOf(value, mean[i % channels], inverse[i % channels]));
  const sums = columnSums(dz, channels);
  const products = columnSums(
    dz.map((value, i) => size(value) * hat[i]),
    channels,
  );
  for (let i = 0; i < x.length; i++) {
    const c = i % channels;
    // An overflow beside a shift of the other infinity is NaN, but not of a product that is added to it unrounded; and an
    // infinite gradient times the slope of a saturated activation is NaN or not by the rounding of the output.
    const overflows = Math.abs(shift?.[c] ?? 0) === Infinity && hat[i] * size(scale?.[c] ?? 1) === Infinity;
    const small = slopes[i] !== 0 && Math.abs(slopes[i]) < 2 ** -20;
    const saturates = Math.abs(gradient[i]) === Infinity && small;
    if (overflows || saturates) sums[c] = products[c] = dz[i] = Infinity;
  }
  // Infinite where they overflow, which is what is asked for.
  for (let i = 0; i < x.length; i++) if (size(dz[i]) * hat[i] === Infinity) products[i % channels] = Infinity;
  const out = dz.map((value, i) => {
    const c = i % channels;
    const removed = argument(call, 'moments') === 1 ? (sums[c] + hat[i] * products[c]) / rows : 0;
    const own = sums[c] === Infinity && Math.abs(value) === Infinity ? Infinity : size(value);
    return size(inverse[c] * (scale?.[c] ?? 1)) * (own + removed);
  });
  return { out, shiftGradient: sums, scaleGradient: products };
}

/** Of the sums over the rows, and of inverse·(dz − (Σ dz + x̂·Σ dz·x̂) / size) with dz = gradient·scale. */
function termsOfLayerNorm(call: AnyCall): Sums {
  const [gradient, x, given, inverse] = ['gradient', 'x', 'mean', 'inverse'].map(
    (name) => argument(call, name) as Float64Array,
  );
  const mean = given ?? inverse.map(() => 0);
  const scale = argument(call, 'scale') as Float64Array | null;
  const width = argument(call, 'size') as number;
  const row = (i: number) => Math.floor(i / width);
  const wide = (values: (i: number) => number) => Float64Array.from(x, (_, i) => values(i));
  const hat = wide((i) => hatOf(x[i], mean[row(i)], inverse[row(i)]));
  const own = wide((i) => size(gradient[i] * (scale === null ? 1 : scale[i % width])));
  const [totals, products] = [new Float64Array(mean.length), new Float64Array(mean.length)];
  const scaleGradient = new Float64Array(width);
  for (let i = 0; i < x.length; i++) {
    if (given !== null) totals[row(i)] += own[i];
    products[row(i)] += own[i] * hat[i];
    scaleGradient[i % width] += size(gradient[i]) * hat[i];
  }
  const out = wide(
    (i) => size(inverse[row(i)]) * (own[i] + (totals[row(i)] + hat[i] * products[row(i)]) / width),
  );
  return { out, shiftGradient: columnSums(gradient, width), scaleGradient };
}

function termsOfSoftmaxGradient(call: AnyCall): Float64Array {
  type Arguments = [unknown, Float64Array, Float64Array, number, number, number, number];
  const [, gradient, y, outer, count, inner, log] = call.args as unknown as Arguments;
  const found = new Float64Array(gradient.length);
  for (let line = 0; line < outer * inner; line++) {
    const first = Math.floor(line / inner) * count * inner + (line % inner);
    const places = Array.from({ length: count }, (_, n) => first + n * inner);
    const total = places.reduce((sum, i) => sum + size(gradient[i]) * (log === 1 ? 1 : size(y[i])), 0);
    for (const i of places) {
      found[i] =
        log === 1
          ? size(gradient[i]) + size(Math.exp(y[i])) * total
          : size(y[i]) * (size(gradient[i]) + total);
    }
  }
  return found;
}

const most = { Float32Array: (2 - 2 ** -23) * 2 ** 127, Float64Array: Number.MAX_VALUE } as const;

export function mostOf(array: TypedArray): number {
  return most[array.constructor.name as keyof typeof most];
}

/** |x̂·scale| + |shift| of `batchNorm`. */
function termsOfNormal(call: AnyCall): Float64Array {
  return run(changed(call, (x, name) => (name === 'mean' ? -size(x) : size(x))));
}

/** Activations that make NaN, an infinity or another number of 0 than of the numbers on one of its sides. */
const poles: ReadonlySet<unknown> = new Set(
  (['reciprocal', 'log', 'powScalar', 'sqrt', 'sign'] as const).map((name) => unaryCode[name]),
);

/**
 * For each element of the first destination whether it is open what comes: a sum that is 0 or not by its rounding alone,
 * before an activation that has a pole there; sums in the precision of the arrays whose terms
 * leave its range together; what a convolution makes of a number that is not finite and meets the zeros beside an image,
 * as 0 · ∞ is NaN and nothing is nothing; all that Winograd's algorithm, which mixes the pixels of a tile, makes of numbers
 * that are not finite, except that it must not hide them.
 */
export function openElements(call: AnyCall): ((i: number, exact: number) => boolean) | null {
  const { kernel, args } = call;
  const atPole = poles.has(argument(call, 'activation')) ? run(changed(call, (x) => x)) : null;
  const sums = kernel === 'batchNorm' ? termsOfNormal(call) : sumsOfTerms(call);
  if (sums === null) return null;
  const limit = mostOf(args[0] as TypedArray) / 2;
  const beside = kernel.startsWith('convolve') ? meetsPadding(call) : null;
  const anyNonFinite = arraysOf(args).some(
    ({ array, position }) =>
      position > 0 && isArray(array) && (array as Float64Array).some((x) => x - x !== 0),
  );
  const mixes = argument(call, 'fast') === 1 && anyNonFinite;
  const [rounding, least] = args[0] instanceof Float32Array ? [2 ** -18, 2 ** -145] : [2 ** -47, 2 ** -1070];
  return (i, exact) =>
    sums[i] >= (kernel === 'batchNorm' ? Infinity : limit) ||
    (beside?.[i] ?? false) ||
    (mixes && Number.isFinite(exact)) ||
    (atPole !== null && Math.abs(atPole[i]) <= rounding * sums[i] + least);
}

/** Where a weight (or a gradient, of the weights' gradient) that is not finite may have met a pixel beside the image. */
function meetsPadding(call: AnyCall): boolean[] {
  const { kernel } = call;
  const geometry = argument(call, 'geometry') as Int32Array;
  const field = (name: GeometryField) => geometry[geometryFields.indexOf(name)];
  const [channels, outChannels, groups] = [field('channels'), field('outChannels'), field('groups')];
  const [part, outPart] = [channels / groups, outChannels / groups];
  const filter = field('kernelHeight') * field('kernelWidth') * part;
  const name = kernel === 'convolveWeightGradient' ? 'gradient' : 'weight';
  const bad = (x: number) => (Number.isFinite(x) ? 0 : 1);
  const met = run(changed(call, (x, own) => (own === name ? bad(x) : own === 'x' ? 1 : 0)));
  const values = argument(call, name) as Float64Array;
  /** Whether number `at` of the weights or gradients belongs to what makes element `i`. */
  const belongs = (at: number, i: number): boolean => {
    if (kernel === 'convolveWeightGradient') return at % outChannels === Math.floor(i / filter);
    const o = Math.floor(at / filter);
    if (kernel === 'convolve') return o === i % outChannels;
    const c = i % channels;
    return Math.floor(o / outPart) === Math.floor(c / part) && at % part === c % part;
  };
  const own = Array.from(values.keys()).filter((at) => bad(values[at]) === 1);
  // What met all of them met none beside the image.
  return Array.from(met, (count, i) => own.filter((at) => belongs(at, i)).length > count);
}

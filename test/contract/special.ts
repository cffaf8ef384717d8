/**
 * Random calls whose numbers are the ends of arithmetic: NaN, infinities, zeros of both signs, the largest, the smallest,
 * and those whose squares and products leave the range of their type.
 */
import fc from 'fast-check';
import { gradientFromOutput, unaryCode, unaryOps } from '../../lib/kernels/codes.ts';
import { generator } from '../cases/values.ts';
import { type Call, mapArrays, type TypedArray } from './call.ts';
import { randomCall } from './generate.ts';
import { remainderOf } from './generate-layers.ts';
import { type KernelName, signatures } from './signature.ts';

type Ends = Readonly<Record<'most' | 'root' | 'least' | 'normal', number>>;

/** The largest number, about the root of it, the smallest number above 0 and the smallest with all its digits. */
const ends: Readonly<Record<'Float32Array' | 'Float64Array', Ends>> = {
  Float32Array: { most: (2 - 2 ** -23) * 2 ** 127, root: 2e19, least: 2 ** -149, normal: 2 ** -126 },
  Float64Array: { most: Number.MAX_VALUE, root: 2e154, least: 2 ** -1074, normal: 2 ** -1022 },
};

const both = (...values: number[]): number[] => values.flatMap((value) => [value, -value]);

/** What an array is sprinkled with. NaN alone would hide what infinities do, and infinities what large numbers do. */
const palettes: readonly ((end: Ends) => number[])[] = [
  ({ most, root, least, normal }) => [
    Number.NaN,
    ...both(Infinity, 0, most, most / 3, root, 1, 1 / root, normal, normal / 3, least),
  ],
  () => [Number.NaN, ...both(Infinity, 0, 1)],
  () => both(Infinity, 0),
  ({ most, root }) => both(most, most / 3, root, 1.5 * root, root / 64),
  ({ root, least, normal }) => both(0, 1 / root, 64 / root, normal, normal / 3, 5 * least, least),
  ({ most, root, least, normal }) => both(most / 3, root, 1, 1 / root, normal, least),
];

/** Of how many elements one is replaced. */
const shares = [1, 2, 8, 32];

/** Numbers for the scalar arguments that may be any. */
const anyScalars = [Number.NaN, ...both(Infinity, 0, 1e300, 1e40, 1e38, 3, 1e-40, 1e-300), 2, 0.5];
const finiteScalars = anyScalars.filter((value) => Number.isFinite(value) && Math.abs(value) < 1e200);

const scalars: Readonly<Record<string, readonly number[]>> = {
  p: anyScalars,
  q: anyScalars,
  scale: finiteScalars,
  low: finiteScalars,
  high: finiteScalars,
  mean: finiteScalars,
  deviation: finiteScalars,
};

/** Poles at 0, where the sign of a 0 that a sum was rounded to would decide which infinity comes. */
const poles: ReadonlySet<string> = new Set(['sqrt', 'reciprocal']);

function activationsOf(kernel: KernelName): readonly (keyof typeof unaryCode)[] {
  if (kernel === 'batchNormGradient') return gradientFromOutput.filter((name) => !poles.has(name));
  return kernel === 'epilogueGradient' ? gradientFromOutput : unaryOps;
}

/** A slope beyond all measure hides what else a gradient is made of. */
function parametersOf(kernel: KernelName): readonly number[] {
  if (kernel.startsWith('loss')) return finiteScalars;
  return kernel === 'batchNormGradient' ? [0, 0.5, 1] : anyScalars;
}

/** The call with special values in its arrays, and now and then in its scalars. */
function sprinkle(call: Call, seed: number, code: number): Call {
  const next = generator(seed);
  const choose = <T>(list: readonly T[]): T => list[Math.floor(next() * list.length)];
  const parameters = signatures.get(call.kernel)!;
  const palette = choose(palettes);
  const args = mapArrays(call.args, (array, position) => {
    if (!(array instanceof Float32Array || array instanceof Float64Array)) return array;
    if (['hyper', 'scalars', 'shared', 'constants', 'world'].includes(parameters[position].name))
      return array;
    const ownValues = palette(ends[array.constructor.name as keyof typeof ends]);
    // From 0 to 1.
    const values = parameters[position].name.endsWith('Shares')
      ? ownValues.map((value) => Math.min(Math.abs(value) || 0, 1))
      : ownValues;
    const share = choose(shares);
    const only = Math.floor(next() * array.length);
    return array.map((value, i) =>
      (share === 32 ? i === only : next() * share < 1) ? choose(values) : value,
    ) as TypedArray;
  });
  if (call.kernel === 'softmaxGradient') {
    // Outputs of softmax, or logarithms of them: what is larger has no place in them.
    const y = args[2] as Float64Array;
    const isLog = args.at(-1) === 1;
    for (let i = 0; i < y.length; i++) {
      if (Number.isFinite(y[i])) y[i] = isLog ? -Math.abs(y[i]) : Math.min(Math.abs(y[i]), 1);
    }
  }
  const [mean, remainder] = ['mean', 'remainder'].map(
    (own) => args[parameters.findIndex(({ name }) => name === own)] as Float64Array | null | undefined,
  );
  // A remainder is one of a mean.
  if (mean && remainder) remainder.set(remainderOf(mean) as Float64Array);
  const activations = activationsOf(call.kernel);
  return {
    ...call,
    args: args.map((value, i) => {
      const { name } = parameters[i];
      if (name === 'activation') {
        const at = code % (activations.length + 1);
        return at === activations.length ? -1 : unaryCode[activations[at]];
      }
      const list = name === 'parameter' ? parametersOf(call.kernel) : scalars[name];
      const isExtreme = call.kernel === 'reduce' && value === 1;
      return typeof value === 'number' && list && !isExtreme && next() < 0.25 ? choose(list) : value;
    }),
    from: 'a random call with special values',
  };
}

/** @param op what ops are chosen by */
export function specialCall(kernel: KernelName, op?: fc.Arbitrary<number>): fc.Arbitrary<Call> {
  return fc
    .tuple(randomCall(kernel, op), fc.integer(), fc.nat(10000))
    .map(([call, seed, code]) => sprinkle(call, seed, code));
}

/** The kernels by which optimizers update parameters. */
import { type Float, kernels } from '../../lib/kernels/index.ts';
import { allocate, type FloatDtype } from '../../lib/memory.ts';
import { everyOp, randomList } from '../contract/lists.ts';
import { type DirectCase, defineCases } from './case.ts';
import { generator, hash } from './values.ts';

function random(name: string, dtype: FloatDtype, length: number, low = -2, high = 2): Float {
  const next = generator(hash(name));
  return allocate(length, dtype).map(() => low + (high - low) * next()) as Float;
}

/** learningRate, momentum, dampening, nesterov, λ */
const descents: readonly (readonly [string, readonly number[]])[] = [
  ['plain', [0.1, 0, 0, 0, 0]],
  ['momentum', [0.1, 0.9, 0, 0, 0.01]],
  ['the momentum of the notes', [0.1, 0.9, 0.9, 0, 0]],
  ['nesterov', [0.05, 0.8, 0, 1, 0.1]],
];

/** Of the parameters of a call. */
const models = [[0], [1], [37], [1031], [3, 0, 40, 17, 1, 130], []];

const arrays = (name: string, dtype: FloatDtype, lengths: readonly number[]): Float[] =>
  lengths.map((length, i) => random(`${name} ${i}`, dtype, length));

/** Each parameter followed by zeros for what is kept of it. */
const withState = (parameters: readonly Float[], slots: number): Float[] =>
  parameters.flatMap((p) => [p, ...Array.from({ length: slots }, () => p.slice().fill(0) as Float)]);

/** Rows of scalars for parameters of which every other one decays, the last row first. */
function rowsOf(lengths: readonly number[], decay: number, ...others: number[]): [Float64Array, Int32Array] {
  const scalars = lengths.flatMap((_, i) => [(i + decay) % 2, ...others]);
  return [Float64Array.from(scalars), Int32Array.from(lengths, (_, i) => lengths.length - 1 - i)];
}

const sgd: DirectCase[] = descents.flatMap(([name, hyper]) =>
  [0, 1].map((decay) => ({
    name: `sgd, ${name}, every other decays, from ${decay}`,
    run: (dtype: FloatDtype) => {
      for (const lengths of models) {
        const parameters = arrays('w', dtype, lengths);
        const outs = withState(parameters, 1);
        const gradients = arrays('g', dtype, lengths);
        const [scalars, rows] = rowsOf(lengths, decay);
        const buffer = Float64Array.from(hyper);
        // Two steps: the second one shows what the first one kept.
        kernels.sgd(outs, gradients, scalars, rows, buffer);
        kernels.sgd(outs, gradients, scalars, rows, buffer);
        kernels.sgd(parameters, gradients, scalars, rows, buffer);
      }
    },
  })),
);

const adam: DirectCase[] = [0, 1, 2].map((decay) => ({
  name: decay < 2 ? `adam, every other decays, from ${decay}` : 'adam, all decay by themselves',
  run: (dtype: FloatDtype) => {
    for (const lengths of models) {
      const outs = withState(arrays('w', dtype, lengths), 2);
      const [scalars, rows] = rowsOf(lengths, decay, 0);
      const hyper = Float64Array.of(0.01, 0.9, 0.999, 1e-8, 0.1);
      for (let step = 0; step < 3; step++) {
        kernels.adam(outs, arrays('g', dtype, lengths), scalars, rows, hyper, decay === 2 ? 1 : 0);
      }
    }
  },
}));

const none = new Float64Array(0);
const noRows = new Int32Array(0);
/** add and mul, behind the codes of `unaryOps`. */
const [add, mul] = [everyOp.indexOf('add'), everyOp.indexOf('mul')];

const elementwise: DirectCase[] = [
  {
    name: 'lists of every op',
    run: (dtype) => {
      const counts = { outs: 2, ins: 1, scalars: 1, shared: 1, constants: 1 };
      for (const lengths of [[3, 40, 17], models[4]]) {
        for (const op of everyOp) {
          const outs = lengths.flatMap((n) => ['a', 'b'].map((name) => random(name, dtype, n, 0.5, 1)));
          const ins = lengths.map((n) => random('c', dtype, n, 0.5, 1));
          const scalars = Float64Array.from(lengths, (_, i) => (i + 1) / 8);
          const rows = Int32Array.from(lengths, (_, i) => i);
          const code = randomList(generator(hash(op)), counts, 3, [op]);
          kernels.elementwise(outs, ins, scalars, rows, Float64Array.of(0.5), Float64Array.of(0.75), code, 0);
        }
      }
    },
  },
  {
    name: 'outs that become each other, a scalar, and themselves',
    run: (dtype) => {
      const outs = ['a', 'b', 'c', 'd'].map((name) => random(name, dtype, 1500));
      kernels.elementwise(
        outs,
        [],
        none,
        noRows,
        none,
        Float64Array.of(0.1),
        Int32Array.of(4, 0, 0, 1, 0, 4, 3),
        0,
      );
    },
  },
  {
    name: 'in float64 what leaves the range of float32',
    run: (dtype) => {
      for (const wide of [0, 1] as const) {
        const x = random('x', dtype, 3000, 1, 2);
        // x · 2¹⁰⁰ · 2¹⁰⁰ · 2⁻¹⁰⁰ · 2⁻¹⁰⁰
        const code = Int32Array.of(1, 0, 0, 6, mul, 0, 1, mul, 3, 1, mul, 4, 2, mul, 5, 2);
        kernels.elementwise([x], [], none, noRows, none, Float64Array.of(2 ** 100, 2 ** -100), code, wide);
      }
    },
  },
  {
    name: 'a group of no arrays, and an out that is an in',
    run: (dtype) => {
      const code = Int32Array.of(1, 1, 0, 2, add, 0, 1);
      kernels.elementwise([], [], none, noRows, none, none, code, 0);
      const x = random('x', dtype, 70);
      kernels.elementwise([x], [x], none, noRows, none, none, code, 0);
    },
  },
];

export default defineCases({
  op: 'optimizer',
  cases: [],
  direct: [
    ...sgd,
    ...adam,
    ...elementwise,
    {
      name: 'not finite',
      run: (dtype) => {
        const gradient = allocate(4, dtype);
        gradient.set([Number.NaN, Infinity, -Infinity, 0]);
        const zeros = () => allocate(4, dtype);
        const [flag, row] = [Float64Array.of(0), Int32Array.of(0)];
        kernels.sgd([zeros(), zeros()], [gradient], flag, row, Float64Array.of(0.1, 0.9, 0, 0, 0));
        const hyper = Float64Array.of(0.01, 0.9, 0.999, 1e-8, 0);
        kernels.adam([zeros(), zeros(), zeros()], [gradient], Float64Array.of(0, 0), row, hyper, 0);
      },
    },
    {
      name: 'one array as parameter and gradient',
      // w ← w − α·w, as for a bare weight decay.
      run: (dtype) => {
        const w = random('w', dtype, 11);
        kernels.sgd([w], [w], Float64Array.of(0), Int32Array.of(0), Float64Array.of(0.1, 0, 0, 0, 0));
      },
    },
  ],
  bad: [],
  bench: [],
});

/** The kernels by which optimizers update parameters. */
import { type Float, kernels } from '../../lib/kernels/index.ts';
import { allocate, type FloatDtype } from '../../lib/memory.ts';
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

function lists(names: readonly string[], dtype: FloatDtype, lengths: readonly number[]): Float[][] {
  return names.map((name) => lengths.map((length, i) => random(`${name} ${i}`, dtype, length)));
}

const zeros = (dtype: FloatDtype, lengths: readonly number[]): Float[] =>
  lengths.map((length) => allocate(length, dtype));

const sgd: DirectCase[] = descents.flatMap(([name, hyper]) =>
  [0, 1].map((decay) => ({
    name: `sgd, ${name}, every other decays, from ${decay}`,
    run: (dtype: FloatDtype) => {
      for (const lengths of models) {
        const [parameters, velocities, gradients] = lists(['w', 'v', 'g'], dtype, lengths);
        const buffer = Float64Array.from(hyper);
        const decays = Int32Array.from(lengths, (_, i) => (i + decay) % 2);
        // Two steps: the second one shows what the first one kept.
        kernels.sgd(parameters, velocities, gradients, buffer, decays);
        kernels.sgd(parameters, velocities, gradients, buffer, decays);
        kernels.sgd(parameters, null, gradients, buffer, decays);
      }
    },
  })),
);

const adam: DirectCase[] = [0, 1].map((decay) => ({
  name: `adam, every other decays, from ${decay}`,
  run: (dtype: FloatDtype) => {
    for (const lengths of models) {
      const [parameters, gradients] = lists(['w', 'g'], dtype, lengths);
      const [means, squares] = [zeros(dtype, lengths), zeros(dtype, lengths)];
      const decays = Int32Array.from(lengths, (_, i) => (i + decay) % 2);
      const hyper = Float64Array.of(0.01, 0.9, 0.999, 1e-8, 0.1, 0, 1, 1);
      for (let step = 0; step < 3; step++) {
        kernels.adamAdvance(hyper);
        kernels.adam(parameters, means, squares, gradients, hyper, decays);
      }
    }
  },
}));

export default defineCases({
  op: 'optimizer',
  cases: [],
  direct: [
    ...sgd,
    ...adam,
    {
      name: 'not finite',
      run: (dtype) => {
        const gradient = allocate(4, dtype);
        gradient.set([Number.NaN, Infinity, -Infinity, 0]);
        const hyper = Float64Array.of(0.1, 0.9, 0, 0, 0);
        const none = Int32Array.of(0);
        kernels.sgd(zeros(dtype, [4]), zeros(dtype, [4]), [gradient], hyper, none);
        const state = Float64Array.of(0.01, 0.9, 0.999, 1e-8, 0, 1, 0.9, 0.999);
        kernels.adam(zeros(dtype, [4]), zeros(dtype, [4]), zeros(dtype, [4]), [gradient], state, none);
      },
    },
    {
      name: 'one array as parameter and gradient',
      // w ← w − α·w, as for a bare weight decay.
      run: (dtype) => {
        const w = random('w', dtype, 11);
        kernels.sgd([w], null, [w], Float64Array.of(0.1, 0, 0, 0, 0), Int32Array.of(0));
      },
    },
  ],
  bad: [],
  bench: [],
});

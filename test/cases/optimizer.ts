/** The kernels by which optimizers update parameters. */
import { type Flag, type Float, kernels } from '../../lib/kernels/index.ts';
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

const lengths = [0, 1, 37, 1031];

const sgd: DirectCase[] = descents.flatMap(([name, hyper]) =>
  ([0, 1] as const).map((decay: Flag) => ({
    name: `sgd, ${name}, decay ${decay}`,
    run: (dtype: FloatDtype) => {
      for (const length of lengths) {
        const [parameter, velocity, gradient] = ['w', 'v', 'g'].map((seed) => random(seed, dtype, length));
        const buffer = Float64Array.from(hyper);
        // Two steps: the second one shows what the first one kept.
        kernels.sgd(parameter, velocity, gradient, buffer, decay);
        kernels.sgd(parameter, velocity, gradient, buffer, decay);
        kernels.sgd(parameter, null, gradient, buffer, decay);
      }
    },
  })),
);

const adam: DirectCase[] = ([0, 1] as const).map((decay: Flag) => ({
  name: `adam, decay ${decay}`,
  run: (dtype: FloatDtype) => {
    for (const length of lengths) {
      const [parameter, gradient] = ['w', 'g'].map((seed) => random(seed, dtype, length));
      const [m, v] = [allocate(length, dtype), allocate(length, dtype)];
      const hyper = Float64Array.of(0.01, 0.9, 0.999, 1e-8, 0.1, 0, 1, 1);
      for (let step = 0; step < 3; step++) {
        kernels.adamAdvance(hyper);
        kernels.adam(parameter, m, v, gradient, hyper, decay);
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
        kernels.sgd(allocate(4, dtype), allocate(4, dtype), gradient, hyper, 0);
        const state = Float64Array.of(0.01, 0.9, 0.999, 1e-8, 0, 1, 0.9, 0.999);
        kernels.adam(allocate(4, dtype), allocate(4, dtype), allocate(4, dtype), gradient, state, 0);
      },
    },
    {
      name: 'one array as parameter and gradient',
      // w ← w − α·w, as for a bare weight decay.
      run: (dtype) => {
        const w = random('w', dtype, 11);
        kernels.sgd(w, null, w, Float64Array.of(0.1, 0, 0, 0, 0), 0);
      },
    },
  ],
  bad: [],
  bench: [],
});

/** What the contract of normalisation and of the gradient of epilogues allows: every part that may be missing. */
import { type Float, gradientFromOutput, kernels, unaryCode } from '../../lib/kernels/index.ts';
import { allocate, type FloatDtype } from '../../lib/memory.ts';
import { defineCases } from './case.ts';
import { generator, hash } from './values.ts';

/** Uniform values; the name is the seed. */
function random(name: string, dtype: FloatDtype, length: number, low = -2, high = 2): Float {
  const next = generator(hash(name));
  return allocate(length, dtype).map(() => low + (high - low) * next()) as Float;
}

const three = (length: number, dtype: FloatDtype) =>
  [allocate(length, dtype), allocate(length, dtype), allocate(length, dtype)] as const;

const sizes = [
  [4, 5],
  [1, 3],
  [67, 19],
  // Past the columns that are summed at a time, and past a vector.
  [6, 150],
  [2, 0],
  [0, 3],
] as const;

export default defineCases({
  op: 'normalisation kernels',
  cases: [],
  direct: [
    {
      name: 'gradient of an epilogue',
      run: (dtype) => {
        const activations = [-1, ...gradientFromOutput.map((name) => unaryCode[name])];
        for (const [rows, columns] of sizes) {
          const n = rows * columns;
          const y = random('y', dtype, n, 0.25, 0.75);
          for (const activation of activations) {
            const gradient = random('gradient', dtype, n);
            const bias = allocate(columns, dtype);
            kernels.epilogueGradient(allocate(n, dtype), bias, gradient, y, rows, columns, activation, 0.5);
            kernels.epilogueGradient(gradient, null, gradient, y, rows, columns, activation, 0.5);
          }
        }
      },
    },
    {
      name: 'moments of a batch',
      run: (dtype) => {
        for (const [rows, channels] of sizes) {
          const x = random('x', dtype, rows * channels, -1, 3);
          for (const [hasMean, hasVariance] of [
            [true, true],
            [false, false],
            [true, false],
            [false, true],
          ]) {
            const [mean, remainder, inverse] = three(channels, dtype);
            const runningMean = hasMean ? random('running mean', dtype, channels) : null;
            const runningVariance = hasVariance ? random('running variance', dtype, channels, 0, 2) : null;
            for (const recent of [null, 0, rows, 100]) {
              const recentRows = recent === null ? null : allocate(1, dtype).fill(recent);
              kernels.batchMoments(
                mean,
                remainder,
                inverse,
                runningMean,
                runningVariance,
                recentRows as Float | null,
                x,
                rows,
                channels,
                1e-3,
                0.25,
              );
            }
          }
        }
      },
    },
    {
      name: 'moments far from zero, and of a constant',
      run: (dtype) => {
        const far = random('x', dtype, 300, 1000, 1001);
        const flat = random('flat', dtype, 300, 3, 3);
        for (const x of [far, flat]) {
          kernels.batchMoments(...three(3, dtype), null, null, null, x, 100, 3, 1e-5, 0.1);
          kernels.layerNorm(allocate(300, dtype), ...three(100, dtype), x, null, null, 100, 3, 1e-5);
        }
      },
    },
    {
      name: 'batch normalisation, forward and backward',
      run: (dtype) => {
        const activations = [-1, unaryCode.relu, unaryCode.sigmoid, unaryCode.tanh];
        for (const [rows, channels] of sizes) {
          const n = rows * channels;
          const [mean, inverse] = [
            random('mean', dtype, channels),
            random('inverse', dtype, channels, 0.5, 2),
          ];
          for (const [at, activation] of activations.entries()) {
            const scale = at % 2 === 0 ? random('scale', dtype, channels) : null;
            const shift = at < 2 ? random('shift', dtype, channels) : null;
            const remainder = at < 3 ? (mean.map((value) => value * 2 ** -25) as Float) : null;
            const x = random('x', dtype, n);
            const out = allocate(n, dtype);
            kernels.batchNorm(out, x, mean, remainder, inverse, scale, shift, rows, channels, activation, 0);
            for (const moments of [0, 1] as const) {
              const gradient = random('gradient', dtype, n);
              for (const target of [allocate(n, dtype), gradient]) {
                kernels.batchNormGradient(
                  target,
                  allocate(channels, dtype),
                  allocate(channels, dtype),
                  gradient,
                  x,
                  mean,
                  remainder,
                  inverse,
                  scale,
                  shift,
                  rows,
                  channels,
                  activation,
                  0,
                  moments,
                );
              }
            }
            kernels.batchNorm(x, x, mean, remainder, inverse, scale, shift, rows, channels, activation, 0);
          }
        }
      },
    },
    {
      name: 'layer normalisation, forward and backward',
      run: (dtype) => {
        for (const [rows, size] of sizes) {
          const n = rows * size;
          const x = random('x', dtype, n);
          for (const [hasScale, hasShift] of [
            [true, true],
            [false, false],
            [true, false],
            [false, true],
          ]) {
            const scale = hasScale ? random('scale', dtype, size) : null;
            const shift = hasShift ? random('shift', dtype, size) : null;
            const [mean, remainder, inverse] = three(rows, dtype);
            for (const [m, r] of [
              [mean, remainder],
              [mean, null],
              [null, remainder],
              [null, null],
            ]) {
              kernels.layerNorm(allocate(n, dtype), m, r, inverse, x, scale, shift, rows, size, 0.125);
              const gradient = random('gradient', dtype, n);
              for (const target of [allocate(n, dtype), gradient]) {
                const [dScale, dShift] = [allocate(size, dtype), allocate(size, dtype)];
                kernels.layerNormGradient(
                  target,
                  dScale,
                  dShift,
                  gradient,
                  x,
                  m,
                  r,
                  inverse,
                  scale,
                  rows,
                  size,
                );
              }
            }
          }
        }
      },
    },
  ],
  bad: [],
  bench: [],
});

/**
 * What Winograd's F(4×4, 3×3) gains and what it costs, layer by layer: time beside im2col's, and the error of both in
 * float32 against float64, relative to the root mean square of the exact result. Inputs are standard normal, weights by
 * He's initialization.
 *
 *     npm run bench:winograd
 */
import { backendInfo } from 'axpy';
import { kernels } from '../lib/kernels/index.ts';
import { randn } from '../lib/random.ts';
import { printTable } from './table.ts';

type Values = Float32Array | Float64Array;

/** batch, height and width, channels, out channels */
const layers = [
  [64, 26, 32, 64],
  [32, 32, 64, 64],
  [32, 16, 64, 128],
  [32, 16, 128, 128],
  [8, 28, 256, 256],
  [8, 14, 512, 512],
  [1, 32, 64, 64],
] as const;

function seconds(run: () => void): number {
  run();
  let best = Infinity;
  for (let i = 0; i < 7; i++) {
    const start = performance.now();
    run();
    best = Math.min(best, performance.now() - start);
  }
  return best / 1e3;
}

function deviation(got: Values, exact: Values): { largest: number; rms: number } {
  let [largest, squares, size] = [0, 0, 0];
  for (let i = 0; i < exact.length; i++) {
    largest = Math.max(largest, Math.abs(got[i] - exact[i]));
    squares += (got[i] - exact[i]) ** 2;
    size += exact[i] ** 2;
  }
  const scale = Math.sqrt(size / exact.length);
  return { largest: largest / scale, rms: Math.sqrt(squares / exact.length) / scale };
}

const show = ({ largest, rms }: ReturnType<typeof deviation>) =>
  `${rms.toExponential(1)} / ${largest.toExponential(1)}`;

const values = (shape: number[], scale: number): Float32Array => {
  return randn(shape).data.map((value) => value * scale);
};

const { name, blas, simd, threads } = backendInfo();
console.log(`${name}, BLAS ${blas}, ${simd}, ${threads} threads; errors: root mean square / largest`);
const rows = layers.flatMap(([batch, side, channels, outChannels]) => {
  const geometry = Int32Array.of(
    ...[batch, side, side, channels, side, side, outChannels],
    ...[3, 3, 1, 1, 1, 1, 1, 1, 1],
  );
  const x = values([batch, side, side, channels], 1);
  const dy = values([batch, side, side, outChannels], 1);
  const weight = values([outChannels, 3, 3, channels], Math.sqrt(2 / (9 * channels)));
  const passes = [
    [
      'output',
      dy,
      (out: Values, [a, , w]: Values[], fast: 0 | 1) =>
        kernels.convolve(out, a, w, null, geometry, -1, 0, fast),
    ],
    [
      'gradient of x',
      x,
      (out: Values, [, g, w]: Values[], fast: 0 | 1) =>
        kernels.convolveTransposed(out, g, w, null, geometry, -1, 0, fast),
    ],
    [
      'gradient of weight',
      weight,
      (out: Values, [a, g]: Values[], fast: 0 | 1) =>
        kernels.convolveWeightGradient(out, a, g, geometry, fast),
    ],
  ] as const;
  return passes.map(([pass, like, run]) => {
    const exact = new Float64Array(like.length);
    run(exact, [Float64Array.from(x), Float64Array.from(dy), Float64Array.from(weight)], 0);
    const outcomes = ([0, 1] as const).map((fast) => {
      const out = new Float32Array(like.length);
      const time = seconds(() => run(out, [x, dy, weight], fast));
      return { time, error: deviation(out, exact) };
    });
    return {
      layer: `${batch}×${side}×${side}×${channels} → ${outChannels}`,
      pass,
      'im2col, ms': (outcomes[0].time * 1e3).toFixed(2),
      'Winograd, ms': (outcomes[1].time * 1e3).toFixed(2),
      faster: `${(outcomes[0].time / outcomes[1].time).toFixed(1)}×`,
      'error, im2col': show(outcomes[0].error),
      'error, Winograd': show(outcomes[1].error),
    };
  });
});
printTable(rows);

/** Kernel calls of realistic sizes, for the kernels that no op leads to at a bench size. */
import { Adam, Parameter } from '../lib/index.ts';
import type { Call } from '../lib/kernels/index.ts';

const random = (length: number) => Float32Array.from({ length }, (_, i) => Math.sin(i * i));

/** The parameters of 784-512-256-10. */
const model = [784 * 512, 512, 512 * 256, 256, 2560, 10];
const lists = () => model.map(random);
/** Each parameter with so many arrays that an optimizer keeps of it, of which all may be above 0. */
const outs = (kept: number) =>
  model.flatMap((n) => [random(n), ...Array.from({ length: kept }, () => positive(n))]);
const inOrder = Int32Array.from(model, (_, i) => i);
const flags = new Float64Array(model.length);
const counts = new Float64Array(2 * model.length);
/** Adam's own rule, as a list of instructions. */
const rule = new Adam([new Parameter([1])]).trace(['mean', 'square']);

const million = 1 << 20;

/** Images of a side and channels, batch 32, under a window that steps by `stride`, which makes `made` channels. */
function images(side: number, channels: number, made: number, window: number, stride: number, groups = 1) {
  const pad = stride === 1 ? (window - 1) / 2 : 0;
  const out = Math.floor((side + 2 * pad - window) / stride) + 1;
  return {
    geometry: Int32Array.of(
      ...[32, side, side, channels, out, out, made, window, window, stride, stride, 1, 1, pad, pad, groups],
    ),
    input: () => random(32 * side * side * channels),
    output: () => random(32 * out * out * made),
    weight: () => random((made * window * window * channels) / groups),
  };
}

const convolutions = [
  images(32, 64, 64, 3, 1),
  images(16, 64, 128, 3, 1),
  images(28, 1, 32, 3, 1),
  images(16, 128, 64, 1, 1),
  images(16, 128, 128, 3, 1, 128),
].flatMap(({ geometry, input, output, weight }): Call[] => [
  ['convolve', output(), input(), weight(), null, geometry, -1, 0, 1],
  ['convolveTransposed', input(), output(), weight(), null, geometry, -1, 0, 1],
  ['convolveWeightGradient', weight(), input(), output(), geometry, 1],
]);

const pool = images(32, 64, 64, 2, 2);
const pools: readonly Call[] = [
  ['maxPool', pool.output(), new Int32Array(pool.output().length), pool.input(), pool.geometry],
  ['maxPoolGradient', pool.input(), pool.output(), new Int32Array(pool.output().length), pool.geometry],
  ['averagePool', pool.output(), pool.input(), pool.geometry, 0],
  ['averagePoolGradient', pool.input(), pool.output(), pool.geometry, 0],
];

/** From 32 × 32 to 64 × 64 by halves of pixels. */
const first = Int32Array.from({ length: 64 }, (_, i) => Math.max(0, Math.ceil(i / 2) - 1));
const shares = Float64Array.from(first, (at, i) => (i === 0 || at === 31 ? 0 : 0.75 - 0.5 * (i % 2)));
const resampling = [first, shares, first, shares, 32, 32, 32, 64] as const;
const [small, large] = [32 * 32 * 32 * 64, 32 * 64 * 64 * 64];
const resized: readonly Call[] = [
  ['interpolate', random(large), random(small), ...resampling],
  ['interpolateGradient', random(small), random(large), ...resampling],
];

const [rows, columns] = [32 * 32 * 32, 64];
const column = () => random(columns);
const positive = (length: number) => random(length).fill(0.5);
/** Too small to make a mean another one. */
const remainder = (length: number) => random(length).map((value) => value * 2 ** -60);
const norms: readonly Call[] = [
  [
    'batchMoments',
    column(),
    column(),
    column(),
    column(),
    column(),
    random(1),
    random(rows * columns),
    rows,
    columns,
    1e-5,
    0.1,
  ],
  [
    'batchNorm',
    random(rows * columns),
    random(rows * columns),
    column(),
    remainder(columns),
    positive(columns),
    column(),
    column(),
    rows,
    columns,
    11,
    0,
  ],
  [
    'batchNormGradient',
    random(rows * columns),
    column(),
    column(),
    random(rows * columns),
    random(rows * columns),
    column(),
    remainder(columns),
    positive(columns),
    column(),
    column(),
    rows,
    columns,
    11,
    0,
    1,
  ],
  [
    'layerNorm',
    random(1024 * 128),
    random(1024),
    random(1024),
    random(1024),
    random(1024 * 128),
    random(128),
    random(128),
    1024,
    128,
    1e-5,
  ],
  [
    'layerNormGradient',
    random(1024 * 128),
    random(128),
    random(128),
    random(1024 * 128),
    random(1024 * 128),
    random(1024),
    remainder(1024),
    positive(1024),
    random(128),
    1024,
    128,
  ],
];

/** Kernels that no op leads to at a bench size. */
export const directCalls: readonly Call[] = [
  ...convolutions,
  ...pools,
  ...resized,
  ...norms,
  ['fill', random(million), 1],
  ['where', random(million), random(million), random(million), random(million), null],
  ['checkFinite', random(million)],
  [
    'gemmAccumulate',
    random(256 * 256),
    random(million),
    random(million),
    16,
    256,
    256,
    256,
    0,
    1,
    65536,
    65536,
    0,
    null,
  ],
  ['randomBits', new Uint32Array(million), new Uint32Array(6)],
  ['randomUniform', random(million), new Uint32Array(6), 0, 1],
  ['randomNormal', random(million), new Uint32Array(6), 0, 1],
  ['epilogueGradient', random(128 * 512), random(512), random(128 * 512), random(128 * 512), 128, 512, 11, 0],
  ['sgd', lists(), lists(), flags, inOrder, Float64Array.of(1e-9, 0, 0, 0, 0)],
  ['sgd', outs(1), lists(), flags, inOrder, Float64Array.of(1e-9, 0.9, 0, 0, 0)],
  ['adam', outs(2), lists(), counts, inOrder, Float64Array.of(1e-9, 0.9, 0.999, 1e-8, 0), 0],
  [
    'elementwise',
    outs(2),
    lists(),
    counts,
    inOrder,
    Float64Array.of(1e-9, 0.9, 0.999, 1e-8, 0),
    rule.constants,
    rule.code,
    1,
  ],
];

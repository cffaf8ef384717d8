/**
 * Sweeps over sizes: every channel count, every remainder of a vector, a block, a panel or a tile, for all kernels that
 * work in such pieces. Each call is made by the addon and by the fallback on whole numbers, whose sums are exact, so that
 * one wrong position shows; arrays lie between canaries, and workspaces, with AXPY_GUARD=1, between zones of NaN.
 *
 *     node test/sweep/sweep.mjs [core]
 *
 * `core` leaves out most sizes between the edges. AXPY_SIMD, AXPY_CONVOLUTION and AXPY_PRODUCT choose vectors and algorithms; run.mjs
 * goes through them all. Plain JavaScript on the addon, so that it runs under a sanitizer (scripts/sanitize.sh).
 */
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { unaryOps } from '../../dist/kernels/codes.js';
import { fallback } from '../../dist/kernels/fallback/index.js';

const binary =
  process.env.AXPY_BINARY || fileURLToPath(new URL('../../build/Release/axpy.node', import.meta.url));
const addon = createRequire(import.meta.url)(binary);
addon.setThreads(2);

const core = process.argv[2] === 'core';
const way = process.env.AXPY_CONVOLUTION ?? 'best';

/** 1…130, or those around multiples of vectors (4, 8, 16), of blocks (6, 12) and of panels (32). */
const edges = [
  ...[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 15, 16, 17, 18, 23, 24, 25, 30, 31, 32, 33, 35, 36, 37],
  ...[47, 48, 49, 50, 60, 63, 64, 65, 66, 71, 72, 95, 96, 97, 100, 127, 128, 129, 130],
];
const widths = core ? edges : Array.from({ length: 130 }, (_, i) => i + 1);
const few = [1, 3, 8, 17];
const code = (name) => unaryOps.indexOf(name);
const [relu, tanh] = [code('relu'), code('tanh')];

// ── arrays between canaries ─────────────────────────────────────────────────────────────────────────────────────────

let state = 1;
/** Whole numbers from −2 to 2 (Lehmer's generator). */
function next() {
  state = (state * 48271) % 0x7fffffff;
  return (state % 5) - 2;
}

const margin = 33;
const canary = 0xa5;

class Guarded {
  constructor(Type, length) {
    const bytes = Type.BYTES_PER_ELEMENT;
    this.all = new Uint8Array((length + 2 * margin) * bytes).fill(canary);
    this.array = new Type(this.all.buffer, margin * bytes, length);
    this.low = margin * bytes;
    this.high = (margin + length) * bytes;
  }
  get isWhole() {
    const { all, low, high } = this;
    return all.subarray(0, low).every((b) => b === canary) && all.subarray(high).every((b) => b === canary);
  }
}

let calls = 0;
const problems = [];

/**
 * Makes a call on both. `outs` are the lengths of its destinations, null for none, which begin with the same random numbers
 * on both (they may be updated); `rest` is what follows them. The tolerance is relative to the largest value, or to 1 where all
 * are smaller; 0 asks for equality.
 */
function check(kernel, Type, outs, rest, tolerance, title) {
  calls++;
  const start = outs.map((length) => (length === null ? null : Float64Array.from({ length }, next)));
  const run = (kernels) => {
    const guarded = start.map((values) => {
      if (values === null) return null;
      const place = new Guarded(Type, values.length);
      place.array.set(values);
      return place;
    });
    kernels[kernel](...guarded.map((place) => (place === null ? null : place.array)), ...rest);
    return guarded.filter((place) => place !== null);
  };
  let problem = '';
  try {
    const expected = run(fallback);
    const got = run(addon);
    if (!got.every((g) => g.isWhole)) problem = 'wrote beyond its destination';
    got.forEach(({ array }, o) => {
      const exact = expected[o].array;
      const largest = exact.reduce((most, value) => Math.max(most, Math.abs(value)), 1);
      const bad = array.findIndex(
        (value, i) => !(Math.abs(value - exact[i]) <= tolerance * largest || Object.is(value, exact[i])),
      );
      if (bad >= 0 && !problem) problem = `destination ${o} at ${bad}: ${array[bad]} for ${exact[bad]}`;
    });
  } catch (error) {
    problem = String(error);
  }
  if (problem && problems.push(`${kernel} ${Type.name} ${title}: ${problem}`) >= 20) finish();
}

const array = (Type, length, value = next) => Type.from({ length }, value);
const both = [Float32Array, Float64Array];

// ── convolution ─────────────────────────────────────────────────────────────────────────────────────────────────────

function convolutions(Type, [channels, outChannels, groups], shape, fast) {
  const { batch = 2, height = 6, width = 7, kernel = [3, 3], stride = 1, dilation = 1, pad = [1, 1] } = shape;
  const { padding = 2 } = shape;
  const extent = (size, k) =>
    Math.max(1, Math.floor((size + padding - ((k - 1) * dilation + 1)) / stride) + 1);
  const [outHeight, outWidth] = [extent(height, kernel[0]), extent(width, kernel[1])];
  const geometry = Int32Array.of(
    ...[batch, height, width, channels, outHeight, outWidth, outChannels, ...kernel],
    ...[stride, stride, dilation, dilation, ...pad, groups],
  );
  const x = array(Type, batch * height * width * channels);
  const y = array(Type, batch * outHeight * outWidth * outChannels);
  const weight = array(Type, outChannels * kernel[0] * kernel[1] * (channels / groups));
  const title = `[${[...geometry]}]`;
  const tolerance = fast ? 1e-4 : 0;
  check(
    'convolve',
    Type,
    [y.length],
    [x, weight, array(Type, outChannels), geometry, relu, 0, fast],
    tolerance,
    title,
  );
  check('convolveTransposed', Type, [x.length], [y, weight, null, geometry, -1, 0, fast], tolerance, title);
  check('convolveWeightGradient', Type, [weight.length], [x, y, geometry, fast], tolerance, title);
}

function sweepConvolution() {
  for (const n of widths) {
    for (const m of few) {
      convolutions(Float32Array, [m, n, 1], {}, 1);
      convolutions(Float32Array, [n, m, 1], {}, 1);
    }
    convolutions(Float32Array, [n, n, 1], { height: 9, width: 5, pad: [0, 2] }, 1);
    if (way === 'winograd') continue;
    for (const Type of both) {
      convolutions(Type, [n, 5, 1], { kernel: [1, 1], pad: [0, 0] }, 0);
      convolutions(Type, [n, n + 1, 1], { kernel: [1, 1], pad: [0, 0], padding: 0 }, 0);
      convolutions(Type, [3, n, 1], { kernel: [5, 2], stride: 2 }, 0);
      convolutions(Type, [2 * n, 4, 2], { dilation: 2 }, 0);
      convolutions(Type, [2, 2 * n, 2], { height: 3, width: 11, stride: 3 }, 0);
      convolutions(Type, [n, n, n], {}, 0);
      convolutions(Type, [n, 3 * n, n], { stride: 2, batch: 1 }, 0);
    }
  }
  if (way !== 'winograd') {
    for (const Type of both) {
      // Groups that share a vector: all of theirs, and what is left of it.
      for (const [width, outputs] of [1, 2, 3, 4, 5, 8].flatMap((a) => [1, 2, 3, 4, 8].map((b) => [a, b]))) {
        for (const groups of [2, 3, 4, 7, 16, 17, 33]) {
          const shape = { batch: 1, height: 5, width: 4, kernel: [3, 2], stride: 1 + (groups % 2) };
          convolutions(Type, [groups * width, groups * outputs, groups], shape, 0);
        }
      }
      // Rows longer than a tile, several tiles and parts, more terms than a block, in one run and in several.
      for (const [channels, outChannels, groups] of [
        [2, 3, 1],
        [40, 17, 1],
        [6, 6, 6],
        [8, 8, 2],
      ]) {
        convolutions(Type, [channels, outChannels, groups], { batch: 1, height: 2, width: 2500 }, 0);
        convolutions(
          Type,
          [channels, outChannels, groups],
          { batch: 3, height: 25, width: 20, kernel: [5, 5] },
          0,
        );
        // Windows far apart, each with a row of its own.
        const apart = { batch: 2, height: 23, width: 19, kernel: [2, 2], stride: 5 };
        convolutions(Type, [channels, outChannels, groups], apart, 0);
      }
      for (const outChannels of [2, 9, 33]) {
        convolutions(Type, [700, outChannels, 1], { kernel: [1, 1], pad: [0, 0] }, 0);
        convolutions(Type, [130, outChannels, 1], { kernel: [3, 3], dilation: 2, width: 8 }, 0);
      }
    }
  }
  // Tiles of the images: their remainders, and more of them than one batch of transforms.
  for (let side = 1; side <= 13; side++) {
    convolutions(Float32Array, [5, 18, 1], { height: side, width: 14 - side, pad: [side % 3, 1] }, 1);
    convolutions(Float32Array, [3, 7, 1], { batch: 3, height: 4 * side, width: 33 }, 1);
  }
}

// ── products ────────────────────────────────────────────────────────────────────────────────────────────────────────

function product(Type, m, n, k, batch = 1) {
  for (const [ta, tb] of [
    [0, 0],
    [0, 1],
    [1, 0],
    [1, 1],
  ]) {
    const a = array(Type, batch * m * k);
    const b = array(Type, batch * k * n);
    const title = `${batch} × ${m}×${n}×${k} ${ta}${tb}`;
    const sizes = [batch, m, n, k, ta, tb];
    const strides = [m * k, k * n];
    const bias = array(Type, n);
    check('gemm', Type, [batch * m * n], [a, b, bias, ...sizes, ...strides, relu, 0, null], 0, title);
    check('gemmAccumulate', Type, [batch * m * n], [a, b, ...sizes, ...strides, m * n, null], 0, title);
    check('gemmAccumulate', Type, [m * n], [a, b, ...sizes, ...strides, 0, null], 0, `${title}, summed`);
    // Rows with gaps, in which c keeps what it has.
    const rows = [n + 1, (ta ? m : k) + 3, (tb ? k : n) + 2];
    const counts = [m, ta ? k : m, tb ? n : k];
    const spans = rows.map((row, i) => row * counts[i]);
    const layout = Int32Array.of(1, batch, ...rows.flatMap((row, i) => [i, 0, spans[i], row]));
    const [c, ...operands] = spans.map((span, i) => batch * span + i);
    const placed = operands.map((length) => array(Type, length));
    check('gemm', Type, [c], [...placed, bias, ...sizes, 0, 0, -1, 0, layout], 0, `${title} placed`);
    check('gemmAccumulate', Type, [c], [...placed, ...sizes, 0, 0, 0, layout], 0, `${title} placed`);
  }
}

function sweepProducts() {
  const sizes = core ? [1, 2, 5, 8, 16, 17, 33] : [1, 2, 3, 4, 5, 6, 7, 8, 9, 15, 16, 17, 31, 33, 64];
  for (const Type of both) {
    for (const m of sizes) for (const n of sizes) for (const k of sizes) product(Type, m, n, k);
    for (const n of widths) {
      product(Type, n, 3, 7, 2);
      product(Type, 4, n, 65);
      product(Type, n, n, 5);
    }
    // What is cut into tiles, by rows and columns, and into parts of the terms.
    product(Type, 257, 130, 31);
    product(Type, 8, 1025, 70);
    product(Type, 129, 513, 130);
    product(Type, 5, 6, 4099);
    // Parts of the terms that are summed apart, and batches that share a task.
    product(Type, 24, 35, 643);
    product(Type, 7, 18, 20, 9);
  }
}

// ── by rows and columns, and by elements ────────────────────────────────────────────────────────────────────────────

function sweepRows() {
  for (const Type of both) {
    const close = Type === Float32Array ? 1e-5 : 1e-12;
    for (const n of widths) {
      for (const rows of few) {
        const size = rows * n;
        const title = `${rows}×${n}`;
        const x = array(Type, size);
        const dy = array(Type, size);
        const scale = array(Type, n);
        // Away from the kink of relu, to either side of which a remainder may lead.
        const shift = array(Type, n, () => next() + 1 / 64);
        const mean = array(Type, n, () => next() / 4);
        const remainder = mean.map((value) => (value * close) / 1024);
        const inverse = array(Type, n, () => 1 + next() / 8);
        check('epilogueGradient', Type, [size, n], [dy, x, rows, n, relu, 0], 0, title);
        check('batchMoments', Type, [n, n, n, n, n, 1], [x, rows, n, 0.01, 0.1], close, title);
        check(
          'batchNorm',
          Type,
          [size],
          [x, mean, remainder, inverse, scale, shift, rows, n, relu, 0],
          close,
          title,
        );
        for (const activation of [-1, relu, tanh]) {
          const rest = [dy, x, mean, remainder, inverse, scale, shift, rows, n, activation, 0, 1];
          check('batchNormGradient', Type, [size, n, n], rest, 10 * close, `${title}, ${activation}`);
        }
        check('layerNorm', Type, [size, rows, rows, rows], [x, scale, null, rows, n, 0.01], close, title);
        check(
          'layerNorm',
          Type,
          [size, null, null, rows],
          [x, scale, null, rows, n, 0.01],
          close,
          `${title} about 0`,
        );
        const [means, inverses] = [array(Type, rows), array(Type, rows)];
        const remainders = means.map((value) => (value * close) / 1024);
        const rest = [dy, x, means, remainders, inverses, scale, rows, n];
        check('layerNormGradient', Type, [size, n, n], rest, close, title);
        const aboutZero = [dy, x, null, null, inverses, scale, rows, n];
        check('layerNormGradient', Type, [size, n, n], aboutZero, close, `${title} about 0`);
        for (const log of [0, 1]) {
          check('softmax', Type, [size], [x, rows, n, 1, log], close, title);
          check('softmax', Type, [size], [x, 1, rows, n, log], close, `${title} by columns`);
        }
        check('logSumExp', Type, [rows], [x, rows, n, 1], close, title);
        check('logSumExp', Type, [n], [x, 1, rows, n], close, `${title} by columns`);
        for (let op = 0; op < 5; op++) {
          check('reduce', Type, [rows], [x, rows, n, 1, 1, op, 1], close, `${title}, ${op}`);
          check('reduce', Type, [n], [x, 1, rows, n, 1, op, 1], close, `${title} by columns, ${op}`);
        }
        const labels = Int32Array.from({ length: rows }, (_, i) => (i * 7) % n);
        check('softmaxCrossEntropy', Type, [rows, size], [x, labels, rows, n, 1], close, title);
        check('gather', Type, [3 * n], [x, Int32Array.of(0, rows - 1, 0), 3, rows, n], 0, title);
        check('scatterAdd', Type, [3 * n], [x, new Int32Array(rows).fill(2), rows, 3, n], 0, title);
        for (const name of ['exp', 'gelu', 'scale', 'clip']) {
          check('unary', Type, [size], [x, code(name), 0.5, 1], close, `${title}, ${name}`);
        }
        check('binary', Type, [size], [x, scale, Int32Array.of(rows, n, n, 1, 0, 1), 2], 0, title);
        check('copy', Type, [size], [x, Int32Array.of(n, rows, rows, 1, 1, n, 0, 0)], 0, title);
      }
      const geometry = Int32Array.of(2, 5, 4, n, 3, 2, n, 3, 2, 2, 2, 1, 1, 1, 0, 1);
      const images = array(Type, 2 * 20 * n);
      check('averagePool', Type, [2 * 6 * n], [images, geometry, 0], close, `${n}`);
      check(
        'averagePoolGradient',
        Type,
        [images.length],
        [array(Type, 2 * 6 * n), geometry, 1],
        close,
        `${n}`,
      );
      // Weights of few digits, so that sums are exact.
      const axes = [Int32Array.of(0, 2, 2, 4), Float64Array.of(0.5, 0, 0.25, 1)];
      const resampling = [...axes, Int32Array.of(3, 0, 1), Float64Array.of(0, 0.75, 0.5), 2, 5, 4, n];
      check('interpolate', Type, [2 * 12 * n], [images, ...resampling], 0, `${n}`);
      check(
        'interpolateGradient',
        Type,
        [images.length],
        [array(Type, 2 * 12 * n), ...resampling],
        0,
        `${n}`,
      );
      const indices = Int32Array.from({ length: 2 * 6 * n }, (_, i) => i % 6);
      check('maxPoolGradient', Type, [images.length], [array(Type, 2 * 6 * n), indices, geometry], 0, `${n}`);
    }
  }
}

function finish() {
  if (problems.length === 0) {
    console.log(`${calls} calls`);
    process.exit(0);
  }
  console.error(problems.join('\n'));
  process.exit(1);
}

sweepConvolution();
if (way === 'best') {
  sweepProducts();
  sweepRows();
}
finish();

/**
 * Products of matrices against the measured peak: those of the steps in `bench:train`, small ones in batches, narrow ones,
 * long sums, odd sizes. Each runs over one set of operands, which then lie near (warm), and over so many in turn that they
 * come from beyond the second-level caches, as in a step (cold).
 *
 *     npm run bench:products -- [--only 128×512,NT] [--threads 1,2] [--dtype float64] [--seconds 0.05]
 *
 * `--only` takes parts of the names that the table shows. AXPY_BINARY takes another addon, to compare with; medians of one
 * run compare, those of two runs only where the machine did nothing else.
 */
import { parseArgs } from 'node:util';
import {
  backendInfo,
  type Call,
  createProgram,
  type Flag,
  measureLimits,
  setThreads,
} from '../lib/kernels/index.ts';
import { allocateShared, type FloatDtype } from '../lib/memory.ts';
import { printTable } from './table.ts';

type Form = 'NN' | 'NT' | 'TN' | 'TT';
type Shape = readonly [batch: number, m: number, n: number, k: number, ...forms: Form[]];

const all: readonly Form[] = ['NN', 'NT', 'TN', 'TT'];

/** m × n of k terms, in BLAS's notation for the operands: N as it is, T transposed. */
const shapes: readonly Shape[] = [
  // mlp: layers forward, gradients of weights and of inputs.
  [1, 128, 512, 784, 'NT'],
  [1, 512, 784, 128, 'TN'],
  [1, 128, 256, 512, 'NT'],
  [1, 256, 512, 128, 'TN'],
  [1, 128, 512, 256, 'NN'],
  [1, 128, 10, 256, 'NT'],
  [1, 10, 256, 128, 'TN'],
  [1, 128, 256, 10, 'NN'],
  // gpt: projections, and attention over 64 heads.
  [1, 1024, 128, 128, 'NT'],
  [1, 1024, 384, 128, 'NT'],
  [1, 1024, 512, 128, 'NT', 'NN'],
  [1, 1024, 128, 512, 'NT', 'NN'],
  [1, 512, 128, 1024, 'TN'],
  [1, 128, 512, 1024, 'TN'],
  [64, 64, 64, 32, 'NT'],
  [64, 64, 32, 64, 'NN', 'TN'],
  // lstm.
  [1, 64, 512, 128, 'NT'],
  [1, 64, 128, 512, 'NN'],
  [1, 512, 128, 64, 'TN'],
  [1, 64, 10, 128, 'NT'],
  // cnn: a weight's gradient, and a layer behind the images.
  [1, 512, 32, 3200, 'TN'],
  [1, 64, 128, 9216, 'NT'],
  [1, 128, 9216, 64, 'TN'],
  [1, 64, 9216, 128, 'NN'],
  // One example, a few, one output.
  [1, 1, 4096, 1024, 'NN', 'NT'],
  [1, 4096, 1, 1024, 'NN'],
  [1, 4, 1024, 1024, 'NT'],
  [1, 8, 1024, 1024, 'NT'],
  // Sizes that no block divides, and large ones.
  [1, 100, 300, 77, ...all],
  [1, 33, 1000, 65, ...all],
  [1, 257, 129, 511, ...all],
  [1, 512, 512, 512, ...all],
  [1, 1024, 1024, 1024, ...all],
];

/** Bytes that the operands of the cold products have together: beyond the second-level caches, within the third. */
const coldBytes = 12 * 2 ** 20;

const { values } = parseArgs({
  options: {
    only: { type: 'string' },
    threads: { type: 'string', default: '1,2' },
    dtype: { type: 'string', default: 'float32' },
    /** For each product, warm and cold. */
    seconds: { type: 'string', default: '0.05' },
  },
});
const dtype = values.dtype as FloatDtype;

function random(length: number) {
  const array = allocateShared(length, dtype);
  for (let i = 0; i < length; i++) array[i] = Math.random() - 0.5;
  return array;
}

function callOf([batch, m, n, k]: Shape, form: Form): Call {
  const [transposeA, transposeB] = [...form].map((letter): Flag => (letter === 'T' ? 1 : 0));
  const [strideA, strideB] = batch === 1 ? [0, 0] : [m * k, k * n];
  const [c, a, b] = [m * n, m * k, k * n].map((size) => random(batch * size));
  const sizes = [batch, m, n, k, transposeA, transposeB, strideA, strideB] as const;
  return ['gemm', c, a, b, null, ...sizes, -1, 0, null] as Call;
}

/** Seconds of a product: the median over the calls, of so many runs as there is time for. */
function measure(calls: readonly Call[]): number {
  const program = createProgram(calls);
  program.times();
  const samples: number[] = [];
  const end = performance.now() + 1e3 * Number(values.seconds);
  do samples.push(...program.times());
  while (performance.now() < end || samples.length < 20);
  return samples.sort((x, y) => x - y)[samples.length >> 1] / 1e9;
}

const info = backendInfo();
console.log(`${info.name}, BLAS ${info.blas}, ${info.simd}; Node ${process.version}`);
const only = values.only?.split(',');
for (const threads of values.threads.split(',').map(Number)) {
  setThreads(threads);
  const peak = measureLimits()[dtype];
  console.log(`${threads} threads, peak ${(peak / 1e9).toFixed(0)} GFLOP/s in ${dtype}`);
  const rows: Record<string, string>[] = [];
  for (const shape of shapes) {
    const [batch, m, n, k, ...forms] = shape;
    for (const form of forms) {
      const name = `${batch === 1 ? '' : `${batch} of `}${m}×${n}×${k} ${form}`;
      if (only !== undefined && !only.some((part) => name.includes(part))) continue;
      const bytes = batch * (m * n + m * k + k * n) * (dtype === 'float32' ? 4 : 8);
      const copies = Math.min(200, Math.max(2, Math.ceil(coldBytes / bytes)));
      const cold = Array.from({ length: copies }, () => callOf(shape, form));
      // As many calls of one, so that both are timed alike.
      const [warm, far] = [Array<Call>(copies).fill(cold[0]), cold].map(measure);
      const rate = (seconds: number) => (2 * batch * m * n * k) / seconds;
      rows.push({
        product: name,
        'warm, GFLOP/s': (rate(warm) / 1e9).toFixed(1),
        'of peak': `${((100 * rate(warm)) / peak).toFixed(0)} %`,
        'cold, GFLOP/s': (rate(far) / 1e9).toFixed(1),
        'of peak, cold': `${((100 * rate(far)) / peak).toFixed(0)} %`,
      });
    }
  }
  printTable(rows);
}

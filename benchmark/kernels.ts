/**
 * Every kernel against what the machine can do. Times each kernel call, forward and backward, of the bench sizes that
 * test/cases/ declares, and direct calls of those kernels that no op leads to. The limit of a call is its operations at
 * the peak or its bytes at the bandwidth, whichever takes longer (lib/kernels/cost.ts), both measured in the same run.
 *
 *     npm run bench:kernels -- [--only gemm,softmax] [--threads 2] [--seconds 0.1]
 *
 * `--only` takes names of kernels and of ops; AXPY_BACKEND=fallback measures the fallback.
 */
import { parseArgs } from 'node:util';
import { costOf, leastTime } from '../lib/kernels/cost.ts';
import {
  backendInfo,
  type Call,
  createProgram,
  kernels,
  measureLimits,
  setThreads,
} from '../lib/kernels/index.ts';
import { kernelNames } from '../lib/kernels/table.ts';
import { declarations } from '../test/cases/index.ts';
import { mapArrays, recordCase, type TypedArray } from '../test/contract/call.ts';
import { directCalls } from './calls.ts';
import { printTable } from './table.ts';

interface Bench {
  op: string;
  name: string;
  calls: Call[];
}

const { values } = parseArgs({
  options: {
    only: { type: 'string' },
    threads: { type: 'string', default: '2' },
    /** For each case. */
    seconds: { type: 'string', default: '0.1' },
  },
});

function share(array: TypedArray): TypedArray {
  const View = array.constructor as new (buffer: SharedArrayBuffer) => TypedArray;
  const copy = new View(new SharedArrayBuffer(array.byteLength));
  copy.set(array as never);
  return copy;
}

function benches(): Bench[] {
  const found: Bench[] = declarations.flatMap(({ op, bench }) =>
    bench.map((c) => ({
      op,
      name: c.name,
      calls: recordCase(kernels, op, c, 'float32').map(({ kernel, args }) => [kernel, ...args] as Call),
    })),
  );
  for (const call of directCalls) found.push({ op: 'direct', name: '', calls: [call] });
  return found;
}

/** Seconds of each call, the median over the runs that fit. */
function measure(calls: readonly Call[]): number[] {
  const shared = calls.map(([kernel, ...args]) => [kernel, ...mapArrays(args, share)] as unknown as Call);
  const program = createProgram(shared);
  const samples: Float64Array[] = [];
  program.times();
  const end = performance.now() + 1e3 * Number(values.seconds);
  do samples.push(program.times());
  while (performance.now() < end || samples.length < 5);
  return calls.map((_, i) => {
    const own = samples.map((times) => times[i]).sort((a, b) => a - b);
    return own[own.length >> 1] / 1e9;
  });
}

const micro = (seconds: number) => (seconds * 1e6).toFixed(seconds < 1e-4 ? 1 : 0);

setThreads(Number(values.threads));
const limits = measureLimits();
const info = backendInfo();
console.log(
  `${info.name}, BLAS ${info.blas}, ${info.simd}, ${info.threads} threads; Node ${process.version}`,
);
console.log(
  `limits: ${(limits.float32 / 1e9).toFixed(1)} GFLOP/s in float32; ` +
    limits.bandwidths
      .map(({ bytes, rate }) => `${(rate / 1e9).toFixed(1)} GB/s over ${bytes / 2 ** 20} MiB`)
      .join(', '),
);
const only = values.only?.split(',');
const rows: Record<string, string | number>[] = [];
/** Kernels with their sizes: what has a row is not measured again for another case. */
const seen = new Set<string>();
const measured = new Set<string>();
for (const { op, name, calls } of benches()) {
  const wanted = (kernel: string) => only === undefined || only.includes(op) || only.includes(kernel);
  const keys = calls.map((call) => `${call[0]} ${costOf(call).size}`);
  if (!calls.some(([kernel], i) => wanted(kernel) && !seen.has(keys[i]))) continue;
  measure(calls).forEach((time, i) => {
    const cost = costOf(calls[i]);
    const [kernel] = calls[i];
    if (seen.has(keys[i]) || !wanted(kernel)) return;
    seen.add(keys[i]);
    measured.add(kernel);
    const limit = leastTime(cost, limits);
    rows.push({
      case: name === '' ? op : `${op}: ${name}`,
      kernel,
      size: cost.size,
      'time, µs': micro(time),
      'limit, µs': micro(limit),
      'of limit': `${((100 * limit) / time).toFixed(0)} %`,
    });
  });
}
printTable(rows);
const missing = kernelNames.filter((kernel) => !measured.has(kernel));
if (only === undefined && missing.length > 0) console.log(`not measured: ${missing.join(', ')}`);

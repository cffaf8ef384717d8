/**
 * Inference of the workloads, of one example and of a batch, beside onnxruntime in the same process: models go to it as
 * `encodeOnnx` writes them, images with their channels first, as it likes them best. Rounds take turns, and of each the best
 * counts; that both give the same numbers is checked before.
 *
 *     npm run bench:inference -- [--threads 2,1] [--seconds 1] [--only house,mlp,cnn,vgg,gpt,lstm,gru,bilstm] [--profile]
 *
 * `--profile` shows instead where the time of each compiled inference goes.
 */
import { createRequire } from 'node:module';
import { parseArgs } from 'node:util';
import { backendInfo, compile, encodeOnnx, type Layer, noGrad, profile, setThreads, type Tensor } from 'axpy';
import { printTable } from './table.ts';
import { workloads } from './workloads.ts';

const { values } = parseArgs({
  options: {
    threads: { type: 'string', default: '2,1' },
    /** For each number of a table. */
    seconds: { type: 'string', default: '0.5' },
    only: { type: 'string', default: Object.keys(workloads).join(',') },
    profile: { type: 'boolean', default: false },
  },
});
const names = values.only.split(',') as (keyof typeof workloads)[];
const rounds = 5;

type Run = () => unknown;

/** Until threads that wait for work without sleeping have given up. */
const pause = () => new Promise((resolve) => setTimeout(resolve, 30));

/** Microseconds of each, the best of rounds in turn; the first calls of a round wake threads and fill caches. */
async function best(runs: readonly Run[]): Promise<number[]> {
  const timed = async (run: Run, count: number) => {
    const start = performance.now();
    for (let i = 0; i < count; i++) await run();
    return (performance.now() - start) / count;
  };
  const counts: number[] = [];
  for (const run of runs) {
    await timed(run, 3);
    counts.push(Math.ceil((1e3 * Number(values.seconds)) / rounds / (await timed(run, 3))));
  }
  const least = runs.map(() => Infinity);
  for (let round = 0; round < rounds; round++) {
    for (let i = 0; i < runs.length; i++) {
      await pause();
      await timed(runs[i], Math.ceil(counts[i] / 10));
      least[i] = Math.min(least[i], 1e3 * (await timed(runs[i], counts[i])));
    }
  }
  return least;
}

/** [batch, …, channels] with its channels first, where there are any to move. */
const atBorder = (x: Tensor) => (x.rank === 4 ? x.transpose([0, 3, 1, 2]) : x);

function check(ours: Tensor, theirs: ArrayLike<number>): void {
  const [scale, error] = [
    Math.max(...ours.data.map(Math.abs)),
    (x: number, i: number) => Math.abs(x - theirs[i]),
  ];
  const worst = Math.max(...ours.data.map(error));
  if (!(worst <= 1e-3 * scale)) throw new Error(`outputs of up to ${scale} differ by ${worst}`);
}

const compiled = (model: Layer) => compile((x: Tensor) => noGrad(() => model.forward(x)));

async function compare(): Promise<void> {
  const runtime = createRequire(import.meta.url)('onnxruntime-node') as typeof import('onnxruntime-node');
  for (const threads of values.threads.split(',').map(Number)) {
    setThreads(threads);
    const rows = [];
    for (const name of names) {
      const { model, one, batch } = workloads[name]().served;
      const bytes = encodeOnnx(model, { inputShape: one.shape.slice(1), layout: 'NCHW' });
      const session = await runtime.InferenceSession.create(bytes, {
        intraOpNumThreads: threads,
        graphOptimizationLevel: 'all',
        logSeverityLevel: 3,
      });
      for (const x of [one, batch]) {
        const inference = compiled(model);
        const { data, dtype, shape } = atBorder(x);
        const input = new runtime.Tensor(dtype, data, [...shape]);
        const feeds = { input };
        check(inference.sync(x), (await session.run(feeds)).output.data as Float32Array);
        const [sync, awaited, theirs] = await best([
          () => inference.sync(x),
          () => inference(x),
          () => session.run(feeds),
        ]);
        rows.push({
          workload: name,
          examples: x.shape[0],
          'compiled, .sync, µs': sync.toFixed(1),
          'awaited, µs': awaited.toFixed(1),
          'onnxruntime, µs': theirs.toFixed(1),
          'onnxruntime / .sync': `${(theirs / sync).toFixed(2)}×`,
          '/ awaited': `${(theirs / awaited).toFixed(2)}×`,
        });
      }
      await session.release();
    }
    console.log(`\n${backendInfo().name}, ${backendInfo().simd}, ${threads} threads each`);
    printTable(rows);
  }
}

async function showProfiles(): Promise<void> {
  setThreads(Number(values.threads.split(',')[0]));
  for (const name of names) {
    const { model, one, batch } = workloads[name]().served;
    for (const x of [one, batch]) {
      const inference = compiled(model);
      inference.sync(x);
      const found = profile(inference, [x], { print: false });
      console.log(`\n${name}, ${x.shape[0]} of ${JSON.stringify(x.shape.slice(1))}\n${found.toString(12)}`);
    }
  }
}

await (values.profile ? showProfiles() : compare());

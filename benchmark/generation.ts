/**
 * Generation word by word, with a cache of keys and values: microseconds of a token, beside PyTorch with the same cache
 * (torch_generation.py). That what comes out is what the whole text gives is checked before.
 *
 *     npm run bench:generation -- [--threads 2] [--batch 1] [--length 256] [--seconds 1]
 */
import { parseArgs } from 'node:util';
import { backendInfo, compile, KeyValueCache, noGrad, seed, setThreads, type Tensor, tensor } from 'axpy';
import { Gpt } from './workloads.ts';

const { values } = parseArgs({
  options: {
    threads: { type: 'string', default: '2' },
    batch: { type: 'string', default: '1' },
    length: { type: 'string', default: '256' },
    seconds: { type: 'string', default: '1' },
  },
});
const [threads, batch, length, seconds] = [values.threads, values.batch, values.length, values.seconds].map(
  Number,
);
setThreads(threads);
seed(0);
const model = new Gpt(65, length, 128, 4, 4).eval();
const cache = new KeyValueCache(model, batch, length);
const next = compile((token: Tensor) =>
  noGrad(() => model.forward(token, { cache }).reshape([batch, 65]).argmax(-1).reshape([batch, 1])),
);

/** All tokens that follow a first one, and the microseconds of each. */
function generate(): { tokens: Tensor[]; times: number[] } {
  cache.reset();
  let token = tensor(new Int32Array(batch).fill(1), { shape: [batch, 1] }) as Tensor;
  const tokens = [token];
  const times: number[] = [];
  for (let t = 0; t < length - 1; t++) {
    const start = performance.now();
    token = next.sync(token);
    times.push(1e3 * (performance.now() - start));
    tokens.push(token);
  }
  return { tokens, times };
}

const { tokens } = generate();
const text = tensor(
  Int32Array.from({ length: batch * length }, (_, i) => tokens[i % length].data[Math.floor(i / length)]),
  {
    shape: [batch, length],
  },
);
const whole = noGrad(() => model.forward(text)).argmax(-1).data;
let same = 0;
for (let t = 0; t < length - 1; t++) if (whole[t] === tokens[t + 1].data[0]) same++;
if (same < length - 3) throw new Error(`expected the tokens of the whole text, got ${same} of ${length - 1}`);

const least = new Float64Array(length - 1).fill(Infinity);
for (const end = performance.now() + 1e3 * seconds; performance.now() < end; ) {
  for (const [t, time] of generate().times.entries()) least[t] = Math.min(least[t], time);
}
const mean = (from: number, to: number) =>
  least.subarray(from, to).reduce((sum, time) => sum + time, 0) / (to - from);
const [first, last] = [mean(1, 33), mean(length - 33, length - 1)];
console.log(
  `${backendInfo().name}, ${threads} threads, batch ${batch}, ${length} tokens: ${mean(1, length - 1).toFixed(0)} µs a token, ` +
    `${first.toFixed(0)} at the beginning, ${last.toFixed(0)} at the end`,
);

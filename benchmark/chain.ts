/**
 * What a chain of elementwise ops costs when it is compiled, against one op: eight ops and a sum over 2²³ numbers, which one
 * pass over memory can do. Best of several rounds, in turn.
 *
 *     npm run bench:chain -- [--threads 2] [--size 8388608]
 */
import { parseArgs } from 'node:util';
import { compile, randn, setThreads, type Tensor } from 'axpy';

const { values } = parseArgs({
  options: { threads: { type: 'string', default: '2' }, size: { type: 'string', default: String(2 ** 23) } },
});
setThreads(Number(values.threads));

const one = (x: Tensor) => x.mul(1.5).sum();
const eight = (x: Tensor) => x.mul(1.5).add(0.25).square().sub(x).maximum(0).mul(0.5).abs().add(1).sum();
const elementary = (x: Tensor) => x.mul(0.5).tanh().mul(x).exp().add(1).log().sigmoid().sub(x).sum();

const x = randn([Number(values.size)]);
const ways = Object.entries({
  'one op and a sum': one,
  'eight ops and a sum': eight,
  'eight ops with tanh, exp, log, sigmoid': elementary,
});
const calls = ways.flatMap(([name, fn]) => {
  const compiled = compile(() => fn(x));
  return [
    { name: `${name}, compiled`, call: () => void compiled.sync(), best: Infinity },
    { name: `${name}, eager`, call: () => void fn(x), best: Infinity },
  ];
});
for (let round = 0; round < 7; round++) {
  for (const entry of calls) {
    entry.call();
    const start = performance.now();
    entry.call();
    entry.best = Math.min(entry.best, performance.now() - start);
  }
}
const unit = calls[0].best;
for (const { name, best } of calls) {
  const rate = (x.size * 4) / best / 1e6;
  console.log(
    `${name.padEnd(52)} ${best.toFixed(2).padStart(8)} ms ${(best / unit).toFixed(2).padStart(6)}×  ${rate.toFixed(1)} GB/s of x`,
  );
}

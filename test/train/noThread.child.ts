/** Trains where the system gives no thread: see noThread.native.test.ts. */
import { setTimeout as sleep } from 'node:timers/promises';

const warnings: unknown[] = [];
process.on('warning', ({ name, message, ...rest }) => {
  warnings.push([name, (rest as { code?: string }).code]);
});
// From here on the shim counts, and refuses.
if (process.env.AXPY_FAULT_KIND) process.kill(process.pid, 40);
const { Adam, compile, Dense, Dropout, evaluate, fit, ones, predict, randn, Sequential, seed, tensor } =
  await import('../../lib/index.ts');

const x = ones([200, 200]);
const sum = compile((a: typeof x) => a.matmul(a).sum());
const runs = await Promise.all(Array.from({ length: 4 }, () => sum(x)));
const values = [x.matmul(x).sum(), ...runs, await sum(x), sum.sync(x)].map((y) => y.item());

seed(3);
const model = new Sequential([
  new Dense(64, 128, { activation: 'relu' }),
  new Dropout(0.2),
  new Dense(128, 4),
]);
const data = { x: randn([256, 64]), y: tensor(Int32Array.from({ length: 256 }, (_, i) => i % 4)) };
const optimizer = new Adam(model.parameters());
const options = { loss: 'softmaxCrossEntropy', optimizer, batchSize: 64, validation: data } as const;
let turns = 0;
const timer = setInterval(() => turns++, 0);
const first = await fit(model, data, options);
const now = performance.now.bind(performance);
// As if it were later, when a thread is asked for again.
performance.now = () => now() + 5000;
const others = [new Dense(64, 4), new Dense(64, 4)];
const [second] = await Promise.all([
  fit(model, data, options),
  ...others.map((other) => fit(other, data, { ...options, optimizer: new Adam(other.parameters()) })),
]);
clearInterval(timer);
const scores = await evaluate(model, data, { loss: 'softmaxCrossEntropy' });
const prediction = await predict(model, data.x);
// Labels out of range: the run's own error.
const row = compile((i: ReturnType<typeof tensor<'int32'>>) => x.gather(i));
const error = await row(tensor([900], { dtype: 'int32' })).catch((reason) => reason.code);
await sleep(0);
console.log(
  JSON.stringify({
    values,
    numbers: [first, second].map(({ epochs }) => [epochs[0].loss, epochs[0].validation]),
    more: [scores, prediction.sum().item()],
    error,
    turns: turns > 0,
    warnings,
  }),
);

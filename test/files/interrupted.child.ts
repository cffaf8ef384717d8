/**
 * Run by interrupted.test.ts in a process of its own: a training with checkpoints every few steps, which it goes on with
 * however often it was ended. Ends by itself when training is complete, with what came of it.
 *
 *     interrupted.child.ts folder threads [milliseconds of each step] [steps after which it is terminated]
 */
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  AbortError,
  Adam,
  BatchNorm,
  checkpoint,
  Dense,
  Dropout,
  earlyStopping,
  fit,
  randn,
  Sequential,
  seed,
  setThreads,
} from '../../lib/index.ts';

const [folder, threads, milliseconds, steps] = process.argv.slice(2);
let taken = 0;
setThreads(Number(threads));
seed(6);
const model = new Sequential([
  new Dense(24, 96, { activation: 'relu' }),
  new BatchNorm(96),
  new Dropout(0.3),
  new Dense(96, 3),
]);
const data = { x: randn([90, 24]), y: randn([90, 3]) };
const validation = { x: randn([20, 24]), y: randn([20, 3]) };
const controller = new AbortController();
process.once('SIGTERM', () => controller.abort());
try {
  const history = await fit(model, data, {
    loss: 'mse',
    optimizer: new Adam(model.parameters()),
    metrics: ['r2'],
    validation,
    epochs: 10,
    batchSize: 16,
    callbacks: [
      {
        async onBatchEnd(_, { batch }) {
          process.stdout.write(`${batch}\n`);
          taken++;
          if (taken === Number(steps)) {
            const heard = once(process, 'SIGTERM');
            process.kill(process.pid, 'SIGTERM');
            await heard;
          }
          await sleep(Number(milliseconds ?? 0));
        },
      },
      earlyStopping({ patience: 9 }),
      checkpoint({ folder, every: 3, keep: 2, best: 'validation.loss' }),
    ],
    signal: controller.signal,
    resume: folder,
  });
  const hash = createHash('sha256');
  for (const x of Object.values(model.stateDict())) hash.update(new Uint8Array(x.data.buffer));
  const epochs = history.epochs.map(({ seconds, examplesPerSecond, ...record }) => record);
  process.stdout.write(`done ${JSON.stringify({ weights: hash.digest('hex'), ...history, epochs })}\n`);
} catch (error) {
  if (!(error instanceof AbortError)) throw error;
  process.stdout.write('aborted\n');
}

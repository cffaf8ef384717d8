/**
 * Run by killed.test.ts in a process of its own: a training that goes on from its checkpoints, with a folder of its run.
 *
 *     killed.child.ts folder [milliseconds of each step]
 */
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Adam, checkpoint, Dense, fit, randn, Sequential, seed } from '../../lib/index.ts';
import { runFolder } from '../../lib/runs/index.ts';

const [folder, milliseconds = '0'] = process.argv.slice(2);
seed(6);
const model = new Sequential([new Dense(8, 16, { activation: 'relu' }), new Dense(16, 3)]);
const data = { x: randn([60, 8]), y: randn([60, 3]) };
const history = await fit(model, data, {
  loss: 'mse',
  optimizer: new Adam(model.parameters()),
  epochs: 12,
  batchSize: 16,
  callbacks: [
    runFolder({ folder, name: 'run', every: 0, norms: 0 }),
    {
      async onBatchEnd({ step }) {
        process.stdout.write(`${step}\n`);
        await sleep(Number(milliseconds));
      },
    },
    checkpoint({ folder: join(folder, 'checkpoints'), every: 3 }),
  ],
  resume: join(folder, 'checkpoints'),
});
process.stdout.write(`done ${JSON.stringify(history)}\n`);

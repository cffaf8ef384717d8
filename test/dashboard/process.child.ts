/**
 * Run by process.native.test.ts in a process of its own: a dashboard, with a training or without.
 *
 *     process.child.ts waits|trains|closes
 */
import { dashboard } from '../../lib/dashboard/index.ts';
import { type Callback, Dense, fit, SGD } from '../../lib/index.ts';

const [what] = process.argv.slice(2);
const board = await dashboard();
process.stdout.write(`${board.url}\n`);
if (what === 'waits') process.on('SIGTERM', () => void board.close());
else {
  const model = new Dense(1, 1);
  const optimizer = new SGD(model.parameters(), { learningRate: 0.1 });
  const slow: Callback = { onEpochEnd: () => new Promise((resolve) => setTimeout(resolve, 250)) };
  const callbacks = [board, slow];
  await fit(model, { x: [[1]], y: [[1]] }, { loss: 'mse', optimizer, epochs: 4, callbacks });
  process.stdout.write('trained\n');
  if (what === 'closes') {
    await board.close();
    process.stdout.write('closed\n');
  }
}

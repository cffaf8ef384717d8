/** What is dropped comes back by itself, also where the event loop does not turn; what is recorded is not computed. */
import { execFileSync } from 'node:child_process';
import { expect, test } from 'vitest';
import { Adam, Dense, Dropout, losses, randn, Sequential, type Tensor } from '../lib/index.ts';
import { type Kernels, kernels, withKernels } from '../lib/kernels/index.ts';
import { trace } from '../lib/train/program.ts';
import { bundle } from './bundle.ts';

const script = bundle('test/dropped.child.ts');

test.each([
  ['models', 600],
  ['optimizers', 600],
  ['programs', 600],
  // 180 to 250 on the machines this was tried on. What stayed would be gigabytes.
  ['lengths', 500],
  ['sequence', 500],
])('%s: the process never has more than %d MB', (way, megabytes) => {
  const output = execFileSync(process.execPath, [script, way], {
    encoding: 'utf8',
    env: { ...process.env, AXPY_GUARD: '' },
  });
  expect(JSON.parse(output).peak).toBeLessThan(megabytes * 2 ** 20);
});

test('no kernel runs while a step is written down, whatever it does', () => {
  const model = new Sequential([new Dense(8, 8), new Dropout(0.5), new Dense(8, 1)]);
  const optimizer = new Adam(model.parameters());
  const refusing = Object.fromEntries(
    Object.keys(kernels).map((name) => [
      name,
      () => {
        throw new Error(`${name} was called`);
      },
    ]),
  ) as unknown as Kernels;
  const [x, y] = [randn([4, 8]), randn([4, 1])];
  const { recording } = withKernels(refusing, () =>
    trace(
      (input: Tensor, target: Tensor) => {
        const loss = losses.mse(model.forward(input), target);
        optimizer.zeroGrad();
        loss.backward();
        optimizer.step();
        return loss;
      },
      [x, y],
    ),
  );
  expect(recording.calls.length).toBeGreaterThan(10);
});

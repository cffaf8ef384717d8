/** What recorded programs rest on: where memory is shared, how much that saves. */
import { expect, test } from 'vitest';
import { Dense, losses, randn, Sequential, SGD, type Tensor } from '../../lib/index.ts';
import { plan } from '../../lib/kernels/plan.ts';
import { mainQueue } from '../../lib/kernels/queue.ts';
import { trace } from '../../lib/train/program.ts';

test('intermediates that live at the same time do not overlap, and others share memory', () => {
  const model = new Sequential([
    new Dense(64, 64, { activation: 'relu' }),
    new Dense(64, 64, { activation: 'relu' }),
    new Dense(64, 64, { activation: 'relu' }),
    new Dense(64, 1),
  ]);
  const optimizer = new SGD(model.parameters(), { learningRate: 0.1 });
  const [x, y] = [randn([32, 64]), randn([32, 1])];
  const { recording } = trace(
    (x: Tensor, y: Tensor) => {
      const loss = losses.mse(model.forward(x), y);
      optimizer.zeroGrad();
      loss.backward();
      optimizer.step();
    },
    [x, y],
  );
  const { calls, bytes } = plan(recording, recording.calls, [], mainQueue);
  const arrays = (i: number) =>
    calls[i].slice(1).filter((a): a is Float32Array => ArrayBuffer.isView(a) && a.byteLength > 0);
  // No two different arrays of one call share a byte.
  for (let i = 0; i < calls.length; i++) {
    for (const a of arrays(i)) {
      for (const b of arrays(i)) {
        const same = a.byteOffset === b.byteOffset && a.length === b.length;
        if (a.buffer !== b.buffer || same) continue;
        expect(
          a.byteOffset + a.byteLength <= b.byteOffset || b.byteOffset + b.byteLength <= a.byteOffset,
        ).toBe(true);
      }
      // The thread of the addon works where nobody can detach anything.
      if (process.env.AXPY_BACKEND === 'native') expect(a.buffer).toBeInstanceOf(SharedArrayBuffer);
    }
  }
  expect(bytes.planned).toBeLessThan(0.8 * bytes.separate);
});

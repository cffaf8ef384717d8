import { Writable } from 'node:stream';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { ArgumentError, SGD } from '../../lib/index.ts';
import { progress } from '../../lib/train/callbacks/progress.ts';
import { fit } from '../../lib/train/fit.ts';
import type { FitOptions } from '../../lib/train/training.ts';
import { line, linearModel, rejection } from './support.ts';

function memory(isTTY: boolean) {
  const chunks: string[] = [];
  const stream = Object.assign(
    new Writable({
      write(chunk, _encoding, done) {
        chunks.push(String(chunk));
        done();
      },
    }),
    { isTTY, columns: 100 },
  );
  return { stream, text: () => chunks.join('') };
}

const train = (options: Partial<FitOptions>, l2 = 0) => {
  const model = linearModel(1);
  const optimizer = new SGD(model.parameters(), { learningRate: 0.1, l2 });
  return fit(model, line(8), { loss: 'mse', optimizer, batchSize: 2, ...options });
};

afterEach(() => {
  vi.restoreAllMocks();
});

describe('progress', () => {
  it('writes a line an epoch where there is no terminal', async () => {
    const { stream, text } = memory(false);
    const { epochs } = await train({ epochs: 2, callbacks: [progress({ stream })] });
    const lines = text().split('\n');
    expect(lines).toHaveLength(3);
    expect(lines[2]).toBe('');
    expect(lines[0]).toMatch(/^epoch 1\/2 {2}loss [\d.e-]+ {2}\d+\.\d s {2}[\d,]+ examples\/s$/);
    expect(lines[1]).toMatch(/^epoch 2\/2 /);
    expect(lines[0]).toContain(`loss ${Number(epochs[0].loss.toPrecision(4))} `);
  });

  it('adds metrics, penalty and validation', async () => {
    const { stream, text } = memory(false);
    const callbacks = [progress({ stream })];
    await train({ metrics: ['meanAbsoluteError'], validation: line(2), callbacks }, 0.1);
    expect(text()).toMatch(
      /^epoch 1\/1 {2}loss \S+ {2}meanAbsoluteError \S+ {2}penalty \S+ {2}validation loss \S+ {2}meanAbsoluteError \S+ {2}\S+ s /,
    );
  });

  it('says why training stopped', async () => {
    const { stream, text } = memory(false);
    const stopper = { onEpochEnd: ({ stop }: { stop(reason: string): void }) => stop('enough') };
    await train({ epochs: 9, callbacks: [stopper, progress({ stream })] });
    expect(text().split('\n')).toEqual([expect.stringMatching(/^epoch 1\/9/), 'stopped: enough', '']);
  });

  it('goes to standard error with progress: true, and nowhere without', async () => {
    const written: string[] = [];
    vi.spyOn(process.stderr, 'write').mockImplementation((chunk) => {
      written.push(String(chunk));
      return true;
    });
    await train({});
    expect(written).toEqual([]);
    await train({ progress: true });
    expect(written.join('')).toMatch(/epoch 1\/1/);
  });

  it('shows a bar on a terminal while the epoch runs', async () => {
    const { stream, text } = memory(true);
    const listeners = process.listenerCount('SIGINT');
    await train({
      epochs: 2,
      callbacks: [
        progress({ stream }),
        {
          onEpochBegin() {
            expect(process.listenerCount('SIGINT')).toBe(listeners);
          },
        },
      ],
    });
    expect(text()).toMatch(/epoch 1\/2 {2}\[-+\] 0\/4/);
    expect(text()).toMatch(/epoch 2\/2 {2}\[=+\] 4\/4 {2}loss [\d.]+/);
    // The wrapping of lines stays as it is: a process that is killed would leave the terminal without.
    expect(text()).not.toContain('\x1B[?7l');
    expect(text()).not.toContain('\x1B[?25l');
    const visible = text().slice(text().lastIndexOf('\x1B'));
    expect(visible).toMatch(/epoch 2\/2 {2}loss .* examples\/s\n$/);
  });

  it('counts batches of unknown number, and knows them in the second epoch', async () => {
    const { stream, text } = memory(true);
    const model = linearModel();
    const data = function* () {
      for (let i = 0; i < 3; i++) yield line(2);
    };
    const optimizer = new SGD(model.parameters(), { learningRate: 0.1 });
    await fit(model, data, { loss: 'mse', optimizer, epochs: 2, callbacks: [progress({ stream })] });
    expect(text()).toMatch(/epoch 1\/2 {2}batch 3 {2}loss/);
    expect(text()).toMatch(/epoch 2\/2 {2}\[=+\] 3\/3 {2}loss/);
  });

  it('takes the bar away when training fails', async () => {
    const { stream, text } = memory(true);
    const failing = { onBatchEnd: () => Promise.reject(new Error('no')) };
    await rejection(train({ callbacks: [progress({ stream }), failing] }));
    const length = text().length;
    await new Promise((resolve) => setTimeout(resolve, 250));
    expect(text()).toHaveLength(length);
  });

  it('refuses an unknown option', () => {
    expect(() => progress({ output: process.stdout } as never)).toThrow(ArgumentError);
  });
});

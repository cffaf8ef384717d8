/** A process that trains may be killed at any moment: its run is read as one history, whatever had been written. */
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { readRun } from '../../lib/runs/index.ts';
import { bundle } from '../bundle.ts';
import { temporaryFolder } from '../files/temporary.ts';

const script = bundle('test/runs/killed.child.ts');

/** Runs it to its end, or until it has said of so many steps. */
function run(
  args: string[],
  steps = Infinity,
): Promise<{ signal: string | null; output: string; errors: string }> {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, [script, ...args], { env: { ...process.env, AXPY_GUARD: '' } });
    let [output, errors] = ['', ''];
    child.stdout.on('data', (data) => {
      output += data;
      if (output.split('\n').length > steps) child.kill('SIGKILL');
    });
    child.stderr.on('data', (data) => {
      errors += data;
    });
    child.on('close', (_, signal) => resolve({ signal, output, errors }));
  });
}

/** What is the same whenever it was computed. */
const told = async (folder: string) => {
  const { events, history } = await readRun(folder);
  const batches = events.filter((event) => event.type === 'batch');
  const losses = new Map(batches.map(({ step, loss }) => [step, loss]));
  expect(losses.size).toBe(batches.length);
  return { losses, epochs: history.epochs.map(({ epoch, loss }) => [epoch, loss]) };
};

test('by SIGKILL, again and again', async () => {
  const [whole, folder] = [temporaryFolder(), temporaryFolder()];
  expect(await run([whole])).toMatchObject({ signal: null, errors: '' });
  const expected = await told(join(whole, 'run'));
  expect(expected.losses.size).toBe(48);

  for (const steps of [1, 7, 9, 12]) {
    expect(await run([folder, '3'], steps)).toMatchObject({ signal: 'SIGKILL', errors: '' });
    const { end, history } = await readRun(join(folder, 'run'));
    expect(end).toBeUndefined();
    expect(history.epochs.map(({ epoch, loss }) => [epoch, loss])).toEqual(
      expected.epochs.slice(0, history.epochs.length),
    );
  }
  const last = await run([folder]);
  expect(last).toMatchObject({ signal: null, errors: '' });
  const { end, history } = await readRun(join(folder, 'run'));
  expect(end).toMatchObject({ outcome: 'finished', step: 48 });
  expect(history).toEqual(JSON.parse(last.output.slice(last.output.indexOf('done ') + 5)));
  const { losses, epochs } = await told(join(folder, 'run'));
  expect(epochs).toEqual(expected.epochs);
  // Of the lines that were still to be written as it was killed a few may be missing; none is twice, or another.
  for (const [step, loss] of losses) expect(loss).toBe(expected.losses.get(step));
  expect(losses.size).toBeGreaterThan(40);
  const lines = readFileSync(join(folder, 'run', 'events.jsonl'), 'utf8')
    .trimEnd()
    .split('\n');
  expect(lines.map((line) => JSON.parse(line)).filter(({ type }) => type === 'begin').length).toBe(5);
}, 120_000);

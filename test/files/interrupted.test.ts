/** A process that trains may be ended at any moment: what goes on from its checkpoints ends as if nothing had been. */
import { spawn } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { loadCheckpoint } from '../../lib/index.ts';
import { bundle } from '../bundle.ts';
import { temporaryFolder } from './temporary.ts';

const script = bundle('test/files/interrupted.child.ts');

/** How often a process is killed at random, on each backend; more by AXPY_KILLS. */
const kills = Number(process.env.AXPY_KILLS ?? 8);

interface Ended {
  signal: NodeJS.Signals | null;
  code: number | null;
  output: string;
  errors: string;
}

/** Runs it until it ends; `act` may end it before, when it has written something. */
function run(
  args: string[],
  act: (kill: (signal: NodeJS.Signals) => void, output: string) => void,
): Promise<Ended> {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, [script, ...args], { env: { ...process.env, AXPY_GUARD: '' } });
    const ended: Ended = { signal: null, code: null, output: '', errors: '' };
    child.stdout.on('data', (data) => {
      ended.output += data;
      act((signal) => child.kill(signal), ended.output);
    });
    child.stderr.on('data', (data) => {
      ended.errors += data;
    });
    child.on('close', (code, signal) => resolve({ ...ended, code, signal }));
  });
}

/** Of the child's training. */
const epochSteps = 6;
const allSteps = 10 * epochSteps;

const linesOf = (output: string) => output.split('\n').length - 1;
const result = ({ output }: Ended) => output.slice(output.indexOf('done '));
/** Each process begins with other threads than the one before. */
const threads = (turn: number) => String(1 + (turn % 2));

test(
  'by SIGKILL, whatever it was doing',
  async () => {
    const whole = await run([temporaryFolder(), '2'], () => {});
    expect(whole).toMatchObject({ code: 0, errors: '' });
    expect(result(whole)).toContain('done {"weights"');

    let killed = 0;
    let resumed = 0;
    while (killed < kills) {
      const folder = temporaryFolder();
      for (let turn = 0; ; turn++) {
        const [steps, delay] = [1 + Math.floor(12 * Math.random()), 8 * Math.random()];
        const before = latest(folder);
        let isDue = killed < kills;
        const ended = await run([folder, threads(turn), '1'], (kill, output) => {
          if (!isDue || linesOf(output) < steps) return;
          isDue = false;
          setTimeout(() => kill('SIGKILL'), delay);
        });
        expect(ended.errors).toBe('');
        // Each goes on after the latest checkpoint, of which there is one of every third step.
        if (before < allSteps) expect(Number.parseInt(ended.output, 10)).toBe(1 + (before % epochSteps));
        if (before > 0) resumed++;
        if (ended.signal === null) {
          expect(result(ended)).toBe(result(whole));
          // What processes left that were killed as they wrote is gone.
          const strays = readdirSync(folder).filter(
            (name) => !/^(checkpoint-\d{9}|best)\.safetensors$/.test(name),
          );
          expect(strays).toEqual([]);
          break;
        }
        killed++;
        for (const name of readdirSync(folder)) {
          if (name.endsWith('.safetensors')) await loadCheckpoint(join(folder, name));
        }
      }
    }
    expect(resumed).toBeGreaterThan(0);
  },
  30_000 + 4000 * kills,
);

test('by SIGTERM, at a step that is then kept', async () => {
  const [folder, other] = [temporaryFolder(), temporaryFolder()];
  const whole = await run([other, '1'], () => {});
  for (let turn = 0; ; turn++) {
    const before = latest(folder);
    const ended = await run([folder, threads(turn), '0', '9'], () => {});
    expect(ended).toMatchObject({ code: 0, signal: null, errors: '' });
    if (ended.output.includes('done')) {
      expect(result(ended)).toBe(result(whole));
      expect(turn).toBeGreaterThan(3);
      break;
    }
    expect(ended.output).toMatch(/aborted\n$/);
    expect(linesOf(ended.output)).toBe(10);
    // Of exactly that point.
    expect(latest(folder) - before).toBe(linesOf(ended.output) - 1);
  }
}, 120_000);

function latest(folder: string): number {
  const steps = readdirSync(folder).map((name) => Number(/^checkpoint-(\d+)/.exec(name)?.[1] ?? 0));
  return Math.max(0, ...steps);
}

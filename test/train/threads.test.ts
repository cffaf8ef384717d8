/** Threads, exits and transfers with runs in flight. */
import { spawnSync } from 'node:child_process';
import { expect, test } from 'vitest';
import { bundle } from '../bundle.ts';

const child = bundle('test/train/threads.child.ts');

function play(scene: string): {
  status: number | null;
  signal: string | null;
  result: unknown;
  stderr: string;
} {
  const { status, signal, stdout, stderr } = spawnSync(process.execPath, [child, scene], {
    encoding: 'utf8',
    timeout: 60_000,
  });
  return { status, signal, stderr, result: stdout === '' ? undefined : JSON.parse(stdout) };
}

test('four threads train at once, each with the numbers of its seed', () => {
  const { status, stderr, result } = play('together');
  expect(status, stderr).toBe(0);
  const answers = result as number[][];
  expect(answers).toHaveLength(4);
  for (const answer of answers) expect(answer).toEqual(answers[0]);
});

test('a worker serves with the parameters that the main thread trains', () => {
  const { status, stderr, result } = play('share');
  expect(status, stderr).toBe(0);
  const [mine, theirs] = result as number[][];
  expect(theirs).toEqual(mine);
});

test('workers are ended in the middle of runs, and take nothing with them', () => {
  expect(play('terminate')).toMatchObject({ status: 0, signal: null, result: 4 });
});

test('the process exits in the middle of a run, with its code', () => {
  expect(play('exit')).toMatchObject({ status: 7, signal: null });
});

test("a user's buffer may be transferred while runs with it are in flight; later ones are refused", () => {
  const { status, stderr, result } = play('transfer');
  expect(status, stderr).toBe(0);
  expect(result).toEqual([128, 128, 128, 'AXPY_DATA']);
});

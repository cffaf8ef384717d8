/** A model that is trained in one thread and predicts in another. */
import { spawnSync } from 'node:child_process';
import { expect, test } from 'vitest';
import { bundle } from '../bundle.ts';

const child = bundle('test/serve/threads.child.ts');

function play(scene: string): unknown {
  const { status, stdout, stderr } = spawnSync(process.execPath, ['--expose-gc', child, scene], {
    encoding: 'utf8',
    timeout: 60_000,
  });
  expect(status, stderr).toBe(0);
  return JSON.parse(stdout);
}

test('each answer is of one whole version, and the last of the last one', () => {
  const { answers, version, last } = play('follows') as { answers: number[]; version: number; last: number };
  expect(answers.length).toBeGreaterThan(50);
  // Three steps a version, six numbers an answer.
  expect(answers.filter((sum) => sum % 18 !== 0)).toEqual([]);
  expect(answers).toEqual([...answers].sort((a, b) => a - b));
  expect(last).toBe(18 * version);
}, 60_000);

test('threads that end while they publish leave whole versions behind', () => {
  for (const rest of play('goesOnAlone') as number[]) expect(rest).toBe(0);
}, 60_000);

test('publications that were followed before, and predictors that nobody has, are let go', () => {
  // What follows yet holds the last one, and what was made last may be in a register.
  expect(play('letsGo')).toBeLessThanOrEqual(6);
});

test('what is no handle of such a model is refused', () => {
  expect(play('refuses')).toEqual([...Array(4).fill('AXPY_ARGUMENT'), 'AXPY_ARGUMENT']);
});

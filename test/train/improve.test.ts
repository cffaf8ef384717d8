/** When a recorded list is improved: at once where that is quick or nobody could wait, else between turns of the event loop. */
import { expect, test } from 'vitest';
import { MemoryError, randn, seed, type Tensor } from '../../lib/index.ts';
import { Queue } from '../../lib/kernels/queue.ts';
import { turn } from '../../lib/platform.ts';
import { compileSteps } from '../../lib/train/compile.ts';

class Counting extends Queue {
  made = 0;

  /** Thrown in the place of the second program. */
  failure: Error | null = null;

  override createProgram(...calls: Parameters<Queue['createProgram']>) {
    this.made++;
    if (this.made === 2 && this.failure !== null) throw this.failure;
    return super.createProgram(...calls);
  }
}

const chain = (length: number) => (x: Tensor) => {
  let y = x;
  for (let i = 0; i < length; i++) y = y.mul(0.99).tanh().add(x.sum());
  return { y };
};

test('a long list is improved while the event loop turns, runs before and after give the same', async () => {
  seed(1);
  const queue = new Counting();
  const fn = chain(40);
  const steps = compileSteps(fn, false, queue);
  const x = randn([3, 4]);
  const expected = fn(x).y.data;
  const run = async () => expect((await steps.soon(x)).y.data).toEqual(expected);
  await run();
  const second = run();
  expect(queue.made).toBe(1);
  const runs = [second];
  for (let i = 0; queue.made < 2 && i < 100; i++) {
    runs.push(run());
    await turn();
  }
  expect(queue.made).toBe(2);
  // There are as many turns as passes, at least.
  expect(runs.length).toBeGreaterThan(6);
  await Promise.all(runs);
  await run();
});

test('a short one is improved before it runs again', async () => {
  const queue = new Counting();
  const steps = compileSteps(chain(2), false, queue);
  const x = randn([3]);
  await steps.soon(x);
  steps.soon(x);
  expect(queue.made).toBe(2);
});

test('what goes wrong meanwhile is said by one run, and the others are made by the list that there is', async () => {
  seed(1);
  const queue = new Counting();
  queue.failure = new MemoryError('none');
  const fn = chain(40);
  const steps = compileSteps(fn, false, queue);
  const x = randn([3, 4]);
  const expected = fn(x).y.data;
  await steps.soon(x);
  await steps.soon(x);
  while (queue.made < 2) await turn();
  await turn();
  expect(() => steps.soon(x)).toThrow(queue.failure);
  for (let i = 0; i < 4; i++) expect((await steps.soon(x)).y.data).toEqual(expected);
});

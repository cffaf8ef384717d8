/** Schedules: PyTorch's rates, read by every step, eager or compiled, and kept. */
import { describe, expect, test } from 'vitest';
import {
  AdamW,
  AxpyError,
  compile,
  Parameter,
  type Schedule,
  SGD,
  schedules,
  type Tensor,
  tensor,
} from '../lib/index.ts';
import { deviation, type Numbers, read } from './reference/read.ts';

interface Named {
  name: keyof Omit<typeof schedules, 'warmup'>;
  options: never;
}

const reference = read<{
  schedules: (Named & { rates: Numbers })[];
  warmups: { steps: number; from: number; then: Named | number; rates: Numbers }[];
}>('schedules');

const rates = (schedule: Schedule, steps: number) =>
  Float64Array.from({ length: steps }, (_, step) => schedule(step));

describe("are PyTorch's", () => {
  test.each(reference.schedules)('$name, $options', ({ name, options, rates: wanted }) => {
    expect(deviation(rates(schedules[name](options), wanted.length), wanted, 1e-12)).toBeNull();
  });

  test.each(reference.warmups)('warmup before $then', ({ steps, from, then, rates: wanted }) => {
    const after = typeof then === 'number' ? then : schedules[then.name](then.options);
    expect(
      deviation(rates(schedules.warmup(steps, after, { from }), wanted.length), wanted, 1e-12),
    ).toBeNull();
  });

  test('and stay at the end what they are', () => {
    expect(schedules.cosine({ from: 1, to: 0.25, steps: 10 })(1000)).toBe(0.25);
    expect(schedules.polynomial({ from: 1, to: 0.25, steps: 10, power: 2 })(1000)).toBe(0.25);
    expect(schedules.oneCycle({ max: 1, steps: 10 })(1000)).toBe(1 / 25 / 1e4);
    expect(schedules.warmup(5, 0.5)(1000)).toBe(0.5);
  });
});

/** A parameter that goes down by the rate of each step. */
function world(learningRate: number | Schedule) {
  const p = new Parameter([1], 'float64');
  const other = new Parameter([1], 'float64');
  const optimizer = new SGD([{ parameters: [p] }, { parameters: [other], learningRate: 1 }], {
    learningRate,
  });
  const step = () => {
    optimizer.zeroGrad();
    p.add(other).sum().backward();
    optimizer.step();
    return p;
  };
  return { p, other, optimizer, step };
}

const halving: Schedule = (step) => 2 ** -step;

test('a step finds the rate of its number: eager, compiled, queued, several in one function', async () => {
  const eager = world(halving);
  for (let i = 0; i < 6; i++) eager.step();
  expect([eager.p.data[0], eager.other.data[0]]).toEqual([-(2 - 2 ** -5), -6]);

  const one = world(halving);
  const run = compile(one.step);
  run.sync();
  await Promise.all([run(), run(), run()]);
  one.step();
  run.sync();
  expect([one.p.data[0], one.optimizer.learningRate]).toEqual([eager.p.data[0], 2 ** -6]);

  const two = world(halving);
  const twice = compile(() => [two.step().clone(), two.step()]);
  for (let i = 0; i < 3; i++) await twice();
  expect(two.p.data[0]).toBe(eager.p.data[0]);
  expect(two.optimizer.stateDict().steps.item()).toBe(6);
});

test('a run that fails before its step counts none', async () => {
  const { p, other, optimizer } = world(halving);
  const run = compile((row: Tensor<'int32'>) => {
    optimizer.zeroGrad();
    p.sum().add(other.gather(row).sum()).backward();
    optimizer.step();
  });
  const rows = (value: number) => tensor([value], { dtype: 'int32' });
  const outcomes = await Promise.allSettled([0, 0, 3, 0, 0].map((value) => run(rows(value))));
  expect(outcomes.map(({ status }) => status)).toEqual([
    'fulfilled',
    'fulfilled',
    'rejected',
    'fulfilled',
    'fulfilled',
  ]);
  expect(p.data[0]).toBe(-(2 - 2 ** -3));
});

test('a rate that is none ends the step that would have it, with nothing changed', async () => {
  const bad: Schedule = (step) => (step < 2 ? 1 : Number.NaN);
  const eager = world(bad);
  eager.step();
  eager.step();
  expect(eager.step).toThrow(
    /\[SGD\] expected the learning rate after 2 steps to be a finite number of at least 0, got NaN/,
  );
  const queued = world(bad);
  const run = compile(queued.step);
  const outcomes = await Promise.allSettled([run(), run(), run()]);
  expect(outcomes.map(({ status }) => status)).toEqual(['fulfilled', 'fulfilled', 'rejected']);
  expect([eager.p.data[0], queued.p.data[0]]).toEqual([-2, -2]);
  expect(() => world(() => -1)).toThrow(/after 0 steps/);
});

test('the rate is that of the next step, and cannot be set; other hyperparameters can', () => {
  const p = new Parameter([1]);
  const optimizer = new AdamW([p], { learningRate: schedules.cosine({ from: 0.5, steps: 10 }) });
  const [group] = optimizer.groups;
  expect([group.learningRate, optimizer.learningRate]).toEqual([0.5, 0.5]);
  expect(() => {
    optimizer.learningRate = 1;
  }).toThrow(/\[AdamW\] expected learningRate to follow its schedule, got 1/);
  group.weightDecay = 0.5;
  p.sum().backward();
  optimizer.step();
  expect(group.learningRate).toBe(schedules.cosine({ from: 0.5, steps: 10 })(1));
  expect(JSON.parse(JSON.stringify(optimizer)).weightDecay).toBe(0.5);
});

test('a state knows how many steps were taken', () => {
  const [whole, first, second] = [0, 1, 2].map(() => world(halving));
  for (let i = 0; i < 5; i++) whole.step();
  for (let i = 0; i < 3; i++) first.step();
  second.p.assign(first.p);
  second.optimizer.loadStateDict(first.optimizer.stateDict());
  for (let i = 0; i < 2; i++) second.step();
  expect(second.p.data[0]).toBe(whole.p.data[0]);
  expect(() => world(1).optimizer.loadStateDict(first.optimizer.stateDict())).toThrow(/unknown: steps/);
  const half = first.optimizer.stateDict();
  half.steps.data[0] = 0.5;
  expect(() => second.optimizer.loadStateDict(half)).toThrow(/steps to be an integer/);
});

describe('options', () => {
  test.each<[string, () => unknown, RegExp]>([
    ['none, of one cycle', () => schedules.oneCycle(undefined as never), /\[oneCycle\] expected options/],
    ['none, of steps', () => schedules.stepDecay(null as never), /\[stepDecay\] expected options/],
    ['none, of a warmup', () => schedules.warmup(2, 1, null as never), /\[warmup\] expected options/],
    ['none', () => schedules.cosine(undefined as never), /\[cosine\] expected options to be an object/],
    [
      'left out',
      () => schedules.cosine({ steps: 3 } as never),
      /from to be a finite number of at least 0, got undefined/,
    ],
    [
      'half a step',
      () => schedules.polynomial({ from: 1, steps: 1.5 }),
      /steps to be an integer of at least 1, got 1.5/,
    ],
    ['unknown', () => schedules.exponential({ from: 1, factor: 1, gamma: 1 } as never), /got gamma/],
    ['negative', () => schedules.exponential({ from: 1, factor: -1 }), /factor to be .* at least 0, got -1/],
    [
      'nothing but warmup',
      () => schedules.cosine({ from: 1, steps: 3, warmup: 3 }),
      /warmup to be less than steps, 3, got 3/,
    ],
    ['both ways', () => schedules.stepDecay({ from: 1, every: 2, at: [3] }), /every or at, got both/],
    ['no way', () => schedules.stepDecay({ from: 1 }), /every or at, got neither/],
    [
      'a time that is none',
      () => schedules.stepDecay({ from: 1, at: [1, -1] }),
      /each of at to be an integer of at least 0, got -1/,
    ],
    [
      'a curve',
      () => schedules.oneCycle({ max: 1, steps: 2, anneal: 'sine' as never }),
      /anneal to be cos or linear, got "sine"/,
    ],
    [
      'more than all',
      () => schedules.oneCycle({ max: 1, steps: 2, rising: 0.6, threePhase: true }),
      /rising to be at most 0.5, got 0.6/,
    ],
    ['a warmup of none', () => schedules.warmup(0, 1), /steps to be an integer of at least 1, got 0/],
    ['a warmup to none', () => schedules.warmup(2, 'x' as never), /then to be a finite number/],
  ])('%s', (_, make, message) => {
    expect(make).toThrow(AxpyError);
    expect(make).toThrow(message);
  });
});

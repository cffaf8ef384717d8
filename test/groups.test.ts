/** Groups of parameters: hyperparameters of their own, set at any time, kept, and refused where they make no sense. */
import { describe, expect, test } from 'vitest';
import {
  AdamW,
  ArgumentError,
  AxpyError,
  compile,
  Lion,
  type Optimizer,
  Parameter,
  RMSprop,
  SGD,
  tensor,
} from '../lib/index.ts';

const two = () => [0, 1].map(() => new Parameter([2]));
const give = (...parameters: Parameter[]) => {
  for (const p of parameters) {
    p.zeroGrad();
    p.backward(tensor([1, 2]));
  }
};

test('each has what it says itself, and else what all have', () => {
  const [a, b] = two();
  const optimizer = new AdamW([{ parameters: [a], learningRate: 0.1, weightDecay: 0 }, { parameters: [b] }], {
    learningRate: 0.5,
    beta1: 0.8,
  });
  const [first, second] = optimizer.groups;
  expect(optimizer.parameters).toEqual([a, b]);
  expect([first.parameters, second.parameters]).toEqual([[a], [b]]);
  expect([first.learningRate, first.weightDecay, first.beta1]).toEqual([0.1, 0, 0.8]);
  expect([second.learningRate, second.weightDecay, second.beta1]).toEqual([0.5, 0.01, 0.8]);
  expect(optimizer.learningRate).toBe(0.1);
  expect(JSON.parse(JSON.stringify(optimizer)).groups[1]).toEqual({
    learningRate: 0.5,
    beta1: 0.8,
    beta2: 0.999,
    epsilon: 1e-8,
    weightDecay: 0.01,
  });
  const { hyper, groups } = optimizer.stateDict();
  expect([hyper.shape, [...groups.data]]).toEqual([
    [2, 5],
    [1, 1],
  ]);
});

test('is what PyTorch would do with weights and biases apart: weights alone decay', () => {
  const [weight, bias] = [new Parameter([2, 1]), new Parameter([2])];
  for (const p of [weight, bias]) p.assign(tensor([4, 8], { shape: p.shape }));
  const all = [weight, bias];
  const of = (decays: boolean) => all.filter((p) => p.decays === decays);
  const optimizer = new AdamW([{ parameters: of(true) }, { parameters: of(false), weightDecay: 0 }], {
    learningRate: 0.5,
    weightDecay: 0.5,
  });
  for (const p of all) p.mul(0).sum().backward();
  optimizer.step();
  expect([...weight.data, ...bias.data]).toEqual([3, 6, 4, 8]);
});

test('a switch and a number are set between runs, which find those of the moment they were asked for', async () => {
  const [a, b] = two();
  const optimizer = new SGD([{ parameters: [a], momentum: 0.5 }, { parameters: [b] }], { learningRate: 1 });
  const step = compile(() => {
    optimizer.zeroGrad();
    a.add(b).sum().backward();
    optimizer.step();
  });
  const runs = [step()];
  optimizer.groups[1].learningRate = 10;
  runs.push(step());
  optimizer.groups[0].nesterov = true;
  optimizer.groups[1].learningRate = 100;
  runs.push(step());
  await Promise.all(runs);
  // 1 + 1.5 + (1 + 0.5 · 1.75)
  expect([a.data[0], b.data[0]]).toEqual([-4.375, -111]);
  expect(optimizer.groups[0].nesterov).toBe(true);
  const setting = compile(() => {
    optimizer.groups[0].momentum = 0.1;
  });
  expect(() => setting.sync()).toThrow(AxpyError);
  expect(optimizer.groups[0].momentum).toBe(0.5);
});

test('what is kept for each element is what the group needs', () => {
  const [a, b] = two();
  const names = (optimizer: Optimizer) => Object.keys(optimizer.stateDict()).sort();
  expect(
    names(new SGD([{ parameters: [a] }, { parameters: [b], momentum: 0.5 }], { learningRate: 1 })),
  ).toEqual(['groups', 'hyper', 'velocity.1']);
  expect(
    names(new RMSprop([{ parameters: [a], momentum: 0.5 }, { parameters: [b] }], { centered: true })),
  ).toEqual(['groups', 'hyper', 'mean.0', 'mean.1', 'square.0', 'square.1', 'velocity.0']);
});

test('the penalty is that of each', () => {
  const [a, b] = [0, 1].map(() => new Parameter([1, 2]));
  for (const p of [a, b]) p.assign([[1, 2]]);
  const optimizer = new SGD([{ parameters: [a] }, { parameters: [b], l2: 0.1 }], { learningRate: 1, l2: 2 });
  expect(optimizer.penalty()).toBeCloseTo(5 + 0.25, 12);
  expect(new AdamW([a]).penalty()).toBe(0);
});

describe('refused, with nothing changed', () => {
  const [a, b] = two();
  test.each<[string, () => unknown, RegExp]>([
    [
      'a parameter in two groups',
      () => new SGD([{ parameters: [a] }, { parameters: [a, b] }], { learningRate: 1 }),
      /each parameter once/,
    ],
    [
      'an option of none',
      () => new AdamW([{ parameters: [a], l2: 1 } as never]),
      /\[AdamW\] expected options among parameters, learningRate, beta1, .*weightDecay, got l2/,
    ],
    ['what all groups share', () => new AdamW([{ parameters: [a], amsgrad: true } as never]), /got amsgrad/],
    [
      'a group of none',
      () => new Lion([{ parameters: [a] }, { parameters: [] }]),
      /at least one parameter in groups\[1\], got none/,
    ],
    ['no groups', () => new Lion([]), /at least one parameter, got none/],
    [
      'a group that has no list',
      () => new Lion([{ parameters: 3 } as never]),
      /parameters of groups\[0\] to be an iterable, got 3/,
    ],
    [
      'a tensor beside a group',
      () => new Lion([{ parameters: [a] }, b] as never),
      /groups of parameters alone, got a tensor beside a group/,
    ],
    [
      'a group beside a tensor',
      () => new Lion([a, { parameters: [b] }] as never),
      /each parameter to be a tensor/,
    ],
    [
      'a number out of its domain',
      () => new AdamW([{ parameters: [a], weightDecay: -1 }]),
      /weightDecay to be a finite number of at least 0, got -1/,
    ],
    [
      'a number for a switch',
      () => new SGD([{ parameters: [a], nesterov: 1 as never }], { learningRate: 1 }),
      /nesterov to be true or false, got 1/,
    ],
    [
      'what does not fit together',
      () => new SGD([{ parameters: [a], nesterov: true }], { learningRate: 1 }),
      /momentum above 0/,
    ],
  ])('%s', (_, make, message) => {
    expect(make).toThrow(AxpyError);
    expect(make).toThrow(message);
  });

  test('what is set', () => {
    const optimizer = new SGD([{ parameters: [a] }, { parameters: [b], learningRate: 2 }], {
      learningRate: 1,
    });
    const state = JSON.stringify(optimizer.stateDict());
    const [group] = optimizer.groups;
    expect(() => (group.learningRate = -1)).toThrow(
      /learningRate to be a finite number of at least 0, got -1/,
    );
    expect(() => (group.momentum = 0.5)).toThrow(/momentum 0, as .* no velocities, got 0.5/);
    expect(() => (group.nesterov = true)).toThrow(/momentum above 0/);
    expect(() => (optimizer.learningRate = 1)).toThrow(/to be set by groups/);
    expect(JSON.stringify(optimizer.stateDict())).toBe(state);
  });

  test('a state of groups of other sizes, or of no groups', () => {
    const three = [...two(), new Parameter([2])];
    const split = (at: number) =>
      new SGD([{ parameters: three.slice(0, at) }, { parameters: three.slice(at) }], { learningRate: 1 });
    expect(() => split(1).loadStateDict(split(2).stateDict())).toThrow(/groups of 1, 2 parameters, got 2, 1/);
    expect(() => split(1).loadStateDict(new SGD(three, { learningRate: 1 }).stateDict())).toThrow(
      ArgumentError,
    );
  });
});

test('eager steps of groups in turn', () => {
  const [a, b] = two();
  const optimizer = new Lion([{ parameters: [a] }, { parameters: [b], learningRate: 2 }], {
    learningRate: 1,
  });
  give(a, b);
  optimizer.step();
  give(b);
  a.zeroGrad();
  optimizer.step();
  expect([...a.data, ...b.data]).toEqual([-1, -1, -4, -4]);
});

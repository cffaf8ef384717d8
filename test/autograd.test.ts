/** The walk back through the history: order, accumulation, reuse, and what it refuses. */
import { execFileSync } from 'node:child_process';
import { describe, expect, test } from 'vitest';
import { AutogradError } from '../lib/errors.ts';
import { concat, Dense, losses, noGrad, Sequential, SGD, type Tensor, tensor } from '../lib/index.ts';
import { bundle } from './bundle.ts';

const leaf = (...values: number[]) => tensor(values, { dtype: 'float64', requiresGrad: true });

describe('backward', () => {
  test('runs through 10,000 chained ops', () => {
    const x = leaf(1);
    let y: Tensor = x;
    for (let i = 0; i < 10_000; i++) y = y.add(0.5);
    y.backward();
    expect(y.item()).toBe(5001);
    expect(x.grad!.item()).toBe(1);
  });

  test('visits a node once, however many paths lead through it', () => {
    // Every step doubles the number of paths: 2^200 of them.
    const x = leaf(1);
    let y: Tensor = x;
    for (let i = 0; i < 200; i++) y = y.mul(0.5).add(y.mul(0.5));
    y.backward();
    expect(x.grad!.item()).toBe(1);
  });

  test('waits for all uses of a tensor before it goes on', () => {
    const x = leaf(3);
    const a = x.mul(2);
    const b = a.square();
    // a is used by the early b and by the late product.
    b.mul(a).backward();
    expect(x.grad!.item()).toBe(3 * 8 * 9);
  });

  test('takes a gradient, and wants one unless there is one element', () => {
    const x = leaf(1, 2);
    x.mul(3).backward(tensor([10, 100], { dtype: 'float64' }));
    expect(x.grad!.toArray()).toEqual([30, 300]);
    expect(() => x.mul(3).backward()).toThrow(AutogradError);
    expect(() => x.mul(3).backward(tensor([1, 1]) as Tensor)).toThrow(/dtype float64, got \[2\] and float32/);
    expect(() => x.mul(3).backward(tensor([[1, 1]], { dtype: 'float64' }))).toThrow(/shape \[2\]/);
  });

  test('does not write to the gradient it was given', () => {
    const x = leaf(1, 2);
    const given = tensor([1, 1], { dtype: 'float64' });
    x.reshape([2]).backward(given);
    x.reshape([2]).backward(given);
    expect(given.toArray()).toEqual([1, 1]);
    expect(x.grad!.toArray()).toEqual([2, 2]);
  });

  test('of a leaf itself is the gradient given', () => {
    const x = leaf(5);
    x.backward();
    expect(x.grad!.item()).toBe(1);
  });

  test('is refused without a history', () => {
    expect(() => tensor(1).backward()).toThrow(/history or requiresGrad/);
  });

  test('is refused a second time', () => {
    const x = leaf(2);
    const y = x.square();
    y.backward();
    expect(() => y.backward()).toThrow(/history that was not used yet/);
    expect(x.grad!.item()).toBe(4);
  });

  test('is refused through a part that was used', () => {
    const x = leaf(2);
    const shared = x.square();
    shared.mul(2).backward();
    expect(() => shared.mul(3).backward()).toThrow(AutogradError);
    // Refused before anything ran: the first gradient stands.
    expect(x.grad!.item()).toBe(8);
  });

  test('is refused when an input was updated in between', () => {
    const x = leaf(2);
    const y = x.square();
    x.assign([3]);
    expect(() => y.backward()).toThrow(/updated in place/);
    expect(x.grad).toBeNull();
    x.square().backward();
    expect(x.grad!.item()).toBe(6);
  });

  test('is refused when an optimizer stepped in between', () => {
    const model = new Sequential([new Dense(2, 2), new Dense(2, 1)]);
    const optimizer = new SGD(model.parameters(), { learningRate: 0.1 });
    const x = tensor([[1, 2]]);
    const stale = model.forward(x).sum();
    model.forward(x).sum().backward();
    optimizer.step();
    expect(() => stale.backward()).toThrow(/updated in place/);
  });

  test('skips what wants no gradient', () => {
    const x = leaf(1, 2);
    const constant = tensor([3, 4], { dtype: 'float64' });
    x.mul(constant).sum().backward();
    expect(constant.grad).toBeNull();
    expect(x.grad!.toArray()).toEqual([3, 4]);
  });

  test('leaves an input without a path at null', () => {
    const [x, unused] = [leaf(1), leaf(1)];
    x.mul(2).backward();
    expect(unused.grad).toBeNull();
  });
});

describe('grad', () => {
  test('adds up over passes until zeroGrad', () => {
    const x = leaf(3);
    x.square().backward();
    x.square().backward();
    expect(x.grad!.item()).toBe(12);
    x.zeroGrad();
    expect(x.grad).toBeNull();
    x.square().backward();
    expect(x.grad!.item()).toBe(6);
  });

  test('adds up over a pass that uses the leaf in different ways', () => {
    const x = leaf(2, 3);
    concat([x, x.mul(2)])
      .add(x.sum())
      .sum()
      .backward();
    expect(x.grad!.toArray()).toEqual([7, 7]);
  });

  test('is of leaves only', () => {
    const x = leaf(2);
    const y = x.square();
    y.mul(2).backward();
    expect(y.grad).toBeNull();
  });

  test('stays the memory of its leaf', () => {
    const x = leaf(2);
    x.square().backward();
    const kept = x.grad!.clone();
    x.zeroGrad();
    x.mul(5).backward();
    expect([kept.item(), x.grad!.item()]).toEqual([4, 5]);
  });

  test('gradients of different leaves do not share memory', () => {
    // dy goes on unchanged to both, and must be copied.
    const [x, y] = [leaf(1, 1), leaf(1, 1)];
    x.add(y).backward(tensor([1, 2], { dtype: 'float64' }));
    x.mul(10).backward(tensor([1, 1], { dtype: 'float64' }));
    expect(x.grad!.toArray()).toEqual([11, 12]);
    expect(y.grad!.toArray()).toEqual([1, 2]);
  });
});

describe('setRequiresGrad', () => {
  test('is for leaves', () => {
    const x = leaf(1);
    expect(() => x.mul(2).setRequiresGrad(false)).toThrow(AutogradError);
    expect(x.setRequiresGrad(false).mul(2).requiresGrad).toBe(false);
    expect(() => tensor([1], { dtype: 'int32' }).setRequiresGrad()).toThrow(
      expect.objectContaining({ code: 'AXPY_DTYPE' }),
    );
  });
});

describe('noGrad', () => {
  test('records nothing and gives back what the function returns', () => {
    const x = leaf(2);
    const y = noGrad(() => x.square());
    expect(y.item()).toBe(4);
    expect(y.requiresGrad).toBe(false);
    expect(x.square().requiresGrad).toBe(true);
  });

  test('nests, and ends after an error', () => {
    const x = leaf(2);
    noGrad(() => {
      noGrad(() => x.square());
      expect(x.square().requiresGrad).toBe(false);
    });
    expect(() =>
      noGrad(() => {
        throw new RangeError('inside');
      }),
    ).toThrow(RangeError);
    expect(x.square().requiresGrad).toBe(true);
  });

  test('refuses an asynchronous function, and records again afterwards', () => {
    expect(() => noGrad(async () => 1)).toThrow(AutogradError);
    expect(leaf(1).mul(2).requiresGrad).toBe(true);
  });
});

describe('memory', () => {
  test.each([
    // A leak of 100 bytes an eager step would be 8 MB, one of 16 bytes a compiled step 13 MB.
    ['eager', 100_000, 6],
    ['compiled', 250_000, 10],
  ])(
    'stays flat over %s steps (%d)',
    (way, steps, megabytes) => {
      // The young generation grows with the rate of allocation, by 32 MB, and is no leak.
      const flags = ['--expose-gc', '--max-semi-space-size=1'];
      const args = [...flags, bundle('test/memory.child.ts'), way, String(steps)];
      const output = execFileSync(process.execPath, args, {
        encoding: 'utf8',
        env: process.env,
      });
      const { early, late, loss } = JSON.parse(output) as { early: number; late: number; loss: number };
      expect(late - early).toBeLessThan(megabytes * 2 ** 20);
      expect(loss).toBeLessThan(0.1);
    },
    180_000,
  );
});

test('a step of training lowers the loss', () => {
  const x = tensor([[1], [2], [3]]);
  const layer = new Dense(1, 1, { init: 'zeros' });
  const optimizer = new SGD(layer.parameters(), { learningRate: 0.1 });
  const loss = () => losses.mse(layer.forward(x), x);
  const before = loss();
  before.backward();
  optimizer.step();
  expect(loss().item()).toBeLessThan(before.item());
});

/** Backward of every differentiable case against central differences, and what is common to all gradients. */
import { describe, expect, test } from 'vitest';
import { gradCheck } from '../lib/gradCheck.ts';
import type { Tensor } from '../lib/tensor.ts';
import type { Case } from './cases/case.ts';
import { declarations } from './cases/index.ts';
import { cotangentOf, inputsOf } from './cases/values.ts';

const all = declarations.flatMap(({ op, cases }) => cases.map((c) => ({ op, c, title: `${op}, ${c.name}` })));
const smooth = all.filter(({ c }) => (c.gradient ?? 'smooth') === 'smooth');
const differentiable = all.filter(({ c }) => c.gradient !== 'none');

function gradients(op: string, c: Case, dtype: 'float32' | 'float64'): { y: Tensor; inputs: Tensor[] } {
  const inputs = inputsOf(op, c, dtype);
  const y = c.run(...inputs);
  y.backward(cotangentOf(op, c, y));
  return { y, inputs };
}

describe('against central differences', () => {
  test.each(smooth)('$title', ({ op, c }) => {
    const inputs = inputsOf(op, c, 'float64');
    const wanting = inputs.filter((x) => x.requiresGrad);
    expect(wanting.length).toBeGreaterThan(0);
    const { ok, maxError, worst } = gradCheck(() => c.run(...inputs), wanting);
    expect(ok, `error ${maxError} at ${JSON.stringify(worst)}`).toBe(true);
  });

  test('a wrong gradient is found', () => {
    // The check itself: a factor of 1 + 1e-4 on one op's gradient must not pass.
    const [x] = inputsOf(
      'self',
      { name: 'x', inputs: [{ shape: [5], recipe: 'uniform', low: 0.5, high: 2 }] },
      'float64',
    );
    const off = 1 + 1e-4;
    const { ok } = gradCheck((a) => a.mul(a.detach()).mul(off).add(a.mul(a.detach())), [x]);
    expect(ok).toBe(false);
  });
});

describe('float32 gradients follow float64 ones', () => {
  test.each(smooth)('$title', ({ op, c }) => {
    const exact = gradients(op, c, 'float64').inputs;
    const single = gradients(op, c, 'float32').inputs;
    const tolerance = Math.max(1e-5, c.tolerance?.float32 ?? 0);
    single.forEach((x, i) => {
      if (!x.requiresGrad) return;
      const [got, want] = [Array.from(x.grad!.data), Array.from(exact[i].grad!.data)];
      const largest = want.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
      for (let at = 0; at < got.length; at++) {
        expect(
          Math.abs(got[at] - want[at]),
          `input ${i}[${at}]: ${got[at]}, ${want[at]}`,
        ).toBeLessThanOrEqual(tolerance * Math.max(largest, Math.abs(want[at])));
      }
    });
  });
});

describe('form', () => {
  test.each(differentiable)('$title', ({ op, c }) => {
    for (const dtype of ['float32', 'float64'] as const) {
      const { y, inputs } = gradients(op, c, dtype);
      expect(y.requiresGrad).toBe(true);
      // The result itself is no leaf.
      expect(y.grad).toBeNull();
      for (const x of inputs) {
        if (!x.requiresGrad) {
          expect(x.grad).toBeNull();
        } else {
          expect(x.grad!.shape).toEqual(x.shape);
          expect(x.grad!.dtype).toBe(dtype);
        }
      }
    }
  });

  test.each(all.filter(({ c }) => c.gradient === 'none'))('$title has none', ({ op, c }) => {
    const y = c.run(...inputsOf(op, c, 'float32'));
    expect(y.requiresGrad).toBe(false);
    expect(() => y.backward()).toThrow(/a history or requiresGrad, got one without/);
  });
});

describe('uses add up', () => {
  // Twice the graph, once as y + y of one result and once as two runs: the gradients must be the same sum.
  test.each(smooth.filter(({ c }) => c.inputs.length <= 2))('$title', ({ op, c }) => {
    const inputs = inputsOf(op, c, 'float64');
    const first = c.run(...inputs);
    const cotangent = cotangentOf(op, c, first);
    first.backward(cotangent);
    const once = inputs.map((x) => x.grad?.data.slice());
    for (const x of inputs) x.zeroGrad();
    c.run(...inputs)
      .add(c.run(...inputs))
      .backward(cotangentOf(op, c, first));
    inputs.forEach((x, i) => {
      if (!x.requiresGrad) return;
      const got = x.grad!.data;
      const want = once[i]!;
      for (let at = 0; at < got.length; at++) {
        const tolerance = 1e-12 * Math.max(1, Math.abs(want[at]));
        expect(Math.abs(got[at] - 2 * want[at]), `input ${i}[${at}]`).toBeLessThanOrEqual(tolerance);
      }
    });
  });
});

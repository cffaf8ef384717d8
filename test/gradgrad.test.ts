/** Gradients of gradients: of every differentiable case, and what is common to all of them. */
import { describe, expect, test } from 'vitest';
import { gradCheck } from '../lib/gradCheck.ts';
import { gradients, zeros } from '../lib/index.ts';
import type { Case } from './cases/case.ts';
import { declarations } from './cases/index.ts';
import { cotangentOf, inputsOf } from './cases/values.ts';

const all = declarations.flatMap(({ op, cases }) => cases.map((c) => ({ op, c, title: `${op}, ${c.name}` })));
const differentiable = all.filter(({ c }) => c.gradient !== 'none');
const smooth = differentiable.filter(({ c }) => c.gradient !== 'kinked');

describe('against central differences of gradients', () => {
  test.each(smooth)('$title', ({ op, c }) => {
    const inputs = inputsOf(op, c, 'float64');
    const { ok, maxError, worst } = gradCheck(
      () => c.run(...inputs),
      inputs.filter((x) => x.requiresGrad),
      { order: 2 },
    );
    expect(ok, `error ${maxError} at ${JSON.stringify(worst)}`).toBe(true);
  });
});

/** The gradients by backward, and those that have a history. */
function both(op: string, c: Case, dtype: 'float32' | 'float64') {
  const inputs = inputsOf(op, c, dtype);
  const wanting = inputs.filter((x) => x.requiresGrad);
  const y = c.run(...inputs);
  const gradOutputs = cotangentOf(op, c, y);
  const derived = gradients(y, wanting, { gradOutputs, createGraph: true, allowUnused: true });
  y.backward(gradOutputs);
  return wanting.map((x, i) => ({ plain: x.grad!, derived: derived[i] ?? zeros(x.shape, { dtype }) }));
}

describe('with a history gradients are what they are without', () => {
  test.each(differentiable)('$title', ({ op, c }) => {
    for (const dtype of ['float32', 'float64'] as const) {
      const tolerance = Math.max(dtype === 'float32' ? 1e-5 : 1e-13, c.tolerance?.[dtype] ?? 0);
      for (const { plain, derived } of both(op, c, dtype)) {
        expect(derived.shape).toEqual(plain.shape);
        const [got, want] = [Array.from(derived.data), Array.from(plain.data)];
        const largest = want.reduce(
          (most, value) => (Number.isFinite(value) ? Math.max(most, Math.abs(value)) : most),
          0,
        );
        for (let i = 0; i < want.length; i++) {
          const close =
            Object.is(got[i], want[i]) ||
            Math.abs(got[i] - want[i]) <= tolerance * Math.max(largest, Math.abs(want[i]));
          expect(close, `${dtype} [${i}]: ${got[i]} for ${want[i]}`).toBe(true);
        }
      }
    }
  });
});

/** A predictor of any layer answers as `predict` does, for many at once, before an update and after it. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import * as axpy from '../../lib/index.ts';
import { Layer, Predictor, predict, randn, type Tensor } from '../../lib/index.ts';
import { isTensor } from '../../lib/tensor.ts';
import { leavesOf } from '../../lib/tree.ts';
import { examplesFor, given } from '../layers/given.ts';

type Class = new (...args: unknown[]) => Layer;

const classes = Object.entries(axpy).filter(
  ([name, value]) => typeof value === 'function' && value.prototype instanceof Layer && name !== 'Layer',
) as unknown as [string, Class][];

type Outcome = { tensors: { shape: readonly number[]; values: number[] }[] } | { code: string };

async function outcomeOf(ask: () => Promise<unknown>): Promise<Outcome> {
  try {
    const y = await ask();
    const tensors = leavesOf(y, isTensor) as Tensor[];
    return { tensors: tensors.map(({ shape, data }) => ({ shape: [...shape], values: [...data] })) };
  } catch (error) {
    return { code: (error as { code?: string }).code ?? String(error) };
  }
}

function same(a: Outcome, b: Outcome): void {
  if ('code' in a || 'code' in b) {
    expect(a).toEqual(b);
    return;
  }
  expect(a.tensors.map(({ shape }) => shape)).toEqual(b.tensors.map(({ shape }) => shape));
  for (const [i, { values }] of a.tensors.entries()) {
    const most = Math.max(1, ...values.map(Math.abs).filter(Number.isFinite));
    for (const [j, value] of values.entries()) {
      const other = b.tensors[i].values[j];
      expect(Object.is(value, other) || Math.abs(value - other) <= 2e-6 * most, `${value}, ${other}`).toBe(
        true,
      );
    }
  }
}

// Sequential is made of any layers: several tests here have one.
test.each(classes.filter(([name]) => name !== 'Sequential'))('%s', async (name, Kind) => {
  await fc.assert(
    fc.asyncProperty(given[name], async (args) => {
      const layer = new Kind(...args);
      const predictor: Predictor = new Predictor(layer, { maxBatch: 6 });
      const requests = [2, 1, 5, 7, 2].map((count) => examplesFor(name, layer, count));
      const check = async () => {
        const alone = [];
        for (const x of requests) alone.push(await outcomeOf(() => predict(layer, x as never)));
        const answers = await Promise.all(
          requests.map((x) => outcomeOf(() => predictor.predict(x as never))),
        );
        for (const [i, answer] of answers.entries()) same(answer, alone[i]);
      };
      await check();
      for (const [, parameter] of layer.namedParameters())
        parameter.assign(randn(parameter.shape, { dtype: parameter.dtype as 'float32' }));
      await predictor.update(layer);
      await check();
      await predictor.close();
    }),
    { numRuns: 6 },
  );
});

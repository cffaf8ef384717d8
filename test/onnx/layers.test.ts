/** Every layer with every option, exported for batches of any size. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import * as axpy from '../../lib/index.ts';
import { encodeOnnx, type Layer, randn, toChannelsFirst } from '../../lib/index.ts';
import { given } from '../layers/given.ts';
import { expectSame, runtime, session } from './runtime.ts';

type Class = new (...args: unknown[]) => Layer;

const classes = Object.entries(axpy).filter(
  ([name, value]) =>
    typeof value === 'function' &&
    value.prototype instanceof axpy.Layer &&
    name !== 'Layer' &&
    name !== 'Sequential',
) as unknown as [string, Class][];

/** What a layer that keeps state has after a while. */
function settle(layer: Layer): void {
  for (const [name, { data }] of [...layer.namedParameters(), ...layer.namedBuffers()]) {
    const isVariance = name.includes('Variance');
    for (let i = 0; i < data.length; i++) data[i] = isVariance ? 0.5 + Math.random() : Math.random() - 0.4;
  }
}

describe.skipIf(runtime === null).each(classes)('%s', (name, Kind) => {
  it('predicts the same, for batches of 1 and 5, in both layouts', { timeout: 120_000 }, async () => {
    await fc.assert(
      fc.asyncProperty(given[name], fc.constantFrom('NHWC', 'NCHW', 'NLC', 'NCL'), async (args, layout) => {
        const layer = new Kind(...args);
        settle(layer);
        const dtype = (layer.config.dtype ?? 'float32') as 'float32';
        // One without parameters does not tell it.
        Object.assign(layer, { inputDtype: dtype });
        const shape = name === 'Conv1D' ? [6, 4] : [6, 6, 4];
        const bytes = encodeOnnx(layer, { inputShape: shape, layout, dtype: 'float32' });
        const served = await session(bytes);
        const isFirst = (rank: number) =>
          (layout === 'NCHW' && rank === 4) || (layout === 'NCL' && rank === 3);
        for (const batch of [1, 5]) {
          const x = randn([batch, ...shape], { dtype });
          const border = (each: axpy.Tensor) =>
            (isFirst(each.rank) ? toChannelsFirst(each) : each).cast('float32');
          await expectSame(layer, served, [x], x, `${name} ${JSON.stringify(args)}`, border);
        }
      }),
      { numRuns: 20 },
    );
  });
});

it('goes over every layer', () => {
  expect(classes.map(([name]) => name).filter((name) => !Object.hasOwn(given, name))).toEqual([]);
});

/** Every layer with every option, exported for batches of any size. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import * as axpy from '../../lib/index.ts';
import { type ExampleShapes, encodeOnnx, type Layer, randn, toChannelsFirst } from '../../lib/index.ts';
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

/** The shapes of examples; images for all others. */
const shapes: Readonly<Record<string, ExampleShapes>> = {
  AvgPool1D: [6, 4],
  Conv1D: [6, 4],
  GRU: [6, 4],
  GlobalAvgPool1D: [6, 4],
  GlobalMaxPool1D: [6, 4],
  MaxPool1D: [6, 4],
  MultiHeadAttention: [6, 4],
  TransformerBlock: [6, 4],
  TransformerDecoderBlock: [
    [6, 4],
    [3, 4],
  ],
  LSTM: [6, 4],
  RNN: [6, 4],
  Columns: { city: [], size: [] },
  Embedding: [3],
  OneHot: [3],
  StringLookup: [],
};
/** Those that take indices, as texts are by then. */
const indexed = ['city', 'Embedding', 'OneHot', 'StringLookup'];

describe.skipIf(runtime === null).each(classes)('%s', (name, Kind) => {
  it('predicts the same, for batches of 1 and 5, in both layouts', { timeout: 120_000 }, async () => {
    const inputShape = shapes[name] ?? [6, 6, 4];
    const layouts = fc.constantFrom('NHWC', 'NCHW', 'NLC', 'NCL');
    await fc.assert(
      fc.asyncProperty(given[name], layouts, async (args, layout) => {
        const layer = new Kind(...args);
        settle(layer);
        const dtype = (layer.config.dtype ?? 'float32') as 'float32';
        // One without parameters does not tell it.
        if (layer.inputDtype === undefined && name !== 'Columns') Object.assign(layer, { inputDtype: dtype });
        const served = await session(encodeOnnx(layer, { inputShape, layout, dtype: 'float32' }));
        const border = (x: axpy.Tensor) => {
          const isFirst = (layout === 'NCHW' && x.rank === 4) || (layout === 'NCL' && x.rank === 3);
          const own = isFirst ? toChannelsFirst(x) : x;
          return own.dtype === 'int32' ? own : own.cast('float32');
        };
        for (const batch of [1, 5]) {
          const make = (key: string, shape: readonly number[]) => {
            const x = randn([batch, ...shape], { dtype });
            return indexed.includes(key) ? x.abs().mul(3).cast('int32').minimum(3) : x;
          };
          const isOne = Array.isArray(inputShape) && !inputShape.some(Array.isArray);
          const record = Object.entries(isOne ? { [name]: inputShape } : inputShape) as [string, number[]][];
          const tensors = record.map(([key, shape]) => make(key, shape));
          const named = () => Object.fromEntries(record.map(([key], i) => [key, tensors[i]]));
          const x = isOne ? tensors[0] : name === 'Columns' ? named() : tensors;
          await expectSame(layer, served, tensors, x, `${name} ${JSON.stringify(args)}`, border);
        }
      }),
      { numRuns: 20 },
    );
  });
});

it('goes over every layer', () => {
  expect(classes.map(([name]) => name).filter((name) => !Object.hasOwn(given, name))).toEqual([]);
});

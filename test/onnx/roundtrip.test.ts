/** Models of ONNX in and out: what comes back computes the same, with the same bits. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import {
  BatchNorm,
  Conv1D,
  Conv2D,
  ConvTranspose2D,
  Dense,
  Dropout,
  encodeOnnx,
  Flatten,
  fit,
  GroupNorm,
  importOnnx,
  type Layer,
  LayerNorm,
  MaxPool2D,
  predict,
  RMSNorm,
  rand,
  Sequential,
  SGD,
  seed,
  type Tensor,
  tensor,
} from '../../lib/index.ts';
import { difference, type Packed, pytorchModels, unpack } from './models.ts';
import { expectSame, runtime, session } from './runtime.ts';

const folder = fileURLToPath(new URL('pytorch', import.meta.url));
/** All but the one that takes a single size of batch. */
const fixtures = pytorchModels.filter((name) => name !== 'fixed');

const bitsOf = (x: Tensor): string =>
  Buffer.from(x.data.buffer, x.data.byteOffset, x.data.byteLength).toString('hex');

/** That every tensor of one is in the other, of the same bits. */
function expectBits(own: Layer, other: Layer): void {
  const [before, after] = [own.stateDict(), other.stateDict()];
  for (const [name, x] of Object.entries(before)) expect(bitsOf(after[name]), name).toBe(bitsOf(x));
}

describe.each(fixtures)('%s of PyTorch, in, out and in again', (name) => {
  it.each(['NCHW', 'NHWC'] as const)('is the same, bit for bit in its weights, as %s', async (layout) => {
    const fixture = JSON.parse(readFileSync(join(folder, `${name}.json`), 'utf8')) as {
      inputs: Packed[];
      outputs: Packed[];
    };
    const inputs = fixture.inputs.map(unpack);
    const model = (await importOnnx(join(folder, `${name}.onnx`), { layout })).eval();
    const isImage = layout === 'NHWC' && inputs[0].rank === 4;
    const [, ...example] = inputs[0].shape;
    const inputShape = isImage ? [example[1], example[2], example[0]] : example;
    const bytes = encodeOnnx(model, isImage ? { inputShape, layout: 'NCHW' } : { inputShape });
    const again = (await importOnnx(bytes)).eval();
    expectBits(model, again);
    const outputs = [again.forward(...inputs)].flat() as Tensor[];
    outputs.forEach((y, i) => {
      expect(difference(y, unpack(fixture.outputs[i]))).toBeLessThan(1e-5);
    });
    if (runtime === null) return;
    const last = (x: Tensor) => (isImage && x.rank === 4 ? x.transpose([0, 2, 3, 1]) : x);
    const first = (x: Tensor) => (isImage && x.rank === 4 ? x.transpose([0, 3, 1, 2]) : x);
    await expectSame(model, await session(bytes), inputs.map(last), last(inputs[0]), name, first);
  });
});

describe('a model of this library, out and in', () => {
  seed(2);
  const models: Readonly<Record<string, { model: Layer; shape: number[] }>> = {
    images: {
      model: new Sequential([
        new Conv2D(2, 4, 3, { padding: 'same', activation: 'relu' }),
        new BatchNorm(4, { activation: 'relu' }),
        new MaxPool2D(2),
        new Conv2D(4, 4, 3, { groups: 2 }),
        new ConvTranspose2D(4, 3, 2, { stride: 2, activation: 'elu' }),
        new Flatten(),
        new Dense(48, 3),
      ]),
      shape: [8, 8, 2],
    },
    sequences: {
      model: new Sequential([
        new Conv1D(3, 4, 3, { padding: 'same', dilation: 2 }),
        new LayerNorm(4),
        new RMSNorm(4),
        new GroupNorm(2, 4),
        new Flatten(),
        new Dense(24, 2),
      ]),
      shape: [6, 3],
    },
    rows: {
      model: new Sequential([
        new Dense(4, 6, { activation: 'gelu' }),
        new Dropout(0.5),
        new Dense(6, 2, { activation: 'softmax' }),
      ]),
      shape: [4],
    },
  };

  it.each(Object.entries(models))('of %s predicts the same and trains on', async (_, { model, shape }) => {
    const again = await importOnnx(encodeOnnx(model, { inputShape: shape }));
    const x = rand([5, ...shape]);
    expect(difference(await predict(again, x), await predict(model, x))).toBeLessThan(1e-5);
    const bits = new Set(Object.values(again.stateDict()).map(bitsOf));
    for (const [name, parameter] of model.namedParameters()) expect(bits, name).toContain(bitsOf(parameter));
    const optimizer = new SGD(again.parameters(), { learningRate: 0.05 });
    const y = tensor(Int32Array.from({ length: 5 }, (_, i) => i % 2));
    const loss = 'softmaxCrossEntropy';
    const { epochs } = await fit(again, { x, y }, { loss, optimizer, epochs: 20 });
    expect(epochs[19].loss).toBeLessThan(epochs[0].loss);
  });
});

/** A small program of a user's, for minified.test.ts: all that it says holds names of the library. */
import { inspect } from 'node:util';
import * as axpy from '../lib/index.ts';

const said: unknown[] = [];

// biome-ignore lint/suspicious/noExplicitAny: bad input
type Any = any;

class Block extends axpy.Layer {
  forward(x: axpy.Tensor): axpy.Tensor {
    return x;
  }
}
// The name of a class of one's own that a minifier leaves.
axpy.registerLayer('Block', Block, () => new Block());

async function attempt(fn: () => unknown): Promise<void> {
  try {
    said.push(await fn());
  } catch (error) {
    const { name, code, message } = error as axpy.AxpyError;
    // What Node prints of one that nobody catches.
    const [printed] = inspect(error).split('\n');
    said.push([name, code, message, printed]);
  }
}

async function main(): Promise<void> {
  const { Dense, Sequential } = axpy;
  const layers: axpy.Layer[] = [
    new axpy.Conv2D(1, 2, 3),
    new axpy.BatchNorm(2),
    new axpy.ReLU(),
    new axpy.MaxPool2D(2),
    new axpy.Upsample(2),
    new axpy.Flatten(),
    new axpy.LayerNorm(288),
    new axpy.Dropout(0.5),
    new Dense(288, 4),
    new axpy.Softmax(),
    new Block(),
    new Dense(4, 1),
  ];
  const model = new Sequential(layers, { inputShape: [14, 14, 1] });
  said.push(
    model.summary(),
    layers.map(({ label }) => label),
    JSON.stringify(model),
  );
  const x = axpy.ones([2, 3]);
  const ints = axpy.tensor([1], { dtype: 'int32' });
  await attempt(() => new Sequential([new Dense(2, 3), new Dense(4, 1)]));
  await attempt(() => model.forward(x));
  await attempt(() => layers[8].forward(ints.cast('float64').reshape([1, 1])));
  for (const value of [
    x,
    new axpy.Parameter([2]),
    layers[0],
    new axpy.Adam(model.parameters()),
    new Date(0),
  ]) {
    await attempt(() => axpy.zeros(value as Any));
    await attempt(() => new Dense(value as Any, 1));
  }
  await attempt(() => x.add(ints as Any));
  await attempt(() => x.reshape([7]));
  await attempt(() => x.gather(axpy.tensor([9], { dtype: 'int32' })));
  await attempt(() => axpy.losses.mse(x, axpy.ones([1])));
  await attempt(() => x.backward());
  await attempt(() => new axpy.Parameter([-1]));
  await attempt(() => new axpy.SharedTensor([2], 'int8' as Any));
  await attempt(() => new axpy.SGD(model.parameters(), { learningRate: -1 }));
  await attempt(() => new axpy.Adam([x.mul(2), ints] as Any));
  await attempt(() => JSON.stringify([x, new axpy.SGD([new axpy.Parameter([2])], { learningRate: 1 })]));
  await attempt(() => axpy.predict(new Dense(1, 1), [[Number.NaN]]));
  const small = new Sequential([new Dense(1, 1, { init: 'ones' })]);
  const data = { x: [[1]], y: [[1e30]] };
  const wild = new axpy.SGD(small.parameters(), { learningRate: 1e30, momentum: 0.9 });
  await attempt(() => axpy.fit(small, data, { loss: 'mse', optimizer: wild }));
  await attempt(() => axpy.fit(small, { x: [[1]], y: [[1e18]] }, { loss: 'mse', optimizer: wild }));
  await attempt(() => axpy.evaluate(small, data, { loss: 'mse', signal: AbortSignal.abort() }));
  await attempt(() => axpy.layerFrom({ type: 'Unknown' }));
  await attempt(() => axpy.compile((a: axpy.Tensor) => a.item() as Any)(x));
  await attempt(() => axpy.track(x, [], (() => {}) as Any).sum());
  console.log(JSON.stringify(said, null, 1));
}

void main();

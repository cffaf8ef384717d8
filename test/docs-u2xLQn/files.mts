import { Adam, Dense, fit, loadModel, predict, saveModel, Sequential } from '../../lib/index.ts';

const model = new Sequential([new Dense(2, 8, { activation: 'tanh' }), new Dense(8, 1)]);
const x = [[0, 0], [0, 1], [1, 0], [1, 1]];
const optimizer = new Adam(model.parameters(), { learningRate: 0.05 });
await fit(model, { x, y: [[0], [1], [1], [0]] }, { loss: 'mse', optimizer, epochs: 300 });
await saveModel('xor.safetensors', model);

// In another program: nothing but the file is needed.
const served = await loadModel('xor.safetensors');
console.log((await predict(served, x)).toArray());

import { AbortError, checkpoint, earlyStopping } from '../../lib/index.ts';

/** The same program every time it is started, whatever ended it before. */
async function resumed(epochs: number) {
  const model = new Sequential([new Dense(2, 8, { activation: 'tanh' }), new Dense(8, 1)]);
  const controller = new AbortController();
  process.once('SIGTERM', () => controller.abort());
  const training = fit(model, { x, y: [[0], [1], [1], [0]] }, {
    loss: 'mse',
    optimizer: new Adam(model.parameters(), { learningRate: 0.05 }),
    batchSize: 2,
    epochs,
    callbacks: [
      earlyStopping({ monitor: 'loss', patience: 50 }),
      checkpoint({ folder: 'run1', every: 10, keep: 3, best: 'loss' }),
    ],
    signal: controller.signal,
    resume: 'run1',
  });
  return await training.catch((error) => {
    // The process was told to end: what there was is kept.
    if (error instanceof AbortError) return error.history!;
    throw error;
  });
}

await resumed(3); // begins anew, as run1 has no checkpoint
const history = await resumed(5); // goes on with epoch 4
console.log(history.epochs.length); // 5

import type { Callback, SavedState } from '../../lib/index.ts';

/** Halves the rate after so many steps. */
function halving(steps: number): Callback {
  let count = 0;
  return {
    onBatchEnd({ optimizer }) {
      if (++count % steps === 0) optimizer.learningRate /= 2;
    },
    stateDict: () => ({ count }),
    loadStateDict: (state: SavedState) => {
      ({ count } = state as { count: number });
    },
  };
}
console.log(halving(100).stateDict!()); // { count: 0 }

import { loadCheckpoint, losses, randn, saveCheckpoint } from '../../lib/index.ts';

const inputs = randn([4, 2]);
const step = () => {
  const loss = losses.mse(model.forward(inputs), inputs.sum(1, { keepDims: true }));
  optimizer.zeroGrad();
  loss.backward();
  optimizer.step();
  return loss.item();
};
step();
await saveCheckpoint('loop.safetensors', { model, optimizer, step: 1, extra: { note: 'after one step' } });
const expected = [step(), step()];

const saved = await loadCheckpoint('loop.safetensors');
saved.restore({ model, optimizer }); // all of it, or an error and nothing
console.log(saved.step, saved.extra, step() === expected[0] && step() === expected[1]);

import { encodeWeights, loadWeights } from '../../lib/index.ts';

const bytes = encodeWeights(model);
const other = new Sequential([new Dense(2, 8, { activation: 'tanh' }), new Dense(8, 3)]);
const report = await loadWeights(bytes, other, {
  strict: false, // a name that is missing or unknown is reported, not refused
  rename: (name) => (name.startsWith('1.') ? null : name), // null leaves one out
});
console.log(report.loaded, report.missing); // 0.weight, 0.bias; 1.weight, 1.bias

import { encodeNpz, loadNpz, ones, saveNpy, saveNpz } from '../../lib/index.ts';

await saveNpz('points.npz', { x: ones([4, 2]), y: ones([4, 1]) }, { compressed: true });
const points = await loadNpz('points.npz'); // x and y, as fit takes them
await fit(model, { x: points.x, y: points.y }, { loss: 'mse', optimizer });
await saveNpy('predictions.npy', await predict(model, points.x));
const { y } = await loadNpz(await encodeNpz(points), { only: ['y'], dtype: 'float64' });
console.log(y.dtype); // float64

import { BatchNorm, Conv2D, exportOnnx, Flatten, Layer, type Tensor } from '../../lib/index.ts';

class Residual extends Layer {
  readonly body = new Sequential([new Conv2D(4, 4, 3, { padding: 'same' }), new BatchNorm(4, { activation: 'relu' })]);
  forward(images: Tensor): Tensor {
    return images.add(this.body.forward(images));
  }
}

const classifier = new Sequential([new Conv2D(3, 4, 3), new Residual(), new Flatten(), new Dense(4 * 36, 10)]);
await exportOnnx(classifier, 'classifier.onnx', { inputShape: [8, 8, 3], layout: 'NCHW' });

import { Columns, Normalize, OneHot, StringLookup, tensor, trainTestSplit } from '../../lib/index.ts';

const houses = {
  x: {
    city: ['Sacramento', 'Elk Grove', 'Sacramento', 'Galt', 'Galt', 'Elk Grove', 'Sacramento', 'Galt'],
    size: [852, 1167, 796, 1400, 1310, 1124, 984, 1640],
  },
  y: [159000, 252000, 148750, 260000, 243000, 231000, 178000, 299000],
};
const { train, test } = trainTestSplit(houses, { testSize: 0.25, seed: 1 });

const columns = new Columns({
  city: new Sequential([new StringLookup(), new OneHot()]),
  size: new Normalize(1),
}).adapt(train.x);
const price = new Normalize(1, { invert: true }).adapt(train.y); // from what is learnt back to dollars
const network = new Sequential([columns, new Dense(columns.features, 8, { activation: 'tanh' }), new Dense(8, 1)]);
const targets = price.inverse(tensor(train.y.map((dollars) => [dollars])));
const adam = new Adam(network.parameters(), { learningRate: 0.02 });
await fit(network, { x: train.x, y: targets }, { loss: 'mse', optimizer: adam, epochs: 300 });
await saveModel('houses.safetensors', new Sequential([...network.layers, price]));

// The server: rows as they come, dollars as they go.
const houseModel = await loadModel('houses.safetensors');
console.log((await predict(houseModel, [{ city: 'Galt', size: 1500 }, { city: 'Atlantis', size: 900 }])).toArray());
console.log((await predict(houseModel, test.x)).shape); // columns serve as well

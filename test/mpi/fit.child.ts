/**
 * `fit` by the ranks of a job, against what PyTorch computed in one process (reference.json). Prints on rank 0, as JSON, how far
 * the losses of epochs and the parameters are from that, and whether all ranks have the same bits.
 *
 *     fit.child.ts plain|localBatchNorm2 SGD|momentum|AdamW [compiled|eager] [bytes of a bucket]
 */
import { readFileSync } from 'node:fs';
import { AdamW, BatchNorm, Dense, fit, type Layer, Sequential, SGD, Tanh, tensor } from '../../lib/index.ts';
import { distribute } from '../../lib/mpi/index.ts';

interface Reference {
  x: number[];
  labels: number[];
  batchSize: number;
  epochs: number;
  start: Record<string, number[]>;
  optimizers: Record<string, { kind: 'SGD' | 'AdamW'; options: { learningRate: number } }>;
}

const [network, optimizerName, way = 'compiled', bucketBytes = '26214400'] = process.argv.slice(2);
const reference = JSON.parse(readFileSync('test/mpi/reference.json', 'utf8')) as Reference &
  Record<string, { losses: number[]; end: Record<string, number[]> }>;
const { x, labels, batchSize, epochs, start, optimizers } = reference;

const dtype = 'float64';
const hidden = new Dense(6, 8, { dtype });
const norm = network === 'plain' ? null : new BatchNorm(8, { dtype });
const out = new Dense(8, 3, { dtype });
const layers: Layer[] = [hidden, new Tanh(), ...(norm ? [norm] : []), out];
const model = new Sequential(layers);
const names = [
  'hidden.weight',
  'hidden.bias',
  ...(norm ? ['norm.weight', 'norm.bias'] : []),
  'out.weight',
  'out.bias',
];
const parameters = model.parameters();
const world = await distribute({ timeout: 20, bucketBytes: Number(bucketBytes) });
// Of the others it does not matter: rank 0 tells them.
if (world.rank === 0) {
  for (const [i, name] of names.entries()) {
    parameters[i].assign(tensor(start[name], { dtype, shape: parameters[i].shape }));
  }
}
const { kind, options } = optimizers[optimizerName];
const optimizer =
  kind === 'SGD' ? new SGD(model.parameters(), options) : new AdamW(model.parameters(), options);
const history = await fit(
  model,
  { x: tensor(x, { dtype, shape: [labels.length, 6] }), y: labels },
  {
    loss: 'softmaxCrossEntropy',
    optimizer,
    batchSize,
    epochs,
    shuffle: false,
    metrics: ['accuracy'],
    compiled: way === 'compiled',
    world,
    syncBatchNorm: network === 'batchNorm',
  },
);
const expected = reference[`${network}/${optimizerName}`];
let off = 0;
for (const [i, name] of names.entries()) {
  parameters[i].data.forEach((value, at) => {
    off = Math.max(off, Math.abs(value - expected.end[name][at]));
  });
}
const losses = history.epochs.map(({ loss }, i) => Math.abs(loss - expected.losses[i]));
const all = await world.gatherValues({
  bits: model.parameters().map((p) => Array.from(p.data)),
  history: history.epochs.map(({ loss, accuracy }) => [loss, accuracy]),
});
const same = all.every((one) => JSON.stringify(one) === JSON.stringify(all[0]));
if (world.rank === 0) {
  console.log(
    JSON.stringify({
      off,
      losses: Math.max(...losses),
      same,
      accuracy: history.epochs.at(-1)!.accuracy,
      ...world.statistics,
    }),
  );
}

/**
 * Batch normalisation over the ranks, against what one process makes of the whole batch. Prints on rank 0, as JSON, how far it is
 * off, beside the largest number that is expected, and whether all ranks have the same bits.
 *
 *     batchNorm.child.ts reference SGD|momentum|AdamW compiled|eager <ranks without rows>
 *     batchNorm.child.ts network compiled|eager
 *     batchNorm.child.ts whole|penalty
 */
import { readFileSync } from 'node:fs';
import {
  AdamW,
  BatchNorm,
  Conv2D,
  compile,
  Dense,
  Flatten,
  type FloatDtype,
  gradients,
  type Layer,
  losses,
  randn,
  Sequential,
  SGD,
  seed,
  Tanh,
  type Tensor,
  tensor,
} from '../../lib/index.ts';
import { distribute } from '../../lib/mpi/index.ts';

const [mode, ...args] = process.argv.slice(2);
const world = await distribute({ timeout: 20 });

/** Where the rows of ranks begin: shares as equal as can be, of which the last `without` ranks have none. */
function bounds(rows: number, without = 0): number[] {
  const sharing = world.size - without;
  const at = (rank: number) => Math.min(rank, rows % sharing) + rank * Math.floor(rows / sharing);
  return Array.from({ length: world.size + 1 }, (_, rank) => at(Math.min(rank, sharing)));
}

/** How far numbers are off, beside the largest that is expected. */
function off(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  if (actual.length !== expected.length) return Number.POSITIVE_INFINITY;
  const most = Array.from(expected, Math.abs).reduce((a, b) => Math.max(a, b), 1e-30);
  return Array.from(expected, (value, i) => Math.abs(actual[i] - value) / most).reduce(
    (a, b) => (a >= b ? a : b),
    0,
  );
}

const values = (tensors: readonly Tensor[]) => tensors.map(({ data }) => Array.from(data));

/** The mean loss; of none, for which there is no mean, a 0 that has the same history. */
const lossOf = (prediction: Tensor, labels: Tensor): Tensor =>
  labels.size === 0 ? prediction.sum() : losses.softmaxCrossEntropy(prediction, labels);

interface Reference {
  x: number[];
  labels: number[];
  batchSize: number;
  epochs: number;
  start: Record<string, number[]>;
  optimizers: Record<string, { kind: 'SGD' | 'AdamW'; options: { learningRate: number } }>;
}

interface Expected {
  losses: number[];
  end: Record<string, number[]>;
  runningMean: number[];
  runningVariance: number[];
}

/** Training as in reference.json, where the last ranks have no rows. */
async function reference(name: string, way: string, without: number): Promise<unknown> {
  const given = JSON.parse(readFileSync('test/mpi/reference.json', 'utf8')) as Reference &
    Record<string, Expected>;
  const dtype = 'float64';
  const model = new Sequential([
    new Dense(6, 8, { dtype }),
    new Tanh(),
    new BatchNorm(8, { dtype }),
    new Dense(8, 3, { dtype }),
  ]);
  const names = ['hidden.weight', 'hidden.bias', 'norm.weight', 'norm.bias', 'out.weight', 'out.bias'];
  const parameters = model.parameters();
  names.forEach((own, i) => {
    const { shape } = parameters[i];
    parameters[i].assign(tensor(given.start[own], { dtype, shape }));
  });
  const { kind, options } = given.optimizers[name];
  const optimizer = world.wrap(
    kind === 'SGD' ? new SGD(parameters, options) : new AdamW(parameters, options),
  );
  const step = (x: Tensor, y: Tensor, share: Tensor) => {
    const mean = lossOf(
      world.syncBatchNorm(() => model.forward(x)),
      y,
    );
    // Gradients become the mean over the ranks of those of what backward is called on.
    const loss = mean.mul(share);
    optimizer.zeroGrad();
    loss.mul(world.size).backward();
    optimizer.step();
    return loss;
  };
  const run = way === 'compiled' ? compile(step) : step;
  const x = tensor(given.x, { dtype, shape: [24, 6] });
  const means: number[] = [];
  for (let epoch = 0; epoch < given.epochs; epoch++) {
    let total = 0;
    for (let first = 0; first < 24; first += given.batchSize) {
      const rows = Math.min(given.batchSize, 24 - first);
      const at = bounds(rows, without);
      const [from, to] = [at[world.rank], at[world.rank + 1]];
      const part = x.slice([[first + from, first + to]]);
      const labels = tensor(Int32Array.from(given.labels.slice(first + from, first + to)), {
        dtype: 'int32',
      });
      const share = (to - from) / rows;
      const loss = await run(part, labels, tensor(share, { dtype }));
      const [sum] = await world.sum([loss.item()]);
      total += sum * rows;
    }
    means.push(total / 24);
  }
  const norm = model.layers[2] as BatchNorm<typeof dtype>;
  const state = values([...parameters, norm.runningMean, norm.runningVariance]);
  const all = await world.gatherValues(state);
  const expected = given[`batchNorm/${name}`];
  const ends = [...names.map((own) => expected.end[own]), expected.runningMean, expected.runningVariance];
  return {
    same: all.every((own) => JSON.stringify(own) === JSON.stringify(all[0])),
    off: Math.max(...state.map((own, i) => off(own, ends[i])), off(means, expected.losses)),
  };
}

/** One step of a layer or a model on the rows of this rank, beside that of all rows, in any division. */
async function whole(): Promise<unknown> {
  const { size, rank } = world;
  const worst: Record<string, number> = {};
  const spread = (first: number[]) => Array.from({ length: size }, (_, i) => first[i] ?? i % 3);
  const divisions = [
    [3, 2],
    [2, 1],
    [0, 4],
    [5, 0],
    [2, 1, 0, 3],
    [3, 0, 0, 2],
  ].map(spread);
  for (const dtype of ['float32', 'float64'] as const satisfies FloatDtype[]) {
    for (const example of [[5], [3, 2, 4]]) {
      for (const activation of ['linear', 'relu', 'tanh'] as const) {
        for (const mean of [0, 1000]) {
          for (const [i, division] of divisions.entries()) {
            seed(10 * i + example.length);
            const channels = example.at(-1)!;
            const rows = division.reduce((a, b) => a + b);
            const x = randn([rows, ...example], { dtype }).add(mean);
            // The ranks' own means lie apart.
            const apart = x.add(
              tensor(
                division.flatMap((n, r) => new Array<number>(n).fill(r)),
                { dtype },
              ).reshape([rows, ...example.map(() => 1)]),
            );
            const weights = randn([rows, ...example], { dtype });
            const scales = randn([2, channels], { dtype });
            const from = division.slice(0, rank).reduce((a, b) => a + b, 0);
            const part = (all: Tensor) => all.slice([[from, from + division[rank]]]);
            const results = (run: (fn: () => Tensor) => Tensor, input: Tensor, weight: Tensor) => {
              const layer = new BatchNorm(channels, { dtype, activation });
              layer.weight!.assign(scales.slice([[0, 1]]).reshape([channels]));
              layer.bias!.assign(scales.slice([[1, 2]]).reshape([channels]));
              const own = input.clone();
              own.requiresGrad = true;
              const y = run(() => layer.forward(own));
              y.mul(weight).sum().backward();
              const state = [
                layer.weight!.grad!,
                layer.bias!.grad!,
                layer.runningMean,
                layer.runningVariance,
              ];
              return { rows: values([y, own.grad!]), state: values(state) };
            };
            const expected = results((fn) => fn(), apart, weights);
            const own = results((fn) => world.syncBatchNorm(fn), part(apart), part(weights));
            const all = await world.gatherValues(own);
            const actual = [0, 1].map((j) => all.flatMap((one) => one.rows[j]));
            const found: Record<string, number> = {
              y: off(actual[0], expected.rows[0]),
              dx: off(actual[1], expected.rows[1]),
            };
            ['scale', 'shift'].forEach((name, j) => {
              const sum = expected.state[j].map((_, c) =>
                all.reduce((total, one) => total + one.state[j][c], 0),
              );
              found[name] = off(sum, expected.state[j]);
            });
            ['mean', 'variance'].forEach((name, j) => {
              found[name] = Math.max(...all.map((one) => off(one.state[2 + j], expected.state[2 + j])));
            });
            for (const [name, value] of Object.entries(found)) {
              const key = `${dtype} ${name}`;
              worst[key] = Math.max(worst[key] ?? 0, value);
            }
          }
        }
      }
    }
  }
  return worst;
}

/** A penalty on the gradient of the input, which takes second derivatives. */
async function penalty(): Promise<unknown> {
  const { rank, size } = world;
  seed(2);
  const rows = 2 * size + 1;
  const at = bounds(rows);
  const all = [randn([rows, 3], { dtype: 'float64' }), randn([rows, 3], { dtype: 'float64' })];
  const part = (x: Tensor) => x.slice([[at[rank], at[rank + 1]]]);
  const results = (run: (fn: () => Tensor) => Tensor, [x, weights]: Tensor[]) => {
    const layer = new BatchNorm(3, { dtype: 'float64', activation: 'tanh' });
    layer.weight!.assign([1, -2, 0.5]);
    const input = x.clone();
    input.requiresGrad = true;
    const y = run(() => layer.forward(input))
      .mul(weights)
      .sum();
    const [dx] = gradients(y, [input], { createGraph: true });
    dx.square().sum().backward();
    return values([input.grad!, layer.weight!.grad!]);
  };
  const expected = results((fn) => fn(), all);
  const own = results((fn) => world.syncBatchNorm(fn), all.map(part));
  const found = await world.gatherValues(own);
  return {
    x: off(
      found.flatMap(([dx]) => dx),
      expected[0],
    ),
    weight: off(
      expected[1].map((_, c) => found.reduce((sum, one) => sum + one[1][c], 0)),
      expected[1],
    ),
  };
}

/** A convolutional network in float32, some steps of ranks that have no rows at times; eager and compiled. */
async function network(way: string): Promise<unknown> {
  const { rank } = world;
  const make = () => {
    seed(5);
    return new Sequential([
      // The gradient of a bias, which BatchNorm takes away again, would be nothing but rounding.
      new Conv2D(2, 4, 3, { padding: 1, bias: false }),
      new BatchNorm(4, { activation: 'relu' }),
      new Conv2D(4, 6, 3, { stride: 2, bias: false }),
      new BatchNorm(6, { affine: false }),
      new Flatten(),
      new Dense(24, 3),
    ]);
  };
  const train = async (isAlone: boolean) => {
    const model = make();
    const optimizer = new SGD(model.parameters(), { learningRate: 0.05, momentum: 0.9 });
    const size = isAlone ? 1 : world.size;
    if (!isAlone) world.wrap(optimizer);
    const step = (x: Tensor, y: Tensor, share: Tensor) => {
      const forward = () => model.forward(x);
      const prediction = isAlone ? forward() : world.syncBatchNorm(forward);
      const loss = lossOf(prediction, y).mul(share);
      optimizer.zeroGrad();
      loss.mul(size).backward();
      optimizer.step();
      return loss;
    };
    const run = way === 'compiled' ? compile(step) : step;
    for (let i = 0; i < 9; i++) {
      seed(i);
      const rows = i % 3 === 2 ? 2 : 7;
      const x = randn([rows, 5, 5, 2]);
      const labels = Int32Array.from({ length: rows }, (_, row) => (row + i) % 3);
      const at = bounds(rows, i % 3 === 1 ? 1 : 0);
      const [from, to] = isAlone ? [0, rows] : [at[rank], at[rank + 1]];
      await run(x.slice([[from, to]]), tensor(labels.slice(from, to)), tensor((to - from) / rows));
    }
    return model;
  };
  const state = (model: Layer) => values(Object.values(model.stateDict()));
  const own = state(await train(false));
  const expected = state(await train(true));
  const all = await world.gatherValues(own);
  return {
    same: all.every((one) => JSON.stringify(one) === JSON.stringify(all[0])),
    off: Math.max(...own.map((one, i) => off(one, expected[i]))),
  };
}

const modes: Record<string, () => Promise<unknown>> = {
  reference: () => reference(args[0], args[1], Number(args[2])),
  whole,
  penalty,
  network: () => network(args[0]),
};
const result = await modes[mode]();
if (world.rank === 0) console.log(JSON.stringify(result));

/** A loop of a user's own: eager, or compiled. Prints, on rank 0, what it came to. */
import { compile, Dense, losses, Sequential, SGD, seed, Tanh, type Tensor, tensor } from '../../lib/index.ts';
import { distribute } from '../../lib/mpi/index.ts';

const [way = 'eager', bucketBytes = '26214400'] = process.argv.slice(2);
const world = await distribute({ timeout: 20, bucketBytes: Number(bucketBytes) });
seed(1 + world.rank);
const model = new Sequential([new Dense(4, 8), new Tanh(), new Dense(8, 3)]);
const optimizer = world.wrap(new SGD(model.parameters(), { learningRate: 0.1, momentum: 0.9 }));
const rows = (batch: number) =>
  Array.from({ length: 4 }, (_, i) => 4 * batch + i).filter(
    (i) => i % world.size === world.rank % world.size || world.size === 1,
  );
const x = (batch: number) =>
  tensor(rows(batch).map((i) => [0, 1, 2, 3].map((j) => Math.sin(1.7 * i + 2.3 * j))));
const y = (batch: number) =>
  tensor(
    Int32Array.from(rows(batch), (i) => i % 3),
    { dtype: 'int32' },
  );
const step = (input: Tensor, target: Tensor) => {
  const loss = losses.softmaxCrossEntropy(model.forward(input), target);
  optimizer.zeroGrad();
  loss.backward();
  optimizer.step();
  return loss;
};
const compiled = compile(step);
for (let i = 0; i < 20; i++) {
  if (way === 'eager') step(x(i), y(i));
  else await compiled(x(i), y(i));
}
const sums = await world.gatherValues(Array.from(model.parameters(), (p) => Array.from(p.data)));
if (world.rank === 0)
  console.log(
    JSON.stringify({
      same: sums.every((s) => JSON.stringify(s) === JSON.stringify(sums[0])),
      first: sums[0][3],
      ...world.statistics,
      size: world.size,
      library: world.library,
    }),
  );

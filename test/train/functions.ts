/**
 * What random functions are made of that are recorded, changed by passes and compared: ops on one or two values, of views,
 * elementwise arithmetic and products. Values are [2, 3, 4·n] or become so.
 */
import { concat, type Tensor, tensor, where } from '../../lib/index.ts';

export const pick = <Item>(list: readonly Item[], at: number): Item => list[at % list.length];

const orders = [
  [0, 2, 1],
  [2, 1, 0],
  [1, 0, 2],
  [1, 2, 0],
];

/** Of one or two values, and a number to choose by. */
export const ops: Record<string, (a: Tensor, b: Tensor, i: number) => Tensor> = {
  add: (a, b) => a.add(b),
  sub: (a, b) => a.sub(b),
  mul: (a, b) => a.mul(b),
  div: (a, b) => a.div(b.square().add(1)),
  maximum: (a, b) => a.maximum(b),
  scale: (a) => a.mul(-0.5).add(1),
  neg: (a) => a.neg(),
  tanh: (a) => a.tanh(),
  sigmoid: (a) => a.sigmoid(),
  relu: (a) => a.relu(),
  gelu: (a) => a.gelu(),
  rows: (a, b) => a.mul(b.slice([[0, 1]])),
  columns: (a, b) => a.add(b.slice([null, null, [1, 2]])),
  mean: (a, b) => a.sub(b.mean([1], { keepDims: true })),
  largest: (a) => a.sub(a.max([-1], { keepDims: true })),
  total: (a, b) => a.mul(b.sum().tanh()),
  softmax: (a) => a.softmax(-1),
  where: (a, b) => where(mask(a), a, b),
  transpose: (a, _, i) => a.transpose(pick(orders, i)).reshape(a.shape),
  reshape: (a) => a.reshape([4, -1]).transpose().reshape(a.shape),
  turned: (a) => a.slice([null, [2, undefined, -1]]).mul(2),
  swap: (a, b) => concat([b.slice([null, [1, 3]]), a.slice([null, [0, 1]])], 1),
  halves: (a, b) => concat([a.slice([[1, 2]]), b.slice([[0, 1]])]),
  runs: (a, b) => concat([a.slice([[1, 2]]).tanh(), a.slice([[0, 1]]).mul(b.slice([[1, 2]]))]),
  gates: (a, b) => {
    const z = a.add(b);
    const half = a.shape[2] / 2;
    const part = (i: number) => z.slice([null, null, [i * half, (i + 1) * half]]);
    return concat([part(0).sigmoid().mul(part(1).tanh()), part(1).sigmoid()], 2);
  },
  product: (a, b) => a.matmul(b, { transposeB: true }).matmul(a),
  heads: (a, b) => {
    const split = (x: Tensor) => x.reshape([2, 3, 2, -1]).transpose([0, 2, 1, 3]);
    const mixed = split(a).matmul(split(b), { transposeB: true }).matmul(split(b));
    return mixed.transpose([0, 2, 1, 3]).reshape(a.shape);
  },
  shared: (a, b) => {
    const matrix = (i: number) => b.slice([[i, i + 1]]).reshape([3, -1]);
    return a.matmul(matrix(0).transpose().matmul(matrix(1)));
  },
  steps: (a, b) => {
    // A recurrence over the middle axis, whose states are put together.
    const at = (t: number) => a.slice([null, [t, t + 1]]);
    const states = [at(0).tanh()];
    for (let t = 1; t < 3; t++)
      states.push(
        states[t - 1]
          .mul(b.slice([null, [t, t + 1]]))
          .add(at(t))
          .tanh(),
      );
    return concat(states, 1);
  },
  detach: (a) => a.detach(),
  cast: (a) => a.add(mask(a).cast('float32')),
};

function mask({ shape: [, rows, columns] }: Tensor): Tensor<'int32'> {
  return tensor(
    Int32Array.from({ length: rows * columns }, (_, i) => i % 3),
    { shape: [rows, columns] },
  );
}

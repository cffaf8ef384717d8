/** Forward passes of random ops: whatever orders of axes meet, onnxruntime computes the same, for batches of any size. */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import {
  averagePool2d,
  batchNorm,
  concat,
  conv2d,
  encodeOnnx,
  interpolate,
  Layer,
  layerNorm,
  maxPool2d,
  noGrad,
  randn,
  seed,
  stack,
  type Tensor,
  tensor,
  where,
} from '../../lib/index.ts';
import { decodeModel } from '../../lib/onnx/schema.ts';
import { expectClose, run, runtime, session } from './runtime.ts';

/** Numbers that depend on nothing but their place. */
function numbers(shape: readonly number[], scale = 1): Tensor<'float32'> {
  const size = shape.reduce((a, b) => a * b, 1);
  return tensor(
    Float32Array.from({ length: size }, (_, i) => scale * Math.sin(3 * i + 1)),
    { shape },
  );
}

const isImage = (x: Tensor) => x.rank === 4 && Math.min(...x.shape.slice(1)) > 0;

type Op = (x: Tensor, y: Tensor, pick: number) => Tensor | null;

/** What can be done with two values and a number; null where it cannot. Batches are in front. */
const ops: readonly Op[] = [
  (x, _, pick) =>
    [x.relu(), x.tanh(), x.neg(), x.mul(0.5).add(1), x.clip(-1, 1), x.sigmoid(), x.square().add(1).log()][
      pick % 7
    ],
  (x, y) => {
    if (x.rank !== y.rank || !x.shape.every((size, axis) => size === y.shape[axis] || y.shape[axis] === 1))
      return null;
    return x.add(y);
  },
  (x, y, pick) => {
    if (`${x.shape}` !== `${y.shape}`) return null;
    return [x.mul(y.tanh()), x.maximum(y), where(x.greater(y), x, y.mul(1)), x.sub(y)][pick % 4];
  },
  // Something that broadcasts, of each rank that there may be.
  (x, _, pick) => x.mul(numbers(x.shape.slice(1 + (pick % x.rank)), 0.5).add(1)),
  (x, _, pick) => x.sub(x.mean(pick % x.rank || -1, { keepDims: true })),
  (x, _, pick) => {
    if (x.rank < 3) return null;
    const axis = 1 + (pick % (x.rank - 1));
    return [x.sum(axis), x.max(axis), x.variance(axis), x.logSumExp(axis), x.mean([1, 2])][pick % 5];
  },
  (x) => x.softmax(x.rank - 1),
  (x, _, pick) => (x.rank < 3 ? null : x.softmax(1 + (pick % (x.rank - 1)))),
  // Axes behind the batch in another order.
  (x, _, pick) => {
    const axes = x.shape.map((_size, axis) => axis);
    const own = axes.slice(1);
    for (let i = 0; i < pick % Math.max(own.length, 1); i++) own.push(own.shift()!);
    if (pick % 3 === 0) own.reverse();
    return x.transpose([0, ...own]);
  },
  (x) => x.flatten(),
  (x) => (x.rank === 2 && x.shape[1] % 4 === 0 ? x.reshape([x.shape[0], 2, x.shape[1] / 4, 2]) : null),
  (x) =>
    x.rank > 2
      ? x
          .reshape([-1, ...x.shape.slice(2)])
          .exp()
          .log()
          .reshape(x.shape)
      : null,
  (x, _, pick) => {
    const axis = 1 + (pick % Math.max(x.rank - 1, 1));
    if (x.rank < 2 || x.shape[axis] < 2) return null;
    const range = pick % 2 ? ([1] as const) : ([-1, undefined, -1] as const);
    return x.slice(x.shape.map((_size, i) => (i === axis ? range : null)));
  },
  (x, _, pick) =>
    x.rank < 2
      ? null
      : x.pad(
          x.shape.map((_size, i) => (i === 0 ? [0, 0] : [pick % 2, (pick >> 1) % 2])),
          0.5,
        ),
  (x, y, pick) => {
    const axis = 1 + (pick % Math.max(x.rank - 1, 1));
    const fits =
      x.rank === y.rank && x.rank > 1 && x.shape.every((size, i) => i === axis || size === y.shape[i]);
    return fits ? concat([x, y], axis) : null;
  },
  (x, y, pick) => (`${x.shape}` === `${y.shape}` && x.rank < 4 ? stack([x, y], 1 + (pick % x.rank)) : null),
  (x, y) =>
    x.rank > 2 && x.rank === y.rank && `${x.shape}` === `${y.shape}`
      ? x.matmul(y, { transposeB: true }).mul(0.1)
      : null,
  (x) => (x.rank === 2 ? x.matmul(numbers([x.shape[1], 3], 0.3)) : null),
  (x, _, pick) =>
    isImage(x)
      ? conv2d(x as never, numbers([3, 1 + (pick % 2), 2, x.shape[3]], 0.3), null, { padding: 'same' })
      : null,
  (x) => (isImage(x) ? maxPool2d(x as never, 2, { stride: 1, padding: 'same' }) : null),
  (x) => (isImage(x) ? averagePool2d(x as never, [1, 2], { stride: 1, padding: { left: 1 } }) : null),
  (x) => (isImage(x) ? interpolate(x as never, { scaleFactor: [1.5, 1], mode: 'bilinear' }) : null),
  (x) => (isImage(x) ? interpolate(x as never, { scaleFactor: [1, 2] }) : null),
  (x) => {
    const channels = [x.shape[x.rank - 1]];
    const statistics = { mean: numbers(channels), variance: numbers(channels).square().add(0.5) };
    return x.rank < 2
      ? null
      : batchNorm(x as never, numbers(channels), null, statistics, { training: false });
  },
  (x) => (x.rank < 2 ? null : layerNorm(x as never, x.shape[x.rank - 1])),
];

class Random extends Layer {
  constructor(readonly steps: readonly (readonly [op: number, x: number, y: number, pick: number])[]) {
    super();
  }

  forward(input: Tensor): Tensor[] {
    const values = [input];
    const latest = (back: number) => values[Math.max(values.length - 1 - back, 0)];
    for (const [op, x, y, pick] of this.steps) {
      const made = ops[op](latest(x), latest(y), pick);
      if (made !== null && made.size / made.shape[0] < 400 && made.shape[0] === input.shape[0])
        values.push(made);
    }
    return values.slice(-3);
  }
}

it.skipIf(runtime === null)('random forward passes', { timeout: 120_000 }, async () => {
  const step = fc.tuple(fc.nat(ops.length - 1), fc.nat(3), fc.nat(5), fc.nat(11));
  const shape = fc.constantFrom([4, 3, 2], [3, 5], [8], [2, 2, 3]);
  await fc.assert(
    fc.asyncProperty(
      fc.array(step, { minLength: 1, maxLength: 16 }),
      shape,
      fc.boolean(),
      async (steps, inputShape, isFirst) => {
        const model = new Random(steps);
        const layout = isFirst ? 'NCHW' : 'NHWC';
        const bytes = encodeOnnx(model, { inputShape, layout });
        const served = await session(bytes);
        const order = (x: Tensor) => (isFirst && x.rank === 4 ? x.transpose([0, 3, 1, 2]) : x);
        seed(1);
        for (const batch of [1, 3]) {
          const x = randn([batch, ...inputShape]);
          const got = await run(served, { input: order(x) });
          noGrad(() => model.forward(x)).forEach((y, i) => {
            expectClose(got[`output_${i}`], order(y), `output ${i} for ${batch}`, 1e-3, 1);
          });
        }
        // No Transpose of what has just been transposed.
        const { node } = decodeModel(bytes).graph!;
        const transposed = new Set(
          node.filter(({ opType }) => opType === 'Transpose').map(({ output }) => output[0]),
        );
        for (const { opType, input } of node)
          if (opType === 'Transpose') expect(transposed.has(input[0])).toBe(false);
      },
    ),
    { numRuns: 60 },
  );
});

/** Batch normalisation over a world, of one process: what it is without. Over several: test/mpi/batchNorm.native.test.ts. */
import { beforeAll, describe, expect, it } from 'vitest';
import {
  AutogradError,
  BatchNorm,
  Conv2D,
  compile,
  Dense,
  Flatten,
  type FloatDtype,
  gradCheck,
  gradients,
  type Layer,
  losses,
  randn,
  Sequential,
  SGD,
  seed,
  type Tensor,
  tensor,
} from '../../lib/index.ts';
import { distribute, type World } from '../../lib/mpi/index.ts';

let world: World;
beforeAll(async () => {
  world = await distribute();
});

const together = (fn: () => Tensor) => world.syncBatchNorm(fn);
const alone = (fn: () => Tensor) => fn();

function expectClose(actual: ArrayLike<number>, expected: ArrayLike<number>, dtype: FloatDtype): void {
  const most = Math.max(...Array.from(expected, Math.abs), 1e-30);
  const tolerance = most * (dtype === 'float32' ? 2e-6 : 1e-12);
  expect(actual.length).toBe(expected.length);
  for (let i = 0; i < actual.length; i++) {
    if (!(Math.abs(actual[i] - expected[i]) <= tolerance))
      expect(Array.from(actual)).toEqual(Array.from(expected));
  }
}

/** Everything that a step of a layer leaves: y, dL/dx, gradients, buffers. */
function step(run: typeof alone, layer: Layer, x: Tensor, weights: Tensor): ArrayLike<number>[] {
  const input = x.clone();
  input.requiresGrad = true;
  for (const parameter of layer.parameters()) parameter.zeroGrad();
  const y = run(() => layer.forward(input));
  y.mul(weights).sum().backward();
  const state = Object.values(layer.stateDict());
  return [y, input.grad!, ...layer.parameters().map(({ grad }) => grad!), ...state].map(({ data }) => data);
}

const shapes = [
  [7, 5],
  [2, 3, 4, 6],
  [33, 16],
  [4, 2, 3],
];

describe.each(['float32', 'float64'] as const)('%s: as without a world', (dtype) => {
  for (const activation of ['linear', 'relu', 'tanh', 'gelu'] as const) {
    it.each(shapes)(`${activation}, [%s, %s, ...]`, (...shape) => {
      seed(shape[0]);
      const own = shape.filter((size) => size !== undefined);
      const channels = own.at(-1)!;
      for (const affine of [true, false]) {
        for (const [mean, deviation] of [
          [0, 1],
          [3, 0.01],
          [-1e4, 2],
          [0, 1e-6],
          [5, 0],
        ]) {
          const x = randn(own, { dtype }).mul(deviation).add(mean);
          const weights = randn(own, { dtype });
          const layers = [0, 1].map(() => new BatchNorm(channels, { affine, activation, dtype }));
          if (affine) {
            const values = randn([channels], { dtype });
            for (const layer of layers) layer.weight!.assign(values);
            for (const layer of layers) layer.bias!.assign(values.neg().add(0.1));
          }
          for (let i = 0; i < 3; i++) {
            const expected = step(alone, layers[0], x, weights);
            const actual = step(together, layers[1], x, weights);
            expected.forEach((values, j) => {
              // The gradient of x is a difference, of what is about as large as what it is scaled by.
              if (j !== 1 || deviation > 0) expectClose(actual[j], values, dtype);
            });
          }
        }
      }
    });
  }
});

it('moves running statistics by the count', () => {
  const layers = [new BatchNorm(3), new BatchNorm(3)];
  for (const [i, rows] of [4, 7, 2, 6, 1, 3].entries()) {
    seed(i);
    const x = randn([rows, 3]).mul(2).add(1);
    const before = layers[1].stateDict();
    world.syncBatchNorm(() => layers[1].forward(x));
    if (rows === 1) {
      // There is no variance of one value, and nobody knows that before the others are asked.
      for (const [name, values] of Object.entries(layers[1].stateDict())) {
        expect(values.data).toEqual(before[name].data);
      }
      continue;
    }
    layers[0].forward(x);
    expectClose(layers[1].runningMean.data, layers[0].runningMean.data, 'float32');
    expectClose(layers[1].runningVariance.data, layers[0].runningVariance.data, 'float32');
  }
});

it('gives zeros for one value, and takes a batch of none', () => {
  const layer = new BatchNorm(2);
  layer.bias!.assign([3, 4]);
  expect(world.syncBatchNorm(() => layer.forward(tensor([[7, 8]]))).toArray()).toEqual([[3, 4]]);
  const before = layer.stateDict();
  const x = tensor(new Float32Array(0), { shape: [0, 2], requiresGrad: true });
  const y = world.syncBatchNorm(() => layer.forward(x));
  expect(y.shape).toEqual([0, 2]);
  y.sum().backward();
  expect(x.grad!.shape).toEqual([0, 2]);
  expect(layer.weight!.grad!.toArray()).toEqual([0, 0]);
  for (const [name, values] of Object.entries(layer.stateDict()))
    expect(values.data).toEqual(before[name].data);
});

it('has derivatives that gradCheck confirms, first and second', () => {
  seed(1);
  for (const shape of [
    [5, 3],
    [2, 2, 2, 3],
  ]) {
    const layer = new BatchNorm(3, { dtype: 'float64', activation: 'tanh' });
    layer.weight!.assign([0.5, -1, 2]);
    const x = randn(shape, { dtype: 'float64' });
    const weights = randn(shape, { dtype: 'float64' });
    const loss = (input: Tensor) =>
      together(() => layer.forward(input))
        .mul(weights)
        .sum();
    expect(gradCheck(loss, [x]).maxError).toBeLessThan(1e-6);
    const penalty = (run: typeof alone) => {
      const input = x.clone();
      input.requiresGrad = true;
      const y = run(() => layer.forward(input))
        .mul(weights)
        .sum();
      const [dx] = gradients(y, [input], { createGraph: true });
      for (const parameter of layer.parameters()) parameter.zeroGrad();
      dx.square().sum().backward();
      return [input, ...layer.parameters()].map(({ grad }) => grad!.data.slice());
    };
    const expected = penalty(alone);
    penalty(together).forEach((values, i) => {
      expectClose(values, expected[i], 'float64');
    });
  }
});

it('leaves frozen layers and evaluation alone', () => {
  const x = randn([4, 2]);
  const frozen = new BatchNorm(2);
  frozen.trainable = false;
  const evaluated = new BatchNorm(2).eval();
  for (const layer of [frozen, evaluated]) {
    const { exchanges } = world.statistics;
    const y = world.syncBatchNorm(() => layer.forward(x));
    expect(y.data).toEqual(layer.forward(x).data);
    expect(world.statistics.exchanges).toBe(exchanges);
  }
});

describe('compiled', () => {
  const make = () => {
    seed(7);
    return new Sequential([
      new Conv2D(1, 4, 3),
      new BatchNorm(4, { activation: 'relu' }),
      new Flatten(),
      new Dense(16, 8),
      new BatchNorm(8, { affine: false }),
      new Dense(8, 3),
    ]);
  };
  const batch = (rows: number, i: number) => {
    seed(100 + i);
    return [
      randn([rows, 4, 4, 1]),
      tensor(Int32Array.from({ length: rows }, (_, row) => (row + i) % 3)),
    ] as const;
  };
  const training = (run: typeof alone) => {
    const model = make();
    const optimizer = new SGD(model.parameters(), { learningRate: 0.1, momentum: 0.9 });
    const step = (x: Tensor, y: Tensor) => {
      const loss = losses.softmaxCrossEntropy(
        run(() => model.forward(x)),
        y,
      );
      optimizer.zeroGrad();
      loss.backward();
      optimizer.step();
      return loss;
    };
    return { model, step, compiled: compile(step) };
  };

  it('is what is computed at once, and what it is without a world', async () => {
    const [plain, eager, recorded] = [training(alone), training(together), training(together)];
    for (let i = 0; i < 12; i++) {
      const [x, y] = batch(i % 4 === 3 ? 3 : 6, i);
      const losses = [plain.step(x, y), eager.step(x, y), await recorded.compiled(x, y)].map((t) => t.item());
      expect(losses[2]).toBeCloseTo(losses[1], 5);
      expect(losses[0]).toBeCloseTo(losses[1], 4);
    }
    const [a, b] = [eager, recorded].map(({ model }) => Object.values(model.stateDict()));
    a.forEach((values, i) => {
      expectClose(b[i].data, values.data, 'float32');
    });
  });

  it('depends on whether it is synchronised where that is said outside', async () => {
    const model = new BatchNorm(2, { affine: false });
    const forward = compile((x: Tensor) => model.forward(x));
    const x = randn([5, 2]);
    const { exchanges } = world.statistics;
    for (let i = 0; i < 4; i++) {
      await forward(x);
      expect(world.statistics.exchanges).toBe(exchanges + 2 * i);
      await world.syncBatchNorm(() => ({ done: forward(x) })).done;
      expect(world.statistics.exchanges).toBe(exchanges + 2 * (i + 1));
    }
  });
});

it('wants a synchronous function', () => {
  expect(() => world.syncBatchNorm(async () => {})).toThrow(AutogradError);
  expect(() => world.syncBatchNorm(3 as never)).toThrow(
    /\[syncBatchNorm\] expected fn to be a function, got 3/,
  );
  // And does not leave it in force.
  const layer = new BatchNorm(2);
  expect(() =>
    world.syncBatchNorm(() => {
      throw new Error('own');
    }),
  ).toThrow('own');
  expect(() => layer.forward(tensor([[1, 2]]))).toThrow(/more than one value per channel/);
});

import { describe, expect, it } from 'vitest';
import {
  Adam,
  type AxpyError,
  BatchNorm,
  Dense,
  Dropout,
  Layer,
  losses,
  NonFiniteError,
  Parameter,
  rand,
  Sequential,
  SGD,
  seed,
  type Tensor,
  tensor,
} from '../../lib/index.ts';
import { fit } from '../../lib/train/fit.ts';
import { dense, line, linearModel, numbers, rejection } from './support.ts';

async function messageOf(run: Promise<unknown>): Promise<string> {
  const error = await rejection(run);
  expect(error).toBeInstanceOf(NonFiniteError);
  expect((error as AxpyError).code).toBe('AXPY_NON_FINITE');
  return (error as Error).message;
}

const sgd = (model: Layer, learningRate = 0.01) => new SGD(model.parameters(), { learningRate });

/** Gives 1/0 from its n-th call on, while training. */
class Breaks extends Layer {
  calls = 0;
  readonly at: number;

  constructor(at: number) {
    super();
    this.at = at;
  }

  forward(x: Tensor): Tensor {
    return ++this.calls >= this.at ? x.div(0) : x;
  }
}

describe('a loss that is not finite', () => {
  it('names the epoch, the batch and the first layer, and comes before the update', async () => {
    const model = new Sequential([new Dense(1, 2), new Breaks(6), new Dense(2, 1)]);
    const same = new Sequential([new Dense(1, 2), new Dense(2, 1)]);
    const weights = model.stateDict();
    same.loadStateDict(
      Object.fromEntries(Object.entries(weights).map(([name, value]) => [name.replace('2.', '1.'), value])),
    );
    // Not compiled, as the layer counts its calls in JavaScript.
    const options = { loss: 'mse', batchSize: 2, shuffle: false, compiled: false } as const;
    const optimizer = new SGD(model.parameters(), { learningRate: 0.01, momentum: 0.9 });
    const message = await messageOf(fit(model, line(8), { ...options, epochs: 3, optimizer }));
    expect(message).toMatch(
      /^loss is (NaN|-?Infinity) at epoch 2, batch 2: the output of Breaks 1 is the first that is not finite$/,
    );
    const twin = new SGD(same.parameters(), { learningRate: 0.01, momentum: 0.9 });
    await fit(same, line(8), { ...options, optimizer: twin });
    await fit(same, { x: line(8).x.slice(0, 2), y: line(8).y.slice(0, 2) }, { ...options, optimizer: twin });
    expect(numbers(model)).toEqual(numbers(same));
    expect(Object.values(optimizer.stateDict()).map(({ data }) => data)).toEqual(
      Object.values(twin.stateDict()).map(({ data }) => data),
    );
  });

  it('finds layers in nested models, in the order of computation', async () => {
    const inner = new Sequential([dense([[1e30]]), dense([[1e30]]), dense([[1]])]);
    const model = new Sequential([dense([[1]]), inner, dense([[1]])]);
    const message = await messageOf(fit(model, line(1), { loss: 'mse', optimizer: sgd(model, 0.5) }));
    expect(message).toMatch(/: the output of Sequential 1 › Dense 2 is the first that is not finite/);
    expect(message).toMatch(/; parameters reach 1\.0e\+30: lower the learning rate, which is 0\.5$/);
  });

  it("finds layers in a model of one's own, and its parameters", async () => {
    class Own extends Layer {
      readonly encoder = dense([[1]]);
      readonly decoder = dense([[Number.NaN]]);
      forward(x: Tensor): Tensor {
        return this.decoder.forward(this.encoder.forward(x));
      }
    }
    const model = new Own();
    model.decoder.label = 'decoder';
    const message = await messageOf(fit(model, line(1), { loss: 'mse', optimizer: sgd(model) }));
    expect(message).toBe(
      'loss is NaN at epoch 1, batch 1: the output of decoder is the first that is not finite (weight of decoder holds NaN)',
    );
    expect(Object.hasOwn(model.decoder, 'forward')).toBe(false);
  });

  it('names the loss when the output is finite', async () => {
    const model = linearModel(1);
    const loss = (p: Tensor, t: Tensor) => losses.mse(p, t).neg().sub(1).log();
    const message = await messageOf(fit(model, line(2), { loss, optimizer: sgd(model) }));
    expect(message).toBe(
      'loss is NaN at epoch 1, batch 1: the output of the model is finite, the loss itself is not',
    );
    expect(numbers(model)).toEqual([[1], [0]]);
  });

  it('sees the same dropout again, and leaves the random state as it is', async () => {
    const run = async (extra: Layer[]) => {
      const model = new Sequential([new Dropout(0.5), dense([[1]]), ...extra]);
      seed(4);
      await fit(model, line(8), { loss: 'mse', optimizer: sgd(model), seed: 1 }).catch(() => {});
      return rand([4]).toArray();
    };
    expect(await run([new Breaks(1)])).toEqual(await run([]));
    // More than five of eight kept overflow, which few masks do: the search has to draw the mask of the step.
    const model = new Sequential([new Dropout(0.5), dense([Array.from({ length: 8 }, () => 3e37)])]);
    const data = { x: [Array.from({ length: 8 }, () => 1)], y: [[0]] };
    for (let time = 0; time < 10; time++) {
      const overflows = fit(model, data, { loss: (p) => p.mul(0), optimizer: sgd(model, 0), epochs: 1000 });
      expect(await messageOf(overflows)).toMatch(/the output of Dense 1 is the first/);
    }
  });

  it('is searched for without random numbers, also where the loss draws some', async () => {
    const draws = (p: Tensor) => p.mul(rand([1])).mean();
    const run = async (extra: Layer[]) => {
      const model = new Sequential([new Dropout(0.5), dense([[1]]), ...extra]);
      seed(4);
      await fit(model, line(8), { loss: draws, optimizer: sgd(model), seed: 1 }).catch(() => {});
      return rand([4]).toArray();
    };
    expect(await run([new Breaks(1)])).toEqual(await run([]));
  });

  it('is found in a validation only by its number', async () => {
    const model = new Sequential([dense([[1]]), new Breaks(2)]);
    const { epochs } = await fit(model, line(2), { loss: 'mse', optimizer: sgd(model), validation: line(2) });
    expect(Number.isFinite(epochs[0].validation!.loss)).toBe(false);
  });
});

describe('a gradient that is not finite, with a finite loss', () => {
  // √0 has an infinite slope.
  const loss = (p: Tensor, t: Tensor) => p.sub(t).abs().sqrt().mean();
  const data = { x: [[1], [1]], y: [[1], [1]] };

  it('is shown by the next loss', async () => {
    const model = linearModel(1);
    const message = await messageOf(fit(model, data, { loss, optimizer: sgd(model), batchSize: 1 }));
    expect(message).toMatch(/epoch 1, batch 2: the output of Dense 1 .* \(weight of Dense 1 holds NaN\)/);
  });

  it('is shown at the end of the epoch when no step follows', async () => {
    const model = linearModel(1);
    const message = await messageOf(fit(model, data, { loss, optimizer: sgd(model) }));
    expect(message).toMatch(/^parameters are not finite at the end of epoch 1: weight of Dense 1 holds NaN/);
  });
});

describe.each([true, false])('state that is not finite while the loss is (compiled: %s)', (compiled) => {
  it('names the running variance, of which evaluation would make constants', async () => {
    const model = new Sequential([new BatchNorm(2), new Dense(2, 1)]);
    // Its variance, 10⁵⁰, is beyond float32; the normalised values are not.
    const x = Array.from({ length: 8 }, (_, i) => [i % 2 ? 1e25 : -1e25, i]);
    const data = { x, y: x.map(([, i]) => [i / 8]) };
    const message = await messageOf(fit(model, data, { loss: 'mse', optimizer: sgd(model), compiled }));
    expect(message).toMatch(
      /^buffers are not finite at the end of epoch 1: runningVariance of BatchNorm 1 holds Infinity/,
    );
  });

  it('names what Adam keeps, with which a parameter would never move again', async () => {
    const model = linearModel(1);
    const optimizer = new Adam(model.parameters(), { learningRate: 1e-3 });
    const loss = (p: Tensor) => p.mul(1e25).mean();
    const message = await messageOf(fit(model, { x: [[1]], y: [[1]] }, { loss, optimizer, compiled }));
    expect(message).toMatch(
      /^values that Adam keeps are not finite at the end of epoch 1: square of weight of Dense 1 holds Infinity/,
    );
  });

  it('names a parameter that the optimizer has and the model has not', async () => {
    const model = linearModel(1);
    const extra = new Parameter([1]);
    const optimizer = new SGD([...model.parameters(), extra], { learningRate: 1e38 });
    const loss = (p: Tensor, t: Tensor) => losses.mse(p, t).add(extra.mul(1e3).sum());
    const data = { x: [[0]], y: [[0]] };
    const message = await messageOf(fit(model, data, { loss, optimizer, compiled }));
    expect(message).toMatch(
      /^parameters are not finite at the end of epoch 1: parameter \d of the optimizer holds -Infinity/,
    );
  });
});

it('Adam takes gradients whose squares float32 does not hold', () => {
  const p = tensor([0], { requiresGrad: true });
  const optimizer = new Adam([p], { learningRate: 0.1, epsilon: 0 });
  // Kingma & Ba's algorithm 1 in float64.
  let [m, v, exact] = [0, 0, 0];
  for (let t = 1; t <= 20; t++) {
    const g = t === 1 ? 1.8e19 : 2e20 / t;
    optimizer.zeroGrad();
    p.mul(g).sum().backward();
    optimizer.step();
    [m, v] = [0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g];
    exact -= (0.1 * (m / (1 - 0.9 ** t))) / Math.sqrt(v / (1 - 0.999 ** t));
    expect(Math.abs(p.item() / exact - 1)).toBeLessThan(1e-5);
  }
});

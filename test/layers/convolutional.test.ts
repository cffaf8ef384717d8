/** A small convolutional network: training as PyTorch's, compiled as eager, and its running statistics. */
import { Worker } from 'node:worker_threads';
import { describe, expect, test } from 'vitest';
import {
  BatchNorm,
  Conv2D,
  compile,
  Dense,
  denseFromChannelsFirst,
  earlyStopping,
  evaluate,
  Flatten,
  type FloatDtype,
  fit,
  fromChannelsFirst,
  Layer,
  losses,
  MaxPool2D,
  NonFiniteError,
  noGrad,
  predict,
  randn,
  Sequential,
  SGD,
  SharedTensor,
  seed,
  type Tensor,
  tensor,
} from '../../lib/index.ts';
import { deviation, type Named, type Numbers, read } from '../reference/read.ts';

const network = (dtype: FloatDtype = 'float32'): Sequential =>
  new Sequential(
    [
      new Conv2D(2, 3, 3, { padding: 1, bias: false, dtype }),
      new BatchNorm(3, { epsilon: 1e-3, momentum: 0.2, activation: 'relu', dtype }),
      new MaxPool2D(2),
      new Conv2D(3, 4, 3, { activation: 'tanh', dtype }),
      new Flatten(),
      new Dense(16, 3, { dtype }),
    ],
    { inputShape: [8, 8, 2] },
  );

const optimizerOf = (model: Layer) =>
  new SGD(model.parameters(), { learningRate: 0.1, momentum: 0.9, l2: 0.05 });

const classes = (n: number): Tensor => tensor(Int32Array.from({ length: n }, (_, i) => i % 3));

function stepOf(model: Layer): (x: Tensor, y: Tensor) => Tensor {
  const optimizer = optimizerOf(model);
  return (x, y) => {
    const loss = losses.softmaxCrossEntropy(model.forward(x), y);
    optimizer.zeroGrad();
    loss.backward();
    optimizer.step();
    return loss;
  };
}

describe('six steps and an evaluation, as PyTorch takes them', () => {
  const reference = read<{
    start: Named;
    x: Numbers;
    losses: number[];
    steps: Named[];
    evaluation: Numbers;
  }>('convolutional');

  /** The state of PyTorch's model as that of ours. */
  function converted(theirs: Named, dtype: FloatDtype): Record<string, Tensor> {
    const take = (name: string, shape: number[]) => tensor(theirs[name].map(Number), { shape, dtype });
    return {
      '0.weight': fromChannelsFirst(take('0.weight', [3, 2, 3, 3])),
      '1.weight': take('1.weight', [3]),
      '1.bias': take('1.bias', [3]),
      '1.runningMean': take('1.running_mean', [3]),
      '1.runningVariance': take('1.running_var', [3]),
      '3.weight': fromChannelsFirst(take('4.weight', [4, 3, 3, 3])),
      '3.bias': take('4.bias', [4]),
      '5.weight': denseFromChannelsFirst(take('7.weight', [3, 16]), [2, 2, 4]),
      '5.bias': take('7.bias', [3]),
    };
  }

  test.each([
    ['float64', 1e-11],
    ['float32', 5e-5],
  ] as const)('%s', (dtype, tolerance) => {
    const model = network(dtype);
    const start = { ...reference.start, '1.running_mean': [0, 0, 0], '1.running_var': [1, 1, 1] };
    model.loadStateDict(converted(start, dtype));
    const step = stepOf(model);
    const x = tensor(reference.x.map(Number), { shape: [6, 8, 8, 2], dtype });
    reference.steps.forEach((theirs, i) => {
      const loss = step(x, classes(6)).item();
      expect(Math.abs(loss / reference.losses[i] - 1), `loss of step ${i}`).toBeLessThan(tolerance);
      const state = model.stateDict();
      for (const [name, want] of Object.entries(converted(theirs, dtype))) {
        expect(deviation(state[name].data, [...want.data], tolerance), `step ${i}, ${name}`).toBeNull();
      }
    });
    const y = noGrad(() => model.eval().forward(x));
    expect(deviation(y.data, reference.evaluation, tolerance)).toBeNull();
  });

  test('the six steps lower the loss and move the statistics', () => {
    expect(reference.losses[5]).toBeLessThan(reference.losses[0] / 1.5);
    expect(reference.steps[5]['1.running_mean']).not.toEqual(reference.steps[0]['1.running_mean']);
  });
});

describe('compiled equals eager bit for bit', () => {
  async function train(how: 'eager' | 'sync' | 'async') {
    seed(3);
    const model = network();
    const step = stepOf(model);
    const compiled = compile(step);
    const serve = compile((x: Tensor) => noGrad(() => model.forward(x)));
    const batches = [8, 5].map((rows) => ({ x: randn([rows, 8, 8, 2]), y: classes(rows) }));
    const seen: number[] = [];
    for (let i = 0; i < 24; i++) {
      const { x, y } = batches[i % 3 === 2 ? 1 : 0];
      if (i === 12) model.eval();
      if (i === 16) model.train();
      const loss = how === 'eager' ? step(x, y) : how === 'sync' ? compiled.sync(x, y) : await compiled(x, y);
      seen.push(loss.item());
      if (i % 6 !== 5) continue;
      model.eval();
      const output = how === 'eager' ? noGrad(() => model.forward(x)) : serve.sync(x);
      seen.push(...output.data);
      model.train(!(i >= 12 && i < 16));
    }
    return { seen, state: Object.values(model.stateDict()).map(({ data }) => [...data]) };
  }

  test.each(['sync', 'async'] as const)('%s', async (how) => {
    expect(await train(how)).toEqual(await train('eager'));
  });

  test('fit, evaluate and predict', async () => {
    const run = async (compiled: boolean) => {
      seed(8);
      const model = network();
      const [x, y] = [randn([30, 8, 8, 2]), classes(30)];
      const optimizer = optimizerOf(model);
      const options = { loss: 'softmaxCrossEntropy', optimizer, epochs: 3, batchSize: 8, compiled } as const;
      const { epochs } = await fit(model, { x, y }, { ...options, validation: { x, y } });
      return {
        losses: epochs.map(({ loss, validation }) => [loss, validation?.loss]),
        scores: await evaluate(model, { x, y }, { loss: 'softmaxCrossEntropy', compiled }),
        output: [...(await predict(model, x, { compiled })).data],
        state: Object.values(model.stateDict()).map(({ data }) => [...data]),
      };
    };
    expect(await run(true)).toEqual(await run(false));
  });
});

describe('running statistics', () => {
  const norm = () => new BatchNorm(2, { momentum: 0.5, dtype: 'float64' });
  const x = tensor(
    [
      [1, 2],
      [3, 6],
    ],
    { dtype: 'float64' },
  );

  test('move while training, by the unbiased variance, and not in evaluation', () => {
    const layer = norm();
    layer.forward(x);
    expect([...layer.runningMean.data]).toEqual([1, 2]);
    expect([...layer.runningVariance.data]).toEqual([1.5, 4.5]);
    layer.eval().forward(x);
    noGrad(() => layer.forward(x));
    expect([...layer.runningMean.data]).toEqual([1, 2]);
    expect([...layer.runningVariance.data]).toEqual([1.5, 4.5]);
  });

  test('are buffers and state, but no parameters', () => {
    const layer = norm();
    expect(layer.namedParameters().map(([name]) => name)).toEqual(['weight', 'bias']);
    expect(layer.namedBuffers().map(([name]) => name)).toEqual(['runningMean', 'runningVariance']);
    expect(layer.parameterCount()).toBe(4);
    expect(Object.keys(layer.stateDict())).toEqual(['weight', 'bias', 'runningMean', 'runningVariance']);
    layer.forward(x);
    const other = norm();
    other.loadStateDict(layer.stateDict());
    expect([...other.runningVariance.data]).toEqual([1.5, 4.5]);
    const { runningMean, ...rest } = layer.stateDict();
    expect(runningMean.requiresGrad).toBe(false);
    expect(() => other.loadStateDict(rest)).toThrow(/missing: runningMean/);
  });

  test('of a model within models are named by their path, a shared one once', () => {
    const shared = norm();
    const model = new Sequential([new Sequential([norm()]), shared, shared]);
    expect(model.namedBuffers().map(([name]) => name)).toEqual([
      '0.0.runningMean',
      '0.0.runningVariance',
      '1.runningMean',
      '1.runningVariance',
    ]);
  });

  test('an evaluation is differentiated by the statistics it saw, whatever training does before its backward', () => {
    const layer = norm().eval();
    layer.runningMean.assign([0.5, 1]);
    const run = (between: () => void) => {
      const y = layer.forward(x);
      between();
      layer.weight!.zeroGrad();
      y.square().sum().backward();
      return [...layer.weight!.grad!.data];
    };
    const want = run(() => {});
    expect(run(() => layer.train().forward(x))).toEqual(want);
  });

  test('are those of the best epoch after early stopping', async () => {
    seed(2);
    const model = network();
    const [inputs, y] = [randn([12, 8, 8, 2]), classes(12)];
    const states: Record<string, Tensor>[] = [];
    const keep = { onEpochEnd: () => void states.push(model.stateDict()) };
    const history = await fit(
      model,
      { x: inputs, y },
      {
        loss: 'softmaxCrossEntropy',
        optimizer: optimizerOf(model),
        epochs: 6,
        batchSize: 6,
        // The best is the worst here, so that it is not the last.
        callbacks: [keep, earlyStopping({ monitor: 'loss', mode: 'max', patience: 6 })],
      },
    );
    const best = history.bestEpoch!;
    expect(best).toBeLessThan(6);
    const state = model.stateDict();
    for (const [name, { data }] of Object.entries(states[best - 1])) expect(state[name].data).toEqual(data);
    expect(state['1.runningMean'].data).not.toEqual(states[5]['1.runningMean'].data);
  });

  test('hold the batch of a step whose loss is not finite once, while parameters stay', async () => {
    seed(4);
    const model = network();
    const twin = network();
    twin.loadStateDict(model.stateDict());
    const inputs = randn([6, 8, 8, 2]);
    const weights = model.parameters().map(({ data }) => [...data]);
    const failing = fit(
      model,
      { x: inputs, y: classes(6) },
      {
        loss: (prediction) => prediction.sum().mul(Infinity),
        optimizer: optimizerOf(model),
        epochs: 1,
        batchSize: 6,
        shuffle: false,
      },
    );
    await expect(failing).rejects.toThrow(NonFiniteError);
    expect(model.parameters().map(({ data }) => [...data])).toEqual(weights);
    twin.forward(inputs);
    const buffers = (layer: Layer) => layer.namedBuffers().map(([, { data }]) => [...data]);
    expect(buffers(model)).toEqual(buffers(twin));
  });

  test('are shared with another model, and programs read the new place', () => {
    const [source, target] = [norm(), norm()];
    const serve = compile((input: Tensor) => noGrad(() => target.forward(input)));
    target.eval();
    serve.sync(x);
    expect(() => target.attach({ weight: source.weight!.share() } as never)).toThrow(/missing: bias/);
    target.attach(source.share());
    source.forward(x);
    expect([...target.runningMean.data]).toEqual([1, 2]);
    source.eval();
    expect(serve.sync(x).toArray()).toEqual(source.forward(x).toArray());
  });

  test('reach a worker thread by postMessage', async () => {
    const layer = norm();
    const worker = new Worker(
      `const { parentPort } = require('node:worker_threads');
       parentPort.once('message', ({ runningMean }) => {
         new Float64Array(runningMean.buffer).set([7, 8]);
         parentPort.postMessage('written');
       });`,
      { eval: true },
    );
    await new Promise((resolve) => {
      worker.once('message', resolve);
      worker.postMessage(layer.share());
    });
    expect([...layer.runningMean.data]).toEqual([7, 8]);
    await worker.terminate();
  });

  test("a layer of one's own keeps state in a SharedTensor", async () => {
    class Counting extends Layer {
      readonly seen = new SharedTensor([1]);
      forward(input: Tensor): Tensor {
        return input;
      }
    }
    const layer = new Counting();
    layer.seen.assign([3]);
    expect(layer.stateDict().seen.toArray()).toEqual([3]);
    expect(layer.parameters()).toEqual([]);
    expect(() => new SharedTensor([1], 'int32' as never)).toThrow(/\[SharedTensor\] expected dtype/);
  });
});

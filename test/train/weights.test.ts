/**
 * Programs may keep what they make of weights, as long as these stay as they are. Whoever changes them, in whichever way and
 * in between whichever runs, the next run computes what the function would compute now, to the bit.
 */
import { describe, expect, test } from 'vitest';
import {
  Adam,
  Conv2D,
  compile,
  Dense,
  type Dtype,
  Flatten,
  fit,
  gradCheck,
  type Layer,
  losses,
  noGrad,
  Parameter,
  randn,
  Sequential,
  seed,
  type Tensor,
} from '../../lib/index.ts';

type Model = ReturnType<typeof classifier>;

/** Products of 40 rows and a convolution by Winograd's method, in float32. */
function classifier() {
  seed(1);
  const model = new Sequential([
    new Conv2D(16, 32, 3, { padding: 1, activation: 'relu' }),
    new Flatten(),
    new Dense(32 * 64, 48, { activation: 'relu' }),
    new Dense(48, 33),
  ]);
  const x = randn([40, 8, 8, 16]);
  const optimizer = new Adam(model.parameters(), { learningRate: 0.01 });
  const target = randn([40, 33]);
  const train = compile((input: Tensor, wanted: Tensor) => {
    const loss = losses.mse(model.forward(input), wanted);
    optimizer.zeroGrad();
    loss.backward();
    optimizer.step();
    return loss;
  });
  const infer = compile((input: Tensor) => noGrad(() => model.forward(input)));
  const weights = model.parameters().filter(({ rank }) => rank > 1);
  return { model, x, target, optimizer, train, infer, weights };
}

const eager = ({ model, x }: Model) => [...noGrad(() => model.forward(x)).data];

/** Often enough that what can be kept is. */
async function expectCurrent(own: Model) {
  const wanted = eager(own);
  for (let run = 0; run < 4; run++) {
    expect([...own.infer.sync(own.x).data]).toEqual(wanted);
    expect([...(await own.infer(own.x)).data]).toEqual(wanted);
  }
  return wanted;
}

const changes: Record<string, (own: Model) => unknown> = {
  'a compiled step': ({ train, x, target }) => train(x, target),
  'a compiled step, sync': ({ train, x, target }) => train.sync(x, target),
  'an eager step': ({ model, optimizer, x, target }) => {
    optimizer.zeroGrad();
    losses.mse(model.forward(x), target).backward();
    optimizer.step();
  },
  fit: ({ model, x, target, optimizer }) =>
    fit(model, { x, y: target }, { loss: 'mse', optimizer, epochs: 1 }),
  assign: ({ weights }) => weights.map((weight) => weight.assign(randn(weight.shape))),
  'mul_ by a compiled function': ({ weights }) =>
    compile(() => void weights.map((weight) => weight.mul_(0.5)))(),
  mul_: ({ weights }) => weights.map((weight) => weight.mul_(-1)),
  loadStateDict: ({ model }) => model.loadStateDict(classifierState()),
  'data.set by hand': ({ weights }) => weights.map(({ data }) => data.set(data.map((value) => value + 0.25))),
  'an element by hand': ({ weights }) => {
    for (const { data } of weights) data[data.length - 1] += 1;
  },
  'a view': ({ weights }) => {
    for (const weight of weights) weight.detach().reshape([weight.size]).data[0] -= 2;
  },
  'memory that was shared': ({ weights }) => {
    for (const weight of weights) new Float32Array(weight.share().buffer)[1] += 3;
  },
  'a tensor on the same memory': ({ weights }) => {
    for (const weight of weights) {
      const other = new Parameter(weight.shape);
      other.attach(weight.share());
      other.mul_(1.5);
    }
  },
};

function classifierState() {
  const { model } = classifier();
  for (const parameter of model.parameters()) parameter.mul_(0.75);
  return model.stateDict();
}

describe('what changes weights between runs is seen', () => {
  test.each(Object.entries(changes))('%s', async (_, change) => {
    const own = classifier();
    const before = await expectCurrent(own);
    await change(own);
    const after = await expectCurrent(own);
    expect(after).not.toEqual(before);
    await change(own);
    await expectCurrent(own);
  });

  test('one after the other', async () => {
    const own = classifier();
    for (const change of Object.values(changes)) {
      await change(own);
      await expectCurrent(own);
    }
  });

  test('an array that was asked for earlier', async () => {
    const own = classifier();
    const arrays = own.weights.map(({ data }) => data);
    for (let i = 0; i < 3; i++) {
      await expectCurrent(own);
      for (const data of arrays) data.fill(i / 100, 5, 900);
    }
    await expectCurrent(own);
  });

  test('runs that wait for each other', async () => {
    const [own, twin] = [classifier(), classifier()];
    const wanted: number[][] = [];
    for (let i = 0; i < 6; i++) {
      for (let run = 0; run < 3; run++) wanted.push(eager(twin));
      twin.train.sync(twin.x, twin.target);
    }
    const runs: Promise<Tensor>[] = [];
    for (let i = 0; i < 6; i++) {
      for (let run = 0; run < 3; run++) runs.push(own.infer(own.x));
      own.train(own.x, own.target);
    }
    expect((await Promise.all(runs)).map(({ data }) => [...data])).toEqual(wanted);
  });

  test('by a step that fails on its way', async () => {
    const own = classifier();
    await expectCurrent(own);
    const failing = compile((weight: Tensor) => {
      for (const each of own.weights) each.mul_(3);
      return losses.softmaxCrossEntropy(randn([1, 2]), weight);
    });
    const { tensor } = await import('../../lib/index.ts');
    for (let i = 0; i < 3; i++) {
      await expect(failing(tensor(Int32Array.of(7)))).rejects.toThrow(/label/);
      await expectCurrent(own);
    }
  });

  test('by gradCheck', async () => {
    seed(2);
    const weight = new Parameter([40, 32], 'float64');
    weight.assign(randn([40, 32], { dtype: 'float64' }));
    const x = randn([20, 32], { dtype: 'float64' });
    const infer = compile((input: Tensor<Dtype>) => noGrad(() => input.matmul(weight.transpose())));
    for (let i = 0; i < 4; i++) infer.sync(x);
    const seen: number[] = [];
    gradCheck(
      (leaf: Tensor) => {
        const wanted = noGrad(() => x.matmul(leaf.transpose())).data;
        seen.push(Number(infer.sync(x).data.every((value, i) => value === wanted[i])));
        return leaf.mul(2).sum();
      },
      [weight],
    );
    expect(new Set(seen)).toEqual(new Set([1]));
  });
});

test('weights that do not change beside others that do', async () => {
  seed(3);
  const [frozen, head] = [new Dense(64, 80, { activation: 'tanh' }), new Dense(80, 40)];
  for (const parameter of frozen.parameters()) parameter.requiresGrad = false;
  const model: Layer = new Sequential([frozen, head]);
  const optimizer = new Adam(head.parameters());
  const [x, y] = [randn([30, 64]), randn([30, 40])];
  const step = () => {
    const loss = losses.mse(model.forward(x), y);
    optimizer.zeroGrad();
    loss.backward();
    optimizer.step();
    return loss.detach();
  };
  const initial = model.stateDict();
  const moves = (run: () => Tensor) =>
    Array.from({ length: 8 }, (_, i) => {
      if (i === 4) frozen.parameters()[0].mul_(0.5);
      return run().item();
    });
  const compiled = compile(step);
  const first = moves(() => compiled.sync());
  const trained = [...head.parameters()[0].data];
  model.loadStateDict(initial);
  optimizer.loadStateDict(new Adam(head.parameters()).stateDict());
  expect(moves(step)).toEqual(first);
  expect([...head.parameters()[0].data]).toEqual(trained);
});
